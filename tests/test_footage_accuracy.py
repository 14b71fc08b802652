"""The methods that footage is labelled with, by hand; and footage made of real clips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from footage_accuracy import Material, by_hand, cells, columns_of, cut_poses, in_pieces, inside_actions
from real_footage import JOINED_FPS, concatenate, describe_identities, join_videos
from segment_accuracy import SegmentAccuracy
from sequences import make_sequence
from standing_figure import people, person

from skdpipe.inference.timeline import Segment, Timeline
from skdpipe.skeleton import PENN_13, UNSEEN, Keypoints, Origin
from skdpipe.video import Frame, read_frames, write_video

TRUTH = Timeline(
    "made", 10.0, (64, 48), (
        Segment(1, 3, "wave", 1.0), Segment(3, 7, None, 0.0, reason="no person"), Segment(7, 9, "clap", 1.0),
    ), (), 100,
)  # fmt: skip


def cut(start: float, end: float, of: Segment | None) -> str | None:
    """What is done in the middle; a clap is always taken for a wave."""
    return "wave" if abs((start + end) / 2 - 5) > 1 else None


MATERIAL = Material(make_sequence(np.zeros((1, 1, 17, 3))), TRUTH, cut)


def test_by_hand_labels_the_true_segments() -> None:
    found = by_hand(MATERIAL).segments
    assert [(each.start, each.end, each.label) for each in found] == [(1, 3, "wave"), (7, 9, "wave")]


@pytest.mark.parametrize(
    ("stride", "expected"),
    [
        (2.0, [(0, 4, "wave"), (4, 6, None), (6, 10, "wave")]),
        (1.0, [(0, 3.5, "wave"), (3.5, 6.5, None), (6.5, 10, "wave")]),  # middles 1, 2... 9; of 4 to 6 None
    ],
)
def test_pieces_are_valid_around_their_middle(
    stride: float, expected: list[tuple[float, float, str]]
) -> None:
    found = in_pieces(MATERIAL, 2.0, stride).segments
    assert [(each.start, each.end, each.label) for each in found] == expected


def test_a_part_of_a_sequence_starts_at_zero_and_has_those_who_are_seen() -> None:
    keypoints = np.tile(np.float32([5, 5, 1]), (10, 3, 17, 1))
    keypoints[:, 2] = UNSEEN
    poses = make_sequence(keypoints, frame_index=range(0, 20, 2), video_frames=20, fps=10.0)
    part = cut_poses(poses, 0.5, 1.5)
    assert (part.frame_index.tolist(), part.video_frames, part.people) == ([1, 3, 5, 7, 9], 10, 2)
    assert cut_poses(poses, 0.5, 1.5, person=2).people == 1


def test_columns_around_a_person_stay_in_the_picture() -> None:
    def columns(*box: float) -> slice:
        return columns_of(Segment(0, 1, "wave", 1.0, 0, (box[0], box[1], box[2], box[3])), 100)

    assert columns(40, 0, 50, 30) == slice(30, 60)
    assert columns(2, 0, 98, 30) == slice(0, 100)
    assert columns_of(None, 100) == slice(0, 100)


def test_windows_inside_an_action_are_those_of_its_person() -> None:
    truth = replace(TRUTH, segments=(Segment(1, 4, "wave", 1.0, 0), Segment(4, 9, "clap", 1.0, 1)))
    windows = [
        Segment(1, 3, "wave", 0.9, 0),
        Segment(2, 4, "clap", 0.6, 0),
        Segment(3, 5, "wave", 0.7, 0),  # not only the action
        Segment(5, 7, "clap", 0.8, 0),  # of somebody else
        Segment(5, 7, None, 0.0, 1, reason="too little seen"),
    ]
    assert inside_actions(truth, windows) == [(0.9, True), (0.6, False)]


def test_the_cells_of_a_row() -> None:
    accuracy = SegmentAccuracy(
        4, 4, 3, labelled=10, right=8, unsure=1, idle=2, idle_labelled=1, people=2, switches=5
    )
    assert list(cells(accuracy, [1.0, 2.0, None, 3.0])) == [
        "4", "75.0", "75.0", "75.0", "80.0", "10.0", "50.0", "", "2", "5", "2.0 (75 %)",
    ]  # fmt: skip


def test_concatenated_clips_are_where_the_truth_says_so() -> None:
    clips = [
        make_sequence(np.full((frames, 1, 17, 3), value), origin=Origin(label=label))
        for frames, value, label in ((30, 1, "wave"), (50, 2, "clap"))
    ]
    truth, poses = concatenate(clips, 1)
    assert truth.seconds == pytest.approx(poses.video_frames / 25)
    wave, clap = (each for each in truth.segments if each.label)
    for each, value, label, seconds in ((wave, 1, "wave", 1.2), (clap, 2, "clap", 2.0)):
        assert (each.label, each.end - each.start) == (label, pytest.approx(seconds))
        assert (poses.keypoints[round(25 * each.start) : round(25 * each.end)] == value).all()
    assert poses.seen.sum() == 80 * 17


def test_joined_videos_are_where_the_truth_says_so(tmp_path: Path) -> None:
    for name, colour, fps in (("red", (250, 0, 0), 30.0), ("blue", (0, 0, 250), 10.0)):
        write_video(tmp_path / f"{name}.mp4", [np.full((48, 64, 3), colour, np.uint8)] * round(2 * fps), fps)
    paths = [tmp_path / "red.mp4", tmp_path / "blue.mp4"]
    truth = join_videos(paths, tmp_path / "joined.mp4", {"red": "wave"}, start=lambda path: 0.5)
    frames = list(read_frames(tmp_path / "joined.mp4"))
    assert len(frames) == round(truth.seconds * JOINED_FPS)
    assert [(each.label, each.reason) for each in truth.segments] == [
        (None, "no person"), ("wave", None), (None, "no person"), (None, "unsure"), (None, "no person"),
    ]  # fmt: skip
    for each, channel in ((truth.segments[1], 0), (truth.segments[3], 2)):
        assert each.end - each.start == pytest.approx(1.5, abs=0.1)
        inside = [
            frame[20, 20] for frame in frames[round(each.start * JOINED_FPS) : round(each.end * JOINED_FPS)]
        ]
        assert all(pixel[channel] > 200 and pixel[1] < 60 for pixel in inside)
    assert all(frame.max() < 40 for frame in frames[:40])


class _Exchanged:
    """Two people, of whom the left one is lost for three seconds and is found again at the same place."""

    layout = PENN_13
    fingerprint = "two people"

    def __init__(self) -> None:
        self._calls = 0

    def __call__(self, frames: Sequence[Frame]) -> list[Keypoints]:
        self._calls += 1
        lost = 20 <= self._calls < 60
        return [people(person(400)) if lost else people(person(150), person(400))]


def test_a_person_found_again_after_the_memory_is_a_switch(tmp_path: Path) -> None:
    write_video(tmp_path / "two.mp4", [np.zeros((480, 640, 3), np.uint8)] * 80, 10.0)
    text = describe_identities(tmp_path / "two.mp4", 2, _Exchanged(), 1)
    assert text == (
        "two.mp4, one frame in 1 (80): 2 people, 3 tracks, 1 identity switches, detections [40, 80]"
    )
