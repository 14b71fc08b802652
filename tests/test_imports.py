"""Foreign skeletons into the cache and from format to format: nothing twice, nothing lost, and in pairs."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from foreign import SIZE, a_clip, assert_same
from moving_body import ACTIONS, film, tiny_experiment
from rich.console import Console

from skdpipe.cache import PoseCache
from skdpipe.dataset import PairedClips, build_manifest
from skdpipe.errors import ConfigError, DataError, FormatError
from skdpipe.formats.catalogue import FORMATS, TARGETS, Options, format_named, refuse_useless, target_named
from skdpipe.formats.convert import convert_poses
from skdpipe.formats.importing import (
    Reading,
    ReadingReport,
    cache_format,
    import_poses,
    read_names,
    videos_under,
)
from skdpipe.formats.openpifpaf import write_openpifpaf
from skdpipe.formats.pyskl import write_pyskl
from skdpipe.progress import Progress
from skdpipe.skeleton import COCO_17, PENN_13, PoseSequence, clip_key
from skdpipe.video import content_key, probe

QUIET = Progress(quiet=True)
CLIPS = (
    a_clip("one", "sit", "train"),
    a_clip("two", "run", "val", frames=6),
    a_clip("three", "run", "train"),
)


def some_pyskl(folder: Path, *clips: PoseSequence) -> Reading:
    write_pyskl(clips or CLIPS, folder / "set.pkl")
    labels = folder / "set.classes.txt"
    return Reading(format_named("pyskl"), folder / "set.pkl", Options(labels=labels))


def some_openpifpaf(folder: Path, *clips: PoseSequence) -> Reading:
    write_openpifpaf(clips or CLIPS, folder)
    return Reading(format_named("openpifpaf"), folder, Options(size=SIZE))


def figures(report: ReadingReport) -> tuple[int, int, int, int]:
    return report.done, report.skipped, report.left_out, len(report.failed)


@pytest.mark.parametrize("some", [some_pyskl, some_openpifpaf])
def test_clips_are_imported_once(tmp_path: Path, some: type[Reading]) -> None:
    reading, cache = some(tmp_path / "in"), PoseCache(tmp_path / "cache")
    assert figures(import_poses(reading, cache, "low", QUIET)) == (3, 0, 0, 0)
    for clip in CLIPS:
        path = cache.path_of("low", reading.settings, clip.origin.key)
        assert_same(cache.load(path), clip, atol=0.005)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.safetensors")}
    path.unlink()
    assert figures(import_poses(reading, cache, "low", QUIET)) == (1, 2, 0, 0)
    after = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.safetensors")}
    assert sum(before[path] == after[path] for path in before) == 2


def test_a_file_that_is_there_already_is_not_read(tmp_path: Path) -> None:
    reading, cache = some_openpifpaf(tmp_path / "in"), PoseCache(tmp_path / "cache")
    import_poses(reading, cache, "high", QUIET)
    for path in (tmp_path / "in").rglob("*.json"):
        path.write_text("broken since")
    assert figures(import_poses(reading, cache, "high", QUIET)) == (0, 3, 0, 0)


def test_a_clip_that_fails_does_not_stop_the_others(tmp_path: Path) -> None:
    reading, cache = some_openpifpaf(tmp_path / "in"), PoseCache(tmp_path / "cache")
    (tmp_path / "in/run/two.openpifpaf.json").unlink(missing_ok=True)
    (tmp_path / "in/val/run/two.openpifpaf.json").write_text("broken")
    report = import_poses(reading, cache, "high", QUIET)
    assert figures(report) == (2, 0, 0, 1)
    assert "two.openpifpaf.json, line 1 is no JSON" in report.failed[0]


def test_an_annotation_that_cannot_be_read_does_not_stop_the_others(tmp_path: Path) -> None:
    for name in ("0001.mat", "0002.mat"):
        (tmp_path / name).symlink_to(tmp_path / f"gone {name}")
    report = import_poses(Reading(format_named("penn"), tmp_path), PoseCache(tmp_path / "c"), "high", QUIET)
    assert figures(report) == (0, 0, 0, 2)
    assert "0001.mat cannot be read (No such file" in report.failed[0]


def test_two_clips_of_one_name_are_a_failure(tmp_path: Path) -> None:
    reading = some_openpifpaf(tmp_path / "in", CLIPS[0])
    some_openpifpaf(tmp_path / "in/more", CLIPS[0])
    report = import_poses(reading, PoseCache(tmp_path / "cache"), "high", QUIET)
    assert figures(report) == (1, 0, 0, 1)
    assert "is the same clip as" in report.failed[0]


@pytest.mark.parametrize("some", [some_pyskl, some_openpifpaf])
def test_unwanted_clips_are_left_out(tmp_path: Path, some: type[Reading]) -> None:
    (tmp_path / "skip.txt").write_text("one.mp4\n\nthree.skeleton\nsomething else\n")
    reading = replace(some(tmp_path / "in"), skip=read_names(tmp_path / "skip.txt"))
    report = import_poses(reading, PoseCache(tmp_path / "cache"), "high", QUIET)
    assert figures(report) == (1, 0, 2, 0)


def test_a_list_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="expected the name of a clip a line"):
        read_names(tmp_path / "none.txt")


def test_other_options_have_another_folder(tmp_path: Path) -> None:
    reading = some_pyskl(tmp_path)
    bare = replace(reading, options=Options())
    others = [
        reading,
        bare,
        replace(bare, options=Options(fps=25)),
        replace(bare, options=Options(split="xsub")),
    ]
    assert bare.settings == "pyskl"
    assert len({each.settings for each in others}) == 4
    assert reading.settings == replace(reading, where=Path("elsewhere")).settings
    before = reading.settings
    (tmp_path / "set.classes.txt").write_text("another\n")
    assert reading.settings != before
    assert Reading(format_named("penn"), tmp_path).settings == "penn-action"


def test_progress_shows_a_rate(tmp_path: Path) -> None:
    shown = io.StringIO()
    reading = some_openpifpaf(tmp_path / "in")
    import_poses(reading, PoseCache(tmp_path / "cache"), "high", Progress(Console(file=shown, width=200)))
    assert shown.getvalue().startswith("reading: 3 of 3 clips, ")
    assert "/s" in shown.getvalue()


# Videos


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    film(folder / "one.mp4", ACTIONS[0], 0)
    film(folder / "more/two_rgb.mp4", ACTIONS[1], 1)
    return folder


@pytest.mark.parametrize("some", [some_pyskl, some_openpifpaf])
def test_clips_get_the_keys_of_their_videos(tmp_path: Path, videos: Path, some: type[Reading]) -> None:
    reading = replace(some(tmp_path / "in"), videos=videos_under(videos))
    cache = PoseCache(tmp_path / "cache")
    report = import_poses(reading, cache, "high", QUIET)
    assert (figures(report), report.without_video) == ((3, 0, 0, 0), 1)
    found = {entry.origin.key: entry for entry in cache.entries("high")}
    one, two = content_key(videos / "one.mp4"), content_key(videos / "more/two_rgb.mp4")
    assert found.keys() == {one, two, clip_key("three")}
    assert found[one].fps == probe(videos / "one.mp4").fps != 30
    assert found[one].size == SIZE
    assert figures(import_poses(reading, cache, "high", QUIET)) == (0, 3, 0, 0)


def test_a_video_says_the_size_that_a_file_lacks(tmp_path: Path, videos: Path) -> None:
    reading = replace(some_openpifpaf(tmp_path / "in"), options=Options(), videos=videos_under(videos))
    cache = PoseCache(tmp_path / "cache")
    report = import_poses(reading, cache, "high", QUIET)
    assert figures(report) == (2, 0, 0, 1)
    assert "three.openpifpaf.json does not say how large the video is" in report.failed[0]
    assert {entry.size for entry in cache.entries("high")} == {probe(videos / "one.mp4").size}


def test_two_videos_of_one_name_are_refused_where_they_matter(tmp_path: Path, videos: Path) -> None:
    for name in ("one.mp4", "sit/one.avi"):
        path = tmp_path / "videos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    known = videos_under(tmp_path / "videos")
    assert known.of("two") is None
    with pytest.raises(DataError, match="two videos are called one"):
        known.of("one")


# Formats and options


def test_formats_are_known_by_name() -> None:
    assert [format_named(each.name) for each in FORMATS] == list(FORMATS)
    assert [target_named(each.name) for each in TARGETS] == list(TARGETS)
    with pytest.raises(ConfigError, match="no format 'vicon'; expected one of penn, ntu"):
        format_named("vicon")
    with pytest.raises(ConfigError, match="cannot write the format 'penn'; expected one of pyskl"):
        target_named("penn")


def test_useless_options_are_refused() -> None:
    refuse_useless(Options(split="xsub", frames=5), [format_named("pyskl"), target_named("st-gcn")])
    with pytest.raises(ConfigError, match="penn cannot use --split: leave it out; expected --fps"):
        refuse_useless(Options(split="xsub"), [format_named("penn")])
    with pytest.raises(ConfigError, match="cache and coco cannot use --fps: leave it out; expected none"):
        refuse_useless(Options(fps=5), [cache_format(), target_named("coco")])
    with pytest.raises(ConfigError, match="size 0 5; expected a width and a height"):
        Options(size=(0, 5))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a\n\nb\n", "3 lines, 1 of them empty and 3 different"),
        ("a\na", "2 lines, 0 of them empty and 1"),
        ("", "0 lines"),
    ],
)
def test_class_names_must_be_names(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "names.txt").write_text(content)
    with pytest.raises(FormatError, match=message):
        _ = Options(labels=tmp_path / "names.txt").classes


# From format to format


def test_every_target_can_be_read_again(tmp_path: Path) -> None:
    reading = some_pyskl(tmp_path / "in")
    size = Options(size=SIZE)
    for name, out, options in (
        ("pyskl", "out.pkl", Options()),
        ("st-gcn", "arrays", size),
        ("openpifpaf", "lines", size),
        ("coco", "found.json", Options(images=tmp_path / "found.images.json")),
    ):
        report = convert_poses(reading, target_named(name), tmp_path / out, Options(frames=8), QUIET)
        assert figures(report) == (3, 0, 0, 0)
        cache = PoseCache(tmp_path / name)
        again = Reading(format_named(name), tmp_path / out, options)
        assert figures(import_poses(again, cache, "high", QUIET)) == (3, 0, 0, 0)
        for clip in CLIPS:
            read = cache.load(cache.path_of("high", again.settings, clip.origin.key))
            unnamed = {"sit": "class_001", "run": "class_000"}[str(clip.origin.label)]
            label = unnamed if name in ("pyskl", "st-gcn") else clip.origin.label
            assert_same(read, replace(clip, origin=replace(clip.origin, label=label)), atol=0.01)


def test_out_of_the_cache_and_into_another_layout(tmp_path: Path) -> None:
    cache = PoseCache(tmp_path / "cache")
    import_poses(some_pyskl(tmp_path), cache, "high", QUIET)
    (folder,) = (tmp_path / "cache/high").iterdir()
    reading = Reading(cache_format(), folder)
    out = tmp_path / "out.pkl"
    report = convert_poses(reading, target_named("pyskl"), out, Options(), QUIET, layout=PENN_13)
    assert figures(report) == (3, 0, 0, 0)
    for clip in format_named("pyskl").read(out, out, Options()):
        assert clip.layout == PENN_13


def test_a_layout_that_cannot_be_mapped_is_refused(tmp_path: Path) -> None:
    clips = [a_clip("one", layout=PENN_13), a_clip("two", layout=PENN_13)]
    reading, out = some_pyskl(tmp_path, *clips), tmp_path / "found.json"
    with pytest.raises(FormatError, match=r"could be converted; the first reason: .* has no nose"):
        convert_poses(reading, target_named("coco"), out, Options(), QUIET, layout=COCO_17)
    with pytest.raises(FormatError, match="expected coco-17: map it with --target-layout"):
        convert_poses(reading, target_named("coco"), out, Options(), QUIET)
    assert not out.exists()


def test_an_empty_folder_of_the_cache_is_named(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="expected a folder such as pose_cache/high/NAME"):
        convert_poses(
            Reading(cache_format(), tmp_path), target_named("coco"), tmp_path / "o", Options(), QUIET
        )


# Two sources of the same clips


def test_two_formats_make_pairs_with_people_in_the_same_places(tmp_path: Path) -> None:
    cache, experiment = PoseCache(tmp_path / "cache"), tiny_experiment()
    good = [
        a_clip(f"clip {n}", label, "train" if n % 4 < 2 else "val", frames=8)
        for n, label in enumerate(("sit", "run") * 4)
    ]
    poor = [  # seen every other frame, a little off, the people in the other order
        replace(
            clip,
            keypoints=clip.keypoints[::2, ::-1] + np.array([0.5, 0, 0], np.float32),
            frame_index=clip.frame_index[::2],
        )
        for clip in good
    ]
    import_poses(some_pyskl(tmp_path / "good", *good), cache, "high", QUIET)
    import_poses(some_openpifpaf(tmp_path / "poor", *poor), cache, "low", QUIET)
    manifest = build_manifest(cache, experiment)
    assert (len(manifest.clips), manifest.classes, manifest.left_out) == (8, ("run", "sit"), {})
    assert [len(manifest.part(train=side)) for side in (True, False)] == [4, 4]
    data = PairedClips(cache, manifest.clips, manifest.classes, experiment.clip, experiment.clip, None, 0)
    for sample, clip in zip(data, manifest.clips, strict=False):
        assert sample.paired.tolist() == [True, True]
        low = cache.load(clip.low) if clip.low else None
        assert low is not None
        assert low.keypoints[0, 0, 0, 0] > low.keypoints[0, 1, 0, 0]  # the other way round
        middle_high, middle_low = (view[:, :2].mean(dim=(2, 3)) for view in (sample.high, sample.low))
        between = torch.cdist(middle_high, middle_low)  # (person of high, person of low)
        assert between.diag().max() < 0.2 * between.fliplr().diag().min()


def test_annotations_pair_with_what_was_extracted_from_the_videos(tmp_path: Path, videos: Path) -> None:
    cache = PoseCache(tmp_path / "cache")
    clips = [a_clip("one", "sit", "train"), a_clip("two", "run", "train")]
    for clip, name in zip(clips, ("one.mp4", "more/two_rgb.mp4"), strict=True):
        seen = replace(clip, origin=replace(clip.origin, key=content_key(videos / name), estimator="squint"))
        cache.save(seen, "low", "squint-1")
    reading = replace(some_pyskl(tmp_path / "good", *clips), videos=videos_under(videos))
    import_poses(reading, cache, "high", QUIET)
    high, low = ({entry.origin.key for entry in cache.entries(side)} for side in ("high", "low"))
    assert high == low


def test_json_files_that_are_no_clips_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"people": []}))
    reading = Reading(format_named("openpifpaf"), tmp_path, Options(size=SIZE))
    report = import_poses(reading, PoseCache(tmp_path / "cache"), "high", QUIET)
    assert figures(report) == (0, 0, 0, 1)
