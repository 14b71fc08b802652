"""Settings of a network and of its input."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, Field
from pydantic.dataclasses import dataclass

from skdpipe.config.layout import LayoutDescription, read_layout
from skdpipe.config.values import STRICT, BelowOne, Frames, People, Window

Stream = Literal["joint", "bone", "joint_motion", "bone_motion"]

_LARGEST_CLIP: Final = 20_000  # frames times people; the paper has 300 times 2


@dataclass(frozen=True, config=STRICT)
class ClipFormat:
    """How a pose sequence becomes the input of a network.

    Attributes:
        frames: length of the input in frames.
        fill: ``resample`` interpolates the sequence to that length, ``replay`` repeats it from the start or
            cuts it.
        people: number of people in the input; the most confident ones are used.
        layout: joint layout of the input: a name of `skdpipe layouts`, for instance ``coco-17``, or the path
            of a YAML file that describes one.
        scale: normalisation of the coordinates: ``body`` centres on the people and divides by their size,
            ``image`` divides by the size of the frame, ``root`` puts the layout's root into the origin and
            keeps the unit, as usual for three coordinates.
        smoothing: window of the sliding average in frames, an odd number; 1 switches it off.
        missing: a joint that is not seen in a frame is ``zero``, or gets the position that is interpolated
            between the frames in which it is seen (``interpolate``).
        stream: input features: joint positions, bone vectors, or the frame-to-frame motion of either.
        coordinates: 2 for x and y, 3 for x, y and z; by default those of the skeletons in the cache, which
            may be three in high and two in low quality.
        align: rotate three coordinates so that in the first frame the spine of the first person points up and
            its shoulders lie along x; two coordinates are never rotated.
    """

    frames: Frames = 32
    fill: Literal["resample", "replay"] = "resample"
    people: People = 2
    layout: Annotated[str | LayoutDescription, BeforeValidator(read_layout)] = "coco-17"
    scale: Literal["body", "image", "root"] = "body"
    smoothing: Window = 1
    missing: Literal["zero", "interpolate"] = "zero"
    stream: Stream = "joint"
    coordinates: Literal[2, 3] | None = None
    align: bool = False

    def __post_init__(self) -> None:
        if self.frames * self.people > _LARGEST_CLIP:
            raise ValueError(f"frames times people should be at most {_LARGEST_CLIP}: memory grows with them")

    @property
    def channels(self) -> int:
        """Number of channels of the input: the coordinates and the confidence."""
        return (self.coordinates or 2) + 1


@dataclass(frozen=True, config=STRICT)
class NetworkChoice:
    """Which graph network.

    Attributes:
        name: architecture; ``agcn`` is one stream of 2s-AGCN. ``auto`` chooses network, width and dropout by
            the number of training clips; the student's ``auto`` is the teacher's network.
        partitioning: partition strategy of the graph in the ST-GCN family; other networks ignore it.
        width: number of channels of the first blocks; the published networks have 64, MS-G3D has 96.
        dropout: dropout probability.
        confidence: whether the confidence of a joint is an input channel beside its coordinates; published
            networks for three coordinates have none. DD-Net always uses it, to leave out unseen joints.
    """

    name: Literal[
        "st_gcn", "st_sgcn", "st_2sgcn", "st_gcn_plus_plus",
        "agcn", "as_gcn", "shift_gcn", "ms_g3d", "ctr_gcn", "dd_net", "auto",
    ] = "st_gcn"  # fmt: skip
    partitioning: Literal["uniform", "distance", "spatial"] = "spatial"
    width: Annotated[int, Field(gt=0, le=4096)] = 64
    dropout: BelowOne = 0.0
    confidence: bool = True

    def __post_init__(self) -> None:
        if self.name == "auto" and (self.partitioning, self.width, self.dropout) != ("spatial", 64, 0.0):
            raise ValueError("auto chooses width and dropout; to set them, set the name of the network too")
