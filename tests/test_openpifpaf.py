"""OpenPifPaf estimator: encoder, letterbox and decoder agree; weights are saved, loaded and converted."""

import hashlib
import os
import warnings
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import SMALL_POSE_TRAINING, TrainedPoseNetwork
from fixtures.openpifpaf.formula import image as fixture_image
from fixtures.openpifpaf.formula import tensor
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from skdpipe.cache import PoseCache
from skdpipe.config import Actors, Estimator, OpenPifPafSettings, PluginSettings, Thresholds
from skdpipe.errors import PoseError
from skdpipe.pose import PoseEstimator
from skdpipe.pose.load import load_estimator
from skdpipe.pose.openpifpaf import (
    BACKBONES,
    OpenPifPaf,
    PoseNetwork,
    TorchFields,
    build,
    catalogue,
    load_weights,
    save_weights,
)
from skdpipe.pose.openpifpaf.catalogue import EMBEDDED, PublishedWeights
from skdpipe.pose.openpifpaf.letterbox import Letterbox
from skdpipe.pose.openpifpaf.networks import openpifpaf
from skdpipe.pose.openpifpaf.training import Encoder
from skdpipe.pose.openpifpaf.weights_file import embedded_path
from skdpipe.pose_training import measure_pose, render_image
from skdpipe.skeleton import COCO_17, UNSEEN, Keypoints, Origin, PoseSequence, is_seen
from skdpipe.synthetic import make_scene, render_frame
from skdpipe.video import Frame

SMALL_BACKBONES = ("shufflenetv2x1", "mobilenetv3small", "mobilenetv2", "resnet18", "shufflenetv2k16")
CPU = torch.device("cpu")

sizes = st.tuples(st.integers(16, 2000), st.integers(16, 2000))
long_edges = st.integers(33, 700)


def render_action(
    action: str, subject: int = 3, size: tuple[int, int] = (240, 180)
) -> tuple[Frame, Keypoints, Any]:
    return render_frame(make_scene(action, subject=subject, take=0, seed=3, size=size, frames=8), 4)


