"""Penn Action's files, including their irregularities; broken ones are refused by name."""

import functools
import os
import struct
import zlib
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.io import loadmat, savemat

from skdpipe.errors import FormatError
from skdpipe.formats.matlab import read_matlab
from skdpipe.formats.penn import find_penn, load_penn
from skdpipe.skeleton import PENN_13, PoseSequence

REAL = Path(__file__).parents[2] / "shared/data/penn_action"


def annotation(frames: int = 3, **changes: Any) -> dict[str, Any]:
    """The fields of an official file; joint j of frame t is at x = 10 j + t + 1, y = 200 - j."""
    x = 10.0 * np.arange(13) + np.arange(frames)[:, None] + 1
    fields = {
        "action": "tennis_serve",
        "pose": "back",
        "x": x,
        "y": np.broadcast_to(200.0 - np.arange(13), x.shape),
        "visibility": np.ones(x.shape, np.uint8),
        "train": np.int32(1),
        "bbox": np.ones((frames, 4)),
        "dimensions": np.array([272, 481, frames], np.uint16),
        "nframes": np.uint8(frames),
        **changes,
    }
    return {name: value for name, value in fields.items() if value is not None}


def written(folder: Path, name: str = "0001.mat", **changes: Any) -> Path:
    folder.mkdir(exist_ok=True)
    savemat(folder / name, annotation(**changes))
    return folder / name


def test_an_annotation_by_hand(tmp_path: Path) -> None:
    path = written(tmp_path)
    sequence = load_penn(path)
    assert sequence.layout == PENN_13
    assert sequence.keypoints.shape == (3, 1, 13, 3)
    assert sequence.keypoints.dtype == np.float32
    assert (sequence.size, sequence.video_frames, sequence.fps) == ((481, 272), 3, 30.0)
    np.testing.assert_array_equal(sequence.frame_index, [0, 1, 2])
    assert (sequence.origin.label, sequence.origin.split) == ("tennis_serve", "train")
    assert (sequence.origin.source, sequence.origin.estimator) == (str(path), "penn-action annotation")
    np.testing.assert_array_equal(sequence.keypoints[2, 0, PENN_13.index("head")], [3, 200, 1])


def test_the_persons_right_side_comes_first_in_the_file(tmp_path: Path) -> None:
    first = load_penn(written(tmp_path)).keypoints[0, 0, :, 0]
    for column, joint in (
        (1, "right_shoulder"),
        (2, "left_shoulder"),
        (5, "right_wrist"),
        (12, "left_ankle"),
    ):
        assert first[PENN_13.index(joint)] == 10 * column + 1


def test_an_invisible_joint_is_unseen_whatever_its_coordinates(tmp_path: Path) -> None:
    visibility = np.ones((3, 13), np.uint8)
    visibility[1, 0] = visibility[2, 5] = 0
    sequence = load_penn(written(tmp_path, visibility=visibility))
    unseen = np.argwhere(~sequence.seen).tolist()
    assert unseen == [[1, 0, 0], [2, 0, PENN_13.index("right_wrist")]]
    np.testing.assert_array_equal(sequence.keypoints[1, 0, 0], [np.nan, np.nan, 0])


def test_bytes_without_sign_are_read_as_numbers(tmp_path: Path) -> None:
    x = np.full((3, 13), 250, np.uint8)
    assert load_penn(written(tmp_path, x=x)).keypoints[..., 0].max() == 250


def test_a_video_without_a_visible_joint_is_empty(tmp_path: Path) -> None:
    assert load_penn(written(tmp_path, visibility=np.zeros((3, 13), np.uint8))).is_empty


def test_a_missing_row_of_boxes_does_not_matter(tmp_path: Path) -> None:
    np.testing.assert_array_equal(
        load_penn(written(tmp_path, "a.mat", bbox=np.ones((2, 4)))).keypoints,
        load_penn(written(tmp_path, "b.mat")).keypoints,
    )


