"""Layouts of the user's own, in YAML files: import, cache, experiment, bundle, and the errors in a file."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml
from moving_body import tiny_experiment
from typer.testing import CliRunner

from skdpipe.bundle import load_bundle
from skdpipe.cache import PoseCache
from skdpipe.cli.commands import app
from skdpipe.config import ClipFormat, Degradation, LayoutDescription, change_config, load_config
from skdpipe.distill import distill_student
from skdpipe.errors import ConfigError, DataError
from skdpipe.inference import batch_input
from skdpipe.skeleton import LAYOUTS, NTU_25, describe_layout, layout_named

OWN = {
    "name": "upper-body",
    "joints": ["neck", "l_hand", "r_hand"],
    "bones": [["neck", "l_hand"], ["neck", "r_hand"]],
    "root": "neck",
    "pairs": [["l_hand", "r_hand"]],
    "sigmas": {"neck": 0.05},
    "default_sigma": 0.1,
}


def write(path: Path, **changes: object) -> Path:
    path.write_text(yaml.safe_dump(OWN | changes))
    return path


def write_results(folder: Path) -> None:
    """COCO results of six clips of each of two movements, of three joints."""
    for number in range(12):
        label = ("rise", "spread")[number % 2]
        side = "train" if number < 8 else "test"
        results = []
        for frame in range(8):
            shift = frame * np.array((3, 0) if label == "spread" else (0, 3))
            joints = np.array([(50, 20), (60, 60), (40, 60)]) + np.outer((0, 1, -1), shift)
            keypoints = np.column_stack([joints + number, np.ones(3)]).ravel().tolist()
            results.append({"image_id": frame, "category_id": 1, "keypoints": keypoints, "score": 1.0})
        path = folder / side / label / f"{number}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(results))


def test_a_file_is_read_with_its_pairs_and_sigmas(tmp_path: Path) -> None:
    layout = layout_named(str(write(tmp_path / "own.yaml")))
    assert (layout.name, layout.joints, layout.root) == ("upper-body", ("neck", "l_hand", "r_hand"), "neck")
    assert layout.mirror == (0, 2, 1)
    assert layout.sigmas == (0.05, 0.1, 0.1)
    assert layout.parents == (0, 0, 0)


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_built_in_layout_can_be_written_and_read_again(name: str, tmp_path: Path) -> None:
    (tmp_path / "same.yaml").write_text(CliRunner().invoke(app, ["layouts", name]).stdout)
    assert describe_layout(layout_named(str(tmp_path / "same.yaml"))) == describe_layout(LAYOUTS[name])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"joints": ["neck", "neck", "r_hand"]}, r"different names without spaces \(found neck twice\)"),
        ({"joints": ["neck", "l_hand", "right hand"]}, r"found a space in a name"),
        ({"joints": []}, r"joints: found \[\]"),
        ({"root": "hip"}, r"should name joints \(hip is none of them\)"),
        ({"bones": [["neck", "l_hand"]]}, r"should connect all joints \(r_hand is not connected to neck\)"),
        ({"bones": [["neck"]]}, r"bones.0.1"),
        ({"pairs": [["neck", "l_hand"], ["neck", "r_hand"]]}, r"a joint should be in one pair only"),
        ({"sigmas": {"neck": 0}}, r"sigmas.neck: found 0; input should be greater than 0"),
        ({"edges": []}, r"edges is no setting; expected one of name, joints, bones, root, pairs, sigmas"),
        ({"name": " "}, r"a layout should have a name"),
    ],
)
def test_errors_in_a_file_are_one_line(changes: dict[str, object], reason: str, tmp_path: Path) -> None:
    path = write(tmp_path / "own.yaml", **changes)
    with pytest.raises(ConfigError, match=reason) as refused:
        layout_named(str(path))
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_missing_file_and_the_name_of_another_layout_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no config file at .*none.yaml"):
        layout_named(str(tmp_path / "none.yaml"))
    with pytest.raises(DataError, match=r"layout 'coco-17' is built in with other joints or bones; rename"):
        layout_named(str(write(tmp_path / "own.yaml", name="coco-17")))


def test_a_layout_goes_from_the_import_to_the_bundle(tmp_path: Path) -> None:
    own = write(tmp_path / "own.yaml")
    write_results(tmp_path / "results")
    for path in sorted((tmp_path / "results").rglob("*.json")):
        arguments = ["import", "coco", str(path), "--size", "100", "100", "--cache", str(tmp_path / "cache")]
        assert CliRunner().invoke(app, [*arguments]).exit_code == 1  # three joints have no built-in layout
    arguments = ["import", "coco", str(tmp_path / "results"), "--size", "100", "100", "--layout", str(own)]
    result = CliRunner().invoke(app, [*arguments, "--cache", str(tmp_path / "cache")])
    assert result.exit_code == 0, result.output
    cache = PoseCache(tmp_path / "cache")
    experiment = tiny_experiment(
        clip=ClipFormat(frames=8, people=1), derive_low=Degradation(occlusion=0.2), smoothing_window=3
    )
    experiment = change_config(experiment, [f"clip.layout={own}"], "--set")
    run = distill_student(experiment, cache, tmp_path / "models", device=torch.device("cpu"))
    own.unlink()
    student = load_bundle(run.folder / "student.safetensors")
    assert layout_named(student.metadata.clip.layout).joints == ("neck", "l_hand", "r_hand")
    (sequence, *_) = (cache.load(entry.path) for entry in cache.entries("high"))
    logits = student.network(*map(torch.from_numpy, batch_input([sequence], student.metadata.clip))).logits
    assert logits.shape == (1, 2)


def test_a_bundle_keeps_a_built_in_layout_that_changes_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from moving_body import fill

    cache = fill(PoseCache(tmp_path / "cache"))
    run = distill_student(
        tiny_experiment(methods=("teacher",)), cache, tmp_path / "models", device=torch.device("cpu")
    )
    path = run.folder / "teacher.safetensors"
    assert load_bundle(path).metadata.clip.layout == "coco-17"
    changed = LAYOUTS["coco-17"]
    monkeypatch.setitem(LAYOUTS, "coco-17", NTU_25)
    layout = load_bundle(path).metadata.clip.layout
    assert isinstance(layout, LayoutDescription)
    assert layout == replace(describe_layout(changed), name="coco-17 (as trained)")
    assert layout_named(layout).bones == changed.bones


def test_info_draws_the_mean_pose_with_joint_names(tmp_path: Path) -> None:
    own = write(tmp_path / "own.yaml")
    write_results(tmp_path / "results")
    arguments = ["info", str(tmp_path / "results"), "--format", "coco", "--size", "100", "100"]
    picture = tmp_path / "mean.png"
    result = CliRunner().invoke(app, [*arguments, "--layout", str(own), "--output", str(picture)])
    assert result.exit_code == 0, result.output
    assert "12 clips, 12 with a label, 0 without people, 8 frames each on average" in result.stdout
    assert re.search("layout +upper-body: 3 joints in 2 coordinates; 96 poses", result.stdout)
    image = cv2.imread(str(picture))
    assert image.shape == (800, 2400, 3)
    assert (image < 128).any(axis=2).mean() > 0.001


def test_info_needs_a_format_if_the_name_does_not_show_it(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["info", str(tmp_path)])
    assert isinstance(result.exception, DataError)
    assert "skeletons whose format the files do not show need --format" in str(result.exception)


def test_a_layout_file_is_a_config(tmp_path: Path) -> None:
    description = load_config(LayoutDescription, write(tmp_path / "own.yaml"))
    assert description == load_config(LayoutDescription, tmp_path / "own.yaml")
    assert hash(description) == hash(load_config(LayoutDescription, tmp_path / "own.yaml"))
