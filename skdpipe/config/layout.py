"""Layouts of joints that users describe in YAML."""

from __future__ import annotations

from dataclasses import field
from pathlib import Path
from typing import Annotated, Final

from pydantic import Field, PositiveFloat
from pydantic.dataclasses import dataclass

from skdpipe.config.load import load_config, parse_config
from skdpipe.config.values import STRICT

MOST_JOINTS: Final = 1000

Joints = Annotated[tuple[str, ...], Field(min_length=1, max_length=MOST_JOINTS)]
Pairs = Annotated[tuple[tuple[str, str], ...], Field(max_length=2 * MOST_JOINTS)]


@dataclass(frozen=True, config=STRICT)
class LayoutDescription:
    """The joints of a skeleton and the bones between them.

    Attributes:
        name: name of the layout.
        joints: joint names in the order of the data; left and right are the person's own.
        bones: pairs of joint names, which connect all joints.
        root: the joint where distances along the bones start, for instance the neck.
        pairs: pairs of left and right joints, which a mirror exchanges; by default each joint ``left_...``
            with ``right_...``.
        sigmas: fall-off of the object keypoint similarity by joint name, as defined by COCO.
        default_sigma: the same for joints that ``sigmas`` does not contain.
    """

    name: str
    joints: Joints
    bones: Pairs
    root: str
    pairs: Pairs | None = None
    sigmas: dict[str, PositiveFloat] = field(default_factory=dict)
    default_sigma: PositiveFloat = 0.08

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise ValueError("a layout should have a name")
        twice = sorted({joint for joint in self.joints if self.joints.count(joint) > 1})
        if twice or any(len(joint.split()) != 1 for joint in self.joints):
            found = f"found {twice[0]:.40} twice" if twice else "found a space in a name, or an empty name"
            raise ValueError(f"joints should have different names without spaces ({found})")
        named = {
            self.root,
            *(joint for pair in (*self.bones, *(self.pairs or ())) for joint in pair),
            *self.sigmas,
        }
        if unknown := sorted(named - set(self.joints)):
            raise ValueError(
                f"root, bones, pairs and sigmas should name joints ({unknown[0]:.40} is none of them)"
            )
        paired = [joint for pair in self.pairs or () for joint in pair]
        if len(paired) != len(set(paired)):
            raise ValueError("a joint should be in one pair only")
        if apart := sorted(set(self.joints) - self._connected()):
            raise ValueError(
                f"bones should connect all joints ({apart[0]:.40} is not connected to {self.root:.40})"
            )

    def _connected(self) -> set[str]:
        """The joints that are connected to the root."""
        reached = {self.root}
        while grown := {joint for bone in self.bones if reached & {*bone} for joint in bone} - reached:
            reached |= grown
        return reached

    def __hash__(self) -> int:
        return hash((self.name, self.joints, self.bones))


def read_layout(name: object) -> object:
    """A layout given as the path of a YAML file, or as a group of settings; names are returned as they are.

    Raises:
        ConfigError: if the file cannot be read or does not describe a layout.
    """
    if isinstance(name, dict):
        return parse_config(LayoutDescription, name, "layout")
    is_path = isinstance(name, str) and Path(name).suffix.lower() in {".yaml", ".yml"}
    return load_config(LayoutDescription, Path(str(name))) if is_path else name
