"""People made of simple physics: who is who can be told by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skdpipe.errors import DataError
from skdpipe.pose.tracker import track
from skdpipe.skeleton import COCO_17, PENN_13, Keypoints, PoseSequence
from skdpipe.skeleton.people import body_area, match_people, oks, pairwise_oks, select_people

settings.register_profile("shared machine", deadline=None)
settings.load_profile("shared machine")

SIZE = (640, 480)
UNSEEN = np.array([np.nan, np.nan, 0], np.float32)
# A standing figure 120 px tall and 40 px wide, its middle at the origin: area 4,800, gate 69 px.
FIGURE = np.array(
    [[0, -60], [-20, -40], [20, -40], [-20, -15], [20, -15], [-20, 10], [20, 10],
     [-12, 5], [12, 5], [-12, 32], [12, 32], [-12, 60], [12, 60]], np.float32,
)  # fmt: skip


def person(x: float, y: float = 240, confidence: float = 0.9, size: float = 1) -> Keypoints:
    return np.concatenate([FIGURE * size + [x, y], np.full((13, 1), confidence)], axis=1).astype(np.float32)


def people(*each: Keypoints) -> Keypoints:
    return np.stack(each) if each else np.zeros((0, 13, 3), np.float32)


def follow(frames: list[Keypoints], **options: float) -> Keypoints:
    return track(frames, PENN_13, SIZE, **options)  # type: ignore[arg-type]


def heads(tracked: Keypoints) -> list[list[float | None]]:
    """x of each person's head in each frame, None where absent; a list a person."""
    return [[None if np.isnan(x) else float(x) for x in row] for row in tracked[:, :, 0, 0].T]


def a_sequence(keypoints: Keypoints, frame_index: list[int] | None = None, layout=PENN_13) -> PoseSequence:
    index = np.array(range(len(keypoints)) if frame_index is None else frame_index, np.int32)
    return PoseSequence(keypoints, index, int(index.max(initial=-1)) + 1, layout, 30.0, SIZE)


# Similarity


def test_similarity_by_hand() -> None:
    a = np.array([[0, 0, 1], [10, 0, 1], [0, 0, 0]], np.float32)
    b = np.array([[3, 4, 1], [10, 0, 1], [5, 5, 1]], np.float32)
    # Joint 0: d = 5, area 100, k = 2 x 0.25: exp(-25 / (2 x 100 x 0.25)); joint 1: 1; joint 2 unseen in a.
    assert oks(a, b, [0.25, 0.1, 0.1], 100) == pytest.approx((np.exp(-0.5) + 1) / 2)


def test_somebody_is_like_themselves_and_less_the_further_away() -> None:
    likeness = pairwise_oks(
        people(person(100)), people(*(person(100 + d) for d in (0, 5, 10, 400))), PENN_13.sigmas
    )
    assert likeness.shape == (1, 4)
    assert likeness[0, 0] == 1
    assert (np.diff(likeness[0]) < 0).all()
    assert likeness[0, 3] == pytest.approx(0, abs=1e-9)


def test_similarity_is_undefined_without_a_common_joint() -> None:
    top, bottom = person(100), person(100)
    top[7:], bottom[:7] = UNSEEN, UNSEEN
    assert np.isnan(oks(top, bottom, PENN_13.sigmas, 100))


def test_pairwise_similarity_is_the_similarity_of_each_pair() -> None:
    rng = np.random.default_rng(0)
    a, b = (rng.uniform(0, 50, (n, 13, 3)).astype(np.float32) for n in (3, 4))
    b[1, 4:] = UNSEEN
    expected = [[oks(p, q, PENN_13.sigmas, body_area(p)) for q in b] for p in a]
    np.testing.assert_allclose(pairwise_oks(a, b, PENN_13.sigmas), expected)


def test_areas_by_hand() -> None:
    line, dot, nobody = person(0), person(0), person(0)
    line[:, 0] = 7  # 120 px tall and of no width: a third as thick as long
    dot[1:] = nobody[:] = UNSEEN
    np.testing.assert_allclose(body_area(people(person(0), line, dot, nobody)), [40 * 120, 120 * 40, 1, 1])


# Tracking


