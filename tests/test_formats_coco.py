"""COCO's keypoint results: clips of images, person indices, damaged files."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from foreign_clips import SIZE, assert_same, make_clip

from skdpipe.errors import DataError, FormatError
from skdpipe.formats.coco import find_coco, load_coco, write_coco
from skdpipe.formats.format import Surroundings
from skdpipe.skeleton import COCO_17, OPENPOSE_18, PENN_13, PoseSequence, clip_key


def person(x: float = 10, confidence: float = 0.5, joints: int = 17, **changes: Any) -> dict[str, Any]:
    """A person with all joints at one point."""
    return {"category_id": 1, "keypoints": [x, 20, confidence] * joints, "score": 0.9, **changes}


def results(folder: Path, *found: Any) -> Path:
    path = folder / "found.json"
    path.write_text(json.dumps(list(found)), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("folder", "label", "split"),
    [
        ("wave/", "wave", None),
        ("Train/wave/", "wave", "train"),
        ("/home/me/train/wave/", "wave", "train"),
        ("C:\\data\\test\\wave\\", "wave", "test"),
        ("/home/me/wave/", None, None),
    ],
)
def test_several_clips_in_a_folder_are_separate(
    tmp_path: Path, folder: str, label: str | None, split: str | None
) -> None:
    found = [
        person(100 * clip, image_id=f"{folder}clip{clip}_{n:03d}.jpg") for clip in (1, 2) for n in range(3)
    ]
    clips = list(load_coco(results(tmp_path, *found), size=(640, 480)))
    assert [(clip.origin.label, clip.origin.split) for clip in clips] == [(label, split)] * 2
    assert [clip.keypoints[:, :, 0, 0].tolist() for clip in clips] == [[[100.0]] * 3, [[200.0]] * 3]
    assert [Path(clip.origin.source).name for clip in clips] == ["clip1", "clip2"]


def images(folder: Path, *names: str, **changes: Any) -> Path:
    path = folder / "images.json"
    listed = [
        {"id": n, "file_name": name, "width": 320, "height": 240, **changes}
        for n, name in enumerate(names, 100)
    ]
    path.write_text(json.dumps({"images": listed}), encoding="utf-8")
    return path


def only(path: Path, **options: Any) -> PoseSequence:
    (sequence,) = load_coco(path, **options)
    return sequence


def test_images_become_clips(tmp_path: Path) -> None:
    path = results(tmp_path, person(12, image_id=102), person(11, image_id=101), person(30, image_id=103))
    names = ("sit/a/0000.jpg", "sit/a/0001.jpg", "sit/a/0003.jpg", "test/run/b/000000.png")
    first, second = load_coco(path, images=images(tmp_path, *names), fps=25)
    assert first.layout == COCO_17
    np.testing.assert_array_equal(first.frame_index, [0, 1, 3])
    assert (first.video_frames, first.size, first.fps) == (4, SIZE, 25)
    assert first.keypoints.shape == (3, 1, 17, 3)
    assert not first.seen[0].any()
    np.testing.assert_array_equal(first.keypoints[1:, 0, 0], [(11, 20, 0.5), (12, 20, 0.5)])
    assert (first.origin.label, first.origin.split, first.origin.key) == ("sit", None, clip_key("a"))
    assert (second.origin.label, second.origin.split, second.origin.key) == ("run", "test", clip_key("b"))


def test_images_that_begin_with_number_one_count_from_one(tmp_path: Path) -> None:
    names = images(tmp_path, "a/1.jpg", "a/2.jpg")
    sequence = only(results(tmp_path, person(image_id=101)), images=names)
    np.testing.assert_array_equal(sequence.frame_index, [0, 1])
    assert sequence.seen.any(axis=(1, 2)).tolist() == [False, True]


def test_names_without_folders(tmp_path: Path) -> None:
    names = images(tmp_path, "walk_7_000.jpg", "walk_7_001.jpg", "rest-000.jpg")
    first, second = load_coco(results(tmp_path), images=names)
    assert [clip.origin.key for clip in (first, second)] == [clip_key("walk_7"), clip_key("rest")]
    assert (first.keypoints.shape, first.origin.label) == ((2, 0, 17, 3), None)


def test_ids_that_are_numbers_are_frames(tmp_path: Path) -> None:
    sequence = only(results(tmp_path, person(image_id=2), person(image_id=0)), size=SIZE)
    np.testing.assert_array_equal(sequence.frame_index, [0, 1, 2])
    assert sequence.seen.any(axis=(1, 2)).tolist() == [True, False, True]
    assert (sequence.origin.key, sequence.origin.label) == (clip_key("found"), None)


def test_ids_that_are_text_are_file_names(tmp_path: Path) -> None:
    path = results(tmp_path, person(image_id="train/sit/a/000001.jpg"), person(image_id="b/0.jpg"))
    first, second = load_coco(path, size=SIZE)
    assert (first.origin.label, first.origin.split, first.origin.key) == ("sit", "train", clip_key("a"))
    assert (len(first.keypoints), len(second.keypoints)) == (2, 1)


def test_clips_of_one_name_in_class_folders_are_separate(tmp_path: Path) -> None:
    path = results(tmp_path, person(image_id="x/a/0.jpg"), person(30, image_id="y/a/0.jpg"))
    for clips in (
        load_coco(path, size=SIZE),
        load_coco(
            results(tmp_path, person(image_id=100), person(30, image_id=101)),
            images=images(tmp_path, "x/a/0.jpg", "y/a/0.jpg"),
        ),
    ):
        first, second = clips
        assert [clip.origin.key for clip in (first, second)] == [clip_key("x/a"), clip_key("y/a")]
        assert [clip.origin.label for clip in (first, second)] == ["x", "y"]
        assert [clip.keypoints[0, 0, 0, 0] for clip in (first, second)] == [10, 30]


def test_people_are_tracked_whatever_their_order(tmp_path: Path) -> None:
    left = [person(50 + 2 * t, image_id=t) for t in range(4)]
    right = [person(250, image_id=t) for t in range(4)]
    path = results(tmp_path, left[0], right[0], right[1], left[1], left[2], right[2], right[3], left[3])
    sequence = only(path, size=SIZE)
    np.testing.assert_array_equal(sequence.keypoints[:, 0, 0, 0], [50, 52, 54, 56])
    np.testing.assert_array_equal(sequence.keypoints[:, 1, 0, 0], [250] * 4)


def test_track_numbers_are_used(tmp_path: Path) -> None:
    path = results(tmp_path, person(50, image_id=0, track_id=9), person(50, image_id=1, track_id=4))
    sequence = only(path, size=SIZE)
    assert sequence.seen.any(axis=2).tolist() == [[False, True], [True, False]]


def test_other_categories_and_flags(tmp_path: Path) -> None:
    dog = {"image_id": 0, "category_id": 18, "bbox": [0, 0, 1, 1], "score": 0.5}
    flagged = person(10, 2, image_id=0)
    flagged["keypoints"][:3] = [0, 0, 0]
    sequence = only(results(tmp_path, dog, flagged), size=SIZE)
    assert sequence.people == 1
    assert sequence.seen.sum() == 16
    assert sequence.keypoints[..., 2].max() == 1


def notes() -> tuple[Counter[str], Surroundings]:
    counted = Counter[str]()
    return counted, Surroundings(note=lambda what, count: counted.update({what: count}))


@pytest.mark.parametrize("category", [0, 1, 7, None, "person"])
def test_the_only_category_is_the_person(tmp_path: Path, category: Any) -> None:
    """Ultralytics writes 0."""
    counted, around = notes()
    found = [person(image_id=n, category_id=category) for n in range(2)]
    for each in found:
        if category is None:
            del each["category_id"]
    sequence = only(results(tmp_path, *found), size=SIZE, around=around)
    assert (sequence.people, int(sequence.seen.sum())) == (1, 34)
    assert counted.total() == 0


def test_results_without_a_category_are_people(tmp_path: Path) -> None:
    found = [person(image_id=0, category_id=0), person(30, image_id=1, category_id=None)]
    assert only(results(tmp_path, *found), size=SIZE).seen.any(axis=2).sum() == 2


@pytest.mark.parametrize(
    ("present", "names", "kept"),
    [
        ((1, 18), {}, 1),
        ((0, 16), {}, 0),
        ((0, 1), {}, 1),
        ((3, 8), {3: "dog", 8: "Person"}, 8),
        ((1, 3), {1: "dog", 3: "person"}, 3),
    ],
)
def test_of_several_categories_one_is_the_person(
    tmp_path: Path, present: tuple[int, int], names: dict[int, str], kept: int
) -> None:
    counted, around = notes()
    found = [person(10 * each, image_id=100, category_id=each) for each in present]
    listed = images(tmp_path, "a/0.jpg")
    content = json.loads(listed.read_text())
    listed.write_text(
        json.dumps({**content, "categories": [{"id": n, "name": name} for n, name in names.items()]})
    )
    sequence = only(results(tmp_path, *found), images=listed, around=around)
    assert sequence.keypoints[0, :, 0, 0].tolist() == [10 * kept]
    assert list(counted.values()) == [1]


@pytest.mark.parametrize(
    ("present", "names"), [((3, 5), {}), ((18,), {1: "person", 18: "dog"}), ((2, 3), {1: "person", 2: "cat"})]
)
def test_results_of_no_person_are_refused(
    tmp_path: Path, present: tuple[int, ...], names: dict[int, str]
) -> None:
    listed = images(tmp_path, "a/0.jpg")
    content = json.loads(listed.read_text())
    listed.write_text(
        json.dumps({**content, "categories": [{"id": n, "name": name} for n, name in names.items()]})
    )
    path = results(tmp_path, *[person(image_id=100, category_id=each) for each in present])
    with pytest.raises(FormatError, match=r"results of category .*; expected one that is the person"):
        load_coco(path, images=listed)


@pytest.mark.parametrize("field", ["track_id", "idx", "person_id"])
@pytest.mark.parametrize("form", [int, float, lambda n: [n], lambda n: [float(n)]])
def test_track_numbers_have_several_names_and_forms(tmp_path: Path, field: str, form: Any) -> None:
    path = results(
        tmp_path,
        person(50, image_id=0, **{field: form(9)}),
        person(52, image_id=1, **{field: form(4)}),
        person(54, image_id=2, **{field: form(9)}),
    )
    assert only(path, size=SIZE).seen.any(axis=2).tolist() == [[False, True], [True, False], [False, True]]


def test_numbers_that_are_all_zero_are_of_no_tracker(tmp_path: Path) -> None:
    found = [person(x, image_id=t, idx=0.0) for t in range(2) for x in (50 + t, 250)]
    keypoints = only(results(tmp_path, *found), size=SIZE).keypoints
    assert keypoints[:, :, 0, 0].tolist() == [[50, 250], [51, 250]]


# AlphaPose


def alphapose(folder: Path, content: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "alphapose-results.json"
    path.write_text(json.dumps(content))
    return path


def test_a_file_that_alphapose_named_is_the_clip_of_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = alphapose(tmp_path / "v1", [person(image_id=f"{n}.jpg", score=3.1, idx=1) for n in range(12)])
    sequence = only(path, size=SIZE)
    assert (sequence.origin.key, len(sequence.keypoints)) == (clip_key("v1"), 12)
    monkeypatch.chdir(tmp_path / "v1")
    assert only(Path("alphapose-results.json"), size=SIZE).origin.key == clip_key("v1")


@pytest.mark.parametrize(("people", "joints"), [("bodies", "joints"), ("people", "pose_keypoints_2d")])
def test_alphaposes_other_forms_are_read(tmp_path: Path, people: str, joints: str) -> None:
    content = {
        f"{n}.jpg": {"version": "AlphaPose v0.3", people: [{joints: [50.0 + n, 60.0, 0.9] * 18}]}
        for n in range(11)
    }
    sequence = only(alphapose(tmp_path / "v1", content), size=SIZE)
    assert sequence.layout == OPENPOSE_18
    assert sequence.keypoints[:, 0, 0, 0].tolist() == [50.0 + n for n in range(11)]
    (tmp_path / "one.json").write_text(json.dumps(content["0.jpg"]))
    with pytest.raises(FormatError, match=r"is one frame and not a list; .*import openpose"):
        load_coco(tmp_path / "one.json", size=SIZE)


# Ground truth


def test_ground_truth_has_visibilities(tmp_path: Path) -> None:
    listed = json.loads(images(tmp_path, "train/sit/a/0.jpg", "train/sit/a/1.jpg").read_text())
    keypoints = [10, 20, 2] + [30, 40, 1] + [0, 0, 0] * 15
    people = [
        {"image_id": 100, "category_id": 1, "keypoints": keypoints, "num_keypoints": 2, "iscrowd": 0},
        {"image_id": 100, "category_id": 1, "keypoints": [0] * 51, "num_keypoints": 0, "iscrowd": 0},
        {"image_id": 101, "category_id": 1, "keypoints": [5, 5, 2] * 17, "num_keypoints": 17, "iscrowd": 1},
    ]
    (tmp_path / "truth.json").write_text(
        json.dumps({**listed, "annotations": people, "categories": [{"id": 1, "name": "person"}]})
    )
    counted, around = notes()
    sequence = only(tmp_path / "truth.json", around=around)
    assert sequence.keypoints.shape == (2, 1, 17, 3)
    np.testing.assert_array_equal(sequence.keypoints[0, 0, :2], [(10, 20, 1), (30, 40, 0.5)])
    assert int(sequence.seen.sum()) == 2
    assert (sequence.origin.label, sequence.origin.split, sequence.size) == ("sit", "train", SIZE)
    assert dict(+counted) == {"annotations of crowds or without keypoints are left out": 2}


@pytest.mark.parametrize("sizes", [((640, 480), (480, 640)), ((640, 480), (640, 480))])
def test_photos_are_not_a_clip(tmp_path: Path, sizes: tuple[tuple[int, int], ...]) -> None:
    listed = [
        {"id": n, "file_name": f"{n:012d}.jpg", "width": width, "height": height}
        for n, (width, height) in zip((139, 397133), sizes, strict=True)
    ]
    (tmp_path / "truth.json").write_text(json.dumps({"images": listed, "annotations": []}))
    with pytest.raises(FormatError, match=r"frames of (videos cannot|a video)"):
        list(load_coco(tmp_path / "truth.json"))


def test_a_frame_far_away_is_refused_before_memory_is_used(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="clip found of 1 images has a frame 3000000; expected numbers"):
        only(results(tmp_path, person(image_id=3_000_000)), size=SIZE)


def test_a_folder_of_results_is_searched(tmp_path: Path) -> None:
    first, second = (alphapose(tmp_path / "wave" / name, [person(image_id=0)]) for name in ("v1", "v2"))
    alphapose(tmp_path / "wave/v1/sep-json", {}).rename(tmp_path / "wave/v1/sep-json/0.json")
    (tmp_path / "found.images.json").write_text("{}")
    assert find_coco(tmp_path) == (first, second)


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (5, "result 0 is of image None"),
        (person(), "result 0 is of image None"),
        (person(image_id=-1), "result 0 is of image -1"),
        (person(image_id="a/x.jpg"), "result 0 is of image 'a/x.jpg'"),
        (
            person(image_id=0, keypoints=[1, 2]),
            r"clip found: keypoints \[1, 2\]; expected x, y, c of each joint",
        ),
        (person(image_id=0, keypoints="abc"), "expected x, y, c of each joint"),
        (person(image_id=0, keypoints=[[1, 2, 3]]), "expected x, y, c of each joint"),
        (person(image_id=0, keypoints=None), "keypoints None; expected x, y, c"),
        (person(image_id=0, joints=5), "5 joints; expected one of"),
        (person(image_id=0, category_id=[1]), r"category_id \[1\]; expected a number"),
        (person(image_id=0, track_id="me"), "track_id 'me'; expected a whole number"),
        (person(image_id=10**8), "has a frame 100000000; expected numbers of frames"),
    ],
)
def test_broken_results_are_refused(tmp_path: Path, found: Any, message: str) -> None:
    with pytest.raises(FormatError, match=message) as caught:
        list(load_coco(results(tmp_path, found), size=SIZE))
    assert "\n" not in str(caught.value)


def test_a_broken_clip_does_not_stop_the_next(tmp_path: Path) -> None:
    path = results(tmp_path, person(image_id="a/0.jpg", keypoints=[1]), person(image_id="b/0.jpg"))
    clips = load_coco(path, size=SIZE)
    with pytest.raises(FormatError, match=r"clip a: keypoints"):
        next(clips)
    assert [clip.origin.key for clip in clips] == [clip_key("b")]


def test_different_numbers_of_joints_and_repeated_track_numbers(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="people of 13 and of 17 joints"):
        only(results(tmp_path, person(image_id=0), person(image_id=0, joints=13)), size=SIZE)
    with pytest.raises(FormatError, match="track number occurs twice in one frame"):
        only(results(tmp_path, *[person(image_id=0, track_id=1)] * 2), size=SIZE)
    with pytest.raises(FormatError, match="17 joints, but layout penn-13 has 13"):
        only(results(tmp_path, person(image_id=0)), size=SIZE, layout="penn-13")
    with pytest.raises(DataError, match="no layout 'cocoa'"):
        only(results(tmp_path, person(image_id=0)), size=SIZE, layout="cocoa")


def test_the_size_must_be_known(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="the size of the images is unknown; give --images or --size"):
        only(results(tmp_path, person(image_id=0)))


@pytest.mark.parametrize(
    ("names", "changes", "message"),
    [
        (("a/b.jpg",), {}, "image 0 is .* file_name that ends in"),
        (("a/0.jpg",), {"width": 0}, "expected id, width, height"),
        (("a/0.jpg",), {"id": None}, "expected id, width, height"),
        (("a/0.jpg", "a/1.jpg"), {"id": 5}, "has two images of id 5"),
        (("a/0.jpg", "a/00.jpg"), {}, "does not fit the images of clip a before it"),
        (("0.jpg", "1.jpg"), {"width": 0.5}, "expected id, width, height"),
    ],
)
def test_broken_images_are_refused(
    tmp_path: Path, names: tuple[str, ...], changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(FormatError, match=message):
        load_coco(results(tmp_path), images=images(tmp_path, *names, **changes))


def test_invalid_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "found.json"
    with pytest.raises(FormatError, match="no file at"):
        find_coco(path)
    for content, message in (("{}", "is not a list"), ("[", "is not JSON"), ("[" * 10**5, "is not JSON")):
        path.write_text(content)
        assert find_coco(path) == (path,)
        with pytest.raises(FormatError, match=message):
            load_coco(path)
    with pytest.raises(FormatError, match="has no list of images"):
        load_coco(results(tmp_path), images=path.with_name("found.json"))
    with pytest.raises(FormatError, match="cannot be read"):
        load_coco(results(tmp_path), images=tmp_path / "none.json")
    with pytest.raises(FormatError, match="is of image 7; expected one that is known"):
        load_coco(results(tmp_path, person(image_id=7)), images=images(tmp_path, "a/0.jpg"))


# Writing


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    clips = [
        make_clip("one", "sit", "train"),
        make_clip("two", "run", people=1, index=[0, 2, 4, 6, 8]),
        make_clip("three", None),
    ]
    assert write_coco(iter(clips), tmp_path / "out.json") == 3
    for images in (tmp_path / "out.images.json", None):  # without a name the file beside the results
        read = load_coco(tmp_path / "out.json", images=images)
        for sequence, clip in zip(read, clips, strict=True):
            assert_same(sequence, clip, atol=0.005)


def test_cocos_tools_read_what_is_written(tmp_path: Path) -> None:
    from pycocotools.coco import COCO

    write_coco([make_clip("one")], tmp_path / "out.json")
    listed = json.loads((tmp_path / "out.images.json").read_text())
    (tmp_path / "truth.json").write_text(json.dumps({**listed, "annotations": [], "categories": []}))
    found = COCO(str(tmp_path / "truth.json")).loadRes(str(tmp_path / "out.json"))
    assert len(found.anns) == 10
    assert {len(each["keypoints"]) for each in found.anns.values()} == {51}
    assert listed["images"][4] == {
        "id": 5, "file_name": "sit/one/000004.jpg", "width": 320, "height": 240
    }  # fmt: skip


def test_what_cannot_be_written_leaves_no_file(tmp_path: Path) -> None:
    for clip, message in (
        (
            make_clip("one", layout=PENN_13),
            "layout penn-13; expected coco-17: map it with --target-layout coco-17",
        ),
        (make_clip("one", "../up"), "label '../up' cannot name a folder"),
        (make_clip("one", ".."), r"label '\.\.' cannot name a folder"),
    ):
        with pytest.raises(FormatError, match=message):
            write_coco([make_clip("zero"), clip], tmp_path / "out.json")
    assert not list(tmp_path.iterdir())
