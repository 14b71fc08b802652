"""Tracking of people with simple known motion, so that identities can be derived by hand."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_tracking import plain_track
from standing_figure import people, person

from skdpipe.errors import DataError
from skdpipe.pose.tracker import MOST_PEOPLE, TrackCollector, Tracker, track
from skdpipe.skeleton import PENN_13, UNSEEN, Keypoints, is_seen
from skdpipe.skeleton.tracks import lay_out

SIZE = (640, 480)


def follow(frames: list[Keypoints], **options: float) -> Keypoints:
    tracks = track(dict(enumerate(frames)), PENN_13, SIZE, **options)  # type: ignore[arg-type]
    return lay_out(tracks, (len(frames), len(tracks), 13, 3))


def heads(tracked: Keypoints) -> list[list[float | None]]:
    """x of each person's head in each frame, None if unseen; one list for each person."""
    return [[None if np.isnan(x) else float(x) for x in row] for row in tracked[:, :, 0, 0].T]


def test_the_order_of_detections_does_not_matter() -> None:
    frames = [people(person(100 + t), person(400 - t)) for t in range(20)]
    swapped = [frame[::-1] if t % 2 else frame for t, frame in enumerate(frames)]
    np.testing.assert_array_equal(follow(swapped), np.stack(frames))


def test_two_people_who_cross_keep_their_indices() -> None:
    # Equal figures at the same height, 8 px per frame, at the same position in frame 20: only motion differs.
    left = [160.0 + 8 * t for t in range(41)]
    right = [480.0 - 8 * t for t in range(41)]
    tracked = follow([people(person(a), person(b)) for a, b in zip(left, right, strict=True)])
    assert heads(tracked) == [left, right]


def test_overlapping_people_of_different_size_keep_their_indices() -> None:
    frames = [people(person(300), person(300 + 2 * t, size=1.6)) for t in range(-10, 11)]
    swapped = [frame[::-1] if t % 3 else frame for t, frame in enumerate(frames)]
    tracked = follow(swapped)
    assert tracked.shape[1] == 2
    heights = np.nanmax(tracked[..., 1], axis=2) - np.nanmin(tracked[..., 1], axis=2)
    assert (heights.std(axis=0) < 1e-3).all()


def test_who_was_seen_last_keeps_a_detection_before_who_was_seen_long_ago() -> None:
    # Somebody stands 10 px away from where another one was hidden 15 frames ago, and moves half the way: the
    # hidden one's similarity is the higher one by its wider OKS, but counts half.
    frames = [people(person(200), person(210)), *[people(person(210))] * 15, people(person(204))]
    assert heads(follow(frames)) == [[200.0, *[None] * 16], [210.0] * 16 + [204.0]]


def test_a_person_of_the_same_size_is_preferred() -> None:
    # Both are predicted 20 px from the detection, which is as large as the second.
    frames = [people(person(200, size=1.3), person(240)), people(person(220))]
    assert heads(follow(frames)) == [[200.0, None], [240.0, 220.0]]


@pytest.mark.parametrize(("seconds", "tracks"), [(2.0, 1), (2.1, 2)])
def test_the_memory_is_in_the_unit_of_the_times(seconds: float, tracks: int) -> None:
    tracker = Tracker(PENN_13, SIZE, memory=2.0)
    tracker.update(0, people(person(200)), 5.0)
    (number,) = tracker.update(1, people(person(200)), 5.0 + seconds).numbers
    assert number == tracks - 1


@pytest.mark.parametrize(("gap", "tracks"), [(10, 1), (11, 2)])
def test_a_person_who_reappears_within_the_memory_keeps_the_index(gap: int, tracks: int) -> None:
    seen = [people(person(300))]
    tracked = follow([*seen, *[people()] * (gap - 1), *seen], memory=10)
    assert tracked.shape == (gap + 1, tracks, 13, 3)
    assert heads(tracked)[0] == [300.0, *[None] * (gap - 1), 300.0 if tracks == 1 else None]


# The gate is reach x sqrt(4,800) = 69.3 px to the next frame, and twice as large after 16 frames.
@pytest.mark.parametrize(
    ("distance", "gap", "tracks"), [(69, 1, 1), (70, 1, 2), (138, 16, 1), (140, 16, 2), (138, 15, 2)]
)
def test_a_detection_beyond_the_gate_starts_a_new_track(distance: int, gap: int, tracks: int) -> None:
    frames = [people(person(200)), *[people()] * (gap - 1), people(person(200 + distance))]
    assert follow(frames).shape[1] == tracks


