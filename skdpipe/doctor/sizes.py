"""Numbers of bytes as text."""

from __future__ import annotations


def size(count: float) -> str:
    """A number of bytes with a unit, in powers of 1000.

    >>> size(1_234_000), size(0), size(20e9)
    ('1.2 MB', '0 bytes', '20 GB')
    """
    for unit, factor in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= 0.9995 * factor:
            return f"{count / factor:.2g} {unit}" if count < 99.5 * factor else f"{count / factor:.0f} {unit}"
    return f"{count:.0f} bytes"
