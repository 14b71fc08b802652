"""The decoder in numpy finds the people that OpenPifPaf's C++ decoder finds."""

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from skdpipe.config import Actors, Thresholds
from skdpipe.pose.openpifpaf import build, load_weights
from skdpipe.pose.openpifpaf.associations import SKELETON
from skdpipe.pose.openpifpaf.decoder import decode
from skdpipe.pose.openpifpaf.estimator import Letterbox
from skdpipe.pose.openpifpaf.growth import COPIED
from skdpipe.pose.openpifpaf.networks import openpifpaf
from skdpipe.pose_training import render_image
from skdpipe.skeleton import UNSEEN, Keypoints, is_seen
from skdpipe.video import Frame, read_frames

Fields = tuple[NDArray[np.float32], NDArray[np.float32]]

METAS = {16 // upsample: build("shufflenetv2x1", upsample=upsample).head_metas for upsample in (1, 2)}
NETWORKS = {97: ("shufflenetv2x1", "actors-low"), 161: ("resnet18", "actors-high")}
THRESHOLDS = [
    Thresholds(),
    Thresholds(complete=True),
    Thresholds(seed=0.05, keypoint=0.05, instance=0.02, cif=0.1, caf=0.05),
    Thresholds(seed=0.05, instance=0.05, cif=0.1, caf=0.05, complete=True),
]
STANDING = np.array(
    # nose, eyes, ears, shoulders, elbows, wrists, hips, knees, ankles: in units of the shoulders' width
    [
        *(
            [0.0, 0.0],
            [0.1, -0.1],
            [-0.1, -0.1],
            [0.2, 0.0],
            [-0.2, 0.0],
            [0.5, 0.6],
            [-0.5, 0.6],
            [0.7, 1.4],
        ),
        *([-0.7, 1.4], [0.7, 2.1], [-0.7, 2.1], [0.3, 2.2], [-0.3, 2.2], [0.3, 3.3], [-0.3, 3.3], [0.3, 4.3]),
        [-0.3, 4.3],
    ]
)


def decode_with_openpifpaf(fields: Fields, stride: int, thresholds: Thresholds) -> list[Keypoints]:
    """A new decoder for each frame: one that is used again rounds differently."""
    utils, cpp = openpifpaf.decoder.utils, torch.classes.openpifpaf_decoder.CifCaf
    utils.CifSeeds.set_threshold(thresholds.seed)
    utils.CifHr.set_threshold(thresholds.cif)
    utils.CafScored.set_default_score_th(thresholds.caf)
    utils.nms.Keypoints.set_instance_threshold(thresholds.instance)
    keypoint, relative = (0.0, 0.0) if thresholds.complete else (thresholds.keypoint, 0.5)
    utils.nms.Keypoints.set_keypoint_threshold(keypoint)
    cpp.set_keypoint_threshold(keypoint)
    cpp.set_keypoint_threshold_rel(relative)
    cpp.set_force_complete(thresholds.complete)
    cif, caf = METAS[stride]
    found = []
    for i in range(len(fields[0])):
        annotations = openpifpaf.decoder.CifCaf([cif], [caf])([torch.from_numpy(head[i]) for head in fields])
        kept = sorted((a for a in annotations if a.score >= thresholds.instance), key=lambda a: -a.score)
        people = np.array([annotation.data for annotation in kept]).reshape(-1, 17, 3)
        found.append(np.where(is_seen(people)[..., None], people, UNSEEN))
    return found


def assert_same_people(fields: Fields, stride: int, thresholds: Thresholds) -> list[Keypoints]:
    found = decode(*fields, stride, thresholds)
    expected = decode_with_openpifpaf(fields, stride, thresholds)
    assert len(found) == len(expected) == len(fields[0])
    for mine, theirs in zip(found, expected, strict=True):
        assert mine.dtype == np.float32
        assert mine.shape == theirs.shape
        np.testing.assert_array_equal(is_seen(mine), is_seen(theirs))
        np.testing.assert_array_equal(
            mine[~is_seen(mine)], np.broadcast_to(UNSEEN, mine.shape)[~is_seen(mine)]
        )
        # A joint that is a copy is one of any neighbour of equal confidence.
        own = theirs[..., 2] > COPIED * (1 + 1e-3)
        np.testing.assert_allclose(mine[own, :2], theirs[own, :2], rtol=0, atol=0.01)
        np.testing.assert_allclose(mine[..., 2], theirs[..., 2], rtol=0, atol=1e-4)
    return found


def fields_of(frames: list[Frame], long_edge: int) -> Fields:
    """The fields of an embedded network."""
    height, width = frames[0].shape[:2]
    box = Letterbox.fit((width, height), long_edge)
    images = (np.stack([box.apply(frame) for frame in frames]).astype(np.float32) - 115) / 58
    network = load_weights(*NETWORKS[long_edge])
    with torch.inference_mode():
        cif, caf = network.module(torch.from_numpy(images).permute(0, 3, 1, 2))
    return cif.numpy(), caf.numpy()


# Fields of networks ------------------------------------------------------------------------------


@pytest.mark.parametrize("long_edge", NETWORKS)
def test_actors_are_decoded_as_by_openpifpaf(long_edge: int) -> None:
    actors = Actors(images=8, size=(240, 180), subjects=8)
    fields = fields_of([render_image(actors, index)[0] for index in range(actors.images)], long_edge)
    for thresholds in THRESHOLDS:
        found = assert_same_people(fields, 16, thresholds)
        assert all(len(people) for people in found)


@pytest.mark.parametrize("long_edge", NETWORKS)
def test_real_clips_are_decoded_as_by_openpifpaf(long_edge: int, clips: Path) -> None:
    paths = sorted(path for path in clips.iterdir() if path.suffix in {".mp4", ".avi"})
    assert paths
    people = 0
    for path in paths:
        fields = fields_of(list(islice(read_frames(path), 0, 16, 8)), long_edge)
        people += sum(len(each) for t in THRESHOLDS for each in assert_same_people(fields, 16, t))
    assert people


# Made-up fields ----------------------------------------------------------------------------------


def draw_people(
    rng: np.random.Generator, people: int, *, frames: int, rows: int, columns: int, drop: float = 0.0
) -> Fields:
    """Fields of people who may overlap or be partly outside of the image, and noise of low confidence.

    A share ``drop`` of the joints and associations is missing.
    """
    cif = rng.normal(0, 1, (frames, 17, 5, rows, columns)).astype(np.float32)
    caf = rng.normal(0, 1, (frames, 19, 8, rows, columns)).astype(np.float32)
    for field in (cif, caf):
        field[:, :, 1] = rng.uniform(0, 0.4, field[:, :, 1].shape) ** 3
        vectors = {5: 1, 8: 2}[field.shape[2]]
        field[:, :, 2 : 2 + 2 * vectors] += np.tile(np.indices((rows, columns))[::-1], (vectors, 1, 1))
        field[:, :, 2 + 2 * vectors :] = rng.uniform(-0.1, 1, field[:, :, 2 + 2 * vectors :].shape)
    for frame in range(frames):
        for _ in range(people):
            size = rng.uniform(0.1, 0.3) * rows
            pose = STANDING * size + rng.uniform(-1, 1) * size + rng.uniform(0, 1, 2) * (columns, 0.6 * rows)
            scale = size * rng.uniform(0.2, 0.5)
            for joint, point in enumerate(pose):
                for row, column in cells_near(point[None], rows, columns):
                    if rng.uniform() >= drop:
                        near = point + rng.normal(0, 0.05, 2)
                        cif[frame, joint, :, row, column] = [0, rng.uniform(0.2, 1), *near, scale]
            for association, (first, second) in enumerate(SKELETON):
                line = np.linspace(pose[first], pose[second], 1 + int(2 * size))
                for row, column in cells_near(line, rows, columns):
                    if rng.uniform() >= drop:
                        near = np.append(pose[first], pose[second]) + rng.normal(0, 0.05, 4)
                        caf[frame, association, :, row, column] = [
                            0,
                            rng.uniform(0.2, 1),
                            *near,
                            scale,
                            scale,
                        ]
    return cif, caf


def cells_near(points: NDArray[np.float64], rows: int, columns: int) -> list[tuple[int, int]]:
    """Row and column of the four by four cells around each point."""
    near = range(-1, 3)
    around = {(int(y) + i, int(x) + j) for x, y in np.floor(points) for i in near for j in near}
    return sorted((row, column) for row, column in around if 0 <= row < rows and 0 <= column < columns)


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    people=st.integers(0, 5),
    frames=st.integers(1, 3),
    size=st.tuples(st.integers(1, 14), st.integers(1, 14)),
    stride=st.sampled_from(sorted(METAS)),
    drop=st.sampled_from([0.0, 0.5, 0.8]),
    thresholds=st.sampled_from(THRESHOLDS),
)
def test_made_up_people_are_decoded_as_by_openpifpaf(
    seed: int,
    people: int,
    frames: int,
    size: tuple[int, int],
    stride: int,
    drop: float,
    thresholds: Thresholds,
) -> None:
    rng = np.random.default_rng(seed)
    fields = draw_people(rng, people, frames=frames, rows=size[0], columns=size[1], drop=drop)
    assert_same_people(fields, stride, thresholds)


