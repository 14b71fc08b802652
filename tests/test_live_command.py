"""`skdpipe predict --source`: labels of live video on standard output, and its mistakes in one line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from moving_body import ACTIONS, SIZE, BoxEstimator, centres
from numpy.typing import NDArray
from stream_server import MJPEG, container_of, jpeg_part, served
from test_cli import Output, Run, run  # noqa: F401  # a fixture
from test_footage import METADATA, DirectionOfMotion

import skdpipe
from skdpipe.inference import Predictor
from skdpipe.pose.estimate import SampledEstimator

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="descriptors of standard input")

ALONG, UP = ACTIONS
FPS = 25  # of container_of
OPTIONS = ("--bundle", "student", "--window", 1, "--stride", 0.5)


class SlowEstimator(BoxEstimator):
    """Takes a third of a second for a frame."""

    def __call__(self, frames: Sequence[NDArray[np.uint8]]) -> list[NDArray[np.float32]]:
        time.sleep(len(frames) / 3)
        return super().__call__(frames)


def pictures(*parts: tuple[str, float], size: tuple[int, int] = SIZE) -> Iterator[NDArray[np.uint8]]:
    """Frames in which a box moves for so many seconds each; nothing is there without an action."""
    for action, seconds in parts:
        for frame in range(round(seconds * FPS)):
            image = np.full((size[1], size[0], 3), 20, np.uint8)
            if action:
                left, top = np.rint(centres(action, FPS, 0)[frame % FPS] - (5, 12)).astype(int)
                image[top : top + 24, left : left + 10] = 240
            yield image


def predictor(estimator: BoxEstimator | None = None) -> Predictor:
    """A student that is always right about boxes."""
    return Predictor(METADATA, DirectionOfMotion(), SampledEstimator(estimator or BoxEstimator(), 1))


@pytest.fixture(autouse=True)
def _student(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(skdpipe, "load_predictor", lambda *_, **__: predictor())


Label = Callable[..., Output]


@pytest.fixture
def label(run: Run, tmp_path: Path) -> Label:  # noqa: F811
    """The command, with a content as standard input."""

    def label(content: bytes, *options: object) -> Output:
        (tmp_path / "input").write_bytes(content)
        before = os.dup(0)
        with (tmp_path / "input").open("rb") as file:
            os.dup2(file.fileno(), 0)
        try:
            return run("predict", "--source", "-", *OPTIONS, *options)
        finally:
            os.dup2(before, 0)
            os.close(before)

    return label


def events(output: Output) -> list[dict[str, Any]]:
    assert output.code == 0, output
    return [json.loads(line) for line in output.out.splitlines()]


def segments(output: Output) -> list[tuple[float, float, str, int | None]]:
    return [
        (each["start"], each["end"], each["label"] or each["reason"], each["person"])
        for each in events(output)
        if each["event"] == "segment"
    ]


# Standard input

TWO_ACTIONS = ((ALONG, 3.0), (UP, 3.0))


@pytest.mark.parametrize(("format_name", "codec"), [("mpegts", "mpeg2video"), ("matroska", "mpeg4")])
def test_a_container_on_standard_input(label: Label, format_name: str, codec: str) -> None:
    output = label(container_of(pictures(*TWO_ACTIONS), format_name, codec), "--json")
    found = events(output)
    assert found[0] == {"event": "connected", "reason": "", "seconds": 0.0, "size": list(SIZE)}
    assert [each[2:] for each in segments(output)] == [(ALONG, 0), (UP, 0)]
    assert [each[:2] for each in segments(output)] == [
        (0, pytest.approx(3, abs=0.5)),
        (pytest.approx(3, abs=0.5), 6),
    ]
    windows = [each for each in found if each["event"] == "label"]
    assert [(each["start"], each["end"]) for each in windows] == [(n / 2, n / 2 + 1) for n in range(11)]
    assert all(each["latency"] > 0 and each["dropped"] == 0 for each in windows)
    assert found[-1]["event"] == "end"
    assert (found[-1]["frames"], found[-1]["dropped"], found[-1]["corrupt"]) == (150, 0, 0)
    assert 0 < found[-1]["latency_median"] <= found[-1]["latency_95"]
    assert output.err == ""


def test_raw_frames_on_standard_input(label: Label) -> None:
    raw = b"".join(each.tobytes() for each in pictures(*TWO_ACTIONS))
    output = label(raw, "--raw", *SIZE, "--fps", FPS, "--json")
    assert [each[2] for each in segments(output)] == [ALONG, UP]
    assert segments(output)[-1][1] == 6


def test_without_json_lines_are_short(label: Label) -> None:
    output = label(container_of(pictures((ALONG, 2.0), ("", 2.0))))
    assert output.code == 0
    lines = output.out.splitlines()
    assert lines[0].startswith(f"0:00:01.0  now {ALONG} ")
    assert lines[0].endswith(" s late)")
    assert ", person 0 (" in lines[0]
    assert lines[-2].startswith(f"0:00:00.0 - 0:00:02.0  {ALONG} ")
    assert lines[-1] == "0:00:02.0 - 0:00:04.0  (no person)"
    notes = output.err.splitlines()
    assert notes[:2] == ["bundle: student, runtime: direction", "connected: live source, 64x48"]
    assert notes[2].startswith(
        "end: 100 frames labelled, 0 dropped, 0 corrupt; latency from frame to label 0."
    )
    assert len(notes) == 3


def test_the_duration_ends_a_source(label: Label) -> None:
    output = label(container_of(pictures((ALONG, 5.0))), "--json", "--duration", 2)
    assert events(output)[-1]["frames"] == 51  # the last one is that at 2 s
    assert segments(output) == [(0, pytest.approx(2.04), ALONG, 0)]


def test_ten_minutes_without_a_person(label: Label) -> None:
    frame = np.full((16, 16, 3), 20, np.uint8).tobytes()
    output = label(frame * 600 * 5, "--raw", 16, 16, "--fps", 5, "--json")
    assert segments(output) == [(0, 600, "no person", None)]


# Servers


def test_people_after_an_outage_have_other_numbers_and_times_go_on(run: Run) -> None:  # noqa: F811
    def answer(*_: object) -> Iterator[bytes]:
        for image in pictures((ALONG, 1.0)):
            yield jpeg_part(image)
            time.sleep(1 / FPS)

    with served(answer, MJPEG) as address:
        short = ("--window", 0.24, "--stride", 0.12)
        output = run("predict", "--source", address, *OPTIONS, *short, "--json", "--duration", 1.8)
    found = events(output)
    kinds = [each["event"] for each in found if each["event"] not in {"label", "segment"}]
    assert kinds[:3] == ["connected", "disconnected", "reconnected"]
    assert kinds[-1] == "end"
    away = next(each["seconds"] for each in found if each["event"] == "reconnected")
    assert 0.25 <= away < 1.5
    (end,) = {end for _, end, _, person in segments(output) if person == 0 and end > 0.7}
    start = min(start for start, _, _, person in segments(output) if person == 1)
    assert start - end == pytest.approx(away, abs=0.2)
    assert not any(end < each["start"] < start for each in found if each["event"] == "label")


def test_a_slow_estimator_drops_frames(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:  # noqa: F811
    monkeypatch.setattr(skdpipe, "load_predictor", lambda *_, **__: predictor(SlowEstimator()))

    def answer(*_: object) -> Iterator[bytes]:
        began = time.monotonic()
        data = container_of(pictures((ALONG, 8.0)))
        for part in range(80):
            yield data[part * len(data) // 80 : (part + 1) * len(data) // 80]
            time.sleep(max(0.0, began + part / 10 - time.monotonic()))

    with served(answer) as address:
        output = run("predict", "--source", address, *OPTIONS, "--json", "--duration", 2)
    end = events(output)[-1]
    assert 2 <= end["frames"] <= 10
    assert end["dropped"] > end["frames"]
    assert all(each["dropped"] <= end["dropped"] for each in events(output) if each["event"] == "label")


def test_a_source_that_stalls_is_left_after_the_duration(run: Run) -> None:  # noqa: F811
    def answer(*_: object) -> Iterator[bytes]:
        yield container_of(pictures((ALONG, 2.0)))
        time.sleep(6)

    with served(answer) as address:
        began = time.monotonic()
        output = run("predict", "--source", address, *OPTIONS, "--json", "--duration", 1)
    assert events(output)[-1]["event"] == "end"
    assert time.monotonic() - began < 5


# Its end

PROGRAM = """
import sys
sys.path.insert(0, {tests!r})
import skdpipe
from test_live_command import predictor
skdpipe.load_predictor = lambda *_, **__: predictor()
from skdpipe.cli import main
main()
"""


def started(*options: str) -> subprocess.Popen[bytes]:
    """The command as a process, which has received two seconds of video and waits for more."""
    words = ["predict", "--source", "-", *map(str, OPTIONS), "--json", *options]
    program = PROGRAM.format(tests=str(Path(__file__).parent))
    process = subprocess.Popen(
        [sys.executable, "-c", program, *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin is not None
    raw = b"".join(each.tobytes() for each in pictures((ALONG, 2.0)))
    process.stdin.write(raw)
    process.stdin.flush()
    return process


RAW = ("--raw", "64", "48", "--fps", str(FPS))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_segments(number: signal.Signals, code: int) -> None:
    with started(*RAW) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        lines = list(iter_until(process.stdout, b'"end": 2.0'))  # flushed at once
        process.send_signal(number)
        began = time.monotonic()
        rest = process.stdout.read().splitlines()
        assert process.wait(5) == code
        assert time.monotonic() - began < 2
        assert process.stderr.read() == b"interrupted\n"
    found = [json.loads(line) for line in (*lines, *rest)]
    last = [each for each in found if each["event"] == "segment"][-1]
    assert (last["start"], last["end"], last["label"]) == (0, 2, ALONG)
    assert (found[-1]["event"], found[-1]["frames"]) == ("end", 50)


def iter_until(lines: Any, text: bytes) -> Iterator[bytes]:
    for line in lines:
        yield line
        if text in line:
            return


def test_without_a_reader_the_command_ends() -> None:
    with started(*RAW) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(10) == 141


# Mistakes


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (b"", (), "standard input: is empty; expected video from a pipe or a file"),
        (bytes(range(256)) * 999, (), "standard input: not a video that can be read without seeking"),
        (b"", ("--raw", 64, 48), "--raw without --fps; expected the frames per second"),
        (b"", ("--raw", 0, 48, "--fps", 5), "raw frames of 0x48 at 5 frames/s; expected positive numbers"),
        (bytes(9), ("--raw", 64, 48, "--fps", 5), "standard input: ended after 9 bytes; expected 9216"),
        (b"", ("--csv", "a.csv"), "--csv with --source: a live source has no end; use --json"),
        (b"", ("--one-label",), "--one-label with --source: a live source has no end"),
        (b"", ("--layout", "coco_17"), "--layout with --source: it is for files of skeletons; leave it out"),
    ],
)
def test_a_mistake_is_one_line(label: Label, content: bytes, options: Sequence[object], message: str) -> None:
    output = label(content, *options)
    assert output.code == 1
    assert output.out == ""
    (line,) = [each for each in output.err.splitlines() if not each.startswith("bundle:")]
    assert line.startswith(f"error: {message}")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--source", 91), "camera 91: cannot be opened; expected a connected camera"),
        (("--source", __file__), f"{__file__}: is a file or a folder; expected an address"),
        (
            ("--source", "nosuch"),
            "nosuch: not an address of a video stream; expected one that begins with rtsp",
        ),
        (("--source", 0, "--raw", 64, 48, "--fps", 5), "camera 0: raw frames are read from standard input"),
        ((__file__, "--raw", 64, 48), "--raw without --source: it is for live video; add --source"),
        ((__file__, "--duration", 3), "--duration without --source: it is for live video"),
    ],
)
def test_another_source_is_one_line(run: Run, options: Sequence[object], message: str) -> None:  # noqa: F811
    output = run("predict", *OPTIONS, *options)
    assert (output.code, output.out) == (1, "")
    (line,) = [each for each in output.err.splitlines() if not each.startswith("bundle:")]
    assert line.startswith(f"error: {message}")
