"""People as COCO writes them, in its own files and in OpenPifPaf's: read, followed over frames, written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from skdpipe.errors import FormatError
from skdpipe.formats.defaults import layout_for, to_keypoints
from skdpipe.pose.tracker import track
from skdpipe.skeleton import COCO_17, Keypoints, Layout, PoseSequence, layout_named

PERSON = 1  # the category

_UNSEEN = np.array([np.nan, np.nan, 0], np.float32)


@dataclass(frozen=True)
class DetectedPerson:
    """Somebody in one frame: ``(joint, 3)`` as everywhere, and a tracker's number or None."""

    pose: Keypoints
    identity: int | None


def read_person(found: Any, identity: str, where: object) -> DetectedPerson | None:
    """A person from COCO's fields, or None for another category.

    Args:
        found: the fields.
        identity: in which of them a tracker writes who it is.
        where: what an error names.

    Raises:
        FormatError: if the fields are not as described.
    """
    if not isinstance(found, dict):
        raise FormatError(f"{where}: {found!r:.40} where a person should be; expected keypoints and score")
    if found.get("category_id", PERSON) != PERSON:
        return None
    try:
        values = np.array(found.get("keypoints"), np.float32)
    except (TypeError, ValueError, OverflowError):
        values = np.zeros(0, np.float32)
    if values.ndim != 1 or not values.size or values.size % 3:
        raise FormatError(
            f"{where}: keypoints {found.get('keypoints')!r:.40}; expected x, y, c of each joint"
        )
    number = found.get(identity)
    if number is not None and (isinstance(number, bool) or not isinstance(number, int)):
        raise FormatError(f"{where}: {identity} {number!r:.20}; expected a whole number")
    joints = values.reshape(-1, 3)
    return DetectedPerson(to_keypoints(joints[:, :2], joints[:, 2]), number)


def joint_layout(frames: Sequence[Sequence[DetectedPerson]], layout: str | None, where: object) -> Layout:
    """The layout of the people's joints; of nobody's, the one named, or coco-17.

    Raises:
        FormatError: if people have different numbers of joints, or a number that no layout has.
        DataError: if there is no layout of that name.
    """
    counts = sorted({len(person.pose) for people in frames for person in people})
    for fewer, more in pairwise(counts):
        raise FormatError(f"{where}: people of {fewer} and of {more} joints; expected all alike")
    if not counts:
        return layout_named(layout) if layout else COCO_17
    return layout_for(counts[0], layout, where)


def follow(
    frames: Sequence[Sequence[DetectedPerson]], joints: Layout, size: tuple[int, int], where: object
) -> Keypoints:
    """``(frame, person, joint, 3)``, a place for each person: by their numbers if all have one, else tracked.

    Raises:
        FormatError: if a number comes twice in a frame.
    """
    shape = (0, len(joints), 3)
    numbers = {person.identity for people in frames for person in people}
    if None in numbers:
        poses = [np.array([person.pose for person in people], np.float32) for people in frames]
        return track([each.reshape(-1, *shape[1:]) for each in poses], joints, size)
    known = sorted(number for number in numbers if number is not None)
    places = {number: place for place, number in enumerate(known)}
    keypoints = np.broadcast_to(_UNSEEN, (len(frames), len(places), *shape[1:])).copy()
    for row, people in enumerate(frames):
        if len({person.identity for person in people}) != len(people):
            raise FormatError(f"{where}: a person's number comes twice in one frame; expected once: mend it")
        for person in people:
            assert person.identity is not None
            keypoints[row, places[person.identity]] = person.pose
    return keypoints


def write_person(pose: Keypoints) -> dict[str, Any]:
    """The fields of a person: keypoints, bbox (x, y, width, height), score (mean confidence), category_id.

    Rounded to two digits, as OpenPifPaf does; a seen joint keeps at least 0.01 of its confidence.
    """
    seen = pose[:, 2] > 0
    rounded = np.round(np.where(seen[:, None], pose, 0).astype(np.float64), 2)
    rounded[seen, 2] = np.maximum(rounded[seen, 2], 0.01)
    corner, opposite = rounded[seen, :2].min(axis=0), rounded[seen, :2].max(axis=0)
    return {
        "keypoints": rounded.ravel().tolist(),
        "bbox": np.round([*corner, *(opposite - corner)], 2).tolist(),
        "score": max(0.001, round(float(pose[:, 2].mean()), 3)),
        "category_id": PERSON,
    }


def require_coco(sequence: PoseSequence) -> None:
    """Refuse a layout that COCO's fields cannot hold.

    Raises:
        FormatError: if it is not coco-17.
    """
    if sequence.layout.name != COCO_17.name:
        raise FormatError(
            f"{sequence.origin.source} has layout {sequence.layout.name}; expected {COCO_17.name}: map it "
            f"with --target-layout {COCO_17.name}"
        )
