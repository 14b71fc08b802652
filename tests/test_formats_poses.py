"""`load_poses` and `save_poses`: every format in one call."""

from __future__ import annotations

import doctest
import subprocess
import sys
from dataclasses import replace
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from foreign_clips import CLIPS, SIZE, assert_same, make_clip
from sequences import make_sequence

from skdpipe.cache import PoseCache
from skdpipe.errors import CacheError, ConfigError, FormatError
from skdpipe.formats import load_poses, poses, save_poses
from skdpipe.formats.catalogue import FORMATS, TARGETS
from skdpipe.skeleton import COCO_17, OPENPOSE_18, clip_key

# For each target: where to write, and the options for reading it.
ROUND_TRIPS: dict[str, tuple[str, dict[str, Any]]] = {
    "cache": ("high/set", {}),
    "pyskl": ("set.pkl", {"labels": "set.classes.txt"}),
    "st-gcn": ("arrays", {"labels": "arrays/classes.txt", "size": SIZE}),
    "openpifpaf": ("lines", {"size": SIZE}),
    "coco": ("found.json", {"images": "found.images.json"}),
    "openpose": ("frames", {"size": SIZE}),
    "kinetics": ("kinetics", {"size": SIZE}),
}


@pytest.mark.parametrize("name", [each.name for each in TARGETS])
def test_every_target_is_read_again(tmp_path: Path, name: str) -> None:
    layout = OPENPOSE_18 if name in {"openpose", "kinetics"} else COCO_17
    clips = [
        make_clip("one", "sit", "train", layout=layout),
        make_clip("two", "run", "val", frames=6, layout=layout),
    ]
    where, options = ROUND_TRIPS[name]
    options = {key: tmp_path / value if isinstance(value, str) else value for key, value in options.items()}
    sizes = {"frames": 6} if name == "st-gcn" else {}
    assert save_poses(clips, tmp_path / where, name, **sizes) == 2
    read = {clip.origin.key: clip for clip in load_poses(tmp_path / where, name, **options)}
    assert len(read) == 2
    for clip in clips:
        again = read[clip.origin.key]
        if name == "kinetics":  # its people have no order
            order = np.argsort(again.keypoints[0, :, 0, 0])
            again = again.with_keypoints(again.keypoints[:, order])
        assert_same(again, clip, atol=0 if name == "cache" else 0.2 if name == "kinetics" else 0.01)


def test_one_file_of_the_cache_keeps_everything(tmp_path: Path) -> None:
    path = str(tmp_path / "new/walk.safetensors")
    assert save_poses(CLIPS[:1], path) == 1
    assert [each.name for each in (tmp_path / "new").iterdir()] == ["walk.safetensors"]
    (read,) = load_poses(path)
    assert_same(read, CLIPS[0])
    assert read.origin == CLIPS[0].origin


@pytest.mark.parametrize("suffix", ["", "/walk.safetensors"])
def test_a_folder_of_the_cache_is_one_of_pose_cache(tmp_path: Path, suffix: str) -> None:
    save_poses(CLIPS[:1], f"{tmp_path}/low/set{suffix}", "cache")
    (path,) = (tmp_path / "low/set").iterdir()
    entry = PoseCache(tmp_path).describe(path)
    assert (entry.quality, entry.settings) == ("low", "set")


def test_a_clip_without_a_key_gets_that_of_its_name(tmp_path: Path) -> None:
    keypoints = make_clip("one").keypoints
    save_poses([make_sequence(keypoints)], tmp_path / "walk.mp4.safetensors")
    assert load_poses(tmp_path / "walk.mp4.safetensors")[0].origin.key == clip_key("walk")
    named = make_sequence(keypoints, origin=replace(CLIPS[0].origin, key="", source="a/run.mp4"))
    save_poses([named], tmp_path / "high/set", "cache")
    assert load_poses(tmp_path / "high/set", "cache")[0].origin.key == clip_key("run")
    for name in ("cache", "coco"):
        with pytest.raises(FormatError, match="neither a source nor a key; expected one"):
            save_poses([make_sequence(keypoints)], tmp_path / "high/other", name)


