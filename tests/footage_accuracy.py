"""Accuracy of the labels of footage with exact truth, beside what a user would do otherwise.

    python tests/footage_accuracy.py actors FOLDER [--pieces N]
    python tests/footage_accuracy.py curve FOLDER [--pieces N]
    python tests/footage_accuracy.py calibration FOLDER [--pieces N]
    python tests/footage_accuracy.py penn BUNDLE CACHE [--pieces N]
    python tests/footage_accuracy.py clips BUNDLE

``actors``: FOLDER is the output of `skdpipe demo`. Its student labels footage of other actors (see
`actor_footage`): rendered H.264 videos with the demonstration's low-cost estimator, and, for larger numbers,
exact poses with the fitted errors of that estimator.

``curve``: the simulated footage of other seeds with other lowest probabilities of a label.

``calibration``: how good the probabilities of that student are, on its test clips and on windows of footage
that are inside one action.

``penn``: annotated skeletons of test clips of Penn Action, one after the other, with pauses without anybody.
CACHE is a pose cache written by `skdpipe import penn`, BUNDLE a student that was trained on it.

``clips``: the seven real clips of ../shared/data/clips in one video, with MoveNet. Only ``clean_and_jerk`` is
a class of Penn Action; the right answer for the others is no label. Also the identities in two of them.

The methods:

by hand   each true segment is cut out, in time and around the person, and gets a forced label: the best case
pieces    the footage is cut into pieces of a window's length, and each gets one forced label
sliding   the same with overlapping pieces, whose labels are those of their middle
footage   `Predictor.label_footage`
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Annotated, Final

import numpy as np
import typer
from actor_footage import FPS, Footage, nobody, one_at_a_time, side_by_side
from numpy.typing import NDArray
from real_footage import JOINED_FPS, concatenate, describe_identities, draw_test_clips, join_videos
from segment_accuracy import SegmentAccuracy, delays, measure_segments

from skdpipe import (
    Predictor,
    load_config,
    load_estimator,
    load_estimator_settings,
    load_predictor,
    read_metadata,
)
from skdpipe.cache import PoseCache
from skdpipe.config import Degradation, EstimatorNoise, OpenPifPafSettings
from skdpipe.degradation import degrade
from skdpipe.distill.calibration import calibration_error, negative_log_likelihood
from skdpipe.inference.footage import FootageLabeller
from skdpipe.inference.model_input import batch_input
from skdpipe.inference.pose_footage import format_of, frames_of
from skdpipe.inference.prediction import probabilities_of
from skdpipe.inference.timeline import Segment, Timeline
from skdpipe.inference.window_settings import FootageSettings, windows_of
from skdpipe.runtime import open_runtime
from skdpipe.skeleton import PoseSequence
from skdpipe.video import read_frames, write_video

CLIPS: Final = Path("../shared/data/clips")
PEOPLE_IN_ROW: Final = {"three_people_aerobics.avi": 3, "ntu_two_people_1080p.avi": 2}

Cut = Callable[[float, float, Segment | None], str | None]
"""The forced label between two times, of the person of a true segment or of the whole picture."""


@dataclass(frozen=True)
class Material:
    """Footage to be labelled: its true segments, and what labels a part of it by force."""

    source: Path | PoseSequence
    truth: Timeline
    cut: Cut


Method = Callable[[Material], Timeline]

# --------------------------------------------------------------------------------------------------------
# Methods


def methods_of(predictor: Predictor, settings: FootageSettings) -> dict[str, Method]:
    """All methods by name, with the same windows."""
    window = windows_of(predictor.metadata, settings).seconds
    return {
        "by hand": by_hand,
        "pieces": partial(in_pieces, window=window, stride=window),
        "sliding": partial(in_pieces, window=window, stride=window / 4),
        "footage": partial(label_footage, predictor=predictor, settings=settings),
    }


def by_hand(material: Material) -> Timeline:
    """A forced label for each true segment that has one."""
    truth = material.truth
    labelled = [each for each in truth.segments if each.label]
    cut = [replace(each, label=material.cut(each.start, each.end, each)) for each in labelled]
    return replace(truth, segments=tuple(cut))


def in_pieces(material: Material, window: float, stride: float) -> Timeline:
    """A forced label for each piece, valid around its middle; equal neighbours are one segment."""
    seconds = material.truth.seconds
    starts = (np.arange(max(1, int((seconds - window) / stride) + 1)) * stride).tolist()
    labels = [material.cut(start, min(start + window, seconds), None) for start in starts]
    edges = [0.0, *(start + (window - stride) / 2 for start in starts[1:]), seconds]
    runs = [list(run) for _, run in groupby(range(len(labels)), key=labels.__getitem__)]
    segments = [Segment(edges[run[0]], edges[run[-1] + 1], labels[run[0]], 0.0) for run in runs]
    return replace(material.truth, segments=tuple(segments))


def label_footage(material: Material, predictor: Predictor, settings: FootageSettings) -> Timeline:
    """The labels of skdpipe."""
    return predictor.label_footage(material.source, replace(settings, per_person=labels_people(material)))


def labels_people(material: Material) -> bool:
    """Whether people are labelled apart in the truth."""
    return any(each.person is not None for each in material.truth.segments)


def label_windows(material: Material, predictor: Predictor, settings: FootageSettings) -> list[Segment]:
    """The labels of all windows of footage as skeletons, in the order in which they are given; else none."""
    if isinstance(material.source, Path):
        return []
    windows = windows_of(predictor.metadata, replace(settings, per_person=labels_people(material)))
    labeller = FootageLabeller(predictor.metadata, predictor.runtime, windows, format_of(material.source))
    return [each for frame in frames_of(material.source) for each in labeller.add(frame).windows]


# --------------------------------------------------------------------------------------------------------
# Material


def from_poses(predictor: Predictor, truth: Timeline, poses: PoseSequence) -> Material:
    """Footage as skeletons; a person's index is the number in the truth."""

    def cut(start: float, end: float, of: Segment | None) -> str | None:
        person = None if of is None else of.person
        return predictor.predict(cut_poses(poses, start, end, person)).label

    return Material(poses, truth, cut)


