"""Extraction finds all videos, extracts only what is missing, and can be interrupted at any time."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from io import StringIO
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import yaml
from conftest import WriteVideo
from hypothesis import given
from hypothesis import strategies as st
from recording_progress import RecordingProgress
from rich.console import Console
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from squares import GRID, SIDE, SquareFinder, square_frames

import skdpipe.cache.video_index
import skdpipe.extraction.look_up
import skdpipe.video
from skdpipe.cache import PoseCache
from skdpipe.config import Extraction, PluginSettings
from skdpipe.degradation import sample_frames
from skdpipe.engines import LocalEngine
from skdpipe.errors import CacheError, DataError, PoseError
from skdpipe.extraction import ExtractionReport, Source, extract_videos, open_sources
from skdpipe.extraction.video_list import VideoItem, find_videos, shard, shard_of
from skdpipe.pose.decoding import SampledEstimator
from skdpipe.pose.estimate import estimate_video
from skdpipe.progress import Progress
from skdpipe.skeleton import Origin
from skdpipe.skeleton.timing import FrameSampler, Timing, timing_of
from skdpipe.skeleton.transforms import interpolate_frames
from skdpipe.video import content_key, probe, read_frames, read_timed_frames, write_video
from skdpipe.video.reading import Sampling

FRAMES = 20  # of every video here by default


@pytest.fixture
def cache(tmp_path: Path) -> PoseCache:
    return PoseCache(tmp_path / "cache")


def two_qualities(every: int = 1) -> tuple[Source, Source]:
    return Source("high", SquareFinder(128)), Source("low", SquareFinder(127), every)


def frames_processed(*sources: Source) -> list[int]:
    """Number of frames that each source's estimator has processed."""
    return [sum(source.estimator.batches) for source in sources]  # type: ignore[attr-defined]


# The video list --------------------------------------------------------------------------


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def find(where: Path, root: Path) -> list[tuple[str, str | None, str | None]]:
    return [(str(item.path.relative_to(root)), item.label, item.split) for item in find_videos(where)]


def test_one_file_is_one_video_without_a_label(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "strange.xyz")
    assert find_videos(tmp_path / "a.mp4") == [VideoItem(tmp_path / "a.mp4")]
    assert find_videos(tmp_path / "strange.xyz") == [VideoItem(tmp_path / "strange.xyz")]


def test_only_videos_are_found_in_a_folder(tmp_path: Path) -> None:
    touch(tmp_path, "b.MP4", "a.avi", "notes.txt", ".hidden.mp4", "._a.avi", "a.mp4.part")
    assert find(tmp_path, tmp_path) == [("a.avi", None, None), ("b.MP4", None, None)]


def test_folder_names_are_labels(tmp_path: Path) -> None:
    touch(tmp_path, "wave/a.mp4", "wave/deep/down/b.mp4", "rub hands ü/c.mkv", "stray.mp4")
    assert find(tmp_path, tmp_path) == [
        ("rub hands ü/c.mkv", "rub hands ü", None),
        ("stray.mp4", None, None),
        ("wave/a.mp4", "wave", None),
        ("wave/deep/down/b.mp4", "wave", None),
    ]


def test_folders_with_names_of_splits_are_splits(tmp_path: Path) -> None:
    touch(tmp_path, "Train/wave/a.mp4", "TESTING/wave/deep/b.mp4", "Validation/wave/c.mp4")
    assert find(tmp_path, tmp_path) == [
        ("TESTING/wave/deep/b.mp4", "wave", "test"),
        ("Train/wave/a.mp4", "wave", "train"),
        ("Validation/wave/c.mp4", "wave", "val"),
    ]
    assert find_videos(tmp_path).left_out == ()


def test_videos_without_a_split_or_a_class_are_left_out_and_named(tmp_path: Path) -> None:
    touch(tmp_path, "train/wave/a.mp4", "train/b.mp4", "test/wave/c.mp4", "stray.mp4")
    videos = find_videos(tmp_path)
    assert [(item.path.name, item.label, item.split) for item in videos] == [
        ("c.mp4", "wave", "test"),
        ("a.mp4", "wave", "train"),
    ]
    assert sorted(videos.left_out) == [
        f"{tmp_path}/stray.mp4: beside the folders of splits (test, train)",
        f"{tmp_path}/train/b.mp4: in a split, but not in the folder of a class",
    ]
    assert [(item.path.name, item.label, item.split) for item in find_videos(tmp_path, labels=False)] == [
        ("stray.mp4", None, None),
        ("c.mp4", None, None),
        ("b.mp4", None, None),
        ("a.mp4", None, None),
    ]


def test_only_videos_without_a_class_are_an_error(tmp_path: Path) -> None:
    touch(tmp_path, "train/a.mp4", "test/b.mp4")
    with pytest.raises(
        DataError, match=r"no videos with a label and a split: 2 files .*not in the folder of"
    ):
        find_videos(tmp_path)


@pytest.mark.parametrize("other", ["trian", "dev", "wave"])
def test_a_folder_beside_splits_that_is_no_split_is_refused(tmp_path: Path, other: str) -> None:
    touch(tmp_path, "train/wave/a.mp4", "test/wave/b.mp4", f"{other}/wave/c.mp4", "notes/read.txt")
    with pytest.raises(
        DataError, match=f"contains test, train, a split, and {other}, which is none; expected"
    ):
        find_videos(tmp_path)
    assert len(find_videos(tmp_path, labels=False)) == 3


def test_what_is_no_video_is_named_by_its_reason(tmp_path: Path) -> None:
    touch(tmp_path, "wave/a.mp4", ".cache/b.mp4", "wave/._a.mp4", "wave/.DS_Store", "wave/cover.jpg")
    touch(tmp_path, *(f"wave/{n}.json" for n in range(5)))
    (tmp_path / "wave/index.ts").write_text("export const wave = 1;\n")
    videos = find_videos(tmp_path)
    assert [item.path.name for item in videos] == ["a.mp4"]
    at = f"{tmp_path}/wave"
    assert sorted(videos.left_out) == [
        f"{at}/cover.jpg: not a video by its ending .jpg",
        f"{at}/index.ts: text, not a video",
        f"2 files ({tmp_path}/.cache/b.mp4, {at}/._a.mp4): hidden",
        f"5 files ({at}/0.json, {at}/1.json, {at}/2.json, ...): not a video by its ending .json",
    ]


