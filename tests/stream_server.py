"""A local HTTP server whose answers are written by the test, piece by piece."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import av
import cv2
import numpy as np

MJPEG = "multipart/x-mixed-replace; boundary=frame"


@contextmanager
def served(
    answer_to: Callable[[int, str], Iterable[bytes] | bytes | int], content_type: str = "video/mp2t"
) -> Iterator[str]:
    """The address of a server.

    Args:
        answer_to: what is sent for the request of this number, from 0, and path: a body whose length is
            stated, pieces of a body whose length is not, or the code of an error. The connection is closed
            after the last piece.
        content_type: of the answers.
    """
    requests = iter(range(10**6))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = answer_to(next(requests), self.path)
            if isinstance(answer, int):
                self.send_error(answer)
                return
            self.send_response(200)
            self.send_header("Content-Type", content_type)
            if isinstance(answer, bytes):
                self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            for piece in [answer] if isinstance(answer, bytes) else answer:
                self.wfile.write(piece)
                self.wfile.flush()

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:  # the client has gone
            pass

    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=[0.05], daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/stream"
    finally:
        server.shutdown()
        server.server_close()


def numbered(frames: int, size: tuple[int, int] = (64, 48), start: int = 0) -> Iterator[np.ndarray]:
    """Grey frames whose brightness is 40 + 2 x their number, modulo 90."""
    for number in range(start, start + frames):
        yield np.full((size[1], size[0], 3), 40 + 2 * (number % 90), np.uint8)


def number_of(image: np.ndarray) -> int:
    return round((float(image.mean()) - 40) / 2)


def container_of(
    images: Iterable[np.ndarray],
    format_name: str = "mpegts",
    codec: str = "mpeg2video",
    *,
    first: int = 0,
    **options: str,
) -> bytes:
    """A video of 25 frames/s, whose timestamps start at a number of frames."""
    file = io.BytesIO()
    with av.open(file, "w", format=format_name, options=options) as container:
        stream = None
        for number, image in enumerate(images):
            if stream is None:
                stream = container.add_stream(codec, rate=25)
                stream.height, stream.width = image.shape[:2]
                stream.pix_fmt = "yuv420p"
                stream.options = {"g": "5", "bf": "0"}
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts = first + number
            container.mux(stream.encode(frame))
        assert stream is not None
        container.mux(stream.encode())
    return file.getvalue()


def jpeg_part(image: np.ndarray) -> bytes:
    """A part of a motion JPEG answer."""
    data = cv2.imencode(".jpg", image)[1].tobytes()
    return b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s\r\n" % (len(data), data)