def test_the_gate_can_be_widened() -> None:
    frames = [people(person(200)), people(person(300))]
    assert follow(frames, reach=1.0).shape[1] == 2
    assert follow(frames, reach=2.0).shape[1] == 1


def test_the_gate_alone_decides_if_the_similarity_underflows() -> None:
    # The size of a body with one joint is 2% of the diagonal, 16 px, so the gate is 4 x 16 px. But 50 px are
    # 45 standard deviations of the head, and the exponential underflows to 0 in double precision.
    head = person(100)
    head[1:] = UNSEEN
    moved = head + np.array([50, 0, 0], np.float32)
    assert follow([people(head), people(moved)], reach=4.0).shape[1] == 1
    assert follow([people(head), people(moved)], reach=3.0).shape[1] == 2


def test_people_at_the_same_position_are_distinguished_by_their_pose() -> None:
    calm, waving = person(300), person(300)
    waving[3:7, 1] -= 60  # elbows and wrists; the other nine joints coincide
    tracked = follow([people(calm, waving), people(waving, calm), people(waving, calm)])
    np.testing.assert_array_equal(tracked, np.stack([people(calm, waving)] * 3))


def test_a_hidden_runner_is_found_at_the_predicted_position() -> None:
    # 30 px per frame: after three hidden frames the runner is 120 px further, outside the gate around the
    # last detection (69.3 x 4^(1/4) = 98 px), but inside the gate around the predicted position.
    runner: list[float | None] = [100.0 + 30 * t for t in range(12)]
    runner[6:9] = [None] * 3
    frames = [people() if x is None else people(person(x)) for x in runner]
    assert heads(follow(frames)) == [runner]


def test_noise_and_unseen_joints_do_not_split_tracks() -> None:
    rng = np.random.default_rng(1)
    frames = []
    for t in range(60):
        frame = people(person(150 + 2 * t), person(450 - t))
        frame[..., :2] += rng.normal(0, 4, (2, 13, 2)).astype(np.float32)
        frame[rng.random((2, 13)) < 0.4] = UNSEEN
        frames.append(frame[rng.permutation(2)])
    tracked = follow(frames)
    assert tracked.shape[1] == 2
    middle = np.nanmean(tracked[..., 0], axis=2)
    expected = np.array([[150 + 2 * t, 450 - t] for t in range(60)])
    order = np.argsort(middle[0])
    np.testing.assert_allclose(middle[:, order], expected, atol=20)


def test_a_detection_without_a_seen_joint_is_ignored() -> None:
    blank = np.broadcast_to(UNSEEN, (13, 3))
    assert follow([people(person(100), blank), people(blank)]).shape == (2, 1, 13, 3)


@pytest.mark.parametrize("frames", [0, 1, 5])
def test_frames_without_people_give_no_tracks(frames: int) -> None:
    tracked = follow([people()] * frames)
    assert tracked.shape == (frames, 0, 13, 3)
    assert tracked.dtype == np.float32


def test_absent_people_are_unseen() -> None:
    tracked = follow([people(person(100)), people(person(400))])
    np.testing.assert_array_equal(tracked[1, 0], np.broadcast_to(UNSEEN, (13, 3)))
    np.testing.assert_array_equal(tracked[0, 1], np.broadcast_to(UNSEEN, (13, 3)))


@given(st.integers(0, 2**32), st.integers(1, 4), st.integers(1, 15))
def test_trajectories_do_not_depend_on_the_order_of_detections(seed: int, crowd: int, length: int) -> None:
    rng = np.random.default_rng(seed)
    start, speed = rng.uniform(0, 640, (crowd, 2)), rng.normal(0, 8, (crowd, 2))
    frames = [people(*(person(*middle) for middle in start + speed * t)) for t in range(length)]
    frames = [frame[rng.random(crowd) < 0.85] for frame in frames]
    shuffled = [frame[rng.permutation(len(frame))] for frame in frames]

    def trajectories(tracked: Keypoints) -> list[bytes]:
        return sorted(tracked[:, index].tobytes() for index in range(tracked.shape[1]))

    assert trajectories(follow(frames)) == trajectories(follow(shuffled))