def test_the_key_is_of_the_content(tmp_path: Path) -> None:
    path = written(tmp_path)
    copy = tmp_path / "copy.mat"
    copy.write_bytes(path.read_bytes())
    other = written(tmp_path, "other.mat", action="bowl")
    assert load_penn(path).origin.key == load_penn(copy).origin.key
    assert load_penn(path).origin.key != load_penn(other).origin.key


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"visibility": None}, "found no visibility, expected the fields action"),
        ({"x": np.ones((3, 12))}, r"x of shape \(3, 12\) .* expected numbers of shape \(3, 13\)"),
        ({"y": np.ones((2, 13))}, r"y of shape \(2, 13\)"),
        ({"x": np.full((3, 13), "a")}, "x of shape"),
        ({"nframes": 4}, "3 frames in dimensions, expected 4, as in nframes"),
        ({"nframes": 2.5}, r"nframes \[2\.5\], expected 1 whole number;"),
        ({"nframes": np.inf}, "nframes .* expected 1 whole number;"),
        ({"nframes": np.zeros((0, 0))}, "nframes .* expected 1 whole number;"),
        ({"dimensions": np.array([272, 481])}, r"dimensions \[272, 481\], expected 3 whole numbers;"),
        ({"dimensions": np.array([272, 481, 9])}, "9 frames in dimensions, expected 3, as in nframes"),
        ({"dimensions": np.array([np.nan, 481, 3])}, "expected 3 whole numbers"),
        ({"train": 0}, "train 0, expected 1 for training"),
        ({"action": ""}, "action .* expected one word"),
        ({"action": 7}, "action .* expected one word"),
    ],
)
def test_a_broken_annotation_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(FormatError, match=message) as caught:
        load_penn(written(tmp_path, "0042.mat", **changes))
    assert "0042.mat" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("share", [0.0, 0.05, 0.3, 0.6, 0.95])
def test_a_truncated_file_is_refused(tmp_path: Path, share: float) -> None:
    path = written(tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(FormatError, match=r"0001\.mat is not an annotation"):
        load_penn(path)


def test_a_file_that_is_not_matlabs_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.mat").write_bytes(b"\x89PNG and so on" * 100)
    with pytest.raises(FormatError, match="expected a MATLAB file"):
        load_penn(tmp_path / "a.mat")


def element(kind: int, content: bytes) -> bytes:
    return struct.pack("<II", kind, len(content)) + content + bytes(-len(content) % 8)


def variable(name: bytes, kind: int, numbers: bytes, shape: tuple[int, int] = (1, 1), code: int = 6) -> bytes:
    """A variable as MATLAB 5 stores it: flags, dimensions, name, numbers."""
    parts = [(6, struct.pack("<II", code, 0)), (5, struct.pack("<2i", *shape)), (1, name), (kind, numbers)]
    return element(14, b"".join(element(*part) for part in parts))


HEADER = b"MATLAB 5.0".ljust(124) + b"\x00\x01IM"


def compressed(content: bytes) -> bytes:
    packed = zlib.compress(content, 9)
    return struct.pack("<II", 15, len(packed)) + packed


def test_variables_are_read_as_scipy_reads_them(tmp_path: Path) -> None:
    fields = annotation(x=np.arange(39, dtype=np.int16).reshape(3, 13), single=np.float32([[1.5]]))
    for compress in (True, False):
        savemat(tmp_path / "a.mat", fields, do_compression=compress)
        read, expected = read_matlab(tmp_path / "a.mat", fields.keys()), loadmat(tmp_path / "a.mat")
        assert read.keys() == fields.keys()
        for name, value in read.items():
            np.testing.assert_array_equal(np.atleast_1d(value), expected[name])
    (tmp_path / "a.mat").write_bytes(HEADER + variable(b"nframes", 2, b"\x07"))
    assert read_matlab(tmp_path / "a.mat", {"nframes"})["nframes"].tolist() == [[7]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (compressed(struct.pack("<II", 14, 2**31) + bytes(10**7)), "variables of more than 20000000 bytes"),
        (compressed(variable(b"a", 9, bytes(15_000_000), (1, 1))) * 2, "variables of more than"),
        (variable(b"x", 9, bytes(8), (2, 1)), "x of shape"),
        (variable(b"x", 9, bytes(8), (-1, -1)), "x of 2 dimensions"),
        (variable(b"x", 9, bytes(7)), "numbers of type 9 in 7 bytes"),
        (variable(b"x", 0, bytes(8)), "numbers of type 0"),
        (variable(b"x", 9, bytes(8), code=1), "x of MATLAB's class 1"),
        (variable(b"x", 9, bytes(8)) * 2, "x twice"),
        (variable(b"x", 9, bytes(8))[:-8], "a variable that is cut off"),
        (element(14, element(6, bytes(8)) + struct.pack("<II", 5, 2**32 - 8)), "an element that is cut off"),
        (element(15, b"no zlib"), "cannot be decompressed"),
        (variable(b"x" * 9, 9, bytes(8)) * 2000, "more than 1000 variables"),
    ],
)
def test_a_hostile_file_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.mat").write_bytes(HEADER + content)
    with pytest.raises(FormatError, match=message) as caught:
        load_penn(tmp_path / "a.mat")
    assert "\n" not in str(caught.value)


