"""Converted networks of 2019 compute the fields of OpenPifPaf 0.8.0 (tests/fixtures/openpifpaf/make.py)."""

import hashlib
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from fixtures.openpifpaf.formula import FIELDS, IMAGE_SIZE, image, people, tensor
from numpy.typing import NDArray
from torch import Tensor, nn
from torchvision.models.resnet import Bottleneck

from skdpipe.errors import PoseError
from skdpipe.pose.openpifpaf import OpenPifPaf, PoseNetwork, TorchFields, load_weights, save_weights
from skdpipe.pose.openpifpaf.checkpoint_reader import modules, read_checkpoint
from skdpipe.pose.openpifpaf.convert import load_2019
from skdpipe.pose.openpifpaf.heads_2019 import PifPaf2019, resnet_blocks, to_current_fields
from skdpipe.pose.openpifpaf.networks import build_2019, metas_2019

FIXTURES = Path(__file__).parent / "fixtures" / "openpifpaf"
TOLERANCE = 1e-5

Fixture = dict[str, NDArray[Any]]


def fixture(name: str) -> Fixture:
    with np.load(FIXTURES / f"{name}.npz") as file:
        return dict(file)


def load_checkpoint(name: str, folder: Path) -> tuple[Path, Fixture]:
    """The checkpoint of OpenPifPaf 0.8.0, byte for byte, and the fields of its network."""
    path, expected = checkpoint_of(name, folder), fixture(name)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == str(expected["sha256"])
    return path, expected


def checkpoint_of(name: str, folder: Path, **changed: NDArray[Any]) -> Path:
    """The checkpoint of OpenPifPaf 0.8.0, reassembled; tensors can be replaced by name."""
    stored = fixture(name)
    shapes = shapes_of(name)
    path = folder / f"{name}.pkl"
    with path.open("wb") as file:
        file.write(stored["beginning"].tobytes())
        for key in map(str, stored["order"]):
            values = changed.get(key, tensor(key, shapes[key]))
            file.write(values.size.to_bytes(8, "little"))
            file.write(values.tobytes())
    return path


def network_of(name: str) -> PifPaf2019:
    if name == "resnet-shallow":
        vision = torchvision.models.ResNet(Bottleneck, [1, 1, 1, 2])
        return PifPaf2019(resnet_blocks(vision), 2048, metas_2019()).eval()
    module = build_2019(name).module
    assert isinstance(module, PifPaf2019)
    return module


def shapes_of(name: str) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        return {key: tuple(value.shape) for key, value in network_of(name).state_dict().items()}


def assert_same_fields(module: PifPaf2019, expected: Fixture) -> None:
    """In float64: float32 adds another error of up to 1.5e-5, which depends on the processor."""
    with torch.inference_mode():
        heads = deepcopy(module).double().raw_fields(torch.from_numpy(image()).double())
    for (head, names), values in zip(FIELDS.items(), heads, strict=True):
        for name, value in zip(names, values, strict=True):
            known = expected[f"{head} {name} float32"]
            assert known.std() > 0.1
            np.testing.assert_allclose(
                value[0].numpy(), known, rtol=0, atol=TOLERANCE, err_msg=f"{head} {name}"
            )


# The networks ------------------------------------------------------------------------------------


def test_the_low_cost_network_computes_the_same_fields(tmp_path: Path) -> None:
    path, expected = load_checkpoint("shufflenetv2x1", tmp_path)
    loaded = load_weights("shufflenetv2x1", str(path))
    assert isinstance(loaded.module, PifPaf2019)
    assert_same_fields(loaded.module, expected)
    assert [meta.stride for meta in loaded.head_metas] == [int(expected["stride"])] * 2 == [8, 8]

    save_weights(loaded, tmp_path / "ours.safetensors", notes={"source": path.name})
    again = load_weights("shufflenetv2x1", str(tmp_path / "ours.safetensors"))
    assert isinstance(again.module, PifPaf2019)
    assert_same_fields(again.module, expected)
    assert again.checksum == loaded.checksum
    assert again.notes == {"source": path.name}
    with pytest.raises(PoseError, match="contains weights of shufflenetv2x1, not of resnet152"):
        load_weights("resnet152", str(tmp_path / "ours.safetensors"))


