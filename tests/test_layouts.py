"""Built-in layouts are connected, symmetric and have unique names."""

from __future__ import annotations

import numpy as np
import pytest

from skdpipe.errors import DataError
from skdpipe.networks.graph import hop_distances
from skdpipe.skeleton import COCO_17, LAYOUTS, Layout, layout_named

every_layout = pytest.mark.parametrize("layout", LAYOUTS.values(), ids=lambda layout: layout.name)


@every_layout
def test_mirroring_twice_is_the_identity(layout: Layout) -> None:
    mirror = np.array(layout.mirror)
    np.testing.assert_array_equal(mirror[mirror], np.arange(len(layout)))


@every_layout
def test_left_mirrors_right_and_middle_joints_mirror_themselves(layout: Layout) -> None:
    for joint, other in zip(layout.joints, (layout.joints[index] for index in layout.mirror), strict=True):
        if joint.startswith("face_"):  # numbered; the first 17 run from ear to ear
            number = int(joint.removeprefix("face_"))
            assert number > 16 or other == f"face_{16 - number}"
            continue
        assert other == joint.replace("left", "?").replace("right", "left").replace("?", "right")


@every_layout
def test_the_mirror_image_of_a_bone_is_a_bone(layout: Layout) -> None:
    bones = {frozenset(edge) for edge in layout.edges}
    assert {frozenset(layout.mirror[end] for end in bone) for bone in bones} == bones
    assert len(bones) == len(layout.bones)


@every_layout
def test_all_joints_are_connected_and_bones_lead_away_from_the_root(layout: Layout) -> None:
    distances = hop_distances(layout)
    assert np.isfinite(distances).all()
    to_root = distances[layout.index(layout.root)]
    assert all(to_root[near] <= to_root[far] for near, far in layout.edges)


@every_layout
def test_a_parent_is_one_bone_nearer_to_the_root(layout: Layout) -> None:
    to_root = hop_distances(layout)[layout.index(layout.root)]
    bones = {frozenset(edge) for edge in layout.edges}
    for joint, parent in enumerate(layout.parents):
        if joint == layout.index(layout.root):
            assert parent == joint
        else:
            assert frozenset((joint, parent)) in bones
            assert to_root[parent] == to_root[joint] - 1


@every_layout
def test_joint_names_are_unique_and_sigmas_symmetric(layout: Layout) -> None:
    assert len(set(layout.joints)) == len(layout) == len(layout.sigmas)
    assert all(sigma > 0 for sigma in layout.sigmas)
    for joint, sigma, other in zip(layout.joints, layout.sigmas, layout.mirror, strict=True):
        # COCO-WholeBody measured each joint of the face on its own
        assert layout.sigmas[other] == sigma or joint.startswith("face_")
    assert layout_named(layout.name) is layout


def test_the_coco_joints_are_in_cocos_order() -> None:
    assert COCO_17.joints[:5] == ("nose", "left_eye", "right_eye", "left_ear", "right_ear")
    assert COCO_17.joints[15:] == ("left_ankle", "right_ankle")
    assert (COCO_17.sigmas[0], COCO_17.sigmas[11], COCO_17.sigmas[16]) == (0.026, 0.107, 0.089)


def test_the_error_for_an_unknown_layout_lists_the_known_ones() -> None:
    with pytest.raises(
        DataError,
        match=r"^no layout 'coco-18'; expected one of coco-17, penn-13, openpose-18, ntu-25, ",
    ):
        layout_named("coco-18")
