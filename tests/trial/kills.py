"""Kills: a command is killed at random moments and started again until it is done, over and over.

After each kill every file with its final name has to be whole, and what was done before has to be there
unchanged. In the end the result has to be that of a run that nobody killed.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final

import yaml
from foreign_clips import SIZE, make_clip
from moving_body import ACTIONS, write_action_video

from skdpipe.bundle import load_bundle
from skdpipe.cache import PoseCache
from skdpipe.formats.openpifpaf import write_openpifpaf
from trial.children import fork, wait_for
from trial.judging import leftovers, read_tensors
from trial.tiny_run import prepare_cache, without_times, write_settings

COLUMNS: Final = ("stopped", "damaged", "lost", "different", "leftovers", "processes")
"""Faults: the next run does not go on; a file is damaged; something done before is gone or changed; the
result differs from that of an undisturbed run; unfinished files remain; a process still runs."""

_LANES: Final = 2
_PATIENCE: Final = 25
"""Kills after which a run may finish undisturbed."""
_GONE_AFTER: Final = 20.0  # a process that is importing PyTorch notices it afterwards
_DONE: Final = {".safetensors", ".json", ".yaml"}


@dataclass(frozen=True)
class KilledCommand:
    """A command that can be killed and continued.

    Attributes:
        name: of the command.
        kills: number of kills of a full trial.
        prepare: writes the inputs into a folder.
        arguments: of the command, given the folder of the inputs and the folder of the results.
    """

    name: str
    kills: int
    prepare: Callable[[Path], None]
    arguments: Callable[[Path, Path], Sequence[str]]

    def start(self, material: Path, folder: Path) -> subprocess.Popen[bytes]:
        """The command in its own session; its errors go to a file."""
        folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "skdpipe", *self.arguments(material, folder)]
        with (material / f"errors-{os.getpid()}.txt").open("wb") as errors:
            return subprocess.Popen(
                command, stdout=subprocess.DEVNULL, stderr=errors, start_new_session=True, cwd=material
            )


@dataclass(frozen=True)
class _Undisturbed:
    """A run that nobody killed: when its first file appeared, when it ended, and its result."""

    begin: float
    end: float
    result: dict[str, str]


def try_kills(killed: KilledCommand, kills: int, seed: int, folder: Path) -> tuple[dict[str, int], list[str]]:
    """Kill a command so many times; the row of the table, and each fault in words."""
    shutil.rmtree(folder, ignore_errors=True)
    material = folder / "material"
    material.mkdir(parents=True)
    wait_for([fork(lambda: killed.prepare(material))])
    undisturbed = _run_undisturbed(killed, material, folder / "undisturbed")
    parts = [kills // _LANES + (lane < kills % _LANES) for lane in range(_LANES)]

    def work(lane: int) -> None:
        lines = _kill_often(
            killed,
            parts[lane],
            Random(f"{seed} {killed.name} {lane}"),
            material,
            folder / str(lane),
            undisturbed,
        )
        (folder / f"{lane}.json").write_text(json.dumps(list(lines)))

    wait_for([fork(lambda lane=lane: work(lane)) for lane in range(_LANES)])
    found = [line for lane in range(_LANES) for line in json.loads((folder / f"{lane}.json").read_text())]
    faults = [(what, text) for what, text in found if what in COLUMNS]
    row = {
        "kills": sum(what == "kill" for what, _ in found),
        "finished": sum(what == "finished" for what, _ in found),
        **{column: sum(what == column for what, _ in faults) for column in COLUMNS},
        "faults": len(faults),
    }
    return row, [f"{what}: {text}" for what, text in faults]


def _run_undisturbed(killed: KilledCommand, material: Path, folder: Path) -> _Undisturbed:
    start, begin = time.monotonic(), None
    process = killed.start(material, folder)
    while process.poll() is None:
        if begin is None and any(path.is_file() for path in folder.rglob("*")):
            begin = time.monotonic() - start
        time.sleep(0.01)
    assert process.returncode == 0, f"{killed.name}: exit code {process.returncode}"
    assert begin is not None, f"{killed.name} wrote nothing"
    return _Undisturbed(begin, time.monotonic() - start, _result_of(folder))


def _kill_often(
    killed: KilledCommand, kills: int, random: Random, material: Path, lane: Path, undisturbed: _Undisturbed
) -> Iterator[tuple[str, str]]:
    """A line for each kill, each finished run and each fault."""
    done = attempt = 0
    pace = 1.0  # duration of a run from the start, in parts of that of the undisturbed one
    while done < kills:
        attempt += 1
        folder = lane / str(attempt)
        here = 0
        while True:
            before = _finished_files(folder)
            start, process = time.monotonic(), killed.start(material, folder)
            try:
                is_spared = here >= _PATIENCE or done >= kills
                code = process.wait(None if is_spared else pace * _moment(random, undisturbed))
            except subprocess.TimeoutExpired:
                process.kill()
                code = process.wait()
            if code == 0 and not here:
                pace = (time.monotonic() - start) / undisturbed.end
            for pid in _left_running(process.pid):
                yield "processes", f"process {pid} of attempt {attempt} still runs"
            yield from _lost(before, folder)
            yield from _damaged(folder)
            if code == -signal.SIGKILL:
                done, here = done + 1, here + 1
                yield "kill", str(attempt)
                continue
            if code:
                errors = (material / f"errors-{os.getpid()}.txt").read_text(errors="replace")
                yield "stopped", f"exit code {code} after {here} kills, in {folder}: {errors.strip()[-300:]}"
                break
            yield "finished", str(attempt)
            yield from _differences(folder, undisturbed)
            for path in leftovers(folder):
                yield "leftovers", str(path)
            break


def _moment(random: Random, undisturbed: _Undisturbed) -> float:
    """Seconds until a kill: mostly while files are written, sometimes before."""
    begin = 0 if random.random() < 0.15 else 0.9 * undisturbed.begin
    return random.uniform(begin, undisturbed.end)


def _finished_files(folder: Path) -> dict[Path, Any]:
    """What is done: bundles and cache entries byte for byte, of the results which there are."""
    done: dict[Path, Any] = {}
    for path in folder.rglob("*"):
        if path.suffix == ".safetensors" and not path.name.startswith("."):
            done[path] = path.read_bytes()
        elif path.name == "results.json":
            done[path] = set(json.loads(path.read_bytes()))
    return done


def _lost(before: dict[Path, Any], folder: Path) -> Iterator[tuple[str, str]]:
    after = _finished_files(folder)
    for path, content in before.items():
        now = after.get(path)
        if now is None or (not content <= now if isinstance(content, set) else content != now):
            yield "lost", f"{path} is gone or changed"


def _damaged(folder: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(folder.rglob("*")):
        if path.name.startswith(".") or not path.is_file():
            continue
        try:
            _read(path)
        except Exception as error:  # whatever it is, the file is damaged
            yield "damaged", f"{path}: {type(error).__name__}: {error}"


def _read(path: Path) -> object:
    """Read a file with the reader of the package, which checks what there is to check."""
    if path.suffix == ".safetensors":
        is_bundle = "description" in read_tensors(path)[1]
        return load_bundle(path) if is_bundle else PoseCache(path.parents[2]).load(path)
    if path.suffix == ".state":
        return read_tensors(path)
    if path.suffix == ".json":
        return json.loads(path.read_bytes())
    return yaml.safe_load(path.read_bytes()) if path.suffix == ".yaml" else None


def _left_running(session: int) -> list[int]:
    """Processes of a session that remain a few seconds after its first process ended; they are killed."""
    end = time.monotonic() + _GONE_AFTER
    while (found := _members(session)) and time.monotonic() < end:
        time.sleep(0.02)
    for pid in found:
        os.kill(pid, signal.SIGKILL)
    return found


def _members(session: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, of_session = path.read_text().rpartition(")")[2].split()[:4]
        except (OSError, ValueError):
            continue
        if int(of_session) == session and state != "Z":
            found.append(int(path.parent.name))
    return found


def _result_of(folder: Path) -> dict[str, str]:
    """A digest of each file that a run leaves, without times; cache entries byte for byte."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(_comparable(path)).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.suffix in _DONE | {".state"} and path.is_file()
    }


