"""AS-GCN: the contract, the parameters of the released code, structural links by hand, actional ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from network_contract import APART, CHAIN, CHECKS, NTU_25, Check, one_joint_is_a_valid_layout
from torch import nn

from skdpipe.networks import as_gcn, count_parameters
from skdpipe.networks.as_gcn import ActionalStructuralConvolution, LinkInference, structural_links
from skdpipe.networks.layers import LinkConvolution, SpatialGraphConvolution
from skdpipe.skeleton import COCO_17, PENN_13, Layout

third = 1 / 3


# One joint has no pairs from which links are inferred.
@pytest.mark.parametrize(
    "check", [c for c in CHECKS if c is not one_joint_is_a_valid_layout], ids=lambda check: check.__name__
)
def test_keeps_the_contract(check: Check) -> None:
    check(as_gcn)


def test_parameters_of_the_released_code() -> None:
    """It counts the branch that predicts poses, but not the network that infers links."""
    network = as_gcn(NTU_25, 60)
    encoder = count_parameters(network.blocks.infer)
    assert encoder == 185_475
    assert count_parameters(network) - encoder + branch_for_poses() == 6_987_478


def branch_for_poses() -> int:
    """Seven blocks on the features, as released; edge importance for nine, of which two are never used."""
    subsets, kinds, joints, last_pose, pose_times_ten = 9, 2, 25, 3, 30

    def block(inward: int, outward: int, taps: int, *, shortcut: bool) -> int:
        spatial = (inward + 1) * outward * (subsets + kinds)
        temporal = (outward * taps + 1) * outward
        norms = 2 * 2 * outward
        return spatial + temporal + norms + shortcut * ((inward + 1) * outward + 2 * outward)

    return (
        block(256, 128, 9, shortcut=True)
        + 3 * block(128, 128, 9, shortcut=True)
        + block(128, 128, 3, shortcut=True)
        + block(128, 128, 5, shortcut=False)
        + block(128 + last_pose, pose_times_ten, 1, shortcut=False)
        + 9 * subsets * joints**2
    )


class TestStructuralLinks:
    def test_by_hand(self) -> None:
        # a - b - c from the root a: all joints are within two bones, so each target has three links.
        expected = third * np.array(
            [
                [[1, 0, 0], [0, 1, 0], [0, 0, 1]],  # itself
                [[0, 0, 0], [1, 0, 0], [0, 1, 0]],  # targets a and b, sources b and c
                [[0, 1, 0], [0, 0, 1], [0, 0, 0]],  # targets b and c, sources a and b
                [[0, 0, 0], [0, 0, 0], [1, 0, 0]],  # target a, source c
                [[0, 0, 1], [0, 0, 0], [0, 0, 0]],  # target c, source a
            ]
        )
        np.testing.assert_allclose(structural_links(CHAIN, 2), expected)

    @pytest.mark.parametrize("layout", [COCO_17, PENN_13, NTU_25, APART], ids=lambda layout: layout.name)
    def test_subsets_partition_the_joints_within_reach(self, layout: Layout) -> None:
        links = structural_links(layout, 4)
        assert links.dtype == np.float32
        assert links.shape == (9, len(layout), len(layout))
        assert ((links > 0).sum(axis=0) <= 1).all()
        np.testing.assert_allclose(links.sum(axis=(0, 1)), 1, rtol=1e-6)


def test_actional_structural_convolution_against_loops() -> None:
    torch.manual_seed(0)
    graph = torch.from_numpy(structural_links(CHAIN, 1))
    structural, actional = SpatialGraphConvolution(2, 5, graph), LinkConvolution(2, 5, 2)
    layer = ActionalStructuralConvolution(structural, actional, weight=0.3).double()
    x, links = torch.randn(2, 2, 3, 4, dtype=torch.float64), torch.rand(2, 2, 3, 3, dtype=torch.float64)
    expected = structural(x)
    assert actional.mix.bias is not None
    for n in range(2):
        for k in range(2):
            kind = slice(5 * k, 5 * (k + 1))
            for w in range(3):
                aggregated = sum(links[n, k, v, w] * x[n, :, v] for v in range(3))
                mixed = actional.mix.weight[kind, :, 0, 0] @ aggregated + actional.mix.bias[kind, None]
                expected[n, :, w] = expected[n, :, w] + 0.3 * mixed
    torch.testing.assert_close(layer(x, links), expected)


class TestLinkInference:
    def test_against_loops(self) -> None:
        torch.manual_seed(0)
        infer = LinkInference(2, 4, 2, frames=5, hidden=3, dropout=0.5).double().eval()
        for module in infer.modules():
            if isinstance(module, nn.BatchNorm1d):
                assert module.running_mean is not None
                module.running_mean.normal_()
        x = torch.randn(2, 2, 4, 11, dtype=torch.float64)
        selected = x[..., [0, 2, 4, 6, 8]]  # number times 11 frames, by 5
        others = [[w for w in range(4) if w != v] for v in range(4)]

        def through(perceptron: nn.Module, one: torch.Tensor) -> torch.Tensor:
            result: torch.Tensor = perceptron(one.view(1, 1, -1)).flatten()
            return result

        for n in range(2):
            alone = [through(infer.joints_alone, selected[n, :, v].t().flatten()) for v in range(4)]
            pair = {
                (w, v): through(infer.pairs_alone, torch.cat([alone[w], alone[v]]))
                for w in range(4)
                for v in others[w]
            }
            among = [
                through(infer.joints_among_others, torch.stack([pair[w, v] for v in others[w]]).mean(dim=0))
                for w in range(4)
            ]
            expected = torch.eye(4, dtype=torch.float64).repeat(2, 1, 1)
            for (w, v), first in pair.items():
                second = through(infer.pairs_among_others, torch.cat([among[w], among[v], first]))
                expected[:, v, w] = infer.judge(second).softmax(dim=0)[1:]
            torch.testing.assert_close(infer(x)[n], expected / expected.sum(dim=1, keepdim=True))

    def test_the_links_of_each_target_sum_to_one(self) -> None:
        torch.manual_seed(0)
        infer = LinkInference(3, 13, 2, frames=50, hidden=8, dropout=0)
        links = infer(torch.randn(4, 3, 13, 20))
        assert links.shape == (4, 2, 13, 13)
        assert (links > 0).all()
        torch.testing.assert_close(links.sum(dim=2), torch.ones(4, 2, 13))
