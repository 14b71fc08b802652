"""OpenPifPaf's JSON lines, as OpenPifPaf writes them and as this package writes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from foreign_clips import SIZE, assert_same, make_clip

from skdpipe.errors import FormatError
from skdpipe.formats.openpifpaf import find_openpifpaf, load_openpifpaf, write_openpifpaf
from skdpipe.skeleton import COCO_17, PENN_13, clip_key


def person(x: float = 10, **changes: Any) -> dict[str, Any]:
    return {"keypoints": [x, 20, 0.5] * 17, "bbox": [0, 0, 1, 1], "score": 0.5, "category_id": 1, **changes}


def written(folder: Path, *frames: Any, name: str = "walk.mp4.openpifpaf.json") -> Path:
    """A line for each ``(number, person, ...)``, or the line itself."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [
        each if isinstance(each, str) else json.dumps({"frame": each[0], "predictions": list(each[1:])})
        for each in frames
    ]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def test_a_video_by_hand(tmp_path: Path) -> None:
    path = written(
        tmp_path, (1, person(11)), (2,), "", (3, person(13)), name="train/walk/a.mp4.openpifpaf.json"
    )
    sequence = load_openpifpaf(path, size=SIZE, root=tmp_path, fps=24)
    assert sequence.layout == COCO_17
    np.testing.assert_array_equal(sequence.frame_index, [0, 1, 2])
    assert (sequence.video_frames, sequence.size, sequence.fps) == (3, SIZE, 24)
    assert sequence.keypoints.shape == (3, 1, 17, 3)
    np.testing.assert_array_equal(sequence.keypoints[2, 0, 16], [13, 20, 0.5])
    assert sequence.seen.any(axis=(1, 2)).tolist() == [True, False, True]
    origin = sequence.origin
    assert (origin.key, origin.label, origin.split) == (clip_key("a"), "walk", "train")


def test_frames_may_be_sampled_and_may_count_from_zero(tmp_path: Path) -> None:
    sampled = load_openpifpaf(written(tmp_path, (11, person()), (1, person())), size=SIZE)
    np.testing.assert_array_equal(sampled.frame_index, [0, 10])
    assert sampled.video_frames == 11
    from_zero = load_openpifpaf(written(tmp_path, (0, person()), (1, person())), size=SIZE)
    np.testing.assert_array_equal(from_zero.frame_index, [0, 1])


def test_people_without_numbers_are_tracked(tmp_path: Path) -> None:
    path = written(tmp_path, (1, person(50), person(250)), (2, person(252), person(52)))
    keypoints = load_openpifpaf(path, size=SIZE).keypoints
    np.testing.assert_array_equal(keypoints[:, :, 0, 0], [(50, 250), (52, 252)])


def test_track_numbers_are_used_and_zero_is_not_written(tmp_path: Path) -> None:
    path = written(tmp_path, (1, person(50), person(250, id_=3)), (2, person(252), person(52, id_=3)))
    keypoints = load_openpifpaf(path, size=SIZE).keypoints
    np.testing.assert_array_equal(keypoints[:, :, 0, 0], [(50, 250), (252, 52)])


def test_a_video_without_people(tmp_path: Path) -> None:
    sequence = load_openpifpaf(written(tmp_path, (1,), (2,)), size=SIZE)
    assert sequence.keypoints.shape == (2, 0, 17, 3)
    assert sequence.layout == COCO_17


def test_openpifpafs_own_annotations_are_read(tmp_path: Path) -> None:
    from skdpipe.pose.openpifpaf.networks import openpifpaf

    constants = openpifpaf.plugins.coco.constants
    annotation = openpifpaf.Annotation(constants.COCO_KEYPOINTS, constants.COCO_PERSON_SKELETON)
    data = np.zeros((17, 3), np.float32)
    data[:5] = (12.342, 20, 0.004)
    annotation.set(data, fixed_score=None)
    annotation.id_ = 2
    sequence = load_openpifpaf(written(tmp_path, (1, annotation.json_data())), size=SIZE)
    assert sequence.seen[0, 0].tolist() == [True] * 5 + [False] * 12
    np.testing.assert_allclose(sequence.keypoints[0, 0, 0], [12.34, 20, 0.01], rtol=1e-6)
    assert COCO_17.joints == tuple(constants.COCO_KEYPOINTS)


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ((), "is empty; expected lines"),
        (("{",), "line 1 is not JSON"),
        (("[" * 10**5,), "line 1 is not JSON"),
        (("[]",), "line 1: .* expected lines"),
        (('{"frame": 1}',), "line 1: .* expected lines"),
        (('{"frame": "1", "predictions": []}',), "line 1: .* expected lines"),
        (('{"frame": -1, "predictions": []}',), "line 1: .* expected lines"),
        (((1,), (1,)), "line 2: frame 1 again; expected each frame once"),
        (((1, 5),), "line 1: 5 instead of a person"),
        (((1, person(keypoints=[1])),), r"line 1: keypoints \[1\]; expected x, y, c"),
        (((1, person(keypoints=[1, 2, 0.5] * 134)),), "134 joints; expected one of"),
        (((1, person(id_=1.5)),), r"id_ 1\.5; expected a whole number"),
        (((1, person(id_=1), person(id_=1)),), "track number occurs twice in one frame"),
    ],
)
def test_broken_files_are_refused(tmp_path: Path, frames: tuple[Any, ...], message: str) -> None:
    with pytest.raises(FormatError, match=message) as caught:
        load_openpifpaf(written(tmp_path, *frames), size=SIZE)
    assert "walk.mp4.openpifpaf.json" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_size_is_refused_and_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="give --size WIDTH HEIGHT or --videos"):
        load_openpifpaf(written(tmp_path, (1, person())), size=None)
    with pytest.raises(FormatError, match="cannot be read"):
        load_openpifpaf(tmp_path / "none.json", size=SIZE)
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe")
    with pytest.raises(FormatError, match=r"bytes\.json is not text"):
        load_openpifpaf(tmp_path / "bytes.json", size=SIZE)


def test_files_are_found(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="no JSON files at"):
        find_openpifpaf(tmp_path)
    plain = written(tmp_path, (1,), name="plain.json")
    assert find_openpifpaf(tmp_path) == find_openpifpaf(plain) == (plain,)
    path = written(tmp_path, (1,), name="sit/a.mp4.openpifpaf.json")
    assert find_openpifpaf(tmp_path) == (path,)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    clips = {
        "train/sit/one": make_clip("one", "sit", "train"),
        "run/two": make_clip("two", "run", people=1, index=[0, 2, 4, 6, 8]),
        "three": make_clip("three", None),
    }
    assert write_openpifpaf(clips.values(), tmp_path) == 3
    for name, clip in clips.items():
        path = tmp_path / f"{name}.openpifpaf.json"
        assert path in find_openpifpaf(tmp_path)
        assert_same(load_openpifpaf(path, size=SIZE, root=tmp_path), clip, atol=0.005)


def test_another_layout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="expected coco-17: map it with --target-layout coco-17"):
        write_openpifpaf([make_clip("one", layout=PENN_13)], tmp_path)
    assert not list(tmp_path.rglob("*.*"))
