"""What is wrong after a command: how it ended, what it printed, what it wrote.

Files are read with numpy alone and not with the package's own readers, which are on trial.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from trial.children import MEMORY, UNCAUGHT, Finished
from trial.file_types import file_type_of
from trial.kind import Problem

_EXIT_CODES: Final = (0, 1, 2)
# C0 without newline, DEL, C1, and the characters that change the direction of text or end a line.
_CONTROLS: Final = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]"
)
_LONGEST_LINE: Final = 2500
_MOST_LINES: Final = 100  # a list of videos has a line for each that is missing
# Every line of stderr starts with what it is about: "error: ...", "reading: 3 of 4 clips, ...".
_LABELLED_LINE: Final = re.compile(r"[A-Za-z][\w ,'()-]{0,60}(: |; )|Usage: |Try '|[╭│╰]")
# The bounds that the package states, and a little more for rounding.
_FARTHEST: Final = 10.01  # times the longer side of the picture
_FARTHEST_3D: Final = 1.001e6
_MOST_FRAMES: Final = 10**7
_LARGEST_SIDE: Final = 10**5
_FPS: Final = 0.001, 1e4
_LARGEST_FILE: Final = 200 * 10**6


def judge_end(finished: Finished) -> Iterator[Problem]:
    """How a command ended and what it printed."""
    if finished.limit == "time" or (not finished.limit and finished.seconds > 10):
        yield "hang", f"{finished.seconds:.0f} s of processor time"
    if finished.limit == "memory" or finished.peak > MEMORY:
        yield "memory", f"{finished.peak / 1e6:.0f} MB"
    if finished.limit:
        return
    if finished.signal:
        yield "crash", f"signal {finished.signal}: {_last_line(finished.err)}"
        return
    if finished.code == UNCAUGHT or "Traceback (most recent call last)" in finished.err:
        yield "traceback", _last_line(finished.err)
        return
    if finished.code not in _EXIT_CODES:
        yield "traceback", f"exit code {finished.code}"
    if finished.code and not finished.err.strip() and "problem" not in finished.out:
        yield "output", f"exit code {finished.code} without a word"
    yield from _judge_text(finished)


def _judge_text(finished: Finished) -> Iterator[Problem]:
    for text in (finished.out, finished.err):
        if found := _CONTROLS.search(text):
            around = text[max(0, found.start() - 40) : found.end() + 10]
            yield "output", f"character {ord(found[0]):#x} printed: {around!r}"
    lines = finished.err.splitlines()
    if long := [line for line in lines if len(line) > _LONGEST_LINE]:
        yield "output", f"a line of {len(long[0])} characters: {long[0][:80]!r}"
    if len(lines) > _MOST_LINES:
        yield "output", f"{len(lines)} lines of errors: {lines[0][:80]!r}"
    elif odd := [line for line in lines if not _LABELLED_LINE.match(line)]:
        yield "output", f"a line that is no message of its own: {odd[0][:120]!r}"


def _last_line(text: str) -> str:
    """The error in a traceback and where it was raised; of a crash the reason and where it was."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    frames = [line for line in lines if line.startswith("File ")]
    fatal = next((line for line in lines if line.startswith("Fatal Python error")), "")
    where = f" at {frames[0 if fatal else -1]}" if frames else ""
    plain = [line for line in lines if not line.startswith("File ")]
    return f"{(fatal or (plain or ['no text'])[-1])[:200]}{where[:200]}"


def judge_entries(cache: Path, without: Path | None = None) -> Iterator[Problem]:
    """What is absurd in the sequences of a cache, except in one of them."""
    for path in sorted(set(cache.rglob("*.safetensors")) - {without}):
        for what in absurdities(path):
            yield "absurd", f"{path.relative_to(cache)}: {what}"


