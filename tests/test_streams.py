"""Bones and motion: by hand, against a loop, and after augmentation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from moving_body import a_sequence, fill, tiny_experiment
from numpy.typing import NDArray

from skdpipe.cache import PoseCache
from skdpipe.config import Augmentation, ClipFormat, Stream
from skdpipe.dataset import PairedClips, augment, batches, build_manifest
from skdpipe.inference import model_input
from skdpipe.inference.streams import bones, motion, to_stream
from skdpipe.skeleton import COCO_17, LAYOUTS, Layout

STREAMS: tuple[Stream, ...] = get_args(Stream)
CHAIN = (0, 0, 1)  # three joints in a row, the first the root


def clip(*frames: Sequence[tuple[float, float, float]]) -> NDArray[np.float64]:
    """``(channel, frame, joint)`` of a row of joints for each frame."""
    return np.array(frames).transpose(2, 0, 1)


@st.composite
def clips(draw: st.DrawFn, joints: int = 3, exact: bool = False) -> NDArray[np.float64]:
    """``(person, channel, frame, joint)`` with any pattern of unseen joints; exact: sums do not round."""
    shape = (draw(st.integers(1, 2)), 3, draw(st.integers(1, 5)), joints)
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    values = rng.integers(-64, 65, shape) / 16 if exact else rng.normal(size=shape)
    values[:, 2] = rng.integers(1, 9, values[:, 2].shape) / 8
    values *= rng.random((shape[0], 1, *shape[2:])) < draw(st.sampled_from([0.3, 0.8, 1]))
    return values


# By hand


def test_bones_by_hand() -> None:
    joints = clip([(1, 2, 1), (4, 6, 0.5), (4, 7, 0.75)], [(1, 2, 1), (0, 0, 0), (4, 7, 0.75)])
    expected = clip([(0, 0, 1), (3, 4, 0.5), (0, 1, 0.5)], [(0, 0, 1), (0, 0, 0), (0, 0, 0)])
    np.testing.assert_allclose(bones(joints, CHAIN), expected)


def test_motion_by_hand() -> None:
    joints = clip([(1, 2, 1), (5, 5, 1)], [(2, 0, 0.5), (0, 0, 0)], [(2, 1, 1), (5, 6, 1)])
    expected = clip([(1, -2, 0.5), (0, 0, 0)], [(0, 1, 0.5), (0, 0, 0)], [(0, 0, 1), (0, 0, 1)])
    np.testing.assert_allclose(motion(joints), expected)


@given(clips(), st.sampled_from(STREAMS))
def test_streams_equal_a_loop(joints: NDArray[np.float64], stream: Stream) -> None:
    def vector(to: NDArray[np.float64], start: NDArray[np.float64]) -> NDArray[np.float64]:
        known = min(float(to[2]), float(start[2]))
        way = to - start if known else np.zeros(3)
        way[2] = known
        return way

    expected = joints.copy()
    people, _, frames, count = joints.shape
    if stream.startswith("bone"):
        for person, frame, joint in product(range(people), range(frames), range(count)):
            ends = joints[person, :, frame, joint], joints[person, :, frame, CHAIN[joint]]
            expected[person, :, frame, joint] = vector(*ends)
    if stream.endswith("motion"):
        still = expected.copy()
        for person, frame, joint in product(range(people), range(frames), range(count)):
            ends = still[person, :, min(frame + 1, frames - 1), joint], still[person, :, frame, joint]
            expected[person, :, frame, joint] = vector(*ends)
    np.testing.assert_array_equal(to_stream(joints, stream, CHAIN), expected)


# Properties


@given(clips(joints=17), st.sampled_from(STREAMS))
def test_unseen_joints_are_zero_and_the_input_is_unchanged(
    joints: NDArray[np.float64], stream: Stream
) -> None:
    before = joints.copy()
    shown = to_stream(joints, stream, COCO_17.parents)
    assert shown.shape == joints.shape
    assert shown.dtype == joints.dtype
    assert (np.moveaxis(shown, 1, -1)[shown[:, 2] == 0] == 0).all()
    assert (shown[:, 2] <= joints[:, 2]).all()
    np.testing.assert_array_equal(joints, before)


@given(clips(exact=True), st.sampled_from([s for s in STREAMS if s != "joint"]), st.integers(-9, 9))
def test_streams_are_invariant_to_translation(
    joints: NDArray[np.float64], stream: Stream, shift: int
) -> None:
    elsewhere = joints.copy()
    elsewhere[:, :2] += shift * (joints[:, 2:] > 0)
    np.testing.assert_allclose(to_stream(elsewhere, stream, CHAIN), to_stream(joints, stream, CHAIN))


@given(clips(exact=True))
def test_bones_and_motion_commute_if_all_joints_are_seen(joints: NDArray[np.float64]) -> None:
    joints[:, 2] = 1
    np.testing.assert_allclose(motion(bones(joints, CHAIN)), bones(motion(joints), CHAIN))


def test_bones_sum_to_the_joints() -> None:
    joints = np.random.default_rng(0).random((1, 3, 4, 17)) + 0.1
    way = bones(joints, COCO_17.parents)[:, :2]
    ankle = COCO_17.index("left_ankle")
    chain = [ankle]
    while COCO_17.parents[chain[-1]] != chain[-1]:
        chain.append(COCO_17.parents[chain[-1]])
    assert [COCO_17.joints[joint] for joint in chain] == [
        "left_ankle", "left_knee", "left_hip", "left_shoulder", "left_ear", "left_eye", "nose",
    ]  # fmt: skip
    total = joints[:, :2, :, chain[-1]] + way[..., chain].sum(axis=-1)
    np.testing.assert_allclose(total, joints[:, :2, :, ankle])


# From clip to batch


@pytest.mark.parametrize("stream", STREAMS)
def test_the_model_input_has_the_stream_of_its_format(stream: Stream) -> None:
    sequence = a_sequence("sideways")
    joints, seen = model_input(sequence, ClipFormat(frames=8))
    shown, still_seen = model_input(sequence, ClipFormat(frames=8, stream=stream))
    np.testing.assert_array_equal(shown, to_stream(joints, stream, COCO_17.parents))
    assert seen.tolist() == still_seen.tolist() == [True, False]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> PoseCache:
    return fill(PoseCache(tmp_path_factory.mktemp("cache")))


def paired(cache: PoseCache, stream: Stream) -> PairedClips:
    manifest = build_manifest(cache, tiny_experiment())
    clip = ClipFormat(frames=8, stream=stream)
    return PairedClips(cache, manifest.part(train=True), manifest.classes, clip, clip, None, 0)


@pytest.mark.parametrize("stream", STREAMS)
def test_a_training_batch_equals_the_input_of_prediction(cache: PoseCache, stream: Stream) -> None:
    clips = build_manifest(cache, tiny_experiment()).part(train=True)
    batch = next(iter(batches(paired(cache, stream), len(clips))))
    for index, clip in enumerate(clips):
        expected, _ = model_input(cache.load(clip.high), ClipFormat(frames=8, stream=stream))
        np.testing.assert_array_equal(batch.high[index], expected)


@pytest.mark.parametrize("stream", STREAMS)
def test_streams_are_computed_after_augmentation(cache: PoseCache, stream: Stream) -> None:
    joints = augment(
        next(iter(batches(paired(cache, "joint"), 8))),
        np.random.default_rng(3),
        mirror=COCO_17.mirror,
        settings=Augmentation(),
    )
    data = paired(cache, stream)
    shown = next(iter(batches(data, 8, augment=Augmentation(), noise=np.random.default_rng(3))))
    for of_joints, of_stream in ((joints.high, shown.high), (joints.low, shown.low)):
        np.testing.assert_array_equal(of_stream, to_stream(of_joints.numpy(), stream, COCO_17.parents))


# Parents


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=str)
def test_parents_follow_bones_to_the_root_and_keep_sides(layout: Layout) -> None:
    root = layout.index(layout.root)
    linked = {frozenset(edge) for edge in layout.edges}
    for joint, parent in enumerate(layout.parents):
        assert (joint == parent) == (joint == root)
        assert joint == root or frozenset((joint, parent)) in linked
        assert layout.parents[layout.mirror[joint]] == layout.mirror[parent]
        for _ in layout.joints:
            joint = layout.parents[joint]
        assert joint == root


def test_a_joint_on_no_bone_is_its_own_parent() -> None:
    loose = replace(COCO_17, name="loose", bones=(("nose", "left_eye"),))
    assert loose.parents[:3] == (0, 0, 2)