def test_a_shallow_resnet_computes_the_same_fields(tmp_path: Path) -> None:
    path, expected = load_checkpoint("resnet-shallow", tmp_path)
    module, checkpoint = network_of("resnet-shallow"), read_checkpoint(path)
    shell = checkpoint.content["model"]
    load_2019(module, checkpoint.tensors(shell), shell, path)
    assert_same_fields(module, expected)


@pytest.mark.slow
def test_the_high_cost_network_computes_the_same_fields(tmp_path: Path) -> None:
    path, expected = load_checkpoint("resnet152", tmp_path)
    loaded = load_weights("resnet152", str(path))
    assert isinstance(loaded.module, PifPaf2019)
    assert_same_fields(loaded.module, expected)


@pytest.mark.parametrize("name", ["resnet152", "shufflenetv2x1", "resnet-shallow"])
def test_the_networks_have_the_same_number_of_parameters(name: str) -> None:
    with torch.device("meta"):
        ours = sum(p.numel() for p in network_of(name).parameters())
    assert ours == fixture(name)["parameters"]
    assert set(shapes_of(name)) == set(map(str, fixture(name)["order"]))


def test_the_papers_numbers_of_parameters_are_those_of_the_classifiers() -> None:
    """60.19 M and 2.28 M are torchvision's networks with 1000 classes, not the networks with pose heads."""
    for make, ours, papers in (
        (torchvision.models.resnet152, 59_930_536, 60.19),
        (torchvision.models.shufflenet_v2_x1_0, 2_147_404, 2.28),
    ):
        with torch.device("meta"):
            classifier = sum(p.numel() for p in make().parameters())
        assert round(classifier / 1e6, 2) == papers
        assert papers not in {round(ours / 1e6, 2), round(ours / 2**20, 2)}


def test_a_network_that_differs_is_refused(tmp_path: Path) -> None:
    path = checkpoint_of("shufflenetv2x1", tmp_path)
    for change, where in (
        (
            lambda parts: parts["base_net.net.1.0.branch2.3"].state.update(stride=(1, 1)),
            r"branch2\.3\.stride",
        ),
        (lambda parts: parts["base_net.net.1.0.branch2.3"].state.update(groups=1), r"branch2\.3\.groups"),
        (lambda parts: parts["base_net.net.1.1"].state.update(stride=2), r"net\.1\.1\.stride"),
        (lambda parts: parts["head_nets.0"].state.update(_quad=0), "the stride of the heads"),
        (lambda parts: parts["head_nets.1"].state.update(dilation=2), "the stride of the heads"),
        (lambda parts: parts["base_net.net"].children().move_to_end("0"), r"base_net\.net;"),
    ):
        checkpoint = read_checkpoint(path)
        shell = checkpoint.content["model"]
        tensors = checkpoint.tensors(shell)
        change(dict(modules(shell)))  # type: ignore[no-untyped-call]
        with pytest.raises(PoseError, match=f"differs from the network of 2019 in .*{where}"):
            load_2019(network_of("shufflenetv2x1"), tensors, shell, path)


def test_damaged_or_foreign_weights_are_refused(tmp_path: Path) -> None:
    name = "head_nets.0.class_convs.0.bias"
    path = checkpoint_of("shufflenetv2x1", tmp_path, **{name: np.full(68, np.nan, np.float32)})
    with pytest.raises(PoseError, match="not finite"):
        load_weights("shufflenetv2x1", str(path))
    with pytest.raises(PoseError, match="does not match resnet152"):
        load_weights("resnet152", str(checkpoint_of("shufflenetv2x1", tmp_path)))
    with pytest.raises(PoseError, match="no network of 2019 has the backbone 'resnet18'"):
        load_weights("resnet18", str(path))


