"""PYSKL's annotation files, read and written."""

from __future__ import annotations

import pickle
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from foreign_clips import SIZE, assert_same, make_clip
from hostile_pickle import create_file, share_itself

from skdpipe.errors import FormatError
from skdpipe.formats.pyskl import find_pyskl, load_pyskl, write_pyskl
from skdpipe.skeleton import COCO_17, KINECT_20, NTU_25, PENN_13, clip_key, hide


def annotation(name: str = "S001A001", **changes: Any) -> dict[str, Any]:
    """The fields of a clip: joint j of person m in frame t is at x = 10 j + t, y = 100 m, with score 0.5."""
    people, frames, joints = 2, 3, 17
    xy = np.zeros((people, frames, joints, 2), np.float16)
    xy[..., 0] = 10 * np.arange(joints) + np.arange(frames)[:, None]
    xy[..., 1] = 100 * np.arange(people)[:, None, None]
    fields = {
        "frame_dir": name,
        "label": 7,
        "img_shape": (240, 320),
        "original_shape": (240, 320),
        "total_frames": frames,
        "keypoint": xy,
        "keypoint_score": np.full(xy.shape[:3], 0.5, np.float16),
        **changes,
    }
    return {field: value for field, value in fields.items() if value is not None}


def written(folder: Path, content: object) -> Path:
    path = folder / "set.pkl"
    path.write_bytes(pickle.dumps(content))
    return path


def test_an_annotation_by_hand(tmp_path: Path) -> None:
    path = written(tmp_path, [annotation()])
    (sequence,) = load_pyskl(path)
    assert sequence.layout == COCO_17
    assert (sequence.keypoints.shape, sequence.keypoints.dtype) == ((3, 2, 17, 3), np.float32)
    np.testing.assert_array_equal(sequence.keypoints[2, 1, 4], [42, 100, 0.5])
    assert (sequence.size, sequence.video_frames, sequence.fps) == (SIZE, 3, 30.0)
    origin = sequence.origin
    assert (origin.source, origin.key) == (str(path / "S001A001"), clip_key("S001A001"))
    assert (origin.label, origin.split, origin.estimator) == ("class_007", None, "pyskl annotation")


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_that_were_transposed_are_read(tmp_path: Path, protocol: int) -> None:
    fields = annotation()
    fields["keypoint"] = np.moveaxis(np.moveaxis(fields["keypoint"], 1, 0).copy(), 0, 1)
    (tmp_path / "set.pkl").write_bytes(pickle.dumps([fields], protocol))
    (sequence,) = load_pyskl(tmp_path / "set.pkl")
    np.testing.assert_array_equal(sequence.keypoints[2, 1, 4], [42, 100, 0.5])


def by_person(array: Any) -> Any:
    people = np.empty(len(array), object)
    for number, person in enumerate(array):
        people[number] = person
    return people


@pytest.mark.parametrize(
    "changes",
    [
        {"img_shape": [240, 320], "original_shape": [240, 320]},
        {"img_shape": np.array([240, 320]), "original_shape": None},
        {"original_shape": np.array([240, 320, 3], np.uint16)},
        {"original_shape": (np.int64(240), np.float64(320))},
        {"total_frames": np.int64(3)},
        {"total_frames": np.array(3.0)},
        {"label": np.int16(7)},
        {"label": np.array(7)},
        {"label": np.float64(7)},
        {"label": "class_007"},
        {"label": np.str_("class_007")},
        {"frame_dir": np.str_("S001A001")},
        {"keypoint": annotation()["keypoint"].astype(object)},
        {"keypoint": by_person(annotation()["keypoint"])},
        {"keypoint_score": by_person(annotation()["keypoint_score"].astype(">f8"))},
    ],
)
def test_fields_have_several_types(tmp_path: Path, changes: dict[str, Any]) -> None:
    (sequence,) = load_pyskl(written(tmp_path, [annotation(**changes)]))
    np.testing.assert_array_equal(sequence.keypoints[2, 1, 4], [42, 100, 0.5])
    origin = sequence.origin
    assert (sequence.size, origin.label, origin.key) == (SIZE, "class_007", clip_key("S001A001"))
    assert (type(origin.label), type(origin.source)) == (str, str)


