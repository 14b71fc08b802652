"""ST-GCN's data sets: arrays and label pickles, read and written."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from foreign_clips import SIZE, assert_same, make_clip
from hostile_pickle import create_file

from skdpipe.errors import FormatError
from skdpipe.formats.st_gcn import find_st_gcn, load_st_gcn, write_st_gcn
from skdpipe.skeleton import COCO_17, PENN_13, clip_key


def dataset(
    folder: Path, data: Any = None, labels: Any = None, name: str = "train_data.npy", *, pixels: bool = False
) -> Path:
    """Two clips of 4 frames; one of two people is seen in 3 of them, in the middle of the frame."""
    if data is None:
        data = np.zeros((2, 3, 4, 17, 2), np.float32)
        data[:, 2, :3, :, 0] = 0.5
        if pixels:
            data[:, 0, :3, :, 0], data[:, 1, :3, :, 0] = 160, 120
    np.save(folder / name, data)
    labels = (["one.skeleton", "two.json"], [0, 1]) if labels is None else labels
    (folder / name.replace("_data.npy", "_label.pkl")).write_bytes(pickle.dumps(labels))
    return folder / name


@pytest.mark.parametrize("pixels", [False, True])
def test_a_data_set_by_hand(tmp_path: Path, pixels: bool) -> None:
    path = dataset(tmp_path, pixels=pixels)
    first, second = load_st_gcn(path, size=SIZE, classes=("sit", "run"))
    assert first.layout == COCO_17
    assert first.keypoints.shape == (3, 2, 17, 3)  # without the padding frame
    np.testing.assert_array_equal(first.keypoints[:, 0], np.full((3, 17, 3), (160, 120, 0.5)))
    assert not first.seen[:, 1].any()
    assert (first.size, first.video_frames) == (SIZE, 3)
    assert [clip.origin.key for clip in (first, second)] == [clip_key("one"), clip_key("two")]
    assert [clip.origin.label for clip in (first, second)] == ["sit", "run"]
    assert (first.origin.split, first.origin.source) == ("train", str(path / "one"))


def test_clips_of_one_name_in_folders_are_separate(tmp_path: Path) -> None:
    path = dataset(tmp_path, labels=(["wave/1.json", "punch/1.json"], [0, 1]))
    clips = list(load_st_gcn(path, size=SIZE))
    assert [clip.origin.key for clip in clips] == [clip_key("wave/1"), clip_key("punch/1")]


def test_a_clip_has_the_size_of_its_video(tmp_path: Path) -> None:
    sizes = {("one",): SIZE}
    clips = load_st_gcn(dataset(tmp_path), size=None, size_of=sizes.get)
    assert next(clips).size == SIZE
    with pytest.raises(FormatError, match=r"clip two\.json does not contain the frame size"):
        next(clips)


def test_a_clip_without_people_keeps_a_frame(tmp_path: Path) -> None:
    path = dataset(tmp_path, np.zeros((2, 3, 4, 17, 1), np.float32))
    (first, _) = load_st_gcn(path, size=SIZE)
    assert first.keypoints.shape == (1, 1, 17, 3)
    assert first.is_empty


def test_a_label_file_may_have_three_parts_and_arrays(tmp_path: Path) -> None:
    path = dataset(tmp_path, labels=[["one", "two"], np.array([4, 5]), [3, 3]], name="val_data.npy")
    assert [(clip.origin.label, clip.origin.split) for clip in load_st_gcn(path, size=SIZE)] == [
        ("class_004", "val"),
        ("class_005", "val"),
    ]


def test_metres_are_refused_and_the_next_clip_is_read(tmp_path: Path) -> None:
    data = np.zeros((2, 3, 4, 17, 2), np.float32)
    data[0, 2] = 3.5
    clips = load_st_gcn(dataset(tmp_path, data), size=SIZE)
    with pytest.raises(
        FormatError, match=r"clip one.skeleton: the third channel reaches from 3\.50 to 3\.50"
    ):
        next(clips)
    assert len(list(clips)) == 1


@pytest.mark.parametrize(
    ("data", "labels", "message"),
    [
        (
            np.zeros((2, 3, 4, 17), np.float32),
            None,
            r"float32 of shape \(2, 3, 4, 17\); expected floats \(clip",
        ),
        (np.zeros((2, 2, 4, 17, 1), np.float32), None, "expected floats"),
        (np.zeros((2, 3, 4, 17, 1), np.int64), None, "int64 of shape"),
        (np.zeros((2, 3, 4, 9, 1), np.float32), None, "9 joints; expected one of"),
        (None, (["one"], [0]), "1 names and 1 labels; expected 2 of each"),
        (None, (["one", "two"], [0]), "2 names and 1 labels"),
        (None, ([1, 2], [0, 1]), "expected 2 of each"),
        (None, 5, "holds int; expected the clips' names"),
        (None, ["one"], "holds list; expected the clips' names"),
    ],
)
def test_other_shapes_are_refused(tmp_path: Path, data: Any, labels: Any, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        load_st_gcn(dataset(tmp_path, data, labels), size=SIZE)


def test_a_missing_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="give --size WIDTH HEIGHT"):
        load_st_gcn(dataset(tmp_path), size=None)


def test_hostile_files_run_nothing(tmp_path: Path) -> None:
    hostile = create_file(tmp_path / "trace")
    with pytest.raises(FormatError, match=r"train_label\.pkl: the pickle names \w+\.system"):
        load_st_gcn(dataset(tmp_path, labels=(["one", "two"], hostile)), size=SIZE)
    np.save(tmp_path / "train_data.npy", np.array([hostile, 1], object), allow_pickle=True)
    with pytest.raises(FormatError, match=r"train_data\.npy is not an array of numbers"):
        load_st_gcn(tmp_path / "train_data.npy", size=SIZE)
    (tmp_path / "train_data.npy").write_bytes(pickle.dumps(hostile))
    with pytest.raises(FormatError, match=r"train_data\.npy is not an array of numbers"):
        load_st_gcn(tmp_path / "train_data.npy", size=SIZE)
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize("length", [0, 5, 60, 130, 1000])
def test_a_truncated_array_is_refused(tmp_path: Path, length: int) -> None:
    path = dataset(tmp_path)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(FormatError, match=r"train_data\.npy is not an array of numbers"):
        load_st_gcn(path, size=SIZE)


@pytest.mark.parametrize("shape", [(0, 3, 10**9, 17, 2), (2, 3, 10**9, 17, 0), (2, 3, 10**6, 0, 2)])
def test_axes_of_nothing_are_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(FormatError, match="expected floats"):
        load_st_gcn(dataset(tmp_path, np.zeros(shape, np.float32)), size=SIZE)


@pytest.mark.parametrize("shape", [(-1, 3, 4, 17, 2), (10**9, 3, 300, 17, 2), (10**30, 3, 4, 17, 2), "abc"])
def test_a_header_that_promises_another_shape_is_refused(tmp_path: Path, shape: Any) -> None:
    header = repr({"descr": "<f4", "fortran_order": False, "shape": shape}).encode()
    path = dataset(tmp_path)
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(40_000))
    with pytest.raises(FormatError, match=r"train_data\.npy is not an array of numbers"):
        load_st_gcn(path, size=SIZE)


def test_a_name_that_cannot_be_written_is_the_failure_of_its_clip(tmp_path: Path) -> None:
    clips = load_st_gcn(dataset(tmp_path, labels=(["\ud800", "two"], [0, 1])), size=SIZE)
    with pytest.raises(FormatError, match="clip number 1 has no name"):
        next(clips)
    assert next(clips).origin.key == clip_key("two")


def test_a_pipe_is_not_opened(tmp_path: Path) -> None:
    path = dataset(tmp_path)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(FormatError, match="cannot be read"):
        load_st_gcn(path, size=SIZE)


def test_an_archive_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "train_data.npy").open("wb") as file:
        np.savez(file, a=np.zeros(3))
    with pytest.raises(FormatError, match="is an archive of arrays"):
        load_st_gcn(tmp_path / "train_data.npy", size=SIZE)


def test_arrays_with_labels_are_found(tmp_path: Path) -> None:
    path = dataset(tmp_path)
    np.save(tmp_path / "mean.npy", np.zeros(3))
    assert find_st_gcn(tmp_path) == find_st_gcn(path) == (path,)
    with pytest.raises(FormatError, match="no arrays at"):
        find_st_gcn(tmp_path / "none")


# Writing


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    clips = [
        make_clip("one", "sit", "train"),
        make_clip("two", "run", "test", people=1),
        make_clip("three", "run", "train", frames=8),
    ]
    assert write_st_gcn(iter(clips), tmp_path, frames=9) == 3
    names = ("classes.txt", "test_data.npy", "test_label.pkl", "train_data.npy", "train_label.pkl")
    assert sorted(path.name for path in tmp_path.iterdir()) == list(names)
    assert np.load(tmp_path / "train_data.npy", mmap_mode="r").shape == (2, 3, 9, 17, 2)
    assert pickle.loads((tmp_path / "train_label.pkl").read_bytes()) == (["one", "three"], [1, 0])
    read = {
        Path(clip.origin.source).name: clip
        for path in find_st_gcn(tmp_path)
        for clip in load_st_gcn(path, size=SIZE, classes=("run", "sit"))
    }
    assert list(read) == ["two", "one", "three"]
    for name, clip in zip(("one", "three"), (clips[0], clips[2]), strict=True):
        assert_same(read[name], clip, atol=1e-4)
    assert_same(read["two"].with_keypoints(read["two"].keypoints[:, :1]), clips[1], atol=1e-4)
    assert not read["two"].seen[:, 1].any()


def test_an_array_holds_shares_of_the_frame_and_zeros(tmp_path: Path) -> None:
    clip = make_clip("one", people=1)
    write_st_gcn([clip], tmp_path, frames=6)
    data = np.load(tmp_path / "all_data.npy")
    x, y, confidence = clip.keypoints[0, 0, 5]
    expected = [x / SIZE[0] - 0.5, y / SIZE[1] - 0.5, confidence]
    np.testing.assert_allclose(data[0, :, 0, 5, 0], expected, atol=1e-6)
    assert not data[0, :, 5].any()
    assert not data[0, ..., 1].any()
    assert not data[0].transpose(1, 2, 3, 0)[:5, :, 0][~clip.seen[:, 0]].any()


def test_the_people_with_the_highest_confidence_are_written(tmp_path: Path) -> None:
    clip = make_clip("one", people=3)
    reversed_people = clip.with_keypoints(clip.keypoints[:, ::-1].copy())
    write_st_gcn([reversed_people], tmp_path, frames=5, people=1)
    (read,) = load_st_gcn(tmp_path / "all_data.npy", size=SIZE)
    np.testing.assert_allclose(read.keypoints, clip.keypoints[:, :1], atol=1e-4)


@pytest.mark.parametrize(
    ("clips", "message"),
    [
        ([make_clip("one", frames=7)], "one has 7 frames, the array 5; give more with --frames"),
        ([make_clip("one"), make_clip("two", layout=PENN_13)], "two has 13 joints, clips before it 17"),
        ([make_clip("one", None)], "one has no label"),
        ([make_clip("one", split="../up")], "split '../up' of one cannot name a file"),
        ([], "no clips for"),
    ],
)
def test_what_cannot_be_written_leaves_no_file(tmp_path: Path, clips: list[Any], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        write_st_gcn(clips, tmp_path / "out", frames=5)
    assert not list(tmp_path.rglob("*.*"))
