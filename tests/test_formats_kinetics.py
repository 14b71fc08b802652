"""Kinetics-skeleton: files by hand, round trips, damaged files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from foreign_clips import make_clip

from skdpipe.errors import FormatError
from skdpipe.formats.kinetics import FORMAT, SIZE, find_kinetics, load_kinetics, write_kinetics
from skdpipe.skeleton import OPENPOSE_18, clip_key


def person(x: float, score: float = 0.8) -> dict[str, Any]:
    return {"pose": [x, 0.5] * 18, "score": [score] * 17 + [0.0]}


def written(folder: Path, content: Any, name: str = "kinetics_train/abc.json") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def test_a_clip_by_hand(tmp_path: Path) -> None:
    frames = [
        {"frame_index": 1, "skeleton": [person(0.1), person(0.9)]},
        {"frame_index": 2, "skeleton": []},
        {"frame_index": 3, "skeleton": [person(0.9), person(0.11)]},
    ]
    path = written(tmp_path, {"data": frames, "label": "abseiling", "label_index": 0})
    sequence = load_kinetics(path)
    assert (sequence.layout, sequence.size, sequence.video_frames) == (OPENPOSE_18, SIZE, 3)
    assert sequence.frame_index.tolist() == [0, 1, 2]
    np.testing.assert_allclose(sequence.keypoints[[0, 2], 0, 0, 0], [34, 37.4], rtol=1e-5)  # tracked
    np.testing.assert_allclose(sequence.keypoints[0, 1, 3], [306, 128, 0.8], rtol=1e-5)
    assert not sequence.seen[:, :, 17].any()  # without a score
    origin = sequence.origin
    assert (origin.key, origin.label, origin.split) == (clip_key("abc"), "abseiling", "train")


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    clips = [
        make_clip(name, "run", split, layout=OPENPOSE_18) for name, split in (("a", "train"), ("b", "val"))
    ]
    assert write_kinetics(clips, tmp_path) == 2
    files = find_kinetics(tmp_path)
    assert [file.name for file in files] == ["a.json", "b.json"]
    for clip, file in zip(clips, files, strict=True):
        again = load_kinetics(file, size=clip.size)
        assert (again.origin.label, again.origin.split) == (clip.origin.label, clip.origin.split)
        np.testing.assert_allclose(
            np.sort(np.nan_to_num(again.keypoints[..., :2]), axis=1),
            np.sort(np.nan_to_num(clip.keypoints[..., :2]), axis=1),
            atol=max(clip.size) / 1000,
        )


@pytest.mark.parametrize(
    "content",
    [
        [],
        {"data": [], "label": "x"},
        {"data": [{"frame_index": -1, "skeleton": []}], "label": "x"},
        {"data": [{"frame_index": 1, "skeleton": []}] * 2, "label": "x"},
        {"data": [{"frame_index": 1}], "label": "x"},
        {"data": [{"frame_index": 1, "skeleton": [{"pose": [1], "score": [1]}]}], "label": "x"},
        {"data": [{"frame_index": 1, "skeleton": [person(0.1)]}], "label": 3},
    ],
)
def test_a_damaged_file_raises_one_line(tmp_path: Path, content: Any) -> None:
    with pytest.raises(FormatError, match="expected") as caught:
        load_kinetics(written(tmp_path, content))
    assert "\n" not in str(caught.value)


def test_pixels_are_refused(tmp_path: Path) -> None:
    frames = [{"frame_index": 1, "skeleton": [person(170.0)]}]
    with pytest.raises(FormatError, match=r"coordinate of 170; expected shares .* `skdpipe import openpose`"):
        load_kinetics(written(tmp_path, {"data": frames, "label": "x"}))


def test_files_of_st_gcns_tools_count_from_0_in_any_order(tmp_path: Path) -> None:
    frames = [{"frame_index": number, "skeleton": [person(0.1 + number / 100)]} for number in (2, 0, 1)]
    sequence = load_kinetics(written(tmp_path, {"data": frames, "label": "unknown", "label_index": -1}))
    assert (sequence.frame_index.tolist(), sequence.video_frames) == ([0, 1, 2], 3)
    np.testing.assert_allclose(sequence.keypoints[:, 0, 0, 0], [34, 37.4, 40.8], rtol=1e-5)


def test_clips_labelled_without_a_skeleton_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("kinetics_train/a", "kinetics_train/b", "kinetics_val/a"):
        written(tmp_path, {"data": [{"frame_index": 1, "skeleton": []}], "label": "x"}, f"{name}.json")
    labels = {"a": {"has_skeleton": False, "label": "x"}, "b": {"has_skeleton": True, "label": "x"}}
    written(tmp_path, labels, "kinetics_train_label.json")
    found = [str(path.relative_to(tmp_path)) for path in find_kinetics(tmp_path)]
    assert found == ["kinetics_train/b.json", "kinetics_val/a.json"]
    monkeypatch.chdir(tmp_path / "kinetics_train")
    assert find_kinetics(Path()) == (Path("b.json"),)


def test_a_damaged_file_of_labels_stands_for_its_clips_and_the_others_are_listed(tmp_path: Path) -> None:
    for name in ("kinetics_train/a", "kinetics_train/b", "kinetics_val/a"):
        written(tmp_path, {"data": [{"frame_index": 1, "skeleton": []}], "label": "x"}, f"{name}.json")
    labels = tmp_path / "kinetics_train_label.json"
    labels.write_text("{")
    assert find_kinetics(tmp_path) == (labels, tmp_path / "kinetics_val/a.json")
    with pytest.raises(FormatError, match=r"kinetics_train_label\.json is not JSON"):
        load_kinetics(labels)
    counts = FORMAT.left_out(tmp_path)
    assert counts["clips whose file of labels cannot be read"] == 2


def test_no_files(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="no JSON files of clips with people under"):
        find_kinetics(tmp_path)


# Writing


def written_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def test_a_split_has_a_file_per_clip_and_one_of_labels(tmp_path: Path) -> None:
    clips = [
        make_clip("one", "sit", "train", layout=OPENPOSE_18),
        make_clip("two", "run", "val", layout=OPENPOSE_18),
        make_clip("three", "run", "train", layout=OPENPOSE_18),
    ]
    assert write_kinetics(iter(clips), tmp_path) == 3
    names = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.json")}
    assert names == {
        "kinetics_train/one.json", "kinetics_train/three.json", "kinetics_val/two.json",
        "kinetics_train_label.json", "kinetics_val_label.json",
    }  # fmt: skip
    assert written_json(tmp_path / "kinetics_train_label.json") == {
        "one": {"has_skeleton": True, "label": "sit", "label_index": 1},
        "three": {"has_skeleton": True, "label": "run", "label_index": 0},
    }
    read = written_json(tmp_path / "kinetics_train/one.json")
    assert (read["label"], read["label_index"]) == ("sit", 1)
    assert [frame["frame_index"] for frame in read["data"]] == [1, 2, 3, 4, 5]
    person = read["data"][4]["skeleton"][1]
    xy = np.reshape(person["pose"], (18, 2)) * clips[0].size
    np.testing.assert_allclose(xy, clips[0].keypoints[4, 1, :, :2], atol=0.2)
    np.testing.assert_allclose(person["score"], clips[0].keypoints[4, 1, :, 2], atol=1e-6)
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {"kinetics_train", "kinetics_val"}


@pytest.mark.parametrize(
    ("clips", "message"),
    [
        ([make_clip("one", None, layout=OPENPOSE_18)], "one has no label"),
        ([make_clip("one", "sit", "../up", layout=OPENPOSE_18)], "split '../up' of one cannot name a file"),
        ([], "no clips for"),
    ],
)
def test_what_cannot_be_written_leaves_no_file(tmp_path: Path, clips: list[Any], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        write_kinetics(clips, tmp_path)
    assert not list(tmp_path.iterdir())


def test_another_layout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="expected openpose-18: map it with --target-layout openpose-18"):
        write_kinetics([make_clip("one")], tmp_path)
    assert not list(tmp_path.iterdir())
