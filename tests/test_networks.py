"""Graphs by hand, parameters of the paper, ST-GCN, and weights stored by earlier versions."""

from __future__ import annotations

import copy
import hashlib
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from network_contract import APART, CHAIN, CHECKS, NTU_25, Build, Check, clips, step
from plain_st_gcn import PlainStGcn
from safetensors.torch import load_file
from torch import Tensor, nn

from skdpipe.errors import ConfigError
from skdpipe.networks import (
    NETWORKS,
    GraphNetwork,
    Partitioning,
    adaptation_layer,
    build_network,
    count_multiply_adds,
    count_parameters,
    st_2sgcn,
    st_gcn,
    st_sgcn,
)
from skdpipe.networks.graph import adjacency, hop_distances, normalised_links
from skdpipe.networks.layers import SpatialGraphConvolution
from skdpipe.skeleton import COCO_17, PENN_13, Layout

# A root whose two neighbours are neighbours too.
TRIANGLE = Layout("triangle", ("a", "b", "c"), (("a", "b"), ("a", "c"), ("b", "c")), "a", (1.0,) * 3)
PARTITIONINGS: tuple[Partitioning, ...] = get_args(Partitioning)
third, half = 1 / 3, 1 / 2


def small_network(seed: int = 0, layout: Layout = PENN_13, dropout: float = 0.0) -> GraphNetwork:
    torch.manual_seed(seed)
    return st_2sgcn(layout, classes=5, width=4, temporal_kernel=3, dropout=dropout)


class TestGraph:
    def test_hops_along_a_chain(self) -> None:
        np.testing.assert_array_equal(hop_distances(CHAIN), [[0, 1, 2], [1, 0, 1], [2, 1, 0]])

    def test_hops_between_unconnected_joints(self) -> None:
        np.testing.assert_array_equal(hop_distances(APART), [[0, np.inf], [np.inf, 0]])

    def test_uniform_by_hand(self) -> None:
        expected = np.array([[[half, third, 0], [half, third, half], [0, third, half]]])
        np.testing.assert_allclose(adjacency(CHAIN, "uniform"), expected)

    def test_distance_by_hand(self) -> None:
        itself = np.diag([half, third, half])
        neighbours = np.array([[0, third, 0], [half, 0, half], [0, third, 0]])
        np.testing.assert_allclose(adjacency(CHAIN, "distance"), np.stack([itself, neighbours]))

    def test_spatial_by_hand(self) -> None:
        itself = np.diag([half, third, half])
        nearer = np.array([[0, third, 0], [0, 0, half], [0, 0, 0]])  # targets b and c, sources a and b
        farther = np.array([[0, 0, 0], [half, 0, 0], [0, third, 0]])  # targets a and b, sources b and c
        np.testing.assert_allclose(adjacency(CHAIN, "spatial"), np.stack([itself, nearer, farther]))

    def test_neighbours_at_the_same_distance_from_the_root_are_in_the_joints_own_subset(self) -> None:
        root, nearer, farther = adjacency(TRIANGLE, "spatial")
        np.testing.assert_allclose(root, third * np.array([[1, 0, 0], [0, 1, 1], [0, 1, 1]]))
        np.testing.assert_allclose(nearer, third * np.array([[0, 1, 1], [0, 0, 0], [0, 0, 0]]))
        np.testing.assert_allclose(farther, nearer.T)

    @pytest.mark.parametrize("partitioning", PARTITIONINGS)
    @pytest.mark.parametrize("layout", [COCO_17, PENN_13, NTU_25, APART], ids=lambda layout: layout.name)
    def test_subsets_partition_the_same_normalised_graph(
        self, layout: Layout, partitioning: Partitioning
    ) -> None:
        subsets = adjacency(layout, partitioning)
        assert subsets.dtype == np.float32
        assert len(subsets) == {"uniform": 1, "distance": 2, "spatial": 3}[partitioning]
        assert ((subsets > 0).sum(axis=0) <= 1).all()
        np.testing.assert_array_equal(subsets.sum(axis=0), normalised_links(layout))
        np.testing.assert_allclose(subsets.sum(axis=(0, 1)), 1, rtol=1e-6)


class TestLayers:
    def test_spatial_graph_convolution_against_loops(self) -> None:
        torch.manual_seed(0)
        layer = SpatialGraphConvolution(2, 3, torch.from_numpy(adjacency(CHAIN, "spatial"))).double()
        torch.nn.init.uniform_(layer.importance, 0.5, 1.5)
        x = torch.randn(2, 2, 3, 4, dtype=torch.float64)
        weight = layer.mix.weight.view(3, 3, 2)  # (subset, out, in)
        bias = layer.mix.bias
        assert bias is not None
        expected = torch.zeros(2, 3, 3, 4, dtype=torch.float64)
        for k in range(3):
            for v in range(3):
                mixed = torch.einsum("oc,nct->not", weight[k], x[:, :, v]) + bias.view(3, 3)[k, :, None]
                for w in range(3):
                    expected[:, :, w] += mixed * layer.adjacency[k, v, w] * layer.importance[k, v, w]
        torch.testing.assert_close(layer(x), expected)

    def test_even_temporal_kernel_is_refused(self) -> None:
        with pytest.raises(ConfigError, match="odd"):
            st_gcn(CHAIN, 2, width=1, temporal_kernel=4)