@given(st.integers(0, 2**32))
def test_every_detection_belongs_to_exactly_one_track(seed: int) -> None:
    rng = np.random.default_rng(seed)
    frames = [people(*(person(*rng.uniform(0, 640, 2)) for _ in range(rng.integers(0, 5)))) for _ in range(8)]
    tracked = follow(frames)
    for row, frame in zip(tracked, frames, strict=True):
        present = row[is_seen(row).any(axis=1)]
        assert sorted(p.tobytes() for p in present) == sorted(p.tobytes() for p in frame)


def crowd_of(seed: int, length: int) -> list[Keypoints]:
    """People who walk across each other, of any size, with hidden joints and hidden for some frames."""
    rng = np.random.default_rng(seed)
    crowd = rng.integers(1, 8)
    start, speed = rng.uniform(0, 300, (crowd, 2)), rng.normal(0, 8, (crowd, 2))
    frames = []
    for t in range(length):
        frame = people(
            *(person(*middle, rng.uniform(0.1, 1), rng.uniform(0.5, 2)) for middle in start + speed * t)
        )
        frame[..., :2] += rng.normal(0, 4, (crowd, 13, 2)).astype(np.float32)
        frame[rng.random((crowd, 13)) < 0.5] = UNSEEN
        frames.append(frame[rng.random(crowd) < rng.choice([0.1, 0.85])])
    return frames


@settings(max_examples=30)
@given(st.integers(0, 2**32), st.integers(1, 30))
def test_tracks_are_those_of_the_plain_method_bit_by_bit(seed: int, length: int) -> None:
    frames = crowd_of(seed, length)
    np.testing.assert_array_equal(follow(frames, memory=5), plain_track(frames, PENN_13, SIZE, memory=5))


@settings(max_examples=20)
@given(st.integers(0, 2**32))
def test_frames_without_people_may_be_left_out(seed: int) -> None:
    frames = [frame if t % 3 else frame[:0] for t, frame in enumerate(crowd_of(seed, 12))]
    tracks = track({t: frame for t, frame in enumerate(frames) if len(frame)}, PENN_13, SIZE)
    np.testing.assert_array_equal(lay_out(tracks, (12, len(tracks), 13, 3)), follow(frames))


def test_a_track_ends_when_its_person_is_not_seen_for_the_memory() -> None:
    tracker = TrackCollector(PENN_13, SIZE, memory=2)
    assert tracker.update(0, people(person(100), person(400))) == []
    assert tracker.update(1, people(person(102))) == []
    assert tracker.update(2, people(person(104))) == []
    (ended,) = tracker.update(3, people())
    assert (ended.number, ended.frames.tolist()) == (1, [0])
    np.testing.assert_array_equal(ended.poses, [person(400)])
    (last,) = tracker.finish()
    assert (last.number, last.frames.tolist()) == (0, [0, 1, 2])
    np.testing.assert_array_equal(last.poses, [person(100), person(102), person(104)])
    assert tracker.finish() == []


def test_of_too_many_active_tracks_the_oldest_end() -> None:
    tracker = Tracker(PENN_13, SIZE)
    for frame in range(3):
        places = 1000 * (frame * MOST_PEOPLE + np.arange(MOST_PEOPLE))
        assert not len(tracker.update(frame, people(*map(person, places))).ended)
    assert tracker.update(3, people()).ended.tolist() == list(range(MOST_PEOPLE))


def test_too_many_people_and_other_shapes_are_refused() -> None:
    tracker = Tracker(PENN_13, SIZE)
    with pytest.raises(DataError, match="1001 people in frame 7; expected at most 1000 in one frame"):
        tracker.update(7, np.ones((1001, 13, 3), np.float32))
    with pytest.raises(DataError, match=r"shape \(1, 17, 3\); expected \(person, 13, 3\)"):
        tracker.update(7, np.ones((1, 17, 3), np.float32))


_SCATTERED = """
import resource, numpy as np
from skdpipe.pose.tracker import TrackCollector
from skdpipe.skeleton import PENN_13
tracker = TrackCollector(PENN_13, (640, 480), memory=1)
pose = np.ones((1, 13, 3), np.float32)
tracker.update(0, pose)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
tracks = [each for frame in range(1, 1500) for each in tracker.update(frame, pose * (1 + 1000 * frame))]
assert len(tracks) == 1498
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="ru_maxrss is in kilobytes on Linux")
def test_memory_is_in_proportion_to_the_detections() -> None:
    """1,500 people of one frame each: 234 kB of numbers; laid out over all frames they would take 350 MB."""
    grown = subprocess.run([sys.executable, "-c", _SCATTERED], capture_output=True, check=True).stdout
    assert int(grown) < 30_000