@pytest.mark.parametrize(
    "ending",
    ["MTS", "ts", "gif", "m2ts", "wmv", "vob", "ogv", "mxf", "asf", "f4v", "3g2", "dv", "MPG", "y4m"],
)
def test_videos_are_found_by_the_endings_that_ffmpeg_reads(tmp_path: Path, ending: str) -> None:
    touch(tmp_path, f"wave/a.{ending}")
    assert find(tmp_path, tmp_path) == [(f"wave/a.{ending}", "wave", None)]


def test_a_folder_of_numbered_images_is_a_video(tmp_path: Path) -> None:
    touch(tmp_path, *(f"wave/one/img_{n:05d}.JPG" for n in range(3)), "wave/one/notes.txt", "wave/two.mp4")
    touch(tmp_path, "push/0001.png", "push/0002.png", "push/video.mp4", "push/single/1.png")
    videos = find_videos(tmp_path)
    assert [(str(item.path.relative_to(tmp_path)), item.label) for item in videos] == [
        ("push/video.mp4", "push"),
        ("wave/one", "wave"),
        ("wave/two.mp4", "wave"),
    ]
    at = f"{tmp_path}/push"
    assert sorted(videos.left_out) == [
        f"{tmp_path}/wave/one/notes.txt: not a video by its ending .txt",
        f"3 files ({at}/0001.png, {at}/0002.png, {at}/single/1.png): not a video by its ending .png",
    ]
    assert find_videos(tmp_path / "wave/one") == [VideoItem(tmp_path / "wave/one")]
    pattern = tmp_path / "wave/one/img_%05d.JPG"
    assert find_videos(pattern) == [VideoItem(pattern)]


@pytest.mark.parametrize(("split", "known"), [("TRAIN", "train"), ("Testing", "test"), ("valid", "val")])
def test_splits_in_a_csv_have_one_name(tmp_path: Path, split: str, known: str) -> None:
    (tmp_path / "list.csv").write_text(f"path,label,split\na.mp4,wave,{split}\n")
    assert find_videos(tmp_path / "list.csv") == [VideoItem(tmp_path / "a.mp4", "wave", known)]


def test_linked_folders_are_searched(tmp_path: Path) -> None:
    touch(tmp_path, "elsewhere/a.mp4")
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "wave").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    assert find(tmp_path / "videos", tmp_path) == [("videos/wave/a.mp4", "wave", None)]


def test_a_folder_is_searched_once_and_found_by_its_own_name(tmp_path: Path) -> None:
    touch(tmp_path, "videos/punch/a.mp4", "videos/wave/b.mp4", "elsewhere/c.mp4")
    for link, target in (
        ("again", "wave"),
        ("wave/up", ".."),
        ("kick", "../elsewhere"),
        ("kick2", "../elsewhere"),
    ):
        (tmp_path / "videos" / link).symlink_to(target, target_is_directory=True)
    found = find_videos(tmp_path / "videos")
    assert [(item.path.name, item.label) for item in found] == [
        ("c.mp4", "kick"),
        ("a.mp4", "punch"),
        ("b.mp4", "wave"),
    ]
    (line,) = found.left_out
    assert line.startswith("3 files (")
    assert line.endswith(": a link to a folder that is searched already")
    assert all(f"videos/{name}" in line for name in ("again", "kick2", "wave/up"))


def test_what_is_no_regular_file_is_named_and_never_opened(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4")
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "zero.mp4").symlink_to("/dev/zero")
    (tmp_path / "gone.mp4").symlink_to("nowhere.mp4")
    (tmp_path / "loop.mp4").symlink_to("loop.mp4")
    found = find_videos(tmp_path)
    assert found == [VideoItem(tmp_path / "a.mp4")]
    assert sorted(found.left_out) == [
        f"{tmp_path}/gone.mp4: a link that leads nowhere (No such file or directory)",
        f"{tmp_path}/loop.mp4: a link that leads nowhere (Too many levels of symbolic links)",
        f"{tmp_path}/pipe.mp4: a pipe, not a file",
        f"{tmp_path}/zero.mp4: a device, not a file",
    ]
    assert find_videos(tmp_path / "pipe.mp4") == [VideoItem(tmp_path / "pipe.mp4")]  # refused when it is read


def test_a_folder_that_cannot_be_read_is_named() -> None:
    with tempfile.TemporaryDirectory() as folder, unprivileged():
        root = Path(tempfile.mkdtemp(dir="/tmp" if os.getuid() == 0 else folder))
        touch(root, "wave/a.mp4", "closed/b.mp4")
        (root / "closed").chmod(0)
        try:
            found = find_videos(root)
        finally:
            (root / "closed").chmod(0o700)
            shutil.rmtree(root)
    assert found == [VideoItem(root / "wave/a.mp4", "wave")]
    assert found.left_out == (f"{root}/closed: a folder that cannot be read (Permission denied)",)


@contextmanager
def unprivileged() -> Iterator[None]:
    """As another user if the tests run as root, who can read everything."""
    if os.getuid() == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        if os.getuid() == 0:
            os.seteuid(0)


def test_folders_of_any_depth_are_searched(tmp_path: Path) -> None:
    folder = tmp_path
    try:
        for _ in range(1200):
            folder /= "d"
            folder.mkdir()
        (folder / "a.mp4").touch()
        assert find_videos(tmp_path) == [VideoItem(folder / "a.mp4", "d")]
        (folder / "a.mp4").unlink()
    finally:  # pytest would remove the folders by recursion
        while folder != tmp_path:
            folder.rmdir()
            folder = folder.parent


@given(
    name=st.binary(min_size=1, max_size=60).filter(
        lambda name: not {0, ord("/")} & {*name} and name[:1] != b"."
    )
)
def test_any_name_can_be_listed(tmp_path_factory: pytest.TempPathFactory, name: bytes) -> None:
    folder = tmp_path_factory.mktemp("names")
    path = folder / os.fsdecode(name + b".mp4")
    path.touch()
    assert find_videos(folder) == [VideoItem(path)]


@pytest.mark.parametrize(
    "content", [b"path,label\n" + b"," * 10**6, b"," * 10**6, b'path,label\n"' + b"a" * 10**6]
)
def test_the_error_of_a_huge_csv_is_one_short_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "list.csv").write_bytes(content)
    with pytest.raises(DataError) as caught:
        find_videos(tmp_path / "list.csv")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("path", ["/dev/zero", "../..", "~", "a\0b.mp4", "a" * 400 + ".mp4", "none.mp4"])
