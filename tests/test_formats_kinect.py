"""NW-UCLA, UTD-MHAD, and arrays in the space of a camera."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from skdpipe.errors import ConfigError, FormatError
from skdpipe.formats.nw_ucla import find_nw_ucla, load_nw_ucla
from skdpipe.formats.poses import load_poses, save_poses
from skdpipe.formats.recognise import format_of
from skdpipe.formats.utd_mhad import FORMAT, find_utd_mhad, load_utd_mhad
from skdpipe.skeleton import KINECT_20, clip_key

POINTS = np.random.default_rng(0).normal(0, 1, (6, 20, 3)).astype(np.float32)  # frame, joint, metres


def write_nw_ucla(folder: Path, name: str = "a05_s04_e03_v01", skeletons: object = None) -> Path:
    skeletons = POINTS.tolist() if skeletons is None else skeletons
    path = folder / f"{name}.json"
    path.write_text(json.dumps({"file_name": name, "skeletons": skeletons, "label": 5}))
    return path


def write_utd_mhad(folder: Path, name: str = "a7_s3_t2_skeleton", points: np.ndarray | None = None) -> Path:
    path = folder / f"{name}.mat"
    savemat(path, {"d_skel": np.transpose(POINTS if points is None else points, (1, 2, 0)).astype(float)})
    return path


def test_nw_ucla_is_read_in_metres_with_label_subject_and_split(tmp_path: Path) -> None:
    points = POINTS.copy()
    points[2, 4] = 0
    sequence = load_nw_ucla(write_nw_ucla(tmp_path, skeletons=points.tolist()), split="cross-view")
    assert sequence.layout is KINECT_20
    assert (sequence.coordinates, sequence.size, sequence.video_frames) == (3, (0, 0), 6)
    np.testing.assert_allclose(sequence.keypoints[0, 0, :, :3], POINTS[0])
    assert not sequence.seen[2, 0, 4]
    assert sequence.seen.sum() == 6 * 20 - 1
    origin = sequence.origin
    assert (origin.label, origin.subject, origin.split) == ("a05", "s04", "train")
    assert load_nw_ucla(write_nw_ucla(tmp_path, "a05_s04_e03_v03"), split="cross-view").origin.split == "test"
    assert len(find_nw_ucla(tmp_path)) == 2


def test_utd_mhad_is_read_in_kinects_order_of_joints(tmp_path: Path) -> None:
    sequence = load_utd_mhad(write_utd_mhad(tmp_path), split="cross-subject")
    assert (sequence.coordinates, sequence.video_frames) == (3, 6)
    for column, joint in ((0, "head"), (1, "shoulder_centre"), (3, "hip_centre"), (8, "right_shoulder")):
        np.testing.assert_allclose(sequence.keypoints[:, 0, KINECT_20.index(joint), :3], POINTS[:, column])
    origin = sequence.origin
    assert (origin.label, origin.subject, origin.split) == ("a7", "s3", "train")
    assert (
        load_utd_mhad(write_utd_mhad(tmp_path, "a7_s4_t2_skeleton"), split="cross-subject").origin.split
        == "test"
    )
    assert len(find_utd_mhad(tmp_path)) == 2


@pytest.mark.parametrize("folder", [True, False])
def test_the_format_is_shown_by_the_names_of_files(folder: bool, tmp_path: Path) -> None:
    path = write_utd_mhad(tmp_path)
    assert format_of(tmp_path if folder else path, None).name == "utd-mhad"
    (tmp_path / "S001C001P001R001A001.skeleton").touch()
    assert format_of(path.with_suffix(".skeleton"), None).name == "ntu"
    expected = (
        r"holds ntu \(S001.*\.skeleton\) and utd-mhad \(a7.*\.mat\); name the one to read with --format$"
    )
    with pytest.raises(ConfigError, match=expected):
        format_of(tmp_path, None)


def test_the_files_of_a_recording_share_a_name(tmp_path: Path) -> None:
    write_utd_mhad(tmp_path)
    (file,) = FORMAT.files(tmp_path)
    assert FORMAT.key_of_file(file) == clip_key("a7_s3_t2") == load_utd_mhad(file.path).origin.key


def test_broken_files_of_both_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"skeletons of shape \(2, 19, 3\); expected"):
        load_nw_ucla(write_nw_ucla(tmp_path, skeletons=np.zeros((2, 19, 3)).tolist()))
    with pytest.raises(FormatError, match=r"named like a01_s01_e00_v01.json; restore its name"):
        load_nw_ucla(write_nw_ucla(tmp_path, "walk"))
    with pytest.raises(ConfigError, match=r"no split 'xsub' of NW-UCLA; expected cross-view"):
        load_nw_ucla(write_nw_ucla(tmp_path), split="xsub")
    with pytest.raises(FormatError, match=r"d_skel of shape \(3, 3, 6\); expected numbers \(20, 3, frame\)"):
        load_utd_mhad(write_utd_mhad(tmp_path, points=POINTS[:, :3]))
    (tmp_path / "a1_s1_t1_skeleton.mat").write_bytes(b"no")
    with pytest.raises(FormatError, match=r"is not a MATLAB file"):
        load_utd_mhad(tmp_path / "a1_s1_t1_skeleton.mat")
    with pytest.raises(ConfigError, match=r"no split 'xsub' of UTD-MHAD; expected cross-subject"):
        load_utd_mhad(write_utd_mhad(tmp_path), split="xsub")
    empty = tmp_path / "empty"
    empty.mkdir()
    for find in (find_nw_ucla, find_utd_mhad):
        with pytest.raises(FormatError, match=r"no files like a"):
            find(empty)


def test_arrays_of_st_gcn_hold_three_coordinates(tmp_path: Path) -> None:
    (clip,) = load_poses(write_nw_ucla(tmp_path), "nw-ucla")
    save_poses([clip], tmp_path / "arrays", "st-gcn", frames=10, people=2)
    with pytest.raises(FormatError, match=r"frame size; give --size WIDTH HEIGHT .*or --space camera"):
        load_poses(tmp_path / "arrays", "st-gcn")
    with pytest.raises(FormatError, match=r"if it is z in the space of a camera, give --space camera"):
        load_poses(tmp_path / "arrays", "st-gcn", size=(1920, 1080))
    (loaded,) = load_poses(tmp_path / "arrays", "st-gcn", space="camera")
    np.testing.assert_array_equal(loaded.keypoints[:, 0], clip.keypoints[:, 0])
    assert (loaded.layout, loaded.origin.label) == (KINECT_20, "class_000")


def test_arrays_of_skd_hold_three_coordinates(tmp_path: Path) -> None:
    np.save(tmp_path / "clip.npy", np.transpose(POINTS, (1, 2, 0))[..., None])
    (loaded,) = load_poses(tmp_path / "clip.npy", "skd", space="camera")
    np.testing.assert_array_equal(loaded.keypoints[:, 0, :, :3], POINTS)


@pytest.mark.parametrize("target", ["coco", "openpose", "kinetics", "openpifpaf"])
def test_formats_of_two_coordinates_refuse_three(target: str, tmp_path: Path) -> None:
    clips = load_poses(write_nw_ucla(tmp_path), "nw-ucla")
    with pytest.raises(FormatError, match=r"has three coordinates, and this format holds x and y"):
        save_poses(clips, tmp_path / "out", target)