def cut_poses(poses: PoseSequence, start: float, end: float, person: int | None = None) -> PoseSequence:
    """The part of a sequence between two times; of one person, or of all who are seen in it."""
    first, last = round(start * poses.fps), round(end * poses.fps)
    part = poses.select_rows(np.flatnonzero((poses.frame_index >= first) & (poses.frame_index < last)))
    people = part.seen.any(axis=(0, 2)) if person is None else np.arange(part.people) == person
    index = (part.frame_index - first).astype(np.int32)
    return replace(part, keypoints=part.keypoints[:, people], frame_index=index, video_frames=last - first)


def from_video(predictor: Predictor, truth: Timeline, path: Path, fps: float) -> Material:
    """A video, of which a user cuts frames, and columns around a person."""
    frames = np.stack(list(read_frames(path)))

    def cut(start: float, end: float, of: Segment | None) -> str | None:
        part = frames[round(start * fps) : round(end * fps), :, columns_of(of, frames.shape[2])]
        return predictor.predict(np.ascontiguousarray(part), fps=fps).label

    return Material(path, truth, cut)


def columns_of(segment: Segment | None, width: int) -> slice:
    """The columns of a person's box with a third of its height at both sides; all without a box."""
    if segment is None or segment.box is None:
        return slice(0, width)
    left, top, right, bottom = segment.box
    margin = (bottom - top) / 3
    return slice(max(0, int(left - margin)), min(width, int(right + margin)))


def rendered(predictor: Predictor, footage: Footage, path: Path) -> Material:
    """Footage of actors as a video."""
    write_video(path, footage.render(), FPS)
    return from_video(predictor, footage.truth, path, FPS)