def test_the_order_of_detections_does_not_matter() -> None:
    frames = [people(person(100 + t), person(400 - t)) for t in range(20)]
    swapped = [frame[::-1] if t % 2 else frame for t, frame in enumerate(frames)]
    np.testing.assert_array_equal(follow(swapped), np.stack(frames))


def test_two_people_who_cross_keep_their_places() -> None:
    # Alike, at the same height, 8 px a frame, at one spot in frame 20: only their motion tells them apart.
    left = [160.0 + 8 * t for t in range(41)]
    right = [480.0 - 8 * t for t in range(41)]
    tracked = follow([people(person(a), person(b)) for a, b in zip(left, right, strict=True)])
    assert heads(tracked) == [left, right]


def test_people_of_unlike_size_keep_their_places_where_they_overlap() -> None:
    frames = [people(person(300), person(300 + 2 * t, size=1.6)) for t in range(-10, 11)]
    swapped = [frame[::-1] if t % 3 else frame for t, frame in enumerate(frames)]
    tracked = follow(swapped)
    assert tracked.shape[1] == 2
    heights = np.nanmax(tracked[..., 1], axis=2) - np.nanmin(tracked[..., 1], axis=2)
    assert (heights.std(axis=0) < 1e-3).all()


@pytest.mark.parametrize(("gap", "places"), [(10, 1), (11, 2)])
def test_somebody_who_comes_back_in_time_has_the_old_place(gap: int, places: int) -> None:
    seen = [people(person(300))]
    tracked = follow([*seen, *[people()] * (gap - 1), *seen], memory=10)
    assert tracked.shape == (gap + 1, places, 13, 3)
    assert heads(tracked)[0] == [300.0, *[None] * (gap - 1), 300.0 if places == 1 else None]


# The gate is reach x sqrt(4,800) = 69.3 px to the next frame, and twice that after 16 frames.
@pytest.mark.parametrize(
    ("distance", "gap", "places"), [(69, 1, 1), (70, 1, 2), (138, 16, 1), (140, 16, 2), (138, 15, 2)]
)
def test_nobody_jumps_further_than_the_gate(distance: int, gap: int, places: int) -> None:
    frames = [people(person(200)), *[people()] * (gap - 1), people(person(200 + distance))]
    assert follow(frames).shape[1] == places


def test_the_gate_can_be_widened() -> None:
    frames = [people(person(200)), people(person(300))]
    assert follow(frames, reach=1.0).shape[1] == 2
    assert follow(frames, reach=2.0).shape[1] == 1


def test_the_gate_alone_decides_where_the_similarity_has_faded_to_nothing() -> None:
    # By one joint, a body counts as 2% of the diagonal, 16 px, and the gate is 4 x 16 px; but 50 px are
    # 45 of the head's standard deviations, whose exponential is 0 even in double precision.
    head = person(100)
    head[1:] = UNSEEN
    further = head + np.array([50, 0, 0], np.float32)
    assert follow([people(head), people(further)], reach=4.0).shape[1] == 1
    assert follow([people(head), people(further)], reach=3.0).shape[1] == 2


def test_the_pose_tells_people_apart_who_stand_at_one_spot() -> None:
    calm, waving = person(300), person(300)
    waving[3:7, 1] -= 60  # elbows and wrists; the other nine joints coincide
    tracked = follow([people(calm, waving), people(waving, calm), people(waving, calm)])
    np.testing.assert_array_equal(tracked, np.stack([people(calm, waving)] * 3))


def test_one_who_runs_on_while_hidden_is_met_where_the_motion_leads() -> None:
    # 30 px a frame; after three hidden frames he is 120 px on, beyond the gate around the last sighting
    # (69.3 x 4^(1/4) = 98 px), but within it around the place to which the motion leads.
    runner: list[float | None] = [100.0 + 30 * t for t in range(12)]
    runner[6:9] = [None] * 3
    frames = [people() if x is None else people(person(x)) for x in runner]
    assert heads(follow(frames)) == [runner]


def test_noise_and_lost_joints_do_not_split_people() -> None:
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


def test_a_detection_without_a_seen_joint_is_nobody() -> None:
    blank = np.broadcast_to(UNSEEN, (13, 3))
    assert follow([people(person(100), blank), people(blank)]).shape == (2, 1, 13, 3)


