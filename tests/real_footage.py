"""Footage made of real clips: annotated skeletons of Penn Action, and the clips of ../shared/data/clips."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from skdpipe.cache import PoseCache
from skdpipe.inference.timeline import Segment, Timeline
from skdpipe.pose import PoseEstimator
from skdpipe.pose.tracker import track
from skdpipe.skeleton import UNSEEN, Origin, PoseSequence
from skdpipe.skeleton.sequence import clip_key
from skdpipe.video import Frame, probe, read_frames, read_timed_frames, write_video

JOINED_FPS: Final = 15.0
_JOINED_SIZE: Final = (480, 320)
_PAUSE: Final = 3.0  # seconds of black frames before and after each clip


def draw_test_clips(folder: Path, pieces: int, count: int) -> Iterator[list[PoseSequence]]:
    """Test clips of a pose cache with annotations, drawn without replacement: so many for each piece."""
    cache = PoseCache(folder)
    loaded = (cache.load(path) for path in sorted((folder / "high").rglob("*.safetensors")))
    tests = [clip for clip in loaded if clip.origin.split == "test" and not clip.is_empty]
    order = np.random.default_rng(0).permutation(len(tests))
    for piece in range(pieces):
        yield [tests[index] for index in order[piece * count : (piece + 1) * count]]


def concatenate(clips: Sequence[PoseSequence], seed: int) -> tuple[Timeline, PoseSequence]:
    """Clips of one person each, one after the other, after one to five seconds in which nobody is in view."""
    rng, fps, size = np.random.default_rng([seed, 9]), clips[0].fps, (640, 480)
    rows: list[NDArray[np.float32]] = []
    segments: list[Segment] = []
    frame = 0
    for clip in clips:
        pause = round(rng.uniform(1, 5) * fps)
        rows += [np.tile(UNSEEN, (pause, 1, len(clip.layout), 1)), clip.keypoints]
        start, end = frame + pause, frame + pause + len(clip.keypoints)
        segments += [
            Segment(frame / fps, start / fps, None, 0.0, reason="no person"),
            Segment(start / fps, end / fps, clip.origin.label, 1.0),
        ]
        frame = end
    name = f"concatenated-{seed}"
    index = np.arange(frame, dtype=np.int32)
    origin = Origin(name, clip_key(name))
    poses = PoseSequence(np.concatenate(rows), index, frame, clips[0].layout, fps, size, origin)
    return Timeline(name, frame / fps, size, tuple(segments), (), frame), poses


def join_videos(
    paths: Sequence[Path],
    joined: Path,
    labels: Mapping[str, str],
    *,
    start: Callable[[Path], float] = lambda path: 0.0,
) -> Timeline:
    """Write videos into one with black frames between them.

    Args:
        paths: the videos.
        joined: the video to be written; its frames have `_JOINED_SIZE` and `JOINED_FPS`.
        labels: by the stem of the path; a video without one shows people who do nothing that is a class.
        start: the second at which a video begins.
    """
    segments: list[Segment] = []
    black = np.zeros((_JOINED_SIZE[1], _JOINED_SIZE[0], 3), np.uint8)
    written: list[Frame] = []

    def pause() -> None:
        first = len(written)
        written.extend([black] * round(_PAUSE * JOINED_FPS))
        segments.append(Segment(first / JOINED_FPS, len(written) / JOINED_FPS, None, 0.0, reason="no person"))

    pause()
    for path in paths:
        first, label = len(written), labels.get(path.stem)
        written.extend(_at_joined_rate(path, start(path)))
        segments.append(
            Segment(
                first / JOINED_FPS, len(written) / JOINED_FPS, label, float(label is not None),
                reason=None if label else "unsure",
            )
        )  # fmt: skip
        pause()
    write_video(joined, written, JOINED_FPS)
    return Timeline(str(joined), len(written) / JOINED_FPS, _JOINED_SIZE, tuple(segments), (), len(written))


def _at_joined_rate(path: Path, start: float) -> Iterator[Frame]:
    """Frames of a video from a second on, dropped or repeated to the common rate, in the top left corner."""
    wanted = start
    for frame, seconds in read_timed_frames(path, None):
        while frame is not None and wanted <= seconds + 1e-6:
            scale = min(_JOINED_SIZE[0] / frame.shape[1], _JOINED_SIZE[1] / frame.shape[0])
            size = round(frame.shape[1] * scale), round(frame.shape[0] * scale)
            picture = np.zeros((_JOINED_SIZE[1], _JOINED_SIZE[0], 3), np.uint8)
            picture[: size[1], : size[0]] = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
            yield picture
            wanted += 1 / JOINED_FPS


def describe_identities(path: Path, people: int, estimator: PoseEstimator, every: int) -> str:
    """Identity switches in a clip of people who keep their order from left to right.

    The true place of a detection is the nearest of the people in the last frame in which all are detected.
    """
    found = [estimator([frame])[0] for number, frame in enumerate(read_frames(path)) if number % every == 0]
    tracks = track(dict(enumerate(found)), estimator.layout, probe(path).size)
    numbers: list[list[int]] = [[] for _ in range(people)]
    places: NDArray[np.float64] | None = None
    for row, detected in enumerate(found):
        if len(detected) == people:
            places = np.sort(np.nanmean(detected[..., 0], axis=1))
        for each in tracks if places is not None else ():
            if len(at := np.flatnonzero(each.frames == row)):
                x = np.nanmean(each.poses[at[0], :, 0])
                numbers[int(np.abs(places - x).argmin())].append(each.number)
    switches = sum(int(np.count_nonzero(np.diff(of_one))) for of_one in numbers)
    return (
        f"{path.name}, one frame in {every} ({len(found)}): {people} people, {len(tracks)} tracks, "
        f"{switches} identity switches, detections {[len(of_one) for of_one in numbers]}"
    )