class TestCost:
    @pytest.mark.parametrize(
        ("build", "expected"),
        [(st_gcn, 2_932_918), (st_sgcn, 1_981_872), (st_2sgcn, 1_030_826)],
        ids=["ST-GCN", "ST-sGCN", "ST-2sGCN"],
    )
    def test_parameters_of_table_ii(self, build: Build, expected: int) -> None:
        network = build(COCO_17, 60, partitioning="distance")
        adaptation = adaptation_layer(network.feature_channels, 256)
        assert count_parameters(network, adaptation) == expected

    @pytest.mark.parametrize(
        ("partitioning", "expected"),
        [("uniform", 2_648_956), ("distance", 2_873_894), ("spatial", 3_098_832)],
    )
    def test_parameters_of_the_released_st_gcn(self, partitioning: Partitioning, expected: int) -> None:
        assert count_parameters(st_gcn(NTU_25, 60, partitioning=partitioning)) == expected

    def test_frozen_parameters_are_not_counted(self) -> None:
        layer = adaptation_layer(3, 5)
        layer.weight.requires_grad_(False)
        assert count_parameters(layer) == 5

    def test_multiply_adds_by_hand(self) -> None:
        # Blocks 1, 4, 5, 8 at width 1 with the uniform graph (K = 1), V = 3 joints, kernel 3, two people;
        # frames 8, 8, 8 -> 4, 4 -> 2. For each block: graph c_in T V V, 1x1 convolution c_in c_out T V,
        # temporal convolution 3 c_out c_out T' V, 1x1 residual c_in c_out T' V if the shape changes; once
        # for all people the aggregation of the biases, c_out V.
        v = 3
        block_1 = 3 * 8 * v * v + 3 * 1 * 8 * v + 3 * 1 * 1 * 8 * v
        block_4 = 1 * 8 * v * v + 1 * 1 * 8 * v + 3 * 1 * 1 * 8 * v
        block_5 = 1 * 8 * v * v + 1 * 2 * 8 * v + 3 * 2 * 2 * 4 * v + 1 * 2 * 4 * v
        block_8 = 2 * 4 * v * v + 2 * 4 * 4 * v + 3 * 4 * 4 * 2 * v + 2 * 4 * 2 * v
        biases = (1 + 1 + 2 + 4) * v
        classify = 4 * 7
        network = st_2sgcn(CHAIN, 7, width=1, temporal_kernel=3, partitioning="uniform")
        expected = 2 * (block_1 + block_4 + block_5 + block_8) + biases + classify
        assert count_multiply_adds(network, (1, 2, 3, 8, v)) == expected

    def test_counting_does_not_change_the_network(self) -> None:
        network = small_network()
        network.normalise.eval()
        before = copy.deepcopy(network.state_dict())
        count_multiply_adds(network, (1, 1, 3, 8, 13))
        assert network.training
        assert not network.normalise.training
        torch.testing.assert_close(dict(network.state_dict()), dict(before), rtol=0, atol=0)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("build", [st_gcn, st_2sgcn])
def test_keeps_the_contract(build: Build, check: Check) -> None:
    check(build)


