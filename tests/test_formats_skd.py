"""SKD's arrays, one per clip."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from foreign_clips import SIZE, assert_same, make_clip

from skdpipe.errors import FormatError
from skdpipe.formats.skd import find_skd, load_skd


def written(folder: Path, where: str, clip: Any = None) -> Path:
    path = folder / where
    path.parent.mkdir(parents=True, exist_ok=True)
    keypoints = (make_clip("one") if clip is None else clip).keypoints
    np.save(path, np.nan_to_num(keypoints).transpose(2, 3, 0, 1))
    return path


def test_an_array_make_clip(tmp_path: Path) -> None:
    path = written(tmp_path, "train/sit down/one.npy")
    assert find_skd(tmp_path) == find_skd(path) == (path,)
    assert_same(load_skd(path, size=SIZE, root=tmp_path), make_clip("one", "sit down", "train"))


def test_shares_of_the_frame_become_pixels(tmp_path: Path) -> None:
    clip = make_clip("one")
    share = clip.with_keypoints(clip.keypoints / np.float32([*SIZE, 1]) - np.float32([0.5, 0.5, 0]))
    path = written(tmp_path, "run/one.npy", share)
    assert_same(load_skd(path, size=SIZE, root=tmp_path), make_clip("one", "run"), atol=1e-4)


def test_without_class_folders_there_is_no_label(tmp_path: Path) -> None:
    path = written(tmp_path, "one.npy")
    assert load_skd(path, size=SIZE, root=tmp_path).origin.label is None
    assert load_skd(path, size=SIZE).origin.label is None


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            np.zeros((17, 3, 4), np.float32),
            r"float32 of shape \(17, 3, 4\); expected floats \(joint, 3, frame",
        ),
        (np.zeros((17, 2, 4, 1), np.float32), "expected floats"),
        (np.zeros((17, 3, 0, 1), np.float32), "expected floats"),
        (np.zeros((11, 3, 4, 1), np.float32), "11 joints; expected one of 17"),
        (np.zeros((17, 3, 10**9, 0), np.float32), r"a clip of shape \(1000000000, 0, 17, 3\)"),
        (np.full((17, 3, 4, 1), -2, np.float32), "third channel reaches from -2.00 to -2.00"),
    ],
)
def test_other_arrays_are_refused(tmp_path: Path, data: Any, message: str) -> None:
    np.save(tmp_path / "one.npy", data)
    with pytest.raises(FormatError, match=message):
        load_skd(tmp_path / "one.npy", size=SIZE)


def test_a_missing_array_is_named(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"one\.npy cannot be read"):
        load_skd(tmp_path / "one.npy", size=SIZE)
    with pytest.raises(FormatError, match=r"no \.npy files at"):
        find_skd(tmp_path)
