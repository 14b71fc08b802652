"""The layouts that are built in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Final

from skdpipe.config import LayoutDescription, read_layout
from skdpipe.errors import DataError
from skdpipe.skeleton.layouts import Layout, layout_from, side_pairs

# COCO's constants (https://cocodataset.org/#keypoints-eval). COCO has no constants for the joints of the
# second group: each uses the value of the joint at the same position, or of the pair of joints around it.
# Those of toes and heels are COCO-WholeBody's.
_SIGMAS = {
    "nose": 0.026, "eye": 0.025, "ear": 0.035, "shoulder": 0.079, "elbow": 0.072, "wrist": 0.062,
    "hip": 0.107, "knee": 0.087, "ankle": 0.089,

    "head": 0.035, "neck": 0.079, "spine_shoulder": 0.079, "shoulder_centre": 0.079,
    "spine_mid": 0.107, "spine": 0.107, "spine_base": 0.107, "hip_centre": 0.107,
    "hand": 0.062, "hand_tip": 0.062, "thumb": 0.062, "foot": 0.089,
    "head_top": 0.035, "upper_neck": 0.079, "thorax": 0.079, "belly": 0.107, "face": 0.035,
    "foot_index": 0.089, "pinky": 0.062, "index": 0.062,
    "mouth": 0.025, "eye_inner": 0.025, "eye_outer": 0.025,

    "big_toe": 0.068, "small_toe": 0.066, "heel": 0.092,
}  # fmt: skip


def _layout(name: str, joints: str, bones: str, root: str) -> Layout:
    names = tuple(joints.split())
    pairs = tuple((a, b) for a, b in (bone.split("-") for bone in bones.split()))
    sigmas = tuple(_SIGMAS[joint.removeprefix("left_").removeprefix("right_")] for joint in names)
    return Layout(name, names, pairs, root, sigmas)


COCO_17 = _layout(
    "coco-17",
    "nose left_eye right_eye left_ear right_ear left_shoulder right_shoulder left_elbow right_elbow "
    "left_wrist right_wrist left_hip right_hip left_knee right_knee left_ankle right_ankle",
    "nose-left_eye nose-right_eye left_eye-right_eye left_eye-left_ear right_eye-right_ear "
    "left_ear-left_shoulder right_ear-right_shoulder left_shoulder-right_shoulder "
    "left_shoulder-left_elbow left_elbow-left_wrist right_shoulder-right_elbow right_elbow-right_wrist "
    "left_shoulder-left_hip right_shoulder-right_hip left_hip-right_hip "
    "left_hip-left_knee left_knee-left_ankle right_hip-right_knee right_knee-right_ankle",
    root="nose",
)
PENN_13 = _layout(
    "penn-13",
    "head left_shoulder right_shoulder left_elbow right_elbow left_wrist right_wrist "
    "left_hip right_hip left_knee right_knee left_ankle right_ankle",
    "head-left_shoulder head-right_shoulder left_shoulder-right_shoulder "
    "left_shoulder-left_elbow left_elbow-left_wrist right_shoulder-right_elbow right_elbow-right_wrist "
    "left_shoulder-left_hip right_shoulder-right_hip left_hip-right_hip "
    "left_hip-left_knee left_knee-left_ankle right_hip-right_knee right_knee-right_ankle",
    root="head",
)
# Joint order, bones and root of the next three layouts are those of the graphs released with ST-GCN
# (openpose, ntu-rgb+d) and CTR-GCN (ucla). OpenPose's neck is midway between the shoulders, Kinect's above.
OPENPOSE_18 = _layout(
    "openpose-18",
    "nose neck right_shoulder right_elbow right_wrist left_shoulder left_elbow left_wrist "
    "right_hip right_knee right_ankle left_hip left_knee left_ankle right_eye left_eye right_ear left_ear",
    "neck-nose nose-right_eye nose-left_eye right_eye-right_ear left_eye-left_ear "
    "neck-right_shoulder right_shoulder-right_elbow right_elbow-right_wrist "
    "neck-left_shoulder left_shoulder-left_elbow left_elbow-left_wrist "
    "right_shoulder-right_hip right_hip-right_knee right_knee-right_ankle "
    "left_shoulder-left_hip left_hip-left_knee left_knee-left_ankle",
    root="neck",
)
NTU_25 = _layout(
    "ntu-25",
    "spine_base spine_mid neck head left_shoulder left_elbow left_wrist left_hand "
    "right_shoulder right_elbow right_wrist right_hand left_hip left_knee left_ankle left_foot "
    "right_hip right_knee right_ankle right_foot spine_shoulder "
    "left_hand_tip left_thumb right_hand_tip right_thumb",
    "spine_shoulder-neck neck-head spine_shoulder-spine_mid spine_mid-spine_base "
    "spine_shoulder-left_shoulder left_shoulder-left_elbow left_elbow-left_wrist left_wrist-left_hand "
    "left_hand-left_thumb left_thumb-left_hand_tip "
    "spine_shoulder-right_shoulder right_shoulder-right_elbow right_elbow-right_wrist right_wrist-right_hand "
    "right_hand-right_thumb right_thumb-right_hand_tip "
    "spine_base-left_hip left_hip-left_knee left_knee-left_ankle left_ankle-left_foot "
    "spine_base-right_hip right_hip-right_knee right_knee-right_ankle right_ankle-right_foot",
    root="spine_shoulder",
)
KINECT_20 = _layout(
    "kinect-20",
    "hip_centre spine shoulder_centre head left_shoulder left_elbow left_wrist left_hand "
    "right_shoulder right_elbow right_wrist right_hand left_hip left_knee left_ankle left_foot "
    "right_hip right_knee right_ankle right_foot",
    "shoulder_centre-head shoulder_centre-spine spine-hip_centre "
    "shoulder_centre-left_shoulder left_shoulder-left_elbow left_elbow-left_wrist left_wrist-left_hand "
    "shoulder_centre-right_shoulder right_shoulder-right_elbow right_elbow-right_wrist "
    "right_wrist-right_hand "
    "hip_centre-left_hip left_hip-left_knee left_knee-left_ankle left_ankle-left_foot "
    "hip_centre-right_hip right_hip-right_knee right_knee-right_ankle right_ankle-right_foot",
    root="shoulder_centre",
)
# OpenPose's BODY_25 (doc/02_output.md), its root as in OPENPOSE_18.
BODY_25 = _layout(
    "body-25",
    "nose neck right_shoulder right_elbow right_wrist left_shoulder left_elbow left_wrist hip_centre "
    "right_hip right_knee right_ankle left_hip left_knee left_ankle right_eye left_eye right_ear left_ear "
    "left_big_toe left_small_toe left_heel right_big_toe right_small_toe right_heel",
    "neck-nose nose-right_eye nose-left_eye right_eye-right_ear left_eye-left_ear "
    "neck-right_shoulder right_shoulder-right_elbow right_elbow-right_wrist "
    "neck-left_shoulder left_shoulder-left_elbow left_elbow-left_wrist neck-hip_centre "
    "hip_centre-right_hip right_hip-right_knee right_knee-right_ankle "
    "hip_centre-left_hip left_hip-left_knee left_knee-left_ankle "
    "left_ankle-left_big_toe left_big_toe-left_small_toe left_ankle-left_heel "
    "right_ankle-right_big_toe right_big_toe-right_small_toe right_ankle-right_heel",
    root="neck",
)
# Jhuang et al., "Towards understanding action recognition", ICCV 2013: the joints of the puppet.
JHMDB_15 = _layout(
    "jhmdb-15",
    "neck belly face right_shoulder left_shoulder right_hip left_hip right_elbow left_elbow "
    "right_knee left_knee right_wrist left_wrist right_ankle left_ankle",
    "neck-face neck-belly neck-right_shoulder right_shoulder-right_elbow right_elbow-right_wrist "
    "neck-left_shoulder left_shoulder-left_elbow left_elbow-left_wrist "
    "belly-right_hip right_hip-right_knee right_knee-right_ankle "
    "belly-left_hip left_hip-left_knee left_knee-left_ankle",
    root="neck",
)
# Human3.6M's 17 joints, in the order of VideoPose3D. Joint 9, its "neck/nose", is the upper end of the neck.
H36M_17 = _layout(
    "h36m-17",
    "hip_centre right_hip right_knee right_ankle left_hip left_knee left_ankle spine thorax upper_neck "
    "head_top left_shoulder left_elbow left_wrist right_shoulder right_elbow right_wrist",
    "hip_centre-right_hip right_hip-right_knee right_knee-right_ankle "
    "hip_centre-left_hip left_hip-left_knee left_knee-left_ankle "
    "hip_centre-spine spine-thorax thorax-upper_neck upper_neck-head_top "
    "thorax-left_shoulder left_shoulder-left_elbow left_elbow-left_wrist "
    "thorax-right_shoulder right_shoulder-right_elbow right_elbow-right_wrist",
    root="hip_centre",
)
# Andriluka et al., "2D Human Pose Estimation", CVPR 2014; the centre of the hips is its pelvis.
MPII_16 = _layout(
    "mpii-16",
    "right_ankle right_knee right_hip left_hip left_knee left_ankle hip_centre thorax upper_neck head_top "
    "right_wrist right_elbow right_shoulder left_shoulder left_elbow left_wrist",
    "thorax-hip_centre hip_centre-right_hip right_hip-right_knee right_knee-right_ankle "
    "hip_centre-left_hip left_hip-left_knee left_knee-left_ankle thorax-upper_neck upper_neck-head_top "
    "thorax-right_shoulder right_shoulder-right_elbow right_elbow-right_wrist "
    "thorax-left_shoulder left_shoulder-left_elbow left_elbow-left_wrist",
    root="thorax",
)
# Bazarevsky et al., "BlazePose", 2020, as MediaPipe's pose landmarks.
BLAZEPOSE_33 = _layout(
    "blazepose-33",
    "nose left_eye_inner left_eye left_eye_outer right_eye_inner right_eye right_eye_outer left_ear "
    "right_ear left_mouth right_mouth left_shoulder right_shoulder left_elbow right_elbow "
    "left_wrist right_wrist "
    "left_pinky right_pinky left_index right_index left_thumb right_thumb left_hip right_hip "
    "left_knee right_knee left_ankle right_ankle left_heel right_heel left_foot_index right_foot_index",
    "nose-left_eye_inner left_eye_inner-left_eye left_eye-left_eye_outer left_eye_outer-left_ear "
    "nose-right_eye_inner right_eye_inner-right_eye right_eye-right_eye_outer right_eye_outer-right_ear "
    "nose-left_mouth nose-right_mouth left_mouth-right_mouth "
    "left_mouth-left_shoulder right_mouth-right_shoulder left_shoulder-right_shoulder "
    "left_shoulder-left_elbow left_elbow-left_wrist left_wrist-left_pinky left_wrist-left_index "
    "left_index-left_pinky left_wrist-left_thumb right_shoulder-right_elbow right_elbow-right_wrist "
    "right_wrist-right_pinky right_wrist-right_index right_index-right_pinky right_wrist-right_thumb "
    "left_shoulder-left_hip right_shoulder-right_hip left_hip-right_hip "
    "left_hip-left_knee left_knee-left_ankle left_ankle-left_heel left_heel-left_foot_index "
    "right_hip-right_knee right_knee-right_ankle right_ankle-right_heel right_heel-right_foot_index",
    root="nose",
)

# Face and hands -------------------------------------------------------------------------------

# The 68 landmarks of iBUG's 300-W, linked from the tip of the nose (30) outwards and, so that both sides have
# the same links, down the middle of the face to the chin (8); and the pairs that a mirror exchanges.
_FACE_CHAINS = (
    (30, 29, 28, 27), (27, 21, 20, 19, 18, 17, 0, 1, 2, 3), (27, 22, 23, 24, 25, 26, 16, 15, 14, 13),
    (27, 39, 38, 37, 36), (39, 40, 41, 36), (27, 42, 43, 44, 45), (42, 47, 46, 45),
    (30, 33, 32, 31), (33, 34, 35), (33, 51, 62, 66, 57, 8),
    (51, 50, 49, 48, 59), (51, 52, 53, 54, 55), (57, 58, 59), (57, 56, 55),
    (62, 61, 60), (62, 63, 64), (66, 67, 60), (66, 65, 64),
    (8, 7, 6, 5, 4, 3), (8, 9, 10, 11, 12, 13),
)  # fmt: skip
_FACE_PAIRS = (
    *((i, 16 - i) for i in range(8)), *((i, 43 - i) for i in range(17, 22)), (31, 35), (32, 34),
    (36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46),
    (48, 54), (49, 53), (50, 52), (55, 59), (56, 58), (60, 64), (61, 63), (65, 67),
)  # fmt: skip
_FINGERS = ("thumb", "forefinger", "middle_finger", "ring_finger", "pinky_finger")
# The constants of COCO-WholeBody (Jin et al., "Whole-Body Human Pose Estimation in the Wild", ECCV 2020).
_FACE_SIGMAS = (
    0.042, 0.043, 0.044, 0.043, 0.040, 0.035, 0.031, 0.025, 0.020, 0.023, 0.029, 0.032, 0.037, 0.038, 0.043,
    0.041, 0.045, 0.013, 0.012, 0.011, 0.011, 0.012, 0.012, 0.011, 0.011, 0.013, 0.015, 0.009, 0.007, 0.007,
    0.007, 0.012, 0.009, 0.008, 0.016, 0.010, 0.017, 0.011, 0.009, 0.011, 0.009, 0.007, 0.013, 0.008, 0.011,
    0.012, 0.010, 0.034, 0.008, 0.008, 0.009, 0.008, 0.008, 0.007, 0.010, 0.008, 0.009, 0.009, 0.009, 0.007,
    0.007, 0.008, 0.011, 0.008, 0.008, 0.008, 0.010, 0.008,
)  # fmt: skip
_HAND_SIGMAS = (
    0.029, 0.022, 0.035, 0.037, 0.047, 0.026, 0.025, 0.024, 0.035, 0.018, 0.024, 0.022, 0.026, 0.017, 0.021,
    0.021, 0.032, 0.020, 0.019, 0.022, 0.031,
)  # fmt: skip


def _with_face_and_hands(name: str, body: Layout) -> Layout:
    """A layout of the body, then 68 joints of the face, 21 of the left and 21 of the right hand."""
    face = tuple(f"face_{number}" for number in range(68))
    hands = [tuple(_hand_joints(side)) for side in ("left", "right")]
    joints = (*body.joints, *face, *hands[0], *hands[1])
    bones = (
        *body.bones,
        ("nose", "face_30"),
        *((face[a], face[b]) for chain in _FACE_CHAINS for a, b in pairwise(chain)),
        *(bone for side in ("left", "right") for bone in _hand_bones(side)),
    )
    sigmas = (*body.sigmas, *_FACE_SIGMAS, *_HAND_SIGMAS, *_HAND_SIGMAS)
    pairs = (*side_pairs(joints), *((face[a], face[b]) for a, b in _FACE_PAIRS))
    return Layout(name, joints, bones, body.root, sigmas, pairs)


def _hand_joints(side: str) -> Iterator[str]:
    yield f"{side}_hand_root"
    yield from (f"{side}_{finger}{number}" for finger in _FINGERS for number in range(1, 5))


def _hand_bones(side: str) -> Iterator[tuple[str, str]]:
    yield f"{side}_wrist", f"{side}_hand_root"
    for finger in _FINGERS:
        chain = (f"{side}_hand_root", *(f"{side}_{finger}{number}" for number in range(1, 5)))
        yield from pairwise(chain)


_FEET = (
    "left_ankle-left_big_toe left_big_toe-left_small_toe left_ankle-left_heel "
    "right_ankle-right_big_toe right_big_toe-right_small_toe right_ankle-right_heel"
)
COCO_WHOLEBODY_133 = _with_face_and_hands(
    "coco-wholebody-133",
    _layout(
        "body and feet",
        " ".join(COCO_17.joints)
        + " left_big_toe left_small_toe left_heel right_big_toe right_small_toe right_heel",
        " ".join("-".join(bone) for bone in COCO_17.bones) + " " + _FEET,
        root=COCO_17.root,
    ),
)
# Halpe Full-Body (Fang et al., "AlphaPose", TPAMI 2022): its head is the top, its hip the middle.
HALPE_26 = _layout(
    "halpe-26",
    " ".join(COCO_17.joints) + " head_top neck hip_centre "
    "left_big_toe right_big_toe left_small_toe right_small_toe left_heel right_heel",
    "neck-nose nose-head_top nose-left_eye nose-right_eye left_eye-left_ear right_eye-right_ear "
    "neck-left_shoulder left_shoulder-left_elbow left_elbow-left_wrist "
    "neck-right_shoulder right_shoulder-right_elbow right_elbow-right_wrist neck-hip_centre "
    "hip_centre-left_hip left_hip-left_knee left_knee-left_ankle "
    "hip_centre-right_hip right_hip-right_knee right_knee-right_ankle " + _FEET,
    root="neck",
)
HALPE_136 = _with_face_and_hands("halpe-136", HALPE_26)

LAYOUTS: Final = {
    layout.name: layout
    for layout in (
        COCO_17, PENN_13, OPENPOSE_18, NTU_25, KINECT_20, BODY_25, COCO_WHOLEBODY_133, HALPE_26, HALPE_136,
        BLAZEPOSE_33, JHMDB_15, H36M_17, MPII_16,
    )
}  # fmt: skip
# The coordinates with which layouts are in use whose number of joints others have too.
_COORDINATES: Final = {COCO_17.name: {2}, H36M_17.name: {3}, BODY_25.name: {2}}


def layout_named(name: str | LayoutDescription) -> Layout:
    """The layout of that name: a built-in one, or the path of a YAML file that describes one.

    Args:
        name: the name, the path, or the description itself.

    Raises:
        DataError: if there is no such layout.
        ConfigError: if the file cannot be read or does not describe a layout.
    """
    description = read_layout(name)
    if isinstance(description, LayoutDescription):
        if description.name in LAYOUTS and _layout_of(description) != LAYOUTS[description.name]:
            raise DataError(
                f"layout '{description.name}' is built in with other joints or bones; rename yours"
            )
        return _layout_of(description)
    if description not in LAYOUTS:
        raise DataError(
            f"no layout '{description!s:.60}'; expected one of {', '.join(LAYOUTS)}, or a YAML file"
        )
    return LAYOUTS[description]


@lru_cache
def _layout_of(description: LayoutDescription) -> Layout:
    return layout_from(description)


def layouts_with(joints: int, coordinates: int) -> Sequence[Layout]:
    """The built-in layouts with that number of joints that are in use with two or three coordinates."""
    return [
        layout
        for layout in LAYOUTS.values()
        if len(layout) == joints and coordinates in _COORDINATES.get(layout.name, {2, 3})
    ]
