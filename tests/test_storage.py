"""A store holds what a folder of this machine would hold, and shows old or new content, never half of it."""

import errno
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import uuid
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from moving_body import a_sequence, fill, write_action_video
from safetensors.numpy import save

from skdpipe import correct_label, prune_cache, storage
from skdpipe.cache import PoseCache
from skdpipe.cache.inventory import list_other_files, summarise_cache, verify_cache
from skdpipe.cache.video_index import VideoIndex
from skdpipe.cli import main
from skdpipe.errors import (
    CacheError,
    CacheReadError,
    CacheWriteError,
    ConfigError,
    DataError,
    MissingDependencyError,
    VideoError,
)
from skdpipe.extraction import find_videos
from skdpipe.extraction.orphans import find_orphans
from skdpipe.progress import Progress
from skdpipe.storage import (
    Place,
    add_part,
    folders_in,
    is_file,
    is_folder,
    local_copy,
    names_in,
    place_of,
    read_bytes,
    read_parts,
    read_start,
    read_starts,
    require_path,
    state_of,
    states_in,
    write_bytes,
)
from skdpipe.tensor_file import TensorFileError, read_header

fsspec = pytest.importorskip("fsspec")
pytest.importorskip("upath")

NAMES = st.sampled_from(["a", "b.txt", "c/d", "c/e.txt", "f/g/h"])
FILES = st.dictionaries(NAMES, st.binary(max_size=40), max_size=5)


def a_store() -> Place:
    """An empty folder in memory."""
    return place_of(f"memory://{uuid.uuid4().hex}")


@given(st.lists(FILES, min_size=1, max_size=3))
@settings(deadline=None, max_examples=15)
def test_a_store_answers_as_a_folder(written: list[dict[str, bytes]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder, store = Path(name), a_store()
        for files in written:  # later files replace earlier ones
            for where in (folder, store):
                for path, content in files.items():
                    write_bytes(where / path, content)
        expected = {path: content for files in written for path, content in files.items()}
        for where in (folder, store):
            assert {path: read_bytes(where / path) for path in expected} == expected
            assert {path: state_of(where / path).size for path in expected} == {
                path: len(content) for path, content in expected.items()
            }
            assert all(is_file(where / path) and not is_folder(where / path) for path in expected)
            if expected:
                assert names_in(where) == sorted({path.partition("/")[0] for path in expected})
                assert {name: state.size for name, state in states_in(where).items()} == {
                    path: len(content) for path, content in expected.items() if "/" not in path
                }
            assert [each.name for each in folders_in(where)] == sorted(
                {path.partition("/")[0] for path in expected if "/" in path}
            )


@pytest.mark.parametrize("what", [read_bytes, state_of, read_start, names_in, states_in])
@pytest.mark.parametrize("is_remote", [False, True])
def test_what_is_not_there_is_not_found(what: object, is_remote: bool, tmp_path: Path) -> None:
    place = (a_store() if is_remote else tmp_path) / "nothing"
    with pytest.raises(FileNotFoundError) as caught:
        what(place)  # type: ignore[operator]
    assert str(caught.value.filename) == str(place)
    assert not is_file(place)
    assert not is_folder(place)
    assert folders_in(place) == []


def test_addresses_become_places() -> None:
    assert place_of("videos") == Path("videos")
    assert place_of("C:/videos") == Path("C:/videos")
    assert place_of("file:///data/my%20videos") == Path("/data/my videos")
    assert str(place_of("S3://bucket/videos/")) == "s3://bucket/videos"
    assert str(place_of("s3://bucket/videos") / "a.mp4") == "s3://bucket/videos/a.mp4"
    assert place_of(place_of("memory://a")) == place_of("memory://a")
    assert PoseCache("memory://a").root == place_of("memory://a")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("foo://x", "the protocol of 'foo://x' is unknown"),
        ("s3://", "s3:// names no place"),
        ("file://videos/a", "names another computer"),
        ("two words://x", "cannot read the address"),
        (Path("s3://bucket/cache"), "the path 's3:/bucket/cache' was an address"),
    ],
)
def test_other_addresses_are_refused(text: str | Path, found: str) -> None:
    with pytest.raises(ConfigError, match=found) as caught:
        place_of(text)
    assert "\n" not in str(caught.value)