@pytest.mark.parametrize(
    ("names", "keys"),
    [(("a/1", "b/2.mp4"), ("1", "2")), (("a/1", "b/1"), ("a/1", "b/1")), (("1.mp4", "2"), ("1", "2"))],
)
def test_names_with_folders(tmp_path: Path, names: tuple[str, str], keys: tuple[str, str]) -> None:
    clips = load_pyskl(written(tmp_path, [annotation(name) for name in names]))
    assert [clip.origin.key for clip in clips] == [clip_key(key) for key in keys]


def test_no_score_is_unseen_and_heat_maps_are_capped(tmp_path: Path) -> None:
    score = np.full((2, 3, 17), 0.5, np.float16)
    score[0, 1, 2], score[0, 1, 3], score[0, 1, 4] = 0, 1.25, -0.1
    xy = annotation()["keypoint"]
    xy[0, 1, 5] = np.nan
    (sequence,) = load_pyskl(written(tmp_path, [annotation(keypoint_score=score, keypoint=xy)]))
    for joint in (2, 4, 5):
        np.testing.assert_array_equal(sequence.keypoints[1, 0, joint], [np.nan, np.nan, 0])
    assert sequence.keypoints[1, 0, 3, 2] == 1
    assert (~sequence.seen).sum() == 3


@pytest.mark.parametrize("score", [None, np.full((2, 3, 25), 0.5)])
def test_three_coordinates_are_read_with_and_without_scores(tmp_path: Path, score: Any) -> None:
    points = np.random.default_rng(0).normal(0, 1, (2, 3, 25, 3)).astype(np.float16)
    points[1, 2] = 0
    changes = {"keypoint": points, "keypoint_score": score, "img_shape": None, "original_shape": None}
    (clip,) = load_pyskl(written(tmp_path, [annotation(**changes)]))
    assert (clip.layout, clip.coordinates, clip.size) == (NTU_25, 3, (0, 0))
    np.testing.assert_array_equal(clip.keypoints[:2, :, :, :3], np.moveaxis(points, 0, 1)[:2])
    assert clip.keypoints[0, 0, 0, 3] == (1 if score is None else 0.5)
    assert clip.seen[2, 1].any() == (score is not None)


def test_three_coordinates_are_written_without_scores_and_read_again(tmp_path: Path) -> None:
    keypoints = np.random.default_rng(0).normal(0, 1, (3, 2, 20, 4)).astype(np.float32)
    keypoints[..., 3] = 1
    keypoints = hide(keypoints, keypoints[..., 0] > 1)
    rows = np.arange(3, dtype=np.int32)
    clip = make_clip("a", layout=KINECT_20)
    clip = replace(clip, keypoints=keypoints, size=(0, 0), video_frames=3, frame_index=rows)
    write_pyskl([clip], tmp_path / "a.pkl")
    (read,) = load_pyskl(tmp_path / "a.pkl")
    np.testing.assert_array_equal(read.keypoints, keypoints)
    assert read.layout == KINECT_20
    with pytest.raises(FormatError, match=r"clips of 2 layouts \(coco-17, kinect-20 in 3D\)"):
        write_pyskl([clip, make_clip("b")], tmp_path / "b.pkl")


def test_a_clip_without_people(tmp_path: Path) -> None:
    empty = annotation(
        keypoint=np.zeros((0, 3, 17, 2), np.float16), keypoint_score=np.zeros((0, 3, 17), np.float16)
    )
    (sequence,) = load_pyskl(written(tmp_path, [empty]))
    assert sequence.keypoints.shape == (3, 0, 17, 3)
    assert sequence.is_empty


def test_class_names_and_layout_can_be_given(tmp_path: Path) -> None:
    xy, score = np.ones((1, 2, 13, 2)), np.ones((1, 2, 13))
    path = written(
        tmp_path, [annotation(label=np.int64(1), keypoint=xy, keypoint_score=score, total_frames=2)]
    )
    (sequence,) = load_pyskl(path, classes=("sit", "stand"), layout="penn-13", fps=25)
    assert (sequence.origin.label, sequence.layout, sequence.fps) == ("stand", PENN_13, 25)


# Splits


SPLITS = {
    "xsub_train": ["a", "b"], "xsub_val": ["c"],
    "xview_train": ["c"], "xview_val": ["a"],
}  # fmt: skip


