"""What the libraries of FFmpeg can decode and encode here, and short videos to try it with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import av
import av.codec.codec
import av.error

from skdpipe.video.picture import Frame


@dataclass(frozen=True)
class VideoCodec:
    """A format of compressed video.

    Attributes:
        name: its usual name.
        decoder: FFmpeg's name of the format.
        encoders: FFmpeg's names of encoders, the best first.
        container: ending of a file that may contain it.
    """

    name: str
    decoder: str
    encoders: tuple[str, ...]
    container: str

    @property
    def has_decoder(self) -> bool:
        """Whether it can be decoded."""
        return _has(self.decoder, "r")

    @property
    def encoder(self) -> str | None:
        """The best encoder that is there, None if there is none."""
        return next((each for each in self.encoders if _has(each, "w")), None)


CODECS: Final = (
    VideoCodec("H.264", "h264", ("libx264", "libopenh264"), ".mp4"),
    VideoCodec("HEVC", "hevc", ("libx265",), ".mp4"),
    VideoCodec("VP9", "vp9", ("libvpx-vp9",), ".webm"),
    VideoCodec("AV1", "av1", ("libsvtav1", "libaom-av1", "librav1e"), ".mkv"),
    VideoCodec("MPEG-4", "mpeg4", ("mpeg4",), ".avi"),
    VideoCodec("MJPEG", "mjpeg", ("mjpeg",), ".avi"),
)
"""The formats of nearly all videos, the most frequent first."""


def describe_decoder() -> str:
    """The version of PyAV and of FFmpeg."""
    return f"PyAV {av.__version__} with FFmpeg {av.ffmpeg_version_info}"


def encode_sample(path: Path, encoder: str, frames: Sequence[Frame]) -> None:
    """Write frames of one size at 25 frames/s.

    Raises:
        av.error.FFmpegError: if the encoder fails.
    """
    with av.open(str(path), "w") as container:
        stream = container.add_stream(encoder, rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuvj420p" if encoder == "mjpeg" else "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def _has(name: str, mode: str) -> bool:
    try:
        av.codec.codec.Codec(name, mode)  # type: ignore[arg-type]
    except (av.codec.codec.UnknownCodecError, ValueError):
        return False
    return True
