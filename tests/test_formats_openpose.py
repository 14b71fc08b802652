"""OpenPose's folders of frames: both layouts, round trips, damaged files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from foreign_clips import SIZE, make_clip

from skdpipe.errors import DataError, FormatError
from skdpipe.formats.openpose import find_openpose, load_openpose, write_openpose
from skdpipe.skeleton import BODY_25, COCO_17, OPENPOSE_18, clip_key


def person(values: list[float], number: int = -1) -> dict[str, Any]:
    return {"person_id": [number], "pose_keypoints_2d": values}


def written(folder: Path, frame: int, *people: dict[str, Any]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{folder.name}_{frame:012d}_keypoints.json"
    path.write_text(json.dumps({"version": 1.3, "people": list(people)}))
    return path


def test_a_video_by_hand(tmp_path: Path) -> None:
    clip = tmp_path / "train" / "walk" / "one"
    written(clip, 0, person([1.0, 2.0, 0.5] * 17 + [0, 0, 0]))
    written(clip, 10)
    (found,) = find_openpose(tmp_path)
    sequence = load_openpose(found, size=SIZE, root=tmp_path, fps=25)
    assert (sequence.layout, sequence.fps, sequence.video_frames) == (OPENPOSE_18, 25, 11)
    assert sequence.frame_index.tolist() == [0, 10]
    np.testing.assert_array_equal(sequence.keypoints[0, 0, 16], [1, 2, 0.5])
    np.testing.assert_array_equal(sequence.keypoints[0, 0, 17], [np.nan, np.nan, 0])
    origin = sequence.origin
    assert (origin.key, origin.label, origin.split) == (clip_key("one"), "walk", "train")


def test_of_body_25_the_same_joints_are_kept(tmp_path: Path) -> None:
    """Its joints are numbered by their x; MidHip is 8, the feet are 19 to 24."""
    values = [number for joint in range(25) for number in (joint + 1.0, 0.0, 1.0)]
    written(tmp_path / "clip", 0, person(values))
    xs = load_openpose(tmp_path / "clip", size=SIZE).keypoints[0, 0, :, 0] - 1
    by_name = dict(zip(OPENPOSE_18.joints, xs.tolist(), strict=True))
    assert (by_name["left_wrist"], by_name["right_hip"], by_name["left_ankle"]) == (7, 9, 14)
    assert (by_name["right_eye"], by_name["left_ear"]) == (15, 18)


def test_all_of_body_25_are_kept_if_its_layout_is_named(tmp_path: Path) -> None:
    values = [number for joint in range(25) for number in (joint + 1.0, 0.0, 1.0)]
    folder = tmp_path / "clip"
    written(folder, 0, person(values))
    sequence = load_openpose(folder, size=SIZE, layout="body-25")
    assert sequence.layout == BODY_25
    assert sequence.keypoints[0, 0, :, 0].tolist() == list(range(1, 26))
    assert load_openpose(folder, size=SIZE, layout="coco-17").layout == COCO_17
    with pytest.raises(DataError, match=r"layout body-25 has no spine, left_hand"):
        load_openpose(folder, size=SIZE, layout="kinect-20")


def test_openposes_track_numbers_are_used(tmp_path: Path) -> None:
    near, far = [10.0, 10.0, 1.0] * 18, [200.0, 100.0, 1.0] * 18
    written(tmp_path / "clip", 0, person(near, 4), person(far, 2))
    written(tmp_path / "clip", 1, person(near, 2), person(far, 4))
    keypoints = load_openpose(tmp_path / "clip", size=SIZE).keypoints
    assert keypoints[:, :, 0, 0].tolist() == [[200, 10], [10, 200]]


def test_the_field_of_old_versions_is_read(tmp_path: Path) -> None:
    written(tmp_path / "clip", 0, {"person_id": [-1], "pose_keypoints": [1.0, 2.0, 0.5] * 18})
    np.testing.assert_array_equal(load_openpose(tmp_path / "clip", size=SIZE).keypoints[0, 0, 3], [1, 2, 0.5])


@pytest.mark.parametrize(("scale", "low"), [(3, 0), (4, -1)])
@pytest.mark.parametrize("joints", [18, 25])
def test_shares_of_the_frame_become_pixels(tmp_path: Path, scale: int, low: int, joints: int) -> None:
    """0 and the largest share are the first and the last pixel of 320 by 240."""
    share = [(low + (1 - low) * x, low + (1 - low) * y) for x, y in ((0, 0), (0.5, 0.25), (1, 1))]
    for frame, (x, y) in enumerate(share):
        values = [x, y, 0.5] * (joints - 1) + [0, 0, 0]
        written(tmp_path / "clip", frame, person(values, 1))
    counted: list[tuple[str, int]] = []
    sequence = load_openpose(tmp_path / "clip", size=SIZE, note=lambda *note: counted.append(note))
    expected = [(0, 0, 0.5), (159.5, 59.75, 0.5), (319, 239, 0.5)]
    np.testing.assert_allclose(sequence.keypoints[:, 0, 0], expected, atol=1e-3)
    assert counted == [
        (f"clips have coordinates from {low} to 1 (--keypoint_scale {scale}), which are scaled to pixels", 1)
    ]


def test_one_joint_beyond_one_pixel_makes_all_pixels(tmp_path: Path) -> None:
    written(tmp_path / "clip", 0, person([0.5, 0.5, 1] * 18, 1))
    written(tmp_path / "clip", 1, person([0.5, 0.5, 1] * 17 + [0.5, 30, 1], 1))
    keypoints = load_openpose(tmp_path / "clip", size=SIZE).keypoints
    assert keypoints[:, 0, 0, :2].tolist() == [[0.5, 0.5]] * 2


def test_pixels_of_a_larger_size_are_refused(tmp_path: Path) -> None:
    written(tmp_path / "clip", 0, person([600.0, 100.0, 1] * 10 + [20.0, 20.0, 1] * 8))
    with pytest.raises(FormatError, match="coordinates up to 600, 100 in frames of 320x240 pixels; expected"):
        load_openpose(tmp_path / "clip", size=SIZE)


@pytest.mark.parametrize("other", ["other_000000000000_keypoints.json", "clip_0_keypoints.json"])
def test_a_folder_holds_one_video_and_each_frame_once(tmp_path: Path, other: str) -> None:
    first = written(tmp_path / "clip", 0)
    (tmp_path / "clip" / other).write_bytes(first.read_bytes())
    with pytest.raises(FormatError, match=r"holds 2 files with 1 numbers of [12] videos"):
        load_openpose(tmp_path / "clip", size=SIZE)


def test_a_folder_without_frames_is_refused(tmp_path: Path) -> None:
    (tmp_path / "12345678901_keypoints.json").write_text("{}")  # the frame number is too large
    with pytest.raises(FormatError, match="holds 0 files"):
        load_openpose(tmp_path, size=SIZE)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    clip = make_clip("walk [1]", "run", "val", layout=OPENPOSE_18)
    assert write_openpose([clip], tmp_path) == 1
    (folder,) = find_openpose(tmp_path)
    again = load_openpose(folder, size=clip.size, root=tmp_path)
    assert (again.origin.label, again.origin.split, again.origin.key) == ("run", "val", clip_key("walk [1]"))
    np.testing.assert_allclose(again.keypoints, clip.keypoints, atol=1e-3)


@pytest.mark.parametrize(
    "content", ["", "[]", '{"people": 3}', '{"people": [{"pose_keypoints_2d": [1, 2]}]}']
)
def test_a_damaged_file_raises_one_line(tmp_path: Path, content: str) -> None:
    written(tmp_path / "clip", 0).write_text(content)
    with pytest.raises(FormatError, match="expected") as caught:
        load_openpose(tmp_path / "clip", size=SIZE)
    assert "\n" not in str(caught.value)


def test_a_missing_size_or_folder_is_named(tmp_path: Path) -> None:
    written(tmp_path / "clip", 0)
    with pytest.raises(FormatError, match="give --size WIDTH HEIGHT"):
        load_openpose(tmp_path / "clip", size=None)
    with pytest.raises(FormatError, match="no files like"):
        find_openpose(tmp_path / "none")


# Writing


def written_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def test_a_written_clip_has_a_file_per_frame(tmp_path: Path) -> None:
    sequence = make_clip("one", "sit", "train", index=[0, 2, 4, 6, 8], layout=OPENPOSE_18)
    keypoints = sequence.keypoints.copy()
    keypoints[1, 1] = (np.nan, np.nan, 0)
    assert write_openpose([sequence.with_keypoints(keypoints)], tmp_path) == 1
    paths = sorted((tmp_path / "train/sit/one").iterdir())
    assert [path.name for path in paths] == [f"one_{n:012d}_keypoints.json" for n in (0, 2, 4, 6, 8)]
    people = written_json(paths[0])["people"]
    assert [person["person_id"] for person in people] == [[0], [1]]
    read = np.reshape(people[1]["pose_keypoints_2d"], (18, 3))
    np.testing.assert_allclose(read, sequence.keypoints[0, 1], atol=1e-4)
    assert [person["person_id"] for person in written_json(paths[1])["people"]] == [[0]]
    unseen = np.reshape(written_json(paths[2])["people"][0]["pose_keypoints_2d"], (18, 3))[
        ~sequence.seen[2, 0]
    ]
    assert len(unseen)
    assert not unseen.any()


def test_a_clip_cannot_lead_out_of_the_folder(tmp_path: Path) -> None:
    clip = make_clip("one", layout=OPENPOSE_18)
    sequence = replace(clip, origin=replace(clip.origin, source="set.pkl/.."))
    write_openpose([sequence], tmp_path / "out")
    assert [path.name for path in (tmp_path / "out/sit").iterdir()] == [clip.origin.key[:16]]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_another_layout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="expected openpose-18: map it with --target-layout openpose-18"):
        write_openpose([make_clip("one")], tmp_path)
    assert not list(tmp_path.iterdir())
