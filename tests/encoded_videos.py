"""Videos of any codec and container, written by the libraries of FFmpeg."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.codec.context import Flags


def encode(
    path: Path,
    codec: str,
    frames: np.ndarray,
    *,
    pixels: Fraction | None = None,
    times: Sequence[int] | None = None,
    sound: tuple[str, float] | None = None,
    interlaced: bool = False,
    pixel_format: str = "yuv420p",
    coding: Mapping[str, str] | None = None,
    **options: str,
) -> Path:
    """A video of 25 frames/s.

    Args:
        pixels: the sample aspect ratio.
        times: of the frames in 1/25 s.
        sound: an audio codec, and the seconds that it lasts.
        interlaced: whether frames are encoded as two fields.
        pixel_format: of the encoded frames.
        coding: options of the encoder.
        options: of the container.
    """
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = pixel_format
        stream.options = {**(coding or {})}
        if pixels is not None:
            stream.codec_context.sample_aspect_ratio = pixels
        if interlaced:
            stream.codec_context.flags |= Flags.interlaced_dct | Flags.interlaced_me
        audio = container.add_stream(sound[0], rate=48000, layout="mono") if sound else None
        if audio is not None:
            audio.bit_rate = 64000
        for number, image in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts = times[number] if times else number
            container.mux(stream.encode(frame))
            if audio is not None and sound is not None:
                part = [round(48000 * sound[1] * n / len(frames)) for n in (number, number + 1)]
                container.mux(audio.encode(silence(*part)))
        for each in [stream, *([audio] if audio else [])]:
            container.mux(each.encode())
    return path


def silence(start: int, end: int) -> av.AudioFrame:
    """Samples of 48 kHz."""
    frame = av.AudioFrame.from_ndarray(np.zeros((1, end - start), np.int16), format="s16", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = 48000, start, Fraction(1, 48000)
    return frame


def noise(frames: int) -> np.ndarray:
    """Frames that do not compress well: blocks of random colour."""
    blocks = np.random.default_rng(0).integers(0, 255, (frames, 6, 8, 3), dtype=np.uint8)
    return blocks.repeat(16, axis=1).repeat(16, axis=2)


def truncated(path: Path, share: float) -> Path:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    return path
