"""Reuse of freed memory, in a separate process because the setting applies to the whole process."""

from __future__ import annotations

import subprocess
import sys

import pytest

_PROGRAM = """
import resource, sys
import torch
from skdpipe.memory import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
for _ in range(8):
    torch.ones(20_000_000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    torch.ones(20_000_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a setting of the GNU C library")
def test_freed_memory_is_reused() -> None:
    """Five allocations of 80 MB: page faults occur again only if the memory was returned."""
    returned, kept = (
        int(subprocess.run([sys.executable, "-c", _PROGRAM, how], capture_output=True, check=True).stdout)
        for how in ("return", "keep")
    )
    assert kept < returned / 10
