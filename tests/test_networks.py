"""Networks: the graph by hand, parameters against the paper, and people who are only padding."""

from __future__ import annotations

import copy
from typing import get_args

import numpy as np
import pytest
import torch
from network_contract import APART, CHAIN, CHECKS, NTU_25, Build, Check, clips, step
from plain_st_gcn import PlainStGcn
from torch import Tensor, nn

from skdpipe.errors import ConfigError
from skdpipe.networks import (
    GraphNetwork,
    Partitioning,
    adaptation_layer,
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

    def test_hops_between_joints_that_do_not_hang_together(self) -> None:
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
        nearer = np.array([[0, third, 0], [0, 0, half], [0, 0, 0]])  # b listens to a, c to b
        farther = np.array([[0, 0, 0], [half, 0, 0], [0, third, 0]])  # a listens to b, b to c
        np.testing.assert_allclose(adjacency(CHAIN, "spatial"), np.stack([itself, nearer, farther]))

    def test_neighbours_equally_far_from_the_root_count_as_the_joint_itself(self) -> None:
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
                heard = torch.einsum("oc,nct->not", weight[k], x[:, :, v]) + bias.view(3, 3)[k, :, None]
                for w in range(3):
                    expected[:, :, w] += heard * layer.adjacency[k, v, w] * layer.importance[k, v, w]
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
        # temporal convolution 3 c_out c_out T' V, 1x1 residual c_in c_out T' V where shapes change; once
        # for all people, what each joint hears of the biases, c_out V.
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

    def test_counting_leaves_the_network_as_it_was(self) -> None:
        network = small_network()
        network.normalise.eval()
        before = copy.deepcopy(network.state_dict())
        count_multiply_adds(network, (1, 1, 3, 8, 13))
        assert network.training
        assert not network.normalise.training
        torch.testing.assert_close(dict(network.state_dict()), dict(before), rtol=0, atol=0)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("build", [st_gcn, st_2sgcn])
def test_keeps_the_contract(build: Build, check: Check) -> None:
    check(build)


class TestStGcn:
    @pytest.mark.parametrize("partitioning", PARTITIONINGS)
    @pytest.mark.parametrize("build", [st_gcn, st_sgcn, st_2sgcn])
    def test_a_training_step_is_that_of_the_released_code(
        self, build: Build, partitioning: Partitioning
    ) -> None:
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
        """On the way forth and back; another order costs twice the time, unnoticed."""
        network, seen = small_network(), []

        def look(module: nn.Module, _: object, output: Tensor) -> None:
            seen.append(module)
            assert output.is_contiguous(memory_format=torch.channels_last), module
            assert not output.is_contiguous(), module
            output.register_hook(
                lambda gradient: seen.append(gradient.is_contiguous(memory_format=torch.channels_last))
            )

        parts = [network.normalise, *network.blocks]
        parts += [part for block in network.blocks for part in (block.spatial, *block.temporal)]
        for part in parts:
            part.register_forward_hook(look)
        step(network, clips(2, 2), torch.ones(2, 2, dtype=torch.bool))
        assert len(seen) == 2 * len(parts)
        assert False not in seen

    def test_logits_classify_the_mean_over_real_people(self) -> None:
        network = small_network().eval()
        mask = torch.tensor([[True, True, False], [False, True, False]])
        logits, features = network(clips(2, 3), mask)
        pooled = torch.stack([features[0, :2].mean(dim=(0, 2, 3)), features[1, 1].mean(dim=(1, 2))])
        torch.testing.assert_close(logits, network.classify(pooled))

    def test_a_clip_with_nobody_counts_as_one_all_zero_person(self) -> None:
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

    def test_the_first_block_drops_nothing(self) -> None:
        dropouts = [
            module.p
            for module in small_network(dropout=0.3).modules()
            if isinstance(module, torch.nn.Dropout)
        ]
        assert dropouts == [0, 0.3, 0.3, 0.3]