def test_a_path_in_a_csv_that_is_no_video_does_not_stop_the_others(
    square_video: WriteVideo, cache: PoseCache, tmp_path: Path, path: str
) -> None:
    square_video("good.mp4")
    (tmp_path / "list.csv").write_text(f"path,label\n{path},wave\ngood.mp4,wave\n")
    report = extract_videos(find_videos(tmp_path / "list.csv"), two_qualities(), cache)
    ((failed, why),) = report.failed
    assert why.startswith(f"{failed}: ")
    assert report.done == 1


@pytest.mark.parametrize(
    "text",
    [
        "path,label,split,subject\na b.mp4,rub hands,train,7\nsub/ü.mp4,wave,,\n",
        "\ufeffpath,label,split,subject\r\na b.mp4,rub hands,train,7\r\nsub/ü.mp4,wave\r\n",
        "subject, split, label, path, remarks\n7, train, rub hands, a b.mp4, good\n\n,,wave,sub/ü.mp4,\n\n",
        '"path","label","split","subject"\n"a b.mp4","rub hands","train","7"\n"sub/ü.mp4",wave,"",""',
    ],
)
def test_paths_in_a_csv_are_relative_to_it(tmp_path: Path, text: str) -> None:
    (tmp_path / "list.csv").write_text(text, encoding="utf-8")
    assert find_videos(tmp_path / "list.csv") == [
        VideoItem(tmp_path / "a b.mp4", "rub hands", "train", "7"),
        VideoItem(tmp_path / "sub/ü.mp4", "wave"),
    ]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", r"has the columns \(none\); expected path, label"),
        (b"path,label\n", "a header but no rows"),
        (b"file,class\na.mp4,wave\n", "has the columns file, class; expected path, label"),
        (b"path;label\na.mp4;wave\n", "separated by commas"),
        (b"path,label\na.mp4,wave\n,wave\n", "row 3 has 2 fields"),
        (b"path,label\none, two.mp4,wave\n", r"row 2 has 3 fields \(one, two.mp4, wave\); .* put quotes"),
        (
            b"path,label,split\na.mp4,wave,train\nb.mp4,wave,trian\n",
            "row 3 has the split 'trian'; expected one",
        ),
        ("path,label\ncafé.mp4,wave\n".encode("latin-1"), "not a readable UTF-8 CSV"),
        ("path,label\na.mp4,wave\n".encode("utf-16"), "not a readable UTF-8 CSV"),
    ],
)
def test_a_csv_that_cannot_be_read_is_refused(tmp_path: Path, content: bytes, why: str) -> None:
    (tmp_path / "list.csv").write_bytes(content)
    with pytest.raises(DataError, match=why) as caught:
        find_videos(tmp_path / "list.csv")
    assert "\n" not in str(caught.value)


