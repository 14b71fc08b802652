"""The video index returns the content key of every video, and hashes a video only if it changed."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import skdpipe.cache.video_index
from skdpipe.cache.video_index import KnownVideo, VideoIndex, read_video
from skdpipe.errors import VideoError
from skdpipe.video import content_key


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The videos that were hashed, in order."""
    paths: list[Path] = []

    def recording(path: Path) -> str:
        paths.append(path)
        return content_key(path)

    monkeypatch.setattr(skdpipe.cache.video_index, "content_key", recording)
    return paths


def old_file(path: Path, content: bytes = b"video", modified: float = 1e9) -> Path:
    path.write_bytes(content)
    os.utime(path, (modified, modified))
    return path


def test_an_unchanged_video_is_hashed_once(tmp_path: Path, hashed: list[Path]) -> None:
    video = old_file(tmp_path / "späße\n日本.mp4")
    keys = {VideoIndex(tmp_path / "cache").key_of(video) for _ in range(3)}
    assert keys == {content_key(video)}
    assert hashed == [video]


def test_a_relative_path_is_the_same_video(
    tmp_path: Path, hashed: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    video = old_file(tmp_path / "a.mp4")
    VideoIndex(tmp_path).key_of(video)
    monkeypatch.chdir(tmp_path)
    VideoIndex(tmp_path).key_of(Path("a.mp4"))
    assert hashed == [video]


@pytest.mark.parametrize(("content", "modified"), [(b"other", 1e9 + 1), (b"longer video", 1e9)])
def test_a_changed_video_is_hashed_again(
    tmp_path: Path, hashed: list[Path], content: bytes, modified: float
) -> None:
    video = old_file(tmp_path / "a.mp4")
    VideoIndex(tmp_path).key_of(video)
    old_file(video, content, modified)
    assert VideoIndex(tmp_path).key_of(video) == content_key(video)
    assert len(hashed) == 2


def test_a_video_that_was_just_written_is_not_recorded(tmp_path: Path, hashed: list[Path]) -> None:
    """It may change again within the resolution of the modification time."""
    video = old_file(tmp_path / "a.mp4", b"first", modified=time.time())
    status = video.stat()
    VideoIndex(tmp_path).key_of(video)
    video.write_bytes(b"other")
    os.utime(video, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert VideoIndex(tmp_path).key_of(video) == content_key(video)


@pytest.mark.parametrize(
    "damage", [b'\n["/a.mp4", 5, 17', b"\n\x00\xff\xfe", b"\n[1, 2, 3, 4]", b"\n5", b'\n{"a": 1}', b"\n"]
)
def test_damaged_lines_are_ignored(tmp_path: Path, hashed: list[Path], damage: bytes) -> None:
    videos = [old_file(tmp_path / f"{n}.mp4", f"video {n}".encode()) for n in range(3)]
    VideoIndex(tmp_path).key_of(videos[0])
    (index,) = tmp_path.glob("video-index*")
    index.write_bytes(index.read_bytes() + damage)
    for video in videos:
        assert VideoIndex(tmp_path).key_of(video) == content_key(video)
    assert hashed == videos
    index.unlink()
    assert VideoIndex(tmp_path).key_of(videos[1]) == content_key(videos[1])


def test_a_missing_video_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match=r"none\.mp4: cannot be read"):
        VideoIndex(tmp_path).key_of(tmp_path / "none.mp4")


def test_an_index_that_cannot_be_written_is_one_warning(tmp_path: Path) -> None:
    videos = [old_file(tmp_path / name, name.encode()) for name in ("a.mp4", "b.mp4")]
    index = VideoIndex(videos[0])  # a file instead of a folder
    with pytest.warns(UserWarning, match=r"cannot write .*; videos are read again each time") as warned:
        assert [index.key_of(video) for video in videos] == [content_key(video) for video in videos]
    assert len(warned) == 1


def test_numbers_of_frames_are_recorded_beside_lines_without_them(tmp_path: Path) -> None:
    videos = [old_file(tmp_path / f"{n}.mp4", f"video {n}".encode()) for n in range(2)]
    index = VideoIndex(tmp_path)
    index.key_of(videos[0])  # as earlier versions did
    index.add(read_video(videos[1], lambda video: 7))
    known = [VideoIndex(tmp_path).find(video) for video in videos]
    assert known == [KnownVideo(content_key(videos[0])), KnownVideo(content_key(videos[1]), 7)]


WRITER = """
import sys
from pathlib import Path
from skdpipe.cache.video_index import VideoIndex
index = VideoIndex(Path(sys.argv[1]))
for path in sorted(Path(sys.argv[1]).glob(sys.argv[2])):
    index.key_of(path)
"""


def test_several_processes_can_add_to_the_index_at_once(tmp_path: Path, hashed: list[Path]) -> None:
    for shard in range(3):
        for number in range(200):
            old_file(tmp_path / f"{shard}-{number}.mp4", f"{shard} {number}".encode())
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), f"{shard}-*.mp4"])
        for shard in range(3)
    ]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    index = VideoIndex(tmp_path)
    for path in tmp_path.glob("*.mp4"):
        assert index.key_of(path) == content_key(path)
    assert hashed == []
