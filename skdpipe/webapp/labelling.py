"""From a clip and a student to what the page draws."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from skdpipe.errors import SkdpipeError
from skdpipe.inference import FootageSettings, Predictor, Timeline
from skdpipe.inference.pose_footage import frames_of, timeline_of_clip
from skdpipe.inference.segment_files import segment_to_json
from skdpipe.inference.timeline import Scores, Segment
from skdpipe.overlay.colours import colours_of
from skdpipe.printable import printable
from skdpipe.skeleton import Layout, is_seen
from skdpipe.skeleton.tracks import TrackedFrame
from skdpipe.webapp.uploads import Clip
from skdpipe.webapp.worker import Job


@dataclass(frozen=True, eq=False)
class Labelled:
    """A labelled clip.

    Attributes:
        timeline: its labels.
        page: what the page draws, as plain values.
    """

    timeline: Timeline
    page: dict[str, Any]


def label_clip(predictor: Predictor, clip: Clip, footage: FootageSettings | None, job: Job) -> Labelled:
    """Label a clip as `skdpipe predict` does: as a whole, or in segments if it is footage.

    Args:
        predictor: of the student.
        clip: which the user has sent.
        footage: how it is labelled in segments; None is decided by its length.
        job: is advanced.

    Raises:
        SkdpipeError: as `Predictor.predict` and `Predictor.label_footage`.
        CancelledError: if the job was cancelled.
    """
    try:
        if footage is not None or predictor.is_footage(clip.seconds):
            return _label_footage(predictor, clip, footage, job)
        return _label_whole(predictor, clip, job)
    except SkdpipeError as error:
        raise type(error)(clip.hide_path(str(error))) from error


def _label_whole(predictor: Predictor, clip: Clip, job: Job) -> Labelled:
    done = 0

    def show(frames: int) -> None:
        nonlocal done
        done += frames
        job.advance_to(done, clip.frames)

    sequence = predictor.estimate_poses(clip.path, on_frames=show)
    prediction = predictor.predict(sequence)
    timeline = timeline_of_clip(prediction, sequence)
    page = _page_of(predictor, timeline, frames_of(sequence), ())
    page["ranking"] = [[printable(name), share] for name, share in prediction.probabilities]
    return Labelled(timeline, page)


def _label_footage(predictor: Predictor, clip: Clip, footage: FootageSettings | None, job: Job) -> Labelled:
    frames: list[TrackedFrame] = []
    scores: list[Scores] = []

    def show(frame: TrackedFrame) -> None:
        job.advance_to(frame.frame + 1, clip.frames)
        frames.append(frame)

    timeline = predictor.label_footage(clip.path, footage, on_frame=show, on_scores=scores.append)
    return Labelled(timeline, _page_of(predictor, timeline, frames, scores))


def _page_of(
    predictor: Predictor, timeline: Timeline, frames: Iterable[TrackedFrame], scores: Iterable[Scores]
) -> dict[str, Any]:
    classes = [printable(each) for each in predictor.metadata.classes]
    return {
        "seconds": timeline.seconds,
        "poses": poses_to_json(frames, predictor.layout, timeline.size),
        "segments": [segment_of_page(each) for each in timeline.segments],
        "classes": classes,
        "colours": {name: list(colour) for name, colour in colours_of(classes).items()},
        "windows": [
            [round(each.start, 3), round(each.end, 3), each.person, [round(p, 4) for p in each.probabilities]]
            for each in scores
        ],
        "ranking": [],
        "runtime": predictor.runtime.name,
    }


def segment_of_page(segment: Segment) -> dict[str, Any]:
    """A segment as plain values; its label is printable."""
    plain = segment_to_json(segment)
    return {**plain, "label": None if segment.label is None else printable(segment.label)}


def poses_to_json(frames: Iterable[TrackedFrame], layout: Layout, size: tuple[int, int]) -> dict[str, Any]:
    """Skeletons as plain values.

    Returns:
        The size in pixels, the bones as pairs of joints, the side of each joint (``left``, ``right`` or
        empty), and the frames: ``[seconds, [number, ...], [[x, y, x, y, ...], ...]]``, with null for joints
        that are not seen. Three coordinates are seen from the front, in a square.
    """
    frames = list(frames)
    width, height = size
    scale, offset = 1.0, np.zeros(2, np.float32)
    if any(each.people.shape[-1] == 4 for each in frames):  # x, y up, z
        width = height = 480
        places = np.concatenate([each.people[is_seen(each.people)] for each in frames])[:, :2]
        flipped = places * np.array([1, -1])
        low, high = (flipped.min(axis=0), flipped.max(axis=0)) if len(flipped) else (np.zeros(2), np.ones(2))
        scale = 0.9 * width / max(float((high - low).max()), 1e-6)
        offset = np.array([width, height]) / 2 - scale * (low + high) / 2
    sides = [joint.split("_")[0] for joint in layout.joints]
    return {
        "size": [width, height],
        "bones": [list(each) for each in layout.edges],
        "sides": [side if side in ("left", "right") else "" for side in sides],
        "frames": [
            [round(each.seconds, 4), each.numbers.tolist(), _places(each, scale, offset)] for each in frames
        ],
    }


def _places(frame: TrackedFrame, scale: float, offset: np.ndarray[Any, Any]) -> list[list[float | None]]:
    people = frame.people
    flat = people[..., :2] * (np.array([1, -1]) if people.shape[-1] == 4 else 1) * scale + offset
    seen = is_seen(people)
    return [
        [value for joint, is_there in zip(person, there, strict=True) for value in _place(joint, is_there)]
        for person, there in zip(np.round(flat, 1).tolist(), seen.tolist(), strict=True)
    ]


def _place(joint: list[float], is_seen: bool) -> list[float] | list[None]:
    return joint if is_seen else [None, None]
