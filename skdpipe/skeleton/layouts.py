"""Layouts: the joints of a skeleton and the bones between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from skdpipe.config import LayoutDescription


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
        pairs: the joints that a mirror exchanges; None: each ``left_`` joint with its ``right_`` joint.
    """

    name: str
    joints: tuple[str, ...]
    bones: tuple[tuple[str, str], ...]
    root: str
    sigmas: tuple[float, ...]
    pairs: tuple[tuple[str, str], ...] | None = None

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
        pairs = side_pairs(self.joints) if self.pairs is None else self.pairs
        counterpart = dict(pairs) | {right: left for left, right in pairs}
        return tuple(self.index(counterpart.get(joint, joint)) for joint in self.joints)


def side_pairs(joints: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """The pairs of joints whose names differ only in ``left_`` and ``right_``."""
    rights = [joint.replace("left_", "right_", 1) for joint in joints if joint.startswith("left_")]
    return tuple((joint.replace("right_", "left_", 1), joint) for joint in rights if joint in joints)


def layout_from(description: LayoutDescription) -> Layout:
    """The layout that a file describes."""
    sigmas = description.sigmas
    return Layout(
        description.name,
        description.joints,
        description.bones,
        description.root,
        tuple(sigmas.get(joint, description.default_sigma) for joint in description.joints),
        description.pairs,
    )


def describe_layout(layout: Layout) -> LayoutDescription:
    """A layout as a file describes it; the inverse of `layout_from`."""
    sigmas = dict(zip(layout.joints, layout.sigmas, strict=True))
    return LayoutDescription(layout.name, layout.joints, layout.bones, layout.root, layout.pairs, sigmas)
