"""Videos and a cache on S3: a local server gives what a folder of this machine gives."""

import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from moving_body import ACTIONS, BOX_PLUGIN, a_sequence, fill, tiny_experiment, write_action_video
from torch.utils.data import DataLoader

from skdpipe.cache import PoseCache
from skdpipe.cli import main
from skdpipe.config import to_plain
from skdpipe.dataset import build_manifest
from skdpipe.errors import CacheReadError, CacheWriteError
from skdpipe.storage import Place, is_folder, names_in, place_of, read_bytes, write_bytes
from skdpipe.tensor_file import digest_of_tensors

fsspec = pytest.importorskip("fsspec")
moto = pytest.importorskip("moto.server")
pytest.importorskip("s3fs")


@pytest.fixture(scope="module")
def bucket() -> Iterator[Place]:
    """A bucket on a server of this machine."""
    server = moto.ThreadedMotoServer(port=0)
    with pytest.MonkeyPatch.context() as patched:
        server.start()
        host, port = server.get_host_and_port()
        for name, value in {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_ACCESS_KEY_ID": "a",
            "AWS_SECRET_ACCESS_KEY": "b",
            "AWS_DEFAULT_REGION": "us-east-1",
        }.items():
            patched.setenv(name, value)
        files = fsspec.filesystem("s3")
        patched.setattr(type(files), "retries", 1)
        files.mkdir("bucket")
        yield place_of("s3://bucket")
        server.stop()
    type(files).clear_instance_cache()


class Requests(logging.Handler):
    """Counts the requests that the server logs."""

    def __init__(self) -> None:
        super().__init__()
        self.counts = Counter[str]()

    def emit(self, record: logging.LogRecord) -> None:
        """Count a request by its kind."""
        line = str(record.args[0]) if record.args else record.getMessage()
        kind = "LIST" if "list-type" in line else next((k for k in ("GET", "PUT", "HEAD") if k in line), line)
        self.counts[kind] += 1


@pytest.fixture
def requests() -> Iterator[Counter[str]]:
    """The number of requests of each kind since the start of the test, or since they were cleared."""
    handler, logger = Requests(), logging.getLogger("werkzeug")
    logger.addHandler(handler)
    yield handler.counts
    logger.removeHandler(handler)


def test_a_manifest_takes_one_request_for_each_sequence(
    bucket: Place, tmp_path: Path, requests: Counter[str]
) -> None:
    here, there = fill(PoseCache(tmp_path / "cache")), fill(PoseCache(bucket / "manifest"))
    requests.clear()
    manifest = build_manifest(there, tiny_experiment())
    assert requests == {"LIST": 6, "GET": 24}  # the folders of each quality twice, and their files; 12 pairs
    expected = build_manifest(here, tiny_experiment())
    assert manifest.digest == expected.digest
    for clip, other in zip(manifest.clips, expected.clips, strict=True):
        assert clip.high is not None
        assert other.high is not None
        assert read_bytes(clip.high) == read_bytes(other.high)
        requests.clear()
        assert np.array_equal(there.load(clip.high).keypoints, here.load(other.high).keypoints)
        assert requests == {"GET": 1}


@pytest.mark.parametrize(("start", "workers"), [("fork", 2), ("spawn", 1)])
def test_workers_of_a_loader_read_from_it(bucket: Place, start: str, workers: int) -> None:
    cache = fill(PoseCache(bucket / "loader"), 2)
    paths = [
        path for folder in cache.folders() for path in cache.files_in(folder)
    ]  # this process reads first
    expected = [int(cache.load(path).keypoints.shape[0]) for path in paths]
    loader = DataLoader(
        Frames(cache, paths), batch_size=2, num_workers=workers, multiprocessing_context=start, timeout=60
    )
    assert torch.cat(list(loader)).tolist() == expected


class Frames(torch.utils.data.Dataset[int]):
    """The number of frames of each sequence."""

    def __init__(self, cache: PoseCache, paths: list[Place]) -> None:
        self._cache, self._paths = cache, paths

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int) -> int:
        return int(self._cache.load(self._paths[index]).keypoints.shape[0])


def test_a_missing_bucket_is_named_in_one_line(bucket: Place) -> None:
    cache = PoseCache("s3://no-such-bucket/cache")  # type: ignore[arg-type]
    assert not is_folder(cache.root)
    with pytest.raises(CacheWriteError, match=r"no-such-bucket.*bucket does not exist") as caught:
        cache.save(a_sequence("sideways"), "high", "eyes-1")
    assert "\n" not in str(caught.value)