@pytest.mark.parametrize("frames", [0, 1, 5])
def test_nobody_at_all_gives_no_places(frames: int) -> None:
    tracked = follow([people()] * frames)
    assert tracked.shape == (frames, 0, 13, 3)
    assert tracked.dtype == np.float32


def test_the_absent_are_unseen() -> None:
    tracked = follow([people(person(100)), people(person(400))])
    np.testing.assert_array_equal(tracked[1, 0], np.broadcast_to(UNSEEN, (13, 3)))
    np.testing.assert_array_equal(tracked[0, 1], np.broadcast_to(UNSEEN, (13, 3)))


@given(st.integers(0, 2**32), st.integers(1, 4), st.integers(1, 15))
def test_trajectories_do_not_depend_on_the_order_of_detections(seed: int, crowd: int, length: int) -> None:
    rng = np.random.default_rng(seed)
    start, speed = rng.uniform(0, 640, (crowd, 2)), rng.normal(0, 8, (crowd, 2))
    frames = [people(*(person(*place) for place in start + speed * t)) for t in range(length)]
    frames = [frame[rng.random(crowd) < 0.85] for frame in frames]
    shuffled = [frame[rng.permutation(len(frame))] for frame in frames]

    def trajectories(tracked: Keypoints) -> list[bytes]:
        return sorted(tracked[:, place].tobytes() for place in range(tracked.shape[1]))

    assert trajectories(follow(frames)) == trajectories(follow(shuffled))


@given(st.integers(0, 2**32))
def test_every_detection_finds_exactly_one_place(seed: int) -> None:
    rng = np.random.default_rng(seed)
    frames = [people(*(person(*rng.uniform(0, 640, 2)) for _ in range(rng.integers(0, 5)))) for _ in range(8)]
    tracked = follow(frames)
    for row, frame in zip(tracked, frames, strict=True):
        present = row[(row[..., 2] > 0).any(axis=1)]
        assert sorted(p.tobytes() for p in present) == sorted(p.tobytes() for p in frame)


# Selection


def test_a_ghost_of_three_sure_frames_does_not_win() -> None:
    clip = np.broadcast_to(UNSEEN, (30, 3, 13, 3)).copy()
    clip[:, 1] = person(100, confidence=0.3)  # mean 0.3
    clip[:3, 0] = person(200, confidence=1.0)  # the ghost: mean 0.1
    clip[:, 2] = person(300, confidence=0.5)  # mean 0.5
    np.testing.assert_array_equal(select_people(clip), clip[:, [2, 1]])
    np.testing.assert_array_equal(select_people(clip, 3), clip[:, [2, 1, 0]])


@pytest.mark.parametrize("frames", [0, 4])
@pytest.mark.parametrize("there", [0, 1, 2, 3])
def test_the_number_of_places_is_exact(frames: int, there: int) -> None:
    clip = np.broadcast_to(person(100), (frames, there, 13, 3))
    selected = select_people(clip, 2)
    assert selected.shape == (frames, 2, 13, 3)
    assert (selected[..., 2] > 0).any(axis=-1).sum() == frames * min(there, 2)
    assert np.isnan(selected[selected[..., 2] == 0][:, :2]).all()


def test_a_negative_number_of_people_is_refused() -> None:
    with pytest.raises(DataError, match="cannot select -1 people"):
        select_people(np.zeros((1, 1, 13, 3), np.float32), -1)


# Pairing


def two_walkers(length: int = 20) -> Keypoints:
    return np.stack([people(person(100 + t), person(400 - t)) for t in range(length)])


def test_low_people_take_the_places_of_their_high_selves() -> None:
    high = a_sequence(two_walkers())
    matched, report = match_people(high, a_sequence(two_walkers()[:, ::-1]))
    np.testing.assert_array_equal(matched.keypoints, high.keypoints)
    assert (report.people_high, report.people_low, report.matched) == (2, 2, 2)
    assert report.pairs == ((0, 1), (1, 0))
    assert report.oks == 1


def test_pairing_uses_the_frames_that_both_have() -> None:
    high = a_sequence(two_walkers())
    low = a_sequence(two_walkers()[::5, ::-1], [0, 5, 10, 15])  # row 1 of low is frame 5, not frame 1
    matched, report = match_people(high, low)
    np.testing.assert_array_equal(matched.keypoints, high.keypoints[::5])
    np.testing.assert_array_equal(matched.frame_index, low.frame_index)
    assert report.oks == 1