@pytest.mark.parametrize("thresholds", THRESHOLDS[:2])
def test_a_crowd_in_a_large_image_is_decoded_as_by_openpifpaf(thresholds: Thresholds) -> None:
    fields = draw_people(np.random.default_rng(4), 10, frames=2, rows=31, columns=41)
    found = assert_same_people(fields, 16, thresholds)
    assert min(len(people) for people in found) >= 4


def test_frames_of_a_batch_are_independent() -> None:
    cif, caf = draw_people(np.random.default_rng(1), 2, frames=5, rows=9, columns=11, drop=0.3)
    cif[2] = caf[2] = 0
    for thresholds in THRESHOLDS:
        together = decode(cif, caf, 16, thresholds)
        assert len(together[2]) == 0
        assert sum(map(len, together)) >= 3
        for i, people in enumerate(together):
            np.testing.assert_array_equal(people, decode(cif[i : i + 1], caf[i : i + 1], 16, thresholds)[0])


def test_a_large_batch_is_decoded_in_parts() -> None:
    one = draw_people(np.random.default_rng(2), 1, frames=1, rows=21, columns=21)
    cif, caf = (np.repeat(field, 6, axis=0) for field in one)
    (expected,) = decode(*one, 16, Thresholds())
    assert len(expected)
    for people in decode(cif, caf, 16, Thresholds()):
        np.testing.assert_array_equal(people, expected)


