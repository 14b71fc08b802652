"""Numpy arrays of skeletons: what the formats of ST-GCN and SKD have in common.

In the image, the channels are x, y and confidence. The arrays do not contain the frame size, which the caller
must give. Coordinates of at most 2 are shares of the frame, counted from its middle (Kinetics-skeleton as
ST-GCN prepares it: -0.5 to 0.5 of a frame of 340 by 256 pixels); larger ones are pixels from the top left. A
joint with confidence 0 is unseen.

In the space of the camera, the channels are x, y and z (NTU RGB+D in metres, as ST-GCN, 2s-AGCN and CTR-GCN
prepare it). They are read if the caller specifies this space; a joint at the origin is unseen. A person keeps
its index in the array.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skdpipe.errors import FormatError, in_one_line
from skdpipe.formats.defaults import every_frame, require_size, to_keypoints
from skdpipe.formats.format import Space
from skdpipe.regular_file import require_regular
from skdpipe.skeleton import Keypoints, Layout, Origin, PoseSequence, is_seen

SIZE_ALTERNATIVE: Final = " (Kinetics-skeleton: 340 256)"
"""Hint behind the request for a frame size."""

LARGEST_SHARE: Final = 2.0
"""Largest coordinate that is a share of the frame, also beyond its edge; no body is as small as 2 pixels."""

LARGEST_CLIP: Final = 25_000_000
"""Most numbers of a clip: four people of 17 joints over an hour."""

_ZIP = b"PK\x03\x04"
_LARGEST_CONFIDENCE = 1.5  # heat maps give values slightly above 1


def open_array(path: Path) -> NDArray[Any]:
    """A ``.npy`` file, mapped into memory instead of read.

    Raises:
        FormatError: if it cannot be read or is not an array of numbers.
    """
    try:
        require_regular(path)
        with path.open("rb") as file:
            is_archive = file.read(len(_ZIP)) == _ZIP
        if not is_archive:
            return np.lib.format.open_memmap(path, mode="r")
    except OSError as error:
        raise FormatError(f"{path} cannot be read ({error}); expected a numpy array") from error
    except Exception as error:  # numpy raises several kinds of errors for damaged headers
        raise FormatError(
            f"{path} is not an array of numbers ({in_one_line(error):.120}); expected a .npy file"
        ) from error
    raise FormatError(f"{path} is an archive of arrays; expected one array in a .npy file")


def require_moderate_clip(shape: tuple[int, ...], where: object) -> None:
    """Refuse a clip that is too large, also one of which an axis is empty and another huge.

    Raises:
        FormatError: if its axes that are not empty have more than `LARGEST_CLIP` numbers.
    """
    numbers = math.prod(max(side, 1) for side in shape)
    if numbers > LARGEST_CLIP:
        raise FormatError(
            f"{where}: a clip of shape {shape}; expected at most {LARGEST_CLIP:,} numbers: split the clip"
        )


def wrong_array(path: Path, data: NDArray[Any], expected: str) -> FormatError:
    """The error for an array of another type or shape."""
    return FormatError(f"{path} is {data.dtype!s:.60} of shape {data.shape!s:.60}; expected {expected}")


@np.errstate(over="ignore")
def to_pixels(data: NDArray[Any], size: tuple[int, int], where: str) -> Keypoints:
    """Keypoints from ``(frame, person, joint, 3)`` in shares of the frame or in pixels.

    Raises:
        FormatError: if the third channel is not a confidence.
    """
    data = np.asarray(data, np.float32)
    confidence = data[..., 2]
    known = np.nan_to_num(confidence)
    if (known < 0).any() or (known > _LARGEST_CONFIDENCE).any():
        low, high = np.nanmin(confidence), np.nanmax(confidence)
        raise FormatError(
            f"{where}: the third channel reaches from {low:.2f} to {high:.2f}; expected a confidence from 0 "
            "to 1 (if it is z in the space of a camera, give --space camera)"
        )
    keypoints = to_keypoints(data[..., :2], confidence)
    xy = keypoints[..., :2][is_seen(keypoints)]
    if np.abs(xy).max(initial=0) <= LARGEST_SHARE:
        keypoints[..., :2] = (keypoints[..., :2] + 0.5) * np.array(size, np.float32)
    return keypoints


@np.errstate(over="ignore")
def to_keypoints_in_space(data: ArrayLike) -> Keypoints:
    """Keypoints ``(..., 4)`` from ``(..., 3)`` in the space of a camera; a joint at the origin is unseen."""
    points = np.asarray(data, np.float32)
    return to_keypoints(points, np.any(points != 0, axis=-1))


def read_array(
    data: NDArray[Any], size: tuple[int, int] | None, space: Space | None, where: str
) -> tuple[Keypoints, tuple[int, int]]:
    """Keypoints and frame size from ``(frame, person, joint, 3)``; the size is 0, 0 in the space of a camera.

    Raises:
        FormatError: if the clip is too large, a frame size is needed and missing, or the third channel is
            neither a confidence nor specified as z.
    """
    require_moderate_clip(data.shape, where)
    if space == "camera":
        return to_keypoints_in_space(data), (0, 0)
    size = require_size(size, where, f"{SIZE_ALTERNATIVE}, or --space camera")
    return to_pixels(data, size, where), size


def to_sequence(
    keypoints: Keypoints, layout: Layout, fps: float, size: tuple[int, int], origin: Origin
) -> PoseSequence:
    """The sequence of a clip of which every frame is stored."""
    count = len(keypoints)
    return PoseSequence(np.ascontiguousarray(keypoints), every_frame(count), count, layout, fps, size, origin)
