"""The web application: what is answered, what is refused, and what is left behind."""

from __future__ import annotations

import csv
import io
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from encoded_videos import encode
from fastapi.testclient import TestClient
from moving_body import ACTIONS, SIZE, a_sequence, centres, write_action_video
from PIL import Image
from web_stage import CLASSES, HOSTILE, Server, SlowEstimator, Stage, build_stage

from skdpipe import AppSettings, PoseCache, create_app
from skdpipe.cache import Entry
from skdpipe.errors import ConfigError
from skdpipe.skeleton import is_seen
from skdpipe.video import probe, read_timed_frames
from skdpipe.webapp import Limits
from skdpipe.webapp.cache_index import CacheIndex
from skdpipe.webapp.services import Services

HOST = "http://127.0.0.1:8765"
FROM_PAGE = {"origin": HOST, "x-skdpipe": "1"}


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    return build_stage(tmp_path_factory.mktemp("web"))


@contextmanager
def running(settings: AppSettings, base: str = HOST) -> Iterator[TestClient]:
    with TestClient(create_app(settings), base_url=base, headers=FROM_PAGE | {"origin": base}) as client:
        yield client


@pytest.fixture(scope="module")
def client(stage: Stage) -> Iterator[TestClient]:
    with running(stage.settings) as client:
        yield client


def services_of(client: TestClient) -> Services:
    services: Services = client.app.state.services  # type: ignore[attr-defined]
    return services


def files_of(client: TestClient) -> list[Path]:
    """The clips that are stored."""
    return list(services_of(client).uploads._folder.iterdir())


def send(client: TestClient, path: Path, name: str = "") -> str:
    answer = client.post("/api/clips", params={"name": name or path.name}, content=path.read_bytes())
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


def wait_for(client: TestClient, job: str) -> dict[str, Any]:
    for _ in range(600):
        found: dict[str, Any] = client.get(f"/api/jobs/{job}").json()
        if found["state"] not in ("waiting", "running"):
            return found
        time.sleep(0.05)
    raise AssertionError("the job does not end")


def label(client: TestClient, clip: str, **options: str) -> tuple[str, dict[str, Any]]:
    answer = client.post(f"/api/clips/{clip}/labels", params={"student": "run/student", **options})
    assert answer.status_code == 200, answer.text
    job = answer.json()["job"]
    return job, wait_for(client, job)


def error_of(answer: Any) -> str:
    """The error, which is one line and names no temporary file."""
    text = str(answer.json()["error"])
    assert "\n" not in text
    assert "skdpipe-app-" not in text
    return text


# Clips


