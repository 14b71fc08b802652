"""The versions that files state: ``NAME-NUMBER``, for example ``skdpipe-sequence-1``."""

from __future__ import annotations

import re


def is_newer(found: object, expected: str) -> bool:
    """Whether a file states a later version of the expected format.

    >>> is_newer("skdpipe-run-2", "skdpipe-run-1"), is_newer("skdpipe-run-1", "skdpipe-run-1")
    (True, False)
    """
    name, _, number = expected.rpartition("-")
    match = re.fullmatch(rf"{re.escape(name)}-(\d{{1,9}})", found) if isinstance(found, str) else None
    return match is not None and int(match[1]) > int(number)
