"""People in JSON files: COCO's fields of a person, person indices over frames, rounded poses."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from skdpipe.errors import FormatError, in_brief
from skdpipe.formats.clip_arrays import lay_out_people
from skdpipe.formats.defaults import layout_for, to_keypoints
from skdpipe.formats.format import Note
from skdpipe.formats.json_files import fields_of, is_whole_number, to_numbers
from skdpipe.pose.tracker import MOST_PEOPLE, track
from skdpipe.skeleton import COCO_17, Keypoints, Layout, PoseSequence, is_seen, layout_named
from skdpipe.skeleton.tracks import Track

PERSON_CATEGORY: Final = 1
"""COCO's category of people."""
_SHOWN: Final = 5  # categories in a message
_LARGEST_TRACK_ID: Final = 2**63
OTHER_CATEGORIES: Final = "results of other categories than people are left out"


@dataclass(frozen=True, slots=True)
class DetectedPerson:
    """A person in one frame.

    Attributes:
        pose: ``(joint, 3)``; an unseen joint is NaN, NaN, 0.
        track_id: the number that a tracker gave the person, or None.
    """

    pose: Keypoints
    track_id: int | None


def person_category(found: Sequence[Any], names: Mapping[Any, str], where: object) -> Any:
    """The category of people among COCO's results.

    It is the one that is named person. Without such names it is the only category, whatever its number
    (Ultralytics writes 0), or of several COCO's 1, or else 0.

    Args:
        found: the results; categories without any keypoints count only if no result has some.
        names: the names of the categories, if known.
        where: what an error message names.

    Raises:
        FormatError: if it cannot be determined.
    """
    everything = [each for each in found if fields_of(each).get("category_id") is not None]
    with_keypoints = [each for each in everything if each.get("keypoints")]
    categories = {_category(each, where) for each in with_keypoints or everything}
    named = [each for each in categories if names.get(each, "").lower() == "person"]
    if len(named) == 1 or not categories:
        return named[0] if named else PERSON_CATEGORY
    (first, *others) = sorted(categories, key=str)
    if not others and (first not in names or len(names) == 1):
        return first
    default = next((each for each in (PERSON_CATEGORY, 0) if each in categories), None)
    if named or names or default is None:
        listed = [
            f"{in_brief(each)} ({names[each]:.40})" if each in names else in_brief(each)
            for each in (first, *others[:_SHOWN])
        ]
        raise FormatError(
            f"{where}: results of category {', '.join(listed):.100}; expected one that is the person: give "
            "--images with COCO's categories, or leave out the other results"
        )
    return default


def _category(found: Mapping[str, Any], where: object) -> float | str:
    category = found["category_id"]
    is_number = is_whole_number(category) or (isinstance(category, float) and math.isfinite(category))
    if not (is_number or isinstance(category, str)):
        raise FormatError(f"{where}: category_id {in_brief(category)}; expected a number")
    return category  # type: ignore[no-any-return]


def read_coco_person(found: Any, track_fields: Sequence[str], where: object) -> DetectedPerson:
    """A person from COCO's fields.

    Args:
        found: the fields.
        track_fields: names of the fields that may hold the tracker's number; the first that is there counts.
            The number may be a float or in a list; below 0 it means that the person was not tracked.
        where: what an error message names.

    Raises:
        FormatError: if the fields are not as described.
    """
    if not isinstance(found, dict):
        raise FormatError(f"{where}: {in_brief(found)} instead of a person; expected keypoints and score")
    values = to_numbers(found.get("keypoints"))
    if not values.size or values.size % 3:
        raise FormatError(
            f"{where}: keypoints {in_brief(found.get('keypoints'))}; expected x, y, c of each joint"
        )
    joints = values.reshape(-1, 3)
    pose = to_keypoints(joints[:, :2], joints[:, 2])
    for track_field in track_fields:
        if found.get(track_field) is not None:
            return DetectedPerson(pose, _track_id(found[track_field], track_field, where))
    return DetectedPerson(pose, None)


def _track_id(value: Any, track_field: str, where: object) -> int | None:
    number = value
    while isinstance(number, list) and len(number) == 1:
        (number,) = number
    whole = is_whole_number(number) or (isinstance(number, float) and number.is_integer())
    if not whole or abs(number) >= _LARGEST_TRACK_ID:
        raise FormatError(f"{where}: {track_field} {in_brief(value, 20)}; expected a whole number of 64 bits")
    return int(number) if number >= 0 else None


def read_coco_people(
    found: Sequence[Any], track_fields: Sequence[str], category: Any, where: object
) -> list[DetectedPerson]:
    """The people of one frame, without results of other categories.

    Raises:
        FormatError: as `read_coco_person`.
    """
    people = [each for each in found if not is_of_other_category(each, category)]
    return [read_coco_person(each, track_fields, where) for each in people]


def is_of_other_category(found: Any, category: Any) -> bool:
    """Whether a result is of another category than the people; one without a category is a person."""
    return fields_of(found).get("category_id") not in (None, category)


