"""Mapped joints keep their names; missing joints are the mean of others, or the mapping is an error."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sequences import make_sequence

from skdpipe.errors import DataError
from skdpipe.skeleton import (
    COCO_17,
    KINECT_20,
    LAYOUTS,
    NTU_25,
    OPENPOSE_18,
    PENN_13,
    UNSEEN,
    Layout,
    PoseSequence,
    is_seen,
    map_layout,
)

ALL = list(LAYOUTS.values())
# Not possible: faces from Kinect's head, hands and feet from wrists and ankles, the middle of a trunk.
POSSIBLE = {
    "coco-17": "penn-13 openpose-18",
    "openpose-18": "coco-17 penn-13",
    "ntu-25": "penn-13 kinect-20 jhmdb-15",
    "kinect-20": "penn-13 jhmdb-15",
    "body-25": "coco-17 penn-13 openpose-18",
    "coco-wholebody-133": "coco-17 penn-13 openpose-18 body-25",
    "halpe-26": "coco-17 penn-13 openpose-18 body-25",
    "halpe-136": "coco-17 penn-13 openpose-18 body-25 coco-wholebody-133 halpe-26",
    "blazepose-33": "coco-17 penn-13 openpose-18",
    "jhmdb-15": "penn-13",
    "h36m-17": "penn-13 mpii-16",
    "mpii-16": "penn-13",
}


def random_sequence(layout: Layout, people: int = 2) -> PoseSequence:
    rng = np.random.default_rng(len(layout))
    return make_sequence(rng.uniform(0.1, 1, (4, people, len(layout), 3)), layout)


def unseen_people(frames: int = 1, people: int = 1, layout: Layout = COCO_17) -> np.ndarray:
    return np.tile(UNSEEN, (frames, people, len(layout), 1))


def column(sequence: PoseSequence, joint: str) -> np.ndarray:
    return sequence.keypoints[:, :, sequence.layout.index(joint)]


@pytest.mark.parametrize(("source", "target"), list(product(ALL, ALL)), ids=lambda layout: layout.name)
def test_a_layout_is_mapped_or_the_error_contains_the_missing_joints(source: Layout, target: Layout) -> None:
    sequence = random_sequence(source)
    if source != target and target.name not in POSSIBLE.get(source.name, "").split():
        with pytest.raises(DataError, match=f"layout {source.name} has no .*, which {target.name} needs"):
            map_layout(sequence, target)
        return
    mapped = map_layout(sequence, target)
    assert mapped.layout == target
    for joint in set(source.joints) & set(target.joints):
        np.testing.assert_array_equal(column(mapped, joint), column(sequence, joint))


@pytest.mark.parametrize("layout", ALL, ids=lambda layout: layout.name)
def test_mapping_to_the_same_layout_returns_the_same_sequence(layout: Layout) -> None:
    sequence = random_sequence(layout)
    assert map_layout(sequence, layout) is sequence


def test_the_error_for_an_impossible_mapping_lists_the_missing_joints() -> None:
    expected = (
        r"^layout penn-13 has no nose, left_eye, right_eye, left_ear, right_ear, which coco-17 needs; "
        r"provide skeletons that have them, or train on layout penn-13$"
    )
    with pytest.raises(DataError, match=expected):
        map_layout(random_sequence(PENN_13), COCO_17)


def test_mapping_to_openpose_and_back_is_the_identity() -> None:
    sequence = random_sequence(COCO_17)
    back = map_layout(map_layout(sequence, OPENPOSE_18), COCO_17)
    np.testing.assert_array_equal(back.keypoints, sequence.keypoints)


def test_coco_is_mapped_to_penn_by_name_and_the_head_is_the_mean_of_ears_and_nose() -> None:
    keypoints = np.arange(17 * 3, dtype=np.float32).reshape(1, 1, 17, 3) + 1
    keypoints[..., 2] = 0.9
    nose, left_ear, right_ear = (COCO_17.index(joint) for joint in ("nose", "left_ear", "right_ear"))
    keypoints[0, 0, nose] = (30, 12, 0.9)
    keypoints[0, 0, left_ear] = (36, 9, 0.6)
    keypoints[0, 0, right_ear] = (24, 9, 0.3)
    mapped = map_layout(make_sequence(keypoints), PENN_13)
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
        ({"left_eye": (33, 9, 0.9)}, UNSEEN),  # eyes are not used: they are off the middle of the head
        ({}, UNSEEN),
    ],
)
def test_the_head_is_the_mean_of_the_seen_joints(seen: dict[str, tuple[float, ...]], head: tuple) -> None:
    keypoints = unseen_people()
    for joint, values in seen.items():
        keypoints[0, 0, COCO_17.index(joint)] = values
    mapped = map_layout(make_sequence(keypoints), PENN_13)
    np.testing.assert_allclose(mapped.keypoints[0, 0, 0], head, rtol=1e-6)


def test_the_head_of_openpose_is_the_mean_of_the_seen_joints() -> None:
    sequence = random_sequence(OPENPOSE_18, people=1)
    column(sequence, "left_ear")[0] = UNSEEN
    head = column(map_layout(sequence, PENN_13), "head")
    seen = [column(sequence, joint) for joint in ("nose", "left_ear", "right_ear")]
    np.testing.assert_allclose(head[0], (seen[0][0] + seen[2][0]) / 2, rtol=1e-6)
    np.testing.assert_allclose(head[1], np.mean(seen, axis=0)[1], rtol=1e-6)


def test_the_neck_is_the_mean_of_both_shoulders_or_unseen() -> None:
    sequence = random_sequence(COCO_17, people=1)
    left, right = column(sequence, "left_shoulder"), column(sequence, "right_shoulder")
    right[1] = UNSEEN
    neck = column(map_layout(sequence, OPENPOSE_18), "neck")
    np.testing.assert_allclose(neck[0], (left[0] + right[0]) / 2, rtol=1e-6)
    np.testing.assert_array_equal(neck[1], [UNSEEN])


def test_kinect_v1_and_v2_have_different_names_for_the_trunk() -> None:
    sequence = random_sequence(NTU_25)
    mapped = map_layout(sequence, KINECT_20)
    for old, new in (
        ("spine_shoulder", "shoulder_centre"),
        ("spine_mid", "spine"),
        ("spine_base", "hip_centre"),
    ):
        np.testing.assert_array_equal(column(mapped, new), column(sequence, old))


@given(arrays.arrays(bool, (3, 2, 17)), st.integers(0, 2**32 - 1))
def test_mapping_commutes_with_mirroring(seen: np.ndarray, seed: int) -> None:
    keypoints = unseen_people(3, 2)
    keypoints[seen] = np.random.default_rng(seed).uniform(0.1, 1, (int(seen.sum()), 3))
    one = map_layout(make_sequence(keypoints[:, :, list(COCO_17.mirror)]), PENN_13).keypoints
    other = map_layout(make_sequence(keypoints), PENN_13).keypoints[:, :, list(PENN_13.mirror)]
    np.testing.assert_allclose(one, other, rtol=1e-5)
    np.testing.assert_array_equal(np.isnan(one).any(-1), ~is_seen(one))
