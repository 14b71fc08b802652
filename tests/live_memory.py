"""Memory and speed of a live source over an hour of video, sent as fast as it is read.

    python tests/live_memory.py [mpegts | raw] [SECONDS]

An hour of 30 frames/s of 320x240 pixels is written to standard input by a second process, and received with
`open_live`. Printed are the resident memory on the way, and the time in comparison with decoding alone.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Final

FPS: Final = 30
SIZE: Final = 320, 240
_MARKS: Final = 0.001, 0.1, 0.25, 0.5, 0.75, 1.0


def write(kind: str, frames: int) -> None:
    """Write a video to standard output: ten seconds of moving grain, again and again."""
    import av
    import numpy as np

    grain = np.random.default_rng(0).integers(0, 255, (SIZE[1] // 8, SIZE[0] // 8, 3), np.uint8)
    large = grain.repeat(8, axis=0).repeat(8, axis=1)
    images = [np.roll(large, 3 * shift, axis=1) for shift in range(10 * FPS)]
    if kind == "raw":
        for number in range(frames):
            sys.stdout.buffer.write(images[number % len(images)].data)
        return
    with av.open(sys.stdout.buffer, "w", format="mpegts") as container:
        stream = container.add_stream("mpeg2video", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        pictures = [
            av.VideoFrame.from_ndarray(each, format="rgb24").reformat(format="yuv420p") for each in images
        ]
        for number in range(frames):
            picture = pictures[number % len(pictures)]
            picture.pts = number
            container.mux(stream.encode(picture))
        container.mux(stream.encode())


def read(kind: str, frames: int) -> None:
    """Receive a video from standard input, and print the memory on the way."""
    from skdpipe.video import RawVideo, open_live

    marks = [max(1, int(each * frames)) for each in _MARKS]
    began = time.perf_counter()
    received = total = 0
    with open_live("-", raw=RawVideo(SIZE, FPS) if kind == "raw" else None) as source:
        for received, frame in enumerate(source, 1):
            total += int(frame.image[0, 0, 0])
            if received in marks:
                minutes = frame.seconds / 60
                _print(f"{received:7} frames, {minutes:5.1f} min: {_resident():6.1f} MiB resident")
        seconds = time.perf_counter() - began
        _print(
            f"{received} of {frames} frames received in {seconds:.1f} s ({received / seconds:.0f} frames/s), "
            f"{source.dropped} dropped, {source.corrupt} corrupt"
        )


def _resident() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096 / 2**20


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(kind: str = "mpegts", seconds: str = "3600", role: str = "") -> None:
    frames = int(seconds) * FPS
    if role:
        (write if role == "write" else read)(kind, frames)
        return
    words = [sys.executable, __file__, kind, seconds]
    with subprocess.Popen([*words, "write"], stdout=subprocess.PIPE) as writer:
        subprocess.run([*words, "read"], stdin=writer.stdout, check=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