# Conversion of fields ----------------------------------------------------------------------------


def raw_people() -> tuple[list[Tensor], list[Tensor]]:
    known = fixture("people")
    intensity, association = (
        [torch.from_numpy(known[f"{head} {name}"])[None] for name in names] for head, names in FIELDS.items()
    )
    return intensity, association


class PerfectNetwork(nn.Module):
    """A network that returns the target fields of the encoder of 2019."""

    head_metas = metas_2019()

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        ends = torch.tensor(self.head_metas[1].skeleton) - 1
        return to_current_fields(*raw_people(), ends)


def test_the_associations_connect_the_same_joints() -> None:
    assert [list(bone) for bone in metas_2019()[1].skeleton] == fixture("people")["skeleton"].tolist()


def test_people_of_the_old_encoder_are_found_within_a_pixel() -> None:
    estimator = OpenPifPaf(
        TorchFields(PoseNetwork(PerfectNetwork(), "perfect", 2)), long_edge=max(IMAGE_SIZE)
    )
    width, height = IMAGE_SIZE
    (found,) = estimator([np.zeros((height, width, 3), np.uint8)])
    known = people()
    assert len(found) == len(known) == 3
    for truth in known:
        person = found[np.nanmean(np.abs(found[:, :13, :2] - truth[:13, :2]), axis=(1, 2)).argmin()]
        seen = truth[:, 2] > 0
        np.testing.assert_array_equal(person[:, 2] > 0, seen)
        assert np.abs(person[seen, :2] - truth[seen, :2]).max() < 1.0


def test_the_old_and_the_current_decoder_find_the_same_people() -> None:
    estimator = OpenPifPaf(
        TorchFields(PoseNetwork(PerfectNetwork(), "perfect", 2)), long_edge=max(IMAGE_SIZE)
    )
    width, height = IMAGE_SIZE
    (found,) = estimator([np.zeros((height, width, 3), np.uint8)])
    old = fixture("people")["decoded"]
    assert len(old) == len(found)
    for person in old:
        distances = [np.nanmax(np.abs(one[:, :2] - person[:, :2])[person[:, 2] > 0]) for one in found]
        assert min(distances) < 1.0


def test_current_fields_match_a_naive_conversion() -> None:
    """The reference loops over cells."""
    generator = torch.Generator().manual_seed(0)

    def random(*shape: int) -> Tensor:
        return torch.empty(2, *shape, 3, 4).uniform_(-3, 3, generator=generator)

    intensity = [random(3), random(3, 2), random(3), random(3)]
    association = [random(2), random(2, 2), random(2, 2), random(2), random(2)]
    ends = torch.tensor([[2, 0], [1, 2]])
    cif, caf = to_current_fields(intensity, association, ends)
    assert cif.shape == (2, 3, 5, 3, 4)
    assert caf.shape == (2, 2, 8, 3, 4)
    for b, row, column in np.ndindex(2, 3, 4):
        for joint in range(3):
            confidence, vector, spread, scale = (field[b, joint, ..., row, column] for field in intensity)
            expected = [spread, confidence, vector[0] + column, vector[1] + row, scale]
            torch.testing.assert_close(cif[b, joint, :, row, column], torch.stack(expected))
        for bone in range(2):
            confidence, first, second, spread, _ = (field[b, bone, ..., row, column] for field in association)
            expected = [spread, confidence]
            scales = []
            for vector, joint in zip((first, second), ends[bone], strict=True):
                x, y = vector[0] + column, vector[1] + row
                expected += [x, y]
                at = min(max(round(float(y)), 0), 2), min(max(round(float(x)), 0), 3)
                scales.append(intensity[3][b, joint, at[0], at[1]])
            torch.testing.assert_close(caf[b, bone, :, row, column], torch.stack(expected + scales))


def test_the_fixtures_are_small() -> None:
    assert sum(path.stat().st_size for path in FIXTURES.iterdir() if path.is_file()) < 2_000_000