def test_a_protocol_without_its_package_is_named() -> None:
    with pytest.raises(MissingDependencyError, match="a package for oci:// is not installed"):
        place_of("oci://bucket/cache")


def test_without_the_extra_its_name_is_stated() -> None:
    program = (
        "import sys\n"
        "sys.modules['upath'] = None\n"
        "from skdpipe.errors import MissingDependencyError\n"
        "from skdpipe.storage import place_of\n"
        "place_of('videos')\n"
        "try:\n"
        "    place_of('s3://bucket')\n"
        "except MissingDependencyError as error:\n"
        "    print(error)\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert 'run `pip install "skdpipe[remote]"`' in ran.stdout


def test_a_path_that_was_an_address_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="models 's3://bucket/models' is an address"):
        require_path(Path("s3://bucket/models"), "models")
    monkeypatch.chdir(tmp_path)
    Path("s3:/models").mkdir(parents=True)
    require_path(Path("s3:/models"), "models")  # a folder that has this name
    require_path(Path("C:/models"), "models")


@pytest.mark.parametrize("renames", [False, True])
def test_an_interrupted_write_leaves_the_old_content(renames: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both in an object store, and in a store whose files are written bit by bit and then renamed."""
    files = type(fsspec.filesystem("memory"))
    if renames:
        monkeypatch.setattr(storage, "_OBJECT_STORES", frozenset())
        monkeypatch.setattr(files, "mv", lambda self, old, new: self.store.update({new: self.store.pop(old)}))
    place = a_store() / "a" / "file"
    write_bytes(place, b"old", b" content")
    whole = files.pipe_file

    def interrupted(self: object, path: str, value: bytes, **options: object) -> None:
        if renames:
            whole(self, path, value[:3], **options)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(files, "pipe_file", interrupted)
        with pytest.raises(KeyboardInterrupt):
            write_bytes(place, b"new content")
    assert read_bytes(place) == b"old content"
    assert names_in(place.parent) == ["file"]
    write_bytes(place, b"new content")
    assert read_bytes(place) == b"new content"
    assert names_in(place.parent) == ["file"]


def test_a_store_that_can_neither_put_nor_rename_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "_OBJECT_STORES", frozenset())
    with pytest.raises(CacheWriteError, match="memory:// cannot replace a file in one step"):
        PoseCache(a_store()).save(a_sequence("sideways"), "high", "eyes-1")


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["distill", "--models", "s3://bucket/models"], "models 's3://bucket/models' is an address"),
        (["cache", "list", "--cache", "foo://cache"], "the protocol of 'foo://cache' is unknown"),
        (["app", "--cache", "memory://cache"], "cache 'memory://cache' is an address"),
        (["predict", "memory://videos/a.mp4"], "clips 'memory://videos/a.mp4' is an address"),
        (["extract", "rtsp://camera/1"], "the protocol of 'rtsp://camera/1' is unknown"),
        (["info", "memory://nothing"], "memory://nothing: no pose cache there"),
        (["predict", "--source", "rtsp://127.0.0.1:1/a"], "no trained student"),  # a live source is allowed
    ],
)
def test_commands_take_addresses_only_where_they_can_use_them(
    arguments: list[str],
    found: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["skdpipe", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    (line,) = capfd.readouterr().err.splitlines()
    assert found in line
    assert list(tmp_path.iterdir()) == []


def test_parts_are_read_together() -> None:
    place = a_store() / "index.jsonl"
    assert read_parts(place) == []
    for content in (b"1", b"2", b"3"):
        add_part(place, content)
    write_bytes(place.with_name("index-of-other-files.jsonl"), b"4")
    assert sorted(read_parts(place)) == [b"1", b"2", b"3"]


def test_starts_are_those_of_each_file() -> None:
    store = a_store()
    contents = {f"{number:04}": bytes([number % 256]) * number for number in (1, 5, 900, 70_000, 65_536)}
    for name, content in contents.items():
        write_bytes(store / name, content)
    found = dict(read_starts(store, states_in(store).items()))
    assert found == {name: (content[:65_536], len(content)) for name, content in contents.items()}
    assert {name: read_start(store / name) for name in contents} == found


def test_a_copy_is_deleted_also_if_its_process_was_killed(tmp_path: Path) -> None:
    store = a_store()
    write_bytes(store / "video.mp4", b"frames")
    with local_copy(store / "video.mp4") as path:
        assert path.read_bytes() == b"frames"
        assert str(path).endswith(f"/{store.name}/video.mp4")
        assert path.parents[1].stat().st_mode & 0o077 == 0
    assert not path.parents[1].exists()
    program = (
        "import os, signal\n"
        "from skdpipe.storage import local_copy, place_of, write_bytes\n"
        "write_bytes(place_of('memory://a/b'), b'x')\n"
        "with local_copy(place_of('memory://a/b')) as path:\n"
        "    print(path, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL
    left = Path(killed.stdout.strip())
    assert left.exists()
    with local_copy(store / "video.mp4"):
        assert not left.exists()


def headers(content: bytes, folder: Path) -> list[object]:
    """The header of a file on this machine and in a store, or what is wrong with it."""
    found: list[object] = []
    for place in (folder / "tensors", a_store() / "tensors"):
        write_bytes(place, content)
        try:
            found.append(read_header(place))
        except TensorFileError as error:
            found.append(str(error))
    return found


@given(
    length=st.integers(0, 40),
    text=st.sampled_from(["", "x" * 80_000]),
    cut=st.integers(0, 400),
    flip=st.integers(0, 400),
)
@settings(deadline=None, max_examples=40)
def test_headers_in_a_store_are_checked_as_on_this_machine(
    length: int, text: str, cut: int, flip: int
) -> None:
    content = save({"a": np.arange(length, dtype=np.float32)}, {"text": text})
    changed = bytearray(content)
    changed[flip % len(content)] ^= 1
    with tempfile.TemporaryDirectory() as name:
        for each in (content, content[: max(0, len(content) - cut)], content + bytes(cut), bytes(changed)):
            here, there = headers(each, Path(name))
            assert here == there


def test_a_cache_in_a_store_is_that_of_a_folder(tmp_path: Path) -> None:
    store, folder = fill(PoseCache(a_store()), 2), fill(PoseCache(tmp_path / "cache"), 2)
    assert [each.name for each in store.folders()] == [each.name for each in folder.folders()]
    for here, there in zip(folder.folders(), store.folders(), strict=True):
        assert names_in(here) == names_in(there)
        assert all(read_bytes(here / name) == read_bytes(there / name) for name in names_in(here))
    described = [
        [(each.quality, each.settings, each.origin, each.frames, each.checksum) for each in cache.entries()]
        for cache in (folder, store, store.as_listed())
    ]
    assert described[0] == described[1] == described[2]
    summaries = [
        [(each.files, each.bytes, each.labels, each.damaged) for each in summarise_cache(cache)]
        for cache in (folder, store)
    ]
    assert summaries[0] == summaries[1]
    assert verify_cache(store, Progress(quiet=True)).findings == ()
    path = next(store.files_in(store.folders("high")[0]))
    assert np.array_equal(
        store.load(path).keypoints,
        folder.load(tmp_path / "cache" / "high" / path.parent.name / path.name).keypoints,
    )
    assert pickle.loads(pickle.dumps(store)).describe(path) == store.describe(path)


def test_a_damaged_sequence_in_a_store_is_found() -> None:
    cache = fill(PoseCache(a_store()), 1)
    path = next(cache.files_in(cache.folders("high")[0]))
    whole = read_bytes(path)
    for content in (whole[:-1], b"", whole[:100]):
        write_bytes(path, content)
        assert not cache.has("high", "eyes-1", path.stem)
        with pytest.raises(CacheError, match="is damaged"):
            cache.describe(path)
        assert len(list(cache.entries(skip_damaged=True))) == 3
    write_bytes(path, whole[:-1] + bytes([whole[-1] ^ 1]))
    assert [each.path for each in verify_cache(cache, Progress(quiet=True)).findings] == [path]


def test_a_cache_as_it_was_listed_knows_no_later_files() -> None:
    cache = fill(PoseCache(a_store()), 1)
    listed = cache.as_listed()
    sequence = a_sequence("sideways", 7)
    written = cache.save(sequence, "high", "eyes-1")
    assert cache.has("high", "eyes-1", sequence.origin.key)
    assert not listed.has("high", "eyes-1", sequence.origin.key)
    known = [path for folder in listed.folders() for path in listed.files_in(folder) if path.stem == "0000"]
    listed.read_ahead({"0000", "nothing"})
    expected = [cache.describe(path) for path in known]
    for path in known:
        write_bytes(path, b"")  # what was read ahead is not read again
    assert [listed.describe(path) for path in known] == expected
    assert list(cache.paths_of(sequence.origin.key)) == [written]
    assert list(listed.paths_of(sequence.origin.key)) == []


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left"), PermissionError("Forbidden"), RuntimeError("a\nb")]
)
def test_a_full_or_denied_store_is_named_in_one_line(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = fill(PoseCache(a_store()), 1)
    path = next(cache.files_in(cache.folders("high")[0]))

    def refuse(*_: object, **__: object) -> None:
        raise error

    files = type(fsspec.filesystem("memory"))
    monkeypatch.setattr(files, "pipe_file", refuse)
    with pytest.raises(CacheWriteError, match=r"cannot write memory://.*\.safetensors \(") as caught:
        cache.save(a_sequence("sideways"), "high", "eyes-1")
    assert "\n" not in str(caught.value)
    for reading in ("cat_file", "cat_ranges", "ls", "info"):
        monkeypatch.setattr(files, reading, refuse)
    for read in (
        lambda: cache.load(path),
        lambda: cache.describe(path),
        lambda: cache.folders(),
        lambda: list(cache.entries("high", skip_damaged=True)),
        lambda: cache.has("high", "eyes-1", path.stem),
        lambda: cache.with_corrections(a_sequence("sideways").origin),
        lambda: verify_cache(cache, Progress(quiet=True)),
    ):
        with pytest.raises(CacheReadError, match="cannot be read") as unread:
            read()
        assert "\n" not in str(unread.value)


def test_the_video_index_of_a_store_is_written_in_parts(tmp_path: Path) -> None:
    store = a_store()
    videos = [tmp_path / name for name in ("a.mp4", "b.mp4")]
    for video in videos:
        video.write_bytes(video.name.encode())
        os.utime(video, (1, 1))
    for video in videos:
        index = VideoIndex(store)
        assert index.find(video) is None
        index.key_of(video)
        assert len(read_parts(store / "video-index.jsonl")) == videos.index(video)
        index.flush()
        index.flush()
    assert len(read_parts(store / "video-index.jsonl")) == 2
    assert all(VideoIndex(store).find(video) for video in videos)
    assert {each.what for each in list_other_files(PoseCache(store))} == {"index of videos"}


def test_what_needs_locks_is_refused() -> None:
    cache = fill(PoseCache(a_store()), 1)
    for refused in (lambda: prune_cache(cache), lambda: correct_label(cache, "0000", "other")):
        with pytest.raises(CacheError, match="is in a store; expected a folder of this machine for"):
            refused()


FOUND = {
    "classes": ["a/1.mp4", "a/2.MP4", "b/3.avi", "4.mp4", "notes.txt", ".hidden/5.mp4", "a/.6.mp4"],
    "splits": ["train/a/1.mp4", "test/b/c/2.mp4", "train/3.mp4", "4.mp4"],
    "text": ["a/1.ts", "a/2.mp4"],
}


@pytest.mark.parametrize("names", FOUND.values(), ids=FOUND)
@pytest.mark.parametrize("labels", [True, False])
def test_videos_in_a_store_are_those_of_a_folder(names: list[str], labels: bool, tmp_path: Path) -> None:
    store = a_store()
    for name in names:
        for folder in (tmp_path, store):
            write_bytes(folder / name, b"export const a = 1;")
    here, there = find_videos(tmp_path, labels=labels), find_videos(store, labels=labels)
    assert [(str(item.path), item.label, item.split) for item in there] == [
        (f"{store}/{item.local_path.relative_to(tmp_path).as_posix()}", item.label, item.split)
        for item in here
    ]
    left_out = [
        sorted(line.replace(str(folder), "") for line in found.left_out)
        for folder, found in ((tmp_path, here), (store, there))
    ]
    assert left_out[0] == left_out[1]
    assert all(item.state == state_of(item.path) for item in there)
    one = find_videos(there[0].path)
    assert [(item.path, item.state) for item in one] == [(there[0].path, there[0].state)]


def test_a_csv_names_videos_by_relative_paths_or_addresses(tmp_path: Path) -> None:
    store = a_store()
    text = b"path,label\nx/1.mp4,a\nmemory://other/2.mp4,b\n"
    write_bytes(store / "list.csv", text)
    write_bytes(tmp_path / "list.csv", text)
    for folder in (store, tmp_path):
        assert [(str(item.path), item.label) for item in find_videos(folder / "list.csv")] == [
            (str(folder / "x/1.mp4"), "a"),
            ("memory://other/2.mp4", "b"),
        ]
    write_bytes(store / "list.csv", b"name\n")
    with pytest.raises(DataError, match=rf"{store}/list.csv has the columns name"):
        find_videos(store / "list.csv")
    with pytest.raises(DataError, match=r"memory://other/2.mp4 is in a store"):
        find_videos(tmp_path / "list.csv")[1].local_path  # noqa: B018


@pytest.mark.parametrize("names", [[], ["a/notes.txt"]])
def test_a_store_without_videos_is_named(names: list[str]) -> None:
    store = a_store()
    for name in names:
        write_bytes(store / name, b"")
    with pytest.raises(DataError, match=str(store)) as caught:
        find_videos(store)
    assert "\n" not in str(caught.value)


def test_a_video_of_a_store_is_known_by_its_content_and_change() -> None:
    store = a_store()
    video = store / "a.mp4"
    write_bytes(video, b"content")
    index = VideoIndex(store)
    key = index.key_of(video)
    assert key == sha256(b"content").hexdigest()[:32]
    index.flush()
    again = VideoIndex(store).find(video)
    assert again is not None
    assert again.key == key
    write_bytes(video, b"changed")
    assert VideoIndex(store).find(video) is None
    with pytest.raises(VideoError, match=r"memory://.*nothing.mp4: cannot be read"):
        index.key_of(store / "nothing.mp4")


def test_a_clip_whose_video_is_in_a_store_is_no_orphan(tmp_path: Path) -> None:
    """Only the folders that are named are searched, and a store is none of them."""
    video = write_action_video(tmp_path / "videos" / "a.avi", "sideways")
    cache = PoseCache(tmp_path / "cache")
    keys = [VideoIndex(cache.root).key_of(video), "0" * 32, "1" * 32]
    for key, source in zip(keys, (str(video), "s3://bucket/b.avi", str(tmp_path / "c.avi")), strict=True):
        cache.save(a_sequence("sideways", key=key, source=source), "high", "eyes-1")
    assert find_orphans(cache, [tmp_path / "videos"]) == {"1" * 32}