def simulated(predictor: Predictor, footage: Footage, noise: EstimatorNoise) -> Material:
    """Footage of actors as the bundle's estimator would find them, without confusing people."""
    estimator = predictor.metadata.estimator
    errors = Degradation(noise=noise, every=estimator.every if estimator else 1)
    return from_poses(predictor, footage.truth, degrade(footage.poses, errors, footage.seed))


# --------------------------------------------------------------------------------------------------------
# The table

HEADINGS: Final = (
    "footage", "method", "actions", "F1@0.5", "precision", "recall", "right", "unsure", "idle: label",
    "nobody: label", "people", "switches", "delay s (given)", "work s/min",
)  # fmt: skip


METHODS: Final = ("by hand", "pieces", "sliding", "footage")


def show(
    name: str,
    materials: Iterable[Material],
    predictor: Predictor,
    settings: FootageSettings,
    methods: Container[str] = METHODS,
) -> None:
    """Print a row of a Markdown table for each of the methods; shares in per cent."""
    made, window = list(materials), windows_of(predictor.metadata, settings).seconds
    minutes = sum(material.truth.seconds for material in made) / 60
    for method, label in methods_of(predictor, settings).items():
        if method not in methods:
            continue
        total, late, taken = SegmentAccuracy(), list[float | None](), 0.0
        for material in made:
            start = perf_counter()
            timeline = label(material)
            taken += perf_counter() - start
            total += measure_segments(material.truth, timeline)
            if method == "footage" and (given := label_windows(material, predictor, settings)):
                late += delays(material.truth, given, grace=window)
        row = (f"{name}, {minutes:.1f} min", method, *cells(total, late), f"{taken / minutes:.1f}")
        print(" | ".join(("", *row, "")).strip(), flush=True)  # noqa: T201


def cells(accuracy: SegmentAccuracy, late: Sequence[float | None]) -> Iterator[str]:
    """The cells of a row between its name and the work."""
    yield str(accuracy.true)
    for share in (
        accuracy.f1, accuracy.precision, accuracy.recall, accuracy.frame_accuracy, accuracy.unsure_share,
        accuracy.idle_share, accuracy.empty_share,
    ):  # fmt: skip
        yield "" if np.isnan(share) else f"{100 * share:.1f}"
    yield from (str(accuracy.people), str(accuracy.switches)) if accuracy.people else ("", "")
    given = [each for each in late if each is not None]
    yield f"{median(given):.1f} ({100 * len(given) / len(late):.0f} %)" if given else ""


def show_headings() -> None:
    """Print the first two lines of the table."""
    print("| " + " | ".join(HEADINGS) + " |\n" + "|---" * len(HEADINGS) + "|", flush=True)  # noqa: T201


# --------------------------------------------------------------------------------------------------------
# Commands

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

WindowOption = Annotated[float | None, typer.Option(help="Seconds; by default that of the bundle.")]
StrideOption = Annotated[float | None, typer.Option(help="Seconds; by default a quarter of the window.")]
ProbabilityOption = Annotated[float, typer.Option(help="Lowest probability of a label of `footage`.")]


@app.command()
def actors(
    folder: Annotated[Path, typer.Argument(help="Output of `skdpipe demo`.")],
    pieces: Annotated[int, typer.Option(help="Number of pieces of each kind as skeletons.")] = 10,
    videos: Annotated[int, typer.Option(help="Number of pieces of each kind as videos.")] = 2,
    bundle: Annotated[Path | None, typer.Option(help="The student; that of the folder by default.")] = None,
    window: WindowOption = None,
    stride: StrideOption = None,
    min_probability: ProbabilityOption = 0.5,
) -> None:
    """Footage of actors whom the student of the demonstration has not met."""
    student = bundle or folder / "models/demo/student.safetensors"
    predictor = load_predictor(student)
    noise = load_config(EstimatorNoise, folder / "noise-low.yaml")
    settings = FootageSettings(window, stride, min_probability)
    kinds: dict[str, Callable[[int], Footage]] = {
        "one at a time": one_at_a_time,
        "two side by side": side_by_side,
        "three side by side": partial(side_by_side, lanes=3),
        "nobody": nobody,
    }
    show_headings()
    for kind, make in kinds.items() if pieces else ():
        materials = (simulated(predictor, make(seed), noise) for seed in range(pieces))
        show(f"{kind}, simulated", materials, predictor, settings)
    with TemporaryDirectory() as name:
        for kind, make in kinds.items() if videos else ():
            made = [make(seed) for seed in range(videos)]
            at_scale = load_predictor(student, estimator=_at_scale(predictor, made[0].size[0]))
            paths = [Path(name, f"{kind} {seed}.mp4") for seed in range(videos)]
            materials = [rendered(at_scale, each, path) for each, path in zip(made, paths, strict=True)]
            show(f"{kind}, video", materials, at_scale, settings)