def test_an_endpoint_that_does_not_answer_is_named_in_one_line(
    bucket: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = fill(PoseCache(bucket / "endpoint"), 1)
    path = cache.path_of("high", "eyes-1", "0000")
    monkeypatch.setitem(
        fsspec.config.conf,
        "s3",
        {"endpoint_url": "http://127.0.0.1:1", "config_kwargs": {"retries": {"max_attempts": 0}}},
    )
    for read in (
        lambda: cache.load(path),
        lambda: cache.folders(),
        lambda: cache.has("high", "eyes-1", "0000"),
    ):
        with pytest.raises(CacheReadError, match=r"cannot be read \(.*127.0.0.1:1") as caught:
            read()
        assert "\n" not in str(caught.value)
    with pytest.raises(CacheReadError, match="cannot be read"):
        cache.save(a_sequence("sideways"), "high", "eyes-1")


def test_videos_that_cannot_be_read_are_named_in_one_line(
    bucket: Place,
    videos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    config = tmp_path / "tiny.yaml"
    config.write_text(yaml.safe_dump(CONFIG), encoding="utf-8")
    folder = bucket / "some"
    for name in ("good.avi", "damaged.avi"):
        content = (videos / ACTIONS[0] / "0.avi").read_bytes()
        write_bytes(folder / name, content if name == "good.avi" else b"no video")
    rows = ("path,label", "good.avi,a", "damaged.avi,a", "missing.avi,a", "s3://no-such-bucket/a.avi,a")
    write_bytes(folder / "list.csv", "\n".join(rows).encode())
    places = (folder / "list.csv", "s3://no-such-bucket/videos", "s3://bucket/no-such-folder")
    options = ("--config", config, "--cache", tmp_path / "cache")
    skdpipe(monkeypatch, "extract", *places, *options, code=1)
    output = capfd.readouterr()
    assert "1 videos extracted, 0 already present, 3 failed" in output.out
    lines = [line for line in output.err.splitlines() if line.startswith(("failed", "error"))]
    starts = (
        "failed: s3://bucket/some/damaged.avi: ",
        "failed: s3://bucket/some/missing.avi: cannot be read (it does not exist)",
        "failed: s3://no-such-bucket/a.avi: cannot be read (",
        "error: s3://no-such-bucket/videos cannot be read (",
        "error: s3://bucket/no-such-folder cannot be read (it does not exist)",
    )
    assert len(lines) == len(starts)
    assert all(any(line.startswith(start) for line in lines) for start in starts), lines


CONFIG = {
    "extraction": {
        "people": 1,
        "high": {"plugin": BOX_PLUGIN},
        "low": {"plugin": BOX_PLUGIN, "options": {"shake": 1.0}, "every": 2},
    },
    "experiment": to_plain(tiny_experiment(methods=("baseline",))),
}


def upload(folder: Path, place: Place) -> None:
    """Copy the files of a folder to a store."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            write_bytes(place / path.relative_to(folder).as_posix(), path.read_bytes())


def contents(root: Place) -> dict[str, bytes]:
    """The sequences and settings of a cache by their paths in it."""
    return {
        f"{folder.parent.name}/{folder.name}/{name}": read_bytes(folder / name)
        for folder in PoseCache(root).folders()
        for name in names_in(folder)
    }


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of class folders with four videos of each action, and other files."""
    folder = tmp_path_factory.mktemp("data") / "videos"
    for action in ACTIONS:
        (folder / action).mkdir(parents=True)
        for number in range(4):
            write_action_video(folder / action / f"{number}.avi", action, number)
    (folder / "notes.txt").write_text("notes", encoding="utf-8")
    (folder / ACTIONS[0] / ".hidden.avi").write_bytes(b"")
    return folder


def skdpipe(monkeypatch: pytest.MonkeyPatch, *arguments: object, code: int = 0) -> None:
    """Run a command in this process."""
    monkeypatch.setattr("sys.argv", ["skdpipe", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert (ended.value.code or 0) == code


def test_extraction_and_distillation_on_a_store_give_what_a_folder_gives(
    bucket: Place,
    videos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    requests: Counter[str],
) -> None:
    upload(videos, bucket / "whole" / "videos")
    config = tmp_path / "tiny.yaml"
    config.write_text(yaml.safe_dump(CONFIG), encoding="utf-8")
    there, here = bucket / "whole" / "cache", tmp_path / "cache"
    requests.clear()
    skdpipe(monkeypatch, "extract", bucket / "whole" / "videos", "--config", config, "--cache", there)
    assert "8 videos extracted, 0 already present, 0 failed" in capfd.readouterr().out
    # Each video is copied twice, to hash and to decode it, and each sequence is looked for once.
    assert (requests["HEAD"], requests["GET"], requests["PUT"]) == (8, 4 * 8, 2 * 8 + 3)
    assert requests["LIST"] < 12
    skdpipe(monkeypatch, "extract", videos, "--config", config, "--cache", here)
    found, expected = contents(there), contents(here)
    assert found.keys() == expected.keys()
    for name in found:
        if name.endswith(".yaml"):
            assert found[name] == expected[name]
    for entry, other in zip(PoseCache(there).entries(), PoseCache(here).entries(), strict=True):
        relative = Path(other.origin.source).relative_to(videos).as_posix()
        assert entry.origin.source == str(bucket / "whole" / "videos" / relative)
        assert replace(entry.origin, source="") == replace(other.origin, source="")
        assert np.array_equal(
            PoseCache(there).load(entry.path).keypoints, PoseCache(here).load(other.path).keypoints
        )
    requests.clear()
    skdpipe(monkeypatch, "extract", bucket / "whole" / "videos", "--config", config, "--cache", there)
    assert "0 videos extracted, 8 already present" in capfd.readouterr().out
    assert (requests["HEAD"], requests["GET"], requests["PUT"]) == (2, 2 * 8 + 3, 0)
    assert requests["LIST"] < 12
    for cache, models in ((there, tmp_path / "there"), (here, tmp_path / "here")):
        options = ("--config", config, "--cache", cache, "--models", models, "--folds", 0)
        skdpipe(monkeypatch, "distill", *options)
    bundles = sorted((tmp_path / "here").rglob("*.safetensors"))
    assert bundles
    for bundle in bundles:
        other = tmp_path / "there" / bundle.relative_to(tmp_path / "here")
        assert digest_of_tensors(other) == digest_of_tensors(bundle)
