"""OpenPose's and Kinetics-skeleton's JSON as it is written."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from foreign import SIZE, a_clip

from skdpipe.errors import FormatError
from skdpipe.formats.openpose_output import write_kinetics, write_openpose
from skdpipe.skeleton import Layout, PoseSequence

JOINTS = tuple(f"joint_{n}" for n in range(18))
OPENPOSE = Layout("openpose-18", JOINTS, (), "joint_1", (0.1,) * 18)


def clip(name: str = "one", *said: str | None, **shape: Any) -> PoseSequence:
    return a_clip(name, *said, layout=OPENPOSE, **shape)


def content(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def test_openpose_has_a_file_a_frame(tmp_path: Path) -> None:
    sequence = clip("one", "sit", "train", index=[0, 2, 4, 6, 8])
    keypoints = sequence.keypoints.copy()
    keypoints[1, 1] = (np.nan, np.nan, 0)
    assert write_openpose([sequence.with_keypoints(keypoints)], tmp_path) == 1
    paths = sorted((tmp_path / "train/sit/one").iterdir())
    assert [path.name for path in paths] == [f"one_{n:012d}_keypoints.json" for n in (0, 2, 4, 6, 8)]
    people = content(paths[0])["people"]
    assert [person["person_id"] for person in people] == [[0], [1]]
    read = np.reshape(people[1]["pose_keypoints_2d"], (18, 3))
    np.testing.assert_allclose(read, sequence.keypoints[0, 1], atol=1e-4)
    assert [person["person_id"] for person in content(paths[1])["people"]] == [[0]]
    unseen = np.reshape(content(paths[2])["people"][0]["pose_keypoints_2d"], (18, 3))[~sequence.seen[2, 0]]
    assert len(unseen)
    assert not unseen.any()


def test_kinetics_has_a_file_a_clip_and_one_of_labels(tmp_path: Path) -> None:
    clips = [clip("one", "sit", "train"), clip("two", "run", "val"), clip("three", "run", "train")]
    assert write_kinetics(iter(clips), tmp_path) == 3
    names = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.json")}
    assert names == {
        "kinetics_train/one.json", "kinetics_train/three.json", "kinetics_val/two.json",
        "kinetics_train_label.json", "kinetics_val_label.json",
    }  # fmt: skip
    assert content(tmp_path / "kinetics_train_label.json") == {
        "one": {"has_skeleton": True, "label": "sit", "label_index": 1},
        "three": {"has_skeleton": True, "label": "run", "label_index": 0},
    }
    read = content(tmp_path / "kinetics_train/one.json")
    assert (read["label"], read["label_index"]) == ("sit", 1)
    assert [frame["frame_index"] for frame in read["data"]] == [1, 2, 3, 4, 5]
    person = read["data"][4]["skeleton"][1]
    place = np.reshape(person["pose"], (18, 2)) * SIZE
    np.testing.assert_allclose(place, clips[0].keypoints[4, 1, :, :2], atol=0.2)
    np.testing.assert_allclose(person["score"], clips[0].keypoints[4, 1, :, 2], atol=1e-6)
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {"kinetics_train", "kinetics_val"}


def test_a_clip_cannot_lead_out_of_the_folder(tmp_path: Path) -> None:
    strange = clip("one")
    sequence = replace(strange, origin=replace(strange.origin, source="set.pkl/.."))
    write_openpose([sequence], tmp_path / "out")
    assert [path.name for path in (tmp_path / "out/sit").iterdir()] == [strange.origin.key[:16]]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("write", [write_openpose, write_kinetics])
def test_another_layout_is_refused(tmp_path: Path, write: Any) -> None:
    with pytest.raises(FormatError, match="expected openpose-18: map it with --target-layout openpose-18"):
        write([a_clip("one")], tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("clips", "message"),
    [
        ([clip("one", None)], "one has no label"),
        ([clip("one", "sit", "../up")], "split '../up' of one cannot name a file"),
        ([], "no clips for"),
    ],
)
def test_what_kinetics_cannot_hold_leaves_no_file(tmp_path: Path, clips: list[Any], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        write_kinetics(clips, tmp_path)
    assert not list(tmp_path.iterdir())
