"""Networks: the graph by hand, parameters against the paper, and people who are only padding."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_st_gcn import PlainStGcn
from torch import Tensor, nn

from skdpipe.errors import ConfigError
from skdpipe.networks import (
    GraphNetwork,
    Network,
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

# a - b - c, with the root at one end: distances to the root are 0, 1, 2; degrees with oneself 2, 3, 2.
CHAIN = Layout("chain", ("a", "b", "c"), (("a", "b"), ("b", "c")), "a", (1.0,) * 3)
# A root whose two neighbours are neighbours too.
TRIANGLE = Layout("triangle", ("a", "b", "c"), (("a", "b"), ("a", "c"), ("b", "c")), "a", (1.0,) * 3)
# Two joints that do not hang together.
APART = Layout("apart", ("a", "b"), (), "a", (1.0,) * 2)

_NTU_BONES = (
    "1-2 2-21 3-21 4-3 5-21 6-5 7-6 8-7 9-21 10-9 11-10 12-11 13-1 14-13 15-14 16-15 17-1 18-17 19-18 20-19 "
    "22-23 23-8 24-25 25-12"
)
NTU_25 = Layout(
    "ntu-25",
    tuple(str(joint) for joint in range(1, 26)),
    tuple((a, b) for a, b in (bone.split("-") for bone in _NTU_BONES.split())),
    "21",
    (1.0,) * 25,
)

PARTITIONINGS: tuple[Partitioning, ...] = get_args(Partitioning)
third, half = 1 / 3, 1 / 2

Build = Callable[..., GraphNetwork]


def small_network(seed: int = 0, layout: Layout = PENN_13, dropout: float = 0.0) -> GraphNetwork:
    torch.manual_seed(seed)
    return st_2sgcn(layout, classes=5, width=4, temporal_kernel=3, dropout=dropout)


def clips(batch: int, people: int, layout: Layout = PENN_13, frames: int = 8, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, people, 3, frames, len(layout), generator=generator)


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


class TestStGcn:
    @pytest.mark.parametrize("build", [st_gcn, st_sgcn, st_2sgcn])
    def test_shapes(self, build: Build) -> None:
        network: Network = build(COCO_17, 7, width=2)
        output = network(clips(2, 3, COCO_17, frames=12), torch.ones(2, 3, dtype=torch.bool))
        assert output.logits.shape == (2, 7)
        assert output.features.shape == (2, 3, network.feature_channels, 3, 17)

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

    @pytest.mark.parametrize("everybody", [True, False])
    def test_features_lie_in_memory_with_channels_last(self, everybody: bool) -> None:
        mask = torch.tensor([[True, True], [True, everybody]])
        features = small_network()(clips(2, 2), mask).features
        assert features.shape == (2, 2, 16, 2, 13)
        assert features.permute(0, 1, 4, 3, 2).is_contiguous()

    def test_logits_classify_the_mean_over_real_people(self) -> None:
        network = small_network().eval()
        mask = torch.tensor([[True, True, False], [False, True, False]])
        logits, features = network(clips(2, 3), mask)
        pooled = torch.stack([features[0, :2].mean(dim=(0, 2, 3)), features[1, 1].mean(dim=(1, 2))])
        torch.testing.assert_close(logits, network.classify(pooled))

    def test_features_are_each_persons_own(self) -> None:
        network = small_network().eval()
        x, mask = clips(2, 2), torch.ones(2, 2, dtype=torch.bool)
        features = network(x, mask).features
        alone = network(x[1:, 1:], mask[1:, 1:]).features
        torch.testing.assert_close(features[1:, 1:], alone)

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

    def test_twice_the_same(self) -> None:
        x, mask = clips(2, 2), torch.tensor([[True, True], [True, False]])
        first, second = (step(small_network(dropout=0.5), x, mask) for _ in range(2))
        torch.testing.assert_close(first, second, rtol=0, atol=0)


def step(network: nn.Module, x: Tensor, mask: Tensor) -> dict[str, Tensor]:
    """Everything a training step depends on: answers, gradients and running statistics."""
    logits, features = network(x, mask)
    (logits.square().sum() + features[mask].pow(3).sum()).backward()
    gradients = {
        f"gradient of {name}": p.grad for name, p in network.named_parameters() if p.grad is not None
    }
    assert len(gradients) == len(list(network.parameters()))
    return {"logits": logits, "features": features, **gradients, **dict(network.named_buffers())}


@settings(max_examples=15, deadline=None)
@given(
    mask=st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=3),
    more=st.integers(1, 2),
    garbage=st.sampled_from([7.0, -1e30, float("nan"), float("inf")]),
)
def test_padding_changes_nothing(mask: list[tuple[bool, bool]], more: int, garbage: float) -> None:
    """Neither logits, features, gradients nor running statistics."""
    network, real = small_network(), torch.tensor(mask)
    x = clips(len(mask), 2)
    x = torch.where(real[..., None, None, None], x, 0)
    padded = torch.where(real[..., None, None, None], x, garbage)
    padded = torch.cat([padded, torch.full_like(padded[:, :1], garbage).expand(-1, more, -1, -1, -1)], dim=1)
    padded_mask = torch.cat([real, torch.zeros(len(mask), more, dtype=torch.bool)], dim=1)

    without = step(copy.deepcopy(network), x, real)
    with_padding = step(copy.deepcopy(network), padded, padded_mask)

    features = with_padding.pop("features")
    assert (features[~padded_mask] == 0).all()
    torch.testing.assert_close(features[:, :2], without.pop("features"), rtol=0, atol=0)
    torch.testing.assert_close(with_padding, without, rtol=0, atol=0)
