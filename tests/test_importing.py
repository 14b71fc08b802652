"""Importing foreign skeletons into the cache: each clip once, paired with its video or other quality."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from foreign_clips import CLIPS, SIZE, assert_same, counts, make_clip, openpifpaf_reading, pyskl_reading
from moving_body import ACTIONS, tiny_experiment, write_action_video
from rich.console import Console

from skdpipe.cache import PoseCache
from skdpipe.dataset import PairedClips, build_manifest
from skdpipe.errors import DataError, FormatError
from skdpipe.formats.catalogue import format_named
from skdpipe.formats.format import FormatOptions
from skdpipe.formats.importing import import_poses
from skdpipe.formats.reading import Reading, read_names, videos_under
from skdpipe.progress import Progress
from skdpipe.skeleton import clip_key
from skdpipe.video import content_key, probe

QUIET = Progress(quiet=True)


@pytest.mark.parametrize("write", [pyskl_reading, openpifpaf_reading])
def test_clips_are_imported_once(tmp_path: Path, write: Callable[..., Reading]) -> None:
    reading, cache = write(tmp_path / "in"), PoseCache(tmp_path / "cache")
    assert counts(import_poses(reading, cache, "low", QUIET)) == (3, 0, 0, 0)
    for clip in CLIPS:
        path = cache.path_of("low", reading.settings, clip.origin.key)
        assert_same(cache.load(path), clip, atol=0.005)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.safetensors")}
    path.unlink()
    assert counts(import_poses(reading, cache, "low", QUIET)) == (1, 2, 0, 0)
    after = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.safetensors")}
    assert sum(before[path] == after[path] for path in before) == 2


def test_a_file_already_in_the_cache_is_not_read(tmp_path: Path) -> None:
    reading, cache = openpifpaf_reading(tmp_path / "in"), PoseCache(tmp_path / "cache")
    import_poses(reading, cache, "high", QUIET)
    for path in (tmp_path / "in").rglob("*.json"):
        path.write_text("broken")
    assert counts(import_poses(reading, cache, "high", QUIET)) == (0, 3, 0, 0)


def test_a_clip_that_fails_does_not_stop_the_others(tmp_path: Path) -> None:
    reading, cache = openpifpaf_reading(tmp_path / "in"), PoseCache(tmp_path / "cache")
    (tmp_path / "in/run/two.openpifpaf.json").unlink(missing_ok=True)
    (tmp_path / "in/val/run/two.openpifpaf.json").write_text("broken")
    report = import_poses(reading, cache, "high", QUIET)
    assert counts(report) == (2, 0, 0, 1)
    assert "two.openpifpaf.json, line 1 is not JSON" in report.failed[0]


def test_an_annotation_that_cannot_be_read_does_not_stop_the_others(tmp_path: Path) -> None:
    for name in ("0001.mat", "0002.mat"):
        (tmp_path / name).symlink_to(tmp_path / f"gone {name}")
    report = import_poses(Reading(format_named("penn"), tmp_path), PoseCache(tmp_path / "c"), "high", QUIET)
    assert counts(report) == (0, 0, 0, 2)
    assert "0001.mat cannot be read (No such file" in report.failed[0]


def test_two_clips_of_the_same_name_are_a_failure(tmp_path: Path) -> None:
    reading = openpifpaf_reading(tmp_path / "in", CLIPS[0])
    openpifpaf_reading(tmp_path / "in/more", CLIPS[0])
    report = import_poses(reading, PoseCache(tmp_path / "cache"), "high", QUIET)
    assert counts(report) == (1, 0, 0, 1)
    assert "is the same clip as" in report.failed[0]


@pytest.mark.parametrize("write", [pyskl_reading, openpifpaf_reading])
def test_unwanted_clips_are_left_out(tmp_path: Path, write: Callable[..., Reading]) -> None:
    (tmp_path / "skip.txt").write_text("one.mp4\n\nthree.skeleton\nsomething else\n")
    reading = replace(write(tmp_path / "in"), skip=read_names(tmp_path / "skip.txt"))
    report = import_poses(reading, PoseCache(tmp_path / "cache"), "high", QUIET)
    assert counts(report) == (1, 0, 2, 0)


def test_a_file_of_names_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="expected one clip name per line"):
        read_names(tmp_path / "none.txt")


def test_each_set_of_options_has_its_own_folder(tmp_path: Path) -> None:
    reading = pyskl_reading(tmp_path)
    bare = replace(reading, options=FormatOptions())
    others = [
        reading,
        bare,
        replace(bare, options=FormatOptions(fps=25.0)),
        replace(bare, options=FormatOptions(split="xsub")),
    ]
    assert bare.settings == "pyskl"
    # Imports of earlier versions are found again only if these names stay.
    assert others[2].settings == "pyskl-f2d8a399"
    assert len({each.settings for each in others}) == 4
    assert reading.settings == replace(reading, where=Path("elsewhere")).settings
    before = reading.settings
    (tmp_path / "set.classes.txt").write_text("another\n")
    assert reading.settings != before
    assert Reading(format_named("penn"), tmp_path).settings == "penn-action"


def test_progress_shows_a_rate(tmp_path: Path) -> None:
    output = io.StringIO()
    reading = openpifpaf_reading(tmp_path / "in")
    import_poses(reading, PoseCache(tmp_path / "cache"), "high", Progress(Console(file=output, width=200)))
    assert output.getvalue().startswith("reading: 3 of 3 clips, ")
    assert "/s" in output.getvalue()


# Videos


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    write_action_video(folder / "one.mp4", ACTIONS[0], 0)
    write_action_video(folder / "more/two_rgb.mp4", ACTIONS[1], 1)
    return folder


@pytest.mark.parametrize("write", [pyskl_reading, openpifpaf_reading])
def test_clips_get_the_keys_of_their_videos(
    tmp_path: Path, videos: Path, write: Callable[..., Reading]
) -> None:
    reading = replace(write(tmp_path / "in"), videos=videos_under(videos))
    cache = PoseCache(tmp_path / "cache")
    report = import_poses(reading, cache, "high", QUIET)
    assert (counts(report), report.without_video) == ((3, 0, 0, 0), 1)
    found = {entry.origin.key: entry for entry in cache.entries("high")}
    one, two = content_key(videos / "one.mp4"), content_key(videos / "more/two_rgb.mp4")
    assert found.keys() == {one, two, clip_key("three")}
    assert found[one].fps == probe(videos / "one.mp4").fps != 30
    assert found[one].size == SIZE
    assert counts(import_poses(reading, cache, "high", QUIET)) == (0, 3, 0, 0)


def test_the_size_comes_from_the_video_if_the_file_lacks_it(tmp_path: Path, videos: Path) -> None:
    reading = replace(
        openpifpaf_reading(tmp_path / "in"), options=FormatOptions(), videos=videos_under(videos)
    )
    cache = PoseCache(tmp_path / "cache")
    report = import_poses(reading, cache, "high", QUIET)
    assert counts(report) == (2, 0, 0, 1)
    assert "three.openpifpaf.json does not contain the frame size" in report.failed[0]
    assert {entry.size for entry in cache.entries("high")} == {probe(videos / "one.mp4").size}


def test_two_videos_of_the_same_name_are_refused_when_needed(tmp_path: Path, videos: Path) -> None:
    for name in ("one.mp4", "sit/one.avi"):
        path = tmp_path / "videos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    known = videos_under(tmp_path / "videos")
    assert known.of("two") is None
    with pytest.raises(DataError, match="two videos have the name one"):
        known.of("one")


# Pairs


def test_two_formats_form_pairs_with_matched_people(tmp_path: Path) -> None:
    cache, experiment = PoseCache(tmp_path / "cache"), tiny_experiment()
    high = [
        make_clip(f"clip {n}", label, "train" if n % 4 < 2 else "val", frames=8)
        for n, label in enumerate(("sit", "run") * 4)
    ]
    low = [  # every other frame, shifted, the people in reverse order
        replace(
            clip,
            keypoints=clip.keypoints[::2, ::-1] + np.array([0.5, 0, 0], np.float32),
            frame_index=clip.frame_index[::2],
        )
        for clip in high
    ]
    import_poses(pyskl_reading(tmp_path / "high", *high), cache, "high", QUIET)
    import_poses(openpifpaf_reading(tmp_path / "low", *low), cache, "low", QUIET)
    manifest = build_manifest(cache, experiment)
    assert (len(manifest.clips), manifest.classes, manifest.left_out) == (8, ("run", "sit"), {})
    assert [len(manifest.part(train=side)) for side in (True, False)] == [4, 4]
    data = PairedClips(cache, manifest.clips, manifest.classes, experiment.clip, experiment.clip, None, 0)
    for sample, clip in zip(data, manifest.clips, strict=False):
        assert sample.paired.tolist() == [True, True]
        cached = cache.load(clip.low) if clip.low else None
        assert cached is not None
        assert cached.keypoints[0, 0, 0, 0] > cached.keypoints[0, 1, 0, 0]  # in reverse order
        middle_high, middle_low = (view[:, :2].mean(dim=(2, 3)) for view in (sample.high, sample.low))
        between = torch.cdist(middle_high, middle_low)  # (person of high, person of low)
        assert between.diag().max() < 0.2 * between.fliplr().diag().min()


def test_annotations_pair_with_skeletons_extracted_from_the_videos(tmp_path: Path, videos: Path) -> None:
    cache = PoseCache(tmp_path / "cache")
    clips = [make_clip("one", "sit", "train"), make_clip("two", "run", "train")]
    for clip, name in zip(clips, ("one.mp4", "more/two_rgb.mp4"), strict=True):
        extracted = replace(
            clip, origin=replace(clip.origin, key=content_key(videos / name), estimator="estimator")
        )
        cache.save(extracted, "low", "estimator-1")
    reading = replace(pyskl_reading(tmp_path / "high", *clips), videos=videos_under(videos))
    import_poses(reading, cache, "high", QUIET)
    high, low = ({entry.origin.key for entry in cache.entries(quality)} for quality in ("high", "low"))
    assert high == low


def test_json_files_without_clips_are_counted_as_failed(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"people": []}))
    reading = Reading(format_named("openpifpaf"), tmp_path, FormatOptions(size=SIZE))
    report = import_poses(reading, PoseCache(tmp_path / "cache"), "high", QUIET)
    assert counts(report) == (0, 0, 0, 1)
