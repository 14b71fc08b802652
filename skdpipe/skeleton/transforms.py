"""Pure functions on keypoints ``(frame, person, joint, channel)``: two or three coordinates and a confidence.

Unseen joints stay unseen, except in functions that are documented to fill them. Only `to_network` replaces
NaN by 0.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from skdpipe.errors import DataError
from skdpipe.skeleton.layouts import Layout
from skdpipe.skeleton.people import body_size
from skdpipe.skeleton.sequence import Keypoints, PoseSequence, hide, is_seen

_INTERPOLATED_CONFIDENCE: Final = 0.1

# Along time ------------------------------------------------------------------------------------


def smooth(keypoints: Keypoints, window: int = 3) -> Keypoints:
    """Average each joint over the frames of a centred window in which it is seen.

    A joint that is unseen in a frame is filled if it is seen in another frame of the window; its confidence
    is the mean over the same frames. The window is cut off at the ends of the clip. (The sliding-window
    average of the paper, with window 3.)

    Args:
        keypoints: ``(frame, person, joint, channel)``.
        window: length of the window in frames, odd.

    Returns:
        Keypoints of the same shape; unseen where the joint is unseen in the whole window.

    Raises:
        DataError: if the window is not an odd positive number.
    """
    if window < 1 or window % 2 == 0:
        raise DataError(f"smoothing window of {window} frames; expected an odd number, 1 or more")
    frames, reach = len(keypoints), min(window // 2, max(len(keypoints) - 1, 0))
    seen = is_seen(keypoints)[..., None]
    values = np.where(seen, keypoints, 0).astype(np.float64)
    total, count = np.zeros_like(values), np.zeros(seen.shape)
    for shift in range(-reach, reach + 1):
        target = slice(max(0, -shift), frames - max(0, shift))
        source = slice(max(0, shift), frames - max(0, -shift))
        total[target] += values[source]
        count[target] += seen[source]
    return hide((total / np.maximum(count, 1)).astype(np.float32), count[..., 0] == 0)


def resample(keypoints: Keypoints, length: int) -> Keypoints:
    """Resample a clip to ``length`` frames, evenly spaced from its first to its last frame.

    A joint is interpolated linearly between the two neighbouring frames. If it is seen in only one of them,
    the nearer frame is used, seen or unseen (the earlier one at equal distance).

    Args:
        keypoints: ``(frame, person, joint, channel)``.
        length: number of frames of the result.

    Returns:
        ``(length, person, joint, channel)``.

    Raises:
        DataError: if the clip has no frames or the length is not positive.
    """
    _require_clip(keypoints, length)
    return interpolate_rows(keypoints, np.linspace(0, len(keypoints) - 1, length))


def replay(keypoints: Keypoints, length: int) -> Keypoints:
    """Repeat a clip from its start, or cut off its end, to ``length`` frames (as the paper pads to 300).

    Args:
        keypoints: ``(frame, person, joint, channel)``.
        length: number of frames of the result.

    Returns:
        ``(length, person, joint, channel)``.

    Raises:
        DataError: if the clip has no frames or the length is not positive.
    """
    _require_clip(keypoints, length)
    return keypoints[np.arange(length) % len(keypoints)]


def interpolate_frames(sequence: PoseSequence) -> PoseSequence:
    """Interpolate a sequence to all frames of its video, as in `resample`.

    Frames before the first and after the last sampled frame repeat that frame. If the frames of the video are
    not evenly spaced, the result is: its frames are ``1 / fps`` apart.

    Raises:
        DataError: if the sequence has no frames.
    """
    _require_clip(sequence.keypoints, sequence.video_frames)
    rows = np.arange(len(sequence.frame_index))
    frames = np.arange(sequence.video_frames, dtype=np.int32)
    if sequence.times is None:
        position = np.interp(frames, sequence.frame_index, rows)
    else:
        position = np.interp(frames / sequence.fps, sequence.times, rows)
    keypoints = interpolate_rows(sequence.keypoints, position)
    return replace(sequence, keypoints=keypoints, frame_index=frames, times=None)


def interpolate_missing(keypoints: Keypoints) -> Keypoints:
    """Give joints that are not seen in a frame an interpolated position and a low confidence.

    The position is interpolated linearly between the nearest frames in which the joint is seen; before the
    first and after the last of these it is that of the first or last. Frames before a person's first and
    after the last detection, and joints that are never seen, stay unseen.

    Args:
        keypoints: ``(frame, person, joint, channel)``.
    """
    filled = keypoints.copy()
    frames = np.arange(len(keypoints))
    seen = is_seen(keypoints)
    for person in range(keypoints.shape[1]):
        present = np.flatnonzero(seen[:, person].any(axis=1))
        if not len(present):
            continue
        within = (frames >= present[0]) & (frames <= present[-1])
        for joint in range(keypoints.shape[2]):
            known = seen[:, person, joint]
            gaps = within & ~known
            if known.any() and gaps.any():
                for axis in range(keypoints.shape[3] - 1):
                    filled[gaps, person, joint, axis] = np.interp(
                        frames[gaps], frames[known], keypoints[known, person, joint, axis]
                    )
                filled[gaps, person, joint, -1] = _INTERPOLATED_CONFIDENCE
    return filled


def _require_clip(keypoints: Keypoints, length: int) -> None:
    if len(keypoints) == 0 or length < 1:
        raise DataError(
            f"cannot make {length} frames of a clip with {len(keypoints)}; both must be 1 or more: "
            "leave such a clip out or choose another length"
        )


def interpolate_rows(keypoints: Keypoints, position: NDArray[np.float64]) -> Keypoints:
    """Keypoints at fractional rows ``(length,)``."""
    before = np.floor(position).astype(np.intp)
    after = np.minimum(before + 1, len(keypoints) - 1)
    weight = (position - before)[:, None, None, None]
    first, second = keypoints[before], keypoints[after]
    both = (is_seen(first) & is_seen(second))[..., None]
    nearer = np.where(weight <= 0.5, first, second)
    mixed = first * (1 - weight) + second * weight
    return np.where(both, mixed, nearer).astype(np.float32)


# In space --------------------------------------------------------------------------------------


def normalise_by_image(keypoints: Keypoints, size: tuple[int, int]) -> Keypoints:
    """Divide x and y by the width and height of the image and subtract 0.5, as in ST-GCN.

    Args:
        keypoints: ``(frame, person, joint, 3)`` in pixels.
        size: width and height of the image in pixels.

    Returns:
        Keypoints of the same shape, from -0.5 to 0.5 inside the image.

    Raises:
        DataError: if the keypoints have three coordinates, which are not in an image.
    """
    if keypoints.shape[-1] != 3:
        raise DataError("scale image needs x and y in an image; for three coordinates use scale root or body")
    factors = np.array([1 / size[0], 1 / size[1], 1], np.float32)
    return keypoints * factors - np.array([0.5, 0.5, 0], np.float32)


def centre(keypoints: Keypoints) -> Keypoints:
    """Subtract the centre of the first person with a seen joint from all people in all frames.

    The centre is the median over the seen joints of that person in the whole clip. Movement within the image
    and the positions of people relative to each other do not change.

    Args:
        keypoints: ``(frame, person, joint, channel)``.

    Returns:
        Keypoints of the same shape. Without a seen joint nothing changes.
    """
    if not is_seen(keypoints).any():
        return keypoints
    person = keypoints[:, _first_seen_person(keypoints)]
    points = person[is_seen(person)][:, :-1].astype(np.float64)
    return keypoints - np.append(np.median(points, axis=0), 0).astype(np.float32)


def normalise_by_body(keypoints: Keypoints) -> Keypoints:
    """`centre`, then divide by the `body_size` of the same person.

    The diagonal of the bounding box is the same for a standing and a lying body. If the person's box never
    has an extent, the clip is only centred.

    Args:
        keypoints: ``(frame, person, joint, channel)``.

    Returns:
        Keypoints of the same shape.
    """
    centred = centre(keypoints)
    if not is_seen(centred).any():
        return centred
    size = float(body_size(centred)[_first_seen_person(centred)])
    return scale(centred, 1 / size) if size > 0 else centred


def centre_on_root(keypoints: Keypoints, root: int) -> Keypoints:
    """Subtract the position of the root from all people in all frames.

    It is that of the first person with a seen joint, in the first frame in which the root is seen; if the
    root is never seen, the clip is centred as by `centre`. (CTR-GCN and PYSKL do the same for NTU RGB+D.)

    Args:
        keypoints: ``(frame, person, joint, channel)``.
        root: index of the joint.

    Returns:
        Keypoints of the same shape.
    """
    seen = is_seen(keypoints)
    person = _first_seen_person(keypoints)
    frames = np.flatnonzero(seen[:, person, root])
    if not len(frames):
        return centre(keypoints)
    position = keypoints[frames[0], person, root, :-1]
    return keypoints - np.append(position, 0).astype(np.float32)


def align_body(keypoints: Keypoints, layout: Layout) -> Keypoints:
    """Rotate all people about the origin so that the spine of the first points up and its shoulders along x.

    The rotation is that of the first frame in which both shoulders and both hips of the first person with a
    seen joint are seen; it is the same for the whole clip. The spine, from the middle of the hips to the
    middle of the shoulders, becomes the y axis, and the line from the right to the left shoulder lies in the
    plane of x and y, on the side of x. (The alignment of 2s-AGCN and PYSKL, which call the vertical axis z.)

    Args:
        keypoints: ``(frame, person, joint, 4)``.
        layout: of the joints.

    Returns:
        Keypoints of the same shape; unchanged if there is no such frame.

    Raises:
        DataError: if the keypoints have two coordinates, or the layout has no shoulders and hips.
    """
    if keypoints.shape[-1] != 4:
        raise DataError("the body axes of two coordinates cannot be aligned; set clip.align to false")
    names = [f"{side}_{joint}" for joint in ("shoulder", "hip") for side in ("left", "right")]
    if missing := [name for name in names if name not in layout.joints]:
        raise DataError(f"layout {layout.name} has no {', '.join(missing)}; set clip.align to false")
    if not is_seen(keypoints).any():
        return keypoints
    joints = keypoints[:, _first_seen_person(keypoints), [layout.index(name) for name in names]]
    frames = np.flatnonzero(is_seen(joints).all(axis=1))
    if not len(frames):
        return keypoints
    left, right, left_hip, right_hip = joints[frames[0], :, :3].astype(np.float64)
    up = _unit(left + right - left_hip - right_hip)
    across = _unit(left - right - up * (up @ (left - right)))
    axes = np.stack([across, up, np.cross(across, up)])
    rotated = keypoints.copy()
    rotated[..., :3] = np.einsum("ij,...j->...i", axes, keypoints[..., :3])
    return rotated


def _unit(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    unit: NDArray[np.float64] = vector / max(float(np.linalg.norm(vector)), 1e-12)
    return unit


def _first_seen_person(keypoints: Keypoints) -> int:
    return int(is_seen(keypoints).any(axis=(0, 2)).argmax())


def scale(keypoints: Keypoints, factor: float) -> Keypoints:
    """Multiply the coordinates of keypoints ``(..., channel)``; the confidence does not change."""
    factors = np.full(keypoints.shape[-1], factor, np.float32)
    factors[-1] = 1
    return keypoints * factors


# Network input ---------------------------------------------------------------------------------


def to_network(keypoints: Keypoints) -> NDArray[np.float32]:
    """Rearrange keypoints to the axis order of the networks and replace NaN by 0.

    Args:
        keypoints: ``(frame, person, joint, channel)``.

    Returns:
        ``(person, channel, frame, joint)`` float32; an unseen joint is 0 in all channels.
    """
    filled = np.where(np.isnan(keypoints), 0, keypoints)
    return np.ascontiguousarray(filled.transpose(1, 3, 0, 2), np.float32)