@given(st.data())
def test_a_damaged_file_is_refused_or_read(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.mat"
    savemat(path, annotation())
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(124, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    with suppress(FormatError):
        load_penn(path)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mat")
    with pytest.raises(FormatError, match=r"pipe\.mat cannot be read \(it is not a regular file\)"):
        load_penn(tmp_path / "pipe.mat")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"nowhere.mat cannot be read \(No such file"):
        load_penn(tmp_path / "nowhere.mat")


def test_files_are_found_by_root_labels_folder_or_file(tmp_path: Path) -> None:
    for name in ("0002.mat", "0001.mat"):
        written(tmp_path / "labels", name)
    for folder in (tmp_path, tmp_path / "labels"):
        assert [path.name for path in find_penn(folder)] == ["0001.mat", "0002.mat"]
    assert find_penn(tmp_path / "labels/0002.mat") == (tmp_path / "labels/0002.mat",)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"no \.mat files"):
        find_penn(tmp_path)


# The real annotations, if they are available


@functools.cache
def real() -> tuple[PoseSequence, ...]:
    if not REAL.is_dir():
        pytest.skip(f"Penn Action is not at {REAL}")
    return tuple(load_penn(path) for path in find_penn(REAL))


def named(number: str) -> PoseSequence:
    return next(sequence for sequence in real() if sequence.origin.source.endswith(f"{number}.mat"))


def test_the_real_splits_and_classes() -> None:
    assert Counter(sequence.origin.split for sequence in real()) == {"train": 1258, "test": 1068}
    assert Counter(sequence.origin.label for sequence in real()) == {
        "squat": 231, "bowl": 220, "pushup": 211, "pullup": 199, "tennis_serve": 186,
        "baseball_swing": 173, "baseball_pitch": 167, "golf_swing": 166, "tennis_forehand": 157,
        "bench_press": 140, "jumping_jacks": 112, "situp": 100, "strum_guitar": 94,
        "clean_and_jerk": 88, "jump_rope": 82,
    }  # fmt: skip
    assert len({sequence.origin.key for sequence in real()}) == 2326


def test_the_real_irregularities() -> None:
    assert [s.origin.source[-8:] for s in real() if s.is_empty] == ["1516.mat"]
    beyond = [
        sequence.origin.source[-8:]
        for sequence in real()
        if (sequence.keypoints[sequence.seen][:, :2] > np.add(sequence.size, 1)).any()
    ]
    assert beyond == ["0979.mat", "1021.mat", "1024.mat", "1032.mat"]
    assert len(named("1154").keypoints) == 72  # with 71 boxes


def test_people_who_face_the_camera_have_their_right_side_on_the_left_of_the_image() -> None:
    # Jumping jacks and guitar playing are filmed from the front, bowling from behind.
    def right_is_left(sequence: PoseSequence) -> float:
        right, left = (
            sequence.keypoints[:, 0, PENN_13.index(f"{side}_shoulder"), 0] for side in ("right", "left")
        )
        return float((right < left)[~np.isnan(right + left)].mean()) if (right * left > 0).any() else np.nan

    def share(label: str) -> float:
        return float(np.nanmean([right_is_left(s) for s in real() if s.origin.label == label]))

    assert share("jumping_jacks") > 0.9
    assert share("strum_guitar") > 0.9
    assert share("bowl") < 0.1
