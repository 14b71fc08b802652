"""Phone videos: MP4 files with a display matrix."""

from __future__ import annotations

import struct
from pathlib import Path


def with_matrix(path: Path, *matrix: float) -> Path:
    """Overwrite a, b, c, d of the display matrix in the track header of an MP4, 16.16 fixed point."""
    a, b, c, d = (round(value * 2**16) for value in matrix)
    content = bytearray(path.read_bytes())
    at = content.index(b"tkhd") + 44
    content[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    return path