def test_pairing_compares_the_joints_that_both_layouts_name() -> None:
    coco = np.broadcast_to(UNSEEN, (20, 2, 17, 3)).copy()
    for joint in PENN_13.joints[1:]:  # all but the head
        coco[:, :, COCO_17.index(joint)] = two_walkers()[:, ::-1, PENN_13.index(joint)]
    coco[:, :, COCO_17.index("nose")] = (0, 0, 1)
    matched, report = match_people(a_sequence(two_walkers()), a_sequence(coco, layout=COCO_17))
    np.testing.assert_array_equal(matched.keypoints, coco[:, ::-1])
    assert matched.layout == COCO_17
    assert (report.matched, report.oks) == (2, 1)


def test_the_reported_similarity_is_the_mean_over_shared_frames() -> None:
    high = a_sequence(np.stack([people(person(100))] * 4))
    low = high.keypoints.copy()
    low[1] = person(106)  # the others are exact, but one is missing
    low[2] = UNSEEN
    _, report = match_people(high, a_sequence(low))
    moved = float(oks(person(100), person(106), PENN_13.sigmas, 4800))
    assert report.oks == pytest.approx((1 + moved + 1) / 3)


def test_a_ghost_of_one_exact_frame_does_not_take_a_place() -> None:
    high = a_sequence(np.stack([people(person(100))] * 10))
    low = np.broadcast_to(UNSEEN, (10, 2, 13, 3)).copy()
    low[0, 0] = person(100)  # similarity 1, once
    low[1:, 1] = person(105)  # less, nine times
    matched, report = match_people(high, a_sequence(low))
    np.testing.assert_array_equal(matched.keypoints, low[:, ::-1])
    assert (report.people_high, report.people_low, report.pairs) == (1, 2, ((0, 1),))


def test_strangers_are_not_paired_and_take_the_places_that_are_left() -> None:
    high = a_sequence(two_walkers())
    low = np.stack([people(person(600, y=60), person(400 - t), person(600, y=400)) for t in range(20)])
    matched, report = match_people(high, a_sequence(low))
    np.testing.assert_array_equal(matched.keypoints, low[:, [0, 1, 2]])  # place 1 is high's person 1
    assert (report.people_low, report.matched, report.pairs) == (3, 1, ((1, 1),))


@pytest.mark.parametrize(("least", "matched"), [(0.0, 1), (0.99, 0)])
def test_the_least_similarity_decides_who_is_a_stranger(least: float, matched: int) -> None:
    high, low = (a_sequence(np.stack([people(person(x))] * 3)) for x in (100, 110))
    assert match_people(high, low, least=least)[1].matched == matched


def test_missing_people_leave_empty_places() -> None:
    high = a_sequence(two_walkers())
    matched, report = match_people(high, a_sequence(two_walkers()[:, 1:]))
    assert matched.people == 2
    assert np.isnan(matched.keypoints[:, 0, :, :2]).all()
    np.testing.assert_array_equal(matched.keypoints[:, 1], high.keypoints[:, 1])
    assert (report.people_low, report.matched) == (1, 1)


@pytest.mark.parametrize(
    "low",
    [
        a_sequence(np.zeros((0, 0, 13, 3), np.float32)),
        a_sequence(np.zeros((20, 0, 13, 3), np.float32)),
        a_sequence(two_walkers(), list(range(100, 120))),  # no frame in common
    ],
)
def test_where_nothing_can_be_compared_nobody_is_paired(low: PoseSequence) -> None:
    matched, report = match_people(a_sequence(two_walkers()), low)
    assert report.matched == 0
    assert np.isnan(report.oks)
    assert matched.keypoints.shape == (len(low.keypoints), 2, 13, 3)


@given(st.permutations(range(4)))
def test_pairing_undoes_any_order(order: list[int]) -> None:
    crowd = np.stack([people(*(person(80 + 150 * n) for n in range(4)))] * 5)
    high = a_sequence(crowd)
    matched, _ = match_people(high, a_sequence(crowd[:, order]))
    np.testing.assert_array_equal(matched.keypoints, high.keypoints)
