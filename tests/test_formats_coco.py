"""COCO's keypoint results: clips of images, person indices, damaged files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from foreign_clips import SIZE, assert_same, make_clip

from skdpipe.errors import DataError, FormatError
from skdpipe.formats.coco import find_coco, load_coco, write_coco
from skdpipe.skeleton import COCO_17, PENN_13, PoseSequence, clip_key


def person(x: float = 10, confidence: float = 0.5, joints: int = 17, **changes: Any) -> dict[str, Any]:
    """A person with all joints at one point."""
    return {"category_id": 1, "keypoints": [x, 20, confidence] * joints, "score": 0.9, **changes}


def results(folder: Path, *found: Any) -> Path:
    path = folder / "found.json"
    path.write_text(json.dumps(list(found)), encoding="utf-8")
    return path


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
        (("x/a/0.jpg", "y/a/1.jpg"), {}, "does not fit the images of clip a before it"),
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
    read = load_coco(tmp_path / "out.json", images=tmp_path / "out.images.json")
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
