"""The trial of mutated inputs and kills (`tests/trial`): no fault in its table.

Run it with ``pytest -m trial -n0``; ``SKDPIPE_TRIAL_SHARE=0.1`` tries a tenth of the cases.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TRIAL = Path(__file__).with_name("trial")


@pytest.mark.trial
@pytest.mark.timeout(3 * 3600)
def test_no_fault_is_found(tmp_path: Path) -> None:
    share = os.environ.get("SKDPIPE_TRIAL_SHARE", "1")
    command = [sys.executable, TRIAL, "--share", share, "--folder", tmp_path]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    print(done.stdout)  # noqa: T201  # the table
    outcome = json.loads((tmp_path / "outcome.json").read_text(encoding="utf-8"))
    counts = {"cases", "accepted", "refused", "kills", "finished"}
    rows = {**outcome["inputs"], **{f"kill {name}": row for name, row in outcome["kills"].items()}}
    faults = {
        name: {what: count for what, count in row.items() if count and what not in counts}
        for name, row in rows.items()
    }
    assert len(rows) == 21
    assert {name: row for name, row in faults.items() if row} == {}
    assert done.returncode == 0
