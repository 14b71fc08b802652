"""Robustness: accuracy on test clips that are degraded further than the training clips."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

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
from skdpipe.skeleton import PoseSequence

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
    )


class EvaluatedNetwork(NamedTuple):
    """A network and the preprocessing of its input.

    Attributes:
        method: name of the network's method.
        clip: preprocessing of the sequences.
        smoothed_for_test: whether they are smoothed although the network was trained without smoothing.
    """

    method: str
    clip: ClipFormat
    smoothed_for_test: bool


def evaluated_networks(run: LoadedRun) -> list[EvaluatedNetwork]:
    """All networks with low-quality input as trained, and those trained without smoothing also with it."""
    as_trained = [
        EvaluatedNetwork(each.name, each.bundle.metadata.clip, smoothed_for_test=False)
        for each in run.methods
        if each.method.quality == "low"
    ]
    window = run.experiment.smoothing_window
    smoothed = [
        EvaluatedNetwork(each.method, replace(each.clip, smoothing=window), smoothed_for_test=True)
        for each in as_trained
        if each.clip.smoothing == 1
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

    The low-quality sequences are degraded further. All networks get the same degraded sequences, which depend
    only on the seed and the clip.

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
    chosen = evenly_spaced(len(clips), most).tolist()
    undegraded = np.zeros(len(evaluated), int)
    correct = [np.zeros((len(axis.strengths), len(evaluated)), int) for axis in axes]
    with progress.task("degraded test clips", len(chosen), unit="clips") as task:
        done = 0
        for indices, pairs in clips.batches(chosen):
            low, label = [pair.low for pair in pairs], clips.labels[indices]
            undegraded += _count_correct(networks, evaluated, low, label)
            for axis, counts in zip(axes, correct, strict=True):
                for row, strength in enumerate(axis.strengths):
                    degraded = [_degrade(axis, sequence, strength, seed) for sequence in low]
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
    sequences: Sequence[PoseSequence],
    label: NDArray[np.intp],
) -> NDArray[np.intp]:
    inputs: dict[ClipFormat, NetworkInput] = {}
    correct = []
    for each in evaluated:
        if each.clip not in inputs:
            inputs[each.clip] = batch_input(sequences, each.clip)
        logits, _ = networks.infer(each.method, inputs[each.clip])
        predicted = most_probable_classes(logits, np.any(inputs[each.clip][1], axis=1))
        correct.append(np.count_nonzero(predicted == label))
    return np.array(correct)