@pytest.mark.parametrize("complete", [False, True])
def test_fields_without_people_give_no_people(complete: bool) -> None:
    for frames in (0, 2):
        cif = np.zeros((frames, 17, 5, 5, 7), np.float32)
        caf = np.zeros((frames, 19, 8, 5, 7), np.float32)
        found = decode(cif, caf, 16, Thresholds(complete=complete))
        assert [people.shape for people in found] == [(0, 17, 3)] * frames


# By hand -----------------------------------------------------------------------------------------


def arm() -> Fields:
    """A left elbow at (32, 40) and a left wrist at (48, 40) pixels, at a stride of 16.

    Each joint is regressed by 16 cells, so the joint map has the cells' confidence there.
    """
    cif = np.zeros((1, 17, 5, 6, 6), np.float32)
    caf = np.zeros((1, 19, 8, 6, 6), np.float32)
    for joint, confidence, x in ((7, 0.8, 2), (9, 0.5, 3)):
        cif[0, joint, 1:, :4, :4] = np.array([confidence, x, 2.5, 0.25])[:, None, None]
    caf[0, SKELETON.index((7, 9)), 1:, 2, 2] = [0.9, 2, 2.5, 3, 2.5, 0.25, 0.25]
    return cif, caf


def test_an_arm_has_the_positions_and_confidences_of_the_formulas() -> None:
    # The map has 16 * 0.8 / 16 = 0.8 at the elbow, so the seed's confidence is 0.9 * 0.8 + 0.1 * 0.8 = 0.8.
    # The candidate is weighted with the map at the wrist: 0.9 * (0.1 + 0.9 * 0.5) = 0.495. As there is no
    # second one, half of that counts. The wrist has the geometric mean of 0.2475 and 0.8: 0.445.
    (people,) = decode(*arm(), 16, Thresholds(instance=0.01))
    expected = np.broadcast_to(UNSEEN, (1, 17, 3)).copy()
    expected[0, 7] = 32, 40, 0.8
    expected[0, 9] = 48, 40, np.sqrt(0.2475 * 0.8)
    np.testing.assert_allclose(people, expected, rtol=1e-5)
    assert_same_people(arm(), 16, Thresholds(instance=0.01))


@pytest.mark.parametrize(
    ("changed", "joints"),
    [
        ({"keypoint": 0.44}, 2),
        ({"keypoint": 0.45}, 1),
        ({"caf": 0.49}, 2),
        ({"caf": 0.5}, 1),
        ({"seed": 0.79}, 2),
        ({"seed": 0.81}, 0),
        ({"cif": 0.51}, 1),  # without the map at the wrist, the candidate has a confidence of 0.09
        ({"cif": 0.81}, 0),
        ({"instance": 0.0732}, 2),  # the mean is (0.8 + 0.445) / 17 = 0.0732
        ({"instance": 0.0733}, 0),
    ],
)
def test_each_threshold_acts_on_its_confidence(changed: dict[str, float], joints: int) -> None:
    (people,) = decode(*arm(), 16, Thresholds(**{"instance": 0.01, **changed}))
    assert is_seen(people[:1]).sum() == joints


def test_the_other_joints_of_a_complete_arm_are_copies_with_hardly_any_confidence() -> None:
    (people,) = decode(*arm(), 16, Thresholds(instance=0.01, complete=True))
    (person,) = people
    others = np.delete(person, (7, 9), axis=0)
    np.testing.assert_allclose(person[[7, 9], :2], [[32, 40], [48, 40]], rtol=1e-5)
    np.testing.assert_allclose(others, np.tile([32, 40, 1e-5], (15, 1)), rtol=1e-4)


def test_a_joint_at_the_place_of_a_more_confident_persons_joint_is_suppressed() -> None:
    # Two people with the same wrist: their elbows are 32 pixels apart.
    cif, caf = arm()
    cif[0, 7, 1:, 2:, 4:] = np.array([0.9, 4, 2.5, 0.25])[:, None, None]
    caf[0, SKELETON.index((7, 9)), 1:, 2, 4] = [0.8, 4, 2.5, 3, 2.5, 0.25, 0.25]
    (people,) = decode(cif, caf, 16, Thresholds(instance=0.01))
    assert is_seen(people)[:, [7, 9]].tolist() == [[True, True], [True, False]]
    np.testing.assert_allclose(people[:, 7, 0], [32, 64], rtol=1e-5)
    assert_same_people((cif, caf), 16, Thresholds(instance=0.01))
