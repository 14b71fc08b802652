"""Importing foreign skeletons into the cache: each clip once, paired with its video or other quality."""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from display_matrix import with_matrix
from foreign_clips import CLIPS, SIZE, assert_same, counts, make_clip, openpifpaf_reading, pyskl_reading
from moving_body import ACTIONS, tiny_experiment, write_action_video
from rich.console import Console
from scipy.io import savemat

import skdpipe.formats.openpifpaf
import skdpipe.formats.pyskl
from skdpipe.cache import PoseCache
from skdpipe.dataset import PairedClips, build_manifest
from skdpipe.errors import ConfigError, DataError, FormatError
from skdpipe.formats.catalogue import format_named
from skdpipe.formats.folder_files import paths_below
from skdpipe.formats.format import FormatOptions
from skdpipe.formats.importing import import_poses
from skdpipe.formats.ntu import samples_to_skip
from skdpipe.formats.openpifpaf import write_openpifpaf
from skdpipe.formats.openpose import write_openpose
from skdpipe.formats.poses import load_poses
from skdpipe.formats.reading import Reading, ReadingReport, read_clips, read_names, videos_under
from skdpipe.progress import Progress
from skdpipe.skeleton import COCO_17, OPENPOSE_18, PoseSequence, clip_key
from skdpipe.video import content_key, probe, write_video

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


def age(folder: Path) -> None:
    """Set the files' times to a past in which a change is not overlooked."""
    for path in (folder, *folder.rglob("*")):
        os.utime(path, (1e9, 1e9))


def test_an_unchanged_file_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reading, cache = openpifpaf_reading(tmp_path / "in"), PoseCache(tmp_path / "cache")
    age(tmp_path / "in")
    import_poses(reading, cache, "high", QUIET)
    monkeypatch.setattr(skdpipe.formats.openpifpaf, "load_openpifpaf", None)
    assert counts(import_poses(reading, cache, "high", QUIET)) == (0, 3, 0, 0)


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    reading, cache = openpifpaf_reading(tmp_path / "in"), PoseCache(tmp_path / "cache")
    age(tmp_path / "in")
    import_poses(reading, cache, "high", QUIET)
    (tmp_path / "in/val/run/two.openpifpaf.json").write_text("broken")
    report = import_poses(reading, cache, "high", QUIET)
    assert counts(report) == (0, 2, 0, 1)
    other = make_clip("two", "run", "val", frames=9)
    report = import_poses(openpifpaf_reading(tmp_path / "in", other), cache, "high", QUIET)
    assert (counts(report), report.replaced) == ((0, 2, 0, 0), 1)
    path = cache.path_of("high", reading.settings, other.origin.key)
    assert_same(cache.load(path), other, atol=0.005)


def test_a_changed_file_of_a_folder_of_frames_is_read_again(tmp_path: Path) -> None:
    clip, cache = make_clip("one", layout=OPENPOSE_18), PoseCache(tmp_path / "cache")
    write_openpose([clip], tmp_path / "in")
    reading = Reading(format_named("openpose"), tmp_path / "in", FormatOptions(size=SIZE))
    age(tmp_path / "in")
    assert import_poses(reading, cache, "high", QUIET).done == 1
    assert import_poses(reading, cache, "high", QUIET).skipped == 1
    (tmp_path / "in/sit/one/one_000000000004_keypoints.json").write_text('{"people": []}')
    assert import_poses(reading, cache, "high", QUIET).replaced == 1


# Which clip is which


WRITERS = {
    "openpifpaf": lambda folder, clip: write_openpifpaf([clip], folder),
    "openpose": lambda folder, clip: write_openpose([clip], folder),
    "skd": lambda folder, clip: _write_skd(folder / f"{clip.origin.label}/{clip.origin.source}.npy", clip),
}


def _write_skd(path: Path, clip: PoseSequence) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, np.nan_to_num(clip.keypoints).transpose(2, 3, 0, 1))