def layout_of_people(frames: Sequence[Sequence[DetectedPerson]], layout: str | None, where: object) -> Layout:
    """The layout of the people's joints; without people the named layout, or coco-17.

    Raises:
        FormatError: if people have different numbers of joints, or a number that no layout has.
        DataError: if there is no layout of that name.
    """
    counts = sorted({len(person.pose) for people in frames for person in people})
    if len(counts) > 1:
        raise FormatError(
            f"{where}: people of {counts[0]} and of {counts[1]} joints; expected the same number for all"
        )
    if not counts:
        return layout_named(layout) if layout else COCO_17
    return layout_for(counts[0], layout, where)


def join_frames(
    frames: Mapping[int, Sequence[DetectedPerson]],
    count: int,
    layout: Layout,
    size: tuple[int, int],
    where: object,
    note: Note,
) -> Keypoints:
    """Keypoints ``(frame, person, joint, 3)`` with one person index for each person.

    People are identified by their track numbers if all have one, otherwise by `skdpipe.pose.tracker.Tracker`.

    Args:
        frames: the people by frame; frames without people may be left out.
        count: number of frames.
        layout: layout of the people.
        size: width and height of the frame in pixels.
        where: what an error message names.
        note: receives the number of people that do not fit, see `lay_out_people`.

    Raises:
        FormatError: if a track number occurs twice in a frame, or a frame or the clip has too many people.
    """
    crowd = max(map(len, frames.values()), default=0)
    if crowd > MOST_PEOPLE:
        raise FormatError(
            f"{where}: {crowd} people in one frame; expected at most {MOST_PEOPLE}: leave out those of low "
            "confidence"
        )
    is_tracked = all(person.track_id is not None for people in frames.values() for person in people)
    tracks = _join_by_number(frames, where) if is_tracked else _join_by_position(frames, layout, size)
    return lay_out_people(tracks, count, layout, where, note)


def _join_by_number(frames: Mapping[int, Sequence[DetectedPerson]], where: object) -> list[Track]:
    found: dict[int, list[tuple[int, Keypoints]]] = {}
    for frame in sorted(frames):
        for person in frames[frame]:
            assert person.track_id is not None
            rows = found.setdefault(person.track_id, [])
            if rows and rows[-1][0] == frame:
                raise FormatError(
                    f"{where}: a track number occurs twice in one frame; expected once: correct the file"
                )
            rows.append((frame, person.pose))
    return [
        Track(number, np.array([frame for frame, _ in rows], np.int32), np.stack([pose for _, pose in rows]))
        for number, rows in found.items()
    ]


def _join_by_position(
    frames: Mapping[int, Sequence[DetectedPerson]], layout: Layout, size: tuple[int, int]
) -> list[Track]:
    poses = {
        frame: np.array([person.pose for person in frames[frame]], np.float32).reshape(-1, len(layout), 3)
        for frame in sorted(frames)
    }
    return track(poses, layout, size)


def seen_people(frame: Keypoints) -> Iterator[tuple[int, Keypoints]]:
    """Index and pose of each person of a frame ``(person, joint, 3)`` who has a seen joint."""
    return ((index, pose) for index, pose in enumerate(frame) if is_seen(pose).any())


def round_pose(pose: Keypoints, digits: int) -> NDArray[np.float64]:
    """The pose with unseen joints as 0; the confidence of a seen joint stays above 0."""
    seen = is_seen(pose)
    rounded: NDArray[np.float64] = np.where(seen[:, None], pose, 0).astype(np.float64).round(digits)
    rounded[seen, 2] = np.maximum(rounded[seen, 2], 10.0**-digits)
    return rounded


def to_coco_person(pose: Keypoints) -> dict[str, Any]:
    """COCO's fields of a person: keypoints, bbox (x, y, width, height), score (mean confidence), category_id.

    Coordinates and confidences have two digits, as OpenPifPaf writes them.
    """
    seen, rounded = is_seen(pose), round_pose(pose, 2)
    corner, opposite = rounded[seen, :2].min(axis=0), rounded[seen, :2].max(axis=0)
    return {
        "keypoints": rounded.ravel().tolist(),
        "bbox": np.round([*corner, *(opposite - corner)], 2).tolist(),
        "score": max(0.001, round(float(pose[:, 2].mean()), 3)),
        "category_id": PERSON_CATEGORY,
    }


def require_layout(sequence: PoseSequence, layout: Layout) -> None:
    """Refuse a sequence of another layout than the one that the format holds, or of three coordinates.

    Raises:
        FormatError: if the layout differs, or the coordinates are not pixels.
    """
    if sequence.coordinates == 3:
        raise FormatError(
            f"{sequence.origin.source} has three coordinates, and this format holds x and y; write pyskl or "
            "st-gcn"
        )
    if sequence.layout != layout:
        raise FormatError(
            f"{sequence.origin.source} has layout {sequence.layout.name}; expected {layout.name}: map it "
            f"with --target-layout {layout.name}"
        )
