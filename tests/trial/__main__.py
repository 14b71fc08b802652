"""``python tests/trial``: run the trial, or one case of it, and print the table of outcomes."""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))
tests = Path(__file__).resolve().parents[1]
sys.path[0:1] = [str(tests.parent), str(tests)]  # this package, what it takes from the tests, and skdpipe
os.environ["PYTHONPATH"] = str(tests.parent)  # for the commands that are killed

from trial.program import main  # noqa: E402

main()
