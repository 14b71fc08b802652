"""Memory of a live source, and of its labels, over an hour of video that is sent as fast as it is read.

    python tests/live_memory.py mpegts | raw [SECONDS]
    python tests/live_memory.py labels | dropping BUNDLE [SECONDS]

mpegts, raw: an hour of 30 frames/s of 320x240 pixels is written to standard input by a second process, and
received with `open_live`. Printed are the resident memory on the way, and the number of frames a second.

labels: an hour of 12 frames/s of actors who come, act and leave is written to the standard input of
`skdpipe predict --source - --json`. Printed are the resident memory of that process on the way and its last
line.

dropping: ten minutes of the same from a local server, faster than they are labelled, a minute in each
connection. Such connections are short, so the pauses between them grow to 30 s.
"""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from itertools import cycle, islice
from pathlib import Path
from typing import IO, Any, Final

import av
import numpy as np
from actor_footage import one_at_a_time
from stream_server import served

FPS: Final = 30
_ACTORS_FPS: Final = 12
SIZE: Final = 320, 240
_MARKS: Final = 0.001, 0.1, 0.25, 0.5, 0.75, 1.0
_LABELLED: Final = 0.02, 0.1, 0.25, 0.5, 0.75, 1.0
_WINDOW: Final = ("--window", "2")  # for a bundle that does not state how long its training clips are


def write(kind: str, frames: int) -> None:
    """Write a video to standard output: ten seconds of moving grain, or actors, again and again."""
    if kind == "labels":
        _encode(sys.stdout.buffer, islice(cycle(one_at_a_time(0).render()), frames), _ACTORS_FPS)
        return
    grain = np.random.default_rng(0).integers(0, 255, (SIZE[1] // 8, SIZE[0] // 8, 3), np.uint8)
    large = grain.repeat(8, axis=0).repeat(8, axis=1)
    images = [np.roll(large, 3 * shift, axis=1) for shift in range(10 * FPS)]
    if kind == "raw":
        for number in range(frames):
            sys.stdout.buffer.write(images[number % len(images)].data)
        return
    _encode(sys.stdout.buffer, islice(cycle(images), frames), FPS)


def _encode(file: Any, images: Iterable[np.ndarray], fps: int) -> None:
    """Write an MPEG transport stream."""
    with av.open(file, "w", format="mpegts") as container:
        stream = None
        for number, image in enumerate(images):
            if stream is None:
                stream = container.add_stream("mpeg2video", rate=fps)
                stream.height, stream.width = image.shape[:2]
                stream.pix_fmt, stream.bit_rate = "yuv420p", 2_000_000
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts = number
            container.mux(stream.encode(frame))
        if stream is not None:
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


def label(bundle: str, seconds: int) -> None:
    """Label actors on standard input, and print the memory on the way."""
    words = [sys.executable, __file__, "labels", str(seconds * _ACTORS_FPS), "write"]
    marks = [each * seconds for each in _LABELLED]
    with (
        subprocess.Popen(words, stdout=subprocess.PIPE) as writer,
        labelling(bundle, "-", given=writer.stdout) as command,
    ):
        began = time.perf_counter()
        for event in label_events(command):
            while marks and event.get("end", 0.0) >= marks[0]:
                _print(f"{marks.pop(0) / 60:6.1f} min: {_resident(command.pid):6.1f} MiB resident")
            if event["event"] == "end":
                _print(json.dumps(event))
                _print(f"{event['frames'] / (time.perf_counter() - began):.0f} frames/s")


def label_dropping(bundle: str, seconds: int) -> None:
    """Label actors of a server that sends them faster than that, and print the memory on the way."""
    video = io.BytesIO()
    _encode(video, islice(one_at_a_time(0).render(), 60 * _ACTORS_FPS), _ACTORS_FPS)
    marks = {max(1, round(each * seconds / 60)) for each in _LABELLED}
    sent: list[int] = []

    def answer(number: int, _: str) -> Iterator[bytes]:
        sent.append(number)
        yield video.getvalue()

    with served(answer) as address, labelling(bundle, address) as command:
        for event in label_events(command):
            if event["event"] == "disconnected" and len(sent) in marks:
                _print(f"{len(sent):6} min: {_resident(command.pid):6.1f} MiB resident")
                if len(sent) == max(marks):
                    command.send_signal(signal.SIGINT)
            elif event["event"] == "end":
                _print(json.dumps(event))


def labelling(
    bundle: str, source: str, *options: str, given: IO[bytes] | None = None
) -> subprocess.Popen[bytes]:
    """The command that labels a live source; its standard output are JSON lines."""
    words = ["predict", "--source", source, "--json", "--bundle", bundle, *_WINDOW, *options]
    return subprocess.Popen([sys.executable, "-m", "skdpipe", *words], stdin=given, stdout=subprocess.PIPE)


def label_events(command: subprocess.Popen[bytes]) -> Iterator[dict[str, Any]]:
    """The JSON lines of a command."""
    assert command.stdout is not None
    return map(json.loads, command.stdout)


def _resident(process: int | str = "self") -> float:
    pages = int(Path(f"/proc/{process}/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096 / 2**20


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(kind: str = "mpegts", *rest: str) -> None:
    if kind in {"labels", "dropping"} and rest[-1] != "write":
        bundle, seconds = rest[0], int(rest[1]) if len(rest) > 1 else (3600 if kind == "labels" else 600)
        (label if kind == "labels" else label_dropping)(bundle, seconds)
    elif rest and rest[-1] in {"write", "read"}:
        (write if rest[-1] == "write" else read)(kind, int(rest[0]))
    else:
        words = [sys.executable, __file__, kind, str((int(rest[0]) if rest else 3600) * FPS)]
        with subprocess.Popen([*words, "write"], stdout=subprocess.PIPE) as writer:
            subprocess.run([*words, "read"], stdin=writer.stdout, check=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
