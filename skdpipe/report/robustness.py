"""Robustness: accuracy on test clips that are degraded further than the training clips."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from skdpipe.cache import Quality
from skdpipe.config import ClipFormat, Robustness
from skdpipe.degradation import (
    drop_block,
    drop_random_frames,
    generator_for,
    jitter,
    occlude,
    sample_frames,
)
from skdpipe.inference import batch_input
from skdpipe.progress import Progress
from skdpipe.report.measures import evenly_spaced
from skdpipe.report.predictions import DeployedNetworks, NetworkInput, most_probable_classes
from skdpipe.report.run_results import LoadedRun
from skdpipe.report.test_clips import TestClips
from skdpipe.skeleton import PoseSequence, hide

Degrade = Callable[[PoseSequence, float, np.random.Generator], PoseSequence]


class DegradationAxis(NamedTuple):
    """One kind of degradation with increasing strength.

    Attributes:
        name: of the degradation.
        unit: of the strength; strength 0 leaves a sequence unchanged.
        strengths: in increasing order.
        degrade: degrades a sequence by a strength, with random numbers from the generator.
    """

    name: str
    unit: str
    strengths: tuple[float, ...]
    degrade: Degrade


def drop_frames_evenly(sequence: PoseSequence, share: float, _: np.random.Generator) -> PoseSequence:
    """Keep every n-th frame, with the n for which the share of lost frames is nearest to ``share``."""
    return sample_frames(sequence, round(1 / (1 - share)))


def crop(sequence: PoseSequence, share: float, rng: np.random.Generator) -> PoseSequence:
    """Hide what is outside of a picture whose edge cuts off a share of the people's extent at a random side.

    The extent is that of all seen joints of the clip. The same random numbers choose the same side.
    """
    axis, upper = rng.integers(2, size=2).tolist()
    along = np.where(sequence.seen, sequence.keypoints[..., axis], np.nan)
    if sequence.is_empty:
        return sequence
    low, high = np.nanmin(along), np.nanmax(along)
    hidden = along > high - share * (high - low) if upper else along < low + share * (high - low)
    return sequence.with_keypoints(hide(sequence.keypoints, hidden))


def degradation_axes(settings: Robustness) -> tuple[DegradationAxis, ...]:
    """All degradations of the robustness measurement."""
    lost, shares = "share of frames lost", settings.frame_loss
    return (
        DegradationAxis("joints occluded", "probability for each joint", settings.occlusion, occlude),
        DegradationAxis(
            "joints jittered", "standard deviation as a share of the body size", settings.jitter, jitter
        ),
        DegradationAxis("frames lost evenly", lost, shares, drop_frames_evenly),
        DegradationAxis("frames lost at random", lost, shares, drop_random_frames),
        DegradationAxis("frames lost in one block", lost, shares, drop_block),
        DegradationAxis("people cropped", "share of their extent", settings.crop, crop),
    )


class EvaluatedNetwork(NamedTuple):
    """A network and the preprocessing of its input.

    Attributes:
        method: name of the network's method.
        quality: of the sequences that are degraded.
        clip: preprocessing of the sequences.
        smoothed_for_test: whether they are smoothed although the network was trained without smoothing.
    """

    method: str
    quality: Quality
    clip: ClipFormat
    smoothed_for_test: bool


def evaluated_networks(run: LoadedRun) -> list[EvaluatedNetwork]:
    """All networks as trained; those with low-quality input and without smoothing also with smoothing."""
    as_trained = [
        EvaluatedNetwork(each.name, each.method.quality, each.bundle.metadata.clip, smoothed_for_test=False)
        for each in run.methods
    ]
    window = run.experiment.smoothing_window
    smoothed = [
        each._replace(clip=replace(each.clip, smoothing=window), smoothed_for_test=True)
        for each in as_trained
        if each.quality == "low" and each.clip.smoothing == 1
    ]
    return as_trained + smoothed


@dataclass(frozen=True)
class RobustnessCurve:
    """Accuracy under one kind of degradation.

    Attributes:
        axis: the degradation.
        strengths: 0, followed by the strengths of the axis.
        top1: by network, in percent at each strength.
    """

    axis: DegradationAxis
    strengths: tuple[float, ...]
    top1: dict[EvaluatedNetwork, tuple[float, ...]]


def strength_at_fall(strengths: Sequence[float], top1: Sequence[float], points: float) -> float | None:
    """The lowest strength at which top-1 is ``points`` below that of the first strength.

    It is interpolated linearly between the strengths that were measured; None if top-1 never falls as far.
    """
    fall = top1[0] - np.asarray(top1)
    deep = np.flatnonzero(fall >= points)
    if not len(deep):
        return None
    rows = slice(deep[0] - 1, deep[0] + 1)
    return float(np.interp(points, fall[rows], np.asarray(strengths)[rows]))


def measure_robustness(
    run: LoadedRun,
    clips: TestClips,
    networks: DeployedNetworks,
    axes: Sequence[DegradationAxis],
    most: int,
    seed: int,
    progress: Progress,
) -> list[RobustnessCurve]:
    """Top-1 of every evaluated network on test clips degraded along each axis at each strength.

    The sequences of each network's quality are degraded. All networks of a quality get the same degraded
    sequences, which depend only on the seed and the clip.

    Args:
        run: the run of the networks.
        clips: its test clips.
        networks: its networks.
        axes: the degradations.
        most: largest number of test clips; they are evenly spaced.
        seed: of the random degradations.
        progress: shows the number of clips done.
    """
    evaluated = evaluated_networks(run)
    qualities = {each.quality for each in evaluated}
    chosen = evenly_spaced(len(clips), most).tolist()
    undegraded = np.zeros(len(evaluated), int)
    correct = [np.zeros((len(axis.strengths), len(evaluated)), int) for axis in axes]
    with progress.task("degraded test clips", len(chosen), unit="clips") as task:
        done = 0
        for indices, pairs in clips.batches(chosen):
            label = clips.labels[indices]
            sequences = {quality: [pair.of_quality(quality) for pair in pairs] for quality in qualities}
            undegraded += _count_correct(networks, evaluated, sequences, label)
            for axis, counts in zip(axes, correct, strict=True):
                for row, strength in enumerate(axis.strengths):
                    degraded = {
                        quality: [_degrade(axis, each, strength, seed) for each in of_quality]
                        for quality, of_quality in sequences.items()
                    }
                    counts[row] += _count_correct(networks, evaluated, degraded, label)
            done += len(indices)
            task.advance_to(done)
    percent = [100 * np.vstack([undegraded, counts]) / len(chosen) for counts in correct]
    return [
        RobustnessCurve(
            axis, (0.0, *axis.strengths), {each: tuple(table[:, i]) for i, each in enumerate(evaluated)}
        )
        for axis, table in zip(axes, percent, strict=True)
    ]


def _degrade(axis: DegradationAxis, sequence: PoseSequence, strength: float, seed: int) -> PoseSequence:
    """The random numbers do not depend on the strength: a larger strength removes more of the same."""
    return axis.degrade(sequence, strength, generator_for(seed, f"{axis.name}:{sequence.origin.key}"))


def _count_correct(
    networks: DeployedNetworks,
    evaluated: Sequence[EvaluatedNetwork],
    sequences: Mapping[Quality, Sequence[PoseSequence]],
    label: NDArray[np.intp],
) -> NDArray[np.intp]:
    inputs: dict[tuple[Quality, ClipFormat], NetworkInput] = {}
    correct = []
    for each in evaluated:
        kind = each.quality, each.clip
        if kind not in inputs:
            inputs[kind] = batch_input(sequences[each.quality], each.clip)
        logits, _ = networks.infer(each.method, inputs[kind])
        predicted = most_probable_classes(logits, np.any(inputs[kind][1], axis=1))
        correct.append(np.count_nonzero(predicted == label))
    return np.array(correct)
