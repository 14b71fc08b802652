"""Measuring estimators and trained networks on one clip, all in turn."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

import torch

from skdpipe.config import Estimator
from skdpipe.errors import DataError, SkdpipeError
from skdpipe.inference import Predictor
from skdpipe.pose import PoseEstimator
from skdpipe.pose.load import load_estimator
from skdpipe.pose.protocol import runtime_of
from skdpipe.predict import load_predictor
from skdpipe.profile.accuracy import NetworkProfile, TrainedNetwork, find_networks, pareto_front
from skdpipe.profile.clip import Clip, open_clip
from skdpipe.profile.cost import NetworkCost, count_cost
from skdpipe.profile.memory import measure_peak_memory
from skdpipe.profile.stages import WHOLE, StagedClip, open_stages
from skdpipe.profile.variants import Variant, describe_settings
from skdpipe.progress import Progress
from skdpipe.runtime import open_runtime
from skdpipe.speed import Timing, time_in_turn

_LEAST: Final = 0.02  # seconds of a call in a round


@dataclass(frozen=True)
class EstimatorProfile:
    """What an estimator costs.

    Attributes:
        name: of the variant.
        settings: of the estimator.
        fingerprint: of the estimator.
        runtime: what runs its network; empty if unknown.
        stages: time of the whole clip by stage.
        whole: time of the clip from the video to the pose sequence, where stages may overlap.
        images: number of frames on which the estimator ran.
        network: its size; None if unknown.
        peak_memory: bytes of a fresh process; None if unknown.
        people: number of people found.
    """

    name: str
    settings: Estimator
    fingerprint: str
    runtime: str
    stages: dict[str, Timing]
    whole: Timing
    images: int
    network: NetworkCost | None
    peak_memory: int | None
    people: int


@dataclass(frozen=True)
class Profile:
    """Costs on this machine.

    Attributes:
        clip: name of the clip.
        frames, size, fps: of the clip; size is width and height.
        machine: processor or GPU, threads and versions in one line.
        rounds: number of rounds in which everything was timed in turn.
        estimators: in the order of the variants.
        networks: trained networks with these estimators.
        left_out: what could not be measured, with the reason.
    """

    clip: str
    frames: int
    size: tuple[int, int]
    fps: float
    machine: str
    rounds: int
    estimators: tuple[EstimatorProfile, ...]
    networks: tuple[NetworkProfile, ...]
    left_out: dict[str, str]

    def real_time_factor(self, time: Timing) -> float:
        """Seconds of video that are processed in a second."""
        return self.frames / self.fps / time.median


@dataclass(frozen=True, eq=False)
class _Opened:
    """An estimator that is ready to run."""

    variant: Variant
    estimator: PoseEstimator
    staged: StagedClip


@dataclass(frozen=True, eq=False)
class _Student:
    """A trained network and the estimator whose skeletons it gets."""

    network: TrainedNetwork
    predictor: Predictor
    opened: _Opened


def profile_estimators(
    variants: Sequence[Variant],
    video: Path | None = None,
    *,
    models: Path | None = None,
    people: int = 2,
    batch: int = 16,
    rounds: int = 5,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
) -> Profile:
    """Measure estimators by stage, and the trained networks that use them, all in turn within one run.

    Args:
        variants: the estimators; those of the trained networks are added.
        video: a clip of some seconds; by default a rendered one.
        models: folder of runs, whose networks are put beside their cost.
        people: number of people in a sequence.
        batch: number of frames in one call of an estimator.
        rounds: number of rounds.
        device: of estimators and, in PyTorch, of trained networks.
        progress: shows rounds and processes.

    Raises:
        VideoError: if the video cannot be decoded or is too long.
        SkdpipeError: if none of the estimators can be measured.
    """
    device, progress = torch.device(device), progress or Progress(quiet=True)
    with redirect_stdout(sys.stderr), open_clip(video) as clip:  # what an estimator prints is no result
        left_out: dict[str, str] = {}
        opened: list[_Opened] = []
        open_one = partial(_open, clip=clip, people=people, batch=batch, device=device)
        for variant in variants:
            try:
                opened.append(open_one(variant))
            except SkdpipeError as error:
                left_out[variant.name] = str(error)
                reason = error
        if not opened:
            raise reason if left_out else DataError("no estimator to measure; expected one or more")
        students = _open_students(models, opened, open_one, device, left_out) if models is not None else []
        times = _time(opened, students, rounds, progress)
        estimators = []
        with progress.task("memory of a fresh process", len(opened), unit="estimators") as task:
            for done, each in enumerate(opened):
                task.advance_to(done)
                estimators.append(_describe(each, done, times, clip, people, batch, device, left_out))
            task.advance_to(len(opened))
    networks = _with_front(
        [_describe_student(each, number, opened, times) for number, each in enumerate(students)]
    )
    return Profile(
        clip.name,
        len(clip.frames),
        clip.size,
        clip.fps,
        _machine(device),
        rounds,
        tuple(estimators),
        tuple(networks),
        left_out,
    )


def _open(variant: Variant, *, clip: Clip, people: int, batch: int, device: torch.device) -> _Opened:
    estimator = load_estimator(variant.settings, device)
    staged = open_stages(estimator, variant.settings.every, clip, people=people, batch=batch)
    return _Opened(variant, estimator, staged)


def _open_students(
    models: Path,
    opened: list[_Opened],
    open_one: Callable[[Variant], _Opened],
    device: torch.device,
    left_out: dict[str, str],
) -> list[_Student]:
    """The trained networks with the estimators they fit; an estimator that is missing is opened and added."""
    students: list[_Student] = []
    for network in find_networks(models):
        if not isinstance(network, TrainedNetwork):
            left_out[network[0]] = network[1]
            continue
        try:
            fitting = [each for each in opened if _fits(network, each)]
            if not fitting:
                load_predictor(network.path, device=device)  # refuses an estimator that is missing or code
                settings = network.metadata.estimator
                assert settings is not None
                variant = Variant(f"{network.name}: {describe_settings(settings)}", settings)
                fitting = [open_one(variant)]
                opened += fitting
            students += [_Student(network, _open_network(network, str(device)), each) for each in fitting]
        except SkdpipeError as error:
            left_out[f"{network.path}"] = str(error)
    return students


def _open_network(network: TrainedNetwork, device: str) -> Predictor:
    """A predictor for pose sequences."""
    metadata = network.metadata
    return Predictor(metadata, open_runtime(network.path, metadata.clip, "auto", device))


def _fits(network: TrainedNetwork, opened: _Opened) -> bool:
    """Whether a network was trained on the skeletons that an estimator finds."""
    settings = network.metadata.estimator
    return (
        settings is not None
        and opened.estimator.fingerprint == network.metadata.fingerprint
        and opened.variant.settings.every == settings.every
    )


Times = dict[tuple[int, str], Timing]
_STUDENT: Final = "student"


def _time(opened: Sequence[_Opened], students: Sequence[_Student], rounds: int, progress: Progress) -> Times:
    """Time all stages of all estimators and all students in turn; by their number and stage."""
    calls: dict[tuple[int, str], Callable[[], object]] = {
        (number, stage): call
        for number, each in enumerate(opened)
        for stage, call in each.staged.calls.items()
    }
    for number, student in enumerate(students):
        calls[number, _STUDENT] = partial(student.predictor.predict, student.opened.staged.sequence)
    done = 0
    with progress.task("all in turn", rounds + 1, unit="rounds") as task:

        def on_round() -> None:
            nonlocal done
            done += 1
            task.advance_to(done)

        return time_in_turn(calls, rounds=rounds, least=_LEAST, on_round=on_round)


def _describe(
    opened: _Opened,
    number: int,
    times: Times,
    clip: Clip,
    people: int,
    batch: int,
    device: torch.device,
    left_out: dict[str, str],
) -> EstimatorProfile:
    variant, estimator, sequence = opened.variant, opened.estimator, opened.staged.sequence
    try:
        peak = measure_peak_memory(variant.settings, clip, people=people, batch=batch, device=str(device))
    except SkdpipeError as error:
        peak = None
        left_out[f"memory of {variant.name}"] = str(error)
    return EstimatorProfile(
        variant.name,
        variant.settings,
        estimator.fingerprint,
        runtime_of(estimator),
        {stage: times[number, stage] for stage in opened.staged.calls if stage != WHOLE},
        times[number, WHOLE],
        len(sequence.frame_index),
        count_cost(variant.settings, clip.size),
        peak,
        int(sequence.seen.any(axis=(0, 2)).sum()),
    )


def _describe_student(
    student: _Student, number: int, opened: Sequence[_Opened], times: Times
) -> NetworkProfile:
    network, own = student.network, times[number, _STUDENT]
    whole = times[opened.index(student.opened), WHOLE]
    return NetworkProfile(
        network.name,
        student.opened.variant.name,
        network.test,
        network.top1,
        network.figures.parameters,
        network.figures.gflops,
        own,
        whole + own,
    )


def _with_front(networks: Sequence[NetworkProfile]) -> list[NetworkProfile]:
    """The networks with their place relative to the Pareto front of their test."""
    marked = []
    for each in networks:
        others = [other for other in networks if other.test == each.test]
        front = pareto_front([(other.cost, other.top1.estimate) for other in others])
        marked.append(replace(each, on_front=front[others.index(each)]))
    return marked


def _machine(device: torch.device) -> str:
    if device.type == "cuda":
        where = torch.cuda.get_device_name(device)
    else:
        where = f"{platform.machine()}, {os.cpu_count()} processors"
    return f"{where}, PyTorch {torch.__version__} with {torch.get_num_threads()} threads on the CPU"