def absurdities(path: Path) -> Iterator[str]:
    """What is not finite or not possible in a cached sequence; nothing if it is sane."""
    if path.stat().st_size > _LARGEST_FILE:
        yield f"{path.stat().st_size} bytes"
        return
    try:
        tensors, metadata = read_tensors(path)
    except (ValueError, KeyError, TypeError) as error:
        yield f"cannot be read ({error})"
        return
    keypoints, index = tensors["keypoints"], tensors["frame_index"]
    if keypoints.ndim != 4 or index.shape != keypoints.shape[:1] or keypoints.dtype.kind != "f":
        yield f"keypoints {keypoints.dtype} {keypoints.shape} with frame_index {index.shape}"
        return
    frames, fps = int(metadata["video_frames"]), float(metadata["fps"])
    width, height = int(metadata["width"]), int(metadata["height"])
    if not len(index):
        yield "no frame"
    elif index[0] < 0 or index[-1] >= frames or (np.diff(index) <= 0).any() or index.dtype.kind not in "iu":
        yield f"frames {index[0]} to {index[-1]} of {frames}"
    if frames > _MOST_FRAMES:
        yield f"{frames} frames"
    if not _FPS[0] <= fps <= _FPS[1]:
        yield f"{fps} frames per second"
    flat = keypoints.shape[3] == 3
    if not 0 <= min(width, height) <= max(width, height) <= _LARGEST_SIDE or (flat and not width * height):
        yield f"size {width} {height}"
    confidence = keypoints[..., -1]
    seen = confidence > 0
    if not ((confidence >= 0) & (confidence <= 1)).all():
        yield "a confidence outside of 0 to 1"
    coordinates = keypoints[..., :-1][seen]
    if not np.isfinite(coordinates).all():
        yield "a seen joint that is not finite"
    elif coordinates.size and abs(coordinates).max() > (
        _FARTHEST * max(width, height) if flat else _FARTHEST_3D
    ):
        yield f"a joint at {abs(coordinates).max():g} in {width} x {height}"
    times = tensors.get("times")
    if times is not None and not (np.isfinite(times).all() and (np.diff(times) > 0).all()):
        yield "times that are not finite or do not rise"


def judge_networks(folder: Path, without: Path | None = None) -> Iterator[Problem]:
    """Bundles and training states with numbers that are not finite, except the mutated one."""
    for path in sorted([*folder.rglob("*.safetensors"), *folder.rglob("*.state")]):
        if path == without:
            continue
        tensors, _ = read_tensors(path)
        odd = [
            name for name, each in tensors.items() if each.dtype.kind == "f" and not np.isfinite(each).all()
        ]
        if odd:
            yield "absurd", f"{path.relative_to(folder)}: {odd[0]} is not finite"


def judge_predictions(out: str, classes: int) -> Iterator[Problem]:
    """What is absurd in the lines of ``predict --json``."""
    for line in out.splitlines():
        try:
            found = json.loads(line, parse_constant=_refuse)
        except ValueError as error:
            yield "absurd", f"not JSON ({error}): {line[:80]!r}"
            continue
        if "error" in found or found["label"] is None:
            continue
        values = list(found["probabilities"].values())
        sums = math.fsum(values)
        if len(values) != classes or not abs(sums - 1) < 1e-3 or min(values) < 0:
            yield "absurd", f"{len(values)} probabilities with the sum {sums}"


def judge_json(path: Path) -> Iterator[Problem]:
    """A JSON file that is damaged or holds NaN or infinity."""
    try:
        json.loads(path.read_bytes(), parse_constant=_refuse)
    except ValueError as error:
        yield "absurd", f"{path.name}: {error}"


def judge_page(path: Path) -> Iterator[Problem]:
    """Foreign text that is not escaped in an HTML page."""
    page = path.read_text(encoding="utf-8")
    for raw in ("<script>alert(1)", "\x1b", "\u202e", "\x9b"):
        if raw in page:
            yield "output", f"{path.name} contains {raw!r}"


def judge_unchanged(before: Mapping[Path, bytes], allowed: Path | None = None) -> Iterator[Problem]:
    """Files that were there before and are gone or changed."""
    for path, content in before.items():
        if path == allowed:
            continue
        if not path.is_file():
            yield "lost", f"{path.name} is gone"
        elif path.read_bytes() != content:
            yield "lost", f"{path.name} has changed"


def judge_leftovers(folder: Path) -> Iterator[Problem]:
    """Unfinished files of this package and of its libraries."""
    for path in leftovers(folder):
        yield "leftovers", str(path.relative_to(folder))


def leftovers(folder: Path) -> list[Path]:
    """Unfinished files below a folder."""
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix in {".part", ".lock"} or path.name.startswith((".tmp", "tmp", ".cache-"))
    ]


def contents(folder: Path, pattern: str = "*") -> dict[Path, bytes]:
    """The files below a folder with their contents."""
    return {path: path.read_bytes() for path in sorted(folder.rglob(pattern)) if path.is_file()}


def read_tensors(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Tensors and metadata of a safetensors file."""
    file_type = file_type_of(path)
    assert file_type is not None
    parsed = file_type.parse(path.read_bytes())
    return parsed["tensors"], parsed["metadata"]


def same_keypoints(a: Path, b: Path) -> bool:
    """Whether two cached sequences hold the same skeletons."""
    (one, _), (other, _) = read_tensors(a), read_tensors(b)
    return all(
        np.array_equal(one[name], other[name], equal_nan=True) for name in ("keypoints", "frame_index")
    )


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} in JSON")
