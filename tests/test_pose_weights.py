"""Weights by name: listed without network access, downloaded with resume and checksum, converted once."""

import hashlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from test_cli import Run
from test_cli import run as run  # a fixture
from test_openpifpaf_2019 import checkpoint_of

from skdpipe.config import Extraction, config_path, load_config
from skdpipe.errors import PoseError
from skdpipe.pose.openpifpaf import catalogue, load_weights
from skdpipe.pose.openpifpaf.catalogue import PublishedWeights
from skdpipe.pose.openpifpaf.download import download
from skdpipe.pose.openpifpaf.weights import fetch
from skdpipe.pose.openpifpaf.weights_file import find, list_pose_weights
from skdpipe.progress import Progress

QUIET = Progress(quiet=True)
CONTENT = bytes(range(256)) * 4000
DIGEST = hashlib.sha256(CONTENT).hexdigest()[:8]


@dataclass
class Server:
    """Serves one file at /file, and records the requests.

    Attributes:
        ranges: whether it supports ranges.
        breaks_after: bytes after which it closes the connection.
        requested: the Range header of every request for the file.
    """

    content: bytes = CONTENT
    ranges: bool = True
    breaks_after: int | None = None
    requested: list[str | None] = field(default_factory=list)
    address: str = ""

    def respond(self, handler: BaseHTTPRequestHandler) -> None:
        if not handler.path.startswith("/file"):
            handler.send_error(404)
            return
        requested = handler.headers.get("Range")
        self.requested.append(requested)
        start = int(requested.removeprefix("bytes=").removesuffix("-")) if requested and self.ranges else 0
        if start >= len(self.content):
            handler.send_error(416)
            return
        handler.send_response(206 if start else 200)
        if start:
            handler.send_header("Content-Range", f"bytes {start}-{len(self.content) - 1}/{len(self.content)}")
        handler.send_header("Content-Length", str(len(self.content) - start))
        handler.end_headers()
        handler.wfile.write(self.content[start : self.breaks_after])


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    serving = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            serving.respond(self)

        def log_message(self, *arguments: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    serving.address = f"http://127.0.0.1:{http.server_port}"
    yield serving
    http.shutdown()
    thread.join()
    http.server_close()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder of fetched weights; only this machine can be reached."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    for name in ("https_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # no server listens there
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "torch" / "hub" / "skdpipe"


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(PoseError) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Downloading -------------------------------------------------------------------------------------


def test_a_file_is_downloaded(server: Server, tmp_path: Path) -> None:
    download([f"{server.address}/file"], tmp_path / "new" / "a.pkl", DIGEST, QUIET)
    assert (tmp_path / "new" / "a.pkl").read_bytes() == CONTENT
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.pkl"]
    assert server.requested == [None]


@pytest.mark.parametrize("ranges", [True, False])
def test_an_interrupted_download_is_resumed_or_restarted(
    server: Server, tmp_path: Path, ranges: bool
) -> None:
    server.ranges, server.breaks_after = ranges, 300_000
    path = tmp_path / "a.pkl"
    text = refusal(lambda: download([f"{server.address}/file"], path, DIGEST, QUIET))
    assert f"{server.address}/file (" in text
    assert not path.exists()
    assert (tmp_path / "a.pkl.part").stat().st_size == 300_000
    server.breaks_after = None
    download([f"{server.address}/file"], path, DIGEST, QUIET)
    assert path.read_bytes() == CONTENT
    assert server.requested == [None, "bytes=300000-"]
    assert not (tmp_path / "a.pkl.part").exists()


def test_a_complete_part_is_used(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a.pkl.part").write_bytes(CONTENT)
    download([f"{server.address}/file"], tmp_path / "a.pkl", DIGEST, QUIET)
    assert (tmp_path / "a.pkl").read_bytes() == CONTENT


def test_the_second_address_is_tried(server: Server, tmp_path: Path) -> None:
    download([f"{server.address}/gone", f"{server.address}/file"], tmp_path / "a.pkl", DIGEST, QUIET)
    assert (tmp_path / "a.pkl").read_bytes() == CONTENT


def test_a_file_with_a_wrong_checksum_is_deleted(server: Server, tmp_path: Path) -> None:
    addresses = [f"{server.address}/gone", f"{server.address}/file"]
    text = refusal(lambda: download(addresses, tmp_path / "a.pkl", "00000000", QUIET))
    assert f"{addresses[0]} (HTTP Error 404: Not Found); {addresses[1]} (its checksum does not" in text
    assert list(tmp_path.iterdir()) == []


# Fetching ----------------------------------------------------------------------------------------


def served_network(server: Server, tmp_path: Path) -> PublishedWeights:
    """The low-cost network of 2019 on this server."""
    server.content = checkpoint_of("shufflenetv2x1", tmp_path).read_bytes()
    digest = hashlib.sha256(server.content).hexdigest()[:8]
    addresses = (f"{server.address}/gone-{digest}.pkl", f"{server.address}/file-{digest}.pkl")
    return replace(find("shufflenetv2x1-2019"), addresses=addresses)


def test_weights_are_fetched_and_converted_once(
    server: Server, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published = served_network(server, tmp_path)
    monkeypatch.setattr(catalogue, "PUBLISHED", (published,))
    assert not list_pose_weights()[-1].path.exists()
    loaded = load_weights("shufflenetv2x1", "shufflenetv2x1-2019", QUIET)
    assert list_pose_weights()[-1].path == folder / "shufflenetv2x1-2019.safetensors"
    assert list_pose_weights()[-1].path.is_file()
    assert loaded.notes is not None
    assert loaded.notes["sha256"] == hashlib.sha256(server.content).hexdigest()
    assert loaded.notes["source"] == list(published.addresses)
    (folder / published.file).unlink()
    assert load_weights("shufflenetv2x1", "shufflenetv2x1-2019", QUIET).checksum == loaded.checksum
    assert len(server.requested) == 1


def test_a_file_that_was_copied_by_hand_is_used(server: Server, folder: Path, tmp_path: Path) -> None:
    published = replace(served_network(server, tmp_path))
    nowhere = replace(
        published, addresses=tuple(f"{a.replace('http', 'https')}" for a in published.addresses)
    )
    text = refusal(lambda: fetch(nowhere, QUIET))
    assert all(address in text for address in nowhere.addresses)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / published.file).write_bytes(server.content)
    assert fetch(nowhere, QUIET).is_file()
    assert server.requested == []


# The commands ------------------------------------------------------------------------------------


def test_weights_are_listed_without_network_access(run: Run, folder: Path) -> None:
    result = run("pose-weights")
    assert result.code == 0
    lines = {line.split()[0]: line for line in result.out.splitlines()}
    for published in catalogue.PUBLISHED:
        line = lines[published.name]
        assert published.source in line
        assert f"AP {published.ap}" in line
        assert " not present " in line
        assert "MB" in line
        assert "AGPL-3.0" in line
    assert "AP 67.8, 240 MB, AGPL-3.0, github.com/vita-epfl/openpifpaf-torchhub" in lines["resnet152-2019"]
    assert " present " in lines["actors-low"]
    assert "comes with skdpipe" in lines["actors-low"]
    assert not folder.exists()


@pytest.mark.parametrize("name", ["resnet152-2019", "shufflenetv2x1-2019"])
def test_without_network_access_the_error_contains_the_addresses_and_the_path(
    run: Run, folder: Path, name: str
) -> None:
    result = run("pose-weights", "fetch", name)
    assert result.code == 1
    (line,) = result.err.splitlines()
    assert line.startswith(f"error: cannot download {name}: tried https://github.com/vita-epfl/")
    assert "; https://storage.googleapis.com/openpifpaf-pretrained/v0.8.0/" in line
    assert f"copy the file to {folder / find(name).file}" in line


def test_the_papers_config_needs_only_the_download(run: Run, folder: Path, tmp_path: Path) -> None:
    extraction = load_config(Extraction, config_path("paper"), (), section="extraction")
    for estimator, backbone in ((extraction.high, "resnet152"), (extraction.low, "shufflenetv2x1")):
        assert estimator.backbone == find(estimator.weights).backbone == backbone
    (tmp_path / "a.mp4").write_bytes(b"a video")
    result = run("extract", tmp_path / "a.mp4", "-c", "paper", "--cache", tmp_path / "cache")
    assert result.code == 1
    assert "skdpipe pose-weights fetch resnet152-2019" in result.err


def test_unknown_weights_are_refused_before_any_download(run: Run, folder: Path) -> None:
    result = run("pose-weights", "fetch", "resnet152-2019", "resnet153")
    assert result.code == 1
    assert "no weights are published as 'resnet153' (published: " in result.err
    assert not folder.exists()
