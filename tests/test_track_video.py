"""Footage of squares: each frame is tracked, at its time, and the generator can be closed at any frame."""

from __future__ import annotations

import sys
import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from conftest import WriteVideo
from encoded_videos import encode
from numpy.typing import NDArray
from squares import SquareFinder, square_frames

from skdpipe.errors import PoseError, VideoError
from skdpipe.pose.decoding import SampledEstimator
from skdpipe.pose.estimate import estimate_video
from skdpipe.pose.follow import Extent, TimedFrame, track_frames, track_video
from skdpipe.skeleton import COCO_17, Keypoints, Origin
from skdpipe.skeleton.tracks import TrackedFrame


class InThreads(SquareFinder):
    """Runs three calls at once."""

    calls = 3


def until_the_end(
    frames: Generator[TrackedFrame, None, Extent],
) -> tuple[list[TrackedFrame], Extent]:
    found = []
    while True:
        try:
            found.append(next(frames))
        except StopIteration as end:
            return found, end.value


@pytest.mark.parametrize("finder", [SquareFinder, InThreads])
@pytest.mark.parametrize(("every", "batch"), [(1, 1), (1, 16), (3, 5), (7, 2), (99, 1)])
def test_every_nth_frame_is_tracked_at_its_time(
    square_video: WriteVideo, finder: type[SquareFinder], every: int, batch: int
) -> None:
    path = square_video("a.mp4", frames=20)
    decoded: list[int] = []
    sampled = SampledEstimator(finder(), every)
    frames, extent = until_the_end(track_video(path, sampled, batch=batch, on_frames=decoded.append))
    assert [each.frame for each in frames] == list(range(0, 20, every))
    assert [each.seconds for each in frames] == pytest.approx([each.frame / 10 for each in frames])
    assert all(each.numbers.tolist() == [0] for each in frames)
    assert extent == Extent(20, pytest.approx(2.0), (64, 48))
    assert sum(decoded) == 20
    (clip,) = estimate_video(path, [sampled], Origin(), people=1, batch=batch)
    np.testing.assert_array_equal([each.people for each in frames], clip.keypoints)


def test_the_times_of_a_varying_rate(tmp_path: Path) -> None:
    # One frame a second, then 25: the mean period of the 24 frames is (3 + 20 / 25) / 23 s.
    times = [0, 25, 50, *range(75, 96)]
    path = encode(tmp_path / "a.mkv", "libx264", np.stack(list(square_frames(frames=24))), times=times)
    frames, extent = until_the_end(track_video(path, SampledEstimator(SquareFinder()), batch=4))
    assert [each.seconds for each in frames] == pytest.approx([time / 25 for time in times], abs=1e-3)
    assert extent.seconds == pytest.approx(95 / 25 * 24 / 23, abs=1e-3)


def test_one_frame_is_as_long_as_the_container_states(square_video: WriteVideo) -> None:
    path = square_video("a.mp4", frames=1)
    assert until_the_end(track_video(path, SampledEstimator(SquareFinder()), batch=4))[1].seconds == 0.1


@pytest.mark.parametrize("finder", [SquareFinder, InThreads])
def test_closing_ends_all_threads(square_video: WriteVideo, finder: type[SquareFinder]) -> None:
    before = threading.active_count()
    path = square_video("a.mp4", frames=200)
    decoded: list[int] = []
    with closing(track_video(path, SampledEstimator(finder()), batch=3, on_frames=decoded.append)) as frames:
        assert next(frames).frame == 0
    assert threading.active_count() == before
    assert sum(decoded) < 20


class Script:
    """Returns given people frame by frame."""

    layout = COCO_17
    fingerprint = "crossing"

    def __init__(self, frames: Sequence[Keypoints]) -> None:
        self._frames = iter(frames)

    def __call__(self, frames: Sequence[NDArray[np.uint8]]) -> list[Keypoints]:
        return [next(self._frames) for _ in frames]


def square_at(x: float) -> Keypoints:
    pose = np.ones((17, 3), np.float32)
    pose[:, 0] = x + 20 * np.arange(17) / 16
    pose[:, 1] = 10 + np.arange(17)
    return pose


IMAGE = np.zeros((480, 640, 3), np.uint8)


def test_people_are_in_the_order_of_their_numbers_without_those_of_whom_nothing_is_seen() -> None:
    unseen = np.full((17, 3), np.nan, np.float32)
    unseen[:, 2] = 0
    left, right, new = square_at(100), square_at(500), square_at(300)
    finder = Script([np.stack([left, right]), np.stack([unseen, new, right, left])])
    first, second = track_frames([TimedFrame(4, 0.5, IMAGE), TimedFrame(9, 0.7, IMAGE)], finder)
    assert (first.frame, first.seconds, first.numbers.tolist()) == (4, 0.5, [0, 1])
    assert (second.frame, second.seconds, second.numbers.tolist()) == (9, 0.7, [0, 1, 2])
    np.testing.assert_array_equal(second.people, [left, right, new])


@pytest.mark.parametrize(("seconds", "number"), [(2.0, 0), (2.1, 1)])
def test_a_person_who_is_out_of_view_for_two_seconds_keeps_the_number(seconds: float, number: int) -> None:
    finder = Script([square_at(100)[None]] * 2)
    _, last = track_frames([TimedFrame(0, 0.0, IMAGE), TimedFrame(500, seconds, IMAGE)], finder)
    assert last.numbers.tolist() == [number]


def test_with_a_batch_of_one_a_frame_is_returned_before_the_next_is_taken() -> None:
    taken: list[int] = []

    def live() -> Iterator[TimedFrame]:
        for number, image in enumerate(square_frames(frames=5)):
            taken.append(number)
            yield TimedFrame(number, number / 10, image)

    frames = track_frames(live(), InThreads())
    for number in range(5):
        assert next(frames).frame == number
        assert taken[-1] == number
    assert list(frames) == []


def test_what_an_estimator_prints_is_not_printed_as_a_result(capsys: pytest.CaptureFixture[str]) -> None:
    class Talkative(SquareFinder):
        def __call__(self, frames: Sequence[NDArray[np.uint8]]) -> list[Keypoints]:
            sys.stdout.write("loading weights\n")
            return super().__call__(frames)

    for each in track_frames([TimedFrame(0, 0.0, IMAGE)], Talkative()):
        sys.stdout.write(f"{each.frame}\n")
    assert capsys.readouterr() == ("0\n", "loading weights\n")


def test_a_file_that_is_no_video_and_an_estimator_that_fails_are_refused(
    square_video: WriteVideo, tmp_path: Path
) -> None:
    path = tmp_path / "a.mp4"
    path.write_text("no video")
    with pytest.raises(VideoError, match="not a readable video"):
        next(track_video(path, SampledEstimator(SquareFinder()), batch=4))
    video = square_video("b.mp4", frames=5)
    with pytest.raises(PoseError, match=r"failed .*; correct or replace it"):
        next(track_video(video, SampledEstimator(Script([])), batch=4))