def split_of(path: Path, split: str | None = None) -> dict[str, str | None]:
    clips = list(load_pyskl(path, split=split))
    return {Path(clip.origin.source).name: clip.origin.split for clip in clips}


def test_the_caller_chooses_the_pair(tmp_path: Path) -> None:
    path = written(tmp_path, {"split": SPLITS, "annotations": [annotation(name) for name in "abcd"]})
    assert split_of(path, "xsub") == {"a": "train", "b": "train", "c": "val"}
    assert split_of(path, "xview") == {"c": "train", "a": "val"}
    with pytest.raises(FormatError, match=r"has the splits xsub_train, .* with --split: 'xsub' or 'xview'"):
        load_pyskl(path)
    with pytest.raises(FormatError, match="'xsub' or 'xview'"):
        load_pyskl(path, split="xset")


@pytest.mark.parametrize("form", [list, tuple, np.array, lambda names: np.array(names, object)])
def test_what_is_not_in_both_is_counted(tmp_path: Path, form: Any) -> None:
    splits = {"train": form(["a", "b", "x"]), "val": form(["c", "y", "z"])}
    path = written(tmp_path, {"split": splits, "annotations": [annotation(name) for name in "abcde"]})
    counted: dict[str, int] = {}
    assert len(list(load_pyskl(path, note=counted.__setitem__))) == 3
    assert counted == {
        "clips are in no split of the pair and are left out": 2,
        "names of the split have no clip": 3,
    }


@pytest.mark.parametrize(
    ("names", "split", "test_split"),
    [
        (("train", "val"), "", "val"),
        (("train1", "test1"), "1", "test"),
        (("xset_train", "xset_val"), "xset", "val"),
    ],
)
def test_a_single_pair_is_chosen_by_default(
    tmp_path: Path, names: tuple[str, str], split: str, test_split: str
) -> None:
    splits = {names[0]: ["a"], names[1]: ["b"]}
    path = written(tmp_path, {"split": splits, "annotations": [annotation("a"), annotation("b")]})
    assert split_of(path) == split_of(path, split) == {"a": "train", "b": test_split}


@pytest.mark.parametrize(
    ("split", "wanted", "message"),
    [
        ({"train": ["a"], "val": ["a"]}, None, "clip 'a' is in both splits"),
        ({"one": ["a"]}, None, "has the splits one; .* there is none of train and val or test"),
        ({"train": 5}, None, "split train is of type int; expected a list of clips by name"),
        ({"train": [["a"]]}, None, "split train is of type list; expected a list of clips by name"),
        ([1], None, "has a split of type list"),
        (None, "xsub", "has no splits, but split 'xsub' was given"),
    ],
)
def test_invalid_splits_are_refused(tmp_path: Path, split: object, wanted: str | None, message: str) -> None:
    path = written(tmp_path, {"split": split, "annotations": [annotation("a")]})
    with pytest.raises(FormatError, match=message):
        load_pyskl(path, split=wanted)