def test_a_short_clip_has_one_label_and_its_skeletons(client: TestClient, stage: Stage) -> None:
    job, found = label(client, send(client, stage.clip()))
    result = found["result"]
    assert (found["state"], result["seconds"], result["windows"]) == ("done", 1.0, [])
    assert [name for name, _ in result["ranking"]] == [result["segments"][0]["label"], *_others(result)]
    assert sum(share for _, share in result["ranking"]) == pytest.approx(1)
    poses = result["poses"]
    assert (poses["size"], len(poses["frames"])) == ([*SIZE], 12)
    for frame, (seconds, numbers, people) in enumerate(poses["frames"]):
        assert (seconds, numbers) == (pytest.approx(frame / 12, abs=1e-3), [0])
        xs, ys = people[0][::2], people[0][1::2]
        middle = (min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2
        assert middle == pytest.approx(tuple(centres(ACTIONS[0], 12, 0)[frame]), abs=1)
    table = list(csv.DictReader(io.StringIO(client.get(f"/api/jobs/{job}/segments.csv").text)))
    assert [(row["source"], row["label"]) for row in table] == [("short.mp4", result["segments"][0]["label"])]


def _others(result: dict[str, Any]) -> list[str]:
    return [name for name in CLASSES if name != result["segments"][0]["label"]]


def test_footage_has_segments_and_the_probabilities_of_windows(client: TestClient, stage: Stage) -> None:
    clip = send(client, stage.clip("long.mp4"))
    job, found = label(client, clip)
    result = found["result"]
    starts = [(start, end) for start, end, *_ in result["windows"]]
    assert starts == [(0.25 * number, 0.25 * number + 1) for number in range(13)]
    assert all(sum(shares) == pytest.approx(1, abs=1e-3) for *_, shares in result["windows"])
    assert client.get(f"/api/jobs/{job}/segments.vtt").text.startswith("WEBVTT")
    people = {
        options: {each["person"] for each in label(client, clip, people=options)[1]["result"]["segments"]}
        for options in ("apart", "together")
    }
    assert people == {"apart": {0}, "together": {None}}


def test_a_clip_is_deleted_with_its_results(client: TestClient, stage: Stage) -> None:
    clip = send(client, stage.clip())
    job, _ = label(client, clip)
    before = len(files_of(client))
    assert client.delete(f"/api/clips/{clip}").status_code == 200
    assert len(files_of(client)) == before - 1
    assert client.get(f"/api/jobs/{job}").status_code == 404
    answer = client.post(f"/api/clips/{clip}/labels", params={"student": "run/student"})
    assert (answer.status_code, error_of(answer)) == (404, "the clip is not there any more; choose it again")


def test_a_clip_is_converted_for_browsers(client: TestClient, tmp_path: Path) -> None:
    frames = np.stack([np.full((46, 66, 3), 40 + number, np.uint8) for number in range(10)])
    path = encode(tmp_path / "old.avi", "mpeg4", frames)
    clip = send(client, path)
    assert client.get(f"/api/clips/{clip}/video").status_code == 404
    job = client.post(f"/api/clips/{clip}/playable").json()["job"]
    assert wait_for(client, job)["state"] == "done"
    (tmp_path / "new.mp4").write_bytes(client.get(f"/api/clips/{clip}/video").content)
    info, decoded = probe(tmp_path / "new.mp4"), [*read_timed_frames(tmp_path / "new.mp4")]
    assert (info.size, [seconds for _, seconds in decoded]) == (
        (66, 46),
        pytest.approx([number / 25 for number in range(10)], abs=1e-3),
    )
    client.delete(f"/api/clips/{clip}")
    assert not [each for each in files_of(client) if clip in each.name]


@pytest.mark.parametrize("name", ["../../../etc/x.mp4", "/etc/passwd", "a\x00b.mp4", "x" * 5000, "con.mp4/"])
def test_a_name_never_becomes_a_path(client: TestClient, stage: Stage, name: str) -> None:
    clip = send(client, stage.clip(), name)
    path = next(path for path in files_of(client) if path.stem == clip)
    assert path.suffix in {".mp4", ".video"}
    client.delete(f"/api/clips/{clip}")


def test_what_is_no_video_is_refused_in_one_line(client: TestClient) -> None:
    before = files_of(client)
    for content in (b"no video", b"", b"#EXTM3U\nfile:///etc/passwd\n"):
        answer = client.post("/api/clips", params={"name": "notes.mp4"}, content=content)
        assert answer.status_code == 422
        assert error_of(answer).startswith("notes.mp4: not a readable video")
    assert files_of(client) == before


def test_large_and_long_clips_are_refused_and_removed(stage: Stage) -> None:
    size = stage.clip().stat().st_size
    received = []

    def endless() -> Iterator[bytes]:
        for _ in range(1000):
            received.append(1)
            yield b"\x00" * size

    limits = Limits(upload_bytes=2 * size, seconds=2.0)
    with running(replace(stage.settings, limits=limits)) as client:
        stated = client.post("/api/clips", content=b"\x00" * (2 * size + 1))
        chunked = client.post("/api/clips", content=endless())
        assert [stated.status_code, chunked.status_code] == [413, 413]
        assert "the clip is larger than" in error_of(stated)
        assert "the clip is larger than" in error_of(chunked)
    with running(replace(stage.settings, limits=Limits(seconds=2.0))) as client:
        long = client.post("/api/clips", content=stage.clip("long.mp4").read_bytes())
        assert long.status_code == 413
        assert error_of(long).startswith("the clip has 4 s and about 48 frames; expected at most 2 s")
        assert files_of(client) == []


def test_a_further_clip_replaces_the_oldest_and_old_ones_go(stage: Stage) -> None:
    with running(replace(stage.settings, limits=Limits(clips=2))) as client:
        first, *others = [send(client, stage.clip()) for _ in range(3)]
        assert {path.stem for path in files_of(client)} == {*others}
        assert client.post(f"/api/clips/{first}/labels", params={"student": "x"}).status_code == 404
    with running(replace(stage.settings, limits=Limits(kept_seconds=0.0))) as client:
        send(client, stage.clip())
        services_of(client).remove_superfluous()
        assert files_of(client) == []


def test_nothing_is_left_at_the_end(stage: Stage) -> None:
    with running(stage.settings) as client:
        send(client, stage.clip())
        folder = services_of(client).uploads._folder
        assert list(folder.iterdir())
    assert not folder.exists()


def test_one_clip_is_received_at_a_time(stage: Stage) -> None:
    content = stage.clip().read_bytes()
    arrived, go_on = threading.Event(), threading.Event()

    def slowly() -> Iterator[bytes]:
        yield content[:100]
        arrived.set()
        go_on.wait(10)
        yield content[100:]

    with running(stage.settings) as client:
        services_of(client).uploads._receiving = True
        answer = client.post("/api/clips", content=content)
        assert (answer.status_code, error_of(answer)[:30]) == (503, "another clip is being received")
        services_of(client).uploads._receiving = False
        go_on.set()
        assert client.post("/api/clips", content=slowly()).status_code == 200


def test_a_clip_that_stops_to_arrive_is_removed(stage: Stage) -> None:
    server = Server(replace(stage.settings, limits=Limits(idle_seconds=0.3)))
    host = server.address.removeprefix("http://").strip("/")
    lines = ["POST /api/clips HTTP/1.1", f"host: {host}", f"origin: http://{host}", "x-skdpipe: 1"]
    with socket.create_connection(host.split(":"), timeout=10) as connection:
        connection.sendall("\r\n".join([*lines, "content-length: 1000", "", "half"]).encode())
        answer = ""
        while not answer.endswith("}"):
            answer += connection.recv(10_000).decode()
    server.close()
    assert answer.startswith("HTTP/1.1 422 ")
    assert "the clip does not arrive any more; send it again" in answer


# Work


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> SlowEstimator:
    estimator = SlowEstimator()
    monkeypatch.setattr("skdpipe.predict.load_estimator", lambda *_: estimator)
    return estimator


def test_the_page_answers_while_clips_wait_and_the_queue_is_bounded(
    stage: Stage, slow: SlowEstimator
) -> None:
    with running(replace(stage.settings, limits=Limits(waiting=2))) as client:
        clip = send(client, stage.clip())
        path = f"/api/clips/{clip}/labels"
        first = client.post(path, params={"student": "run/student"}).json()["job"]
        assert slow.started.wait(20)
        assert client.get(f"/api/jobs/{first}").json()["state"] == "running"
        waiting = [client.post(path, params={"student": "run/student"}) for _ in range(3)]
        assert [each.status_code for each in waiting] == [200, 200, 503]
        assert error_of(waiting[2]).startswith("too much is waiting")
        started = time.monotonic()
        assert client.get("/").status_code == 200
        assert time.monotonic() - started < 1
        cancelled = waiting[0].json()["job"]
        client.delete(f"/api/jobs/{cancelled}")
        slow.go_on.set()
        assert wait_for(client, first)["state"] == "done"
        assert wait_for(client, cancelled)["state"] == "cancelled"


def test_work_is_cancelled_between_frames(stage: Stage, slow: SlowEstimator) -> None:
    with running(stage.settings) as client:
        path = f"/api/clips/{send(client, stage.clip('long.mp4'))}/labels"
        job = client.post(path, params={"student": "run/student"}).json()["job"]
        assert slow.started.wait(20)
        client.delete(f"/api/jobs/{job}")
        slow.go_on.set()
        found = wait_for(client, job)
        assert (found["state"], found["result"]) == ("cancelled", None)


def test_an_error_of_the_work_is_one_line(client: TestClient, stage: Stage) -> None:
    _, found = label(client, send(client, stage.clip()), student="../../secret")
    assert found["state"] == "failed"
    assert found["error"] == "there is no student ../../secret; choose another one"


# Who is answered


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "[::1", "10.0.0.1"])
def test_other_hosts_are_refused(client: TestClient, host: str) -> None:
    answer = client.get("/api/state", headers={"host": host})
    assert answer.status_code == 400
    assert "students" not in answer.text


