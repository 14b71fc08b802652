"""Labels of footage: sliding windows over tracked people, frame by frame."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from skdpipe.errors import ConfigError
from skdpipe.inference.continual import ContinualRuntime, ContinualScorer, PeopleScores
from skdpipe.inference.metadata import BundleMetadata
from skdpipe.inference.model_input import batch_input
from skdpipe.inference.prediction import probabilities_of
from skdpipe.inference.runtimes import Runtime, finite_logits
from skdpipe.inference.segments import Presence, Probabilities, SegmentBuilder
from skdpipe.inference.timeline import Reason, Scores, Segment, Span
from skdpipe.inference.window_settings import Windows
from skdpipe.inference.windows import FootageFormat, RecentFrames, View
from skdpipe.skeleton.tracks import TrackedFrame

_ROUNDING: Final = 1e-6  # seconds
_LATEST: Final = 1.5  # pose periods in which there is a frame, even if its time is rounded


@dataclass
class Labels:
    """What a frame of footage has completed.

    Attributes:
        windows: labels of the windows that end with the frame, one for each person; not yet merged with those
            of other windows. Start and end are those of the window, the box is that at its end.
        scores: the probabilities of these windows; none of those with too few detections.
        segments: segments that have ended.
        left: people who are not in view any more.
    """

    windows: list[Segment] = field(default_factory=list)
    scores: list[Scores] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)
    left: list[Span] = field(default_factory=list)

    def add(self, later: Labels) -> None:
        """Append what later frames have completed."""
        self.windows += later.windows
        self.scores += later.scores
        self.segments += later.segments
        self.left += later.left


class FootageLabeller:
    """Labels footage that is given frame by frame; its memory is that of one window.

    Args:
        metadata: of the student's bundle.
        runtime: runs the student.
        windows: their length, and when a label begins and ends.
        format: of the footage.
        continual: runs the student frame by frame instead, but for the end of the footage. Labels are then
            later by the network's delay.

    Raises:
        ConfigError: if the student cannot run frame by frame, or people are labelled together.
    """

    def __init__(
        self,
        metadata: BundleMetadata,
        runtime: Runtime,
        windows: Windows,
        format: FootageFormat,  # noqa: A002
        continual: ContinualRuntime | None = None,
    ) -> None:
        self._metadata, self._runtime, self._windows, self._format = metadata, runtime, windows, format
        self._scorer = None
        if continual is not None:
            if not windows.per_person:
                raise ConfigError(
                    "continual inference labels each person apart; add --per-person, or leave out --continual"
                )
            self._scorer = ContinualScorer(metadata, continual, windows.seconds, format)
        self._delay = self._scorer.delay if self._scorer else 0.0
        self._scores: deque[PeopleScores] = deque()
        self._near = max(windows.stride, _LATEST * format.pose_period)  # a shorter stride may have no frame
        self._recent = RecentFrames(format, windows.seconds + 2 * self._near + self._delay)
        self._next = 0  # number of the next window
        self._last = 0.0  # seconds of the last frame
        self._spans: dict[int, Span] = {}
        self._builders: dict[int | None, SegmentBuilder] = {None: self._new_builder(None)}

    def add(self, frame: TrackedFrame) -> Labels:
        """Add the next frame, taken after those before.

        Raises:
            BundleError: if the student's output is not finite.
        """
        found = Labels()
        period = self._format.pose_period
        self._end_windows(frame.seconds - (self._delay + period if self._scorer else 0), found)
        self._recent.add(frame)
        if self._scorer is not None:
            self._scores.extend(self._scorer.add(frame))
        self._last = frame.seconds
        for number in frame.numbers.tolist():
            span = self._spans.get(number, Span(number, frame.seconds, frame.seconds, 0))
            self._spans[number] = replace(span, end=frame.seconds, frames=span.frames + 1)
        self._end_windows(frame.seconds - (self._delay if self._scorer else -period), found)
        return found

    def finish(self, seconds: float) -> Labels:
        """End the footage at a time.

        Raises:
            BundleError: if the student's output is not finite.
        """
        found = Labels()
        end = max(seconds, self._last)
        stride = self._windows.stride
        rest = end - stride * math.floor(end / stride + _ROUNDING)
        if rest < min(end, self._format.pose_period) / 2:  # rounded times
            end -= rest
        self._end_windows(end - self._delay, found)
        self._scorer = None  # which would need the frames after the end
        if end < self._windows.seconds:  # one window labels all, however short it is
            self._windows = replace(self._windows, thresholds=replace(self._windows.thresholds, shortest=0.0))
            self._builders = {None: self._new_builder(None)}
        self._end_windows(end, found)
        labelled = self._end_of(self._next - 1) if self._next else 0.0
        if end > labelled + _ROUNDING:
            self._label_window(max(0.0, end - self._windows.seconds), end, found)
        while self._next * self._windows.stride < end - _ROUNDING:
            self._end_step(end, found)
        for person in list(self._spans):
            self._end_person(person, found)
        found.segments.extend(self._builders[None].close())
        return found

    def _new_builder(self, person: int | None) -> SegmentBuilder:
        return SegmentBuilder(self._metadata.classes, person, self._windows.overlap, self._windows.thresholds)

    def _end_of(self, window: int) -> float:
        return window * self._windows.stride + self._windows.seconds

    def _end_windows(self, seconds: float, found: Labels) -> None:
        """Label the windows that end at a time or before."""
        while (end := self._end_of(self._next)) <= seconds + _ROUNDING:
            self._label_window(end - self._windows.seconds, end, found)

    def _label_window(self, start: float, end: float, found: Labels) -> None:
        """Label the next window, and end the step that it begins with."""
        view = self._recent.between(start, end)
        people: list[int | None] = [*view.numbers.tolist()] if self._windows.per_person else [None]
        for person in people:
            self._builders.setdefault(person, self._new_builder(person))
        enough = [
            each for each in people if len(view.numbers) and view.seen_share(each) >= self._windows.least_seen
        ]
        scores = self._score(view, enough)
        found.scores += [Scores(start, end, person, each) for person, each in scores.items()]
        for person, builder in self._builders.items():
            builder.add_window(scores.get(person))
        latest = self._recent.between(end - self._near, end)
        reason: Reason = "too little seen" if len(view.numbers) or not view.frames else "no person"
        for person in people:
            found.windows.append(self._describe(scores.get(person), reason, person, start, end, latest))
        self._end_step(end, found)

    def _score(self, view: View, people: Sequence[int | None]) -> dict[int | None, Probabilities]:
        """The probabilities of people in a window; continual ones only of those who have some already."""
        if self._scorer is not None:
            return self._continual_scores(view.end, people)
        if not people:
            return {}
        clips, masks = batch_input([view.to_sequence(each) for each in people], self._metadata.clip)
        logits = finite_logits(self._runtime, clips, masks, "a window")
        return dict(zip(people, probabilities_of(logits, self._metadata.temperature), strict=True))

    def _continual_scores(self, end: float, people: Sequence[int | None]) -> dict[int | None, Probabilities]:
        """The last continual probabilities before the end of a window."""
        while len(self._scores) > 1 and self._scores[1].end <= end + _ROUNDING:
            self._scores.popleft()
        if not self._scores or not end - self._windows.seconds < self._scores[0].end <= end + _ROUNDING:
            return {}
        found = self._scores[0]
        known: dict[int | None, Probabilities] = dict(
            zip(found.numbers.tolist(), found.probabilities, strict=True)
        )
        return {each: known[each] for each in people if each in known}

    def _describe(
        self,
        scores: Probabilities | None,
        otherwise: Reason,
        person: int | None,
        start: float,
        end: float,
        latest: View,
    ) -> Segment:
        """The label of one window by itself."""
        box = None if person is None else latest.box_of(person)
        if scores is None:
            return Segment(start, end, None, 0.0, person, box, otherwise)
        best = int(scores.argmax())
        if scores[best] < self._windows.thresholds.begin:
            return Segment(start, end, None, float(scores[best]), person, box, "unsure")
        return Segment(start, end, self._metadata.classes[best], float(scores[best]), person, box)

    def _end_step(self, last: float, found: Labels) -> None:
        """End the next step of all people; ``last`` is the latest time that is known."""
        stride, near = self._windows.stride, self._near
        start, end = self._next * stride, min((self._next + 1) * stride, last)
        self._next += 1
        before, during, after = (
            self._recent.between(*limits)
            for limits in ((start - near, start), (start, end), (end, end + near))
        )
        if not during.frames:  # a step shorter than a pose period
            during = self._recent.between(start - self._format.pose_period, end)
        both = set(before.numbers.tolist()) & set(after.numbers.tolist())
        here = both | set(during.numbers.tolist())  # a step without a detection between two with one counts
        nobody = not here and not (len(before.numbers) and len(after.numbers))
        watched = during.frames or (before.frames and after.frames)
        for person, builder in list(self._builders.items()):
            reason: Reason | None = None
            presence: Presence | None = None
            if person is not None:
                presence = self._presence(person, start, end, during) if person in here else None
            elif nobody or not self._windows.per_person:
                presence = Presence(start, end)
                reason = ("no person" if watched else "too little seen") if nobody else None
            found.segments.extend(builder.end_step(presence, reason))
        for person, span in list(self._spans.items()):
            if person not in here and span.end < start - near:
                self._end_person(person, found)

    def _presence(self, person: int, start: float, end: float, during: View) -> Presence | None:
        """When a person is in view during a step; from the first to the last detection of the person."""
        span = self._spans[person]
        begins, ends = max(start, span.start), min(end, span.end + self._format.pose_period)
        return Presence(begins, ends, during.box_of(person)) if ends > begins + _ROUNDING else None

    def _end_person(self, person: int, found: Labels) -> None:
        if person in self._builders:
            found.segments.extend(self._builders.pop(person).close())
        found.left.append(self._spans.pop(person))
