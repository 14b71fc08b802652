"""The cache returns what was saved, and detects damaged files."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from sequences import make_sequence

from skdpipe.cache import FORMAT, PoseCache, settings_slug
from skdpipe.errors import CacheError, CacheWriteError, NewerVersionError
from skdpipe.skeleton import COCO_17, PENN_13, UNSEEN, Layout, Origin, PoseSequence
from skdpipe.skeleton.sequence import hide

texts = st.text(max_size=40)  # every code point except lone surrogates: newlines, emoji, NUL
keys = st.text("0123456789abcdef", min_size=1, max_size=40)


@st.composite
def sequences(draw: st.DrawFn) -> PoseSequence:
    layout = draw(st.sampled_from([COCO_17, PENN_13]))
    frames, people = draw(st.integers(0, 5)), draw(st.integers(0, 3))
    shape = (frames, people, len(layout))
    size = (draw(st.integers(1, 8000)), draw(st.integers(1, 8000)))
    coordinates = st.floats(-10 * max(size), 10 * max(size), width=32)
    xy = draw(arrays.arrays(np.float32, (*shape, 2), elements=coordinates))
    confidence = draw(arrays.arrays(np.float32, (*shape, 1), elements=st.floats(0, 1, width=32)))
    keypoints = np.concatenate([xy, confidence], axis=-1)
    return PoseSequence(
        keypoints=hide(keypoints, confidence[..., 0] == 0),
        frame_index=np.arange(frames, dtype=np.int32) * draw(st.integers(1, 9)),
        video_frames=draw(st.integers(9 * frames, 10**6)),
        layout=layout,
        fps=draw(st.floats(0.01, 1000)),
        size=size,
        origin=Origin(
            source=draw(texts),
            key=draw(keys),
            estimator=draw(texts),
            label=draw(st.none() | texts),
            split=draw(st.none() | texts),
            subject=draw(st.none() | texts),
        ),
    )


def small_sequence(key: str = "c0ffee", **origin: str | None) -> PoseSequence:
    keypoints = np.full((4, 1, 13, 3), 0.5, np.float32)
    keypoints[0, 0, 3] = UNSEEN
    known = Origin(source="a b.mp4", key=key, estimator="hand")
    return make_sequence(keypoints, PENN_13, fps=29.97, origin=replace(known, **origin))  # type: ignore[arg-type]


@settings(max_examples=60)
@given(sequences(), st.sampled_from(["high", "low"]))
def test_a_loaded_sequence_equals_the_saved_one(sequence: PoseSequence, quality) -> None:
    with tempfile.TemporaryDirectory() as root:
        cache = PoseCache(Path(root))
        path = cache.save(sequence, quality, "hand-1")
        loaded = cache.load(path)
        assert path == cache.path_of(quality, "hand-1", sequence.origin.key)
        assert loaded.keypoints.tobytes() == sequence.keypoints.tobytes()  # NaN payloads too
        assert loaded.keypoints.shape == sequence.keypoints.shape
        assert loaded.keypoints.flags.writeable
        np.testing.assert_array_equal(loaded.frame_index, sequence.frame_index)
        for name in ("video_frames", "layout", "fps", "size", "origin"):
            assert getattr(loaded, name) == getattr(sequence, name)
        entry = cache.describe(path)
        assert (entry.path, entry.quality, entry.settings) == (path, quality, "hand-1")
        assert (entry.origin, entry.layout) == (sequence.origin, sequence.layout)
        assert (entry.frames, entry.people) == sequence.keypoints.shape[:2]
        assert entry.empty == sequence.is_empty


def test_a_file_name_that_is_not_utf8_stays_readable(tmp_path: Path) -> None:
    source = os.fsdecode(b"caf\xe9.mp4")
    path = PoseCache(tmp_path).save(small_sequence(source=source), "low", "hand-1")
    assert PoseCache(tmp_path).describe(path).origin.source == r"caf\udce9.mp4"


def test_entries_are_sorted_and_can_be_filtered(tmp_path: Path) -> None:
    cache = PoseCache(tmp_path)
    for quality, name, key in [
        ("low", "b", "0a"), ("low", "a", "ff"), ("high", "z", "01"), ("low", "b", "00"),
    ]:  # fmt: skip
        cache.save(small_sequence(key), quality, name)
    found = [(e.quality, e.settings, e.origin.key) for e in cache.entries()]
    assert found == [("high", "z", "01"), ("low", "a", "ff"), ("low", "b", "00"), ("low", "b", "0a")]
    assert [e.origin.key for e in cache.entries("low", "b")] == ["00", "0a"]
    assert [e.origin.key for e in cache.entries(settings="z")] == ["01"]
    assert cache.settings_of("low") == ("a", "b")
    assert list(PoseCache(tmp_path / "nowhere").entries()) == []


def test_entries_ignore_other_files(tmp_path: Path) -> None:
    cache = PoseCache(tmp_path)
    folder = cache.save(small_sequence(), "high", "hand-1").parent
    (folder / ".00-17-abc.part").write_bytes(b"half")
    (folder / "notes.txt").write_text("mine")
    (tmp_path / "README.md").write_text("")
    assert len(list(cache.entries())) == 1


def test_leftovers_are_removed(tmp_path: Path) -> None:
    cache = PoseCache(tmp_path)
    path = cache.save(small_sequence(), "high", "hand-1")
    leftover = path.with_name(".skdpipe-1.part")
    leftover.write_bytes(b"half")
    assert cache.remove_leftovers() == 1
    assert not leftover.exists()
    assert path.exists()


def test_relabel_changes_only_the_labels(tmp_path: Path) -> None:
    cache = PoseCache(tmp_path)
    path = cache.save(small_sequence(label="old"), "low", "hand-1")
    origin = replace(cache.describe(path).origin, label="nœud ☂\n", split="test", source="moved.mp4")
    before = load_file(path)
    entry = cache.relabel(path, origin)
    assert entry == cache.describe(path)
    assert entry.origin == origin
    for name, tensor in load_file(path).items():
        assert tensor.tobytes() == before[name].tobytes()


def test_relabel_without_a_change_does_not_write(tmp_path: Path) -> None:
    cache = PoseCache(tmp_path)
    path = cache.save(small_sequence(), "low", "hand-1")
    inode = path.stat().st_ino  # an atomic write makes a new one
    cache.relabel(path, cache.describe(path).origin)
    assert path.stat().st_ino == inode


def test_relabel_refuses_another_video(tmp_path: Path) -> None:
    cache = PoseCache(tmp_path)
    path = cache.save(small_sequence("aa"), "low", "hand-1")
    with pytest.raises(CacheError, match="relabel the file of that video"):
        cache.relabel(path, Origin(key="bb", estimator="hand"))


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def cut_within_the_header(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def lengthen(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


def overwrite_with_text(path: Path) -> None:
    path.write_bytes(b"this is not a safetensors file" * 20)


def huge_header(path: Path) -> None:
    path.write_bytes(b"\xff" * 8 + path.read_bytes()[8:])


def with_other_tensors(path: Path) -> None:
    save_file({"weight": np.zeros(3)}, path)


def without_keypoints(path: Path) -> None:
    rewrite(path, drop="keypoints")


def with_too_few_indices(path: Path) -> None:
    rewrite(path, frame_index=np.zeros(1, np.int32))


def with_keypoints_of_another_layout(path: Path) -> None:
    rewrite(path, keypoints=np.zeros((4, 1, 17, 3), np.float32))


def rewrite(path: Path, drop: str = "", **tensors: np.ndarray) -> None:
    kept = {**load_file(path), **tensors}
    kept.pop(drop, None)
    save_file(kept, path, metadata_of(path))


def metadata_of(path: Path) -> dict[str, str]:
    with safe_open(path, framework="np") as file:
        return file.metadata()


@pytest.mark.parametrize(
    "damage",
    [cut_short, cut_within_the_header, empty, lengthen, overwrite_with_text, huge_header,
     with_other_tensors,
     without_keypoints, with_too_few_indices, with_keypoints_of_another_layout],
)  # fmt: skip
def test_a_damaged_file_is_refused_counts_as_missing_and_is_replaced_by_saving(
    tmp_path: Path, damage
) -> None:
    cache = PoseCache(tmp_path)
    path = cache.save(small_sequence(), "high", "hand-1")
    assert cache.has("high", "hand-1", "c0ffee")
    damage(path)
    with pytest.raises(CacheError, match=r"^[^\n]*damaged[^\n]*extract the video again$"):
        cache.describe(path)
    with pytest.raises(CacheError):
        cache.load(path)
    assert not cache.has("high", "hand-1", "c0ffee")
    cache.save(small_sequence(), "high", "hand-1")
    assert cache.has("high", "hand-1", "c0ffee")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "skdpipe-pose-9"}, f"'skdpipe-pose-9', expected '{FORMAT}'"),
        ({"layout": "martian-3"}, "layout 'martian-3' is unknown and not described, expected one of coco-17"),
        ({"joints": "head tail"}, "joints 'head tail' are not those of layout penn-13"),
        ({"fps": "fast"}, "could not convert"),
        ({"quality": "medium"}, "quality 'medium'"),
    ],
)
def test_invalid_metadata_is_refused(tmp_path: Path, change: dict[str, str], message: str) -> None:
    cache = PoseCache(tmp_path)
    path = cache.save(small_sequence(), "high", "hand-1")
    save_file(load_file(path), path, {**metadata_of(path), **change})
    with pytest.raises(CacheError, match=message):
        cache.describe(path)
    assert not cache.has("high", "hand-1", "c0ffee")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fps": "nan"}, "nan frames per second"),
        ({"fps": "inf"}, "inf frames per second"),
        ({"fps": "-5"}, "-5.0 frames per second"),
        ({"width": str(10**12)}, "a picture of 1000000000000 x 480 pixels"),
        ({"height": "0"}, "a picture of 640 x 0 pixels"),
        ({"video_frames": str(10**12)}, "a video of 1000000000000 frames"),
        ({"video_frames": "9" * 4000}, "a video of .{1,50} frames"),
        ({"layout": "m" * 10**6}, "layout 'm.{1,40} is unknown"),
    ],
)
def test_implausible_metadata_is_refused(tmp_path: Path, change: dict[str, str], message: str) -> None:
    cache = PoseCache(tmp_path)
    path = cache.save(small_sequence(), "high", "hand-1")
    save_file(load_file(path), path, {**metadata_of(path), **change})
    with pytest.raises(CacheError, match=message) as caught:
        cache.describe(path)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("place", ["label", "keypoints"])
def test_a_changed_byte_is_found_by_the_checksum(tmp_path: Path, place: str) -> None:
    cache = PoseCache(tmp_path)
    path = cache.save(small_sequence(label="wave"), "high", "hand-1")
    content = path.read_bytes()
    if place == "label":
        path.write_bytes(content.replace(b'"wave"', b'"save"'))
    else:
        path.write_bytes(content[:-60] + bytes([content[-60] ^ 1]) + content[-59:])
    with pytest.raises(CacheError, match=r"is damaged .* checksum"):
        cache.load(path)


def test_a_file_without_a_checksum_is_read(tmp_path: Path) -> None:
    """Earlier versions wrote none."""
    cache = PoseCache(tmp_path)
    path = cache.save(small_sequence(), "high", "hand-1")
    expected = cache.load(path).keypoints
    save_file(
        load_file(path), path, {key: text for key, text in metadata_of(path).items() if key != "sha256"}
    )
    np.testing.assert_array_equal(cache.load(path).keypoints, expected)


def test_a_file_of_a_later_version_is_refused_by_name(tmp_path: Path) -> None:
    cache = PoseCache(tmp_path)
    path = cache.save(small_sequence(), "high", "hand-1")
    save_file(load_file(path), path, {**metadata_of(path), "format": "skdpipe-sequence-2"})
    for read in (cache.describe, cache.load):
        with pytest.raises(NewerVersionError, match=r"c0ffee.* later version .*sequence-2.* update skdpipe"):
            read(path)
    content = path.read_bytes()
    with pytest.raises(NewerVersionError):
        cache.save(small_sequence(), "high", "hand-1")
    assert path.read_bytes() == content


def test_a_folder_in_the_place_of_an_entry_is_named(tmp_path: Path) -> None:
    cache = PoseCache(tmp_path)
    path = cache.path_of("high", "hand-1", "c0ffee")
    path.mkdir(parents=True)
    assert not cache.has("high", "hand-1", "c0ffee")
    with pytest.raises(CacheError, match=r"cannot write .*c0ffee.* delete it") as caught:
        cache.save(small_sequence(), "high", "hand-1")
    assert not isinstance(caught.value, CacheWriteError)


def test_a_place_where_nothing_can_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "high").write_bytes(b"a file")
    with pytest.raises(CacheWriteError, match=r"cannot write .*c0ffee.*another folder"):
        PoseCache(tmp_path).save(small_sequence(), "high", "hand-1")


@pytest.mark.parametrize("name", ["layout", "joints", "fps", "width", "empty", "source", "key", "estimator"])
def test_the_error_for_missing_metadata_contains_its_name(tmp_path: Path, name: str) -> None:
    cache = PoseCache(tmp_path)
    path = cache.save(small_sequence(), "high", "hand-1")
    rest = {key: text for key, text in metadata_of(path).items() if key != name}
    save_file(load_file(path), path, rest)
    with pytest.raises(CacheError, match=f"no '{name}' in its metadata"):
        cache.describe(path)


def test_a_layout_of_the_users_own_is_saved_whole(tmp_path: Path) -> None:
    own = Layout("own-3", ("a", "b", "c"), (("a", "b"), ("a", "c")), "a", (0.1, 0.2, 0.2), (("b", "c"),))
    sequence = replace(small_sequence(), keypoints=np.ones((4, 1, 3, 3), np.float32), layout=own)
    cache = PoseCache(tmp_path)
    path = cache.save(sequence, "high", "hand-1")
    assert cache.load(path).layout == own == cache.describe(path).layout


def test_three_coordinates_and_frame_times_are_kept(tmp_path: Path) -> None:
    keypoints = np.random.default_rng(0).random((4, 1, 13, 4)).astype(np.float32)
    times = np.array([0, 0.1, 0.5, 2.25])
    sequence = replace(small_sequence(), keypoints=keypoints, times=times, size=(0, 0))
    cache = PoseCache(tmp_path)
    path = cache.save(sequence, "high", "hand-1")
    loaded = cache.load(path)
    np.testing.assert_array_equal(loaded.keypoints, keypoints)
    np.testing.assert_array_equal(loaded.seconds, times)
    assert (loaded.coordinates, cache.describe(path).coordinates) == (3, 3)


@pytest.mark.parametrize(
    ("quality", "name", "key"),
    [("medium", "a", "00"), ("low", "../a", "00"), ("low", "", "00"), ("low", ".a", "00"),
     ("low", "a b", "00"), ("low", "a", ""), ("low", "a", "../00"), ("low", "a", "00\n")],
)  # fmt: skip
def test_unsafe_names_are_refused(tmp_path: Path, quality, name: str, key: str) -> None:
    with pytest.raises(CacheError, match="expected"):
        PoseCache(tmp_path).path_of(quality, name, key)


def test_the_error_for_a_missing_file_contains_the_reason(tmp_path: Path) -> None:
    cache = PoseCache(tmp_path)
    assert not cache.has("high", "hand-1", "00")
    with pytest.raises(CacheError, match="does not exist"):
        cache.load(cache.path_of("high", "hand-1", "00"))


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "high").write_text("a file where a folder should be")
    with pytest.raises(CacheError, match="cannot write"):
        PoseCache(tmp_path).save(small_sequence(), "high", "hand-1")


@given(texts, texts)
def test_slugs_are_valid_folder_names_and_differ_between_descriptions(prefix: str, description: str) -> None:
    slug = settings_slug(prefix, description)
    assert PoseCache(Path()).path_of("low", slug, "00").parent.name == slug
    assert slug == settings_slug(prefix, description)
    assert slug != settings_slug(prefix, description + ".")


def test_equal_sequences_give_equal_bytes(tmp_path: Path) -> None:
    sequence = small_sequence(label="wave", split="train", subject="7")
    saved = [PoseCache(tmp_path / str(n)).save(sequence, "high", "hand-1").read_bytes() for n in range(8)]
    assert len(set(saved)) == 1


def test_files_of_other_safetensors_writers_are_read(tmp_path: Path) -> None:
    """Files of earlier versions have unsorted headers."""
    cache = PoseCache(tmp_path)
    path = cache.save(small_sequence(label="wave"), "high", "hand-1")
    entry, keypoints = cache.describe(path), cache.load(path).keypoints
    for _ in range(4):
        save_file(load_file(path), path, dict(sorted(metadata_of(path).items(), reverse=True)))
        assert cache.describe(path) == entry
        np.testing.assert_array_equal(cache.load(path).keypoints, keypoints)


WRITER = """
import sys, numpy as np
from pathlib import Path
from skdpipe.cache import PoseCache
from skdpipe.skeleton import PENN_13, Origin, PoseSequence
cache, videos, size = PoseCache(Path(sys.argv[1])), int(sys.argv[2]), int(sys.argv[3])
print("ready", flush=True)
for n in range(10**9 if videos == 0 else videos):
    keypoints = np.full((size, 2, 13, 3), (n % 7 + 1) / 8, np.float32)
    cache.save(PoseSequence(keypoints, np.arange(size, dtype=np.int32), size, PENN_13, 30.0, (9, 9),
                            Origin(key=f"{n % 40:04x}")), "low", "s-1")
