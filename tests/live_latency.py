"""Latency of the labels of live video, from the arrival of a frame to the label that it completes.

    python tests/live_latency.py BUNDLE [SECONDS] [FPS]

Two minutes of actors at 30 frames/s are sent by a local server in real time, and labelled by `skdpipe predict
--source http://... --json`; its last line is printed.
"""

from __future__ import annotations

import io
import json
import sys
import time
from collections.abc import Iterator, Sequence

import av
import numpy as np
from actor_footage import FPS, one_at_a_time
from live_memory import label_events, labelling
from stream_server import served


def sent(images: Sequence[np.ndarray], fps: int) -> Iterator[bytes]:
    """An MPEG transport stream in real time, without an end."""
    file = io.BytesIO()
    with av.open(file, "w", format="mpegts") as container:
        stream = container.add_stream("mpeg2video", rate=fps)
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt, stream.bit_rate, stream.options = "yuv420p", 2_000_000, {"bf": "0"}
        began, number = time.monotonic(), 0
        while True:
            frame = av.VideoFrame.from_ndarray(images[int(number * FPS / fps) % len(images)], format="rgb24")
            frame.pts = number
            container.mux(stream.encode(frame))
            number += 1
            time.sleep(max(0.0, began + number / fps - time.monotonic()))
            yield file.getvalue()
            file.seek(0)
            file.truncate()


def main(bundle: str, seconds: str = "120", fps: str = "30") -> None:
    images = list(one_at_a_time(0).render())
    with (
        served(lambda number, path: sent(images, int(fps))) as address,
        labelling(bundle, address, "--duration", seconds) as command,
    ):
        for event in label_events(command):
            if event["event"] not in {"label", "segment"}:
                sys.stdout.write(f"{json.dumps(event)}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