def _comparable(path: Path) -> bytes:
    content = path.read_bytes()
    if path.suffix in {".json", ".yaml"}:
        values = json.loads(content) if path.suffix == ".json" else yaml.safe_load(content)
        return json.dumps(without_times(values), sort_keys=True).encode()
    if path.suffix == ".safetensors":
        tensors, metadata = read_tensors(path)
        if "description" in metadata:
            numbers = b"".join(tensors[name].tobytes() for name in sorted(tensors))
            return json.dumps(without_times(metadata["description"]), sort_keys=True).encode() + numbers
    return content


def _differences(folder: Path, undisturbed: _Undisturbed) -> Iterator[tuple[str, str]]:
    result = _result_of(folder)
    for name in sorted({*result, *undisturbed.result}):
        if result.get(name) != undisturbed.result.get(name):
            yield "different", f"{folder / name}"


# The commands ----------------------------------------------------------------------------------


def _prepare_videos(material: Path) -> None:
    write_settings(material / "config.yaml")
    for number in range(60):
        action = ACTIONS[number % len(ACTIONS)]
        write_action_video(material / f"videos/{action}/{number}.mp4", action, number, frames=8 + number % 5)


def _prepare_training(material: Path) -> None:
    prepare_cache(material)
    write_settings(material / "config.yaml", recipe={"epochs": 6, "batch": 4})


def _prepare_annotations(material: Path) -> None:
    clips = [make_clip(f"clip{number}", frames=3 + number % 20) for number in range(80)]
    write_openpifpaf(clips, material / "input")


KILLS: Final = (
    KilledCommand(
        "extract",
        100,
        _prepare_videos,
        lambda material, folder: ["extract", "videos", "-c", "config.yaml", "--cache", str(folder / "cache")],
    ),
    KilledCommand(
        "distill",
        100,
        _prepare_training,
        lambda material, folder: [
            *("distill", "-c", "config.yaml", "--models", str(folder / "models")),
            *("--folds", "0", "--device", "cpu"),
        ],
    ),
    KilledCommand(
        "import",
        30,
        _prepare_annotations,
        lambda material, folder: [
            *("import", "openpifpaf", "input", "--cache", str(folder / "cache")),
            *("--size", *map(str, SIZE)),
        ],
    ),
    KilledCommand(
        "compare",
        30,
        prepare_cache,
        lambda material, folder: ["compare", "config.yaml", "--models", str(folder / "models")],
    ),
)
