"""Frames of footage as they are drawn: skeletons, numbers and labels of people, and the timeline below."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import defaultdict
from typing import Final

import cv2
import numpy as np

from skdpipe.inference.timeline import Segment, Timeline
from skdpipe.overlay.colours import BLACK, DARK, GREY, WHITE, ink_on, person_colour
from skdpipe.overlay.lettering import Colour, Lettering
from skdpipe.overlay.strip import Strip
from skdpipe.skeleton import Keypoints, Layout, is_seen
from skdpipe.video import Frame

_SMALLEST: Final = 480  # pixels of the longer side; smaller pictures are enlarged by a whole factor
_TEXT: Final = 11, 40  # pixels at least; parts of the shorter side
_MARGIN: Final = 0.06  # of a person's size, around the joints
_MOST_LINES: Final = 12  # at which the label of a person is tried

_Place = tuple[int, int, int, int]  # left, top, right and bottom in pixels


class Painter:
    """Draws the frames of one video: the picture above, and the timeline below.

    Args:
        timeline: of the video.
        layout: of the people's joints.
    """

    def __init__(self, timeline: Timeline, layout: Layout) -> None:
        self._layout = layout
        self._sides = [joint.split("_")[0] for joint in layout.joints]
        width, height = timeline.size
        self._factor = math.ceil(_SMALLEST / max(width, height))
        self._size = width * self._factor, height * self._factor
        shorter = min(self._size)
        self._stroke = max(1, round(shorter / 220))
        self._lettering = Lettering(max(_TEXT[0], round(shorter / _TEXT[1])))
        self._strip = Strip(timeline, self._size, self._lettering)
        self._segments: defaultdict[int | None, list[Segment]] = defaultdict(list)
        for each in timeline.segments:
            self._segments[each.person].append(each)

    def draw(self, image: Frame, seconds: float, people: dict[int, Keypoints]) -> Frame:
        """The frame with everything on it; its width and height are even.

        Args:
            image: of the size that the timeline states.
            seconds: its time.
            people: ``(joint, 3)`` in pixels of the image, by number.
        """
        width, height = self._size
        canvas = np.zeros((_even(height + self._strip.height), _even(width), 3), np.uint8)
        picture = canvas[:height, :width]
        picture[:] = (
            cv2.resize(image, self._size, interpolation=cv2.INTER_CUBIC) if self._factor > 1 else image
        )
        shown = {number: self._to_picture(pose) for number, pose in people.items() if is_seen(pose).any()}
        for number, pose in shown.items():
            self._draw_skeleton(picture, pose, person_colour(number))
        boxes = {
            number: self._draw_box(picture, pose, person_colour(number)) for number, pose in shown.items()
        }
        self._draw_labels(picture, seconds, boxes)
        self._strip.draw(canvas[height : height + self._strip.height, :width], seconds)
        return canvas

    def _to_picture(self, pose: Keypoints) -> Keypoints:
        """A pose in pixels of the enlarged picture."""
        enlarged = pose.copy()
        enlarged[:, :2] = (pose[:, :2] + 0.5) * self._factor - 0.5
        return enlarged

    def _draw_skeleton(self, picture: Frame, pose: Keypoints, colour: Colour) -> None:
        """Draw bones in a person's colour; left joints are white, right ones black."""
        seen = is_seen(pose)
        # OpenCV draws with whole numbers; coordinates far outside of the picture would overflow.
        places = np.clip(np.nan_to_num(pose[:, :2]), -(2**14), 2**14).round().astype(int).tolist()
        bones = [(a, b) for a, b in self._layout.edges if seen[a] and seen[b]]
        for ink, width in ((BLACK, self._stroke + 2), (colour, self._stroke)):
            for a, b in bones:
                cv2.line(picture, places[a], places[b], ink, width, cv2.LINE_AA)
        for place, side, is_drawn in zip(places, self._sides, seen, strict=True):
            if is_drawn:
                core = {"left": WHITE, "right": BLACK}.get(side, colour)
                ring = WHITE if side == "right" else BLACK
                cv2.circle(picture, place, self._stroke + 1, ring, -1, cv2.LINE_AA)
                cv2.circle(picture, place, self._stroke, core, -1, cv2.LINE_AA)

    def _draw_box(self, picture: Frame, pose: Keypoints, colour: Colour) -> _Place:
        places = pose[is_seen(pose), :2]
        low, high = places.min(axis=0), places.max(axis=0)
        margin = _MARGIN * float((high - low).max()) + self._stroke
        limits = np.array(self._size) - 1
        left, top = np.clip(low - margin, 0, limits).round().astype(int).tolist()
        right, bottom = np.clip(high + margin, 0, limits).round().astype(int).tolist()
        cv2.rectangle(picture, (left, top), (right, bottom), colour, max(1, self._stroke // 2))
        return left, top, right, bottom

    def _draw_labels(self, picture: Frame, seconds: float, boxes: dict[int, _Place]) -> None:
        taken: list[_Place] = []
        together = self._segment_at(None, seconds)
        if together is not None:
            ink = GREY if together.label is None else WHITE
            self._draw_tag(picture, "", together, (0, 0), (DARK, ink), taken)
        for number, (left, top, *_) in sorted(boxes.items(), key=lambda each: each[1][1]):
            segment = self._segment_at(number, seconds)
            colour = person_colour(number)
            paint = (colour, ink_on(colour)) if segment is None or segment.label is not None else (DARK, GREY)
            self._draw_tag(picture, str(number), segment, (left, top), paint, taken)

    def _draw_tag(
        self,
        picture: Frame,
        number: str,
        segment: Segment | None,
        corner: tuple[int, int],
        paint: tuple[Colour, Colour],
        taken: list[_Place],
    ) -> None:
        """Draw a person's number and label above a corner of the box, or the first free lines below that."""
        text = self._text_of(number, segment)
        line, pad = self._lettering.height, self._lettering.height // 4
        width = self._lettering.width(text) + 2 * pad
        left = max(0, min(corner[0], self._size[0] - width))
        first = corner[1] - line if corner[1] >= line else corner[1]
        tops = [first + line * each for each in range(_MOST_LINES)]
        places = [(left, top, left + width, top + line) for top in tops if top + line <= self._size[1]]
        place = next((each for each in places if not any(_overlap(each, other) for other in taken)), None)
        place = place or (left, first, left + width, first + line)
        taken.append(place)
        picture[max(0, place[1]) : place[3], place[0] : place[2]] = paint[0]
        self._lettering.write(picture, text, left + pad, place[1], paint[1])

    def _text_of(self, number: str, segment: Segment | None) -> str:
        """Number, label and probability; only the label is shortened where there is no room."""
        if segment is None:
            return number
        before = f"{number} " if number else ""
        after = f" {segment.probability:.2f}" if segment.label is not None else ""
        room = self._size[0] - self._lettering.height - self._lettering.width(before + after)
        return before + self._lettering.shorten(segment.text, min(room, self._size[0] // 2)) + after

    def _segment_at(self, person: int | None, seconds: float) -> Segment | None:
        segments = self._segments[person]
        place = bisect_right(segments, seconds, key=lambda each: each.start) - 1
        return segments[place] if place >= 0 and seconds <= segments[place].end else None


def _overlap(one: _Place, other: _Place) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _even(number: int) -> int:
    return number + number % 2