"""


def start_writer(root: Path, videos: int, size: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(root), str(videos), str(size)],
        stdout=subprocess.PIPE,
        text=True,
    )


def count_complete(cache: PoseCache) -> int:
    """Number of entries, each of which must be readable and from one writer."""
    loaded = [cache.load(entry.path).keypoints for entry in cache.entries()]
    assert all((keypoints == keypoints.flat[0]).all() for keypoints in loaded)
    return len(loaded)


def test_a_writer_killed_at_any_time_leaves_only_complete_entries(tmp_path: Path) -> None:
    cache = PoseCache(tmp_path)
    for delay in (0.03, 0.08, 0.15, 0.24):
        writer = start_writer(
            tmp_path, videos=0, size=20_000
        )  # 6 MB per file: most of the time is spent on writing
        assert writer.stdout is not None
        writer.stdout.readline()
        deadline = time.monotonic() + 20
        while not any(tmp_path.rglob("*.safetensors")) and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(delay)
        writer.send_signal(signal.SIGKILL)
        assert writer.wait() == -signal.SIGKILL
        writer.stdout.close()
        assert count_complete(cache) >= 1


def test_two_processes_can_write_the_same_entries_while_a_third_reads(tmp_path: Path) -> None:
    cache = PoseCache(tmp_path)
    writers = [start_writer(tmp_path, videos=120, size=2000) for _ in range(2)]
    while any(writer.poll() is None for writer in writers):
        count_complete(cache)
    for writer in writers:
        assert writer.stdout is not None
        writer.stdout.close()
        assert writer.returncode == 0
    assert count_complete(cache) == 40
    assert not list(tmp_path.rglob("*.part"))
