"""Pure functions on keypoints, ``(frame, person, joint, 3)``: x, y, confidence; unseen is NaN, NaN, 0.

What is unseen stays unseen unless a function says that it fills, and never spoils what is seen.
Only `to_network` turns NaN into 0.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from skdpipe.errors import DataError
from skdpipe.skeleton import Keypoints, PoseSequence
from skdpipe.skeleton.people import body_size

_UNSEEN = np.array([np.nan, np.nan, 0], np.float32)


# Along time ------------------------------------------------------------------------------------


def smooth(keypoints: Keypoints, window: int = 3) -> Keypoints:
    """Average each joint over the frames of a centred window in which it is seen.

    Denoises what is seen and fills what is not, wherever the window holds a sighting. The confidence
    is averaged over the same sightings, so a filled joint has the mean confidence of those it came from.
    At the ends of the clip the window is cut off. (The paper's sliding-window average; window 3.)

    Raises:
        DataError: if the window is not an odd positive number of frames.
    """
    if window < 1 or window % 2 == 0:
        raise DataError(f"smoothing window of {window} frames; expected an odd number, 1 or more")
    frames, reach = len(keypoints), min(window // 2, max(len(keypoints) - 1, 0))
    seen = keypoints[..., 2:] > 0
    values = np.where(seen, keypoints, 0).astype(np.float64)
    total, count = np.zeros_like(values), np.zeros(seen.shape)
    for shift in range(-reach, reach + 1):
        here = slice(max(0, -shift), frames - max(0, shift))
        there = slice(max(0, shift), frames - max(0, -shift))
        total[here] += values[there]
        count[here] += seen[there]
    return np.where(count > 0, total / np.maximum(count, 1), _UNSEEN).astype(np.float32)


def resample(keypoints: Keypoints, length: int) -> Keypoints:
    """Bring a clip to so many frames, evenly spread from its first to its last.

    A joint is interpolated linearly between the two frames around each new one; where only one of them
    shows it, the nearer decides whether and where it is seen (the earlier, if both are as near).

    Raises:
        DataError: if the clip has no frames or the length is not positive.
    """
    _require_clip(keypoints, length)
    return _between(keypoints, np.linspace(0, len(keypoints) - 1, length))


def replay(keypoints: Keypoints, length: int) -> Keypoints:
    """Bring a clip to so many frames by playing it again and again from its start, or cutting its end.

    (The paper pads to 300 frames so.)

    Raises:
        DataError: if the clip has no frames or the length is not positive.
    """
    _require_clip(keypoints, length)
    return keypoints[np.arange(length) % len(keypoints)]


def interpolate_frames(sequence: PoseSequence) -> PoseSequence:
    """A row for every frame of the video: interpolated between sampled frames, held beyond the ends.

    Where only one of two sampled frames shows a joint, the nearer decides, as in `resample`.

    Raises:
        DataError: if no frame was sampled.
    """
    _require_clip(sequence.keypoints, sequence.video_frames)
    rows = np.arange(len(sequence.frame_index))
    position = np.interp(np.arange(sequence.video_frames), sequence.frame_index, rows)
    return _on_every_frame(sequence, _between(sequence.keypoints, position))


def _require_clip(keypoints: Keypoints, length: int) -> None:
    if len(keypoints) == 0 or length < 1:
        raise DataError(
            f"cannot make {length} frames of a clip with {len(keypoints)}; both must be 1 or more: "
            "leave such a clip out or choose another length"
        )


def _on_every_frame(sequence: PoseSequence, keypoints: Keypoints) -> PoseSequence:
    index = np.arange(sequence.video_frames, dtype=np.int32)
    return replace(sequence, keypoints=keypoints, frame_index=index)


def _between(keypoints: Keypoints, position: NDArray[np.float64]) -> Keypoints:
    """Keypoints at fractional rows ``(length,)``."""
    before = np.floor(position).astype(np.intp)
    after = np.minimum(before + 1, len(keypoints) - 1)
    weight = (position - before)[:, None, None, None]
    first, second = keypoints[before], keypoints[after]
    both = (first[..., 2:] > 0) & (second[..., 2:] > 0)
    nearer = np.where(weight <= 0.5, first, second)
    mixed = first * (1 - weight) + second * weight
    return np.where(both, mixed, nearer).astype(np.float32)


# In the plane ----------------------------------------------------------------------------------


def normalise_by_image(keypoints: Keypoints, size: tuple[int, int]) -> Keypoints:
    """Divide by the picture's width and height and put its middle at 0, as ST-GCN does."""
    scale = np.array([1 / size[0], 1 / size[1], 1], np.float32)
    return keypoints * scale - np.array([0.5, 0.5, 0], np.float32)


def centre(keypoints: Keypoints) -> Keypoints:
    """Move everybody alike, so that the first person who is ever seen has its middle at 0.

    The middle is the median over that person's seen joints of the whole clip: movement through the
    picture and the places of people relative to each other stay.
    """
    points = _points_of_first(keypoints)
    if not np.isfinite(points).any():
        return keypoints
    middle = np.nanmedian(points.reshape(-1, 2), axis=0)
    return keypoints - np.append(middle, 0).astype(np.float32)


def normalise_by_body(keypoints: Keypoints) -> Keypoints:
    """`centre`, then divide by the size of the same person's body.

    The size is the median, over the frames that show at least two of the person's joints apart, of the
    diagonal of the box around its seen joints: the same for a body that stands and one that lies. A
    person who never has an extent is only centred.
    """
    centred = centre(keypoints)
    size = body_size(centred)[_first_present(centred)] if (centred[..., 2] > 0).any() else 0
    return scale(centred, 1 / float(size)) if size > 0 else centred


def _points_of_first(keypoints: Keypoints) -> NDArray[np.float64]:
    """x, y ``(frame, joint, 2)`` of the first person with a seen joint, NaN where unseen."""
    if not (keypoints[..., 2] > 0).any():
        return np.full((len(keypoints), keypoints.shape[2], 2), np.nan)
    person = keypoints[:, _first_present(keypoints)].astype(np.float64)
    return np.where(person[..., 2:] > 0, person[..., :2], np.nan)


def _first_present(keypoints: Keypoints) -> int:
    return int((keypoints[..., 2] > 0).any(axis=(0, 2)).argmax())


def scale(keypoints: Keypoints, factor: float) -> Keypoints:
    """Enlarge about the origin: centre first."""
    return keypoints * np.array([factor, factor, 1], np.float32)


# Towards the network ---------------------------------------------------------------------------


def to_network(keypoints: Keypoints) -> NDArray[np.float32]:
    """Rearrange to ``(person, channel, frame, joint)`` float32, channels x, y, confidence.

    Here, and nowhere else, NaN becomes 0: an unseen joint is 0, 0, 0.
    """
    filled = np.where(np.isnan(keypoints), 0, keypoints)
    return np.ascontiguousarray(filled.transpose(1, 3, 0, 2), np.float32)
