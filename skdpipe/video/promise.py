"""The duration that a file should have, by which a truncated file is recognised."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Final

from av.container import InputContainer
from av.format import Flags

_TOLERANCE: Final = 0.5, 0.002  # seconds, and share of the promised duration

_PACKET_LENGTHS: Final = 188, 192, 204  # of MPEG-TS: plain, with times (M2TS), with error correction

# The object "file properties" of ASF: ten fields after its identifier; durations in 100 ns, preroll in ms.
_FILE_PROPERTIES: Final = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_HEADER_BYTES: Final = 2**16
_LIVE: Final = 1  # the flag of a recording whose durations are not valid


def is_short(seconds: float, promised: float) -> bool:
    """Whether a video is so much shorter than promised that frames are missing.

    Audio is often a few tenths of a second longer than the video; half a second and 0.2 % are tolerated.
    """
    return promised - seconds > _TOLERANCE[0] + _TOLERANCE[1] * promised


def is_joinable(container: InputContainer) -> bool:
    """Whether files of this container may be joined from pieces whose times do not continue (MPEG-TS)."""
    return Flags.ts_discont in Flags(int(container.format.flags))


def stated_duration(path: Path, container: InputContainer) -> float:
    """The duration that the header of a file states in seconds; 0 if it states none.

    FFmpeg computes the duration of transport and program streams from the end of the file, and ignores that
    of a truncated ASF file (WMV).
    """
    if container.format.name == "asf":
        return _asf_duration(path)
    if is_joinable(container) or not container.duration:
        return 0.0
    return float(container.duration) / 1e6


def ends_inside_packet(path: Path, container: InputContainer) -> bool:
    """Whether a transport stream is cut off within one of its packets, which have one length."""
    size = path.stat().st_size
    return container.format.name == "mpegts" and all(size % length for length in _PACKET_LENGTHS)


def _asf_duration(path: Path) -> float:
    with path.open("rb") as file:
        header = file.read(_HEADER_BYTES)
    at = header.find(_FILE_PROPERTIES)
    if at < 0 or at + 92 > len(header):
        return 0.0
    play, _, preroll, flags = struct.unpack_from("<QQQI", header, at + 64)
    return 0.0 if flags & _LIVE else max(0.0, float(play) / 1e7 - float(preroll) / 1e3)
