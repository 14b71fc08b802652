"""The classical baseline: summary features of a clip, and the random forest on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from moving_body import ACTIONS, a_sequence, blurred
from numpy.typing import NDArray

from skdpipe.cache import PoseCache, Quality
from skdpipe.classical.features import summary_features
from skdpipe.classical.forest import forest_probabilities
from skdpipe.config import ClipFormat
from skdpipe.dataset import PairedClip, PairedClips
from skdpipe.errors import DataError
from skdpipe.skeleton import UNSEEN, PoseSequence

Clip = NDArray[np.float32]

# Summary features


@st.composite
def clips(draw: st.DrawFn, most_people: int = 3) -> Clip:
    """Clips ``(person, channel, frame, joint)`` with unseen joints."""
    shape = draw(st.tuples(*(st.integers(1, most) for most in (most_people, 9, 4))))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    clip = rng.normal(size=(shape[0], 3, *shape[1:])).astype(np.float32)
    clip[:, 2] = rng.random((shape[0], *shape[1:])) < draw(st.sampled_from([0.0, 0.2, 0.7, 1.0]))
    clip[:, :2] *= clip[:, 2:]
    return clip


def features(clip: Clip) -> NDArray[np.float64]:
    return summary_features(clip, clip[:, 2].any(axis=(1, 2)))


def plain_features(clip: Clip) -> list[float]:
    """The features of one person, one by one."""
    frames, joints = clip.shape[1:]
    quarter = max(1, frames // 4)

    def seen(joint: int, part: range) -> list[int]:
        return [frame for frame in part if clip[2, frame, joint] > 0]

    def statistics(values: list[float]) -> tuple[float, float]:
        return (float(np.mean(values)), float(np.std(values))) if values else (0.0, 0.0)

    def place(joint: int, frame: int) -> NDArray[np.float64]:
        return clip[:2, frame, joint].astype(np.float64)

    found = []
    for joint in range(joints):
        every = seen(joint, range(frames))
        for axis in (0, 1):
            found += statistics([place(joint, frame)[axis] for frame in every])
            first, last = seen(joint, range(quarter)), seen(joint, range(frames - quarter, frames))
            means = [np.mean([place(joint, frame)[axis] for frame in part]) for part in (last, first) if part]
            found.append(float(means[0] - means[1]) if len(means) == 2 else 0.0)
        speeds = [
            float(np.linalg.norm(place(joint, frame + 1) - place(joint, frame)))
            for frame in every
            if frame + 1 in every
        ]
        found += [*statistics(speeds), float(np.percentile(speeds, 90)) if speeds else 0.0]
        found.append(len(every) / frames)
        for other in range(joint):
            common = [frame for frame in every if frame in seen(other, range(frames))]
            distances = [float(np.linalg.norm(place(joint, f) - place(other, f))) for f in common]
            found += statistics(distances)
    return found


@given(clips(most_people=1))
def test_the_features_of_one_person_are_those_computed_one_by_one(clip: Clip) -> None:
    np.testing.assert_allclose(np.sort(features(clip)), np.sort(plain_features(clip[0])), atol=1e-12)


@given(clips())
def test_the_positions_of_unseen_joints_do_not_matter(clip: Clip) -> None:
    other = clip.copy()
    other[:, :2] += 7 * (clip[:, 2:] == 0)
    np.testing.assert_array_equal(features(other), features(clip))


@given(clips(most_people=1), st.integers(0, 2**32 - 1))
def test_the_order_of_frames_affects_only_change_and_speed(clip: Clip, seed: int) -> None:
    shuffled = clip[:, :, np.random.default_rng(seed).permutation(clip.shape[2])]
    joints = clip.shape[3]
    same = np.ones(len(features(clip)), bool)
    same[4 * joints : 9 * joints] = False
    np.testing.assert_allclose(features(shuffled)[same], features(clip)[same], atol=1e-12)


@given(clips(), st.tuples(st.floats(-3, 3), st.floats(-3, 3)))
def test_a_translation_changes_only_mean_positions(clip: Clip, offset: tuple[float, float]) -> None:
    moved = clip.copy()
    moved[:, :2] += np.float32(offset)[:, None, None] * (clip[:, 2:] > 0)
    same = np.ones(len(features(clip[:1])), bool)
    joints = clip.shape[3]
    same[:joints] = same[2 * joints : 3 * joints] = False
    if len(clip) > 1:
        same = np.tile(same, 2)
    np.testing.assert_allclose(features(moved)[same], features(clip)[same], atol=1e-5)


@given(clips())
def test_the_order_of_two_people_does_not_matter(clip: Clip) -> None:
    pair = np.concatenate([clip, clip[::-1] * np.float32([[[2]], [[2]], [[1]]])])[:2]
    np.testing.assert_allclose(features(pair), features(pair[::-1]), atol=1e-12)


def test_people_who_are_not_seen_do_not_change_the_mean() -> None:
    rng = np.random.default_rng(0)
    clip = np.concatenate([rng.normal(size=(2, 2, 6, 3)), np.ones((2, 1, 6, 3))], axis=1).astype(np.float32)
    nobody = np.zeros_like(clip)
    mean = features(clip)[: len(features(clip)) // 2]
    padded = np.concatenate([clip, nobody])
    np.testing.assert_allclose(features(padded)[: len(mean)], mean)
    assert not features(nobody).any()


# The forest

QUALITIES: tuple[Quality, ...] = ("high", "low")


@pytest.fixture
def cache(tmp_path: Path) -> PoseCache:
    return PoseCache(tmp_path)


def save(cache: PoseCache, sequence: PoseSequence, low: PoseSequence | None = None) -> PairedClip:
    """Write a clip in both qualities."""
    paths = (
        cache.save(sequence, "high", "eyes-1"),
        cache.save(low or blurred(sequence), "low", "squint-1"),
    )
    return PairedClip(sequence.origin.key, sequence.origin.source, sequence.origin.label or "", True, *paths)


def save_clips(cache: PoseCache, *numbers: int) -> list[PairedClip]:
    return [save(cache, a_sequence(action, number)) for action in ACTIONS for number in numbers]


def as_data(cache: PoseCache, clips: list[PairedClip], classes: tuple[str, ...] = ACTIONS) -> PairedClips:
    return PairedClips(cache, clips, classes, ClipFormat(frames=8), ClipFormat(frames=8), None, 0)


def without_people(sequence: PoseSequence) -> PoseSequence:
    return sequence.with_keypoints(np.broadcast_to(UNSEEN, sequence.keypoints.shape).copy())


@pytest.mark.parametrize("quality", QUALITIES)
def test_a_forest_separates_two_actions(cache: PoseCache, quality: Quality) -> None:
    train, test = as_data(cache, save_clips(cache, 1, 2, 4, 5)), as_data(cache, save_clips(cache, 0, 3))
    probabilities = forest_probabilities(train, test, quality, seed=0)
    assert probabilities.argmax(axis=1).tolist() == test.labels
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)


def test_the_probabilities_depend_only_on_the_seed(cache: PoseCache) -> None:
    train, test = as_data(cache, save_clips(cache, 1, 2)), as_data(cache, save_clips(cache, 0, 3))
    first, again, other = (forest_probabilities(train, test, "low", seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_class_without_training_clips_has_probability_0(cache: PoseCache) -> None:
    clips, classes = save_clips(cache, 1, 2), ("a", *ACTIONS, "z")
    data = as_data(cache, clips, classes)
    probabilities = forest_probabilities(data, data, "high", seed=0)
    assert probabilities.shape == (4, 4)
    assert not probabilities[:, [0, 3]].any()


def test_training_clips_without_people_are_left_out(cache: PoseCache) -> None:
    clips, test = save_clips(cache, 1, 2), as_data(cache, save_clips(cache, 0, 3))
    blank = [
        save(cache, sequence, without_people(sequence))
        for sequence in (a_sequence(ACTIONS[0], number) for number in range(10, 14))
    ]
    expected = forest_probabilities(as_data(cache, clips), test, "low", seed=0)
    found = forest_probabilities(as_data(cache, blank + clips), test, "low", seed=0)
    np.testing.assert_array_equal(found, expected)
    with pytest.raises(DataError, match="nobody is seen in low quality in any of 4 training clips"):
        forest_probabilities(as_data(cache, blank), test, "low", seed=0)
