"""Skeletons are drawn at their keypoints in the colour of their side; sheets fit all panels."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from skdpipe.overlay import Panel, draw_people, draw_sheet, write_image
from skdpipe.skeleton import COCO_17, PENN_13, UNSEEN

BLACK = np.zeros((60, 80, 3), np.uint8)
BLUE, ORANGE, YELLOW = (86, 180, 233), (230, 159, 0), (240, 228, 66)


def person(**joints: tuple[float, float]) -> np.ndarray:
    """One person; joints that are not given are unseen."""
    keypoints = np.broadcast_to(UNSEEN, (1, 13, 3)).copy()
    for joint, position in joints.items():
        keypoints[0, PENN_13.index(joint)] = (*position, 1)
    return keypoints


@pytest.mark.parametrize(
    ("joints", "colour"),
    [
        (("left_elbow", "left_wrist"), BLUE),
        (("right_hip", "right_knee"), ORANGE),
        (("left_hip", "right_hip"), YELLOW),
        (("head", "left_shoulder"), YELLOW),
    ],
)
def test_a_bone_is_drawn_between_its_joints_in_the_colour_of_its_side(joints, colour) -> None:
    one, other = joints
    drawn = draw_people(BLACK, person(**{one: (20, 30), other: (60, 30)}), PENN_13)
    assert tuple(drawn[30, 40]) == colour
    assert tuple(drawn[30, 20]) == tuple(drawn[30, 60]) == (255, 255, 255)
    assert not drawn[:20].any()
    assert not BLACK.any()  # the frame is not changed


def test_unseen_joints_are_not_drawn() -> None:
    assert not draw_people(BLACK, person(), PENN_13).any()
    alone = draw_people(BLACK, person(left_wrist=(20, 30)), PENN_13)
    assert alone.any(axis=2).sum() < 40  # a dot


def test_frames_without_people_and_people_outside_the_frame_are_accepted() -> None:
    assert not draw_people(BLACK, np.zeros((0, 17, 3), np.float32), COCO_17).any()
    assert not draw_people(BLACK, person(left_elbow=(-300, -20), left_wrist=(900, -30)), PENN_13).any()


def panel(width: int = 240, truth: str = "wave", prediction: str = "wave", frames: int = 2) -> Panel:
    return Panel([np.zeros((60, width, 3), np.uint8)] * frames, [person()] * frames, truth, prediction)


def reddest_and_greenest(panels: list[Panel]) -> tuple[int, int]:
    red, green, _ = np.moveaxis(draw_sheet(panels, PENN_13).astype(int), -1, 0)
    return int((red - green).max()), int((green - red).max())


def test_a_correct_prediction_is_green_and_a_wrong_one_red() -> None:
    red, green = reddest_and_greenest([panel()])
    assert red == 0
    assert green > 100
    red, green = reddest_and_greenest([panel(prediction="sit")])
    assert red > 100
    assert green == 0


def test_a_sheet_is_as_wide_as_its_widest_panel() -> None:
    sheet = draw_sheet([panel(240, frames=4), panel(300, frames=4), panel(100, frames=1)], PENN_13)
    assert sheet.shape == (3 * (22 + 60), 1200, 3)


def test_long_labels_are_side_by_side_and_not_cut_off() -> None:
    long = "playing the double bass in the rain"
    narrow = draw_sheet([panel(100, long, long, frames=1)], PENN_13)[:22]
    inked = (narrow != (32, 32, 32)).any(axis=(0, 2))
    assert not inked[-4:].any()
    red, green, _ = np.moveaxis(narrow.astype(int), -1, 0)
    prediction, truth = (np.flatnonzero(inked.any(axis=0)) for inked in (green > red + 60, red > 120))
    assert truth.max() < prediction.min()


def test_an_image_is_written_unchanged(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (9, 7, 3)).astype(np.uint8)
    path = tmp_path / "new" / "p.png"
    write_image(path, image)
    np.testing.assert_array_equal(cv2.imread(str(path))[..., ::-1], image)
