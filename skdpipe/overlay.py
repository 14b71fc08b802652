"""Skeletons drawn over pictures, to be looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from skdpipe.skeleton import Keypoints, Layout
from skdpipe.video import Frame

# Okabe and Ito's colours, which colour-blind readers can tell apart: left, right, middle.
_LEFT, _RIGHT, _MIDDLE = (86, 180, 233), (230, 159, 0), (240, 228, 66)
_GOOD, _BAD, _INK, _PAPER = (0, 158, 115), (213, 94, 0), (255, 255, 255), (32, 32, 32)
_FONT, _MARGIN = (cv2.FONT_HERSHEY_SIMPLEX, 0.5), 6


@dataclass(frozen=True)
class Panel:
    """A row of the sheet: frames of one clip with its people, what it is, and what was predicted.

    Attributes:
        frames: RGB ``(height, width, 3)`` uint8, all of one size.
        people: for each frame ``(person, joint, 3)`` in pixels.
        truth, prediction: labels.
    """

    frames: Sequence[Frame]
    people: Sequence[Keypoints]
    truth: str
    prediction: str


def draw_people(frame: Frame, people: Keypoints, layout: Layout) -> Frame:
    """The frame with bones and joints; the person's left is blue, right orange, the middle yellow."""
    picture = np.ascontiguousarray(frame).copy()
    stroke = max(2, round(max(frame.shape[:2]) / 300))
    for person in people:
        for a, b in layout.edges:
            if person[a, 2] > 0 and person[b, 2] > 0:
                sides = {layout.joints[joint].split("_")[0] for joint in (a, b)}
                colour = _LEFT if sides == {"left"} else _RIGHT if sides == {"right"} else _MIDDLE
                start, end = ([round(float(v)) for v in person[joint, :2]] for joint in (a, b))
                cv2.line(picture, start, end, colour, stroke, cv2.LINE_AA)
        for x, y, confidence in person:
            if confidence > 0:
                cv2.circle(picture, (round(float(x)), round(float(y))), stroke, _INK, -1, cv2.LINE_AA)
    return picture


def draw_sheet(panels: Sequence[Panel], layout: Layout) -> Frame:
    """One picture of all panels, each with truth and prediction above it (green right, red wrong)."""
    rows = [_draw_panel(panel, layout) for panel in panels]
    width = max(row.shape[1] for row in rows)
    return np.vstack([_widened(row, width) for row in rows])


def _draw_panel(panel: Panel, layout: Layout) -> Frame:
    strip = np.hstack([draw_people(f, p, layout) for f, p in zip(panel.frames, panel.people, strict=True)])
    right = panel.truth == panel.prediction
    truth = f"truth: {panel.truth}"
    said = f"predicted: {panel.prediction}" + ("" if right else "  (wrong)")
    column = max(260, _MARGIN + _text_width(truth) + 20)  # predictions stand in a column where they can
    width = max(strip.shape[1], column + _text_width(said) + _MARGIN)
    title = np.full((22, width, 3), _PAPER, np.uint8)
    cv2.putText(title, truth, (_MARGIN, 16), *_FONT, _INK, 1, cv2.LINE_AA)
    cv2.putText(title, said, (column, 16), *_FONT, _GOOD if right else _BAD, 1, cv2.LINE_AA)
    return np.vstack([title, _widened(strip, width)])


def _text_width(text: str) -> int:
    return int(cv2.getTextSize(text, *_FONT, 1)[0][0])


def _widened(picture: Frame, width: int) -> Frame:
    """The picture on paper of that width."""
    rest = np.full((picture.shape[0], width - picture.shape[1], 3), _PAPER, np.uint8)
    return np.hstack([picture, rest])


def write_image(path: Path, picture: Frame) -> None:
    """Write an RGB picture as PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    done, data = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    assert done
    path.write_bytes(data.tobytes())