def one_of(label: str, frames: int, name: str, source: str = "1") -> PoseSequence:
    layout = OPENPOSE_18 if name == "openpose" else COCO_17
    clip = make_clip(source, label, frames=frames, layout=layout)
    return replace(clip, origin=replace(clip.origin, source=source))


@pytest.mark.parametrize("name", ["openpifpaf", "openpose", "skd"])
def test_clips_of_one_name_in_class_folders_are_separate(tmp_path: Path, name: str) -> None:
    for label, frames in (("wave", 5), ("punch", 7)):
        WRITERS[name](tmp_path / "in", one_of(label, frames, name))
    reading = Reading(format_named(name), tmp_path / "in", FormatOptions(size=SIZE))
    cache = PoseCache(tmp_path / "cache")
    assert counts(import_poses(reading, cache, "high", QUIET)) == (2, 0, 0, 0)
    found = {entry.origin.label: entry for entry in cache.entries("high")}
    assert {label: entry.frames for label, entry in found.items()} == {"wave": 5, "punch": 7}
    assert {label: entry.origin.key for label, entry in found.items()} == {
        label: clip_key(f"{label}/1") for label in ("wave", "punch")
    }
    assert counts(import_poses(reading, cache, "high", QUIET)) == (0, 2, 0, 0)
    again = load_poses(tmp_path / "in", name, size=SIZE)
    assert {clip.origin.key for clip in again} == {entry.origin.key for entry in found.values()}


def test_two_formats_of_the_same_folders_have_the_same_keys(tmp_path: Path) -> None:
    cache = PoseCache(tmp_path / "cache")
    for quality, name in (("high", "openpifpaf"), ("low", "openpose")):
        for label, frames in (("wave", 5), ("punch", 7)):
            WRITERS[name](tmp_path / name, one_of(label, frames, name))
        reading = Reading(format_named(name), tmp_path / name, FormatOptions(size=SIZE))
        assert import_poses(reading, cache, "high" if quality == "high" else "low", QUIET).done == 2
    assert len({entry.origin.key for entry in cache.entries()}) == 2


def test_a_new_clip_of_a_known_name_moves_the_key_of_the_known_one(tmp_path: Path) -> None:
    """The names were distinct before."""
    cache = PoseCache(tmp_path / "cache")
    reading = openpifpaf_reading(tmp_path / "in", one_of("wave", 5, ""))
    import_poses(reading, cache, "high", QUIET)
    openpifpaf_reading(tmp_path / "in", one_of("punch", 7, ""))
    assert counts(import_poses(reading, cache, "high", QUIET)) == (1, 1, 0, 0)
    assert {entry.origin.key for entry in cache.entries("high")} == {
        clip_key("wave/1"),
        clip_key("punch/1"),
    }


def results(folder: Path, x: float, name: str = "results.json") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    people = [{"image_id": n, "category_id": 1, "keypoints": [x + n, 20, 0.9] * 17} for n in range(3)]
    (folder / name).write_text(json.dumps(people))
    return folder / name


def coco(path: Path) -> Reading:
    return Reading(format_named("coco"), path, FormatOptions(size=SIZE))


def test_other_skeletons_of_another_file_of_the_name_are_refused(tmp_path: Path) -> None:
    cache = PoseCache(tmp_path / "cache")
    first, second = results(tmp_path / "v1", 60), results(tmp_path / "v2", 160)
    assert counts(import_poses(coco(first), cache, "high", QUIET)) == (1, 0, 0, 0)
    report = import_poses(coco(second), cache, "high", QUIET)
    assert counts(report) == (0, 0, 0, 1)
    assert f"{second}/results has other skeletons than {first}/results" in report.failed[0]
    (entry,) = cache.entries("high")
    assert entry.origin.source == f"{first}/results"


