"""NTU RGB+D: files by hand with no body, one, two and five; splits; damaged files."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from skdpipe.errors import ConfigError, FormatError
from skdpipe.formats.ntu import SIZE, find_ntu, load_ntu, samples_to_skip
from skdpipe.skeleton import NTU_25, clip_key

NAME = "S001C002P003R002A013.skeleton"


def joint_line(x: float, state: int = 2) -> str:
    """A joint at x in metres and at (100 x + 7, 50) in the colour image."""
    return f"{x} 0.5 3.0 1 2 {100 * x + 7} 50 0 0 0 0 {state}"


def body(identity: int, x: float, state: int = 2) -> list[str]:
    return [f"7205{identity} 0 1 1 1 1 0 0.1 0.2 2", "25", *(joint_line(x, state) for _ in range(25))]


def written(folder: Path, *frames: list[list[str]], name: str = NAME) -> Path:
    lines = [str(len(frames))]
    for bodies in frames:
        lines += [str(len(bodies)), *(line for each in bodies for line in each)]
    path = folder / name
    path.write_text("\n".join(lines) + "\n")
    return path


def test_one_body_by_hand(tmp_path: Path) -> None:
    path = written(tmp_path, [body(1, 1.0)], [], [body(1, 2.0, state=1)])
    sequence = load_ntu(path)
    assert (sequence.layout, sequence.size, sequence.fps) == (NTU_25, SIZE, 30)
    assert sequence.keypoints.shape == (3, 1, 25, 3)
    np.testing.assert_allclose(sequence.keypoints[0, 0], [[107, 50, 1]] * 25)
    np.testing.assert_array_equal(sequence.keypoints[1, 0], [[np.nan, np.nan, 0]] * 25)
    np.testing.assert_allclose(sequence.keypoints[2, 0], [[207, 50, 0.5]] * 25)
    origin = sequence.origin
    assert (origin.label, origin.subject, origin.split) == ("A013", "P003", None)
    assert origin.key == clip_key("S001C002P003R002A013")


def test_the_same_people_are_read_in_metres(tmp_path: Path) -> None:
    path = written(tmp_path, [body(1, 1.0)], [], [body(1, 2.0, state=1)])
    sequence = load_ntu(path, space="camera")
    assert (sequence.coordinates, sequence.size) == (3, (0, 0))
    np.testing.assert_allclose(sequence.keypoints[0, 0], [[1, 0.5, 3, 1]] * 25)
    np.testing.assert_allclose(sequence.keypoints[2, 0], [[2, 0.5, 3, 0.5]] * 25)
    np.testing.assert_array_equal(sequence.seen, load_ntu(path).seen)
    assert sequence.origin.key == load_ntu(path).origin.key
    assert sequence.origin.estimator == "ntu kinect in metres"


def test_a_file_without_a_body_is_an_empty_sequence(tmp_path: Path) -> None:
    sequence = load_ntu(written(tmp_path, [], []))
    assert sequence.is_empty
    assert sequence.keypoints.shape == (2, 0, 25, 3)


def test_of_two_bodies_the_one_that_moves_more_is_first(tmp_path: Path) -> None:
    frames = [[body(1, 5.0), body(2, float(t))] for t in range(4)]
    keypoints = load_ntu(written(tmp_path, *frames)).keypoints
    assert keypoints[:, 0, 0, 0].tolist() == [7, 107, 207, 307]
    assert keypoints[:, 1, 0, 0].tolist() == [507] * 4


def test_of_five_bodies_two_are_kept_or_all(tmp_path: Path) -> None:
    frames = [[body(i, 10.0 * i + i * t) for i in range(5)] for t in range(3)]
    path = written(tmp_path, *frames)
    counted: list[int] = []
    sequence = load_ntu(path, note=lambda what, count: counted.append(count))
    assert sequence.keypoints[0, :, 0, 0].tolist() == [4007, 3007]
    assert counted == [1]
    assert load_ntu(path, people=5).keypoints[0, :, 0, 0].tolist() == [4007, 3007, 2007, 1007, 7]


def spans(*bodies: tuple[int, range, float], frames: int = 40) -> list[list[list[str]]]:
    """Frames of bodies that are each at rest in a range of frames."""
    return [[body(i, x) for i, where, x in bodies if frame in where] for frame in range(frames)]


def people_in(path: Path, people: int = 2) -> list[dict[float, int]]:
    """For each person the number of frames at each x in metres."""
    keypoints = load_ntu(path, people=people).keypoints[:, :, 0, 0]
    found = [keypoints[:, person] for person in range(keypoints.shape[1])]
    return [
        {float(x - 7) / 100: int((each == x).sum()) for x in np.unique(each[~np.isnan(each)])}
        for each in found
    ]


ALL, FIRST, SECOND = range(40), range(20), range(20, 40)


@pytest.mark.parametrize(
    ("bodies", "expected"),
    [
        # an id changes while another stays, whichever is first in the list
        ([(1, FIRST, 0), (2, ALL, 2), (3, SECOND, 0)], [{0: 40}, {2: 40}]),
        ([(2, ALL, 2), (1, FIRST, 0), (3, SECOND, 0)], [{0: 40}, {2: 40}]),
        # both ids change in one frame, and the list is in another order afterwards
        ([(1, FIRST, 0), (2, FIRST, 2), (3, SECOND, 2), (4, SECOND, 0)], [{0: 40}, {2: 40}]),
        # one person under two ids, also after a gap and at another place
        ([(1, FIRST, 0), (2, SECOND, 0)], [{0: 40}]),
        ([(1, range(15), 0), (2, range(25, 40), 3)], [{0: 15, 3: 15}]),
        # three ids in sequence, the one in the middle for a short time
        ([(1, FIRST, 0), (2, range(20, 26), 0), (3, range(26, 40), 0)], [{0: 40}]),
        # a body that is lost and found again under its own id, and another id in the gap
        ([(1, (*range(15), *range(30, 40)), 0), (2, range(15, 30), 0.5)], [{0: 25, 0.5: 15}]),
        # a short body elsewhere in the gap of a person is not part of it
        ([(1, FIRST, 0), (2, ALL, 2), (5, range(20, 25), 4), (3, range(25, 40), 0)], [{0: 35}, {2: 40}]),
        # bodies with a frame in common are two people
        ([(1, range(22), 0), (2, range(20, 40), 0)], [{0: 22}, {0: 20}]),
    ],
)
def test_bodies_of_several_ids_are_one_person(
    tmp_path: Path, bodies: list[tuple[int, range, float]], expected: list[dict[float, int]]
) -> None:
    found = people_in(written(tmp_path, *spans(*bodies)))
    assert sorted(found, key=str) == sorted(expected, key=str)


def test_noise_ranks_last_and_is_not_deleted(tmp_path: Path) -> None:
    """A short body that moves by 10 metres, and one that is wider than high, beside two people at rest."""
    frames = spans((1, ALL, 0.0), (2, ALL, 1.0))
    for t in range(5):
        frames[t].append(body(3, 20 + 2.0 * t))
    for each in frames:
        each.append(wide := body(4, 50.0))
        wide[2] = joint_line(53.0)
    path = written(tmp_path, *frames)
    assert [min(each) for each in people_in(path)] == [0, 1]
    assert [min(each) for each in people_in(path, people=4)] == [0, 1, 20, 53]


def test_noise_of_thousands_of_ids_is_counted(tmp_path: Path) -> None:
    frames = spans((1, ALL, 0.0))
    for number in range(2000):
        frames[number % 40].append(body(10 + number, 5 + 2.0 * number))
    notes: dict[str, int] = {}
    sequence = load_ntu(written(tmp_path, *frames), note=lambda what, count: notes.update({what: count}))
    assert (sequence.keypoints[:, 0, 0, 0] == 7).all()
    assert notes["bodies of noise beyond 200 in a clip are left out"] == 1800


def test_a_joint_of_nan_is_unseen_and_adds_no_motion(tmp_path: Path) -> None:
    """Body 1 is at rest with a joint of NaN in one frame; body 2 moves a little and comes first."""
    frames = [[body(1, 5.0), body(2, 1 + t / 10)] for t in range(3)]
    frames[1][0][2] = " ".join(["NaN"] * 11 + ["2"])
    sequence = load_ntu(written(tmp_path, *frames))
    np.testing.assert_allclose(sequence.keypoints[:, :, 1, 0], [[107, 507], [117, 507], [127, 507]])
    assert np.argwhere(~sequence.seen).tolist() == [[1, 1, 0]]


def test_a_joint_that_was_not_tracked_is_unseen(tmp_path: Path) -> None:
    assert load_ntu(written(tmp_path, [body(1, 1.0, state=0)])).is_empty


@pytest.mark.parametrize(
    ("split", "name", "side"),
    [
        ("cross-subject", "S001C001P001R001A001", "train"),
        ("cross-subject", "S001C001P003R001A001", "test"),
        ("cross-subject", "S018C001P045R001A061", "test"),
        ("cross-subject-120", "S018C001P045R001A061", "train"),
        ("cross-view", "S001C001P001R001A001", "test"),
        ("cross-view", "S001C003P003R001A001", "train"),
        ("cross-setup", "S002C001P003R001A001", "train"),
        ("cross-setup", "S001C001P001R001A001", "test"),
    ],
)
def test_the_official_splits(tmp_path: Path, split: str, name: str, side: str) -> None:
    """By their full names and by the usual abbreviations."""
    path = written(tmp_path, [], name=f"{name}.skeleton")
    short = {
        "cross-subject": "xsub",
        "cross-view": "xview",
        "cross-subject-120": "xsub120",
        "cross-setup": "xset",
    }
    assert load_ntu(path, split=split).origin.split == side
    assert load_ntu(path, split=short[split]).origin.split == side


def test_an_unknown_split_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no split 'cross' of NTU.*; expected one of cross-subject"):
        load_ntu(written(tmp_path, []), split="cross")


def test_the_number_of_damaged_samples(tmp_path: Path) -> None:
    damaged = samples_to_skip()
    assert len(damaged) == 535
    assert all(re.fullmatch(r"S0\d\dC00[123]P\d{3}R00[12]A\d{3}", name) for name in damaged)
    assert sum(int(name[1:4]) <= 17 for name in damaged) == 302
    worst = min(damaged)
    paths = {written(tmp_path, [], name=f"{name}.skeleton") for name in (worst, "S001C001P001R001A001")}
    assert set(find_ntu(tmp_path)) == {path for path in paths if path.stem != worst}
    with pytest.raises(FormatError, match=r"no \.skeleton files in"):
        find_ntu(tmp_path / "none")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda text: text[: len(text) // 2].rsplit("\n", 1)[0], "the end of the file"),
        (lambda text: text.replace("\n25\n", "\n20\n", 1), "line 4: found 20 joints, expected 25"),
        (lambda text: text.replace(" 50 ", " fifty ", 1), "line 5: found could not convert"),
        (lambda text: "many\n" + text, "line 1: found many, expected the number of frames"),
        (lambda text: text.replace(" 50 0 0 0 0 2", " 50 0 0 0 0 3", 1), "line 5: found tracking state 3"),
        (lambda text: text.replace("2", "1", 1), "line 30: found more than the frames announced"),
        (lambda text: text.replace("\n1\n", "\n2\n", 1), "line 30: found 1 fields, expected 10 of a body"),
        (lambda text: "", "line 1: found the end of the file"),
        (lambda text: "\x00\xff", "cannot be read|found"),
    ],
)
def test_a_damaged_file_raises_one_line(tmp_path: Path, change, expected: str) -> None:  # type: ignore[no-untyped-def]
    path = written(tmp_path, [body(1, 1.0)], [body(1, 1.0)])
    path.write_bytes(change(path.read_text()).encode("latin-1"))
    with pytest.raises(FormatError, match=expected) as caught:
        load_ntu(path)
    assert "\n" not in str(caught.value)


def test_a_body_occurs_once_in_a_frame(tmp_path: Path) -> None:
    path = written(tmp_path, [body(1, 1.0), body(1, 2.0)])
    with pytest.raises(FormatError, match="line 30: found body 72051 for the second time"):
        load_ntu(path)


def test_a_file_of_another_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="not named like S001C001P001R001A001"):
        load_ntu(written(tmp_path, [], name="walk.skeleton"))


def test_a_frame_of_too_many_bodies_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, [], [body(1, 0)])
    path.write_text(path.read_text().replace("\n1\n", "\n1001\n"))
    with pytest.raises(FormatError, match="line 3: found 1001 bodies in one frame, expected at most 1000"):
        load_ntu(path)


def test_a_person_in_too_many_frames_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, [body(1, 0)], *[[]] * 333_333)
    with pytest.raises(FormatError, match=r"a person of 25 joints in 333334 frames has 25,000,050 numbers"):
        load_ntu(path)
