"""Peak memory of an estimator, in a process that does nothing else: ``python -m skdpipe.profile.memory``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

from skdpipe.config import Estimator, parse_estimator_settings, to_plain
from skdpipe.errors import PoseError
from skdpipe.memory import peak_memory
from skdpipe.pose.decoding import SampledEstimator
from skdpipe.pose.estimate import estimate_video
from skdpipe.pose.load import load_estimator
from skdpipe.skeleton import Origin

if TYPE_CHECKING:
    from skdpipe.profile.clip import Clip


def measure_peak_memory(
    settings: Estimator, clip: Clip, *, people: int, batch: int, device: str
) -> int | None:
    """Bytes of main memory that a new process needs to find the people of a clip; None if unknown.

    Raises:
        PoseError: if the process fails.
    """
    job = {
        "settings": to_plain(settings),
        "path": str(clip.path),
        "people": people,
        "batch": batch,
        "device": device,
    }
    command = [sys.executable, "-P", "-m", "skdpipe.profile.memory"]
    same_imports = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        command, input=json.dumps(job), env=same_imports, capture_output=True, text=True, check=False
    )
    if done.returncode:
        reason = deque(done.stderr.splitlines(), maxlen=1)
        raise PoseError(f"its process ended with exit code {done.returncode} ({' '.join(reason):.200})")
    peak: int | None = json.loads(done.stdout)
    return peak


def _run(job: dict[str, object]) -> int | None:
    settings = parse_estimator_settings(job["settings"], "the settings of this process")
    sampled = SampledEstimator(load_estimator(settings, str(job["device"])), settings.every)
    people, batch = int(str(job["people"])), int(str(job["batch"]))
    estimate_video(Path(str(job["path"])), [sampled], Origin(str(job["path"])), people=people, batch=batch)
    return peak_memory()


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_run(json.load(sys.stdin))))
