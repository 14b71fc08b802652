"""Layouts: what hangs together, what mirrors what, and which joints one layout can give another."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from skdpipe.errors import DataError
from skdpipe.networks.graph import hop_distances
from skdpipe.skeleton import (
    COCO_17,
    KINECT_20,
    LAYOUTS,
    NTU_25,
    OPENPOSE_18,
    PENN_13,
    Layout,
    PoseSequence,
    map_layout,
)

ALL = list(LAYOUTS.values())
# What cannot be had: faces from Kinect's head, hands and feet from wrists and ankles, the middle of a trunk.
MAPS = {
    (COCO_17, PENN_13), (COCO_17, OPENPOSE_18), (OPENPOSE_18, COCO_17), (OPENPOSE_18, PENN_13),
    (NTU_25, PENN_13), (NTU_25, KINECT_20), (KINECT_20, PENN_13),
}  # fmt: skip


def a_sequence(layout: Layout, people: int = 2) -> PoseSequence:
    rng = np.random.default_rng(len(layout))
    keypoints = rng.uniform(0.1, 1, (4, people, len(layout), 3)).astype(np.float32)
    return PoseSequence(keypoints, np.arange(4, dtype=np.int32), 4, layout, 30.0, (640, 480))


def column(sequence: PoseSequence, joint: str) -> np.ndarray:
    return sequence.keypoints[:, :, sequence.layout.index(joint)]


@pytest.mark.parametrize("layout", ALL, ids=lambda layout: layout.name)
def test_all_joints_hang_together_and_mirror_in_pairs(layout: Layout) -> None:
    assert np.isfinite(hop_distances(layout)).all()
    mirror = list(layout.mirror)
    assert [mirror[other] for other in mirror] == list(range(len(layout)))
    bones = {frozenset(edge) for edge in layout.edges}
    assert {frozenset((mirror[a], mirror[b])) for a, b in layout.edges} == bones
    assert len(layout.sigmas) == len(set(layout.joints)) == len(layout)


@pytest.mark.parametrize(("source", "target"), list(product(ALL, ALL)), ids=lambda layout: layout.name)
def test_a_layout_is_mapped_or_refused_by_the_names_of_what_is_missing(
    source: Layout, target: Layout
) -> None:
    sequence = a_sequence(source)
    if source != target and (source, target) not in MAPS:
        with pytest.raises(DataError, match=f"layout {source.name} has no .*, which {target.name} needs"):
            map_layout(sequence, target)
        return
    mapped = map_layout(sequence, target)
    assert mapped.layout == target
    for joint in set(source.joints) & set(target.joints):
        np.testing.assert_array_equal(column(mapped, joint), column(sequence, joint))


def test_there_and_back_joints_stay_what_they_are() -> None:
    sequence = a_sequence(COCO_17)
    back = map_layout(map_layout(sequence, OPENPOSE_18), COCO_17)
    np.testing.assert_array_equal(back.keypoints, sequence.keypoints)


def test_a_neck_lies_between_both_shoulders_or_is_not_seen() -> None:
    sequence = a_sequence(COCO_17, people=1)
    left, right = column(sequence, "left_shoulder"), column(sequence, "right_shoulder")
    right[1] = np.nan, np.nan, 0
    neck = column(map_layout(sequence, OPENPOSE_18), "neck")
    np.testing.assert_allclose(neck[0], (left[0] + right[0]) / 2, rtol=1e-6)
    np.testing.assert_array_equal(neck[1], [[np.nan, np.nan, 0]])


def test_a_head_is_the_mean_of_what_is_seen_of_it() -> None:
    sequence = a_sequence(OPENPOSE_18, people=1)
    column(sequence, "left_ear")[0] = np.nan, np.nan, 0
    head = column(map_layout(sequence, PENN_13), "head")
    seen = [column(sequence, joint) for joint in ("nose", "left_ear", "right_ear")]
    np.testing.assert_allclose(head[0], (seen[0][0] + seen[2][0]) / 2, rtol=1e-6)
    np.testing.assert_allclose(head[1], np.mean(seen, axis=0)[1], rtol=1e-6)


def test_both_kinects_call_the_trunk_otherwise() -> None:
    sequence = a_sequence(NTU_25)
    mapped = map_layout(sequence, KINECT_20)
    for old, new in (
        ("spine_shoulder", "shoulder_centre"),
        ("spine_mid", "spine"),
        ("spine_base", "hip_centre"),
    ):
        np.testing.assert_array_equal(column(mapped, new), column(sequence, old))