@pytest.mark.parametrize("host", ["localhost", "localhost:8765", "[::1]:8765", "127.0.0.1"])
def test_this_machine_is_answered(client: TestClient, host: str) -> None:
    assert client.get("/api/state", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [{"origin": "http://evil.example"}, {"origin": "null"}, {"origin": ""}, {"x-skdpipe": ""}],
)
def test_only_the_page_changes_something(client: TestClient, stage: Stage, headers: dict[str, str]) -> None:
    before = files_of(client)
    answer = client.post("/api/clips", content=stage.clip().read_bytes(), headers=headers)
    assert answer.status_code == 403
    assert files_of(client) == before


def test_an_open_address_needs_the_token(stage: Stage) -> None:
    settings = replace(stage.settings, host="0.0.0.0")
    with pytest.raises(ConfigError, match="there is no token"):
        create_app(settings)
    with running(replace(settings, token="secret"), "http://192.0.2.7:8765") as client:
        for path in ("/", "/api/state", "/static/main.js", "/?token=wrong", "/api/state?token=secret"):
            assert client.get(path).status_code == 403
        page = client.get("/?token=secret")
        assert page.status_code == 200
        cookie = page.headers["set-cookie"]
        assert all(part in cookie for part in ("HttpOnly", "SameSite=Strict"))
        assert client.get("/api/state").status_code == 200
        assert client.get("/api/state", headers={"host": "evil.example"}).status_code == 400
        client.cookies.clear()
        assert client.get("/api/state").status_code == 403


