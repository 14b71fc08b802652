"""Labels of footage: windows over tracked people, each person apart or all together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from moving_body import ACTIONS, SIZE, centres, pose_in
from numpy.typing import NDArray

from skdpipe.bundle import build_network
from skdpipe.config import ClipFormat, NetworkChoice
from skdpipe.errors import BundleError, ConfigError
from skdpipe.inference import BundleMetadata, Predictor
from skdpipe.inference.continual import ContinualScorer
from skdpipe.inference.footage import FootageLabeller, Labels
from skdpipe.inference.pose_footage import frames_of
from skdpipe.inference.timeline import Segment, Span, Timeline
from skdpipe.inference.window_settings import FootageSettings, windows_of
from skdpipe.inference.windows import FootageFormat, RecentFrames
from skdpipe.runtime import TorchContinualRuntime
from skdpipe.skeleton import COCO_17, PoseSequence
from skdpipe.skeleton.tracks import TrackedFrame

FPS = 12.0
FORMAT = FootageFormat(COCO_17, SIZE, FPS)
METADATA = BundleMetadata(
    NetworkChoice("st_2sgcn", width=4),
    ACTIONS,
    ClipFormat(frames=12, people=1, scale="image", missing="interpolate"),
    "",
)
SETTINGS = FootageSettings(window=1.0, stride=0.25)


class DirectionOfMotion:
    """Labels a clip by the axis along which its people move; unsure if they do not move."""

    name = "direction"

    def __init__(self) -> None:
        self.clips: list[NDArray[np.float32]] = []

    def __call__(self, x: NDArray[np.float32], mask: NDArray[np.bool_]) -> NDArray[np.float32]:
        self.clips.append(x)
        moved = np.abs(np.diff(np.where(mask[..., None, None, None], x, 0), axis=3)).sum(axis=(1, 3, 4))[
            :, :2
        ]
        return (np.log(moved + 1e-3) * 3).astype(np.float32)


def body(action: str, seconds: float, number: int = 0, shift: float = 0.0) -> NDArray[np.float32]:
    """A person who moves, ``(frame, joint, 3)``, one swing a second."""
    frames = round(seconds * FPS)
    swings = (
        [centres(action, 12, number)] * int(np.ceil(frames / 12)) if action else [np.full((frames, 2), 20.0)]
    )
    return np.stack([pose_in(x + shift, y, 10, 24) for x, y in np.concatenate(swings)[:frames]])


def footage(*tracks: tuple[int, float, NDArray[np.float32]], fps: float = FPS) -> list[TrackedFrame]:
    """Frames with people: number, second of the first frame, and poses of each."""
    last = max(round(start * fps) + len(poses) for _, start, poses in tracks)
    frames = []
    for frame in range(last):
        here = [
            (number, poses[frame - round(start * fps)])
            for number, start, poses in tracks
            if 0 <= frame - round(start * fps) < len(poses)
        ]
        numbers = np.array([number for number, _ in here], np.intp)
        people = np.array([pose for _, pose in here], np.float32).reshape(-1, 17, 3)
        frames.append(TrackedFrame(frame, frame / fps, numbers, people))
    return frames


def label(
    frames: list[TrackedFrame],
    settings: FootageSettings = SETTINGS,
    *,
    people: int = 1,
    seconds: float | None = None,
    every: int = 1,
) -> Labels:
    metadata = replace(METADATA, clip=replace(METADATA.clip, people=people))
    footage_format = replace(FORMAT, every=every)
    labeller = FootageLabeller(metadata, DirectionOfMotion(), windows_of(metadata, settings), footage_format)
    found = Labels()
    for frame in frames:
        found.add(labeller.add(frame))
    found.add(labeller.finish(len(frames) / FPS if seconds is None else seconds))
    return found


def brief(segments: list[Segment]) -> list[tuple[float, float, str, int | None]]:
    return [(round(each.start, 3), round(each.end, 3), each.text, each.person) for each in segments]


ALONG, UP = ACTIONS


def test_two_actions_give_two_segments() -> None:
    moves = np.concatenate([body(ALONG, 3), body(UP, 3)])
    found = label(footage((0, 0, moves)))
    assert brief(found.segments) == [(0, 3, ALONG, 0), (3, 6, UP, 0)]
    assert all(each.probability > 0.9 for each in found.segments)
    assert found.left == [Span(0, 0.0, pytest.approx(71 / 12), 72)]


def test_each_person_has_labels_of_their_own() -> None:
    """The second comes after a second and leaves after four; boxes and spans are theirs."""
    found = label(footage((3, 0, body(ALONG, 6)), (5, 1, body(UP, 3, shift=30))))
    assert sorted(brief(found.segments)) == [(0, 6, ALONG, 3), (1, 4, UP, 5)]
    boxes = {each.person: each.box for each in found.segments}
    left, top, right, bottom = boxes[5] or (0, 0, 0, 0)
    assert (right - left, bottom - top) == (pytest.approx(10, abs=0.1), pytest.approx(24, abs=0.1))
    assert left - (boxes[3] or (0,))[0] == pytest.approx(30, abs=3)
    assert {each.person: (each.start, each.frames) for each in found.left} == {3: (0.0, 72), 5: (1.0, 36)}


def test_together_the_people_of_a_window_are_one_clip() -> None:
    frames = footage((0, 0, body(ALONG, 3)), (1, 0, body(ALONG, 3, shift=20)))
    found = label(frames, replace(SETTINGS, per_person=False), people=2)
    assert brief(found.segments) == [(0, 3, ALONG, None)]
    runtime = DirectionOfMotion()
    metadata = replace(METADATA, clip=replace(METADATA.clip, people=2))
    labeller = FootageLabeller(metadata, runtime, windows_of(metadata, SETTINGS), FORMAT)
    for frame in frames:
        labeller.add(frame)
    assert runtime.clips[0].shape == (1, 2, 3, 12, 17)
    assert np.abs(runtime.clips[0]).sum(axis=(0, 2, 3, 4)).min() > 0  # both are in it


def test_students_of_several_people_label_them_together_by_default() -> None:
    assert not windows_of(replace(METADATA, clip=replace(METADATA.clip, people=2)), SETTINGS).per_person
    assert windows_of(METADATA, SETTINGS).per_person


@pytest.mark.parametrize("people", [1, 2])
def test_an_empty_stretch_has_no_person(people: int) -> None:
    found = label(footage((0, 0, body(ALONG, 3)), (1, 6, body(UP, 3))), people=people)
    texts = [
        (start, end, text) for start, end, text, _ in sorted(brief(found.segments), key=lambda each: each[:2])
    ]
    assert [text for *_, text in texts] == [ALONG, "no person", UP]
    assert texts[0] == (0, 3 if people == 1 else pytest.approx(3, abs=0.5), ALONG)
    assert texts[1][0] == pytest.approx(3, abs=0.5)
    assert texts[1][1] == pytest.approx(6, abs=0.5)


def test_a_person_who_does_not_move_is_unsure() -> None:
    found = label(footage((0, 0, body("", 3))), replace(SETTINGS, min_probability=0.6))
    assert brief(found.segments) == [(0, 3, "unsure", 0)]


def test_a_person_in_few_frames_is_too_little_seen() -> None:
    frames = [
        each if number % 4 == 0 else replace(each, numbers=each.numbers[:0], people=each.people[:0])
        for number, each in enumerate(footage((0, 0, body(ALONG, 3))))
    ]
    found, last = label(frames).segments
    assert (found.label, found.reason, found.probability, found.person) == (None, "too little seen", 0, 0)
    assert brief([last]) == [(2.75, 3, "no person", None)]
    found, _ = label(frames, replace(SETTINGS, least_seen=0.2)).segments
    assert found.label == ALONG


def test_a_gap_shorter_than_a_stride_does_not_interrupt_a_segment() -> None:
    frames = footage((0, 0, body(ALONG, 4)))
    frames[20] = replace(frames[20], numbers=frames[20].numbers[:0], people=frames[20].people[:0])
    frames[21] = replace(frames[21], numbers=frames[21].numbers[:0], people=frames[21].people[:0])
    assert brief(label(frames).segments) == [(0, 4, ALONG, 0)]


def test_a_number_that_returns_begins_a_new_segment() -> None:
    found = label(footage((0, 0, body(ALONG, 2)), (0, 5, body(ALONG, 2))))
    assert [each for each in brief(found.segments) if each[3] == 0] == [(0, 2, ALONG, 0), (5, 7, ALONG, 0)]


@pytest.mark.parametrize("seconds", [0.1, 0.4, 0.9, 1.0, 1.1, 2.3])
def test_the_segments_reach_from_the_start_to_the_end(seconds: float) -> None:
    frames = footage((0, 0, body(ALONG, seconds)))
    (found,) = label(frames, replace(SETTINGS, shortest=0.0)).segments
    assert (found.start, found.end, found.label) == (0, pytest.approx(len(frames) / FPS), ALONG)


def test_footage_without_frames_has_no_segments() -> None:
    assert label([]).segments == []


def test_each_window_is_labelled_when_its_last_frame_arrives() -> None:
    labeller = FootageLabeller(METADATA, DirectionOfMotion(), windows_of(METADATA, SETTINGS), FORMAT)
    frames = footage((0, 0, body(ALONG, 2)))
    arrived = {number: each for number, frame in enumerate(frames) if (each := labeller.add(frame).windows)}
    assert list(arrived) == [11, 14, 17, 20, 23]
    (first,) = arrived[11]
    assert (first.start, first.end, first.label, first.person) == (0, 1, ALONG, 0)


def test_a_window_is_the_clip_that_was_cut_out_by_hand() -> None:
    """Also if the estimator runs on every other frame."""
    frames = footage((0, 0, body(ALONG, 4)))[::2]
    runtime = DirectionOfMotion()
    labeller = FootageLabeller(METADATA, runtime, windows_of(METADATA, SETTINGS), replace(FORMAT, every=2))
    for frame in frames:
        labeller.add(frame)
    cut = frames[6:12]
    keypoints = np.stack([each.people for each in cut])
    index = np.array([each.frame - 12 for each in cut], np.int32)
    clip = PoseSequence(keypoints, index, 12, COCO_17, FPS, SIZE)
    by_hand = DirectionOfMotion()
    Predictor(METADATA, by_hand).predict(clip)
    assert np.array_equal(runtime.clips[4], by_hand.clips[0])


def test_frames_of_a_varying_rate_are_placed_by_their_times() -> None:
    kept = [each for each in footage((0, 0, body(ALONG, 4))) if each.frame % 12 < 9]
    frames = [replace(each, frame=number) for number, each in enumerate(kept)]
    recent = RecentFrames(FORMAT, 10.0)
    for each in frames:
        recent.add(each)
    view = recent.between(1.0, 2.5)
    sequence = view.to_sequence(0)
    assert sequence.duration == pytest.approx(1.5)
    assert sequence.times is not None
    assert sequence.times.tolist() == pytest.approx([*np.arange(9) / 12, *(1 + np.arange(6) / 12)])
    assert [each[2:] for each in brief(label(frames, seconds=3.75).segments)] == [(ALONG, 0)]


def test_a_camera_that_was_away_leaves_too_little_seen() -> None:
    frames = [each for each in footage((0, 0, body(ALONG, 12))) if not 3 <= each.seconds < 9]
    found = label(frames, people=2, seconds=12)
    assert [each.text for each in found.segments] == [ALONG, "too little seen", ALONG]
    assert found.segments[1].start == pytest.approx(3, abs=0.5)
    assert found.segments[1].end == pytest.approx(9, abs=0.5)


def test_memory_is_that_of_one_window() -> None:
    recent = RecentFrames(FORMAT, 2.0)
    for each in footage((0, 0, body(ALONG, 30))):
        recent.add(each)
    assert len(recent.between(0, 60).frames) == 25


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"window": 0.0}, "a window of 0 s; expected more than 0"),
        ({"stride": -1.0}, "a stride of -1 s"),
        ({"min_probability": 1.5}, "min_probability is 1.5; expected 0 to 1"),
        ({"stride": 2.0}, "a stride of 2 s with windows of 1 s leaves out frames"),
    ],
)
def test_settings_out_of_range_are_refused(changes: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(SETTINGS, **changes)


def test_the_length_of_windows_must_be_known() -> None:
    with pytest.raises(BundleError, match="--window"):
        windows_of(METADATA, FootageSettings())


def test_a_pose_sequence_is_footage_too() -> None:
    moves = np.concatenate([body(ALONG, 3), body(UP, 3)])[:, None]
    sequence = PoseSequence(moves, np.arange(72, dtype=np.int32), 72, COCO_17, FPS, SIZE)
    found = Predictor(METADATA, DirectionOfMotion()).label_footage(sequence, SETTINGS)
    assert found == Timeline(
        "", 6.0, SIZE, tuple(label(list(frames_of(sequence))).segments), found.people, 72
    )
    assert [each.text for each in found.segments] == [ALONG, UP]


def continual_labeller(per_person: bool = True) -> tuple[FootageLabeller, ContinualScorer]:
    """A labeller with a random ST-2sGCN, and a scorer of its own for comparison."""
    torch.manual_seed(0)
    clip = ClipFormat(frames=24, people=1)
    metadata = replace(METADATA, clip=clip)
    runtime = TorchContinualRuntime(build_network(METADATA.choice, clip, 2), clip.frames, "cpu")
    windows = windows_of(metadata, replace(SETTINGS, window=2.0, per_person=per_person, min_probability=0))
    labeller = FootageLabeller(metadata, DirectionOfMotion(), windows, FORMAT, runtime)
    return labeller, ContinualScorer(metadata, runtime, 2.0, FORMAT)


def test_continual_windows_have_the_last_probabilities_before_their_end() -> None:
    labeller, scorer = continual_labeller()
    scores = []
    arrived: dict[float, Segment] = {}
    for frame in footage((0, 0, body(ALONG, 8))):
        scores += scorer.add(frame)
        for each in labeller.add(frame).windows:
            arrived[each.end] = each
            assert frame.seconds >= each.end + scorer.delay - 1e-6
    assert arrived
    for end, window in arrived.items():
        last = [each for each in scores if each.end <= end + 1e-6][-1]
        assert window.probability == pytest.approx(float(last.probabilities.max()))
    found = labeller.finish(8.0)
    assert [each.end for each in found.windows][-1] == pytest.approx(8.0)  # by windows, without later frames
    assert brief(found.segments)[-1][1] == 8


def test_continual_inference_needs_each_person_apart() -> None:
    with pytest.raises(ConfigError, match="--per-person"):
        continual_labeller(per_person=False)


@pytest.mark.parametrize("stride", [0.02, 0.05, 0.125])
@pytest.mark.parametrize("per_person", [True, False])
@pytest.mark.parametrize("digits", [9, 2])
def test_a_stride_below_the_time_between_two_poses_gives_the_same_segments(
    stride: float, per_person: bool, digits: int
) -> None:
    """Poses are 1/6 s apart, so that most steps have none; containers may round the times."""
    frames = footage((0, 0.0, body(ALONG, 3)), (1, 6.0, body(UP, 3)))[::2]
    frames = [replace(each, seconds=round(each.seconds, digits)) for each in frames]
    settings = FootageSettings(window=1.0, stride=stride, per_person=per_person)
    found = label(frames, settings, every=2, seconds=9.0).segments
    assert [(each.text, each.person) for each in found] == [
        (ALONG, 0 if per_person else None),
        ("no person", None),
        (UP, 1 if per_person else None),
    ]
    limits = [time for each in found for time in (each.start, each.end)]
    assert limits == pytest.approx([0, 3, 3, 6, 6, 9], abs=stride + 0.01)


@pytest.mark.parametrize("per_person", [True, False])
def test_footage_of_less_than_half_a_window_gets_the_label_of_its_only_window(per_person: bool) -> None:
    moves = body(ALONG, 1)[:5]
    found = label(footage((0, 0, moves)), replace(SETTINGS, per_person=per_person)).segments
    assert brief(found) == [(0, 0.417, ALONG, 0 if per_person else None)]
