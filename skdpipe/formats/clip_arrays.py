"""The arrays of a clip, bounded by what its file holds: the frames of the video, and the people over them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from skdpipe.errors import FormatError, in_brief
from skdpipe.formats.format import Note
from skdpipe.skeleton import Keypoints, Layout
from skdpipe.skeleton.plausible import MOST_FRAMES
from skdpipe.skeleton.tracks import Track, lay_out, most_confident

LARGEST_CLIP: Final = 25_000_000
"""Largest number of values in the keypoints of a clip (100 MB): four people of 17 joints over an hour."""

_DENSE_FRAMES: Final = 10_000  # up to this number any share of the frames may be missing
_FRAMES_PER_IMAGE: Final = 100  # at most, beyond that number


def count_frames(numbers: Collection[int], where: object, remedy: str = "import frames of a video") -> int:
    """The number of frames of the video that has frames of these numbers, which count from 0.

    Args:
        numbers: one or more.
        where: what an error message names.
        remedy: what the message recommends.

    Raises:
        FormatError: if less than 1% of more than 10,000 frames are there, or the video would have more than
            `MOST_FRAMES`: the numbers are not those of frames (photos).
    """
    last = max(numbers)
    sparse = last >= _DENSE_FRAMES and _FRAMES_PER_IMAGE * len(numbers) <= last
    if sparse or last >= MOST_FRAMES:
        raise FormatError(
            f"{where} of {len(numbers)} images has a frame {in_brief(last)}; expected numbers of frames: "
            f"{remedy}"
        )
    return last + 1


def lay_out_people(
    tracks: Sequence[Track], frames: int, layout: Layout, where: object, note: Note, *, coordinates: int = 2
) -> Keypoints:
    """Keypoints ``(frame, person, joint, channel)`` of the people, in the order of their numbers.

    If they would be larger than `LARGEST_CLIP`, the people with the highest summed confidence are kept.

    Args:
        tracks: the people.
        frames: number of frames.
        layout: layout of the joint axis.
        where: what an error message names.
        note: receives the number of people that are left out.
        coordinates: 2 or 3.

    Raises:
        FormatError: if one person is too large.
    """
    size = frames * len(layout) * (coordinates + 1)
    fitting = LARGEST_CLIP // max(size, 1)
    if tracks and not fitting:
        raise FormatError(
            f"{where}: a person of {len(layout)} joints in {frames} frames has {size:,} numbers; expected at "
            f"most {LARGEST_CLIP:,}: split the clip"
        )
    if len(tracks) > fitting:
        note(
            f"people with the lowest confidence are left out; a clip has at most {LARGEST_CLIP:,} numbers",
            len(tracks) - fitting,
        )
    kept = sorted(most_confident(tracks, fitting), key=lambda track: track.number)
    return lay_out(kept, (frames, len(kept), len(layout), coordinates + 1))
