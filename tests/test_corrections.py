"""Corrected labels: in all sequences of a clip, kept by extraction and import, and undone."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import WriteVideo
from hypothesis import given
from hypothesis import strategies as st
from moving_body import a_sequence, blurred, fill, tiny_experiment
from safetensors import safe_open
from squares import SquareFinder

from skdpipe.cache import PoseCache
from skdpipe.cache.corrections import (
    Correction,
    LabelChange,
    correct_label,
    relabel_cache,
    rename_label,
    undo_corrections,
)
from skdpipe.dataset import build_manifest
from skdpipe.errors import CacheError, DataError
from skdpipe.extraction import Source, extract_videos
from skdpipe.extraction.label_corrections import read_corrections
from skdpipe.extraction.video_list import VideoItem
from skdpipe.skeleton import Origin
from skdpipe.video import content_key

WAVE = "0000"


@pytest.fixture
def cache(tmp_path: Path) -> PoseCache:
    """Two clips, sideways and up and down, in high quality of two estimators and in low quality of one."""
    cache = PoseCache(tmp_path / "cache")
    for action in ("sideways", "up and down"):
        clip = a_sequence(action)
        for settings in ("eyes-1", "eyes-2"):
            cache.save(clip, "high", settings)
        cache.save(blurred(clip), "low", "squint-1")
    return cache


def labels_of(cache: PoseCache, key: str) -> set[tuple[str | None, tuple[tuple[str, str | None], ...]]]:
    origins = [cache.describe(path).origin for path in cache.paths_of(key)]
    return {(origin.label, origin.corrected) for origin in origins}


# Origins -----------------------------------------------------------------------

labels = st.sampled_from([None, "wave", "clap", "kick"])
origins = st.builds(
    lambda label, split, subject: Origin("a.mp4", "0a", "eyes", label, split, subject), labels, labels, labels
)


@given(origins, labels, labels)
def test_a_correction_can_be_undone(origin: Origin, first: str | None, second: str | None) -> None:
    corrected = origin.correct(first).correct(second, split="test")
    assert corrected.label == (second or first or origin.label)
    assert corrected.split == "test"
    assert corrected.uncorrected() == origin


@given(origins, labels)
def test_what_is_corrected_to_its_value_is_not_corrected(origin: Origin, other: str | None) -> None:
    assert origin.correct(other).correct(origin.label).label == (origin.label or other)
    if origin.label is not None:
        assert origin.correct(other).correct(origin.label) == origin


def test_corrections_replace_what_is_specified() -> None:
    corrected = Origin(label="clap", subject="7").correct("wave")
    specified = Origin(label="kick", split="train").with_corrections_of(corrected)
    assert (specified.label, specified.split, specified.subject) == ("wave", "train", None)
    assert specified.corrected == (("label", "kick"),)
    unspecified = Origin().with_corrections_of(corrected)
    assert (unspecified.label, unspecified.corrected) == ("wave", (("label", "clap"),))
    same = Origin(label="wave").with_corrections_of(corrected)
    assert (same.label, same.corrected) == ("wave", ())


# The cache ---------------------------------------------------------------------


def test_a_correction_changes_all_sequences_of_a_clip(cache: PoseCache) -> None:
    before = [cache.load(path).keypoints for path in cache.paths_of(WAVE)]
    report = correct_label(cache, WAVE, "wave")
    assert (report.clips, report.files) == (1, 3)
    assert report.changes == (LabelChange("sideways", "wave", 1),)
    assert labels_of(cache, WAVE) == {("wave", (("label", "sideways"),))}
    assert labels_of(cache, "0100") == {("up and down", ())}
    for path, keypoints in zip(cache.paths_of(WAVE), before, strict=True):
        np.testing.assert_array_equal(cache.load(path).keypoints, keypoints)
        with safe_open(path, framework="np") as file:  # as pose_cache/README.md says
            assert file.metadata()["corrected"] == '{"label": "sideways"}'
    undone = undo_corrections(cache, write=True)
    assert (undone.clips, undone.files) == (1, 3)
    assert labels_of(cache, WAVE) == {("sideways", ())}


def test_without_write_nothing_changes(cache: PoseCache) -> None:
    files = {path: path.read_bytes() for path in sorted(cache.root.rglob("*")) if path.is_file()}
    for report in (
        relabel_cache(cache, {WAVE: Correction("wave")}),
        rename_label(cache, "sideways", "wave"),
    ):
        assert (report.clips, report.files) == (1, 3)
    assert {path: path.read_bytes() for path in sorted(cache.root.rglob("*")) if path.is_file()} == files


def test_a_second_correction_keeps_the_first_value(cache: PoseCache) -> None:
    correct_label(cache, WAVE, "wave")
    correct_label(cache, WAVE, "clap")
    assert labels_of(cache, WAVE) == {("clap", (("label", "sideways"),))}
    assert correct_label(cache, WAVE, "clap").files == 0
    correct_label(cache, WAVE, "sideways")
    assert labels_of(cache, WAVE) == {("sideways", ())}


def test_a_class_is_renamed(cache: PoseCache) -> None:
    report = rename_label(cache, "sideways", "up and down", write=True)
    assert report.changes == (LabelChange("sideways", "up and down", 1),)
    assert report.unchanged == {"up and down": 1}
    assert labels_of(cache, WAVE) == {("up and down", (("label", "sideways"),))}
    assert rename_label(cache, "sideways", "up and down", write=True).files == 0
    undo_corrections(cache, [WAVE], write=True)
    assert labels_of(cache, WAVE) == {("sideways", ())}


def test_a_relabelling_that_was_killed_is_completed(cache: PoseCache) -> None:
    first, *_ = cache.paths_of(WAVE)
    cache.relabel(first, cache.describe(first).origin.correct("wave"))
    assert relabel_cache(cache, {WAVE: Correction("wave")}, write=True).files == 2
    assert labels_of(cache, WAVE) == {("wave", (("label", "sideways"),))}


def test_relabellings_at_the_same_time_leave_one_label(cache: PoseCache) -> None:
    """Each thread changes the label many times; in the end, all sequences have the same."""

    def work(name: str) -> None:
        for number in range(10):
            correct_label(cache, WAVE, f"{name} {number}")

    threads = [threading.Thread(target=work, args=(name,)) for name in ("a", "b", "c")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ((label, corrected),) = labels_of(cache, WAVE)
    assert label in {"a 9", "b 9", "c 9"}
    assert corrected == (("label", "sideways"),)


def test_files_that_cannot_be_changed_are_reported(cache: PoseCache) -> None:
    damaged, misplaced, whole = cache.paths_of(WAVE)
    content = bytearray(damaged.read_bytes())
    content[-1] ^= 1  # in the keypoints: only the checksum shows it
    damaged.write_bytes(content)
    misplaced.write_bytes(cache.path_of("high", "eyes-2", "0100").read_bytes())
    report = relabel_cache(cache, {WAVE: Correction("wave"), "ffff": Correction("wave")}, write=True)
    assert {path for path, _ in report.failed} == {damaged, misplaced}
    assert (report.clips, report.files, report.missing) == (1, 1, ("ffff",))
    assert cache.describe(whole).origin.label == "wave"
    assert damaged.read_bytes() == content


@pytest.mark.parametrize("label", ["", "a\nb", "x" * 300])
def test_what_is_no_label_is_refused(cache: PoseCache, label: str) -> None:
    with pytest.raises(DataError, match="label"):
        correct_label(cache, WAVE, label)


@pytest.mark.parametrize("key", ["../0000", "", "ABC", "0000.safetensors"])
def test_what_is_no_key_is_refused(cache: PoseCache, key: str) -> None:
    with pytest.raises(CacheError, match="video key"):
        correct_label(cache, key, "wave")


def test_a_key_that_is_not_cached_is_refused(cache: PoseCache) -> None:
    with pytest.raises(CacheError, match="no sequence of clip ffff"):
        correct_label(cache, "ffff", "wave")


def test_the_data_of_an_experiment_follow(tmp_path: Path) -> None:
    cache = fill(PoseCache(tmp_path))
    before = build_manifest(cache, tiny_experiment())
    correct_label(cache, before.clips[0].key, "up and down")
    after = build_manifest(cache, tiny_experiment())
    assert (before.clips[0].label, after.clips[0].label) == ("sideways", "up and down")
    assert before.digest != after.digest


# A CSV -------------------------------------------------------------------------


def read(cache: PoseCache, tmp_path: Path, text: str) -> tuple[dict[str, Correction], tuple[str, ...]]:
    (tmp_path / "labels.csv").write_text(text, encoding="utf-8")
    found = read_corrections(tmp_path / "labels.csv", cache)
    return dict(found.corrections), found.unknown


def test_a_csv_names_clips_by_key(cache: PoseCache, tmp_path: Path) -> None:
    found, unknown = read(
        cache, tmp_path, "frames,key,label,split,subject\n5,0000,wave,Testing,7\n,0100,,,9\n,ffff,wave,,\n"
    )
    assert found == {"0000": Correction("wave", "test", "7"), "0100": Correction(None, None, "9")}
    assert unknown == (
        f"{tmp_path}/labels.csv: row 4: ffff is not in the cache; correct it, or extract the video",
    )


def test_a_csv_names_clips_by_video_or_by_source(
    cache: PoseCache, tmp_path: Path, square_video: WriteVideo
) -> None:
    video = square_video("a.mp4")
    extract_videos([VideoItem(video, "push")], [Source("high", SquareFinder(128))], cache)
    key = content_key(video)
    renamed = video.rename(video.with_name("other.mp4"))  # the content counts, not the name
    text = f"path,label\n{renamed.relative_to(tmp_path)},wave\nsideways 0.mp4,clap\nnothing.mp4,clap\n"
    found, unknown = read(cache, tmp_path, text)
    assert found == {key: Correction("wave"), WAVE: Correction("clap")}
    assert len(unknown) == 1
    renamed.unlink()
    found, _ = read(cache, tmp_path, f"path,label\n{video.relative_to(tmp_path)},wave\n")
    assert found == {key: Correction("wave")}  # by its source, since it does not exist any more


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,label\na,b\n", "expected key or path, label and, optionally, split, subject"),
        ("key,label\n0000,a\n0000,b\n", "row 3 and .* row 2 give clip 0000 different labels"),
        ("key,label\n,a\n", "expected a key or a path"),
        ("key,label,split\n0000,a,middle\n", "has the split 'middle'"),
        ("key,label\n", "expected a row for each video"),
    ],
)
def test_a_csv_that_cannot_be_followed_is_refused(
    cache: PoseCache, tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        read(cache, tmp_path, text)


def test_a_source_of_several_clips_is_refused(cache: PoseCache, tmp_path: Path) -> None:
    path = cache.path_of("high", "eyes-1", "0100")
    cache.relabel(path, replace(cache.describe(path).origin, source="sideways 0.mp4"))
    with pytest.raises(DataError, match="2 clips have the source sideways 0"):
        read(cache, tmp_path, "path,label\nsideways 0.mp4,wave\n")


# Extraction --------------------------------------------------------------------


def two_qualities(every: int = 1) -> tuple[Source, Source]:
    return Source("high", SquareFinder(128), every), Source("low", SquareFinder(127), every)


def test_an_extraction_keeps_corrected_labels(cache: PoseCache, square_video: WriteVideo) -> None:
    video = square_video("a.mp4")
    key = content_key(video)
    item = VideoItem(video, "push", "train")
    extract_videos([item], two_qualities(), cache)
    correct_label(cache, key, "wave")
    report = extract_videos([item], two_qualities(), cache)
    assert (report.skipped, report.relabelled, report.corrected) == (1, 0, 1)
    assert labels_of(cache, key) == {("wave", (("label", "push"),))}
    # Another folder: undo restores the label that this one gives.
    extract_videos([VideoItem(video, "pull", "train")], two_qualities(), cache)
    assert labels_of(cache, key) == {("wave", (("label", "pull"),))}
    # The right folder: nothing is corrected any more.
    report = extract_videos([VideoItem(video, "wave", "train")], two_qualities(), cache)
    assert (report.relabelled, report.corrected) == (0, 0)
    assert labels_of(cache, key) == {("wave", ())}


def test_other_estimators_take_over_the_correction(cache: PoseCache, square_video: WriteVideo) -> None:
    video = square_video("a.mp4")
    item = VideoItem(video, "push")
    extract_videos([item], two_qualities(), cache)
    correct_label(cache, content_key(video), "wave")
    report = extract_videos([item], two_qualities(every=2), cache)
    assert (report.done, report.corrected) == (1, 1)
    assert len(list(cache.paths_of(content_key(video)))) == 4
    assert labels_of(cache, content_key(video)) == {("wave", (("label", "push"),))}


def test_a_correction_during_an_extraction_is_kept(cache: PoseCache, square_video: WriteVideo) -> None:
    """The low quality is being extracted while the label of the high quality is corrected."""
    video = square_video("a.mp4")
    item = VideoItem(video, "push")
    high, low = two_qualities()
    extract_videos([item], [high], cache)

    class Interrupting(SquareFinder):
        def __call__(self, frames):
            correct_label(cache, content_key(video), "wave")
            return super().__call__(frames)

    extract_videos([item], [high, replace(low, estimator=Interrupting(127))], cache)
    assert labels_of(cache, content_key(video)) == {("wave", (("label", "push"),))}
