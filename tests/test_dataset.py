"""From the cache to batches: pairing, split, model inputs, batches and augmentation."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from moving_body import ACTIONS, a_sequence, blurred, fill, tiny_experiment

from skdpipe.cache import PoseCache
from skdpipe.config import Augmentation, ClipFormat, Degradation, Experiment, LabelShares
from skdpipe.dataset import (
    BOTH,
    Batch,
    Manifest,
    PairedClips,
    augment,
    batches,
    build_manifest,
)
from skdpipe.degradation import degrade, generator_for, occlude, sample_frames
from skdpipe.errors import DataError
from skdpipe.inference.model_input import model_input, with_people
from skdpipe.skeleton import COCO_17, PENN_13, UNSEEN, PoseSequence

DERIVED = tiny_experiment(derive_low=Degradation(every=2))
CLIP = ClipFormat(frames=8)


def save(cache: PoseCache, *sequences: PoseSequence, low: bool = False) -> PoseCache:
    for sequence in sequences:
        cache.save(sequence, "high", "eyes-1")
        if low:
            cache.save(blurred(sequence), "low", "squint-1")
    return cache


def people_at(*places: float, layout: str = "coco-17", frames: int = 4, **origin: str) -> PoseSequence:
    """Standing people, each so many pixels to the right; confidence falls from one to the next."""
    person = a_sequence("sideways", frames=1).keypoints[:, 0]
    keypoints = np.stack([person + np.float32([place, 0, 0]) for place in places], axis=1).repeat(
        frames, axis=0
    )
    keypoints[..., 2] = np.linspace(1, 0.5, len(places))[:, None]
    whole = a_sequence("sideways", frames=frames, **origin)
    return whole.with_keypoints(keypoints)


def missing(experiment: Experiment, cache: PoseCache) -> str:
    with pytest.raises(DataError) as caught:
        build_manifest(cache, experiment)
    text = str(caught.value)
    assert "\n" not in text
    return text


# Which clips there are


def test_a_video_needs_both_qualities_and_a_label(tmp_path: Path) -> None:
    cache = fill(PoseCache(tmp_path))
    cache.save(a_sequence("sideways", 90, split="train"), "high", "eyes-1")
    cache.save(a_sequence("sideways", 91, split="train"), "low", "squint-1")
    cache.save(a_sequence("sideways", 92, split="train"), "low", "squint-1")
    save(cache, a_sequence("sideways", 93, label=None), low=True)
    manifest = build_manifest(cache, tiny_experiment())
    assert len(manifest.clips) == 12
    assert manifest.classes == ACTIONS
    assert (manifest.high, manifest.low) == ("eyes-1", "squint-1")
    assert manifest.left_out == {
        "no label": 1,
        "no low-quality skeletons": 1,
        "no high-quality skeletons": 2,
    }
    keys = [clip.key for clip in manifest.clips]
    assert keys == sorted(keys)
    for clip in manifest.clips:
        assert cache.load(clip.high).origin.key == clip.key
        assert clip.low is not None
        assert cache.load(clip.low).origin.key == clip.key
    assert "9" not in {clip.key[2] for clip in manifest.clips}


def test_videos_without_people_are_test_clips_but_not_training_clips(tmp_path: Path) -> None:
    cache = fill(PoseCache(tmp_path))
    for number, split, quality in ((80, "train", "high"), (81, "train", "low"), (82, "test", "low")):
        sequence = a_sequence("sideways", number, split=split)
        nobody = sequence.with_keypoints(np.broadcast_to(UNSEEN, sequence.keypoints.shape).copy())
        cache.save(nobody if quality == "high" else sequence, "high", "eyes-1")
        cache.save(nobody if quality == "low" else sequence, "low", "squint-1")
    manifest = build_manifest(cache, tiny_experiment())
    assert manifest.left_out == {"no person detected (training clips)": 2}
    assert [len(manifest.part(train=side)) for side in (True, False)] == [8, 5]


def test_derived_low_quality_needs_no_low_settings(tmp_path: Path) -> None:
    cache = save(PoseCache(tmp_path), *(a_sequence(action, n) for action in ACTIONS for n in range(4)))
    manifest = build_manifest(cache, DERIVED)
    assert manifest.low == ""
    assert all(clip.low is None for clip in manifest.clips)
    assert "0 low settings (none); run `skdpipe extract` first" in missing(tiny_experiment(), cache)


def test_several_settings_folders_require_a_choice(tmp_path: Path) -> None:
    cache = fill(PoseCache(tmp_path))
    cache.save(blurred(a_sequence("sideways", 0)), "low", "other-2")
    expected = "has 2 low settings (other-2, squint-1); choose one with --set low=NAME"
    assert missing(tiny_experiment(), cache).endswith(expected)
    assert missing(tiny_experiment(low="third"), cache).endswith("'third'; found other-2, squint-1")
    assert build_manifest(cache, tiny_experiment(low="squint-1")).low == "squint-1"


def test_an_empty_cache_says_what_to_do(tmp_path: Path) -> None:
    assert missing(tiny_experiment(), PoseCache(tmp_path / "none")).endswith("run `skdpipe extract` first")
    cache = save(PoseCache(tmp_path), a_sequence("sideways", label=None), low=True)
    text = missing(tiny_experiment(), cache)
    assert "has no labelled pairs of skeletons (1 with no label); put the videos into a folder" in text


def test_one_class_cannot_be_learned(tmp_path: Path) -> None:
    cache = save(PoseCache(tmp_path), *(a_sequence("sideways", n) for n in range(6)))
    assert "gives 1 classes, 4 training and 2 test clips; expected two" in missing(DERIVED, cache)


# Clips of one quality only

UNPAIRED = tiny_experiment(unpaired=True)


def with_unpaired(cache: PoseCache, **origin: str) -> PoseCache:
    """`fill`, and two videos in high quality alone and three in low alone."""
    fill(cache)
    for number, quality in ((70, "high"), (71, "high"), (80, "low"), (81, "low"), (82, "low")):
        sequence = a_sequence("sideways", number, **{"split": "train", **origin})
        settings_of = {"high": "eyes-1", "low": "squint-1"}
        cache.save(sequence if quality == "high" else blurred(sequence), quality, settings_of[quality])
    return cache


def test_unpaired_videos_are_training_clips_of_their_quality(tmp_path: Path) -> None:
    cache = with_unpaired(PoseCache(tmp_path))
    manifest, paired = build_manifest(cache, UNPAIRED), build_manifest(cache, tiny_experiment())
    assert paired.left_out == {"no low-quality skeletons": 2, "no high-quality skeletons": 3}
    assert manifest.left_out == {}
    assert manifest.part(train=False) == paired.part(train=False)
    assert set(paired.clips) < set(manifest.clips)
    assert [clip.key for clip in manifest.clips] == sorted(clip.key for clip in manifest.clips)
    high, low = (manifest.part(train=True, quality=quality) for quality in ("high", "low"))
    assert (len(high), len(low), len(manifest.part(train=True))) == (8 + 2, 8 + 3, 8 + 2 + 3)
    assert all(cache.load(clip.high).origin.key == clip.key for clip in high)
    assert all(cache.load(clip.low).origin.key == clip.key for clip in low)
    assert {clip.key for clip in set(low) - set(high)} == {f"00{number:02x}" for number in (80, 81, 82)}


def test_unpaired_videos_of_the_test_side_or_without_label_or_people_are_left_out(tmp_path: Path) -> None:
    cache = with_unpaired(PoseCache(tmp_path), split="test")
    nobody = a_sequence("sideways", 60, split="train")
    nobody = nobody.with_keypoints(np.broadcast_to(UNSEEN, nobody.keypoints.shape).copy())
    cache.save(nobody, "high", "eyes-1")
    cache.save(a_sequence("sideways", 61, split="train", label=None), "low", "squint-1")
    manifest = build_manifest(cache, UNPAIRED)
    assert manifest.left_out == {
        "no label": 1,
        "one quality only (test clips)": 5,
        "no person detected (training clips)": 1,
    }
    assert manifest.clips == build_manifest(cache, tiny_experiment()).clips


def test_a_pair_without_people_in_one_quality_is_unpaired(tmp_path: Path) -> None:
    cache = fill(PoseCache(tmp_path))
    for number, blind in ((80, {"high"}), (81, {"low"}), (82, {"high", "low"})):
        sequence = a_sequence("sideways", number, split="train")
        nobody = sequence.with_keypoints(np.broadcast_to(UNSEEN, sequence.keypoints.shape).copy())
        cache.save(nobody if "high" in blind else sequence, "high", "eyes-1")
        cache.save(nobody if "low" in blind else sequence, "low", "squint-1")
    manifest = build_manifest(cache, UNPAIRED)
    assert manifest.left_out == {"no person detected (training clips)": 1}
    alone = {clip.key: clip.qualities for clip in manifest.clips if len(clip.qualities) == 1}
    assert alone == {"0050": ("low",), "0051": ("high",)}


def test_a_held_out_subject_is_in_no_training_clip(tmp_path: Path) -> None:
    cache = PoseCache(tmp_path)
    for action, number in ((action, number) for action in ACTIONS for number in range(6)):
        save(cache, a_sequence(action, number, subject=f"s{number % 3}"), low=True)
    for number in range(4):
        cache.save(blurred(a_sequence("sideways", 80 + number, subject=f"s{number}")), "low", "squint-1")
    manifest = build_manifest(cache, UNPAIRED)
    assert manifest.part(train=False) == build_manifest(cache, tiny_experiment()).part(train=False)
    tested = {cache.load(clip.high).origin.subject for clip in manifest.part(train=False)}
    trained = {cache.load(clip.low).origin.subject for clip in manifest.part(train=True)}
    assert not tested & trained
    assert "s3" in trained  # of whom there is no pair
    assert manifest.left_out == {"one quality only (test clips)": 1}


def test_unpaired_videos_train_if_split_and_subject_are_unnamed(tmp_path: Path) -> None:
    cache = PoseCache(tmp_path)
    save(cache, *(a_sequence(action, number) for action in ACTIONS for number in range(5)), low=True)
    before = build_manifest(cache, UNPAIRED)
    cache.save(blurred(a_sequence("sideways", 80)), "low", "squint-1")
    after = build_manifest(cache, UNPAIRED)
    assert set(after.clips) - set(before.clips) == {
        clip for clip in after.clips if clip.qualities == ("low",)
    }
    assert after.part(train=False) == before.part(train=False)


def test_each_quality_needs_training_clips_of_each_test_class(tmp_path: Path) -> None:
    cache = save(PoseCache(tmp_path), *(a_sequence("sideways", n, split="train") for n in range(2)), low=True)
    save(cache, a_sequence("up and down", 0, split="test"), low=True)
    cache.save(blurred(a_sequence("up and down", 1, split="train")), "low", "squint-1")
    expected = "no training clip of up and down; expected one or more of each class in high quality"
    assert missing(UNPAIRED, cache).startswith(expected)


def test_a_missing_quality_is_zero_and_masked(tmp_path: Path) -> None:
    cache = with_unpaired(PoseCache(tmp_path))
    manifest = build_manifest(cache, UNPAIRED)
    data = paired_clips(cache, UNPAIRED, manifest)
    for index, clip in enumerate(manifest.clips):
        sample = data[index]
        assert sample.high.shape == sample.low.shape
        assert (bool(sample.high_mask.any()), bool(sample.low_mask.any())) == (
            "high" in clip.qualities,
            "low" in clip.qualities,
        )
        if len(clip.qualities) == 1:
            absent = sample.low if clip.qualities == ("high",) else sample.high
            assert (absent == 0).all()
            assert not sample.paired.any()
            there, path = (sample.high, clip.high) if clip.high else (sample.low, clip.low)
            np.testing.assert_array_equal(there, model_input(cache.load(path), CLIP)[0])


# The split


def test_a_named_split_is_kept_and_validation_counts_as_test(tmp_path: Path) -> None:
    splits = ["train", "val", "train", "test", "validation", "valid"]
    clips = [a_sequence(a, n, split=split) for a in ACTIONS for n, split in enumerate(splits)]
    manifest = build_manifest(save(PoseCache(tmp_path), *clips), DERIVED)
    assert {clip.key[2:] for clip in manifest.part(train=True)} == {"00", "02"}
    assert len(manifest.part(train=False)) == 8


@pytest.mark.parametrize("what", ["split", "subject"])
def test_a_split_or_subject_is_named_for_all_or_none(tmp_path: Path, what: str) -> None:
    named = [a_sequence("sideways", n, **{what: "train"}) for n in range(3)]
    cache = save(PoseCache(tmp_path), *named, *(a_sequence("up and down", n) for n in range(2)))
    expected = f"3 of 5 videos name a {what}, the others do not; name it for all or none"
    assert missing(DERIVED, cache) == expected


def test_an_unknown_split_is_named(tmp_path: Path) -> None:
    clips = [a_sequence(a, n, split="holdout") for a in ACTIONS for n in range(2)]
    expected = (
        "split 'holdout' is none of test, testing, train, training, val, valid, validation; correct the CSV"
    )
    assert missing(DERIVED, save(PoseCache(tmp_path), *clips)) == expected


def test_one_side_only_is_refused(tmp_path: Path) -> None:
    clips = [a_sequence(a, n, split="train") for a in ACTIONS for n in range(2)]
    assert "2 classes, 4 training and 0 test clips" in missing(DERIVED, save(PoseCache(tmp_path), *clips))


def test_a_class_without_training_clips_is_named(tmp_path: Path) -> None:
    clips = [a_sequence("sideways", n, split="train" if n else "test") for n in range(3)]
    cache = save(PoseCache(tmp_path), *clips, a_sequence("up and down", split="test"))
    cache.save(a_sequence("sideways", 9, split="train", label="turn [round]"), "high", "eyes-1")
    assert missing(DERIVED, cache).startswith("no training clip of up and down; expected one or more")


@given(seed=st.integers(0, 2**31), fraction=st.floats(0.05, 0.95), subjects=st.integers(2, 6))
@settings(max_examples=25)
def test_no_subject_is_on_both_sides(
    tmp_path_factory: pytest.TempPathFactory, seed: int, fraction: float, subjects: int
) -> None:
    clips = [a_sequence(a, n, subject=f"s{n % subjects}") for a in ACTIONS for n in range(subjects * 2)]
    cache = save(PoseCache(tmp_path_factory.mktemp("cache")), *clips)
    manifest = build_manifest(cache, replace(DERIVED, seed=seed, test_fraction=fraction))
    subject_of = {clip.origin.key: clip.origin.subject for clip in clips}
    train, test = ({subject_of[clip.key] for clip in manifest.part(train=side)} for side in (True, False))
    assert not train & test
    assert len(test) == min(max(1, round(fraction * subjects)), subjects - 1)


@pytest.fixture(scope="module")
def unsplit(tmp_path_factory: pytest.TempPathFactory) -> PoseCache:
    """Nine clips of one class, four of another, one of a third."""
    cache = PoseCache(tmp_path_factory.mktemp("unsplit"))
    save(cache, *(a_sequence("sideways", n) for n in range(9)))
    save(cache, *(a_sequence("up and down", n) for n in range(4)))
    return save(cache, a_sequence("sideways", 99, label="rare"))


@given(seed=st.integers(0, 2**31))
@settings(max_examples=25)
def test_a_share_of_each_class_is_held_out_and_a_training_clip_remains(unsplit: PoseCache, seed: int) -> None:
    manifest = build_manifest(unsplit, replace(DERIVED, seed=seed, test_fraction=0.34))
    held_out = [clip.label for clip in manifest.part(train=False)]
    assert sorted(held_out) == ["sideways"] * 3 + ["up and down"]
    assert "rare" in {clip.label for clip in manifest.part(train=True)}
    assert manifest == build_manifest(unsplit, replace(DERIVED, seed=seed, test_fraction=0.34))


def test_the_seed_changes_the_split(unsplit: PoseCache) -> None:
    splits = {build_manifest(unsplit, replace(DERIVED, seed=seed)).part(train=False) for seed in range(8)}
    assert len(splits) > 4


@pytest.mark.parametrize("subjects", [0, 4])
@pytest.mark.parametrize("seed", range(3))
def test_validation_uses_training_clips_only(tmp_path: Path, subjects: int, seed: int) -> None:
    """Whole subjects where they are named, a share of each class where not."""
    clips = [
        a_sequence(a, n, split="train" if n < 8 else "test", **({"subject": f"s{n % 4}"} if subjects else {}))
        for a in ACTIONS
        for n in range(12)
    ]
    cache = save(PoseCache(tmp_path), *clips)
    everything = build_manifest(cache, replace(DERIVED, seed=seed))
    manifest = build_manifest(cache, replace(DERIVED, seed=seed, validation=0.25))
    train, tested = manifest.part(train=True), manifest.part(train=False)
    assert {clip.key for clip in (*train, *tested)} == {clip.key for clip in everything.part(train=True)}
    assert sorted(clip.label for clip in tested) == [a for a in ACTIONS for _ in range(2)]
    if subjects:
        subject_of = {clip.origin.key: clip.origin.subject for clip in clips}
        assert len({subject_of[clip.key] for clip in tested}) == 1
        assert not {subject_of[clip.key] for clip in train} & {subject_of[clip.key] for clip in tested}
    assert manifest.left_out == {"the test split (not used for validation)": 4 * len(ACTIONS)}


def test_validation_leaves_out_unpaired_test_videos(tmp_path: Path) -> None:
    cache = PoseCache(tmp_path)
    for action in ACTIONS:
        for number in range(8):
            clip = a_sequence(action, number, split="train" if number < 6 else "test")
            save(cache, clip, low=number not in (5, 7))
    manifest = build_manifest(cache, Experiment(unpaired=True, validation=0.4))
    numbers = Counter((clip.train, clip.qualities) for clip in manifest.clips)
    assert numbers == {
        (True, BOTH): 3 * len(ACTIONS), (False, BOTH): 2 * len(ACTIONS), (True, ("high",)): len(ACTIONS)
    }  # fmt: skip
    assert manifest.left_out == {"the test split (not used for validation)": 2 * len(ACTIONS)}


# Clips without a label, and labels that are not used

UNLABELLED = tiny_experiment(unlabelled=True)


def labelled_keys(manifest: Manifest) -> dict[str, set[str]]:
    """Of which training clips each quality has labels."""
    return {
        quality: {clip.key for clip in manifest.part(train=True, quality=quality, labelled=True)}
        for quality in BOTH
    }


def test_unlabelled_pairs_train_the_student_only(tmp_path: Path) -> None:
    cache = fill(PoseCache(tmp_path))
    known = build_manifest(cache, tiny_experiment())
    without = (a_sequence("sideways", number, label=None) for number in range(50, 53))  # nor a split
    save(cache, *without, low=True)
    cache.save(a_sequence("sideways", 60, label=None), "high", "eyes-1")
    manifest = build_manifest(cache, UNLABELLED)
    assert manifest.left_out == {"no low-quality skeletons": 1}
    assert (manifest.classes, manifest.part(train=False)) == (known.classes, known.part(train=False))
    added = set(manifest.clips) - set(known.clips)
    assert {(clip.label, clip.train, clip.qualities, clip.labelled) for clip in added} == {
        ("", True, BOTH, ())
    }
    for quality in BOTH:
        assert len(manifest.part(train=True, quality=quality)) == 8 + 3
        assert manifest.part(train=True, quality=quality, labelled=True) == known.part(train=True)
    assert build_manifest(cache, tiny_experiment()).clips == known.clips
    samples = zip(paired_clips(cache, UNLABELLED, manifest), manifest.clips, strict=True)
    assert [int(sample.label) for sample, clip in samples if clip in added] == [-1] * 3


def test_unlabelled_pairs_of_the_test_side_or_without_people_are_left_out(tmp_path: Path) -> None:
    cache = fill(PoseCache(tmp_path))
    save(cache, a_sequence("sideways", 50, label=None, split="val"), low=True)
    seen = a_sequence("sideways", 51, label=None)
    cache.save(seen, "high", "eyes-1")
    nobody = seen.with_keypoints(np.broadcast_to(UNSEEN, seen.keypoints.shape).copy())
    cache.save(nobody, "low", "squint-1")
    manifest = build_manifest(cache, UNLABELLED)
    assert manifest.left_out == {"no label": 1, "no person detected (training clips)": 1}
    assert manifest.clips == build_manifest(cache, tiny_experiment()).clips


@pytest.mark.parametrize("validation", [0, 0.3])
def test_held_out_subjects_are_in_no_unlabelled_training_clip(tmp_path: Path, validation: float) -> None:
    cache = PoseCache(tmp_path)
    for action, number in ((action, number) for action in ACTIONS for number in range(8)):
        save(cache, a_sequence(action, number, subject=f"s{number % 4}"), low=True)
    subjects = ("s0", "s1", "s2", "s3", "another", None)
    for number, subject in enumerate(subjects):
        save(cache, a_sequence("sideways", 80 + number, label=None, subject=subject), low=True)
    manifest = build_manifest(cache, replace(UNLABELLED, validation=validation))
    trains = {cache.load(c.high).origin.subject for c in manifest.part(train=True) if c.label}
    without = {cache.load(c.high).origin.subject for c in manifest.part(train=True) if not c.label}
    assert without == trains | {"another", None}
    assert len(trains) == 3 - bool(validation)


@given(seed=st.integers(0, 2**31))
@settings(max_examples=25)
def test_a_share_of_each_class_keeps_its_labels(unsplit: PoseCache, seed: int) -> None:
    experiment = replace(DERIVED, seed=seed, test_fraction=0.34)
    everything = build_manifest(unsplit, experiment)
    manifest = build_manifest(unsplit, replace(experiment, labels=LabelShares(high=0.67, low=0.34)))
    label_of = {clip.key: clip.label for clip in manifest.clips}
    high, low = (sorted(label_of[key] for key in keys) for keys in labelled_keys(manifest).values())
    assert high == ["rare"] + ["sideways"] * 4 + ["up and down"] * 2  # of 1, 6 and 3
    assert low == ["rare"] + ["sideways"] * 2 + ["up and down"]
    assert labelled_keys(manifest)["low"] < labelled_keys(manifest)["high"]
    assert manifest.part(train=False) == everything.part(train=False)
    assert manifest.classes == everything.classes
    assert len(manifest.part(train=True, quality="low")) == len(everything.part(train=True))
    assert manifest.digest != everything.digest


def test_the_seed_changes_the_labelled_clips(unsplit: PoseCache) -> None:
    few = replace(DERIVED, labels=LabelShares(low=0.34))
    assert (
        len(
            {frozenset(labelled_keys(build_manifest(unsplit, replace(few, seed=n)))["low"]) for n in range(8)}
        )
        > 2
    )


def test_an_unlabelled_clip_of_one_quality_is_left_out(tmp_path: Path) -> None:
    cache = with_unpaired(PoseCache(tmp_path))
    manifest = build_manifest(cache, replace(UNPAIRED, labels=LabelShares(high=1, low=0.2)))
    alone = [clip for clip in manifest.clips if clip.qualities == ("low",)]
    assert all(clip.labelled == ("low",) for clip in alone)
    assert manifest.left_out == {"neither label nor counterpart (training clips)": 3 - len(alone)}
    assert len(labelled_keys(manifest)["high"]) == 8 + 2
    assert len(labelled_keys(manifest)["low"]) == 2  # a fifth of 4 and of 4 + 3 clips


# Model inputs


def test_a_clip_has_the_shape_of_its_format() -> None:
    clip, seen = model_input(a_sequence("sideways"), ClipFormat(frames=8, people=3, layout="penn-13"))
    assert clip.shape == (3, 3, 8, 13)
    assert clip.dtype == np.float32
    assert seen.tolist() == [True, False, False]
    assert (clip[1:] == 0).all()
    assert np.isfinite(clip).all()


def at_left_of_picture(*x: float) -> PoseSequence:
    """One person, all joints in one place, so many pixels from the left in every other frame."""
    keypoints = np.ones((len(x), 1, 17, 3), np.float32)
    keypoints[..., 0], keypoints[..., 1] = np.float32(x)[:, None, None], 24
    index = np.arange(0, 2 * len(x), 2, dtype=np.int32)
    return PoseSequence(keypoints, index, 2 * len(x), COCO_17, 12.0, (64, 48))


def test_sampled_frames_are_interpolated_before_resampling() -> None:
    clip, _ = model_input(at_left_of_picture(0, 32), ClipFormat(frames=4, people=1, scale="image"))
    np.testing.assert_allclose(clip[0, 0, :, 0], [-0.5, -0.25, 0, 0])  # 0, 16, 32, 32 of 64 pixels
    np.testing.assert_allclose(clip[0, 1], 0)  # 24 of 48 pixels
    np.testing.assert_array_equal(clip[0, 2], 1)
    replayed, _ = model_input(
        at_left_of_picture(0, 32), ClipFormat(frames=6, fill="replay", people=1, scale="image")
    )
    np.testing.assert_allclose(replayed[0, 0, :, 0], [-0.5, -0.25, 0, 0, -0.5, -0.25])


def test_smoothing_averages_neighbouring_frames() -> None:
    smoothing = ClipFormat(frames=6, people=1, scale="image", smoothing=3)
    clip, _ = model_input(at_left_of_picture(0, 48, 0), smoothing)
    # smoothed 24, 16, 24 at frames 0, 2, 4; between them 20; the last is held
    np.testing.assert_allclose(clip[0, 0, :, 0] * 64 + 32, [24, 20, 16, 20, 24, 24], rtol=1e-6)


def test_the_format_selects_normalisation_by_body_size() -> None:
    clip, _ = model_input(a_sequence("sideways"), ClipFormat(frames=12, people=1, scale="body"))
    extent = np.ptp(clip[0, :2], axis=2).mean(axis=1)
    np.testing.assert_allclose(extent, np.array([10, 24]) / 26, rtol=1e-5)  # a box of 10 by 24 pixels


def test_unseen_joints_are_zero_and_the_mask_marks_people() -> None:
    sequence = people_at(0, 20)
    sequence.keypoints[:, 0] = UNSEEN
    sequence.keypoints[:, 1, 3] = UNSEEN
    clip, seen = model_input(sequence, CLIP)
    assert seen.tolist() == [False, True]
    assert (clip[0] == 0).all()
    assert (clip[1, :, :, 3] == 0).all()
    assert (clip[1, 2, :, 4:] > 0).all()
    nobody = sequence.with_keypoints(np.broadcast_to(UNSEEN, sequence.keypoints.shape).copy())
    clip, seen = model_input(nobody, CLIP)
    assert not seen.any()
    assert (clip == 0).all()


def test_the_most_confident_people_are_kept() -> None:
    three = people_at(0, 15, 30)
    three.keypoints[:, 0, :, 2] = 0.1
    clip, seen = model_input(three, ClipFormat(frames=4, people=2))
    np.testing.assert_allclose(clip[:, 2, 0, 0], [0.75, 0.5])
    assert seen.all()


def test_an_unknown_layout_and_a_video_without_frames_are_refused() -> None:
    with pytest.raises(DataError, match="no layout 'coco-18'; expected one of coco-17"):
        model_input(a_sequence("sideways"), ClipFormat(layout="coco-18"))
    whole = a_sequence("sideways")
    no_frames = replace(whole, keypoints=whole.keypoints[:0], frame_index=whole.frame_index[:0])
    with pytest.raises(DataError, match="cannot make 12 frames of a clip with 0"):
        model_input(no_frames, ClipFormat())


# Both qualities of a clip


def paired_clips(cache: PoseCache, experiment: Experiment, manifest: Manifest | None = None) -> PairedClips:
    manifest = manifest or build_manifest(cache, experiment)
    clip = experiment.clip
    return PairedClips(
        cache, manifest.clips, manifest.classes, clip, clip, experiment.derive_low, experiment.seed
    )


@given(seed=st.integers(0, 99), every=st.integers(1, 5), occlusion=st.sampled_from([0.0, 0.3, 0.6]))
@settings(max_examples=20)
def test_derived_low_quality_equals_the_degradation(seed: int, every: int, occlusion: float) -> None:
    sequence = a_sequence("sideways", 3)
    poor = degrade(sequence, Degradation(every=every, occlusion=occlusion), seed)
    expected = occlude(
        sample_frames(sequence, every), occlusion, generator_for(seed, f"{sequence.origin.key}:occlusion:0")
    )
    np.testing.assert_array_equal(poor.keypoints, expected.keypoints)
    np.testing.assert_array_equal(poor.frame_index, expected.frame_index)


def test_derived_qualities_show_the_same_people_and_labels(tmp_path: Path) -> None:
    cache = save(PoseCache(tmp_path), *(a_sequence(a, n) for a in ACTIONS for n in range(3)))
    experiment = tiny_experiment(derive_low=Degradation(every=3, occlusion=0.3))
    data = paired_clips(cache, experiment)
    for index, clip in enumerate(build_manifest(cache, experiment).clips):
        sample, high = data[index], cache.load(clip.high)
        assert ACTIONS[int(sample.label)] == clip.label
        np.testing.assert_array_equal(sample.high, model_input(high, CLIP)[0])
        low = degrade(with_people(high, CLIP.people), Degradation(every=3, occlusion=0.3), seed=0)
        np.testing.assert_array_equal(sample.low, model_input(low, CLIP)[0])
        assert sample.paired.tolist() == [True, False]


def one_pair(tmp_path: Path, high: PoseSequence, low: PoseSequence) -> Batch:
    cache = fill(PoseCache(tmp_path), of_each=2)
    key = "ffff"
    cache.save(replace(high, origin=replace(high.origin, key=key, split="test")), "high", "eyes-1")
    cache.save(replace(low, origin=replace(low.origin, key=key, estimator="squint")), "low", "squint-1")
    return paired_clips(cache, tiny_experiment())[-1 + len(build_manifest(cache, tiny_experiment()).clips)]


def test_people_of_low_quality_have_the_person_index_of_high_quality(tmp_path: Path) -> None:
    left_first = people_at(-20, 20)
    right_first = left_first.with_keypoints(left_first.keypoints[:, ::-1].copy())
    sample = one_pair(tmp_path, left_first, right_first)
    torch.testing.assert_close(sample.high, sample.low)
    assert sample.paired.tolist() == [True, True]


def test_people_in_one_quality_only_are_not_paired(tmp_path: Path) -> None:
    sample = one_pair(tmp_path, people_at(-20, 20), people_at(-20, 200))
    assert sample.high_mask.all()
    assert sample.low_mask.all()
    assert sample.paired.tolist() == [True, False]
    np.testing.assert_allclose(sample.high[0], sample.low[0], atol=1e-6)


# Batches


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> PairedClips:
    """Nine clips: one more than batches of four hold."""
    cache = save(
        PoseCache(tmp_path_factory.mktemp("data")),
        *(a_sequence("sideways", n) for n in range(5)),
        *(a_sequence("up and down", n) for n in range(4)),
    )
    return paired_clips(cache, DERIVED)


def fingerprints(parts: list[Batch]) -> list[float]:
    """A number for each clip, in order, that no other clip has."""
    return [float(clip.double().abs().sum()) for part in parts for clip in part.high]


def test_an_ordered_epoch_contains_every_clip_once(data: PairedClips) -> None:
    parts = list(batches(data, 4))
    assert [len(part.label) for part in parts] == [4, 4, 1]
    assert torch.cat([part.label for part in parts]).tolist() == [0] * 5 + [1] * 4
    assert parts[0].high.shape == (4, 2, 3, 8, 17)
    assert len(set(fingerprints(parts))) == 9


@given(size=st.integers(2, 12), seed=st.integers(0, 99))
@settings(max_examples=20)
def test_a_shuffled_epoch_has_no_batch_of_one_clip(data: PairedClips, size: int, seed: int) -> None:
    parts = list(batches(data, size, shuffle=np.random.default_rng(seed)))
    shown = fingerprints(parts)
    assert len(set(shown)) == len(shown) == (9 if 9 % size != 1 else 8)
    assert min(len(part.label) for part in parts) > 1
    again = fingerprints(list(batches(data, size, shuffle=np.random.default_rng(seed))))
    assert shown == again


def test_epochs_differ_in_their_order(data: PairedClips) -> None:
    rng = np.random.default_rng(0)
    orders = {tuple(fingerprints(list(batches(data, 3, shuffle=rng)))) for _ in range(4)}
    assert len(orders) == 4
    assert len({frozenset(order) for order in orders}) == 1


def test_loader_workers_do_not_change_the_batches(data: PairedClips) -> None:
    alone = list(batches(data, 4, shuffle=np.random.default_rng(0)))
    helped = list(batches(data, 4, shuffle=np.random.default_rng(0), workers=2))
    for one, other in zip(alone, helped, strict=True):
        for a, b in zip(one, other, strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=0)


# Looking at clips at random


def one_joint(joint: str, count: int = 64) -> Batch:
    """Clips of one person who shows one joint, right of the middle, more and more confidently."""
    high = torch.zeros(count, 2, 3, 10, 13)
    high[:, 0, 0, :, PENN_13.index(joint)] = 1
    high[:, 0, 2, :, PENN_13.index(joint)] = torch.linspace(0.1, 1, 10)
    mask = torch.tensor([True, False]).expand(count, 2)
    number = torch.arange(count)
    return Batch(high, mask, high.clone(), mask, mask, 0 * number, number >= 0, number)


DEFAULT = Augmentation()


def augmented(batch: Batch, seed: int = 0, settings: Augmentation = DEFAULT) -> Batch:
    return augment(batch, np.random.default_rng(seed), mirror=PENN_13.mirror, settings=settings)


def test_flipping_swaps_left_and_right_joints() -> None:
    result = augmented(one_joint("left_wrist"))
    left, right = PENN_13.index("left_wrist"), PENN_13.index("right_wrist")
    mirrored = result.high[:, 0, 2, 0, right] > 0
    assert 15 < mirrored.sum() < 49  # half of 64
    where = torch.where(mirrored, right, left)
    x, y = (result.high[torch.arange(64), 0, axis, 0, where] for axis in (0, 1))
    torch.testing.assert_close(x < 0, mirrored)
    length, angle = torch.hypot(x, y), torch.rad2deg(torch.atan2(y, x.abs()))
    assert 0.85 <= length.min() < 0.9 < 1.1 < length.max() <= 1.15
    assert -15 <= angle.min() < -10 < 10 < angle.max() <= 15
    shown = result.high[:, :, 2] > 0
    assert shown.sum() == 64 * 10  # one joint of one person in every frame
    assert (result.high.movedim(2, -1)[~shown] == 0).all()


def test_flipping_keeps_joints_without_counterpart() -> None:
    result = augmented(one_joint("head"))
    assert (result.high[:, 0, 2, :, PENN_13.index("head")] > 0).all()


def test_a_crop_is_stretched_to_the_length_of_the_clip() -> None:
    confidence = augmented(one_joint("head")).high[:, 0, 2, :, PENN_13.index("head")]
    first, last = confidence[:, 0], confidence[:, -1]
    assert (confidence.diff(dim=1) >= 0).all()
    assert (last - first >= 0.6 - 1e-6).all()  # 0.7 of nine steps of 0.1, each end rounded by half a step
    assert first.max() > 0.15
    assert last.min() < 0.95


def test_both_qualities_are_augmented_in_the_same_way() -> None:
    batch = one_joint("left_wrist")
    result = augmented(batch)
    torch.testing.assert_close(result.high, result.low, rtol=0, atol=0)
    for before, after in zip(batch, result, strict=True):
        assert before.shape == after.shape
        assert before.dtype == after.dtype
    torch.testing.assert_close(result.high_mask, batch.high_mask)


def test_clips_differ_in_their_augmentation_which_follows_the_seed() -> None:
    result = augmented(one_joint("head"))
    assert len({float(clip.sum()) for clip in result.high}) > 60
    torch.testing.assert_close(augmented(one_joint("head")).high, result.high, rtol=0, atol=0)
    assert not torch.equal(augmented(one_joint("head"), seed=1).high, result.high)


STILL = Augmentation(rotation=0, scale=0, shear=0, flip=0, crop=1, joint_dropout=0)


def test_augmentation_with_all_settings_off_is_the_identity() -> None:
    batch = one_joint("left_wrist")
    torch.testing.assert_close(augmented(batch, settings=STILL).high, batch.high, rtol=0, atol=0)


def test_shear_moves_each_axis_by_a_share_of_the_other() -> None:
    """A joint at (1, 0) keeps its x and gets a y of up to the share."""
    result = augmented(one_joint("left_wrist", 400), settings=replace(STILL, shear=0.3))
    x, y = result.high[:, 0, :2, 0, PENN_13.index("left_wrist")].unbind(1)
    torch.testing.assert_close(x, torch.ones(400))
    assert -0.3 <= y.min() < -0.28
    assert 0.28 < y.max() <= 0.3


def test_a_dropped_joint_is_missing_in_the_whole_clip_of_both_qualities() -> None:
    batch = one_joint("head", 1000)
    result = augmented(batch, settings=replace(STILL, joint_dropout=0.2))
    shown = result.high[:, 0, 2, :, PENN_13.index("head")] > 0
    assert (shown == shown[:, :1]).all()
    assert shown[:, 0].float().mean() == pytest.approx(0.8, abs=0.07)  # five standard deviations
    torch.testing.assert_close(result.high, result.low, rtol=0, atol=0)


def test_resampled_degradation_follows_the_epoch(tmp_path: Path) -> None:
    cache = save(PoseCache(tmp_path), *(a_sequence(a, n) for a in ACTIONS for n in range(3)))
    experiment = tiny_experiment(derive_low=Degradation(occlusion=0.5))
    clips, clip = build_manifest(cache, experiment), experiment.clip
    parts = (cache, clips.clips, clips.classes, clip, clip, experiment.derive_low, 0)
    fixed, resampled = PairedClips(*parts), PairedClips(*parts, resample=True)
    seen = {}
    for epoch in (0, 1, 0):
        first, again = (data.joints(np.array([0]), epoch) for data in (fixed, resampled))
        torch.testing.assert_close(first.low[0], PairedClips(*parts)[0].low, rtol=0, atol=0)
        torch.testing.assert_close(again.high, first.high, rtol=0, atol=0)
        assert torch.equal(again.low, seen.setdefault(epoch, again.low))
    assert torch.equal(seen[0][0], fixed[0].low)
    assert not torch.equal(seen[1], seen[0])
