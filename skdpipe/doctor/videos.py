"""Decoders and encoders of videos, and OpenCV."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from skdpipe.doctor.requirements import OPENCV, installed
from skdpipe.doctor.setup import Check, Setup
from skdpipe.errors import in_one_line
from skdpipe.finding import Finding, Level

if TYPE_CHECKING:
    from skdpipe.video.codecs import VideoCodec

_FRAMES: Final = 6
_SIZE: Final = 96, 64
_STEP: Final = 20  # grey levels from one frame to the next
_TOLERANCE: Final = 6.0  # grey levels, on average; less than half of a step
_REINSTALL: Final = "pip install --force-reinstall av"
_NAMES: Final = ("H.264", "HEVC", "VP9", "AV1", "MPEG-4", "MJPEG")


def check_decoder(_: Setup) -> Iterator[Finding]:
    """Whether FFmpeg's libraries can be loaded."""
    try:
        from skdpipe.video.codecs import describe_decoder
    except ImportError as error:
        yield Finding("decoder", "problem", f"cannot be imported ({in_one_line(error)})", _REINSTALL)
        return
    yield Finding("decoder", "fine", describe_decoder())


def check_codec(name: str, _: Setup) -> Iterator[Finding]:
    """Whether a short video is decoded as it was encoded."""
    try:
        from skdpipe.video.codecs import CODECS
    except ImportError:
        return  # the first finding says so
    (codec,) = (each for each in CODECS if each.name == name)
    yield examine(codec)


def examine(codec: VideoCodec) -> Finding:
    """What works of a codec."""
    main = codec.name == "H.264"
    level: Level = "problem" if main else "warning"
    convert = "convert such videos: ffmpeg -i VIDEO -c:v libx264 VIDEO.mp4"
    if not codec.has_decoder:
        text = f"this FFmpeg has no decoder: {codec.name} videos cannot be read"
        return Finding(codec.name, level, text, _REINSTALL if main else f"{_REINSTALL}, or {convert}")
    if codec.encoder is None:
        text = "a decoder is there; without an encoder it was not tried"
        if main:
            return Finding(codec.name, "warning", f"{text}, and no video can be written", _REINSTALL)
        return Finding(codec.name, "note", text, "none, unless such videos are read wrongly")
    try:
        wrong = _wrong_frames(codec, codec.encoder)
    except Exception as error:  # of FFmpeg, or of the reading
        wrong = in_one_line(error)
    if wrong:
        return Finding(codec.name, level, f"{wrong} (by {codec.encoder})", f"{_REINSTALL}, or {convert}")
    return Finding(codec.name, "fine", f"{_FRAMES} frames by {codec.encoder} are decoded right")


def _wrong_frames(codec: VideoCodec, encoder: str) -> str:
    """What is wrong with the decoded frames of a short video; empty if nothing is."""
    import numpy as np

    from skdpipe.video import read_frames
    from skdpipe.video.codecs import encode_sample

    grey = np.add.outer(np.arange(_FRAMES) * _STEP, np.linspace(40, 100, _SIZE[0]))
    frames = np.broadcast_to(grey[:, None, :, None], (_FRAMES, _SIZE[1], _SIZE[0], 3)).astype(np.uint8)
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"sample{codec.container}"
        encode_sample(path, encoder, list(frames))
        decoded = list(read_frames(path))
    if len(decoded) != _FRAMES:
        return f"{len(decoded)} of {_FRAMES} frames are decoded"
    error = max(float(np.abs(a.astype(float) - b).mean()) for a, b in zip(decoded, frames, strict=True))
    return f"decoded frames differ by {error:.0f} grey levels" if error > _TOLERANCE else ""


def check_opencv(_: Setup) -> Iterator[Finding]:
    """Whether OpenCV computes, and is not a mixture of several packages with the same files."""
    found = {name: version for name in OPENCV if (version := installed(name)) is not None}
    listed = ", ".join(f"{name} {version}" for name, version in found.items())
    if len(set(found.values())) > 1:
        names = " ".join(found)
        yield Finding(
            "opencv-packages",
            "problem",
            f"{listed} write the same files, and their versions differ: cv2 is a mixture of them",
            f'pip uninstall -y {names}, then pip install "opencv-python>=4.10,<5"',
        )
    elif len(found) > 1:
        remedy = "keep their versions equal, or uninstall both and install one"
        yield Finding("opencv-packages", "note", f"{listed} write the same files", remedy)
    if find_spec("cv2") is None:
        yield Finding("opencv", "problem", "not installed", 'pip install "opencv-python>=4.10,<5"')
        return
    try:
        import cv2
    except ImportError as error:
        remedy = (
            "install the library that is named (apt install libgl1 libglib2.0-0), or opencv-python-headless"
        )
        yield Finding("opencv", "problem", f"cannot be imported ({in_one_line(error)})", remedy)
        return
    import numpy as np

    small = cv2.resize(np.array([[0, 100], [100, 200]], np.uint8), (1, 1), interpolation=cv2.INTER_AREA)
    text = f"OpenCV {cv2.__version__}, {cv2.getNumThreads()} threads"
    if small.item() == 100:
        yield Finding("opencv", "fine", text)
    else:
        remedy = f'pip uninstall -y {" ".join(OPENCV)}, then pip install "opencv-python>=4.10,<5"'
        yield Finding("opencv", "problem", f"{text}: a mean of 0, 100, 100, 200 is {small.item()}", remedy)


CHECKS: Final[dict[str, Check]] = {
    "decoder": check_decoder,
    **{name: partial(check_codec, name) for name in _NAMES},
    "opencv": check_opencv,
}
