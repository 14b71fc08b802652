"""The HTTP example: the commands of its guide, and requests that are refused."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

pytest.importorskip("fastapi")
pytest.importorskip("onnxruntime")

from exported_student import CLASSES, a_student, write_export
from moving_body import a_sequence

from skdpipe.formats import save_poses
from skdpipe.skeleton import OPENPOSE_18, map_layout
from skdpipe.synthetic import make_scene, render_clip
from skdpipe.video import write_video

ROOT = Path(__file__).parents[1]
GUIDE = ROOT / "examples/my-server.md"
START = "python examples/server.py student-export"


def shell_commands() -> list[str]:
    blocks = re.findall(r"^```sh\n(.*?)^```", GUIDE.read_text(encoding="utf-8"), re.M | re.S)
    return "".join(blocks).splitlines()


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the guide names: an export, a clip, skeletons, and notes that are no clip."""
    folder = tmp_path_factory.mktemp("server")
    write_export(folder, a_student()).rename(folder / "student-export")
    frames = render_clip(make_scene("push", subject=1, take=0, seed=7, frames=12, fps=12.0)).frames
    write_video(folder / "clip.mp4", frames, 12.0)
    write_video(folder / "long.mp4", frames[[0] * 300], 12.0)
    skeletons = map_layout(a_sequence("sideways", 3), OPENPOSE_18)
    save_poses([skeletons], folder / "kinetics", "kinetics")
    (written,) = (path for path in (folder / "kinetics").rglob("*.json") if "label" not in path.name)
    written.rename(folder / "skeletons.json")
    (folder / "notes.txt").write_text("not a clip", encoding="utf-8")
    (folder / "uploads").mkdir()
    return folder


@contextmanager
def served(workplace: Path, *limits: object) -> Iterator[str]:
    """The address of a server of the export; nothing of an upload may be left at the end."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, str(ROOT / "examples/server.py"), "student-export", "--port", str(port)]
    environment = {**os.environ, "TMPDIR": str(workplace / "uploads"), "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([*command, *map(str, limits)], cwd=workplace, env=environment)
    address = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 120
        while True:
            try:
                httpx.get(f"{address}/health").raise_for_status()
                break
            except httpx.TransportError:
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.2)
        yield address
        assert list((workplace / "uploads").glob("skdpipe-upload-*")) == []
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(scope="module")
def server(workplace: Path) -> Iterator[str]:
    """The server as the guide starts it."""
    (start,) = (line for line in shell_commands() if line.startswith(START))
    limits = shlex.split(start.removeprefix(START))
    at = limits.index("--port")
    with served(workplace, *limits[:at], *limits[at + 2 :]) as address:
        yield address


def post(address: str, content: bytes, kind: str = "video/mp4") -> tuple[int, dict[str, object]]:
    answer = httpx.post(f"{address}/label", content=content, headers={"Content-Type": kind}, timeout=120)
    return answer.status_code, answer.json()


def test_the_commands_of_the_guide_run(server: str, workplace: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("no curl")
    requests = [line for line in shell_commands() if line.startswith("curl ")]
    answers = []
    for line in requests:
        command = shlex.split(line.replace("http://127.0.0.1:8000", server))
        done = subprocess.run(command, cwd=workplace, capture_output=True, text=True, check=True)
        answers.append(json.loads(done.stdout))
    health, video, form, skeletons, notes = answers
    assert health == {"status": "ok", "student": "st_2sgcn", "classes": list(CLASSES), "idle": 2}
    assert video == form
    for answer in (video, skeletons):
        assert answer["label"] in CLASSES
        assert set(answer["probabilities"]) == set(CLASSES)
    assert json.dumps(notes, separators=(",", ":")) in GUIDE.read_text(encoding="utf-8")


def chunks(megabytes: int, sent: list[int]) -> Iterator[bytes]:
    for number in range(megabytes):
        sent.append(number)
        yield bytes(10**6)


@pytest.mark.parametrize(
    ("content", "kind", "status", "complaint"),
    [
        (b"", "video/mp4", 400, "an empty upload; expected a video, or skeletons as JSON"),
        (b"{}", "application/json", 422, "the upload"),
        (b"[" * 10**5, "application/json", 422, "the upload"),
        (bytes(6 * 10**6), "video/mp4", 413, "an upload of more than 5 MB; cut or compress the clip"),
        (b"no form", "multipart/form-data", 400, "the form cannot be read"),
        (b"--a\r\n\r\n", "multipart/form-data; boundary=a", 400, "form"),
        (b"\0" * 100, "text/plain", 422, "the upload: not a readable video"),
    ],
)
def test_what_is_no_clip_is_refused_in_one_line(
    server: str, workplace: Path, content: bytes, kind: str, status: int, complaint: str
) -> None:
    found, answer = post(server, content, kind)
    assert (found, list(answer)) == (status, ["error"])
    assert complaint in str(answer["error"])
    for secret in ("\n", str(workplace), "/tmp", "skdpipe-upload"):
        assert secret not in str(answer["error"])


def test_an_upload_without_an_end_is_refused_while_it_comes_in(server: str) -> None:
    sent: list[int] = []
    try:
        answer = httpx.post(f"{server}/label", content=chunks(500, sent), timeout=120)
        assert answer.status_code == 413
    except httpx.TransportError:  # the server has closed the connection
        pass
    assert len(sent) < 100


def test_a_clip_that_is_too_long_is_refused(server: str, workplace: Path) -> None:
    status, answer = post(server, (workplace / "long.mp4").read_bytes())
    assert (status, answer["error"]) == (422, "a clip of 25.0 s; expected at most 20 s: cut it")


def test_footage_gets_segments(workplace: Path) -> None:
    with served(workplace, "--requests", 1) as server:
        status, answer = post(server, (workplace / "long.mp4").read_bytes())
    assert status == 200
    assert answer["seconds"] == 25.0
    assert isinstance(answer["segments"], list)
    assert "source" not in answer


def test_a_request_above_the_limit_gets_a_time_to_come_again(workplace: Path) -> None:
    """The first request is slow to send its body."""
    going_on = threading.Event()

    def slowly() -> Iterator[bytes]:
        yield clip[:100]
        going_on.wait(60)
        yield clip[100:]

    clip = (workplace / "clip.mp4").read_bytes()
    found: list[httpx.Response] = []
    with served(workplace, "--requests", 1) as server:
        first = threading.Thread(
            target=lambda: found.append(httpx.post(f"{server}/label", content=slowly(), timeout=120))
        )
        first.start()
        while httpx.get(f"{server}/health").json()["idle"] == 1:
            time.sleep(0.05)
        answer = httpx.post(f"{server}/label", content=clip)
        going_on.set()
        first.join()
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        assert answer.json() == {"error": "all processes are busy; try again later"}
        assert found[0].json()["label"] in CLASSES
        assert post(server, clip)[0] == 200


def test_a_clip_that_takes_too_long_is_ended_and_the_server_goes_on(workplace: Path) -> None:
    with served(workplace, "--requests", 1, "--seconds", 0.3, "--clip-seconds", 10_000) as server:
        frame = render_clip(make_scene("push", subject=1, take=0, seed=7, frames=1, fps=12.0)).frames[0]
        write_video(workplace / "hours.mp4", (frame for _ in range(4000)), 12.0)
        status, answer = post(server, (workplace / "hours.mp4").read_bytes())
        assert status == 504
        assert answer["error"] == "the clip takes more than 0.3 s; cut it"
        assert httpx.get(f"{server}/health").json()["idle"] == 1