@pytest.mark.parametrize("path", ["/", "/static/main.js", "/api/state", "/api/jobs/x", "/nothing"])
def test_every_answer_forbids_foreign_content(client: TestClient, path: str) -> None:
    headers = client.get(path).headers
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == "'self'"
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path",
    [
        "/static/../__init__.py", "/static/%2e%2e/__init__.py", "/static/..%2f__init__.py", "/static/none.js",
        "/api/runs/..", "/api/runs/%2e%2e/report", "/api/cache/..%2f..", "/api/cache/none/video", "/docs",
        "/openapi.json",
    ],
)  # fmt: skip
def test_paths_that_are_not_listed_are_not_found(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert error_of(answer)


def test_the_page_has_no_inline_scripts_and_names_no_other_host(client: TestClient) -> None:
    page = client.get("/").text
    assert "<script>" not in page
    static = Path(sys.modules["skdpipe.webapp"].__file__ or "").parent / "static"
    for each in static.iterdir():
        text = each.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "://" not in text, each
        assert not any(word in text for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "eval(")), (
            each
        )


# The cache


def keys_of(client: TestClient, **query: object) -> list[str]:
    client.get("/api/cache", params={"refresh": True})
    services_of(client).cache_index.wait()
    return [each["key"] for each in client.get("/api/cache", params=query).json()["clips"]]


def test_clips_are_found_by_label_split_and_text(client: TestClient) -> None:
    both = keys_of(client)
    assert len(both) == 2
    assert keys_of(client, label="wave") == keys_of(client, text="UP AND DOWN") == both[1:]
    assert keys_of(client, label=HOSTILE, split="train") == both[:1]
    assert keys_of(client, split="test") == keys_of(client, label="") == []
    found = client.get("/api/cache").json()
    assert found["labels"] == [[HOSTILE, HOSTILE, 1], ["wave", "wave", 1]]
    assert (found["read"], found["is_reading"], found["damaged"]) == (4, False, 0)


