"""Images of skeletons: on frames, of a summary, and of several clips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from skdpipe.atomic_file import remove_leftovers, write_bytes_atomically
from skdpipe.printable import printable
from skdpipe.skeleton import Keypoints, Layout, is_seen
from skdpipe.skeleton.mean_pose import PoseSummary
from skdpipe.video import Frame

# Colours of Okabe and Ito, which colour-blind readers can distinguish.
_LEFT, _RIGHT, _MIDDLE = (86, 180, 233), (230, 159, 0), (240, 228, 66)
_CORRECT, _WRONG, _WHITE, _GREY = (0, 158, 115), (213, 94, 0), (255, 255, 255), (32, 32, 32)
_BLACK = (0, 0, 0)
_FONT, _MARGIN = (cv2.FONT_HERSHEY_SIMPLEX, 0.5), 6
_SMALL, _LIGHT = (cv2.FONT_HERSHEY_SIMPLEX, 0.42), (205, 205, 205)
_LINE, _COLUMN = 17, 170  # pixels of a line of small text, and of a column of joint names
_FEW_JOINTS = 40  # more need a larger picture
_MOST = 60  # characters of a name


@dataclass(frozen=True)
class Panel:
    """A row of the sheet: frames of one clip with the people in them, true label and predicted label.

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
    """Draw bones and joints on a copy of the frame: left is blue, right orange, the middle yellow.

    Args:
        frame: RGB ``(height, width, 3)`` uint8.
        people: ``(person, joint, 3)`` in pixels of the frame; unseen joints are not drawn.
        layout: layout of the joint axis.
    """
    image = np.ascontiguousarray(frame).copy()
    stroke = max(2, round(max(frame.shape[:2]) / 300))
    for person in people:
        seen = is_seen(person)
        for a, b in layout.edges:
            if seen[a] and seen[b]:
                sides = {layout.joints[joint].split("_")[0] for joint in (a, b)}
                colour = _LEFT if sides == {"left"} else _RIGHT if sides == {"right"} else _MIDDLE
                start, end = ([round(float(v)) for v in person[joint, :2]] for joint in (a, b))
                cv2.line(image, start, end, colour, stroke, cv2.LINE_AA)
        for x, y, *_ in person[seen]:
            cv2.circle(image, (round(float(x)), round(float(y))), stroke, _WHITE, -1, cv2.LINE_AA)
    return image


def draw_summary(summary: PoseSummary) -> Frame:
    """The mean and the most complete pose side by side on white, with the name of each joint.

    Three coordinates are drawn from the sensor's view: x to the right and y up. The names of the right
    joints are on the left, where they are in a picture of a person who faces the camera.
    """
    clip, frame = Path(summary.best_of[0]).name, summary.best_of[1]
    layout = f"{printable(summary.layout.name, _MOST)}, {summary.coordinates} coordinates"
    titles = (
        f"{layout}: mean of {summary.poses} poses in {summary.clips} clips",
        f"{printable(clip, _MOST)}, frame {frame}",
    )
    panels = [
        _draw_named(pose, summary, title)
        for pose, title in zip((summary.mean, summary.best), titles, strict=True)
    ]
    return np.hstack(panels)


def _draw_named(pose: Keypoints, summary: PoseSummary, title: str) -> Frame:
    side = 1600 if len(summary.layout) > _FEW_JOINTS else 800
    flip = np.array([1, -1 if summary.coordinates == 3 else 1])
    seen = is_seen(pose)
    place = pose[:, :2] * flip
    low, high = place[seen].min(axis=0), place[seen].max(axis=0)
    factor = 0.8 * side / max(float((high - low).max()), 1e-9)
    pixels = (place - (low + high) / 2) * factor + (0.75 * side, 0.53 * side)
    image = np.full((side, 3 * side // 2, 3), 255, np.uint8)
    names = [
        (printable(joint, _MOST), *xy)
        for joint, xy, each in zip(summary.layout.joints, pixels, seen, strict=True)
        if each
    ]
    on_left = [each for each in names if each[0].startswith("right_") or _in_left_half(each, side)]
    _write_column(image, on_left, 8)
    _write_column(image, [each for each in names if each not in on_left], 3 * side // 2 - _COLUMN)
    person = np.concatenate([pixels, pose[:, -1:]], axis=1)[None].astype(np.float32)
    image = draw_people(image, person, summary.layout)
    cv2.putText(image, title, (12, 24), *_FONT, _BLACK, 1, cv2.LINE_AA)
    return image


def _in_left_half(name: tuple[str, float, float], side: int) -> bool:
    return not name[0].startswith("left_") and name[1] < 0.75 * side


def _write_column(image: Frame, names: Sequence[tuple[str, float, float]], x: int) -> None:
    """Write names below each other, each as near as possible to the height of its joint, with a line."""
    bottom = image.shape[0] - 12
    y = 30.0
    for number, (name, joint_x, joint_y) in enumerate(sorted(names, key=lambda each: each[2])):
        rest = len(names) - number - 1
        y = max(y + _LINE, min(joint_y, bottom - _LINE * rest))
        end = x if joint_x < x else x + cv2.getTextSize(name, *_SMALL, 1)[0][0]
        start = (round(float(joint_x)), round(float(joint_y)))
        cv2.line(image, start, (end, round(y) - 4), _LIGHT, 1, cv2.LINE_AA)
        cv2.putText(image, name, (x, round(y)), *_SMALL, _BLACK, 1, cv2.LINE_AA)


def draw_sheet(panels: Sequence[Panel], layout: Layout) -> Frame:
    """One image of all panels, with true and predicted label above each (green: correct, red: wrong)."""
    rows = [_draw_panel(panel, layout) for panel in panels]
    width = max(row.shape[1] for row in rows)
    return np.vstack([_pad(row, width) for row in rows])


def _draw_panel(panel: Panel, layout: Layout) -> Frame:
    strip = np.hstack([draw_people(f, p, layout) for f, p in zip(panel.frames, panel.people, strict=True)])
    correct = panel.truth == panel.prediction
    truth = f"truth: {printable(panel.truth, _MOST)}"
    prediction = f"predicted: {printable(panel.prediction, _MOST)}" + ("" if correct else "  (wrong)")
    column = max(260, _MARGIN + _text_width(truth) + 20)  # predictions are aligned unless a label is long
    width = max(strip.shape[1], column + _text_width(prediction) + _MARGIN)
    title = np.full((22, width, 3), _GREY, np.uint8)
    cv2.putText(title, truth, (_MARGIN, 16), *_FONT, _WHITE, 1, cv2.LINE_AA)
    cv2.putText(title, prediction, (column, 16), *_FONT, _CORRECT if correct else _WRONG, 1, cv2.LINE_AA)
    return np.vstack([title, _pad(strip, width)])


def _text_width(text: str) -> int:
    return int(cv2.getTextSize(text, *_FONT, 1)[0][0])


def _pad(image: Frame, width: int) -> Frame:
    """The image padded on the right to a width."""
    rest = np.full((image.shape[0], width - image.shape[1], 3), _GREY, np.uint8)
    return np.hstack([image, rest])


def write_image(path: Path, image: Frame) -> None:
    """Write an RGB image as PNG."""
    encoded, data = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    assert encoded
    remove_leftovers(path.parent)
    write_bytes_atomically(path, data.tobytes())