# Broken annotations


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frame_dir": None}, "clip number 1 has no frame_dir"),
        (
            {"keypoint": np.full((2, 3, 25, 3), (320, 200, 0.9)), "keypoint_score": None},
            "looks like x, y in pixels and a score; expected the score in keypoint_score",
        ),
        (
            {"keypoint": np.zeros((2, 3, 25, 2)), "keypoint_score": np.zeros((2, 3, 25))},
            "25 joints, which ntu-25 and body-25 have; name the right one with --layout",
        ),
        ({"keypoint": None, "raw_file": "kp/1.pkl"}, "keeps its keypoints in 'kp/1.pkl'"),
        ({"keypoint": None}, "keypoint nothing; expected numbers"),
        ({"keypoint": [[1.0]]}, "keypoint of type list; expected numbers"),
        ({"keypoint": np.zeros((3, 17, 2))}, r"keypoint float64 of shape \(3, 17, 2\); expected numbers"),
        ({"keypoint": np.full((2, 3, 17, 2), "a")}, "keypoint <U1 of shape"),
        ({"keypoint_score": None}, r"keypoint_score nothing; expected numbers of shape \(2, 3, 17\)"),
        ({"keypoint_score": np.zeros((2, 3, 16))}, r"expected numbers of shape \(2, 3, 17\)"),
        ({"total_frames": 9}, "9 total_frames, but keypoints for 3"),
        ({"total_frames": np.arange(3)}, "total_frames, but keypoints for 3"),
        ({"original_shape": None, "img_shape": None}, "original_shape None; expected the image's height"),
        ({"original_shape": (0, 320)}, "expected the image's height"),
        ({"original_shape": 5}, "expected the image's height"),
        ({"keypoint": np.array([[1, "a"]], object)}, "keypoint object of shape"),
        ({"label": 10**5000}, "label a huge int; expected the number"),
        ({"label": True}, "label True; expected the number"),
        ({"label": 1.5}, "label 1.5; expected the number"),
        ({"label": "z"}, "class z is not in the label map"),
        ({"label": None}, "label None; expected the number of a class"),
        ({"label": -1}, "label -1; expected the number of a class"),
        ({"label": 8}, "label 8, but 8 class names"),
        (
            {"keypoint": np.zeros((2, 3, 7, 2)), "keypoint_score": np.zeros((2, 3, 7))},
            "7 joints; expected one",
        ),
    ],
)
def test_a_broken_annotation_is_refused_and_the_next_is_read(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    path = written(tmp_path, [annotation("bad", **changes), annotation("good", label=0)])
    clips = load_pyskl(path, classes=tuple("abcdefgh"))
    with pytest.raises(FormatError, match=message) as caught:
        next(clips)
    assert "\n" not in str(caught.value)
    assert [clip.origin.label for clip in clips] == ["a"]


@pytest.mark.parametrize("content", [5, {"annotations": 5}, {"split": {}}, "text"])
def test_what_has_no_annotations_is_refused(tmp_path: Path, content: object) -> None:
    with pytest.raises(FormatError, match="expected a list of annotations"):
        load_pyskl(written(tmp_path, content))


def test_a_layout_of_other_joints_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="17 joints, but layout penn-13 has 13"):
        next(load_pyskl(written(tmp_path, [annotation()]), layout="penn-13"))


def one_object(value: object) -> Any:
    array = np.empty(1, object)
    array[0] = value
    return array


def containing_itself() -> list[Any]:
    values: list[Any] = []
    values.append(values)
    return values


