"""Tracked people, frame by frame: the input of windows, and probabilities of a continual network."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from moving_body import ACTIONS, a_sequence
from network_contract import build_narrow
from numpy.typing import NDArray

from skdpipe.config import ClipFormat, NetworkChoice
from skdpipe.errors import BundleError, ConfigError, DataError
from skdpipe.inference import BundleMetadata, model_input
from skdpipe.inference.continual import ContinualScorer, PeopleScores
from skdpipe.inference.frame_input import FrameInput, StepInput
from skdpipe.inference.pose_footage import format_of, frames_of
from skdpipe.inference.prediction import probabilities_of
from skdpipe.networks import GraphNetwork, st_2sgcn
from skdpipe.runtime import TorchContinualRuntime
from skdpipe.skeleton import COCO_17, PoseSequence
from skdpipe.skeleton.tracks import TrackedFrame

CLIP = ClipFormat(frames=8, people=1, scale="image")
WINDOW = 8 / 12  # seconds: a network frame for each of 12 frames a second


def steps_of(sequence: PoseSequence, clip: ClipFormat = CLIP, window: float = WINDOW) -> list[StepInput]:
    given = FrameInput(clip, format_of(sequence), window, 4)
    return [step for frame in frames_of(sequence) for step in given.add(frame)]


def joined(steps: list[StepInput]) -> NDArray[np.float32]:
    """``(row, channel, frame, joint)``."""
    return np.concatenate([step.x for step in steps], axis=2)


def part_of(sequence: PoseSequence, begin: int, end: int) -> PoseSequence:
    index = np.arange(end - begin, dtype=np.int32)
    return replace(
        sequence, keypoints=sequence.keypoints[begin:end], frame_index=index, video_frames=end - begin
    )


@pytest.mark.parametrize("stream", ["joint", "bone"])
def test_frames_are_those_of_the_whole_sequence(stream: str) -> None:
    sequence = a_sequence("sideways", frames=24)
    clip = replace(CLIP, stream=stream)
    expected, _ = model_input(sequence, replace(clip, frames=24))
    steps = steps_of(sequence, clip)
    np.testing.assert_allclose(joined(steps), expected, atol=1e-6)
    np.testing.assert_allclose([step.end for step in steps], [each / 12 for each in range(3, 24, 4)])
    assert [step.first.tolist() for step in steps] == [[0]] + [[-1]] * 5
    assert [step.seen.tolist() for step in steps[:3]] == [[0.5], [1.0], [1.0]]


def test_a_frame_has_the_centre_and_size_of_the_window_that_ends_with_the_step() -> None:
    sequence = a_sequence("up and down", frames=24)
    clip = replace(CLIP, scale="body")
    for number, step in enumerate(steps_of(sequence, clip)[1:], start=1):
        end = 4 * number + 4
        window, _ = model_input(part_of(sequence, end - 8, end), clip)
        np.testing.assert_allclose(step.x, window[:, :, -4:], atol=1e-6)


def test_footage_is_resampled_to_the_frames_of_a_clip() -> None:
    """Two network frames for three frames: every other one is halfway between two."""
    sequence = a_sequence("sideways", frames=25)
    found = joined(steps_of(sequence, CLIP, 1.0))
    frames, _ = model_input(sequence, replace(CLIP, frames=25))
    at = 1.5 * np.arange(found.shape[2])
    expected = (frames[:, :, np.floor(at).astype(int)] + frames[:, :, np.ceil(at).astype(int)]) / 2
    np.testing.assert_allclose(found, expected, atol=1e-6)


def tracked(frame: int, **people: int) -> TrackedFrame:
    """A frame at 12 frames a second; people by the name of their track (t1, t2...), each in a pose."""
    poses = a_sequence("sideways", frames=24).keypoints[:, 0]
    numbers = np.array([int(name[1:]) for name in people], np.intp)
    stacked = poses[[*people.values()]].reshape(-1, 17, 3)
    return TrackedFrame(frame, frame / 12, numbers, stacked)


def test_people_come_and_go() -> None:
    given = FrameInput(CLIP, format_of(a_sequence("sideways")), WINDOW, 4)
    steps: list[StepInput] = []
    for frame in range(24):
        people = {name: 0 for name, here in (("t5", frame < 8), ("t2", frame >= 6)) if here}
        steps += given.add(tracked(frame, **people))
    assert [step.numbers.tolist() for step in steps] == [[5], [2, 5], [2, 5], [2], [2], [2]]
    assert [step.first.tolist() for step in steps[:3]] == [[0], [2, -1], [-1, -1]]
    assert not steps[1].x[0, :, :2].any()
    assert steps[1].x[0, :, 2:].any()
    assert not steps[2].x[1].any()  # not detected: zeros, as in windows
    assert steps[2].seen.tolist() == [6 / 8, 4 / 8]


def test_all_begin_again_after_a_gap_of_more_than_a_window() -> None:
    given = FrameInput(CLIP, format_of(a_sequence("sideways")), WINDOW, 4)
    steps = [step for frame in range(6) for step in given.add(tracked(frame, t1=0))]
    later = [step for frame in range(600, 604) for step in given.add(tracked(frame, t1=0))]
    assert [step.first.tolist() for step in (*steps, *later)] == [[0], [0]]
    assert later[0].end == pytest.approx(603 / 12)


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        ({"fill": "replay"}, "fill replay"),
        ({"smoothing": 3}, "smoothing 3"),
        ({"missing": "interpolate"}, "missing interpolate"),
        ({"stream": "joint_motion"}, "stream joint_motion"),
        ({"scale": "root"}, "scale root"),
        ({"align": True, "coordinates": 3}, "align"),
    ],
)
def test_what_depends_on_other_frames_is_refused(setting: dict[str, object], named: str) -> None:
    clip = replace(CLIP, **setting)  # type: ignore[arg-type]
    with pytest.raises(
        ConfigError, match=f"^continual inference of a student trained with {named}; expected"
    ):
        FrameInput(clip, format_of(a_sequence("sideways")), WINDOW, 4)


def test_other_coordinates_are_refused() -> None:
    clip = replace(CLIP, scale="body", coordinates=3)
    with pytest.raises(DataError, match="2 coordinates"):
        steps_of(a_sequence("sideways"), clip)


def student(clip: ClipFormat) -> tuple[BundleMetadata, GraphNetwork]:
    network = build_narrow(st_2sgcn, COCO_17, 2).eval()
    return BundleMetadata(
        NetworkChoice("st_2sgcn", width=6), ACTIONS, clip, "eyes-1", temperature=2.0
    ), network


def scores_of(sequence: PoseSequence, network: GraphNetwork, metadata: BundleMetadata) -> list[PeopleScores]:
    runtime = TorchContinualRuntime(network, metadata.clip.frames, "cpu")
    scorer = ContinualScorer(metadata, runtime, WINDOW, format_of(sequence))
    assert scorer.delay == pytest.approx(20 / 12)
    return [scores for frame in frames_of(sequence) for scores in scorer.add(frame)]


def test_scores_are_those_of_each_person_alone() -> None:
    metadata, network = student(CLIP)
    runtime = TorchContinualRuntime(network, CLIP.frames, "cpu")
    one, other = (a_sequence(action, frames=48) for action in ACTIONS)
    alone = [scores_of(each, network, metadata) for each in (one, other)]
    scorer = ContinualScorer(metadata, runtime, WINDOW, format_of(one))
    both = []
    for first, second in zip(frames_of(one), frames_of(other), strict=True):
        people = np.concatenate([second.people, first.people])
        both += scorer.add(replace(first, numbers=np.array([7, 3]), people=people))
    assert [each.numbers.tolist() for each in both] == [[]] * 5 + [[3, 7]] * 7
    assert both[5].end == pytest.approx(3 / 12)
    for scores, *each in zip(both[5:], *(some[5:] for some in alone), strict=True):
        expected = np.concatenate([single.probabilities for single in each])
        np.testing.assert_allclose(scores.probabilities, expected, atol=1e-6)


def test_who_has_left_has_scores_up_to_the_last_detection() -> None:
    """The network's delay, 20 frames, is longer than a window of 8."""
    metadata, network = student(CLIP)
    runtime = TorchContinualRuntime(network, CLIP.frames, "cpu")
    present = a_sequence("sideways", frames=24)
    scorer = ContinualScorer(metadata, runtime, WINDOW, format_of(present))
    away = [tracked(frame) for frame in range(24, 72)]
    found = [scores for frame in (*frames_of(present), *away) for scores in scorer.add(frame)]
    ends = [each.end for each in found if each.numbers.tolist() == [0]]
    assert ends == pytest.approx([frame / 12 for frame in (3, 7, 11, 15, 19, 23, 27)])
    assert not found[-1].numbers.size


def test_probabilities_are_calibrated() -> None:
    metadata, network = student(CLIP)
    sequence = a_sequence("sideways", frames=24)
    (warm,) = scores_of(sequence, network, metadata)[-1].probabilities
    (cold,) = scores_of(sequence, network, replace(metadata, temperature=None))[-1].probabilities
    np.testing.assert_allclose(probabilities_of(np.log(cold).astype(np.float32), 2.0), warm, atol=1e-6)


def test_an_output_that_is_not_finite_is_refused() -> None:
    metadata, network = student(CLIP)
    network.classify.bias.data[0] = np.nan
    with pytest.raises(BundleError, match="not finite"):
        scores_of(a_sequence("sideways", frames=24), network, metadata)


def test_nobody_in_view() -> None:
    metadata, network = student(CLIP)
    runtime = TorchContinualRuntime(network, CLIP.frames, "cpu")
    scorer = ContinualScorer(metadata, runtime, WINDOW, format_of(a_sequence("sideways")))
    found = [scores for frame in range(8) for scores in scorer.add(tracked(frame))]
    assert [each.probabilities.shape for each in found] == [(0, 2)] * 2
