"""Videos and a cache on S3: a local server gives what a folder of this machine gives."""

import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from moving_body import a_sequence, fill, tiny_experiment
from torch.utils.data import DataLoader

from skdpipe.cache import PoseCache
from skdpipe.dataset import build_manifest
from skdpipe.errors import CacheReadError, CacheWriteError
from skdpipe.storage import Place, is_folder, place_of, read_bytes

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
