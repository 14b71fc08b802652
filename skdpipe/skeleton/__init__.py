"""Skeletons: layouts, pose sequences, people and transforms; numpy alone."""

from skdpipe.skeleton.layouts import (
    COCO_17,
    KINECT_20,
    LAYOUTS,
    NTU_25,
    OPENPOSE_18,
    PENN_13,
    Layout,
    layout_named,
)
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
    "COCO_17",
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
    "hide",
    "is_seen",
    "layout_named",
    "map_layout",
    "unseen_joint",
]