def test_skeletons_of_both_qualities_are_those_of_the_cache(client: TestClient, stage: Stage) -> None:
    key = keys_of(client)[0]
    clip = client.get(f"/api/cache/{key}").json()
    assert [(each["quality"], each["frames"]) for each in clip["files"]] == [("high", 12), ("low", 6)]
    for number, each in enumerate(clip["files"]):
        drawn = client.get(f"/api/cache/{key}/poses/{number}").json()["poses"]
        settings = {"high": "eyes-1", "low": "squint-1"}[each["quality"]]
        sequence = stage.cache.load(stage.cache.path_of(each["quality"], settings, key))
        for frame, expected in zip(drawn["frames"], sequence.keypoints[:, 0], strict=True):
            pose = np.array(frame[2][0], float).reshape(-1, 2)
            assert (~np.isnan(pose[:, 0]) == is_seen(expected)).all()
            assert pose == pytest.approx(expected[:, :2], abs=0.051, nan_ok=True)
    assert client.get(f"/api/cache/{key}/poses/2").status_code == 404


def test_pages_changes_and_damaged_files(tmp_path: Path) -> None:
    cache = PoseCache(tmp_path)
    for number in range(120):
        sequence = a_sequence(ACTIONS[0], 0, source=f"{number:03}.mp4", key=f"{number:04x}", label=None)
        path = cache.save(sequence, "high", "eyes-1")
    path.write_bytes(b"damaged")
    index = CacheIndex(cache)
    index.refresh()
    index.wait()
    found = index.find(page=2)
    assert (found.total, found.pages, found.damaged, found.read) == (119, 3, 1, 119)
    assert [clip.labelled.source for clip in found.clips] == [f"{n:03}.mp4" for n in range(100, 119)]
    assert index.find(page=99).page == 2
    assert index.find(label="").total == 119
    cache.save(a_sequence(ACTIONS[0], 0, source="new.mp4", key="0000", label="wave"), "high", "eyes-1")
    cache.path_of("high", "eyes-1", "0001").unlink()
    path.unlink()
    index.refresh()
    index.wait()
    found = index.find(label="wave")
    assert ([clip.labelled.source for clip in found.clips], found.damaged) == (["new.mp4"], 0)
    assert index.find().total == 118
    cache.path_of("high", "eyes-1", "0002").unlink()
    assert index.clip("0002") is None


def test_what_a_request_reads_while_the_cache_is_read_is_not_lost(tmp_path: Path) -> None:
    meanwhile: list[Callable[[], object]] = []

    class Cache(PoseCache):
        def describe(self, path: Path) -> Entry:
            entry = super().describe(path)
            if meanwhile and path.parent.parent.name == "low":
                meanwhile.pop()()
            return entry

    cache = Cache(tmp_path)
    sequence = a_sequence(ACTIONS[0], label="wave")
    key = sequence.origin.key
    cache.save(sequence, "high", "eyes-1")
    cache.save(sequence, "low", "squint-1")
    index = CacheIndex(cache)
    index.refresh()
    index.wait()

    def correct_high_quality() -> None:
        cache.save(a_sequence(ACTIONS[0], label="push up"), "high", "eyes-1")
        index.clip(key)

    meanwhile.append(correct_high_quality)
    cache.save(a_sequence(ACTIONS[0], label="push up"), "low", "squint-1")
    index.refresh()
    index.wait()
    assert not meanwhile
    assert index.find().labels == {"push up": 1}


