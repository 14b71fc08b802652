"""Layouts hang together and mirror rightly; sequences fit them; joints keep their names when mapped."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from skdpipe.errors import DataError
from skdpipe.networks.graph import hop_distances
from skdpipe.skeleton import (
    COCO_17,
    LAYOUTS,
    PENN_13,
    Layout,
    PoseSequence,
    layout_named,
    map_layout,
)

UNSEEN = (np.nan, np.nan, 0)
every_layout = pytest.mark.parametrize("layout", LAYOUTS.values(), ids=lambda layout: layout.name)


def a_sequence(keypoints: np.ndarray, layout: Layout = COCO_17) -> PoseSequence:
    frames = len(keypoints)
    return PoseSequence(keypoints, np.arange(frames, dtype=np.int32), frames, layout, 25.0, (640, 480))


def nobody(frames: int = 1, people: int = 1, layout: Layout = COCO_17) -> np.ndarray:
    return np.broadcast_to(np.float32(UNSEEN), (frames, people, len(layout), 3)).copy()


# Layouts


@every_layout
def test_mirroring_twice_is_where_one_began(layout: Layout) -> None:
    mirror = np.array(layout.mirror)
    np.testing.assert_array_equal(mirror[mirror], np.arange(len(layout)))


@every_layout
def test_left_mirrors_right_and_the_middle_itself(layout: Layout) -> None:
    for joint, other in zip(layout.joints, (layout.joints[place] for place in layout.mirror), strict=True):
        assert other == joint.replace("left", "?").replace("right", "left").replace("?", "right")


@every_layout
def test_the_mirror_keeps_the_bones(layout: Layout) -> None:
    bones = {frozenset(edge) for edge in layout.edges}
    assert {frozenset(layout.mirror[end] for end in bone) for bone in bones} == bones
    assert len(bones) == len(layout.bones)


@every_layout
def test_all_joints_hang_together_and_bones_lead_away_from_the_root(layout: Layout) -> None:
    to_root = hop_distances(layout)[layout.index(layout.root)]
    assert np.isfinite(to_root).all()
    assert all(to_root[near] <= to_root[far] for near, far in layout.edges)


@every_layout
def test_every_joint_has_its_own_name_and_a_spread_alike_on_both_sides(layout: Layout) -> None:
    assert len(set(layout.joints)) == len(layout) == len(layout.sigmas)
    assert all(sigma > 0 for sigma in layout.sigmas)
    assert [layout.sigmas[place] for place in layout.mirror] == list(layout.sigmas)
    assert layout_named(layout.name) is layout


def test_the_coco_joints_are_in_cocos_order() -> None:
    assert COCO_17.joints[:5] == ("nose", "left_eye", "right_eye", "left_ear", "right_ear")
    assert COCO_17.joints[15:] == ("left_ankle", "right_ankle")
    assert (COCO_17.sigmas[0], COCO_17.sigmas[11], COCO_17.sigmas[16]) == (0.026, 0.107, 0.089)


def test_an_unknown_layout_is_answered_with_the_known_ones() -> None:
    with pytest.raises(
        DataError,
        match=r"^no layout 'coco-18'; expected one of coco-17, penn-13, openpose-18, ntu-25, kinect-20$",
    ):
        layout_named("coco-18")


# Sequences


@pytest.mark.parametrize("shape", [(4, 1, 13, 3), (4, 1, 17, 2), (4, 17, 3), (5, 1, 17, 3), (4, 1, 17, 3, 1)])
def test_keypoints_that_do_not_fit_say_what_would(shape: tuple[int, ...]) -> None:
    expected = r"4 frame indices; expected \(frame, person, 17, 3\) for layout coco-17$"
    with pytest.raises(DataError, match=expected):
        PoseSequence(np.zeros(shape, np.float32), np.arange(4, dtype=np.int32), 4, COCO_17, 25.0, (640, 480))


def test_a_sequence_is_empty_until_a_joint_is_seen() -> None:
    keypoints = nobody(frames=2, people=3)
    assert a_sequence(keypoints).is_empty
    keypoints[1, 2, 5] = (1, 2, 0.1)
    sequence = a_sequence(keypoints)
    assert not sequence.is_empty
    assert np.argwhere(sequence.seen).tolist() == [[1, 2, 5]]
    assert sequence.people == 3
    assert a_sequence(nobody(people=0)).is_empty


# From layout to layout


def test_coco_becomes_penn_by_name_and_the_head_is_between_ears_and_nose() -> None:
    keypoints = np.arange(17 * 3, dtype=np.float32).reshape(1, 1, 17, 3) + 1
    keypoints[..., 2] = 0.9
    nose, left_ear, right_ear = (COCO_17.index(joint) for joint in ("nose", "left_ear", "right_ear"))
    keypoints[0, 0, nose] = (30, 12, 0.9)
    keypoints[0, 0, left_ear] = (36, 9, 0.6)
    keypoints[0, 0, right_ear] = (24, 9, 0.3)
    mapped = map_layout(a_sequence(keypoints), PENN_13)
    assert mapped.layout is PENN_13
    assert mapped.keypoints.dtype == np.float32
    np.testing.assert_allclose(mapped.keypoints[0, 0, 0], (30, 10, 0.6), rtol=1e-6)
    for joint in PENN_13.joints[1:]:
        np.testing.assert_array_equal(
            mapped.keypoints[0, 0, PENN_13.index(joint)], keypoints[0, 0, COCO_17.index(joint)]
        )


@pytest.mark.parametrize(
    ("seen", "head"),
    [
        ({"nose": (30, 12, 0.8), "left_ear": (36, 9, 0.4)}, (33, 10.5, 0.6)),
        ({"right_ear": (24, 9, 0.3)}, (24, 9, 0.3)),
        ({"left_eye": (33, 9, 0.9)}, UNSEEN),  # eyes say little about the middle of the head
        ({}, UNSEEN),
    ],
)
def test_the_head_is_the_mean_of_what_is_seen(seen: dict[str, tuple[float, ...]], head: tuple) -> None:
    keypoints = nobody()
    for joint, place in seen.items():
        keypoints[0, 0, COCO_17.index(joint)] = place
    mapped = map_layout(a_sequence(keypoints), PENN_13)
    np.testing.assert_allclose(mapped.keypoints[0, 0, 0], head, rtol=1e-6)


@given(arrays.arrays(bool, (3, 2, 17)), st.integers(0, 2**32 - 1))
def test_mapping_commutes_with_mirroring(seen: np.ndarray, seed: int) -> None:
    keypoints = nobody(3, 2)
    keypoints[seen] = np.random.default_rng(seed).uniform(0.1, 1, (int(seen.sum()), 3))
    one = map_layout(a_sequence(keypoints[:, :, list(COCO_17.mirror)]), PENN_13).keypoints
    other = map_layout(a_sequence(keypoints), PENN_13).keypoints[:, :, list(PENN_13.mirror)]
    np.testing.assert_allclose(one, other, rtol=1e-5)
    np.testing.assert_array_equal(np.isnan(one).any(-1), one[..., 2] == 0)


@every_layout
def test_a_layout_is_its_own_map(layout: Layout) -> None:
    sequence = a_sequence(nobody(layout=layout), layout)
    assert map_layout(sequence, layout) is sequence


def test_a_mapping_that_cannot_be_says_which_joints_are_missing() -> None:
    expected = (
        r"^layout penn-13 has no nose, left_eye, right_eye, left_ear, right_ear, which coco-17 needs; "
        r"give skeletons that have them, or train on layout penn-13$"
    )
    with pytest.raises(DataError, match=expected):
        map_layout(a_sequence(nobody(layout=PENN_13), PENN_13), COCO_17)
