"""Bundles: round trip, and files that are refused."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from skdpipe.bundle import Bundle, build_network, load_bundle, save_bundle, versions
from skdpipe.config import (
    ClipFormat,
    Estimator,
    NetworkChoice,
    OpenPifPafSettings,
    PluginSettings,
    RtmlibSettings,
    Thresholds,
)
from skdpipe.errors import BundleError, DataError
from skdpipe.inference.metadata import FORMAT, BundleMetadata, TrainingClips, read_metadata
from skdpipe.networks import NETWORKS, count_parameters

NAMES: tuple[str, ...] = NETWORKS
TINY, CLIP = NetworkChoice("st_2sgcn", width=4), ClipFormat(frames=8)


def a_bundle(
    choice: NetworkChoice = TINY,
    clip: ClipFormat = CLIP,
    classes: tuple[str, ...] = ("sit", "stand"),
    estimator: Estimator | None = None,
    run: dict[str, object] | None = None,
    training_clips: TrainingClips | None = None,
    temperature: float | None = None,
) -> Bundle:
    torch.manual_seed(0)
    network = build_network(choice, clip, len(classes))
    metadata = BundleMetadata(
        choice, classes, clip, "estimator seed=0.2", estimator, run or {}, temperature, training_clips
    )
    return Bundle(network, metadata)


labels = st.text(max_size=12)  # newlines, quotes, emoji and brackets too
choices = st.builds(
    NetworkChoice,
    st.sampled_from(NAMES),
    st.sampled_from(["uniform", "distance", "spatial"]),
    st.integers(6, 8),
    st.sampled_from([0.0, 0.5]),
)
clips = st.builds(
    ClipFormat,
    st.integers(1, 64),
    st.sampled_from(["resample", "replay"]),
    st.integers(1, 3),
    st.sampled_from(["coco-17", "penn-13"]),
    st.sampled_from(["body", "image"]),
    st.sampled_from([1, 3]),
)
names = st.text(min_size=1, max_size=12)
estimators = (
    st.none()
    | st.builds(
        OpenPifPafSettings,
        names,
        names,
        thresholds=st.builds(Thresholds, st.floats(0, 1)),
        every=st.integers(1, 10),
    )
    | st.builds(RtmlibSettings, model=st.sampled_from(["rtmpose", "rtmo"]), pose=st.text(max_size=12))
    | st.builds(
        PluginSettings, names, options=st.dictionaries(labels, st.integers() | labels | st.none(), max_size=3)
    )
)
training_clips = st.builds(
    lambda lengths, *others: TrainingClips(lengths[1], lengths[0], lengths[2], lengths[1], *others),
    st.tuples(*[st.floats(0.01, 1e5)] * 3).map(sorted),
    st.floats(0.1, 1000),
    st.integers(0, 2),
    *[st.floats(0, 1)] * 3,
)


@given(
    choices,
    clips,
    st.lists(labels, min_size=2, max_size=5, unique=True),
    estimators,
    st.dictionaries(labels, labels),
    st.none() | training_clips,
    st.none() | st.floats(0.05, 20),
)
@settings(max_examples=25)
def test_a_bundle_round_trips(
    tmp_path_factory: pytest.TempPathFactory,
    choice: NetworkChoice,
    clip: ClipFormat,
    classes: list[str],
    estimator: Estimator | None,
    run: dict[str, object],
    trained: TrainingClips | None,
    temperature: float | None,
) -> None:
    path = tmp_path_factory.mktemp("bundle") / "deep" / "student.safetensors"
    saved = a_bundle(choice, clip, tuple(classes), estimator, run, trained, temperature)
    save_bundle(saved, path)
    loaded = load_bundle(path)
    stated = replace(saved.metadata, clip=replace(clip, coordinates=clip.coordinates or 2))
    assert loaded.metadata == read_metadata(path) == stated
    assert not loaded.network.training
    tensors = saved.network.state_dict()
    assert tensors.keys() == loaded.network.state_dict().keys()
    for name, tensor in loaded.network.state_dict().items():
        assert torch.equal(tensor, tensors[name])
    assert [each.name for each in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("name", NAMES)
def test_a_loaded_network_computes_the_same_logits(name: str, tmp_path: Path) -> None:
    saved = a_bundle(NetworkChoice(name, width=6), ClipFormat(frames=8, people=3))
    saved.network.train()
    x, mask = torch.randn(3, 3, 3, 8, 17), torch.ones(3, 3, dtype=torch.bool)
    saved.network(x, mask)  # moves the statistics of batch normalisation
    save_bundle(saved, tmp_path / "b")
    with torch.no_grad():
        expected = saved.network.eval()(x, mask).logits
        assert torch.equal(load_bundle(tmp_path / "b").network(x, mask).logits, expected)


def test_others_may_read_a_bundle(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        save_bundle(a_bundle(), tmp_path / "b")
    finally:
        os.umask(before)
    assert (tmp_path / "b").stat().st_mode & 0o777 == 0o644


def test_saving_again_replaces(tmp_path: Path) -> None:
    save_bundle(a_bundle(), tmp_path / "b")
    save_bundle(a_bundle(classes=("a", "b", "c")), tmp_path / "b")
    assert load_bundle(tmp_path / "b").metadata.classes == ("a", "b", "c")


@pytest.mark.parametrize("name", NAMES)
def test_the_network_follows_the_choice(name: str) -> None:
    network = build_network(NetworkChoice(name, width=6, dropout=0.25), ClipFormat(), 7)
    assert network.classify.out_features == 7
    assert network.feature_channels == (96 if name == "dd_net" else 24)
    dropout = (torch.nn.Dropout, torch.nn.Dropout2d)
    assert max(m.p for m in network.modules() if isinstance(m, dropout)) == 0.25


def test_every_name_is_another_network() -> None:
    sizes = [count_parameters(build_network(NetworkChoice(name, width=6), ClipFormat(), 7)) for name in NAMES]
    assert len(set(sizes)) == len(NAMES)


@pytest.mark.parametrize("name", ["st_gcn", "st_sgcn", "st_2sgcn"])
def test_the_partitioning_of_the_st_gcn_family_follows_the_choice(name: str) -> None:
    sizes = [
        count_parameters(build_network(NetworkChoice(name, partitioning, 4), ClipFormat(), 7))
        for partitioning in ("uniform", "distance", "spatial")
    ]
    assert sizes == sorted(set(sizes))


# Files that are not bundles


def refusal(path: Path) -> str:
    with pytest.raises(BundleError) as caught:
        load_bundle(path)
    text = str(caught.value)
    assert "\n" not in text
    assert text.startswith((f"{path} ", "no bundle at "))
    return text


def test_a_missing_bundle_is_named(tmp_path: Path) -> None:
    expected = f"no bundle at {tmp_path / 'b'}; expected a file written by `skdpipe distill`"
    assert refusal(tmp_path / "b") == expected
    assert "is not a readable bundle (a folder or a device" in refusal(tmp_path)


@pytest.mark.parametrize("length", [0, 7, 100, -1])
def test_a_damaged_bundle_is_refused(tmp_path: Path, length: int) -> None:
    path = tmp_path / "b"
    save_bundle(a_bundle(), path)
    path.write_bytes(path.read_bytes()[:length])
    assert "is not a readable bundle" in refusal(path)
    assert refusal(path).endswith("train it again")


@pytest.mark.parametrize(
    ("metadata", "found"), [(None, "none"), ({"format": "skdpipe-pose-1"}, "skdpipe-pose-1")]
)
def test_other_tensors_are_refused(tmp_path: Path, metadata: dict[str, str] | None, found: str) -> None:
    save_file({"weight": torch.zeros(3)}, tmp_path / "b", metadata)
    assert f"is not a readable bundle (format '{found}', expected '{FORMAT}')" in refusal(tmp_path / "b")


def rewrite(path: Path, **changes: object) -> None:
    """Change the description of a bundle; ``...`` removes a field."""
    with safe_open(path, framework="pt") as file:
        content = json.loads(file.metadata()["description"])
    changed = {name: each for name, each in {**content, **changes}.items() if each is not ...}
    description = json.dumps(changed)
    save_file(load_file(path), path, {"format": FORMAT, "description": description})


CLIPS = TrainingClips(2.5, 1.0, 5.0, 2.5, 12.0, 2, several=0.5, seen=0.9, least_seen=0.4)


def test_bundles_of_earlier_versions_have_no_temperature_and_no_training_clips(tmp_path: Path) -> None:
    save_bundle(a_bundle(training_clips=CLIPS, temperature=1.5), tmp_path / "b")
    rewrite(tmp_path / "b", training_clips=..., temperature=...)
    metadata = load_bundle(tmp_path / "b").metadata
    assert (metadata.temperature, metadata.training_clips) == (None, None)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"choice": {"name": "st_gcn", "width": 4}}, "tensor blocks."),
        ({"choice": {"name": "st_gan"}}, "name: found 'st_gan'"),
        ({"clip": {"frames": 8, "layout": "penn-13"}}, "F32 (3, 17, 17), expected F32 (3, 13, 13)"),
        ({"clip": {"frames": 10**6}}, "frames: found 1000000"),
        ({"clip": {"frames": 8, "people": 10**4}}, "people: found 10000"),
        ({"clip": {"frames": 10_000, "people": 3}}, "frames times people should be at most 20000"),
        ({"choice": {"name": "ms_g3d", "width": 4096}}, "the file is too small for this network"),
        ({"choice": {"name": "st_2sgcn", "width": 10**9}}, "width: found 1000000000"),
        ({"run": []}, "run the facts"),
        ({"classes": ["a", "a"]}, "classes should be different names"),
        ({"classes": ["a", 1]}, "classes should be different names"),
        ({"clip": {"frames": 8, "layout": "ntu-26"}}, "no layout 'ntu-26'"),
        ({"clip": {"frames": 8, "speed": 2}}, "speed is no setting"),
        ({"classes": ["a", "b", "c"]}, "tensor classify.bias is F32 (2,), expected F32 (3,)"),
        ({"classes": None}, "classes should be different names"),
        ({"estimator": {"every": 0}}, "every: found 0"),
        ({"estimator": 3}, "settings: found 3"),
        ({"temperature": 0.0}, "a temperature of 0.0, expected a number from 0.05 to 20"),
        ({"temperature": float("nan")}, "a temperature of nan"),
        ({"temperature": "1"}, "a temperature of '1'"),
        ({"temperature": True}, "a temperature of True"),
        ({"training_clips": 0}, "training_clips: settings: found 0"),
        ({"training_clips": {}}, "seconds is missing"),
        ({"training_clips": asdict(replace(CLIPS, shortest=-1.0))}, "shortest: found -1.0"),
        ({"training_clips": asdict(replace(CLIPS, seen=1.5))}, "seen: found 1.5"),
        ({"training_clips": asdict(replace(CLIPS, pose_fps=float("inf")))}, "pose_fps: found inf"),
        ({"training_clips": asdict(replace(CLIPS, window=float("nan")))}, "window: found nan"),
        ({"training_clips": asdict(replace(CLIPS, seconds=7.0))}, "1 to 5 s, with a median of 7 s"),
        ({"training_clips": asdict(replace(CLIPS, window=6.0))}, "window of 6 s"),
    ],
)
def test_a_description_that_does_not_fit_is_refused(
    tmp_path: Path, changes: dict[str, object], named: str
) -> None:
    path = tmp_path / "b"
    save_bundle(a_bundle(), path)
    rewrite(path, **changes)
    assert "does not fit this version of skdpipe" in refusal(path)
    assert named in refusal(path)
    assert len(refusal(path)) < 500


@pytest.mark.parametrize("description", ["", "[]", "{}", "3", "not JSON"])
def test_a_description_that_cannot_be_read_is_refused(tmp_path: Path, description: str) -> None:
    path = tmp_path / "b"
    save_file({"weight": torch.zeros(3)}, path, {"format": FORMAT, "description": description})
    assert "does not fit this version of skdpipe" in refusal(path)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_bundle_that_is_not_finite_is_neither_saved_nor_loaded(tmp_path: Path, value: float) -> None:
    path, bundle = tmp_path / "b", a_bundle()
    save_bundle(bundle, path)
    rewrite_tensors(path, value)
    assert "has weights that are not finite" in refusal(path)
    with torch.no_grad():
        bundle.network.classify.bias[0] = value
    with pytest.raises(DataError, match="not finite, and is not saved; lower"):
        save_bundle(bundle, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def rewrite_tensors(path: Path, value: float) -> None:
    with safe_open(path, framework="pt") as file:
        metadata = {name: text for name, text in file.metadata().items() if name != "sha256"}
    tensors = load_file(path)
    tensors["classify.bias"][0] = value
    save_file(tensors, path, metadata)


def test_a_tensor_of_another_type_is_refused(tmp_path: Path) -> None:
    save_bundle(a_bundle(), tmp_path / "b")
    tensors = load_file(tmp_path / "b")
    tensors["classify.bias"] = tensors["classify.bias"].double()
    with safe_open(tmp_path / "b", framework="pt") as file:
        metadata = file.metadata()
    save_file(tensors, tmp_path / "b", metadata)
    assert "tensor classify.bias is F64 (2,), expected F32 (2,)" in refusal(tmp_path / "b")


def test_a_changed_byte_is_found_by_the_checksum(tmp_path: Path) -> None:
    path = tmp_path / "b"
    save_bundle(a_bundle(), path)
    content = path.read_bytes()
    path.write_bytes(content[:-9] + bytes([content[-9] ^ 1]) + content[-8:])
    assert "checksum" in refusal(path)


def test_a_bundle_of_a_later_version_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "b"
    save_file({"weight": torch.zeros(3)}, path, {"format": "skdpipe-bundle-7"})
    assert "was written by a later version of skdpipe (format 'skdpipe-bundle-7'" in refusal(path)


def test_equal_bundles_give_equal_bytes(tmp_path: Path) -> None:
    for number in range(6):
        save_bundle(a_bundle(run={"b": 1, "a": 2}), tmp_path / str(number))
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1


def test_versions_of_a_run() -> None:
    found = versions()
    assert found.keys() == {"skdpipe", "torch", "python", "machine"}
    assert found["torch"] == torch.__version__
    assert "CPUs" in found["machine"]