def test_other_skeletons_of_the_same_relative_path_elsewhere_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = PoseCache(tmp_path / "cache")
    for number, folder in enumerate(("here", "there")):
        results(tmp_path / folder, 60 + 100 * number)
        monkeypatch.chdir(tmp_path / folder)
        report = import_poses(coco(Path("results.json")), cache, "high", QUIET)
        assert counts(report) == (1 - number, 0, 0, number)


def test_the_same_skeletons_elsewhere_are_the_same_clip(tmp_path: Path) -> None:
    cache = PoseCache(tmp_path / "cache")
    for folder, expected in (("v1", (1, 0, 0, 0)), ("moved", (0, 1, 0, 0)), ("moved", (0, 1, 0, 0))):
        assert counts(import_poses(coco(results(tmp_path / folder, 60)), cache, "high", QUIET)) == expected
    results(tmp_path / "moved", 70)
    assert import_poses(coco(tmp_path / "moved/results.json"), cache, "high", QUIET).replaced == 1


def test_a_file_of_images_in_the_folder_is_no_file_of_results(tmp_path: Path) -> None:
    results(tmp_path, 60)
    listed = [{"id": n, "file_name": f"a/{n}.jpg", "width": 320, "height": 240} for n in range(3)]
    (tmp_path / "listed.json").write_text(json.dumps({"images": listed}))
    reading = Reading(format_named("coco"), tmp_path, FormatOptions(images=tmp_path / "listed.json"))
    assert counts(import_poses(reading, PoseCache(tmp_path / "cache"), "high", QUIET)) == (1, 0, 0, 0)


@pytest.mark.parametrize("name", ["results.json", "alphapose-results.json"])
def test_results_of_one_name_in_a_folder_are_separate_clips(tmp_path: Path, name: str) -> None:
    for label, x in (("v1", 60), ("v2", 160)):
        results(tmp_path / "in" / label, x, name)
    cache = PoseCache(tmp_path / "cache")
    assert counts(import_poses(coco(tmp_path / "in"), cache, "high", QUIET)) == (2, 0, 0, 0)
    found = {float(cache.load(entry.path).keypoints[0, 0, 0, 0]): entry for entry in cache.entries("high")}
    labels = {x: entry.origin.label for x, entry in found.items()}
    assert labels == ({60: None, 160: None} if "alphapose" in name else {60: "v1", 160: "v2"})
    for x, label in ((60, "v1"), (160, "v2")):  # and one by one
        report = import_poses(coco(results(tmp_path / "in" / label, x, name)), cache, "high", QUIET)
        assert counts(report) == (0, 1, 0, 0)


# Labels


def test_corrected_labels_replace_the_old_ones_and_are_counted(tmp_path: Path) -> None:
    cache = PoseCache(tmp_path / "cache")
    import_poses(openpifpaf_reading(tmp_path / "in"), cache, "high", QUIET)
    before = {entry.path: cache.load(entry.path).keypoints for entry in cache.entries("high")}
    (tmp_path / "in/train/sit").rename(tmp_path / "in/train/rest")
    shutil.move(tmp_path / "in/val/run/two.openpifpaf.json", tmp_path / "in/train/run")
    report = import_poses(
        Reading(format_named("openpifpaf"), tmp_path / "in", FormatOptions(size=SIZE)), cache, "high", QUIET
    )
    assert (counts(report), report.relabelled, report.replaced) == ((0, 3, 0, 0), 2, 0)
    found = {entry.origin.key: entry.origin for entry in cache.entries("high")}
    assert {(found[clip_key(n)].label, found[clip_key(n)].split) for n in ("one", "two", "three")} == {
        ("rest", "train"),
        ("run", "train"),
    }
    for path, keypoints in before.items():
        np.testing.assert_array_equal(cache.load(path).keypoints, keypoints)