class TestStGcn:
    @pytest.mark.parametrize("partitioning", PARTITIONINGS)
    @pytest.mark.parametrize("build", [st_gcn, st_sgcn, st_2sgcn])
    def test_a_training_step_equals_the_released_code(self, build: Build, partitioning: Partitioning) -> None:
        torch.manual_seed(0)
        network = build(CHAIN, 5, partitioning=partitioning, width=4, temporal_kernel=3).double()
        for name, parameter in network.named_parameters():
            if name.endswith("importance"):
                nn.init.normal_(parameter, 1)
        x = clips(2, 2, CHAIN, frames=11).double().requires_grad_()
        mask = torch.ones(2, 2, dtype=torch.bool)
        found, gradient = step(copy.deepcopy(network), x, mask), x.grad
        x.grad = None
        plain = PlainStGcn(network)
        expected = step(plain, x, mask)
        assert found.keys() == {name.replace("network.", "") for name in expected}
        for name, value in expected.items():
            torch.testing.assert_close(
                found[name.replace("network.", "")], value, msg=lambda m, n=name: f"{n}: {m}"
            )
        torch.testing.assert_close(gradient, x.grad)

    def test_channels_come_last_in_memory(self) -> None:
        """In the forward and backward pass; another memory format takes twice the time."""
        network, checked = small_network(), []

        def check(module: nn.Module, _: object, output: Tensor) -> None:
            checked.append(module)
            assert output.is_contiguous(memory_format=torch.channels_last), module
            assert not output.is_contiguous(), module
            output.register_hook(
                lambda gradient: checked.append(gradient.is_contiguous(memory_format=torch.channels_last))
            )

        parts = [network.normalise, *network.blocks]
        parts += [part for block in network.blocks for part in (block.spatial, *block.temporal)]
        for part in parts:
            part.register_forward_hook(check)
        step(network, clips(2, 2), torch.ones(2, 2, dtype=torch.bool))
        assert len(checked) == 2 * len(parts)
        assert False not in checked

    def test_logits_are_computed_from_the_mean_over_real_people(self) -> None:
        network = small_network().eval()
        mask = torch.tensor([[True, True, False], [False, True, False]])
        logits, features = network(clips(2, 3), mask)
        pooled = torch.stack([features[0, :2].mean(dim=(0, 2, 3)), features[1, 1].mean(dim=(1, 2))])
        torch.testing.assert_close(logits, network.classify(pooled))

    def test_a_clip_without_people_equals_one_all_zero_person(self) -> None:
        x = clips(2, 2)
        x[1] = torch.nan
        nobody = torch.tensor([[True, True], [False, False]])
        zero = x.clone()
        zero[1] = 0
        one = torch.tensor([[True, True], [True, False]])
        logits, features = small_network()(x, nobody)
        torch.testing.assert_close(logits, small_network()(zero, one).logits)
        assert logits.isfinite().all()
        assert (features[1] == 0).all()

    def test_the_first_block_has_no_dropout(self) -> None:
        dropouts = [
            module.p
            for module in small_network(dropout=0.3).modules()
            if isinstance(module, torch.nn.Dropout)
        ]
        assert dropouts == [0, 0.3, 0.3, 0.3]


# Of the version that stored the first bundles: number of tensors, digest of their names and shapes, sum of
# the absolute initial weights with seed 0; 13 joints, 5 classes, 2 people, width 6, partitioning by distance.
STORED = {
    "st_gcn": (171, "752fe63420381427", 5129.00182188575),
    "st_sgcn": (126, "1cf7604e5f024369", 3578.9452848194014),
    "st_2sgcn": (81, "bc4d2fa913a2b636", 2032.69346034917),
    "st_gcn_plus_plus": (412, "e396c5b3ab081468", 2384.7682480100393),
    "agcn": (237, "1d1602268e2859b7", 4059.947432847584),
    "as_gcn": (212, "05bb72a60b7cfd2b", 17958.34391724209),
    "shift_gcn": (267, "ecdd2097ed8006a7", 3500.6908799029916),
    "ms_g3d": (338, "5d659b7e530f740e", 1519.0692187558736),
    "ctr_gcn": (377, "2d98fe73ac69a0cd", 3956.318241679974),
    "dd_net": (110, "3a920b155e3d3977", 1169.8783595452442),
}


class TestBuild:
    @pytest.mark.parametrize("name", NETWORKS)
    def test_stored_names_shapes_and_initial_weights_do_not_change(self, name: str) -> None:
        torch.manual_seed(0)
        network = build_network(name, PENN_13, 5, people=2, partitioning="distance", width=6)
        state = network.state_dict()
        lines = "\n".join(f"{key} {tuple(value.shape)}" for key, value in state.items())
        digest = hashlib.sha256(lines.encode()).hexdigest()[:16]
        weights = sum(parameter.double().abs().sum().item() for parameter in network.parameters())
        assert (len(state), digest) == STORED[name][:2]
        assert weights == pytest.approx(STORED[name][2], rel=1e-5)

    def test_stored_weights_give_the_same_logits(self) -> None:
        network = build_network("st_2sgcn", PENN_13, 3, people=2, partitioning="distance", width=2).eval()
        network.load_state_dict(load_file(Path(__file__).parent / "fixtures/networks/st_2sgcn.safetensors"))
        x = torch.arange(2 * 2 * 3 * 8 * 13).mul(0.1).sin().view(2, 2, 3, 8, 13)
        logits = network(x, torch.tensor([[True, True], [True, False]])).logits
        expected = [[0.27239797, -0.02525215, -0.27066746], [0.27161345, -0.02349858, -0.27195072]]
        torch.testing.assert_close(logits, torch.tensor(expected), rtol=1e-4, atol=1e-5)

    def test_an_unknown_name_is_refused(self) -> None:
        with pytest.raises(ConfigError, match="no network 'st_gnc'; expected one of st_gcn, st_sgcn"):
            build_network("st_gnc", PENN_13, 3, people=2)
