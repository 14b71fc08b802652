"""How the networks bear test clips that are spoilt more than those they were trained on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from skdpipe.config import ClipFormat, Robustness
from skdpipe.degradation import (
    drop_block,
    drop_random_frames,
    generator_for,
    jitter,
    occlude,
    sample_frames,
)
from skdpipe.progress import Progress
from skdpipe.report.gather import LoadedRun, Networks, UnseenClips, show
from skdpipe.report.measures import spread
from skdpipe.skeleton import PoseSequence

Spoil = Callable[[PoseSequence, float, np.random.Generator], PoseSequence]


class DegradationAxis(NamedTuple):
    """A way to make a sequence worse.

    Attributes:
        name: what happens to it.
        unit: what a strength says; strength 0 is the sequence as it is.
        strengths: from little to much.
        spoil: makes a sequence worse by a strength, with random numbers of its own.
    """

    name: str
    unit: str
    strengths: tuple[float, ...]
    spoil: Spoil


def lose_evenly(sequence: PoseSequence, share: float, _: np.random.Generator) -> PoseSequence:
    """Keep one frame in so many that, as nearly as may be, the share is lost."""
    return sample_frames(sequence, round(1 / (1 - share)))


def degradation_axes(settings: Robustness) -> tuple[DegradationAxis, ...]:
    """What the card tries."""
    lost, shares = "share of frames lost", settings.frame_loss
    return (
        DegradationAxis("joints hidden", "probability that a joint is hidden", settings.occlusion, occlude),
        DegradationAxis(
            "joints shaken", "standard deviation as a share of the body's size", settings.jitter, jitter
        ),
        DegradationAxis("frames lost evenly", lost, shares, lose_evenly),
        DegradationAxis("frames lost at random", lost, shares, drop_random_frames),
        DegradationAxis("frames lost in one block", lost, shares, drop_block),
    )


class EvaluatedNetwork(NamedTuple):
    """A network, and how it is shown the clips.

    Attributes:
        method: whose network.
        clip: what becomes of the skeletons before it sees them.
        smoothed_for_test: whether they are smoothed although it was trained without.
    """

    method: str
    clip: ClipFormat
    smoothed_for_test: bool


def evaluated_networks(run: LoadedRun) -> list[EvaluatedNetwork]:
    """Every network that sees poor skeletons, as it was trained; and with smoothing, where it was without."""
    poor = [each for each in run.methods if not each.sees_high]
    as_trained = [
        EvaluatedNetwork(each.method, each.bundle.metadata.clip, smoothed_for_test=False) for each in poor
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
    """How accuracy falls under one way of spoiling.

    Attributes:
        spoiling: which.
        strengths: 0 and its strengths.
        top1: by network, in percent at each strength.
    """

    spoiling: DegradationAxis
    strengths: tuple[float, ...]
    top1: dict[EvaluatedNetwork, tuple[float, ...]]


def measure_robustness(
    run: LoadedRun,
    clips: UnseenClips,
    networks: Networks,
    ways: Sequence[DegradationAxis],
    most: int,
    seed: int,
    progress: Progress,
) -> list[RobustnessCurve]:
    """Top-1 of every network on the test clips, each spoilt in every way by every strength.

    The skeletons that the student sees are spoilt on top of what they lack already. A clip is spoilt alike
    for all evaluated_networks, and in the same way in every report of the same seed.

    Args:
        run: whose networks.
        clips: its test clips.
        networks: ready to answer.
        ways: what is tried.
        most: so many clips are tried, evenly spread.
        seed: of the randomness.
        progress: shows clips done.
    """
    entrants = evaluated_networks(run)
    chosen = spread(len(clips), most).tolist()
    unspoilt = np.zeros(len(entrants), int)
    right = [np.zeros((len(way.strengths), len(entrants)), int) for way in ways]
    with progress.task("spoilt test clips", len(chosen), unit="clips") as task:
        done = 0
        for some, views in clips.few_at_a_time(chosen):
            low, label = [view.low for view in views], clips.labels[some]
            unspoilt += _count_right(networks, entrants, low, label)
            for way, counts in zip(ways, right, strict=True):
                for row, strength in enumerate(way.strengths):
                    spoilt = [_spoil(way, each, strength, seed) for each in low]
                    counts[row] += _count_right(networks, entrants, spoilt, label)
            done += len(some)
            task.advance_to(done)
    percent = [100 * np.vstack([unspoilt, counts]) / len(chosen) for counts in right]
    return [
        RobustnessCurve(
            way, (0.0, *way.strengths), {each: tuple(table[:, i]) for i, each in enumerate(entrants)}
        )
        for way, table in zip(ways, percent, strict=True)
    ]


def _spoil(way: DegradationAxis, sequence: PoseSequence, strength: float, seed: int) -> PoseSequence:
    """With random numbers that do not depend on the strength, so that more of it takes more away."""
    return way.spoil(sequence, strength, generator_for(seed, f"{way.name}:{sequence.origin.key}"))


def _count_right(
    networks: Networks,
    entrants: Sequence[EvaluatedNetwork],
    sequences: Sequence[PoseSequence],
    label: NDArray[np.intp],
) -> NDArray[np.intp]:
    shown: dict[ClipFormat, tuple[Tensor, Tensor]] = {}
    right = []
    for each in entrants:
        if each.clip not in shown:
            shown[each.clip] = show(sequences, each.clip)
        predicted = networks.answer(each.method, shown[each.clip])[0].argmax(dim=1).numpy()
        right.append(np.count_nonzero(predicted == label))
    return np.array(right)
