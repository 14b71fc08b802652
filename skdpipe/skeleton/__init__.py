"""Skeletons: layouts, pose sequences, people and transforms; without torch."""

from skdpipe.skeleton.builtin_layouts import (
    BODY_25,
    COCO_17,
    H36M_17,
    KINECT_20,
    LAYOUTS,
    NTU_25,
    OPENPOSE_18,
    PENN_13,
    layout_named,
    layouts_with,
)
from skdpipe.skeleton.layouts import Layout, describe_layout
from skdpipe.skeleton.mapping import map_layout
from skdpipe.skeleton.sequence import (
    SPLITS,
    TEST_SPLITS,
    UNSEEN,
    Keypoints,
    Origin,
    PoseSequence,
    clip_key,
    hide,
    is_seen,
    unseen_joint,
)

__all__ = [
    "BODY_25",
    "COCO_17",
    "H36M_17",
    "KINECT_20",
    "LAYOUTS",
    "NTU_25",
    "OPENPOSE_18",
    "PENN_13",
    "SPLITS",
    "TEST_SPLITS",
    "UNSEEN",
    "Keypoints",
    "Layout",
    "Origin",
    "PoseSequence",
    "clip_key",
    "describe_layout",
    "hide",
    "is_seen",
    "layout_named",
    "layouts_with",
    "map_layout",
    "unseen_joint",
]