def test_a_clip_of_a_repeated_name_may_move_to_another_class_folder(tmp_path: Path) -> None:
    cache = PoseCache(tmp_path / "cache")
    for label, frames in (("wave", 5), ("punch", 7)):
        reading = openpifpaf_reading(tmp_path / "in", one_of(label, frames, ""))
    import_poses(reading, cache, "high", QUIET)
    (tmp_path / "in/wave").rename(tmp_path / "in/hello")
    report = import_poses(reading, cache, "high", QUIET)
    assert (counts(report), report.relabelled) == ((0, 2, 0, 0), 1)
    assert {entry.origin.key: entry.origin.label for entry in cache.entries("high")} == {
        clip_key("hello/1"): "hello",
        clip_key("punch/1"): "punch",
    }
    shutil.copytree(tmp_path / "in/hello", tmp_path / "in/copy")  # its first file still exists
    assert counts(import_poses(reading, cache, "high", QUIET)) == (1, 2, 0, 0)


def test_a_corrected_label_of_a_pickle_is_counted(tmp_path: Path) -> None:
    cache = PoseCache(tmp_path / "cache")
    reading = pyskl_reading(tmp_path / "in", make_clip("one", "sit"), make_clip("two", "run"))
    import_poses(reading, cache, "high", QUIET)
    pyskl_reading(tmp_path / "in", make_clip("one", "run"), make_clip("two", "sit"))
    report = import_poses(reading, cache, "high", QUIET)
    assert (counts(report), report.relabelled) == ((0, 2, 0, 0), 2)


def test_a_corrected_annotation_of_penn_action_replaces_the_old_one(tmp_path: Path) -> None:
    """Its key is a digest of the file."""

    def written(action: str, x: float) -> None:
        xy = np.full((3, 13), x)
        fields = {"x": xy, "y": xy, "visibility": np.ones((3, 13)), "train": 1, "nframes": 3}
        savemat(tmp_path / "0001.mat", {"action": action, "dimensions": [240, 320, 3], **fields})

    cache, reading = PoseCache(tmp_path / "cache"), Reading(format_named("penn"), tmp_path)
    found = []
    for action, x in (("bowl", 5), ("squat", 5), ("squat", 6)):
        written(action, x)
        report = import_poses(reading, cache, "high", QUIET)
        found.append((report.done, report.skipped, report.relabelled, report.replaced))
        assert [entry.origin.label for entry in cache.entries("high")] == [action]
    assert found == [(1, 0, 0, 0), (0, 1, 1, 0), (0, 0, 0, 1)]


def test_a_damaged_file_of_the_cache_is_written_again(tmp_path: Path) -> None:
    reading, cache = openpifpaf_reading(tmp_path / "in", CLIPS[0]), PoseCache(tmp_path / "cache")
    age(tmp_path / "in")
    import_poses(reading, cache, "high", QUIET)
    (entry,) = cache.entries("high")
    entry.path.write_bytes(b"damaged")
    assert counts(import_poses(reading, cache, "high", QUIET)) == (1, 0, 0, 0)
    assert_same(cache.load(entry.path), CLIPS[0], atol=0.005)


def test_a_label_that_is_not_specified_is_kept(tmp_path: Path) -> None:
    cache = PoseCache(tmp_path / "cache")
    reading = openpifpaf_reading(tmp_path / "in", CLIPS[0])
    import_poses(reading, cache, "high", QUIET)
    report = import_poses(replace(reading, where=tmp_path / "in/train/sit"), cache, "high", QUIET)
    assert (counts(report), report.relabelled) == ((0, 1, 0, 0), 0)
    (entry,) = cache.entries("high")
    assert (entry.origin.label, entry.origin.split) == ("sit", "train")


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


def test_two_files_of_one_clip_are_a_failure(tmp_path: Path) -> None:
    """Names of NTU RGB+D identify a clip in any folder."""
    for folder in ("a", "b"):
        path = tmp_path / folder / "S001C001P001R001A001.skeleton"
        path.parent.mkdir()
        path.write_text("1\n0\n")
    report = import_poses(Reading(format_named("ntu"), tmp_path), PoseCache(tmp_path / "c"), "high", QUIET)
    assert counts(report) == (1, 0, 0, 1)
    assert "is the same clip as" in report.failed[0]


