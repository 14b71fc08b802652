"""Which format a file or folder of skeletons has, and whether a path holds videos."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from foreign_clips import CLIPS, make_clip
from hypothesis import given
from hypothesis import strategies as st
from moving_body import ACTIONS, write_action_video

from skdpipe.errors import ConfigError, DataError, FormatError
from skdpipe.extraction import VideoList
from skdpipe.formats import save_poses
from skdpipe.formats.catalogue import FORMATS, TARGETS
from skdpipe.formats.format import Format
from skdpipe.formats.recognise import format_of, json_keys, recognise
from skdpipe.skeleton import COCO_17, OPENPOSE_18

PERSON = {"keypoints": [1, 2, 1] * 17, "score": 1}
JSON: dict[str, tuple[str, Any]] = {  # the format and the content
    "results": ("coco", [{"image_id": 1, "category_id": 1, **PERSON}]),
    "nobody": ("coco", []),
    "ground truth": ("coco", {"info": {"people": 3}, "images": [], "annotations": []}),
    "alphapose cmu": ("coco", {"0.jpg": {"version": "AlphaPose v0.3", "bodies": []}}),
    "alphapose open": (
        "coco",
        {"0.jpg": {"version": 0.1, "people": [{"pose_keypoints_2d": [1, 2, 1] * 18}]}},
    ),
    "openpifpaf": ("openpifpaf", {"frame": 1, "predictions": [PERSON]}),
    "openpose": ("openpose", {"version": 1.3, "people": []}),
    "kinetics": ("kinetics", {"data": [{"frame_index": 1, "skeleton": []}], "label": "a", "label_index": 0}),
    "kinetics labels": ("kinetics", {"abc": {"has_skeleton": True, "label": "a", "label_index": 0}}),
    "nw-ucla": ("nw-ucla", {"file_name": "a01", "skeletons": [[[0, 0, 0]]], "label": 1}),
}


def write_json(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize("name", JSON)
@pytest.mark.parametrize("folder", [True, False])
def test_a_json_file_shows_its_format_by_its_keys(tmp_path: Path, name: str, folder: bool) -> None:
    expected, content = JSON[name]
    path = write_json(tmp_path / "in/poses.json", content)
    assert format_of(path.parent if folder else path, None).name == expected


def test_lines_and_a_byte_order_mark_are_read(tmp_path: Path) -> None:
    line = json.dumps({"frame": 1, "predictions": []})
    (tmp_path / "a.jsonl").write_text(f"\n{line}\n{line}\n", encoding="utf-8-sig")
    assert format_of(tmp_path / "a.jsonl", None).name == "openpifpaf"


def test_only_the_start_of_a_large_file_is_read(tmp_path: Path) -> None:
    with (tmp_path / "a.json").open("wb") as file:
        file.write(b'[{"image_id": 1')
        file.truncate(10**10)  # of which the file system stores nothing
    assert format_of(tmp_path / "a.json", None).name == "coco"


@pytest.mark.parametrize("name", [each.name for each in TARGETS])
def test_what_is_written_shows_its_format(tmp_path: Path, name: str) -> None:
    layout = OPENPOSE_18 if name in {"openpose", "kinetics"} else COCO_17
    clips = [make_clip("one", "sit", "train", layout=layout), make_clip("two", "run", "val", layout=layout)]
    where = {"cache": "out/high/set", "pyskl": "out/set.pkl", "coco": "out/found.json"}.get(name, "out")
    save_poses(clips, tmp_path / where, name)
    assert format_of(tmp_path / where, None).name == name
    assert format_of(tmp_path / "out", None).name == name


def test_arrays_show_their_format_by_their_axes(tmp_path: Path) -> None:
    for axes, name in ((4, "skd"), (5, "st-gcn")):
        np.save(tmp_path / "a.npy", np.zeros([1] * axes, np.float32))
        assert format_of(tmp_path / "a.npy", None).name == name
    np.save(tmp_path / "a.npy", np.zeros(3))
    with pytest.raises(
        ConfigError, match=r"a\.npy is not clear \(an array of 1 axes\); name one with --format"
    ):
        format_of(tmp_path / "a.npy", None)
    np.savez(tmp_path / "b.npz", np.zeros(3))
    with pytest.raises(FormatError, match=r"b\.npz is an archive of arrays; expected one array in a \.npy"):
        format_of(tmp_path / "b.npz", None)


def test_labels_of_an_array_are_not_annotations(tmp_path: Path) -> None:
    save_poses(CLIPS[:1], tmp_path / "arrays", "st-gcn")
    assert format_of(tmp_path / "arrays/train_label.pkl", None).name == "st-gcn"
    save_poses(CLIPS[:1], tmp_path / "set_label.pkl", "pyskl")
    assert format_of(tmp_path / "set_label.pkl", None).name == "pyskl"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('{"x": 1, "y": [{"people": 1}]}', "JSON with 'x', 'y', 'y[].people'"),
        ("no json", "no JSON with keys at its start"),
        ("", "no JSON with keys at its start"),
        ("{}", "no JSON with keys at its start"),
    ],
)
def test_what_shows_no_format_is_refused(tmp_path: Path, content: str, expected: str) -> None:
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(ConfigError) as caught:
        format_of(tmp_path / "a.json", None)
    known = ", ".join(each.name for each in FORMATS)
    assert str(caught.value) == (
        f"the format of {tmp_path}/a.json is not clear ({expected}); name one with --format: {known}"
    )
    assert format_of(tmp_path / "a.json", "coco").name == "coco"


def test_several_formats_are_refused_with_their_names(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"people": [], "skeletons": []})
    with pytest.raises(
        ConfigError, match=r"holds openpose \(a\.json\) and nw-ucla \(a\.json\); name the one"
    ):
        format_of(tmp_path / "a.json", None)
    write_json(tmp_path / "b/a.json", JSON["results"][1])
    write_json(tmp_path / "b/c.json", JSON["kinetics"][1])
    with pytest.raises(ConfigError, match=r"holds coco \(a\.json\) and kinetics \(c\.json\); name the one"):
        recognise(tmp_path / "b")


def test_a_damaged_file_does_not_hide_the_format_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(b"no")
    np.save(tmp_path / "b.npy", np.zeros((17, 3, 2, 1), np.float32))
    assert format_of(tmp_path, None).name == "skd"


# Videos


def name_of(found: VideoList | Format) -> str:
    return "videos" if isinstance(found, VideoList) else found.name


def test_videos_win_and_what_is_left_out_is_named(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", [])
    write_json(tmp_path / ".hidden/b.json", {"people": []})
    assert name_of(recognise(tmp_path)) == "coco"
    video = write_action_video(tmp_path / "a.mp4", ACTIONS[0])
    found = recognise(tmp_path)
    assert isinstance(found, VideoList)
    assert [item.path for item in found] == [video]
    assert found.left_out == (f"{tmp_path}/a.json: not a video by its ending .json",)
    assert name_of(recognise(tmp_path, "openpose")) == "openpose"
    assert name_of(recognise(video, "openpose")) == "videos"
    assert name_of(recognise(tmp_path / "a.json", None)) == "coco"


def test_neither_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(
        DataError, match=r"holds no videos; expected files .*not a video by its ending \.txt$"
    ):
        recognise(tmp_path)
    with pytest.raises(DataError, match="gone does not exist; expected a video"):
        recognise(tmp_path / "gone")
    with pytest.raises(
        FormatError, match=r"gone\.json cannot be read \(No such file or directory\); expected"
    ):
        recognise(tmp_path / "gone.json")


# Keys


def keys_by_python(value: Any) -> set[str]:
    """`json_keys` by Python's own reader."""
    if isinstance(value, list):
        keys = {f"[].{key}" for each in value if isinstance(each, dict) for key in each}
        return keys if value else {"[]"}
    found: set[str] = set()
    for key, below in value.items() if isinstance(value, dict) else ():
        found.add(key)
        if isinstance(below, dict):
            found |= {f"{{}}.{inner}" for inner in below}
        if isinstance(below, list):
            found |= {f"{key}[].{inner}" for each in below if isinstance(each, dict) for inner in each}
    return found


KEYS = st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters='"\\'))  # without escapes
ATOMS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
VALUES = st.recursive(
    ATOMS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3)
)


@given(VALUES)
def test_the_keys_are_those_that_python_reads(value: Any) -> None:
    assert json_keys(json.dumps(value, ensure_ascii=False)) == keys_by_python(value)


@given(VALUES, st.integers(0, 40))
def test_a_text_that_is_cut_off_has_some_of_the_keys(value: Any, length: int) -> None:
    text = json.dumps(value)
    assert json_keys(text[:length]) <= json_keys(text)


def test_the_index_of_imports_is_no_list_of_results(tmp_path: Path) -> None:
    save_poses(CLIPS[:1], tmp_path / "low/set", "cache")
    (tmp_path / "index.jsonl").write_text('["low","set","walk.json"]\n')
    assert format_of(tmp_path, None).name == "cache"