def test_what_the_cache_cannot_hold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"several clips for .*a\.safetensors; expected one"):
        save_poses(CLIPS, tmp_path / "a.safetensors")
    with pytest.raises(FormatError, match=r"no clip for .*a\.safetensors; expected one"):
        save_poses([], tmp_path / "a.safetensors")
    with pytest.raises(FormatError, match="not in a folder called high or low"):
        save_poses(CLIPS, tmp_path / "set", "cache")
    with pytest.raises(FormatError, match=r"two clips have the key .* \(videos/one\.mp4\)"):
        save_poses([CLIPS[0], CLIPS[0]], tmp_path / "high/set", "cache")
    (tmp_path / "b.safetensors").write_bytes(b"no")
    with pytest.raises(CacheError, match=r"b\.safetensors is damaged"):
        load_poses(tmp_path / "b.safetensors")


def test_the_format_is_known_by_the_suffix_or_must_be_named(tmp_path: Path) -> None:
    name = "S001C001P001R001A001"
    (tmp_path / f"{name}.skeleton").write_text("1\n0\n")
    (read,) = load_poses(tmp_path / f"{name}.skeleton", split="xsub")
    assert (read.origin.label, read.origin.split) == ("A001", "train")
    (tmp_path / "a.mat").write_bytes(b"no")
    with pytest.raises(FormatError, match="is not an annotation of Penn Action"):
        load_poses(tmp_path / "a.mat")
    expected = (
        r"set\.xyz is not clear \(its name ends in \.xyz\); name one with --format: cache, penn, .*, skd"
    )
    with pytest.raises(ConfigError, match=expected):
        load_poses("set.xyz")
    with pytest.raises(ConfigError, match=r"a\.mat is not clear .*; name one of cache, pyskl, .*, kinetics"):
        save_poses(CLIPS, "a.mat")
    with pytest.raises(ConfigError, match="no format 'vicon'"):
        load_poses("set.pkl", "vicon")


def test_a_refused_clip_or_option_raises(tmp_path: Path) -> None:
    save_poses(CLIPS, tmp_path, "openpifpaf")
    (tmp_path / "val/run/two.openpifpaf.json").write_text("broken")
    with pytest.raises(FormatError, match=r"two\.openpifpaf\.json, line 1 is not JSON"):
        load_poses(tmp_path, "openpifpaf", size=SIZE)
    with pytest.raises(ConfigError, match="cache cannot use --fps"):
        load_poses(tmp_path, "cache", fps=5)
    with pytest.raises(ConfigError, match="coco cannot use --labels"):
        save_poses(CLIPS, tmp_path / "a.json", "coco", labels="names.txt")


def test_every_option_is_a_parameter() -> None:
    reading = set().union(*(each.options for each in FORMATS))
    assert signature(load_poses).parameters.keys() == {"path", "format"} | reading
    writing = set().union(*(each.options for each in TARGETS))
    assert signature(save_poses).parameters.keys() == {"sequences", "path", "format"} | writing


def test_load_poses_does_not_import_torch() -> None:
    code = "import sys; from skdpipe.formats import load_poses; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", [each.name for each in TARGETS if each.name != "cache"])
def test_a_path_that_cannot_be_written_is_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("in the way")
    layout = OPENPOSE_18 if name in {"openpose", "kinetics"} else COCO_17
    with pytest.raises(
        FormatError, match=r"cannot write .*; free some space or choose another path"
    ) as caught:
        save_poses([make_clip("one", layout=layout)], tmp_path / "file/out", name)
    assert "\n" not in str(caught.value)


def test_the_example_runs() -> None:
    result = doctest.testmod(poses)
    assert result.attempted > 0
    assert result.failed == 0