def test_videos_are_served_only_from_the_named_folders(stage: Stage, tmp_path: Path) -> None:
    outside = write_action_video(tmp_path / "outside.mp4", ACTIONS[0], 3)
    (tmp_path / "named").mkdir()
    (tmp_path / "named/link.mp4").symlink_to(outside)
    (tmp_path / "named/notes.txt").write_text("no video")
    cache = PoseCache(tmp_path / "cache")
    sources = [outside, tmp_path / "named/link.mp4", tmp_path / "named/../outside.mp4"]
    sources += [tmp_path / "named/notes.txt", Path("x\x00.mp4")]
    for number, source in enumerate(sources):
        cache.save(a_sequence(ACTIONS[0], 0, source=str(source), key=f"0{number}"), "high", "eyes-1")
    settings = AppSettings(tmp_path, cache=cache.root, videos=(tmp_path / "named",))
    with running(settings) as client:
        for key in keys_of(client):
            assert not client.get(f"/api/cache/{key}").json()["has_video"]
            assert client.get(f"/api/cache/{key}/video").status_code == 404
    with running(stage.settings) as client:
        key = keys_of(client)[0]
        content = (stage.folder / f"videos/{ACTIONS[0]} 0.mp4").read_bytes()
        assert client.get(f"/api/cache/{key}/video").content == content
        part = client.get(f"/api/cache/{key}/video", headers={"range": "bytes=10-19"})
        assert (part.status_code, part.content) == (206, content[10:20])


def test_a_moved_video_is_found_by_its_content(stage: Stage, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere/videos"
    moved.mkdir(parents=True)
    name = f"{ACTIONS[0]} 0.mp4"
    (moved / name).write_bytes((stage.folder / "videos" / name).read_bytes())
    write_action_video(moved / f"{ACTIONS[1]} 1.mp4", ACTIONS[0], 5)  # another video of the same name
    with running(replace(stage.settings, videos=(tmp_path / "elsewhere",))) as client:
        found = [client.get(f"/api/cache/{key}").json()["has_video"] for key in keys_of(client)]
        assert found == [True, False]


def test_a_label_is_corrected_in_both_qualities_and_restored(tmp_path: Path) -> None:
    stage = build_stage(tmp_path)
    with running(stage.settings) as client:
        key = keys_of(client)[1]
        labels = [each.origin.label for each in stage.cache.entries() if each.origin.key == key]
        assert labels == ["wave", "wave"]
        answer = client.put(f"/api/cache/{key}/label", json={"label": "  push <b> "}).json()
        assert (answer["label"], answer["original"], answer["written"]) == ("push <b>", "wave", 2)
        labels = [each.origin.label for each in stage.cache.entries() if each.origin.key == key]
        assert labels == ["push <b>", "push <b>"]
        assert client.get("/api/cache", params={"label": "push <b>"}).json()["total"] == 1
        for wrong in ("", " ", "two\nlines", "\u202eevil", "\x1b[31m", "x" * 300):
            refused = client.put(f"/api/cache/{key}/label", json={"label": wrong})
            assert refused.status_code == 422
            assert error_of(refused)
        assert client.put("/api/cache/00ff/label", json={"label": "push"}).status_code == 404
        answer = client.delete(f"/api/cache/{key}/label").json()
        assert (answer["label"], answer["corrected"], answer["written"]) == ("wave", False, 2)
    with running(replace(stage.settings, read_only=True)) as client:
        keys_of(client)
        for refused in (
            client.put(f"/api/cache/{key}/label", json={"label": "push"}),
            client.delete(f"/api/cache/{key}/label"),
        ):
            assert (refused.status_code, "--read-only" in error_of(refused)) == (403, True)
    assert "push" not in {each.origin.label for each in stage.cache.entries()}


# Runs


def test_reports_are_served_without_scripts_and_written_only_if_permitted(
    stage: Stage, tmp_path: Path
) -> None:
    run = tmp_path / "mine <b>"
    run.mkdir()
    (run / "config.yaml").write_text("experiment: {}")
    with running(AppSettings(tmp_path, cache=tmp_path, read_only=True)) as client:
        assert client.get("/api/runs").json()["runs"] == ["mine <b>"]
        address = "/api/runs/mine%20%3Cb%3E"
        assert client.get(f"{address}/report").status_code == 404
        assert client.post(f"{address}/report").status_code == 403
        (run / "report.html").write_text("<script>alert(1)</script>")
        headers = client.get(f"{address}/report").headers
        assert headers["content-security-policy"].startswith("sandbox; default-src 'none'")
        damaged = client.get(address)
        assert damaged.status_code == 422
        assert "config.yaml" in error_of(damaged)


# The camera


def picture(frame: int, size: tuple[int, int] = SIZE) -> bytes:
    image = np.full((size[1], size[0], 3), 20, np.uint8)
    left, top = np.rint(centres(ACTIONS[0], 12, 0)[frame % 12] - (5, 12)).astype(int)
    image[top : top + 24, left : left + 10] = 240
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=95)
    return stream.getvalue()


