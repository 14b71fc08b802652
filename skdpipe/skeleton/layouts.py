"""Layouts: the joints of a skeleton and the bones between them, and the layouts that are built in."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from skdpipe.errors import DataError


@dataclass(frozen=True)
class Layout:
    """A named set of joints and bones.

    Attributes:
        name: for instance ``coco-17``.
        joints: joint names in the order of the joint axis; the prefixes ``left_`` and ``right_`` are the
            person's own left and right.
        bones: pairs of joint names, the end nearer to the root first (in any order at equal distance).
        root: the joint where distances along the bones start.
        sigmas: fall-off of the object keypoint similarity for each joint (COCO's constants).
    """

    name: str
    joints: tuple[str, ...]
    bones: tuple[tuple[str, str], ...]
    root: str
    sigmas: tuple[float, ...]

    def __len__(self) -> int:
        return len(self.joints)

    def index(self, joint: str) -> int:
        """Index of a joint, by its name."""
        return self.joints.index(joint)

    @cached_property
    def edges(self) -> tuple[tuple[int, int], ...]:
        """Bones as pairs of joint indices."""
        return tuple((self.index(a), self.index(b)) for a, b in self.bones)

    @cached_property
    def parents(self) -> tuple[int, ...]:
        """For each joint the index of the previous joint on the shortest path from the root.

        If there are two shortest paths, the bone that is listed first is used. The root and joints that are
        not connected to it have themselves as parent.
        """
        root = self.index(self.root)
        parent, reached = {root: root}, [root]
        for joint in reached:  # breadth-first: joints are appended during the loop
            for a, b in self.edges:
                for near, far in ((a, b), (b, a)):
                    if near == joint and far not in parent:
                        parent[far] = joint
                        reached.append(far)
        return tuple(parent.get(joint, joint) for joint in range(len(self)))

    @cached_property
    def mirror(self) -> tuple[int, ...]:
        """For each joint the index of its left-right counterpart (its own index if it has none)."""
        swap = {"left": "right", "right": "left"}

        def counterpart(joint: str) -> str:
            side, _, rest = joint.partition("_")
            return f"{swap[side]}_{rest}" if side in swap else joint

        return tuple(self.index(counterpart(joint)) for joint in self.joints)


# COCO's constants (https://cocodataset.org/#keypoints-eval). COCO has no constants for the joints of the
# second group: each uses the value of the joint at the same position, or of the pair of joints around it.
_SIGMAS = {
    "nose": 0.026, "eye": 0.025, "ear": 0.035, "shoulder": 0.079, "elbow": 0.072, "wrist": 0.062,
    "hip": 0.107, "knee": 0.087, "ankle": 0.089,

    "head": 0.035, "neck": 0.079, "spine_shoulder": 0.079, "shoulder_centre": 0.079,
    "spine_mid": 0.107, "spine": 0.107, "spine_base": 0.107, "hip_centre": 0.107,
    "hand": 0.062, "hand_tip": 0.062, "thumb": 0.062, "foot": 0.089,
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
LAYOUTS = {layout.name: layout for layout in (COCO_17, PENN_13, OPENPOSE_18, NTU_25, KINECT_20)}


def layout_named(name: str) -> Layout:
    """The built-in layout with this name.

    Raises:
        DataError: if there is no such layout.
    """
    if name not in LAYOUTS:
        raise DataError(f"no layout '{name}'; expected one of {', '.join(LAYOUTS)}")
    return LAYOUTS[name]