@pytest.mark.parametrize("name", ["label", "frame_dir", "total_frames", "original_shape", "keypoint"])
@pytest.mark.parametrize(
    "value",
    [
        10**5000,
        -(10**5000),
        float("nan"),
        float("inf"),
        share_itself(),
        (share_itself(), 3),
        containing_itself(),
        one_object(share_itself()),
        {"a": share_itself()},
        b"bytes",
        np.zeros((0, 10**9)),
        np.zeros((10**9, 0, 17, 2)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_malformed_value_is_the_failure_of_its_clip(tmp_path: Path, name: str, value: Any) -> None:
    clips = load_pyskl(written(tmp_path, [annotation("bad", **{name: value}), annotation("good")]))
    with pytest.raises(FormatError) as caught:
        next(clips)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < len(str(tmp_path)) + 200
    assert next(clips).origin.key == clip_key("good")


@pytest.mark.parametrize("name", ["\ud800", "a" * 10_000_000, ".pkl" * 100_000, ""])
def test_a_name_that_cannot_be_written_is_the_failure_of_its_clip(tmp_path: Path, name: str) -> None:
    clips = load_pyskl(written(tmp_path, [annotation(name), annotation("good")]))
    with pytest.raises(FormatError, match="clip number 1 has no frame_dir"):
        next(clips)
    assert next(clips).origin.key == clip_key("good")


def test_clips_that_share_an_array_are_bounded(tmp_path: Path) -> None:
    keypoint, score = np.ones((1, 9000, 17, 2), np.float32), np.ones((1, 9000, 17), np.float32)
    shared = {"keypoint": keypoint, "keypoint_score": score, "total_frames": None}
    clips = load_pyskl(written(tmp_path, [annotation(f"clip{number}", **shared) for number in range(30)]))
    assert len(list(islice(clips, 6))) == 6
    with pytest.raises(FormatError, match="expected an array of its own for each clip"):
        list(clips)


def test_one_annotation_many_times_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"has 5000 clips in \d+ bytes"):
        load_pyskl(written(tmp_path, [annotation()] * 5000))


def test_very_many_splits_are_not_listed(tmp_path: Path) -> None:
    splits = {f"train{number}": [] for number in range(10_000)}
    with pytest.raises(FormatError, match="has the splits train0") as caught:
        load_pyskl(written(tmp_path, {"split": splits, "annotations": [annotation()]}))
    assert len(str(caught.value)) < len(str(tmp_path)) + 300


def test_a_hostile_file_runs_nothing(tmp_path: Path) -> None:
    content = {"annotations": [annotation()], "more": create_file(tmp_path / "trace")}
    with pytest.raises(FormatError, match=r"set\.pkl: the pickle names \w+\.system and could run it"):
        load_pyskl(written(tmp_path, content))
    assert not (tmp_path / "trace").exists()


# Writing


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    clips = [make_clip("one", "sit", "train"), make_clip("two", "run", "test", frames=7, people=1)]
    assert write_pyskl(iter(clips), tmp_path / "out.pkl") == 2
    read = list(load_pyskl(tmp_path / "out.pkl", classes=("run", "sit")))
    for sequence, clip in zip(read, clips, strict=True):
        assert_same(sequence, clip)
    assert (tmp_path / "out.classes.txt").read_text() == "run\nsit\n"


def test_a_file_has_the_toolboxes_fields(tmp_path: Path) -> None:
    clip = make_clip("one", "sit", "train")
    write_pyskl([clip], tmp_path / "out.pkl")
    content = pickle.loads((tmp_path / "out.pkl").read_bytes())
    assert content["split"] == {"train": ["one"]}
    (found,) = content["annotations"]
    xy, score = found.pop("keypoint"), found.pop("keypoint_score")
    expected = {"img_shape": (240, 320), "original_shape": (240, 320), "total_frames": 5, "label": 0}
    assert found == {"frame_dir": "one", **expected}
    assert type(found["label"]) is int
    assert (xy.shape, xy.dtype, score.shape, score.dtype) == (
        (2, 5, 17, 2),
        np.float32,
        (2, 5, 17),
        np.float32,
    )
    assert np.isfinite(xy).all()
    np.testing.assert_array_equal(xy[1, 0, 3], clip.keypoints[0, 1, 3, :2])
    np.testing.assert_array_equal(score[1], clip.keypoints[:, 1, :, 2])


def test_without_splits_it_is_a_list(tmp_path: Path) -> None:
    write_pyskl([make_clip("one")], tmp_path / "out.pkl")
    assert isinstance(pickle.loads((tmp_path / "out.pkl").read_bytes()), list)


def test_numbered_classes_keep_their_numbers(tmp_path: Path) -> None:
    write_pyskl([make_clip("one", "class_003"), make_clip("two", "class_001")], tmp_path / "out.pkl")
    labels = [each["label"] for each in pickle.loads((tmp_path / "out.pkl").read_bytes())]
    assert labels == [3, 1]
    assert (tmp_path / "out.classes.txt").read_text().split() == [f"class_00{n}" for n in range(4)]


def test_clips_of_the_same_name_get_different_names(tmp_path: Path) -> None:
    one, other = make_clip("1", "sit"), make_clip("1", "run", frames=6)
    write_pyskl([one, other], tmp_path / "out.pkl")
    names = [each["frame_dir"] for each in pickle.loads((tmp_path / "out.pkl").read_bytes())]
    assert names == ["1", f"1-{clip_key('1')[:12]}"]


@pytest.mark.parametrize(
    ("clips", "message"),
    [
        ([make_clip("one", None)], "one has no label"),
        ([make_clip("one", "fly")], "class fly is not in the label map"),
        ([make_clip("one"), make_clip("two", layout=PENN_13)], r"2 layouts \(coco-17, penn-13\)"),
        ([], "0 layouts"),
    ],
)
def test_what_cannot_be_written_leaves_no_file(tmp_path: Path, clips: list[Any], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        write_pyskl(clips, tmp_path / "out.pkl", classes=("sit", "run"))
    assert not list(tmp_path.iterdir())


def test_files_are_found(tmp_path: Path) -> None:
    path = written(tmp_path, [])
    assert find_pyskl(tmp_path) == find_pyskl(path) == (path,)
    with pytest.raises(FormatError, match="no annotation pickle at"):
        find_pyskl(tmp_path / "none")
