"""Converting skeletons from one format to another, and out of the cache."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from foreign_clips import CLIPS, SIZE, assert_same, counts, make_clip, pyskl_reading

from skdpipe.cache import PoseCache
from skdpipe.errors import FormatError
from skdpipe.formats.catalogue import format_named, target_named
from skdpipe.formats.convert import convert_poses
from skdpipe.formats.format import FormatOptions
from skdpipe.formats.importing import import_poses
from skdpipe.formats.reading import Reading
from skdpipe.progress import Progress
from skdpipe.skeleton import COCO_17, PENN_13

QUIET = Progress(quiet=True)


def test_every_target_can_be_read_again(tmp_path: Path) -> None:
    reading = pyskl_reading(tmp_path / "in")
    size = FormatOptions(size=SIZE)
    for name, out, options in (
        ("pyskl", "out.pkl", FormatOptions()),
        ("st-gcn", "arrays", size),
        ("openpifpaf", "lines", size),
        ("coco", "found.json", FormatOptions(images=tmp_path / "found.images.json")),
    ):
        report = convert_poses(reading, target_named(name), tmp_path / out, FormatOptions(frames=8), QUIET)
        assert counts(report) == (3, 0, 0, 0)
        cache = PoseCache(tmp_path / name)
        again = Reading(format_named(name), tmp_path / out, options)
        assert counts(import_poses(again, cache, "high", QUIET)) == (3, 0, 0, 0)
        for clip in CLIPS:
            read = cache.load(cache.path_of("high", again.settings, clip.origin.key))
            unnamed = {"sit": "class_001", "run": "class_000"}[str(clip.origin.label)]
            label = unnamed if name in ("pyskl", "st-gcn") else clip.origin.label
            assert_same(read, replace(clip, origin=replace(clip.origin, label=label)), atol=0.01)


def test_out_of_the_cache_and_into_another_layout(tmp_path: Path) -> None:
    cache = PoseCache(tmp_path / "cache")
    import_poses(pyskl_reading(tmp_path), cache, "high", QUIET)
    (folder,) = (tmp_path / "cache/high").iterdir()
    reading = Reading(format_named("cache"), folder)
    out = tmp_path / "out.pkl"
    report = convert_poses(reading, target_named("pyskl"), out, FormatOptions(), QUIET, layout=PENN_13)
    assert counts(report) == (3, 0, 0, 0)
    for clip in format_named("pyskl").read(out, out, FormatOptions()):
        assert clip.layout == PENN_13


def test_a_layout_that_cannot_be_mapped_is_refused(tmp_path: Path) -> None:
    clips = [make_clip("one", layout=PENN_13), make_clip("two", layout=PENN_13)]
    reading, out = pyskl_reading(tmp_path, *clips), tmp_path / "found.json"
    with pytest.raises(FormatError, match=r"could be converted; the first reason: .* has no nose"):
        convert_poses(reading, target_named("coco"), out, FormatOptions(), QUIET, layout=COCO_17)
    with pytest.raises(FormatError, match="expected coco-17: map it with --target-layout"):
        convert_poses(reading, target_named("coco"), out, FormatOptions(), QUIET)
    assert not out.exists()


def test_an_empty_folder_of_the_cache_is_named(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="or a folder such as pose_cache/high/NAME"):
        convert_poses(
            Reading(format_named("cache"), tmp_path),
            target_named("coco"),
            tmp_path / "o",
            FormatOptions(),
            QUIET,
        )


def test_unfinished_files_of_other_processes_are_removed(tmp_path: Path) -> None:
    leftovers = [tmp_path / ".skdpipe-1.part", tmp_path / "lines" / "sit" / ".skdpipe-2.part"]
    leftovers[1].parent.mkdir(parents=True)
    for each in leftovers:
        each.write_bytes(b"half")
    reading = pyskl_reading(tmp_path / "in")
    convert_poses(reading, target_named("openpifpaf"), tmp_path / "lines", FormatOptions(), QUIET)
    assert not any(each.exists() for each in leftovers)