def test_pictures_of_the_camera_are_labelled(client: TestClient) -> None:
    job = client.post("/api/camera", params={"student": "run/student"}).json()["job"]
    session = wait_for(client, job)["result"]
    path = f"/api/camera/{session}/pictures"
    found = [
        client.post(path, params={"seconds": frame / 12}, content=picture(frame)).json()
        for frame in range(24)
    ]
    assert all(each["poses"]["frames"][0][1] == [0] for each in found)
    assert found[-1]["now"][0]["end"] == pytest.approx(2.0, abs=0.3)
    for content, seconds, expected in (
        (b"no picture", 3, "expected JPEG"),
        (picture(0, (2000, 2000)), 3, "a picture of 2000x2000 pixels"),
        (picture(0), 1, "expected rising times"),
    ):
        answer = client.post(path, params={"seconds": seconds}, content=content)
        assert answer.status_code == 422
        assert expected in error_of(answer)
    assert client.post(path, params={"seconds": "nan"}, content=picture(0)).status_code == 422
    assert client.post(path, params={"seconds": 4}, content=b"x" * (3 << 20)).status_code == 413
    assert client.delete(f"/api/camera/{session}").json()["segments"]
    assert client.post(path, params={"seconds": 5}, content=picture(0)).status_code == 404


# The command


Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    processes: list[subprocess.Popen[str]] = []

    def start(*arguments: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "skdpipe", "app", "--models", str(tmp_path), *map(str, arguments)]
        pipe = subprocess.PIPE
        processes.append(
            subprocess.Popen(
                command, stdout=pipe, stderr=pipe, text=True, env={**os.environ, "TMPDIR": str(tmp_path)}
            )
        )
        return processes[-1]

    yield start
    for each in processes:
        each.kill()
        each.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_prints_its_address_and_leaves_nothing(
    start: Start, tmp_path: Path, number: signal.Signals
) -> None:
    process = start("--port", 0)
    assert process.stdout
    address = process.stdout.readline().strip()
    assert b"skdpipe" in _fetch(address)
    assert list(tmp_path.glob("skdpipe-app-*"))
    process.send_signal(number)
    _, err = process.communicate(timeout=10)
    assert err.splitlines() == [
        f"bundle: none under {tmp_path}; the page browses only: run `skdpipe distill`, or --bundle FILE",
        "interrupted",
    ]
    assert not list(tmp_path.glob("skdpipe-app-*"))


def _fetch(address: str) -> bytes:
    import httpx

    for _ in range(100):
        try:
            return httpx.get(address, trust_env=False).content
        except httpx.TransportError:
            time.sleep(0.05)
    raise AssertionError("no answer")


def test_a_port_in_use_gives_one_line(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        out, err = start("--port", port).communicate(timeout=30)
    assert out == ""
    assert err == (
        f"error: port {port} of 127.0.0.1 cannot be used (address already in use); choose another one with "
        "--port, 0 for a free one\n"
    )


def test_an_open_address_gives_a_warning_and_a_token(start: Start) -> None:
    process = start("--port", 0, "--host", "0.0.0.0")
    assert process.stdout
    address = process.stdout.readline().strip()
    assert "/?token=" in address
    process.terminate()
    _, err = process.communicate(timeout=10)
    assert [line for line in err.splitlines() if line.startswith("warning: ")] == [
        "warning: everybody on the network can reach 0.0.0.0; the token in the address keeps others out, but "
        "the connection is not encrypted"
    ]