def test_names_to_leave_out_may_have_folders(tmp_path: Path) -> None:
    for label, frames in (("wave", 5), ("punch", 7)):
        write_openpifpaf([one_of(label, frames, "")], tmp_path / "in")
    reading = Reading(format_named("openpifpaf"), tmp_path / "in", FormatOptions(size=SIZE))
    for line, left_out in (("wave/1.mp4", 1), ("1", 2), ("kick/1", 0)):
        (tmp_path / "skip.txt").write_text(line)
        report = ReadingReport()
        list(read_clips(replace(reading, skip=read_names(tmp_path / "skip.txt")), report, QUIET))
        assert report.left_out == left_out


@pytest.mark.parametrize("write", [pyskl_reading, openpifpaf_reading])
def test_unwanted_clips_are_left_out(tmp_path: Path, write: Callable[..., Reading]) -> None:
    (tmp_path / "skip.txt").write_text("one.mp4\n\nthree.skeleton\nsomething else\n")
    reading = replace(write(tmp_path / "in"), skip=read_names(tmp_path / "skip.txt"))
    report = import_poses(reading, PoseCache(tmp_path / "cache"), "high", QUIET)
    assert counts(report) == (1, 0, 2, 0)


def test_a_file_of_names_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="expected one clip name per line"):
        read_names(tmp_path / "none.txt")


def test_a_corrected_label_map_replaces_the_labels(tmp_path: Path) -> None:
    reading, cache = pyskl_reading(tmp_path), PoseCache(tmp_path / "cache")
    import_poses(reading, cache, "high", QUIET)
    (tmp_path / "set.classes.txt").write_text("jog\nsit\n")
    report = import_poses(reading, cache, "high", QUIET)
    assert (counts(report), report.relabelled) == ((0, 3, 0, 0), 2)
    assert sorted(str(entry.origin.label) for entry in cache.entries("high")) == ["jog", "jog", "sit"]


def test_a_clip_in_a_split_without_a_class_has_no_label(tmp_path: Path) -> None:
    write_openpifpaf([make_clip("one", label=None, split=None)], tmp_path / "data" / "Training")
    reading = Reading(format_named("openpifpaf"), tmp_path / "data", FormatOptions(size=SIZE))
    cache = PoseCache(tmp_path / "cache")
    import_poses(reading, cache, "high", QUIET)
    (entry,) = cache.entries("high")
    assert (entry.origin.label, entry.origin.split) == (None, "train")


def test_each_set_of_options_has_its_own_folder(tmp_path: Path) -> None:
    reading = pyskl_reading(tmp_path)
    bare = replace(reading, options=FormatOptions())
    others = [
        bare,
        replace(bare, options=FormatOptions(fps=25.0)),
        replace(bare, options=FormatOptions(split="xsub")),
    ]
    assert bare.settings == "pyskl"
    # Imports of earlier versions are found again only if these names stay.
    assert others[1].settings == "pyskl-f2d8a399"
    assert len({each.settings for each in others}) == 3
    assert reading.settings == replace(reading, where=Path("elsewhere")).settings
    assert Reading(format_named("penn"), tmp_path).settings == "penn-action"


def test_progress_shows_a_rate(tmp_path: Path) -> None:
    output = io.StringIO()
    reading = openpifpaf_reading(tmp_path / "in")
    import_poses(reading, PoseCache(tmp_path / "cache"), "high", Progress(Console(file=output, width=200)))
    assert output.getvalue().startswith("reading: 3 of 3 clips, ")
    assert "/s" in output.getvalue()


# Several clips in a file


def pickled(path: Path, content: object) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(pickle.dumps(content))