def test_a_missing_path_and_a_folder_without_videos_are_errors(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist; expected a video, a folder"):
        find_videos(tmp_path / "nowhere")
    touch(tmp_path, "notes.txt")
    with pytest.raises(DataError, match=r"holds no videos; expected files ending in .*\.mp4"):
        find_videos(tmp_path)


@given(st.lists(st.integers(), max_size=50), st.integers(1, 12))
def test_shards_are_disjoint_and_complete(items: list[int], count: int) -> None:
    shards = [shard(items, index, count) for index in range(count)]
    assert Counter(item for part in shards for item in part) == Counter(items)
    lengths = [len(part) for part in shards]
    assert max(lengths) - min(lengths) <= 1
    assert shards == [shard_of(items, f"{index}/{count}") for index in range(1, count + 1)]


@pytest.mark.parametrize(
    "text", ["9" * 5000 + "/9", "0/4", "5/4", "1/0", "1", "1/", "/2", "a/b", "-1/2", "1/2/3", "²/3", ""]
)
def test_an_invalid_shard_is_refused(text: str) -> None:
    with pytest.raises(DataError, match="shard"):
        shard_of([1, 2, 3], text)


# Extracted sequences -----------------------------------------------------------------------------------


def test_the_people_of_both_qualities_are_saved(square_video: WriteVideo, cache: PoseCache) -> None:
    path = square_video("a b ü.mp4", fps=12.5)
    sources = two_qualities(every=3)
    item = VideoItem(path, "wave", "train", "7")
    report = extract_videos([item], sources, cache)
    assert (report.done, report.skipped, report.failed, report.without_people) == (1, 0, (), ())
    assert report.frames == FRAMES
    (pair,) = report.pairs
    assert (pair.people_high, pair.people_low, pair.matched) == (1, 1, 1)
    assert report.oks == pytest.approx(1)
    high, low = (cache.load(next(cache.entries(source.quality)).path) for source in sources)
    np.testing.assert_array_equal(high.frame_index, np.arange(FRAMES))
    np.testing.assert_array_equal(low.frame_index, np.arange(0, FRAMES, 3))
    for sequence, source in ((high, sources[0]), (low, sources[1])):
        key, estimator = content_key(path), source.estimator.fingerprint
        assert sequence.origin == Origin(str(path), key, estimator, "wave", "train", "7")
        assert (sequence.fps, sequence.size, sequence.video_frames) == (12.5, (64, 48), FRAMES)
        assert sequence.people == 2  # the second person stays unseen
        assert not sequence.seen[:, 1].any()
        # The square moves by two pixels per frame from x = 4 and turns back at the edge, x = 48.
        left = np.array([4 + 2 * f if f <= 22 else 92 - 2 * f for f in sequence.frame_index])
        corner = np.stack([left, np.full_like(left, 10)], axis=-1)[:, None]
        np.testing.assert_allclose(sequence.keypoints[:, 0, :, :2], corner + GRID * (SIDE - 1), atol=1e-4)


def test_people_keep_their_indices(tmp_path: Path, cache: PoseCache) -> None:
    shown = {"size": (160, 100), "frames": 12}
    top, bottom = square_frames(start=(4, 10), **shown), square_frames(start=(100, 70), step=1, **shown)
    write_video(tmp_path / "two.mp4", (np.maximum(a, b) for a, b in zip(top, bottom, strict=True)), 10)
    extract_videos([VideoItem(tmp_path / "two.mp4")], two_qualities(), cache, people=3)
    keypoints = cache.load(next(cache.entries("high")).path).keypoints
    assert keypoints.shape[1] == 3
    heights = np.nanmean(keypoints[:, :2, :, 1], axis=2)
    assert np.ptp(heights, axis=0).max() < 1
    assert sorted(heights[0]) == pytest.approx([10 + 7.5 * 16 / 17, 70 + 7.5 * 16 / 17], abs=1)


def test_one_decoding_pass_serves_both_qualities(
    square_video: WriteVideo, cache: PoseCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[Path] = []

    def counting(path: Path, sampling: Sampling | None) -> Iterator[tuple[np.ndarray, float]]:
        decoded.append(path)
        return read_timed_frames(path, sampling)

    monkeypatch.setattr(skdpipe.video, "read_timed_frames", counting)
    path = square_video("a.mp4")
    sources = two_qualities(every=4)
    extract_videos([VideoItem(path)], sources, cache, batch=8)
    assert decoded == [path]
    assert [source.estimator.batches for source in sources] == [[8, 8, 4], [5]]  # type: ignore[attr-defined]


@pytest.mark.parametrize(("every", "batch"), [(1, 1), (1, 16), (2, 3), (3, 5), (7, 2), (20, 4), (99, 1)])
def test_estimators_process_every_nth_frame(square_video: WriteVideo, every: int, batch: int) -> None:
    sources = [Source("high", SquareFinder()), Source("low", SquareFinder(), every)]
    decoded: list[int] = []
    sequences = estimate_video(
        square_video("a.mp4"),
        [SampledEstimator(source.estimator, source.every) for source in sources],
        Origin(),
        people=1,
        batch=batch,
        on_frames=decoded.append,
    )
    assert sum(decoded) == FRAMES
    for source, sequence in zip(sources, sequences, strict=True):
        expected = range(0, FRAMES, source.every)
        np.testing.assert_array_equal(sequence.frame_index, expected)
        assert sequence.seen.all()
        assert frames_processed(source) == [len(expected)]
        assert max(source.estimator.batches) <= batch  # type: ignore[attr-defined]
    rows = sequences[1].frame_index
    np.testing.assert_array_equal(sequences[1].keypoints, sequences[0].keypoints[rows])


@pytest.mark.parametrize("every", [2, 3, 7, 20, 99])
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_sampled_frames_alone_give_the_same_people(square_video: WriteVideo, every: int, name: str) -> None:
    path = square_video(name, frames=150)
    sampled = SampledEstimator(SquareFinder(), every)
    decoded: list[int] = []
    beside, alone = (
        estimate_video(path, estimators, Origin(), people=1, batch=4, on_frames=decoded.append)[-1]
        for estimators in ([SampledEstimator(SquareFinder()), sampled], [sampled])
    )
    assert sum(decoded) == 2 * 150
    np.testing.assert_array_equal(alone.keypoints, beside.keypoints)
    np.testing.assert_array_equal(alone.frame_index, range(0, 150, every))
    assert (alone.video_frames, alone.fps, alone.times) == (150, beside.fps, None)


IDLE_THEN_FAST = [*range(0, 240, 60), *range(240, 400, 2)]  # in 1/60 s: one frame a second, then 30


def varying_video(path: Path, times: Sequence[int] = IDLE_THEN_FAST) -> Path:
    """A video of a square with given times of its frames in 1/60 s."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=60)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for time_, image in zip(times, square_frames(frames=len(times)), strict=True):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts = time_
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_frames_of_a_varying_rate_are_sampled_by_time(tmp_path: Path, cache: PoseCache, name: str) -> None:
    path = varying_video(tmp_path / name)
    seconds = np.array(IDLE_THEN_FAST) / 60
    fps = (len(seconds) - 1) / seconds[-1]  # 12.5
    sources = two_qualities(every=5)
    extract_videos([VideoItem(path)], sources, cache)
    high, low = (cache.load(next(cache.entries(source.quality)).path) for source in sources)
    assert (high.fps, high.video_frames) == (pytest.approx(fps, rel=1e-3), len(seconds))
    np.testing.assert_allclose(high.times, seconds, atol=1e-3)
    np.testing.assert_array_equal(high.frame_index, np.arange(len(seconds)))
    np.testing.assert_allclose(low.times, seconds[low.frame_index], atol=1e-3)
    pauses = np.diff(low.times)
    assert low.frame_index[:5].tolist() == [0, 1, 2, 3, 4]  # each idle frame
    assert (pauses[5:] < 5.5 / fps).all()
    assert (pauses >= 4.5 / fps).all()
    np.testing.assert_array_equal(low.frame_index, sample_frames(high, 5).frame_index)
    even = interpolate_frames(low)
    assert even.times is None
    assert even.keypoints.shape[0] == len(seconds)


@pytest.mark.parametrize("period", [Fraction(1, 25), Fraction(1001, 30000), Fraction(1, 60)])
@given(every=st.integers(2, 40), digits=st.sampled_from([3, 9]))
def test_sampling_by_time_is_sampling_by_number_if_frames_are_evenly_spaced(
    period: Fraction, every: int, digits: int
) -> None:
    times = [round(float(number * period), digits) for number in range(900)]  # 3: as Matroska rounds them
    by_number, by_time = FrameSampler(every), FrameSampler(every, float(1 / period))
    assert [by_number.chooses(t) for t in times] == [by_time.chooses(t) for t in times]
    assert timing_of(times, float(1 / period)) == Timing(float(1 / period))


def test_a_series_of_images_is_extracted_like_a_video(tmp_path: Path, cache: PoseCache) -> None:
    for number, image in enumerate(square_frames()):
        (tmp_path / "videos/wave/one").mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(tmp_path / f"videos/wave/one/{number}.png"), image)
    for _ in range(2):
        sources = two_qualities(every=3)
        report = extract_videos(find_videos(tmp_path / "videos"), sources, cache)
    assert (report.done, report.skipped) == (0, 1)
    high, low = (cache.load(next(cache.entries(source.quality)).path) for source in sources)
    assert (high.origin.source, high.origin.label) == (str(tmp_path / "videos/wave/one"), "wave")
    assert (high.fps, high.size, high.times) == (30.0, (64, 48), None)
    np.testing.assert_array_equal(low.frame_index, range(0, FRAMES, 3))
    cv2.imwrite(str(tmp_path / "videos/wave/one/7.png"), np.zeros((48, 64, 3), np.uint8))
    assert extract_videos(find_videos(tmp_path / "videos"), two_qualities(), cache).done == 1


def test_a_video_without_people_is_cached_and_reported(square_video: WriteVideo, cache: PoseCache) -> None:
    dark, bright = square_video("dark.mp4", brightness=60), square_video("bright.mp4")
    report = extract_videos([VideoItem(dark), VideoItem(bright)], two_qualities(), cache)
    assert report.done == 2
    assert report.without_people == (dark,)
    assert [pair.matched for pair in report.pairs] == [0, 1]
    assert report.oks == pytest.approx(1)
    empty = [entry for entry in cache.entries("high") if entry.empty]
    assert [(entry.frames, entry.people) for entry in empty] == [(FRAMES, 2)]
    again = extract_videos([VideoItem(dark), VideoItem(bright)], two_qualities(), cache)
    assert (again.done, again.skipped, again.without_people, again.pairs) == (0, 2, (dark,), ())


def test_the_similarity_is_nan_without_matched_people() -> None:
    assert np.isnan(ExtractionReport().oks)


def test_the_settings_are_saved_beside_the_sequences(square_video: WriteVideo, cache: PoseCache) -> None:
    config = PluginSettings(plugin="squares:SquareFinder", options={"threshold": 99}, every=2)
    source = Source("low", SquareFinder(99), 2, config)
    extract_videos([VideoItem(square_video("a.mp4"))], [source], cache)
    (entry,) = cache.entries()
    saved = yaml.safe_load(entry.path.with_name("estimator.yaml").read_text(encoding="utf-8"))
    assert saved["plugin"] == config.plugin
    assert saved["every"] == 2
    assert {path.suffix for path in entry.path.parent.iterdir()} == {".safetensors", ".yaml"}


def test_both_qualities_are_opened_from_settings() -> None:
    plugin = f"{Path(__file__).with_name('squares.py')}:SquareFinder"
    high, low = (
        PluginSettings(plugin=plugin, options={"threshold": t}, every=e) for t, e in ((99, 1), (98, 5))
    )
    sources = open_sources(Extraction(high, low), "cpu")  # type: ignore[arg-type]
    assert [(s.quality, s.every, s.config) for s in sources] == [("high", 1, high), ("low", 5, low)]
    assert sources[0].settings.startswith("squares-k1-")
    assert sources[0].settings != sources[1].settings
    with pytest.raises(PoseError):
        open_sources(Extraction(high, PluginSettings("nowhere:Finder")), "cpu")  # type: ignore[arg-type]


# Resuming ----------------------------------------------------------------------


def test_cached_videos_are_not_extracted_again(square_video: WriteVideo, cache: PoseCache) -> None:
    items = [VideoItem(square_video("a.mp4"), "wave"), VideoItem(square_video("b.mp4", step=1), "push")]
    extract_videos(items[:1], two_qualities(), cache)
    sources = two_qualities()
    report = extract_videos(items, sources, cache)
    assert (report.done, report.skipped, len(report.pairs)) == (1, 1, 1)
    assert frames_processed(*sources) == [FRAMES, FRAMES]
    sources = two_qualities()
    assert extract_videos(items, sources, cache).skipped == 2
    assert frames_processed(*sources) == [0, 0]


def test_only_the_missing_quality_is_extracted(square_video: WriteVideo, cache: PoseCache) -> None:
    item = VideoItem(square_video("a.mp4"))
    extract_videos([item], two_qualities()[:1], cache)
    high, low = two_qualities(every=5)
    report = extract_videos([item], (high, low), cache)
    assert (report.done, report.frames, len(report.pairs)) == (1, FRAMES, 1)
    assert frames_processed(high, low) == [0, 4]


def test_a_renamed_video_is_recognised_and_a_copy_is_skipped(
    square_video: WriteVideo, cache: PoseCache
) -> None:
    first = square_video("a.mp4")
    second = square_video("copy.mp4")
    assert content_key(first) == content_key(second)
    report = extract_videos([VideoItem(first, "wave"), VideoItem(second, "wave")], two_qualities(), cache)
    assert (report.done, report.skipped, report.failed) == (1, 1, ())
    renamed = first.rename(first.with_name("new name.mp4"))
    assert extract_videos([VideoItem(renamed, "wave")], two_qualities(), cache).skipped == 1
    assert {entry.origin.source for entry in cache.entries()} == {str(renamed)}


@pytest.mark.parametrize("other", [("push", "train"), ("wave", "test"), (None, None)])
def test_a_copy_with_another_label_or_split_is_reported(
    square_video: WriteVideo, cache: PoseCache, other
) -> None:
    first, second = (
        VideoItem(square_video("a.mp4"), "wave", "train"),
        VideoItem(square_video("b.mp4"), *other),
    )
    report = extract_videos([first, second], two_qualities(), cache)
    assert (report.done, report.skipped) == (1, 0)
    ((path, why),) = report.failed
    assert path == second.path
    assert f"{second.path} has the same content as {first.path}" in why
    assert f"{other[0]}, {other[1]}, None instead of wave, train, None" in why
    assert {entry.origin.label for entry in cache.entries()} == {"wave"}


def test_labels_can_change_without_a_new_extraction(square_video: WriteVideo, cache: PoseCache) -> None:
    path = square_video("a.mp4")
    extract_videos([VideoItem(path, "wave")], two_qualities(), cache)
    before = [cache.load(entry.path).keypoints for entry in cache.entries()]
    sources = two_qualities()
    changed = [extract_videos([VideoItem(path, "push", "test", "7")], sources, cache) for _ in range(2)]
    assert [report.relabelled for report in changed] == [1, 0]
    assert frames_processed(*sources) == [0, 0]
    for entry, keypoints in zip(cache.entries(), before, strict=True):
        assert (entry.origin.label, entry.origin.split, entry.origin.subject) == ("push", "test", "7")
        np.testing.assert_array_equal(cache.load(entry.path).keypoints, keypoints)


def test_labels_that_are_not_specified_are_kept(square_video: WriteVideo, cache: PoseCache) -> None:
    """`skdpipe extract one.mp4` must not delete the label that an earlier call took from its folder."""
    path = square_video("a.mp4")
    extract_videos([VideoItem(path, "wave", "train", "7")], two_qualities()[:1], cache)
    extract_videos([VideoItem(path)], two_qualities(), cache)
    assert [(e.quality, e.origin.label, e.origin.split, e.origin.subject) for e in cache.entries()] == [
        ("high", "wave", "train", "7"),
        ("low", "wave", "train", "7"),
    ]


def test_a_damaged_file_is_extracted_again(square_video: WriteVideo, cache: PoseCache) -> None:
    item = VideoItem(square_video("a.mp4"))
    extract_videos([item], two_qualities(), cache)
    damaged = next(cache.entries("low")).path
    content = damaged.read_bytes()
    damaged.write_bytes(content[:-100])
    sources = two_qualities()
    assert extract_videos([item], sources, cache).done == 1
    assert frames_processed(*sources) == [0, FRAMES]
    assert damaged.stat().st_size == len(content)
    cache.load(damaged)


def test_resuming_reads_headers_only_and_does_not_hash_unchanged_videos(
    square_video: WriteVideo, cache: PoseCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = [VideoItem(square_video(f"{n}.mp4", start=(4, n)), "wave") for n in range(3)]
    for item in items:
        os.utime(item.path, (1e9, 1e9))
    extract_videos(items, two_qualities(), cache)
    hashed: list[Path] = []

    def recording(path: Path) -> str:
        hashed.append(path)
        return content_key(path)

    def refuse(self: PoseCache, path: Path) -> None:
        raise AssertionError(f"{path} was loaded")

    monkeypatch.setattr(skdpipe.cache.video_index, "content_key", recording)
    monkeypatch.setattr(PoseCache, "load", refuse)
    report = extract_videos(items, two_qualities(), cache)
    assert (report.done, report.skipped, hashed) == (0, 3, [])
    os.utime(items[1].path, (1e9, 1e9 + 1))
    report = extract_videos(items, two_qualities(), cache)
    assert (report.done, report.skipped, hashed) == (0, 3, [items[1].path])


def test_an_interrupted_extraction_does_not_probe_again(
    square_video: WriteVideo, cache: PoseCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    item = VideoItem(square_video("a.mp4"))
    os.utime(item.path, (1e9, 1e9))
    extract_videos([item], two_qualities(), cache)
    for path in cache.root.rglob("*.safetensors"):
        path.unlink()
    monkeypatch.setattr(skdpipe.extraction.look_up, "probe", None)
    progress = RecordingProgress()
    assert extract_videos([item], two_qualities(), cache, progress=progress).done == 1
    assert progress.named("extracting").total == FRAMES


def test_a_video_whose_content_changed_is_extracted_again(square_video: WriteVideo, cache: PoseCache) -> None:
    path = square_video("a.mp4")
    os.utime(path, (1e9, 1e9))
    extract_videos([VideoItem(path)], two_qualities(), cache)
    square_video("a.mp4", step=1)
    assert extract_videos([VideoItem(path)], two_qualities(), cache).done == 1
    assert len(list(cache.entries("high"))) == 2


def test_another_number_of_people_is_extracted_again(square_video: WriteVideo, cache: PoseCache) -> None:
    item = VideoItem(square_video("a.mp4"))
    extract_videos([item], two_qualities(), cache)
    assert extract_videos([item], two_qualities(), cache, people=3).done == 1
    assert {entry.people for entry in cache.entries()} == {3}


# Failures ---------------------------------------------------------------------------------


def test_a_video_that_fails_does_not_stop_the_others(
    square_video: WriteVideo, cache: PoseCache, tmp_path: Path
) -> None:
    good = [square_video("good0.mp4"), square_video("good1.mp4", step=1)]
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "empty.mp4").touch()
    whole = square_video("cut.avi", step=3, frames=200, size=(128, 96)).read_bytes()
    (tmp_path / "cut.avi").write_bytes(whole[: len(whole) * 4 // 5])
    bad = [tmp_path / name for name in ("text.mp4", "empty.mp4", "missing.mp4", "cut.avi")]
    report = extract_videos([VideoItem(path) for path in (*bad, *good)], two_qualities(), cache)
    assert report.done == 2
    assert [path for path, _ in report.failed] == bad
    assert all(why.startswith(f"{path}: ") and "\n" not in why for path, why in report.failed)
    assert len(list(cache.entries())) == 4
    assert extract_videos([VideoItem(path) for path in good], two_qualities(), cache).skipped == 2


def test_a_cache_that_cannot_be_written_stops_the_extraction(
    square_video: WriteVideo, tmp_path: Path
) -> None:
    (tmp_path / "taken").write_text("a file instead of a folder")
    sources = two_qualities()
    items = [VideoItem(square_video(f"{i}.mp4", step=i)) for i in range(3)]
    with pytest.raises(CacheError, match="cannot write"):
        extract_videos(items, sources, PoseCache(tmp_path / "taken"))
    assert frames_processed(*sources) == [FRAMES, FRAMES]
    with pytest.raises(CacheError, match=r"cannot write .*estimator\.yaml"):
        extract_videos(
            items, [Source("low", SquareFinder(), 1, PluginSettings("mine"))], PoseCache(tmp_path / "taken")
        )


class Failing(SquareFinder):
    """Raises an error for each of the first videos, which have one batch each."""

    errors = (MemoryError(), RecursionError("too deep"), ValueError("two\nlines"), PoseError("no people"))

    def __call__(self, frames):  # type: ignore[no-untyped-def]
        if len(self.batches) < len(self.errors):
            self.batches.append(0)
            raise self.errors[len(self.batches) - 1]
        return super().__call__(frames)


def test_any_error_of_one_video_is_its_failure(square_video: WriteVideo, cache: PoseCache) -> None:
    items = [VideoItem(square_video(f"{i}.mp4", start=(4, i))) for i in range(6)]
    sources = Source("high", Failing()), Source("low", SquareFinder(127))
    report = extract_videos(items, sources, cache, batch=FRAMES)
    assert report.done == 2
    assert [path for path, _ in report.failed] == [item.path for item in items[:4]]
    for (path, why), text in zip(
        report.failed, ("MemoryError", "too deep", "two lines", "no people"), strict=True
    ):
        assert why.startswith(f"{path}: ")
        assert text in why
        assert "\n" not in why
    assert len(list(cache.entries())) == 4


@pytest.mark.parametrize(
    "error", [MemoryError(), RecursionError(), UnicodeDecodeError("utf-8", b"", 0, 1, "bad")]
)
def test_any_error_while_decoding_is_the_videos_failure(
    square_video: WriteVideo, cache: PoseCache, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    items = [VideoItem(square_video(f"{i}.mp4", start=(4, i))) for i in range(3)]

    def failing(path: Path, sampling: Sampling | None) -> Iterator[tuple[object, float]]:
        for number, frame in enumerate(read_timed_frames(path, sampling)):
            if path == items[1].path and number == 7:
                raise error
            yield frame

    monkeypatch.setattr(skdpipe.video, "read_timed_frames", failing)
    report = extract_videos(items, two_qualities(), cache)
    ((path, why),) = report.failed
    assert (report.done, path) == (2, items[1].path)
    assert why.startswith(f"{path}: cannot be extracted ({type(error).__name__}")


def test_a_folder_in_the_place_of_a_sequence_is_its_videos_failure(
    square_video: WriteVideo, cache: PoseCache
) -> None:
    items = [VideoItem(square_video(f"{i}.mp4", start=(4, i))) for i in range(2)]
    sources = two_qualities()
    cache.path_of("low", sources[1].settings, content_key(items[0].path)).mkdir(parents=True)
    report = extract_videos(items, sources, cache)
    ((path, why),) = report.failed
    assert (report.done, path) == (1, items[0].path)
    assert "is a folder; expected a cached sequence" in why
    assert frames_processed(*sources) == [FRAMES, FRAMES]


def test_a_sequence_of_a_later_version_is_kept(square_video: WriteVideo, cache: PoseCache) -> None:
    items = [VideoItem(square_video(f"{i}.mp4", start=(4, i))) for i in range(2)]
    extract_videos(items, two_qualities(), cache)
    newer = cache.path_of("high", two_qualities()[0].settings, content_key(items[0].path))
    with safe_open(newer, "np") as file:
        metadata = {**file.metadata(), "format": "skdpipe-sequence-2"}
    save_file(load_file(newer), newer, metadata)
    content = newer.read_bytes()
    report = extract_videos(items, two_qualities(), cache)
    ((path, why),) = report.failed
    assert path == items[0].path
    assert "later version" in why
    assert newer.read_bytes() == content


def test_a_complete_cache_is_not_written(square_video: WriteVideo, cache: PoseCache) -> None:
    path = square_video("a.mp4")
    os.utime(path, (1e9, 1e9))
    sources = [Source("high", SquareFinder(128), 1, PluginSettings("mine")), two_qualities()[1]]
    extract_videos([VideoItem(path)], sources, cache)
    for each in sorted(cache.root.rglob("*"), reverse=True):
        os.utime(each, (1e9, 1e9))
    report = extract_videos([VideoItem(path)], sources, cache)
    assert (report.skipped, report.failed) == (1, ())
    assert {each.stat().st_mtime for each in cache.root.rglob("*")} == {1e9}
    sources[0] = Source("high", SquareFinder(128), 1, PluginSettings("mine", every=9))
    extract_videos([VideoItem(path)], sources, cache)
    (settings,) = cache.root.rglob("estimator.yaml")
    assert yaml.safe_load(settings.read_text())["every"] == 9


def test_a_cache_that_cannot_be_read_is_one_line(square_video: WriteVideo) -> None:
    video = VideoItem(square_video("a.mp4"))
    with unprivileged():
        root = Path(tempfile.mkdtemp(dir="/tmp"))
        (root / "high").mkdir(mode=0)
        try:
            with pytest.raises(CacheError, match=r"high cannot be read \(Permission denied\)"):
                extract_videos([video], two_qualities(), PoseCache(root))
        finally:
            (root / "high").chmod(0o700)
            shutil.rmtree(root)


def test_a_large_file_that_is_no_video_is_not_hashed(cache: PoseCache, tmp_path: Path) -> None:
    with (tmp_path / "a.mp4").open("wb") as file:
        file.truncate(2**40)
    ((_, why),) = extract_videos([VideoItem(tmp_path / "a.mp4")], two_qualities(), cache).failed
    assert "not a readable video" in why


class Interrupted(SquareFinder):
    """Ctrl-C is pressed in the middle of a video."""

    def __call__(self, frames):  # type: ignore[no-untyped-def]
        if len(self.batches) == 7:
            raise KeyboardInterrupt
        return super().__call__(frames)


def test_after_ctrl_c_the_rest_is_extracted(square_video: WriteVideo, cache: PoseCache) -> None:
    items = [VideoItem(square_video(f"{i}.mp4", start=(4, i))) for i in range(5)]
    threads = threading.active_count()
    first = Source("high", Interrupted()), Source("low", SquareFinder(127))
    with pytest.raises(KeyboardInterrupt):
        extract_videos(items, first, cache, batch=8)
    assert threading.active_count() == threads
    assert len(list(cache.entries())) == 4  # two videos of three calls each; the third was interrupted
    sources = two_qualities()
    report = extract_videos(items, sources, cache, batch=8)
    assert (report.done, report.skipped, report.failed) == (3, 2, ())
    assert frames_processed(*sources) == [3 * FRAMES, 3 * FRAMES]
    assert len([cache.load(entry.path) for entry in cache.entries()]) == 10


KILLED = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from squares import SquareFinder
from skdpipe.cache import PoseCache
from skdpipe.extraction import Source, extract_videos
from skdpipe.extraction.video_list import find_videos
sources = [Source("high", SquareFinder(128, seconds=0.1)), Source("low", SquareFinder(127))]
extract_videos(find_videos(Path(sys.argv[2])), sources, PoseCache(Path(sys.argv[3])), batch=8)
"""


def test_after_kill_9_the_rest_is_extracted(
    square_video: WriteVideo, cache: PoseCache, tmp_path: Path
) -> None:
    items = find_videos(square_video("videos/0.mp4").parent)
    items += [VideoItem(square_video(f"videos/{i}.mp4", start=(4, i))) for i in range(1, 8)]
    arguments = [sys.executable, "-c", KILLED, str(Path(__file__).parent), str(tmp_path / "videos")]
    process = subprocess.Popen([*arguments, str(cache.root)])
    deadline = time.monotonic() + 120
    while len(list((cache.root / "low").rglob("*.safetensors"))) < 2:
        assert process.poll() is None, "nothing was extracted"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    entries = list(cache.entries())  # every file is complete
    assert 4 <= len(entries) < 16
    sources = two_qualities()
    report = extract_videos(items, sources, cache, batch=8)
    assert report.failed == ()
    assert report.done + report.skipped == 8
    cached = Counter(entry.quality for entry in entries)
    assert frames_processed(*sources) == [(8 - cached["high"]) * FRAMES, (8 - cached["low"]) * FRAMES]
    assert len([cache.load(entry.path) for entry in cache.entries()]) == 16


def test_unfinished_files_of_other_processes_are_removed(square_video: WriteVideo, cache: PoseCache) -> None:
    items = find_videos(square_video("videos/0.mp4").parent)
    extract_videos(items, two_qualities(), cache, batch=8)
    leftover = next(cache.entries()).path.with_name(".skdpipe-17.part")
    leftover.write_bytes(b"half")
    extract_videos(items, two_qualities(), cache, batch=8)
    assert not leftover.exists()


# Progress -----------------------------------------------------------------------------------


def values_of(progress: RecordingProgress, task: str) -> list[float]:
    return [done for done, _ in progress.named(task).updates]


def with_stated_frames(path: Path, frames: int) -> Path:
    """Overwrite the number of frames in the header of an AVI."""
    content = bytearray(path.read_bytes())
    at = content.index(b"strh") + 8 + 32  # dwLength of the stream's header
    content[at : at + 4] = frames.to_bytes(4, "little")
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("stated", [7, FRAMES, 300])
def test_the_bar_reaches_its_end_for_any_stated_number_of_frames(
    square_video: WriteVideo, cache: PoseCache, stated: int
) -> None:
    paths = [
        square_video("a.mp4"),
        with_stated_frames(square_video("b.avi", step=1), stated),
        square_video("c.mp4", step=3),
    ]
    assert probe(paths[1]).frames == stated
    assert len(list(read_frames(paths[1]))) == FRAMES
    progress = RecordingProgress()
    report = extract_videos(
        [VideoItem(p) for p in paths], two_qualities(every=3), cache, batch=6, progress=progress
    )
    assert (report.done, report.frames) == (3, 3 * FRAMES)
    assert progress.named("looking up").total == 3
    assert values_of(progress, "looking up") == [1, 2, 3]
    total, values = progress.named("extracting").total, values_of(progress, "extracting")
    assert total == 2 * FRAMES + stated
    assert values[-1] == total
    assert values == sorted(values)
    assert {FRAMES, FRAMES + stated} <= set(values)  # the bar is at the end of each video
    assert set(values) >= {6, 12, 18}


def test_the_bar_reaches_its_end_if_a_video_fails(
    square_video: WriteVideo, cache: PoseCache, tmp_path: Path
) -> None:
    square_video("cut.avi", step=3, frames=200, size=(128, 96))
    whole = (tmp_path / "cut.avi").read_bytes()
    (tmp_path / "cut.avi").write_bytes(whole[: len(whole) * 4 // 5])
    progress = RecordingProgress()
    items = [
        VideoItem(tmp_path / "cut.avi"),
        VideoItem(square_video("a.mp4")),
        VideoItem(tmp_path / "none.mp4"),
    ]
    report = extract_videos(items, two_qualities(), cache, progress=progress)
    assert (report.done, len(report.failed)) == (1, 2)
    total, values = progress.named("extracting").total, values_of(progress, "extracting")
    assert total == values[-1] == 200 + FRAMES
    assert values == sorted(values)


def test_without_stated_frames_the_decoded_frames_are_counted(
    square_video: WriteVideo, cache: PoseCache
) -> None:
    items = [VideoItem(with_stated_frames(square_video(f"{i}.avi", step=i), 0)) for i in (1, 2)]
    if probe(items[0].path).frames:
        pytest.skip("this FFmpeg finds the number of frames in another way")
    progress = RecordingProgress()
    extract_videos(items, two_qualities(), cache, batch=8, progress=progress)
    total, values = progress.named("extracting").total, values_of(progress, "extracting")
    assert total is None
    assert values[-1] == 2 * FRAMES


def test_without_a_terminal_the_end_of_a_task_is_one_line(square_video: WriteVideo, cache: PoseCache) -> None:
    text = StringIO()
    extract_videos(
        [VideoItem(square_video("a.mp4"))],
        two_qualities(),
        cache,
        batch=4,
        progress=Progress(Console(file=text)),
    )
    looking, extracting = text.getvalue().splitlines()
    assert looking.startswith("looking up: 1 of 1 videos")
    assert extracting.startswith(f"extracting: {FRAMES} of {FRAMES} frames, ")
    assert extracting.endswith("video 1 of 1")


def test_on_a_terminal_a_bar_is_shown(square_video: WriteVideo, cache: PoseCache) -> None:
    text = StringIO()
    console = Console(file=text, force_terminal=True, width=120)
    extract_videos([VideoItem(square_video("a.mp4"))], two_qualities(), cache, progress=Progress(console))
    assert f"{FRAMES}/{FRAMES}" in text.getvalue()
    assert "frames/s" in text.getvalue()


# Several processes


def plugin_sources() -> list[Source]:
    plugin = f"{Path(__file__).with_name('squares.py')}:SquareFinder"
    high, low = (PluginSettings(plugin, {"threshold": each}, every) for each, every in ((128, 1), (127, 2)))
    return open_sources(Extraction(high, low))


TWO_PROCESSES = LocalEngine(("cpu", "cpu"))


def test_several_workers_extract_the_same(square_video: WriteVideo, tmp_path: Path) -> None:
    items = [VideoItem(square_video(f"{name}.mp4", frames=frames)) for name, frames in (("a", 5), ("b", 9))]
    items.append(VideoItem(tmp_path / "none.mp4"))
    caches = [PoseCache(tmp_path / name) for name in ("one", "two")]
    progress = RecordingProgress()
    one = extract_videos(items, plugin_sources(), caches[0])
    two = extract_videos(items, plugin_sources(), caches[1], engine=TWO_PROCESSES, progress=progress)
    assert progress.named("extracting").updates[-1] == (14, "video 2 of 2")
    assert (two.done, two.failed, two.frames) == (one.done, one.failed, one.frames) == (2, one.failed, 14)
    assert sorted(pair.oks for pair in two.pairs) == sorted(pair.oks for pair in one.pairs)
    content = [
        {path.relative_to(each.root): path.read_bytes() for path in each.root.rglob("*.safetensors")}
        for each in caches
    ]
    assert content[0] == content[1]
    assert len(content[0]) == 4
    again = extract_videos(items, plugin_sources(), caches[1], engine=TWO_PROCESSES)
    assert (again.done, again.skipped) == (0, 2)


def test_several_workers_need_the_settings_of_the_estimators(
    square_video: WriteVideo, cache: PoseCache
) -> None:
    items = [VideoItem(square_video(f"{frames}.mp4", frames=frames)) for frames in (2, 3)]
    with pytest.raises(
        DataError, match=r"^the source of high quality has no settings, from which the workers"
    ):
        extract_videos(items, two_qualities(), cache, engine=TWO_PROCESSES)