def random_network(seed: int = 0, backbone: str = "mobilenetv3small", upsample: int = 1) -> PoseNetwork:
    """Random weights; batch norm statistics of random images keep the activations in a normal range."""
    torch.manual_seed(seed)
    network = build(backbone, upsample=upsample)
    norms = [module for module in network.module.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        network.module.train()(torch.rand(4, 3, 97, 97))
    for norm in norms:
        norm.momentum = 0.01
    network.module.eval()
    return network


def refusal(backbone: str, weights: Path | str) -> str:
    with pytest.raises(PoseError) as caught:
        load_weights(backbone, str(weights))
    assert "\n" not in str(caught.value)
    return str(caught.value)


# The letterbox -----------------------------------------------------------------------------------


@given(sizes, long_edges, st.floats(0, 1), st.floats(0, 1))
def test_a_point_maps_to_the_input_image_and_back(size, long_edge, x: float, y: float) -> None:
    box = Letterbox.fit(size, long_edge)
    point = np.array([x * (size[0] - 1), y * (size[1] - 1)], np.float32)
    mapped = box.to_input(point)
    # In a shrunk frame, the centre of the first pixel is up to half a pixel outside the new pixel centres.
    assert (mapped >= np.array(box.offset) - 0.5).all()
    assert (mapped <= np.array(box.offset) + box.inner - 0.5 + 1e-3).all()
    np.testing.assert_allclose(box.to_frame(mapped), point, atol=1e-3 * max(size) / long_edge + 1e-3)


@given(sizes, long_edges)
def test_the_size_of_the_input_image_fits_the_stride(size, long_edge) -> None:
    box = Letterbox.fit(size, long_edge)
    assert max(box.inner) == long_edge
    assert all((side - 1) % 16 == 0 for side in box.outer)
    assert all(0 <= outer - inner < 16 for inner, outer in zip(box.inner, box.outer, strict=True))


@given(st.tuples(st.integers(40, 300), st.integers(40, 300)), st.integers(65, 400), st.data())
def test_the_input_image_agrees_with_the_mapping_of_points(size, long_edge, data: st.DataObject) -> None:
    box = Letterbox.fit(size, long_edge)
    left, top = (data.draw(st.integers(8, side - 24)) for side in size)
    frame = np.zeros((size[1], size[0], 3), np.uint8)
    frame[top : top + 16, left : left + 16] = 255
    image = box.apply(frame)
    assert image.shape == (box.outer[1], box.outer[0], 3)
    weight = image[..., 0].astype(float)
    inside = np.zeros_like(weight)
    inside[box.offset[1] : box.offset[1] + box.inner[1], box.offset[0] : box.offset[0] + box.inner[0]] = 1
    assert (image[inside == 0] == (124, 116, 104)).all()
    weight *= inside
    rows, columns = np.indices(weight.shape)
    centre = np.array([(weight * columns).sum(), (weight * rows).sum()]) / weight.sum()
    expected = box.to_input(np.array([left + 7.5, top + 7.5], np.float32))
    np.testing.assert_allclose(centre, expected, atol=0.1)


# Networks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("upsample", [1, 2])
@pytest.mark.parametrize("backbone", SMALL_BACKBONES)
def test_a_networks_fields_match_the_encoders_targets(backbone: str, upsample: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        network = build(backbone, upsample=upsample)
    frame, people, visible = render_action("wave")
    image, cif, caf = Encoder(network, 129)(frame, people, visible)
    assert image.dtype == np.uint8
    with torch.inference_mode():
        fields = network.module(torch.zeros(1, 3, *image.shape[:2]))
    # Fields have a width component; targets have one or two spread components.
    assert [tuple(f.shape[1:2] + f.shape[3:]) for f in fields] == [
        t.shape[:1] + t.shape[2:] for t in (cif, caf)
    ]
    assert (fields[0].shape[2], fields[1].shape[2]) == (5, 8)


def test_an_unknown_backbone_is_refused_and_the_known_ones_are_listed() -> None:
    with pytest.raises(PoseError, match=r"no backbone 'resnet13' in OpenPifPaf; expected one of .*resnet152"):
        build("resnet13")
    assert {"resnet152", "shufflenetv2x1", "shufflenetv2k30", "mobilenetv3small"} <= set(BACKBONES)
    assert not {"squeezenet", "cifar10net", "tresnet50"} & set(BACKBONES)


# From a known pose to fields and back ------------------------------------------------------------


class PerfectNetwork(nn.Module):
    """Returns the given target fields."""

    def __init__(self, head_metas: list[Any], targets: list[tuple[NDArray[Any], ...]]) -> None:
        super().__init__()
        self.head_metas = head_metas
        self.fields = [torch.stack([as_field(t[head]) for t in targets]) for head in (0, 1)]

    def forward(self, images: Tensor) -> list[Tensor]:
        assert len(images) == len(self.fields[0])
        return self.fields


def as_field(target: NDArray[Any]) -> Tensor:
    """The evaluation output of a perfect network: width, confidence, absolute vectors, scales.

    A target contains confidence, relative vectors, a spread for each vector, and scales; NaN without a
    target value.
    """
    known = torch.from_numpy(target).float()
    vectors = {5: 1, 9: 2}[known.shape[1]]
    height, width = known.shape[-2:]
    cells = torch.stack(torch.meshgrid(torch.arange(width), torch.arange(height), indexing="xy"))
    confidence, relative = known[:, :1], known[:, 1 : 1 + 2 * vectors]
    spread, scales = known[:, 1 + 2 * vectors : 2 + 2 * vectors], known[:, 1 + 3 * vectors :]
    return torch.cat([spread, confidence, relative + cells.repeat(vectors, 1, 1), scales], dim=1).nan_to_num(
        0
    )


def estimate_with_perfect_network(frames: list[Any], long_edge: int, upsample: int = 1) -> list[Keypoints]:
    """The output of the estimator with a perfect network."""
    basis = build("shufflenetv2x1", upsample=upsample)
    encoder = Encoder(basis, long_edge)
    targets = [encoder(*frame)[1:] for frame in frames]
    perfect = PoseNetwork(PerfectNetwork(basis.head_metas, targets), "perfect", upsample)
    return OpenPifPaf(TorchFields(perfect), long_edge=long_edge)([frame for frame, _, _ in frames])


@pytest.mark.parametrize("upsample", [1, 2])
@pytest.mark.parametrize("size", [(240, 180), (180, 240), (322, 322)])
@pytest.mark.parametrize("long_edge", [161, 321])
def test_one_person_is_found_at_the_true_keypoints(
    long_edge: int, size: tuple[int, int], upsample: int
) -> None:
    rendered = render_action("jumping_jack", size=size)
    (found,) = estimate_with_perfect_network([rendered], long_edge, upsample)
    (truth,) = rendered[1]
    assert found.shape == (1, 17, 3)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(is_seen(found[0]), is_seen(truth))
    np.testing.assert_allclose(found[0, :, :2], truth[:, :2], atol=0.05)


@pytest.mark.parametrize("action", ["handshake", "push"])
def test_two_people_are_separated(action: str) -> None:
    rendered = render_action(action)
    (found,) = estimate_with_perfect_network([rendered], 513)
    assert found.shape == (2, 17, 3)
    for truth in rendered[1]:
        off = np.linalg.norm(found[..., :2] - truth[:, :2], axis=-1)
        nearest = np.nanmean(off, axis=1).argmin()
        assert np.nanmax(off[nearest]) < 0.05
        assert np.isfinite(off[nearest]).sum() >= 13


def test_frames_of_a_batch_are_independent() -> None:
    frames = [render_action("wave"), render_action("handshake"), render_action("squat", subject=5)]
    together = estimate_with_perfect_network(frames, 321)
    for frame, people in zip(frames, together, strict=True):
        np.testing.assert_array_equal(people, estimate_with_perfect_network([frame], 321)[0])
    assert [len(people) for people in together] == [1, 2, 1]


def test_joints_without_ground_truth_are_unseen() -> None:
    frame, people, visible = render_action("wave")
    people = people.copy()
    people[0, 13:] = UNSEEN
    (found,) = estimate_with_perfect_network([(frame, people, visible)], 321)
    np.testing.assert_array_equal(found[0, 13:], np.broadcast_to(UNSEEN, (4, 3)))
    np.testing.assert_allclose(
        found[0, :13], np.append(people[0, :13, :2], found[0, :13, 2:], axis=1), atol=0.05
    )


def test_frames_without_people_give_no_detections() -> None:
    frame, people, visible = render_action("wave")
    empty = (frame, people[:0], visible[:0])
    unseen = (frame, np.broadcast_to(UNSEEN, people.shape), visible)
    for found in estimate_with_perfect_network([empty, unseen], 161):
        assert found.shape == (0, 17, 3)


def test_no_frames_give_no_people() -> None:
    assert OpenPifPaf(TorchFields(random_network()), long_edge=129)([]) == []


def test_people_are_sorted_by_score_and_filtered_by_threshold() -> None:
    rendered = render_action("handshake")
    basis = build("shufflenetv2x1")
    perfect = PerfectNetwork(basis.head_metas, [Encoder(basis, 513)(*rendered)[1:]])
    left, right = sorted(rendered[1], key=lambda person: np.nanmean(person[:, 0]))
    for fields in perfect.fields:
        fields[:, :, 1, :, : fields.shape[-1] // 2] *= 0.8  # lower confidence of the left person
    found = OpenPifPaf(TorchFields(PoseNetwork(perfect, "perfect")), long_edge=513)([rendered[0]])[0]
    assert len(found) == 2
    for person, truth in zip(found, (right, left), strict=True):
        assert np.nanmax(np.linalg.norm(person[:, :2] - truth[:, :2], axis=-1)) < 0.05
    assert found[0, :, 2].sum() > found[1, :, 2].sum()
    strict = Thresholds(instance=0.9)
    (best,) = OpenPifPaf(TorchFields(PoseNetwork(perfect, "perfect")), long_edge=513, thresholds=strict)(
        [rendered[0]]
    )[0]
    np.testing.assert_allclose(best[:, :2], found[0, :, :2], atol=0.05)


def test_complete_people_have_every_joint_even_at_low_confidence(
    trained_pose_network: TrainedPoseNetwork,
) -> None:
    loaded = load_weights(SMALL_POSE_TRAINING.backbone, str(trained_pose_network.path))
    assert isinstance(SMALL_POSE_TRAINING.data, Actors)
    frame = render_image(SMALL_POSE_TRAINING.data, 0)[0]
    plain, complete, plain_again = (
        OpenPifPaf(
            TorchFields(loaded),
            long_edge=SMALL_POSE_TRAINING.long_edge,
            thresholds=Thresholds(keypoint=0.9, complete=complete),
        )([frame])[0]
        for complete in (False, True, False)
    )
    assert len(complete)
    assert is_seen(complete).all()
    assert is_seen(plain).sum() < is_seen(complete).sum()
    np.testing.assert_array_equal(plain, plain_again)


def test_a_batch_and_single_frames_give_the_same_people(trained_pose_network: TrainedPoseNetwork) -> None:
    estimator = OpenPifPaf(
        TorchFields(load_weights(SMALL_POSE_TRAINING.backbone, str(trained_pose_network.path))),
        long_edge=SMALL_POSE_TRAINING.long_edge,
    )
    assert isinstance(SMALL_POSE_TRAINING.data, Actors)
    known = [render_image(SMALL_POSE_TRAINING.data, index)[0] for index in range(2)]
    frames = [known[0], np.zeros_like(known[0]), known[1], known[0]]
    together = estimator(frames)
    assert all(len(together[index]) for index in (0, 2, 3))
    for frame, people in zip(frames, together, strict=True):
        np.testing.assert_allclose(people, estimator([frame])[0], rtol=1e-3, atol=1e-3)


def test_estimating_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    estimator = OpenPifPaf(TorchFields(random_network()), long_edge=97)
    for size in ((64, 48), (48, 64), (240, 180)):  # OpenPifPaf's C++ extension prints when its buffers grow
        estimator([render_action("wave", size=size)[0]])
    assert capfd.readouterr() == ("", "")


def test_the_fingerprint_contains_the_relevant_settings() -> None:
    def fingerprint(seed: int = 0, long_edge: int = 129, **thresholds: float) -> str:
        return OpenPifPaf(
            TorchFields(random_network(seed)), long_edge=long_edge, thresholds=Thresholds(**thresholds)
        ).fingerprint

    assert fingerprint() == fingerprint()
    assert fingerprint().startswith("openpifpaf mobilenetv3small untrained")
    assert len({fingerprint(), fingerprint(long_edge=161), fingerprint(seed=0, keypoint=0.3)}) == 3


# Weights -----------------------------------------------------------------------------------------


def same_tensors(a: PoseNetwork, b: PoseNetwork) -> bool:
    mine, others = a.module.state_dict(), b.module.state_dict()
    return mine.keys() == others.keys() and all(torch.equal(mine[name], others[name]) for name in mine)


def test_weights_survive_a_round_trip(tmp_path: Path) -> None:
    chosen = random_network(upsample=2)
    save_weights(chosen, tmp_path / "new" / "a.safetensors", notes={"steps": 3, "author": "ich, natürlich"})
    loaded = load_weights("mobilenetv3small", str(tmp_path / "new" / "a.safetensors"))
    assert same_tensors(chosen, loaded)
    assert (loaded.backbone, loaded.upsample) == ("mobilenetv3small", 2)
    assert loaded.notes == {"steps": 3, "author": "ich, natürlich"}
    assert not loaded.module.training
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["a.safetensors"]


def test_half_precision_halves_the_file(tmp_path: Path) -> None:
    chosen = random_network()
    save_weights(chosen, tmp_path / "full.safetensors", notes={})
    save_weights(chosen, tmp_path / "half.safetensors", notes={}, half=True)
    full, half = ((tmp_path / f"{name}.safetensors").stat().st_size for name in ("full", "half"))
    assert half < 0.52 * full
    loaded = load_weights("mobilenetv3small", str(tmp_path / "half.safetensors"))
    for name, values in chosen.module.state_dict().items():
        torch.testing.assert_close(loaded.module.state_dict()[name], values, rtol=1e-3, atol=1e-6)


def test_the_checksum_is_that_of_the_tensors_and_not_of_the_file(tmp_path: Path) -> None:
    """Otherwise the same weights, converted on two machines, would have two fingerprints in the cache."""
    paths = [tmp_path / f"{i}.safetensors" for i in range(3)]
    for path in paths[:2]:
        save_weights(random_network(0), path, notes={"written": path.name})
    save_weights(random_network(1), paths[2], notes={})
    first, again, other = (load_weights("mobilenetv3small", str(path)).checksum for path in paths)
    assert first == again != other


def test_the_file_has_default_permissions(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    save_weights(random_network(), tmp_path / "a.safetensors", notes={})
    assert (tmp_path / "a.safetensors").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_weights_that_do_not_match_are_refused(tmp_path: Path) -> None:
    good = tmp_path / "good.safetensors"
    save_weights(random_network(), good, notes={})
    assert "contains weights of mobilenetv3small, not of resnet18" in refusal("resnet18", good)
    assert "no pose weights at" in refusal("resnet18", tmp_path / "missing.safetensors")

    (tmp_path / "cut.safetensors").write_bytes(good.read_bytes()[:5000])
    (tmp_path / "text.safetensors").write_text("no tensors here")
    (tmp_path / "empty.safetensors").touch()
    for name in ("cut", "text", "empty"):
        assert "is not a readable safetensors file" in refusal("resnet18", tmp_path / f"{name}.safetensors")

    save_file({"weight": torch.ones(3)}, tmp_path / "foreign.safetensors")
    keypoints, frames = np.ones((1, 1, 17, 3), np.float32), np.zeros(1, np.int32)
    poses = PoseSequence(keypoints, frames, 1, COCO_17, 25.0, (64, 48), Origin(key="0a"))
    for path in (tmp_path / "foreign.safetensors", PoseCache(tmp_path).save(poses, "low", "hand")):
        assert "contains no pose weights" in refusal("resnet18", path)

    metadata = {"format": "skdpipe-pose-1", "backbone": "mobilenetv3small", "upsample": "1", "notes": "{}"}
    tensors = load_file(good)
    for name, changed, remaining in (
        ("fewer", metadata, {name: t for name, t in tensors.items() if "head_nets.1" not in name}),
        ("finer", {**metadata, "upsample": "2"}, tensors),
        ("odd", {**metadata, "upsample": "two"}, tensors),
    ):
        save_file(remaining, tmp_path / f"{name}.safetensors", changed)
        path = tmp_path / f"{name}.safetensors"
        assert "does not match mobilenetv3small" in refusal("mobilenetv3small", path)


def test_weights_that_are_absurd_are_refused_before_they_are_loaded(tmp_path: Path) -> None:
    save_weights(random_network(), tmp_path / "good.safetensors", notes={})
    metadata = {"format": "skdpipe-pose-1", "backbone": "mobilenetv3small", "upsample": "1", "notes": "{}"}
    tensors = load_file(tmp_path / "good.safetensors")
    name = next(name for name, tensor in tensors.items() if tensor.ndim == 4)
    shape = tensors[name].shape
    for changed, described, message in (
        ({name: tensors[name].flatten()}, {}, f"{name} of shape"),
        ({name: torch.full(shape, torch.nan)}, {}, "weights that are not finite"),
        ({name: tensors[name].int()}, {}, f"{name} of type I32"),
        ({"another\n" * 1000: torch.zeros(0, 10**12)}, {}, "a tensor another another"),
        ({}, {"upsample": "9" * 5000}, "upsample '999"),
        ({}, {"upsample": str(10**12)}, "upsample '1000000000000'"),
        ({}, {"notes": "[" * 100_000}, "RecursionError"),
        ({}, {"notes": "9" * 5000}, "Exceeds the limit"),
        ({}, {"notes": "[" + "1," * 10**6 + "1]"}, "notes of 2000003 characters"),
        ({}, {"notes": "1" * 6_000_000}, "a header of"),
        ({}, {"backbone": "b" * 1_000_000}, "contains weights of bbb"),
    ):
        save_file({**tensors, **changed}, tmp_path / "bad.safetensors", {**metadata, **described})
        found = refusal("mobilenetv3small", tmp_path / "bad.safetensors")
        assert message in found
        assert len(found) < len(str(tmp_path)) + 400
    os.mkfifo(tmp_path / "pipe.safetensors")
    (tmp_path / "folder.safetensors").mkdir()
    for name in ("pipe", "folder"):
        assert "no pose weights at" in refusal("mobilenetv3small", tmp_path / f"{name}.safetensors")


# Checkpoints of OpenPifPaf -----------------------------------------------------------------------


def pickled(path: Path, module: object) -> Path:
    """A checkpoint as openpifpaf.network.Trainer writes it."""
    torch.save({"model": module, "epoch": 0, "meta": None}, path)
    return path


@pytest.mark.parametrize("upsample", [1, 2])
def test_a_checkpoint_is_converted(tmp_path: Path, upsample: int) -> None:
    theirs = random_network(upsample=upsample)
    loaded = load_weights("mobilenetv3small", str(pickled(tmp_path / "net.pkl.epoch001", theirs.module)))
    assert same_tensors(theirs, loaded)
    assert loaded.upsample == upsample
    save_weights(loaded, tmp_path / "ours.safetensors", notes={})
    assert load_weights("mobilenetv3small", str(tmp_path / "ours.safetensors")).checksum == loaded.checksum


def test_a_checkpoint_of_2021_computes_the_same_fields(tmp_path: Path) -> None:
    """It was written by OpenPifPaf 0.13.0 and torchvision 0.10 (tests/fixtures/openpifpaf/make_0_13.py)."""
    with np.load(Path(__file__).parent / "fixtures/openpifpaf/mobilenetv3small-0.13.npz") as file:
        stored = dict(file)
    shapes = {name: tuple(t.shape) for name, t in build("mobilenetv3small").module.state_dict().items()}
    with zipfile.ZipFile(tmp_path / "net.pkl", "w") as archive:
        archive.writestr("archive/data.pkl", stored["pickle"].tobytes())
        for index, name in enumerate(map(str, stored["order"])):
            archive.writestr(f"archive/data/{index}", tensor(name, shapes[name]).tobytes())
    loaded = load_weights("mobilenetv3small", str(tmp_path / "net.pkl"))
    with torch.inference_mode():
        fields = loaded.module(torch.from_numpy(fixture_image()))
    for found, known in zip(fields, (stored["cif"], stored["caf"]), strict=True):
        np.testing.assert_allclose(found.numpy(), known, rtol=0, atol=1e-4)


def test_two_heads_of_a_checkpoint_with_more_heads_are_used(tmp_path: Path) -> None:
    theirs = random_network()
    metas = openpifpaf.plugins.coco.CocoKp(with_dense=True).head_metas
    features = theirs.module.base_net.out_features
    theirs.module.set_head_nets([openpifpaf.HEADS[type(meta)](meta, features) for meta in metas][::-1])
    loaded = load_weights("mobilenetv3small", str(pickled(tmp_path / "dense.pkl", theirs.module)))
    assert [meta.name for meta in loaded.head_metas] == ["cif", "caf"]
    caf, cif = theirs.module.head_nets[1:]
    assert torch.equal(loaded.module.head_nets[0].conv.weight, cif.conv.weight)
    assert torch.equal(loaded.module.head_nets[1].conv.weight, caf.conv.weight)


def test_a_checkpoint_that_does_not_match_is_refused(tmp_path: Path) -> None:
    path = pickled(tmp_path / "net.pkl", random_network().module)
    assert "does not match shufflenetv2x1" in refusal("shufflenetv2x1", path)
    assert "no pose weights at" in refusal("shufflenetv2x1", tmp_path / "missing.pkl")

    one_head = random_network().module
    one_head.set_head_nets(one_head.head_nets[:1])
    assert "has the heads cif; expected cif and caf" in refusal(
        "mobilenetv3small", pickled(tmp_path / "one.pkl", one_head)
    )

    renamed = random_network().module
    renamed.head_nets[0].meta.keypoints = [f"wheel{i}" for i in range(17)]
    assert "17 COCO joints" in refusal("mobilenetv3small", pickled(tmp_path / "car.pkl", renamed))

    for name, change in (
        ("eps", lambda parts: setattr(parts["base_net.backbone.0.1"], "eps", 10.0)),
        ("stride", lambda parts: setattr(parts["base_net.backbone.0.0"], "stride", (2, 2))),
        ("activation", lambda parts: parts["base_net.backbone.0"].__setitem__(2, nn.ReLU())),
        ("order", lambda parts: parts["base_net.backbone.0"]._modules.move_to_end("1")),
        ("before", lambda parts: setattr(parts[""], "process_input", nn.ReLU())),
        ("bones", lambda parts: setattr(parts["head_nets.1"].meta, "skeleton", [(1, 2)] * 19)),
    ):
        other = random_network().module
        other.base_net.backbone[0]._modules = OrderedDict(other.base_net.backbone[0]._modules)
        change(dict(other.named_modules()))
        path = pickled(tmp_path / f"{name}.pkl", other)
        assert "differs from OpenPifPaf's mobilenetv3small" in refusal("mobilenetv3small", path), name


@pytest.mark.parametrize("content", [{"model": 3}, {"model": {"weight": 1}}, {"weights": 3}, 3])
def test_another_pickle_is_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "other.pkl")
    assert "is not an OpenPifPaf checkpoint" in refusal("resnet18", tmp_path / "other.pkl")
    (tmp_path / "text.pkl").write_text("cos\nsystem")
    assert "is not an OpenPifPaf checkpoint" in refusal("resnet18", tmp_path / "text.pkl")


# Published weights -------------------------------------------------------------------------------


@pytest.fixture
def downloads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder of published weights, on a machine without network access."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    for name in ("https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # no server listens there
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    return tmp_path / "torch" / "hub" / "skdpipe"


def test_without_network_access_the_error_contains_the_path_of_the_file(downloads: Path) -> None:
    text = refusal("mobilenetv3small", "mobilenetv3small")
    assert text.startswith("cannot download mobilenetv3small: tried https://github.com/openpifpaf/torchhub/")
    name = "mobilenetv3small-210822-213409-cocokp-slurm726252-edge513-o10s-803b24ae.pkl"
    assert f"copy the file to {downloads / name}" in text
    assert list(downloads.iterdir()) == []

    pickled(downloads / name, random_network().module)  # whose checksum is not 803b24ae...
    assert f"the checksum of {downloads / name} is not that in its name (803b24ae)" in refusal(
        "mobilenetv3small", "mobilenetv3small"
    )


@pytest.mark.parametrize("name", ["shufflenetv2x1", "resnet152", "resnet18", "nonsense", "a/b.pth"])
def test_unpublished_weights_are_refused_and_the_published_ones_are_listed(
    downloads: Path, name: str
) -> None:
    text = refusal("resnet18", name)
    assert f"no weights are published as '{name}' (published: " in text
    assert "mobilenetv3small, resnet152-2019, resnet50, shufflenetv2k16, shufflenetv2k30" in text
    assert "skdpipe train-pose" in text
    assert not downloads.exists()


def test_published_weights_are_fetched_and_converted_once(
    downloads: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    theirs = random_network()
    content = pickled(tmp_path / "net.pkl", theirs.module).read_bytes()
    source = tmp_path / f"mobilenetv3small-{hashlib.sha256(content).hexdigest()[:8]}.pkl"
    source.write_bytes(content)
    published = PublishedWeights("mobilenetv3small", "mobilenetv3small", (f"file://{source}",), 1, None)
    monkeypatch.setattr(catalogue, "PUBLISHED", (published,))
    loaded = load_weights("mobilenetv3small", "mobilenetv3small")
    assert same_tensors(theirs, loaded)
    assert loaded.notes is not None
    assert loaded.notes["sha256"] == hashlib.sha256(content).hexdigest()
    source.unlink()
    (downloads / source.name).unlink()
    assert load_weights("mobilenetv3small", "mobilenetv3small").checksum == loaded.checksum
    assert "not of resnet18" in refusal("resnet18", "mobilenetv3small")
    assert capfd.readouterr().out == ""


def test_the_addresses_are_those_of_openpifpaf() -> None:
    current = [published for published in catalogue.PUBLISHED if not published.name.endswith("-2019")]
    assert len(current) == 5
    for published in current:
        assert published.addresses == (
            openpifpaf.CHECKPOINT_URLS[published.name].replace("http://", "https://"),
        )
        assert published.backbone in BACKBONES


def test_a_folder_with_the_name_of_published_weights_is_ignored(
    downloads: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mobilenetv3small").mkdir()
    assert "cannot download" in refusal("mobilenetv3small", "mobilenetv3small")


# Embedded weights --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "backbone", "edge"), [("actors-high", "resnet18", 161), ("actors-low", "shufflenetv2x1", 129)]
)
def test_the_embedded_networks_find_people_in_images_outside_the_training_set(
    name: str, backbone: str, edge: int
) -> None:
    assert name in EMBEDDED
    if not embedded_path(name).is_file():
        pytest.skip(f"no {embedded_path(name)}; run `skdpipe train-pose pose-{name}`")
    estimator = OpenPifPaf(TorchFields(load_weights(backbone, name)), long_edge=edge)
    accuracy, rate = measure_pose(estimator, images=24, seed=99, batch=8)
    assert accuracy.found > 0.8
    assert accuracy.pck_found > 0.6
    assert accuracy.extra < 0.3
    assert rate > 0
    frames = [render_action(action)[0] for action in ("wave", "push", "kick")]
    for frame, people in zip(frames, estimator(frames), strict=True):
        np.testing.assert_allclose(people, estimator([frame])[0], atol=1e-2)
    assert refusal("resnet50", name)


# Estimators from settings ------------------------------------------------------------------------

SQUARES = Path(__file__).with_name("squares.py")


def test_an_estimator_is_loaded_from_settings(tmp_path: Path) -> None:
    save_weights(random_network(), tmp_path / "a.safetensors", notes={})
    settings = OpenPifPafSettings(
        backbone="mobilenetv3small", weights=str(tmp_path / "a.safetensors"), long_edge=97
    )
    estimator = load_estimator(settings, CPU)
    assert isinstance(estimator, PoseEstimator)
    assert " edge97 " in estimator.fingerprint


@pytest.mark.parametrize("plugin", [f"{SQUARES}:SquareFinder", "squares:SquareFinder"])
def test_a_plugin_is_found_by_path_or_module(plugin: str) -> None:
    estimator = load_estimator(PluginSettings(plugin=plugin, options={"threshold": 99}), CPU)
    assert estimator.fingerprint == "squares threshold99"


def test_a_plugin_is_found_under_the_name_that_a_package_gives_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An installed package is a module and its metadata on the path."""
    (tmp_path / "cameras-1.0.dist-info").mkdir()
    (tmp_path / "cameras-1.0.dist-info/METADATA").write_text("Name: cameras\nVersion: 1.0\n")
    entry = "[skdpipe.estimators]\nbright-square = squares:SquareFinder\n"
    (tmp_path / "cameras-1.0.dist-info/entry_points.txt").write_text(entry)
    monkeypatch.syspath_prepend(tmp_path)
    found = load_estimator(PluginSettings("bright-square", options={"threshold": 97}), CPU)
    assert found.fingerprint == "squares threshold97"
    with pytest.raises(PoseError, match=r"an installed plugin \(found bright-square\)$"):
        load_estimator(PluginSettings("dark-square"), CPU)


def test_a_plugin_file_may_contain_dataclasses(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from __future__ import annotations\n"
        "from dataclasses import dataclass\n"
        "from typing import ClassVar\n"
        "from skdpipe.skeleton import COCO_17\n"
        "@dataclass\n"
        "class Mine:\n"
        "    speed: float = 1.0\n"
        "    layout: ClassVar[object] = COCO_17\n"
        "    fingerprint: ClassVar[str] = 'mine'\n"
        "    def __call__(self, frames): return []\n"
    )
    plugin = f"{tmp_path / 'mine.py'}:Mine"
    assert load_estimator(PluginSettings(plugin=plugin, options={"speed": 2.0}), CPU).fingerprint == "mine"


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        (PluginSettings(plugin="squares"), "expected path/to/file.py:Name"),
        (PluginSettings(plugin="nowhere.py:Finder"), "cannot load the estimator plugin 'nowhere.py:Finder'"),
        (PluginSettings(plugin="no_such_module:Finder"), "cannot load the estimator plugin"),
        (PluginSettings(plugin="squares:CubeFinder"), "cannot load the estimator plugin"),
        (
            PluginSettings(plugin="squares:SquareFinder", options={"speed": 3}),
            "cannot be called with options",
        ),
        (PluginSettings(plugin="fractions:Fraction"), "must have layout, fingerprint and a call"),
    ],
)
def test_an_estimator_that_cannot_be_loaded_is_refused(settings: Estimator, why: str) -> None:
    with pytest.raises(PoseError, match=why) as caught:
        load_estimator(settings, CPU)
    assert "\n" not in str(caught.value)