@app.command()
def curve(
    folder: Annotated[Path, typer.Argument(help="Output of `skdpipe demo`.")],
    pieces: Annotated[int, typer.Option(help="Number of pieces of each kind.")] = 10,
    first: Annotated[int, typer.Option(help="Seed of the first; those of `actors` begin with 0.")] = 200,
) -> None:
    """Footage of actors as skeletons, with other lowest probabilities of a label."""
    predictor = load_predictor(folder / "models/demo/student.safetensors")
    noise = load_config(EstimatorNoise, folder / "noise-low.yaml")
    show_headings()
    for kind, make in (("one at a time", one_at_a_time), ("two side by side", side_by_side)):
        materials = [simulated(predictor, make(seed), noise) for seed in range(first, first + pieces)]
        for least in (0.3, 0.4, 0.5, 0.6, 0.7):
            settings = FootageSettings(min_probability=least)
            show(f"{kind}, probability {least}", materials, predictor, settings, methods=["footage"])


@app.command()
def calibration(
    folder: Annotated[Path, typer.Argument(help="Output of `skdpipe demo`.")],
    pieces: Annotated[int, typer.Option(help="Number of pieces of each kind of footage.")] = 10,
    first: Annotated[int, typer.Option(help="Seed of the first; those of `actors` begin with 0.")] = 200,
) -> None:
    """The probabilities of the demonstration's student without and with its temperature."""
    predictor = load_predictor(folder / "models/demo/student.safetensors")
    temperature = predictor.metadata.temperature
    noise = load_config(EstimatorNoise, folder / "noise-low.yaml")
    made = [make(seed) for make in (one_at_a_time, side_by_side) for seed in range(first, first + pieces)]
    materials = [simulated(predictor, each, noise) for each in made]
    logits, label = score_test_clips(folder / "pose_cache", predictor)
    for used in (None, temperature):
        error = calibration_error(probabilities_of(logits, used), label)
        loss = negative_log_likelihood(logits, label, used or 1.0)
        right = float((logits.argmax(axis=1) == label).mean())
        print(f"temperature {used}, {len(label)} test clips: {error=:.3f} {loss=:.3f} {right=:.3f}")  # noqa: T201
        one = Predictor(replace(predictor.metadata, temperature=used), predictor.runtime)
        found = [label_windows(each, one, FootageSettings(min_probability=0.0)) for each in materials]
        pairs = [
            pair
            for material, windows in zip(materials, found, strict=True)
            for pair in inside_actions(material.truth, windows)
        ]
        confidence, hit = np.array(pairs).T
        error = calibration_error(confidence[:, None] * [[1, 0]], np.where(hit, 0, 1))
        print(f"  {len(pairs)} windows: {error=:.3f} {confidence.mean()=:.3f} {hit.mean()=:.3f}")  # noqa: T201


