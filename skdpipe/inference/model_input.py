"""From a pose sequence to the input arrays of a network."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from skdpipe.config import ClipFormat
from skdpipe.errors import DataError
from skdpipe.inference.streams import to_stream
from skdpipe.skeleton import PoseSequence, is_seen, layout_named, map_layout
from skdpipe.skeleton.people import select_people
from skdpipe.skeleton.transforms import (
    align_body,
    centre_on_root,
    interpolate_frames,
    interpolate_missing,
    normalise_by_body,
    normalise_by_image,
    replay,
    resample,
    smooth,
    to_network,
)

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]


def clip_shape(clip: ClipFormat) -> tuple[int, int, int, int]:
    """Shape of the input of one clip ``(person, channel, frame, joint)``."""
    return clip.people, clip.channels, clip.frames, len(layout_named(clip.layout))


def bytes_of_clip(clip: ClipFormat) -> int:
    """Bytes of the input of one clip."""
    return math.prod(clip_shape(clip)) * np.dtype(np.float32).itemsize


def model_input(sequence: PoseSequence, clip: ClipFormat) -> tuple[Floats, Mask]:
    """The input of a network for one pose sequence, as the stream of the clip format.

    Returns:
        The clip ``(person, channel, frame, joint)`` and a mask of the people who are seen ``(person,)``.

    Raises:
        DataError: if the layout cannot be mapped, the video has no frames, or the format has another number
            of coordinates.
    """
    joints, mask = joint_input(sequence, clip)
    return to_stream(joints, clip.stream, layout_named(clip.layout).parents), mask


def joint_input(sequence: PoseSequence, clip: ClipFormat) -> tuple[Floats, Mask]:
    """As :func:`model_input`, but always the joint stream.

    The steps, in this order: map joints to the clip's layout, select people, smooth, interpolate frames that
    were not sampled, interpolate missing joints, resample or replay to the clip's length, normalise, replace
    NaN by 0.
    """
    layout = layout_named(clip.layout)
    require_coordinates(sequence, clip)
    sequence = with_people(map_layout(sequence, layout), clip.people)
    sequence = sequence.with_keypoints(smooth(sequence.keypoints, clip.smoothing))
    if len(sequence.frame_index) < sequence.video_frames or sequence.times is not None:
        sequence = interpolate_frames(sequence)
    if clip.missing == "interpolate":
        sequence = sequence.with_keypoints(interpolate_missing(sequence.keypoints))
    to_length = resample if clip.fill == "resample" else replay
    keypoints = to_length(sequence.keypoints, clip.frames)
    if clip.scale == "body":
        keypoints = normalise_by_body(keypoints)
    elif clip.scale == "root":
        keypoints = centre_on_root(keypoints, layout.index(layout.root))
    else:
        keypoints = normalise_by_image(keypoints, sequence.size)
    if clip.align and sequence.coordinates == 3:
        keypoints = align_body(keypoints, layout)
    return to_network(keypoints), np.any(is_seen(keypoints), axis=(0, 2))


def require_coordinates(sequence: PoseSequence, clip: ClipFormat) -> None:
    """Raise an error unless a sequence has as many coordinates as a clip format.

    Raises:
        DataError: if it has another number.
    """
    if clip.coordinates not in {None, sequence.coordinates}:
        raise DataError(
            f"{sequence.origin.source or 'the skeletons'} have {sequence.coordinates} coordinates, but the "
            f"network was trained on {clip.coordinates}; use skeletons of the same kind, or train on these"
        )


def batch_input(sequences: Sequence[PoseSequence], clip: ClipFormat) -> tuple[Floats, Mask]:
    """Inputs stacked: clips ``(clip, person, channel, frame, joint)`` and masks ``(clip, person)``."""
    clips, masks = zip(*(model_input(sequence, clip) for sequence in sequences), strict=True)
    return np.stack(clips), np.stack(masks)


def with_people(sequence: PoseSequence, count: int) -> PoseSequence:
    """The sequence with ``count`` person slots: the people of highest confidence, or empty slots added."""
    if sequence.people == count:
        return sequence
    return sequence.with_keypoints(select_people(sequence.keypoints, count))