def annotations(names: str, joints: int = 17, **changes: object) -> list[dict[str, object]]:
    xy = np.ones((1, 3, joints, 2), np.float32)
    fields = {"label": 0, "img_shape": (240, 320), "keypoint": xy, "keypoint_score": xy[..., 0]}
    return [{**fields, "frame_dir": name, **changes} for name in names]


def test_a_reason_is_reported_once_a_file(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    pickled(folder / "a.pkl", annotations("abc"))
    pickled(folder / "b.pkl", annotations("abc"))  # the same clips
    pickled(folder / "c.pkl", annotations("defg", joints=7))  # no layout has 7 joints
    pickled(
        folder / "d.pkl", [*annotations("hi", total_frames=9), *annotations("j"), *annotations("k", label=-1)]
    )
    pickled(folder / "e.pkl", 5)
    report = import_poses(Reading(format_named("pyskl"), folder), PoseCache(tmp_path / "c"), "high", QUIET)
    assert (report.done, report.failures) == (4, 11)
    same, seven, frames, label, five = report.failed
    assert "b.pkl/a is the same clip as" in same
    assert same.endswith("(and 2 more clips for this reason)")
    assert "c.pkl: clip d: 7 joints" in seven
    assert seven.endswith("(and 3 more clips for this reason)")
    assert "d.pkl: clip h: 9 total_frames" in frames
    assert frames.endswith("(and 1 more clips for this reason)")
    assert "clip k: label -1" in label
    assert "e.pkl holds of type int" in five


def test_other_skeletons_are_reported_once_a_file(tmp_path: Path) -> None:
    cache = PoseCache(tmp_path / "c")
    pickled(tmp_path / "a/set.pkl", annotations("abc"))
    pickled(tmp_path / "b/set.pkl", annotations("abcd", keypoint=np.zeros((1, 3, 17, 2))))
    import_poses(Reading(format_named("pyskl"), tmp_path / "a/set.pkl"), cache, "high", QUIET)
    report = import_poses(Reading(format_named("pyskl"), tmp_path / "b/set.pkl"), cache, "high", QUIET)
    assert (report.done, report.failures, len(report.failed)) == (1, 3, 1)


def test_what_a_file_leaves_out_is_counted_over_all_files(tmp_path: Path) -> None:
    for name, clips in (("a", "abc"), ("b", "def")):
        content = {"split": {"train": [clips[0], "x"], "val": []}, "annotations": annotations(clips)}
        pickled(tmp_path / f"in/{name}.pkl", content)
    reading = Reading(format_named("pyskl"), tmp_path / "in")
    report = import_poses(reading, PoseCache(tmp_path / "c"), "high", QUIET)
    assert report.done == 2
    assert report.notes == {
        "clips are in no split of the pair and are left out": 4,
        "names of the split have no clip": 2,
    }
    with pytest.warns(UserWarning, match="2 clips are in no split of the pair"):
        load_poses(tmp_path / "in/a.pkl", "pyskl")


def test_clips_that_a_format_passes_over_are_counted(tmp_path: Path) -> None:
    for name in (min(samples_to_skip()), "S001C001P001R001A001"):
        (tmp_path / f"{name}.skeleton").write_text("1\n0\n")
    report = import_poses(Reading(format_named("ntu"), tmp_path), PoseCache(tmp_path / "c"), "high", QUIET)
    assert (report.done, list(report.notes.values())) == (1, [1])


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


def test_the_size_of_a_rotated_video_is_turned(tmp_path: Path) -> None:
    """A phone's video is stored as 48x64 and shown as 64x48; the feet of a near person are below its edge."""
    video = tmp_path / "videos/wave/clip.mp4"
    write_video(video, np.zeros((2, 64, 48, 3), np.uint8), 10)
    with_matrix(video, 0, 1, -1, 0)
    folder = tmp_path / "in/wave/clip"
    folder.mkdir(parents=True)
    pose = [value for joint in range(18) for value in (16, 40 + joint, 1)]
    (folder / "clip_000000000000_keypoints.json").write_text(
        json.dumps({"people": [{"pose_keypoints_2d": pose}]})
    )
    reading = Reading(format_named("openpose"), tmp_path / "in", videos=videos_under(tmp_path / "videos"))
    ((_, clip),) = read_clips(reading, ReadingReport(), QUIET)
    assert clip.size == (64, 48)
    assert clip.keypoints[0, 0, :, 1].tolist() == [40.0 + joint for joint in range(18)]


def test_two_videos_of_the_same_name_are_refused_when_needed(tmp_path: Path, videos: Path) -> None:
    for name in ("one.mp4", "sit/one.avi"):
        path = tmp_path / "videos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    known = videos_under(tmp_path / "videos")
    assert known.of("two") is None
    with pytest.raises(DataError, match="two videos have the name one"):
        known.of("one")


def test_videos_of_one_name_pair_with_the_skeletons_of_the_same_folders(tmp_path: Path, videos: Path) -> None:
    for label, video, frames in (("wave", "one.mp4", 5), ("punch", "more/two_rgb.mp4", 7)):
        write_openpifpaf([one_of(label, frames, "")], tmp_path / "in/train")
        (tmp_path / f"videos/{label}").mkdir(parents=True)
        shutil.copy(videos / video, tmp_path / f"videos/{label}/1.mp4")
    cache = PoseCache(tmp_path / "cache")
    reading = Reading(
        format_named("openpifpaf"),
        tmp_path / "in",
        FormatOptions(size=SIZE),
        videos_under(tmp_path / "videos"),
    )
    report = import_poses(reading, cache, "high", QUIET)
    assert (counts(report), report.without_video) == ((2, 0, 0, 0), 0)
    assert {entry.origin.key: entry.frames for entry in cache.entries("high")} == {
        content_key(tmp_path / "videos/wave/1.mp4"): 5,
        content_key(tmp_path / "videos/punch/1.mp4"): 7,
    }
    shutil.rmtree(tmp_path / "videos/punch")  # its clip does not pair with the other video
    report = import_poses(replace(reading, videos=videos_under(tmp_path / "videos")), cache, "low", QUIET)
    assert (counts(report), report.without_video) == ((2, 0, 0, 0), 1)


def test_coco_results_have_the_size_of_their_videos(tmp_path: Path, videos: Path) -> None:
    reading = replace(
        coco(results(tmp_path, 60, "one.json")), options=FormatOptions(), videos=videos_under(videos)
    )
    ((_, sequence),) = read_clips(reading, ReadingReport(), QUIET)
    info = probe(videos / "one.mp4")
    assert (sequence.size, sequence.fps) == (info.size, info.fps)


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


# Files and clips that fail


@pytest.mark.parametrize(
    ("option", "found"),
    [
        ({"size": (10**12, 240)}, "size 1000000000000 240; expected"),
        ({"size": (320, 0)}, "size 320 0; expected"),
        ({"fps": float("inf")}, "fps inf; expected"),
        ({"fps": float("nan")}, "fps nan; expected"),
        ({"frames": 10**9}, "frames 1000000000; expected"),
    ],
)
def test_options_out_of_range_are_refused(option: dict[str, Any], found: str) -> None:
    with pytest.raises(ConfigError, match=found):
        FormatOptions(**option)


@pytest.mark.parametrize(
    "raised",
    [
        MemoryError(),
        RecursionError("deep"),
        KeyError("x"),
        OverflowError(),
        struct.error("short"),
        ValueError(),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("write", [pyskl_reading, openpifpaf_reading])
def test_any_error_of_a_clip_is_its_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[..., Reading], raised: Exception
) -> None:
    reading = write(tmp_path / "in")
    layout_of_first = iter([raised])

    def fail_once(*arguments: object) -> object:
        for error in layout_of_first:
            raise error
        return COCO_17

    monkeypatch.setattr(skdpipe.formats.pyskl, "layout_for", fail_once)
    monkeypatch.setattr(skdpipe.formats.openpifpaf, "layout_of_people", fail_once)
    report = import_poses(reading, PoseCache(tmp_path / "cache"), "high", QUIET)
    assert counts(report) == (2, 0, 0, 1)
    (line,) = report.failed
    assert str(tmp_path / "in") in line
    assert "\n" not in line
    expected = "takes more memory than there is" if isinstance(raised, MemoryError) else type(raised).__name__
    assert expected in line


@pytest.mark.parametrize("raised", [KeyboardInterrupt, SystemExit])
def test_an_interruption_ends_an_import(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raised: type[BaseException]
) -> None:
    def interrupt(*arguments: object) -> None:
        raise raised

    monkeypatch.setattr(skdpipe.formats.openpifpaf, "layout_of_people", interrupt)
    with pytest.raises(raised):
        import_poses(openpifpaf_reading(tmp_path / "in"), PoseCache(tmp_path / "cache"), "high", QUIET)


def test_what_is_no_file_is_named_and_the_files_are_imported(tmp_path: Path) -> None:
    reading, folder = openpifpaf_reading(tmp_path / "in"), tmp_path / "in/val/run"
    os.mkfifo(folder / "pipe.openpifpaf.json")
    (folder / "folder.openpifpaf.json").mkdir()
    (folder / "zero.openpifpaf.json").symlink_to("/dev/zero")
    (folder / "gone.openpifpaf.json").symlink_to("nowhere")
    (folder / "itself.openpifpaf.json").symlink_to("itself.openpifpaf.json")
    (folder / "deep.openpifpaf.json").write_text("[" * 100_000)
    (folder / "loop").symlink_to("..")
    report = import_poses(reading, PoseCache(tmp_path / "cache"), "high", QUIET)
    assert counts(report) == (3, 0, 0, 6)
    for name in ("pipe", "folder", "zero", "gone", "itself", "deep"):
        assert sum(str(folder / f"{name}.openpifpaf.json") in line for line in report.failed) == 1


def test_folders_behind_links_are_read_once_and_by_their_own_path(tmp_path: Path) -> None:
    (tmp_path / "in/b").mkdir(parents=True)
    (tmp_path / "elsewhere/c").mkdir(parents=True)
    for name in ("in/b/one.json", "elsewhere/c/two.json"):
        (tmp_path / name).write_text("{}")
    for link in ("in/a", "in/z"):
        (tmp_path / link).symlink_to(tmp_path / "in/b")
    for link in ("in/linked", "in/twice"):
        (tmp_path / link).symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere/back").symlink_to(tmp_path / "in")
    found = paths_below(tmp_path / "in", ".json")
    assert found == [tmp_path / "in/b/one.json", tmp_path / "in/linked/c/two.json"]


@pytest.mark.parametrize(
    ("image", "keypoints", "found"),
    [
        ("\ud800/0.jpg", [1.0] * 51, "half a character"),
        ("a\nb/0.jpg", [1.0] * 51, "a control character"),
        ("farther/0.jpg", [1e30] * 51, "a joint at 1e"),
        ("far/0.jpg", [5000.0] * 51, "expected numbers of at most 10 times the picture"),
    ],
)
def test_names_and_coordinates_that_cannot_be_are_refused_and_the_others_imported(
    tmp_path: Path, image: str, keypoints: list[float], found: str
) -> None:
    results = [
        {"image_id": each, "category_id": 1, "keypoints": values, "score": 1.0}
        for each, values in (("good/0.jpg", [9.0] * 51), (image, keypoints), ("last/0.jpg", [8.0] * 51))
    ]
    (tmp_path / "a.json").write_text(json.dumps(results))
    reading = Reading(format_named("coco"), tmp_path / "a.json", FormatOptions(size=SIZE))
    report = import_poses(reading, PoseCache(tmp_path / "cache"), "high", QUIET)
    assert counts(report) == (2, 0, 0, 1)
    assert found in report.failed[0]
