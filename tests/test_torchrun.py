"""Training in several processes: it equals training in one, and each failure ends all of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from moving_body import fill, tiny_experiment
from safetensors.torch import load_file
from training_together import CHECKS

from skdpipe.cache import PoseCache
from skdpipe.config import Experiment, to_plain
from skdpipe.distill import device_of_process, distill_student
from skdpipe.distill.processes import ALONE
from skdpipe.distill.records import read_results_file
from skdpipe.errors import ConfigError
from skdpipe.launched import launched_processes

# Where the values themselves have rounding errors beyond 1e-5.
LARGER: dict[str, float] = {"statistics far from zero": 1e-4, "in bfloat16": 0.02}


def torchrun(*command: str, processes: int = 2) -> subprocess.CompletedProcess[str]:
    """A module's options that begin like those of torchrun, as --log, must be separated by ``--``."""
    start = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1])])}
    return subprocess.run(
        [sys.executable, *start, *command], capture_output=True, text=True, timeout=300, env=environment
    )


# The results of one process


@pytest.fixture(scope="module")
def differences(tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    """Of two processes from one, for each check."""
    path = tmp_path_factory.mktemp("together") / "differences.json"
    found = torchrun(str(Path(__file__).with_name("training_together.py")), str(path))
    assert path.is_file(), found.stderr
    values: dict[str, float] = json.loads(path.read_text())
    return values


@pytest.mark.parametrize("name", CHECKS)
def test_two_processes_equal_one(differences: dict[str, float], name: str) -> None:
    assert differences[name] <= LARGER.get(name, 1e-5)


# The command


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> PoseCache:
    return fill(PoseCache(tmp_path_factory.mktemp("cache")))


EXPERIMENT = tiny_experiment(methods=("teacher", "baseline", "student"))


def config_file(folder: Path, experiment: Experiment = EXPERIMENT) -> Path:
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump({"experiment": to_plain(experiment)}))
    return path


def test_a_distillation_of_two_processes_equals_that_of_one(cache: PoseCache, tmp_path: Path) -> None:
    """Process 0 alone writes and prints."""
    found = torchrun(
        *(
            "-m",
            "--",
            "skdpipe",
            "distill",
            "--config",
            str(config_file(tmp_path)),
            "--cache",
            str(cache.root),
        ),
        *("--models", str(tmp_path / "two"), "--folds", "0", "--device", "cpu", "--log", "csv"),
        *("--test-every", "1"),
    )
    assert found.returncode == 0, found.stderr
    assert found.stdout.count("accuracy on test clips") == 1
    assert found.stderr.count("training HQS-T: 2 of 2 epochs") == 1
    distill_student(
        EXPERIMENT, cache, tmp_path / "one", device=torch.device("cpu"), log=["csv"], test_every=1
    )
    one, two = (tmp_path / name / "tiny" for name in ("one", "two"))
    assert {path.name for path in two.iterdir()} == {path.name for path in one.iterdir()}
    for method in EXPERIMENT.methods:
        expected, weights = (load_file(folder / f"{method}.safetensors") for folder in (one, two))
        torch.testing.assert_close(weights, expected, rtol=1e-5, atol=1e-5)
    expected_records, records = (read_results_file(folder / "results.json") for folder in (one, two))
    for method in EXPERIMENT.methods:
        for expected_curve, curve in zip(
            expected_records[method].curves, records[method].curves, strict=True
        ):
            assert curve.losses == pytest.approx(expected_curve.losses, abs=1e-5)
            assert curve.cosines == pytest.approx(expected_curve.cosines, abs=1e-4)
            assert replace(curve, losses={}, cosines={}) == replace(expected_curve, losses={}, cosines={})


# Errors


def test_a_mistake_is_reported_once(tmp_path: Path) -> None:
    found = torchrun(
        *("-m", "--", "skdpipe", "distill", "--config", str(config_file(tmp_path)), "--device", "cpu"),
        *("--cache", str(tmp_path / "empty"), "--models", str(tmp_path)),
    )
    assert found.returncode != 0
    assert found.stderr.count("error: ") == 1
    assert 'Traceback (most recent call last):\n  File "/work' not in found.stderr.partition("Root Cause")[2]


def test_other_commands_refuse_several_processes() -> None:
    found = subprocess.run(
        [sys.executable, "-m", "skdpipe", "layouts"],
        capture_output=True, text=True, env={**os.environ, "RANK": "0", "WORLD_SIZE": "2"},
    )  # fmt: skip
    assert found.returncode == 1
    assert found.stderr == (
        "error: 2 processes run layouts; expected one, because only distill and finetune share their work "
        "under torchrun: run it without torchrun\n"
    )


@pytest.mark.parametrize(
    ("index", "count", "expected"),
    [("1", "2", (1, 2)), ("0", "1", (0, 1)), ("", "2", (0, 1)), ("2", "2", (0, 1)), ("x", "-3", (0, 1))],
)
def test_the_environment_of_torchrun(
    monkeypatch: pytest.MonkeyPatch, index: str, count: str, expected: tuple[int, int]
) -> None:
    monkeypatch.setenv("RANK", index)
    monkeypatch.setenv("WORLD_SIZE", count)
    assert launched_processes() == expected


@pytest.mark.parametrize(
    ("name", "has_gpu", "expected"),
    [("cpu", True, "cpu"), ("", False, ""), ("", True, "cuda:1"), ("cuda", True, "cuda:1")],
)
def test_each_process_has_the_gpu_of_its_number(
    monkeypatch: pytest.MonkeyPatch, name: str, has_gpu: bool, expected: str
) -> None:
    for variable, value in (("RANK", "3"), ("WORLD_SIZE", "4"), ("LOCAL_RANK", "1")):
        monkeypatch.setenv(variable, value)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: has_gpu)
    assert device_of_process(name) == expected


def test_one_gpu_for_several_processes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(ConfigError, match="device 'cuda:2' for 4 processes; expected cpu, or cuda, of which"):
        device_of_process("cuda:2")


def test_one_process_exchanges_nothing() -> None:
    x = torch.ones(2, requires_grad=True)
    assert ALONE.sum(x) is x
    assert ALONE.sum_vector([x])[0] is x
    assert ALONE.with_rows_of_others(x) is x
    assert ALONE.count_rows(3, 4) == [3, 4]
    assert ALONE.of_first(lambda: x) is x


# GPUs


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="fewer than two GPUs")
@pytest.mark.parametrize("precision", ["fp16", "bf16", "none"])
def test_two_gpus_equal_one(cache: PoseCache, tmp_path: Path, precision: str) -> None:
    """With NCCL; half precision rounds parts and whole differently."""
    experiment = replace(EXPERIMENT, recipe=replace(EXPERIMENT.recipe, mixed_precision=precision))
    for count in (1, 2):
        found = torchrun(
            *("-m", "--", "skdpipe", "distill", "--config", str(config_file(tmp_path, experiment))),
            *("--cache", str(cache.root), "--models", str(tmp_path / str(count)), "--folds", "0"),
            *("--device", "cuda"),
            processes=count,
        )
        assert found.returncode == 0, found.stderr
    close = 1e-4 if precision == "none" else 0.05
    one, two = (load_file(tmp_path / str(count) / "tiny/student.safetensors") for count in (1, 2))
    torch.testing.assert_close(two, one, rtol=close, atol=close)
