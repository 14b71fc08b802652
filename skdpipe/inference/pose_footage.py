"""Pose sequences as footage, and the timelines of footage and clips."""

from __future__ import annotations

from collections.abc import Generator

import numpy as np

from skdpipe.inference.footage import Labels
from skdpipe.inference.prediction import Prediction
from skdpipe.inference.timeline import Segment, Span, Timeline
from skdpipe.inference.windows import FootageFormat
from skdpipe.pose.follow import Extent
from skdpipe.skeleton import PoseSequence
from skdpipe.skeleton.tracks import TrackedFrame


def format_of(sequence: PoseSequence) -> FootageFormat:
    """The format of footage that is given as a pose sequence."""
    steps = np.diff(sequence.frame_index)
    every = max(1, round(float(np.median(steps)))) if len(steps) else 1
    return FootageFormat(sequence.layout, sequence.size, sequence.fps, every)


def frames_of(sequence: PoseSequence) -> Generator[TrackedFrame, None, Extent]:
    """The frames of a pose sequence as of `track_video`; a person's index is the number of the track."""
    for row, (frame, seconds) in enumerate(zip(sequence.frame_index, sequence.seconds, strict=True)):
        numbers = np.flatnonzero(sequence.seen[row].any(axis=-1))
        yield TrackedFrame(int(frame), float(seconds), numbers, sequence.keypoints[row, numbers])
    return Extent(sequence.video_frames, sequence.duration, sequence.size)


def timeline_of(labels: Labels, source: str, seconds: float, size: tuple[int, int], frames: int) -> Timeline:
    """The timeline of footage that has ended; people who left and returned have one span."""
    spans: dict[int, Span] = {}
    for each in labels.left:
        before = spans.get(each.person, each)
        count = each.frames + (before.frames if before is not each else 0)
        spans[each.person] = Span(
            each.person, min(before.start, each.start), max(before.end, each.end), count
        )
    order = sorted(labels.segments, key=lambda each: (each.start, -1 if each.person is None else each.person))
    people = tuple(spans[number] for number in sorted(spans))
    return Timeline(source, seconds, size, tuple(order), people, frames)


def timeline_of_clip(prediction: Prediction, clip: PoseSequence) -> Timeline:
    """The timeline of a clip, which has one segment."""
    probability = prediction.probabilities[0][1] if prediction.probabilities else 0.0
    segment = Segment(0.0, clip.duration, prediction.label, probability, reason=prediction.reason)
    return Timeline(prediction.source, clip.duration, clip.size, (segment,), (), prediction.frames)
