"""Streams from addresses: of cameras (RTSP, MJPEG) and of servers (HLS, MPEG-TS), and files over HTTP."""

from __future__ import annotations

import errno
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import av
import av.error
from av.container import InputContainer

from skdpipe.errors import VideoError
from skdpipe.printable import printable
from skdpipe.video.container import FORMATS, LIMITS, video_of
from skdpipe.video.feed import Feed
from skdpipe.video.live_clock import LiveClock
from skdpipe.video.receiving import Receiver

_WEB: Final = "http,https,httpproxy,tcp,tls,crypto"
_RTSP: Final = "rtsp,rtsps,rtp,srtp,udp,tcp,tls"
PROTOCOLS: Final = {
    "rtsp": _RTSP,
    "rtsps": _RTSP,
    "http": _WEB,
    "https": _WEB,
    "rtmp": "rtmp,tcp",
    "rtmps": "rtmps,rtmp,tls,tcp",
    "udp": "udp",
    "tcp": "tcp",
    "srt": "srt",
}
"""The beginnings of addresses, and the protocols of FFmpeg that each may use: never ``file``."""

_OPTIONS: Final = {
    "rtsp": {"rtsp_flags": "prefer_tcp", "allowed_media_types": "video"},
    "rtsps": {"rtsp_flags": "prefer_tcp", "allowed_media_types": "video"},
    "http": {"reconnect": "1", "reconnect_delay_max": "8"},  # of files, which go on where they broke off
    "https": {"reconnect": "1", "reconnect_delay_max": "8"},
    "udp": {"overrun_nonfatal": "1"},
}
_ADDRESS: Final = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)


def scheme_of(source: str) -> str | None:
    """The scheme of an address in lower case; None for anything else."""
    found = _ADDRESS.match(source)
    return found[1].lower() if found else None


def without_secrets(address: str) -> str:
    """An address without its user, password and query.

    >>> without_secrets("rtsp://user:p@ss/word@camera/1?key=5")
    'rtsp://***@camera/1?***'
    """
    shown = re.sub(r"://.*@", "://***@", address, count=1, flags=re.DOTALL)
    return printable(re.sub(r"[?#].*", "?***", shown, count=1, flags=re.DOTALL), 200)


@contextmanager
def open_address(
    address: str,
    clock: LiveClock,
    on_corrupt: Callable[[], None],
    patience: float,
    is_recording: bool | None = None,
) -> Iterator[Feed]:
    """Connect to an address.

    Args:
        address: one that begins with one of `PROTOCOLS`.
        clock: of the source, of which this may be a later connection.
        on_corrupt: called for each packet or frame that is left out.
        patience: seconds without an answer or a frame after which the connection counts as broken.
        is_recording: whether it waits for its reader, and ends; by default a stream of stated length does.

    Raises:
        VideoError: if there is no connection, or no video stream.
    """
    name = without_secrets(address)
    clock.reconnect()
    with _connect(address, name, patience) as container, video_of(name, container) as stream:
        comes_in_segments = container.format.name == "hls"
        if is_recording is None:
            is_recording = bool(container.duration) or (not comes_in_segments and container.size > 0)
        if is_recording:
            stream.thread_type = "AUTO"
        else:
            stream.thread_type = "SLICE"  # threads for frames would add a delay
        yield Receiver(
            name,
            container,
            stream,
            clock,
            on_corrupt,
            patience,
            is_recording,
            comes_in_segments and not is_recording,
        ).feed()


def _connect(address: str, name: str, patience: float) -> InputContainer:
    scheme = scheme_of(address)
    if scheme is None and _is_path(address):
        raise VideoError(
            f"{name}: is a file or a folder; expected an address, the number of a camera, or - "
            "(predict takes files without --source)"
        )
    if scheme not in PROTOCOLS:
        raise VideoError(
            f"{name}: not an address of a video stream; expected one that begins with "
            f"{', '.join(f'{each}://' for each in PROTOCOLS)}"
        )
    options = {
        "protocol_whitelist": PROTOCOLS[scheme],
        "format_whitelist": f"{FORMATS},hls,rtsp",
        **_OPTIONS.get(scheme, {}),
    }
    try:
        return av.open(
            address,
            metadata_errors="replace",
            container_options=options,
            options=LIMITS,
            timeout=patience,
        )
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise VideoError(f"{name}: {_why(error, address, patience)}") from None


def _why(error: Exception, address: str, patience: float) -> str:
    """What is wrong with an address; the error's own text would contain it with the password."""
    match error:
        case av.error.HTTPUnauthorizedError() | av.error.HTTPForbiddenError():
            return "user name or password are refused; correct them in the address"
        case av.error.HTTPNotFoundError():
            return "the server has nothing at this address; correct its path"
        case av.error.ConnectionRefusedError():
            return "the connection is refused; correct the host and the port, or start the server"
        case av.error.ExitError() | av.error.TimeoutError():
            return f"no answer within {patience:g} s; correct the host and the port, or start the server"
        case av.error.ProtocolNotFoundError():
            return "this FFmpeg does not have the protocol; use rtsp or http"
        case _ if not _is_known_host(address):
            advice = "; write special characters of a password as %40 and the like" if "@" in address else ""
            return f"there is no host of this name; correct it{advice}"
        case av.error.InvalidDataError() | av.error.ArgumentError() | av.error.EOFError():
            return "no video stream was found there; expected RTSP, HLS, MPEG-TS, MJPEG or a video file"
        case OSError(errno=errno.EIO):
            return "the connection broke off before a video stream was found; try again, or correct the path"
        case _:
            return f"cannot be opened ({getattr(error, 'strerror', None) or type(error).__name__})"


def _is_path(source: str) -> bool:
    try:
        return Path(source).exists()
    except (OSError, ValueError):  # too long, or with a zero byte
        return False


def _is_known_host(address: str) -> bool:
    try:
        host = urlsplit(address).hostname
        return host is not None and bool(socket.getaddrinfo(host, None))
    except (OSError, ValueError):
        return False