def score_test_clips(cache: Path, predictor: Predictor) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Logits ``(clip, class)`` and labels of the test clips in low quality in which somebody is seen."""
    loaded = (PoseCache(cache).load(path) for path in sorted((cache / "low").rglob("*.safetensors")))
    tests = [clip for clip in loaded if clip.origin.split == "test" and not clip.is_empty]
    logits = predictor.runtime(*batch_input(tests, predictor.metadata.clip))
    return logits, np.array([predictor.metadata.classes.index(clip.origin.label or "") for clip in tests])


def inside_actions(truth: Timeline, windows: Sequence[Segment]) -> list[tuple[float, bool]]:
    """Of each labelled window inside one action: its probability, and whether its label is right."""
    return [
        (window.probability, window.label == true.label)
        for window in windows
        for true in truth.segments
        if true.label and true.start <= window.start and window.end <= true.end
        if window.label and window.person == true.person
    ]


def _at_scale(predictor: Predictor, width: int) -> OpenPifPafSettings:
    """The estimator for frames of another width: people are scaled as in the demonstration's clips."""
    settings = predictor.metadata.estimator
    assert isinstance(settings, OpenPifPafSettings)
    return replace(settings, long_edge=round(settings.long_edge * width / 240))


@app.command()
def penn(
    bundle: Annotated[Path, typer.Argument(help="A student of the 15 classes.")],
    cache: Annotated[Path, typer.Argument(help="Pose cache with the annotations of Penn Action.")],
    noise: Annotated[Path | None, typer.Option(help="Errors of an estimator, a YAML file.")] = None,
    every: Annotated[int, typer.Option(help="One frame in so many has poses.")] = 2,
    pieces: Annotated[int, typer.Option(help="Number of pieces of footage.")] = 10,
    clips: Annotated[int, typer.Option(help="Number of clips in each.")] = 30,
    window: WindowOption = None,
    stride: StrideOption = None,
    min_probability: ProbabilityOption = 0.5,
) -> None:
    """Annotated test clips of Penn Action with pauses."""
    metadata = read_metadata(bundle)
    predictor = Predictor(metadata, open_runtime(bundle, metadata.clip, "auto", "cpu"))
    settings = FootageSettings(window, stride, min_probability)
    errors = Degradation(noise=load_config(EstimatorNoise, noise) if noise else None, every=every)
    materials = []
    for seed, drawn in enumerate(draw_test_clips(cache, pieces, clips)):
        truth, poses = concatenate(drawn, seed)
        materials.append(from_poses(predictor, truth, degrade(poses, errors, seed)))
    show_headings()
    show("Penn Action", materials, predictor, settings)


@app.command(name="clips")
def real_clips(
    bundle: Annotated[Path, typer.Argument(help="A student of the classes of Penn Action.")],
    estimator: Annotated[Path, typer.Option(help="Its settings.")] = Path("configs/movenet-estimator.yaml"),
    window: WindowOption = None,
    stride: StrideOption = None,
    min_probability: ProbabilityOption = 0.5,
) -> None:
    """The seven real clips in one video, and the identities in two of them."""
    settings = load_estimator_settings(estimator)
    predictor = load_predictor(bundle, estimator=settings)
    paths = sorted(path for path in CLIPS.iterdir() if path.suffix in {".mp4", ".avi"})
    for path in paths:
        ranked = predictor.predict(path).probabilities[:2]
        labels = ", ".join(f"{name} {100 * probability:.0f} %" for name, probability in ranked)
        print(f"{path.name}, one label for the whole clip: {labels or 'nobody'}")  # noqa: T201
    footage = FootageSettings(window, stride, min_probability)
    show_headings()
    with TemporaryDirectory() as name:
        joined = Path(name, "clips.mp4")
        truth = join_videos(paths, joined, {"clean_and_jerk": "clean_and_jerk"})
        material = from_video(predictor, truth, joined, JOINED_FPS)
        show("seven clips, video", [material], predictor, footage)
    network = load_estimator(settings)
    for file, people in PEOPLE_IN_ROW.items():
        for every in sorted({1, settings.every}):
            print(describe_identities(CLIPS / file, people, network, every))  # noqa: T201


if __name__ == "__main__":
    app()
