"""Pose sequences: the keypoints of the people in one video.

Keypoints have one axis order on disk and in numpy: ``(frame, person, joint, channel)``. The channels are two
or three coordinates and a confidence in [0, 1]. Two coordinates are x and y in pixels of the source frame
(origin top left, y down); three are x, y and z in the unit of the sensor, metres for Kinect (y up, z away).
The confidence is 1 if the source has none. An unseen joint has NaN as coordinates and confidence 0.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from skdpipe.errors import DataError
from skdpipe.names import require_path
from skdpipe.skeleton.layouts import Layout

Keypoints = NDArray[np.float32]


def unseen_joint(coordinates: int) -> Keypoints:
    """A joint without a detection, ``(coordinates + confidence,)``: NaN as coordinates, confidence 0."""
    return np.array([np.nan] * coordinates + [0], np.float32)


UNSEEN: Final[Keypoints] = unseen_joint(2)
"""`unseen_joint` in two dimensions."""

TRAIN_SPLITS: Final = frozenset({"train", "training"})
TEST_SPLITS: Final = frozenset({"test", "testing", "val", "valid", "validation"})
SPLITS: Final = TRAIN_SPLITS | TEST_SPLITS
"""Names of splits that folders, CSV files and imported data may use."""


def split_named(name: str) -> str | None:
    """train, test or val, if the name in any case is that of a split, otherwise None."""
    lower = name.lower()
    common = {"training": "train", "testing": "test", "valid": "val", "validation": "val"}
    return common.get(lower, lower) if lower in SPLITS else None


def hide(keypoints: Keypoints, hidden: NDArray[np.bool_]) -> Keypoints:
    """Keypoints ``(..., joint, channel)`` with the joints unseen at which ``hidden (..., joint)`` is True."""
    return np.where(hidden[..., None], unseen_joint(keypoints.shape[-1] - 1), keypoints)


def is_seen(keypoints: Keypoints) -> NDArray[np.bool_]:
    """Which joints were detected.

    Args:
        keypoints: ``(..., coordinates + confidence)``.

    Returns:
        ``(...)``, True where the confidence is above 0.
    """
    seen: NDArray[np.bool_] = keypoints[..., -1] > 0
    return seen


@dataclass(frozen=True, slots=True)
class Origin:
    """Source and labels of a sequence.

    Attributes:
        source: path of the video or annotation file.
        key: hexadecimal digest that pairs the qualities of one clip. It is computed from the video's content,
            or from the clip's name (`clip_key`) if there are only skeletons.
        estimator: fingerprint of the pose estimator or of the annotation.
        label, split, subject: as specified by the user, or None.
        corrected: which of label, split and subject were corrected by hand, sorted, each with its value
            before, which `uncorrected` restores.
    """

    source: str = ""
    key: str = ""
    estimator: str = ""
    label: str | None = None
    split: str | None = None
    subject: str | None = None
    corrected: tuple[tuple[str, str | None], ...] = ()

    @property
    def labels(self) -> tuple[str | None, str | None, str | None]:
        """Label, split and subject."""
        return self.label, self.split, self.subject

    def with_labels_of(self, other: Origin) -> Origin:
        """The origin with label, split and subject of another one where it specifies none."""
        return replace(
            self,
            label=self.label or other.label,
            split=self.split or other.split,
            subject=self.subject or other.subject,
        )

    def correct(
        self, label: str | None = None, split: str | None = None, subject: str | None = None
    ) -> Origin:
        """The origin with corrected labels, None leaves one as it is.

        The value before the first correction is kept; what is corrected to that value again is not corrected
        any more.
        """
        given = {"label": label, "split": split, "subject": subject}
        new = {name: value for name, value in given.items() if value is not None}
        before = {name: getattr(self, name) for name in new} | dict(self.corrected)
        return self._with_labels(new, before)

    def uncorrected(self) -> Origin:
        """The origin with the labels that it had before they were corrected."""
        return self._with_labels(dict(self.corrected), {})

    def with_corrections_of(self, other: Origin) -> Origin:
        """The origin with the corrected labels of another one, which replace its own.

        An own label that is equal to the corrected one needs no correction.
        """
        before = dict(self.corrected)
        new: dict[str, str | None] = {}
        for name, value in other.corrected:
            own, corrected = getattr(self, name), getattr(other, name)
            if name not in before and own != corrected:
                new[name] = corrected
                before[name] = value if own is None else own
        return self._with_labels(new, before)

    def _with_labels(self, new: Mapping[str, str | None], before: Mapping[str, str | None]) -> Origin:
        """The origin with new labels, and with the values before of those that were corrected."""
        changed = replace(
            self,
            label=new.get("label", self.label),
            split=new.get("split", self.split),
            subject=new.get("subject", self.subject),
        )
        corrected = sorted((name, value) for name, value in before.items() if value != getattr(changed, name))
        return replace(changed, corrected=tuple(corrected))


def clip_key(name: str) -> str:
    """The key of a clip without a video: a digest of its name, the same for all formats.

    Raises:
        DataError: if the name is not Unicode text.
    """
    require_path(name)
    return hashlib.sha256(f"clip:{name}".encode()).hexdigest()


@dataclass(frozen=True, eq=False)
class PoseSequence:
    """The people of one video.

    Attributes:
        keypoints: ``(frame, person, joint, channel)`` float32; two or three coordinates (see the module) and
            a confidence in [0, 1]; an unseen joint is NaN with confidence 0. A person has the same index in
            all frames.
        frame_index: ``(frame,)`` int32, increasing: the frame of the video that each row was taken from.
        video_frames: number of frames of the whole video.
        layout: names and order of the joint axis.
        fps: frames per second of the video, the mean if the rate varies.
        size: width and height of the video's frames in pixels; 0, 0 in three dimensions.
        origin: source and labels.
        times: ``(frame,)`` float64, increasing: seconds from the start of the video at which each row was
            taken; None if the frames of the video are evenly spaced.

    Raises:
        DataError: if the shapes do not match each other and the layout.
    """

    keypoints: Keypoints
    frame_index: NDArray[np.int32]
    video_frames: int
    layout: Layout
    fps: float
    size: tuple[int, int]
    origin: Origin = field(default_factory=Origin)
    times: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        shape, rows = self.keypoints.shape, len(self.frame_index)
        if len(shape) != 4 or shape[2] != len(self.layout) or shape[3] not in {3, 4} or shape[0] != rows:
            raise DataError(
                f"keypoints of shape {shape} with {rows} frame indices; expected (frame, person, "
                f"{len(self.layout)}, 3 or 4) for layout {self.layout.name}"
            )
        if self.times is not None and self.times.shape != (rows,):
            raise DataError(f"times of shape {self.times.shape} with {rows} frames; expected one for each")

    @property
    def people(self) -> int:
        """Length of the person axis; some people may be unseen in all frames."""
        return int(self.keypoints.shape[1])

    @property
    def coordinates(self) -> int:
        """2 for x and y, 3 for x, y and z."""
        return int(self.keypoints.shape[3]) - 1

    @property
    def seconds(self) -> NDArray[np.float64]:
        """``(frame,)``: seconds from the start of the video at which each row was taken."""
        return self.frame_index / self.fps if self.times is None else self.times

    @property
    def duration(self) -> float:
        """Seconds from the start of the first frame of the video to the end of the last one."""
        return self.video_frames / self.fps

    def select_rows(self, rows: NDArray[np.intp]) -> PoseSequence:
        """The sequence with these rows only, in this order."""
        return replace(
            self,
            keypoints=self.keypoints[rows],
            frame_index=self.frame_index[rows],
            times=None if self.times is None else self.times[rows],
        )

    @property
    def seen(self) -> NDArray[np.bool_]:
        """``(frame, person, joint)`` bool, True where a joint was detected."""
        return is_seen(self.keypoints)

    @property
    def is_empty(self) -> bool:
        """True if no joint is seen in any frame."""
        return not bool(self.seen.any())

    def with_keypoints(self, keypoints: Keypoints) -> PoseSequence:
        """The same sequence with other keypoints."""
        return replace(self, keypoints=keypoints)
