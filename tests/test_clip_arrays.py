"""Frame numbers and people of foreign files, bounded by what the files hold."""

from __future__ import annotations

import json
import subprocess
import sys
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from skdpipe.errors import FormatError
from skdpipe.formats.clip_arrays import count_frames, lay_out_people
from skdpipe.formats.coco import load_coco
from skdpipe.formats.json_files import parse_json, to_numbers
from skdpipe.formats.json_people import DetectedPerson, join_frames
from skdpipe.formats.kinetics import load_kinetics
from skdpipe.formats.openpifpaf import load_openpifpaf
from skdpipe.formats.openpose import load_openpose
from skdpipe.skeleton import COCO_17, Keypoints, is_seen
from skdpipe.skeleton.tracks import Track

SIZE = (320, 240)


class Notes(dict[str, int]):
    def __call__(self, what: str, count: int) -> None:
        self[what] = self.get(what, 0) + count


def pose(confidence: float = 0.5) -> Keypoints:
    return np.full((17, 3), [10, 20, confidence], np.float32)


@pytest.mark.parametrize(
    ("numbers", "frames"),
    [([0], 1), ([9_999], 10_000), ([0, 5, 3], 6), (range(0, 20_000, 100), 19_901)],
)
def test_a_video_ends_with_its_last_frame(numbers: list[int], frames: int) -> None:
    assert count_frames(numbers, "clip") == frames


@pytest.mark.parametrize(
    "numbers", [[10_000], range(0, 20_001, 101), [1, 9_999_999], range(9_000_000, 10_000_001), [10**4000]]
)
def test_numbers_of_photos_are_refused(numbers: list[int]) -> None:
    with pytest.raises(
        FormatError, match=r"clip of .* images has a frame .*; expected numbers of frames"
    ) as e:
        count_frames(numbers, "clip")
    assert len(str(e.value)) < 150


def openpifpaf(folder: Path, frames: dict[int, list[Any]]) -> Any:
    file = folder / "a.openpifpaf.json"
    lines = [json.dumps({"frame": frame, "predictions": people}) for frame, people in frames.items()]
    file.write_text("\n".join(lines))
    return load_openpifpaf(file, size=SIZE)


def coco(folder: Path, frames: dict[int, list[Any]]) -> Any:
    file = folder / "a.json"
    file.write_text(
        json.dumps([{**each, "image_id": frame} for frame, people in frames.items() for each in people])
    )
    return next(load_coco(file, size=SIZE))


def kinetics(folder: Path, frames: dict[int, list[Any]]) -> Any:
    person = {"pose": [0.5] * 36, "score": [0.5] * 18}
    data = [{"frame_index": frame, "skeleton": [person] * len(people)} for frame, people in frames.items()]
    file = folder / "a.json"
    file.write_text(json.dumps({"data": data, "label": "wave"}))
    return load_kinetics(file)


def openpose(folder: Path, frames: dict[int, list[Any]]) -> Any:
    person = {"person_id": [-1], "pose_keypoints_2d": [50, 20, 0.5] * 18}
    for frame, people in frames.items():
        (folder / f"a_{frame}_keypoints.json").write_text(json.dumps({"people": [person] * len(people)}))
    return load_openpose(folder, size=SIZE)


PERSON = {"keypoints": [10, 20, 0.5] * 17, "score": 0.5, "category_id": 1}
FORMATS = [coco, openpifpaf, kinetics, openpose]


@pytest.mark.parametrize("load", FORMATS)
def test_nothing_is_laid_out_between_two_distant_frames(load: Callable[..., Any], tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"of 2 images has a frame 999999[89]; expected numbers of frames"):
        load(tmp_path, {1: [PERSON], 9_999_999: [PERSON]})


@pytest.mark.parametrize("load", FORMATS)
def test_a_frame_of_too_many_people_is_refused(load: Callable[..., Any], tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="1001 people in one frame; expected at most 1000"):
        load(tmp_path, {1: [PERSON], 2: [PERSON] * 1001})


def test_people_who_do_not_fit_are_counted() -> None:
    # 25 million numbers are four people of 17 joints in 100,000 frames.
    confidence = [0.5, 0.2, 0.9, 0.1, 0.8, 0.7]
    tracks = [
        Track(number, np.array([number], np.int32), pose(each)[None])
        for number, each in enumerate(confidence)
    ]
    notes = Notes()
    keypoints = lay_out_people(tracks, 100_000, COCO_17, "clip", notes)
    assert keypoints.shape == (100_000, 4, 17, 3)
    np.testing.assert_array_equal(np.argwhere(is_seen(keypoints)[..., 0]), [(0, 0), (2, 1), (4, 2), (5, 3)])
    assert notes == {
        "people with the lowest confidence are left out; a clip has at most 25,000,000 numbers": 2
    }


def test_all_people_of_an_ordinary_clip_are_kept_in_the_order_of_their_numbers() -> None:
    notes = Notes()
    people = [DetectedPerson(pose(0.1), 7), DetectedPerson(pose(0.9), 3)]
    keypoints = join_frames({0: people, 2: people[:1]}, 3, COCO_17, SIZE, "clip", notes)
    np.testing.assert_allclose(keypoints[..., 0, 2], [(0.9, 0.1), (0, 0), (0, 0.1)])
    assert notes == {}


def test_a_person_who_is_too_large_alone_is_refused() -> None:
    track = Track(0, np.array([0], np.int32), pose()[None])
    assert lay_out_people([], 490_197, COCO_17, "clip", Notes()).shape == (490_197, 0, 17, 3)
    with pytest.raises(FormatError, match=r"clip: a person of 17 joints in 490197 frames has 25,000,047 num"):
        lay_out_people([track], 490_197, COCO_17, "clip", Notes())


def test_joints_are_packed_while_json_is_read() -> None:
    joints, flagged = [10, 20.5, 0.25] * 17, [10, 20.5, 2] * 17
    read = parse_json(json.dumps({"keypoints": joints, "labelled": flagged, "bbox": [1, 2, 0.5]}), "", "")
    assert isinstance(read["keypoints"], array)
    np.testing.assert_array_equal(to_numbers(read["keypoints"]), joints)
    assert (read["labelled"], read["bbox"]) == (flagged, [1, 2, 0.5])
    too_large = parse_json(json.dumps({"keypoints": [1e39, 1e39, 0.5] * 17}), "", "")
    assert to_numbers(too_large["keypoints"]).size == 0


_MANY_PEOPLE = """
import resource, numpy as np
resource.setrlimit(resource.RLIMIT_AS, (2**31, 2**31))
from skdpipe.formats.json_files import parse_json, to_numbers
from skdpipe.formats.json_people import DetectedPerson, join_frames
from skdpipe.skeleton import COCO_17
pose = np.ones((17, 3), np.float32)
frames = {number: [DetectedPerson(pose, number)] for number in range(10_000)}
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(join_frames(frames, 10_000, COCO_17, (1, 1), "clip", lambda what, count: None).shape[1])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="ru_maxrss is in kilobytes on Linux")
def test_ten_thousand_people_of_one_frame_each_take_the_memory_of_one_clip() -> None:
    """49 people fit into 100 MB; all of them would take 20 GB."""
    command = [sys.executable, "-c", _MANY_PEOPLE]
    people, grown = subprocess.run(command, capture_output=True, check=True).stdout.split()
    assert int(people) == 49
    assert int(grown) < 250_000
