"""The trial of mutated inputs and kills (`tests/trial`): no fault in its table.

Run it with ``pytest -m trial -n0``; ``SKDPIPE_TRIAL_SHARE=0.1`` tries a tenth of the cases.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file
from trial.children import UNCAUGHT, Finished
from trial.file_types import file_type_of, mutate_file
from trial.judging import absurdities, judge_end

from skdpipe.tensor_file import read_tensors, write_tensors

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


# What the trial would notice


def finished(code: int = 0, signal: int = 0, limit: str = "", err: str = "", peak: int = 0) -> Finished:
    return Finished(("predict",), code, signal, limit, 0.1, peak, "", err)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("end", "faults"),
    [
        (finished(), []),
        (finished(1, err="error: a.mat is damaged; delete it\n"), []),
        (finished(1), ["output"]),
        (finished(1, err="error: a.mat is\nnot a file\n"), ["output"]),
        (finished(1, err="error: \x1b[31m\n"), ["output"]),
        (finished(1, err="error: " + 3000 * "x"), ["output"]),
        (finished(UNCAUGHT, err="ValueError: x\n"), ["traceback"]),
        (finished(signal=11), ["crash"]),
        (finished(signal=6, limit="time"), ["hang"]),
        (finished(signal=9, limit="memory"), ["memory"]),
        (finished(peak=2 * 10**9), ["memory"]),
    ],
)
def test_how_a_command_ended_is_judged(end: Finished, faults: list[str]) -> None:
    assert [fault for fault, _ in judge_end(end)] == faults


def points(*joint: float) -> np.ndarray:
    """Three frames of a person with all joints at one point."""
    return np.full((3, 1, 17, 3), joint, np.float32)


def entry(folder: Path, **changes: Any) -> Path:
    """A cached sequence of three frames, written without the checks of the cache."""
    tensors = {
        "keypoints": points(1, 1, 1),
        "frame_index": np.arange(3, dtype=np.int32),
        **{name: value for name, value in changes.items() if isinstance(value, np.ndarray)},
    }
    metadata = {"video_frames": "3", "fps": "25.0", "width": "64", "height": "48"}
    metadata |= {name: value for name, value in changes.items() if isinstance(value, str)}
    save_file(tensors, folder / "a.safetensors", metadata)
    return folder / "a.safetensors"


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({}, []),
        ({"keypoints": points(1e30, 0, 1)}, ["a joint at 1e+30 in 64 x 48"]),
        ({"keypoints": points(np.nan, 0, 1)}, ["a seen joint that is not finite"]),
        ({"keypoints": points(np.nan, 0, 0)}, []),
        ({"keypoints": points(2, 2, 2)}, ["a confidence outside of 0 to 1"]),
        ({"frame_index": np.array([0, 2, 1], np.int32)}, ["frames 0 to 1 of 3"]),
        ({"video_frames": "2"}, ["frames 0 to 2 of 2"]),
        ({"fps": "nan"}, ["nan frames per second"]),
        ({"width": str(10**12)}, [f"size {10**12} 48"]),
        ({"times": np.array([0, 1, 1.0])}, ["times that are not finite or do not rise"]),
    ],
)  # fmt: skip
def test_an_absurd_sequence_is_noticed(tmp_path: Path, changes: dict[str, Any], found: list[str]) -> None:
    assert list(absurdities(entry(tmp_path, **changes))) == found


def test_a_seed_gives_the_same_mutations(tmp_path: Path) -> None:
    path = entry(tmp_path)
    content = path.read_bytes()

    def mutated(seed: int) -> tuple[str, bytes]:
        path.write_bytes(content)
        return mutate_file(path, Random(seed), path), path.read_bytes()

    assert [mutated(seed) for seed in range(30)] == [mutated(seed) for seed in range(30)]
    assert len({content for _, content in map(mutated, range(30))}) > 20


def test_a_mutated_value_of_a_checked_file_has_the_right_checksum(tmp_path: Path) -> None:
    """Otherwise every mutant would be refused for its checksum."""
    path = tmp_path / "a.safetensors"
    write_tensors(path, {"x": np.arange(6.0)}, {"format": "f-1"})
    tree = file_type_of(path).parse(path.read_bytes())
    tree["tensors"]["x"] = np.full(6, np.nan)
    path.write_bytes(file_type_of(path).write(tree))
    assert np.isnan(read_tensors(path)["x"]).all()
