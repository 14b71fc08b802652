"""MS-G3D: graphs by hand and by powers of matrices, layers against loops, parameters of the released code."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from network_contract import APART, CHAIN, CHECKS, NTU_25, Check
from numpy.typing import NDArray
from torch import Tensor, nn

from skdpipe.errors import ConfigError
from skdpipe.networks import count_parameters, ms_g3d
from skdpipe.networks.graph import hop_distances
from skdpipe.networks.ms_g3d import DisentangledGraphConvolution, Windows, disentangled, window_hops
from skdpipe.skeleton import COCO_17, PENN_13, Layout

LAYOUTS = pytest.mark.parametrize(
    "layout", [CHAIN, APART, PENN_13, COCO_17], ids=lambda layout: str(layout.name)
)

Matrix = NDArray[np.float64]


def links(layout: Layout) -> Matrix:
    """Ones for a joint with its neighbours and itself, zeros elsewhere."""
    matrix = np.eye(len(layout))
    for a, b in layout.edges:
        matrix[a, b] = matrix[b, a] = 1
    return matrix


def by_powers(matrix: Matrix, scale: int) -> Matrix:
    """Eq. 3, 4: within k steps but not within k - 1, and the joint itself; then ``D^-1/2 A D^-1/2``."""
    itself = np.eye(len(matrix))
    reached = np.minimum(np.linalg.matrix_power(matrix, scale), 1)
    before = np.minimum(np.linalg.matrix_power(matrix, scale - 1), 1) if scale else 0 * itself
    exactly = reached - before + (itself if scale else 0)
    roots = np.diag(exactly.sum(axis=1) ** -0.5)
    return roots @ exactly @ roots


class TestGraphs:
    def test_disentangled_by_hand(self) -> None:
        itself, neighbours, next_but_one, farther = disentangled(hop_distances(CHAIN), 4)
        np.testing.assert_array_equal(itself, np.eye(3))
        side = 1 / np.sqrt(2 * 3)  # counting themselves, a and c have two neighbours, b three
        expected = [[1 / 2, side, 0], [side, 1 / 3, side], [0, side, 1 / 2]]
        np.testing.assert_allclose(neighbours, expected, rtol=1e-6)
        np.testing.assert_allclose(next_but_one, [[1 / 2, 0, 1 / 2], [0, 1, 0], [1 / 2, 0, 1 / 2]], rtol=1e-6)
        np.testing.assert_array_equal(farther, np.eye(3))  # no joints are three bones apart

    @LAYOUTS
    def test_disentangled_by_powers(self, layout: Layout) -> None:
        graphs = disentangled(hop_distances(layout), 13)
        assert graphs.dtype == np.float32
        assert graphs.shape == (13, len(layout), len(layout))
        for scale, graph in enumerate(graphs):
            np.testing.assert_allclose(graph, by_powers(links(layout), scale), rtol=1e-6)

    def test_window_hops_by_hand(self) -> None:
        one_bone = Layout("bone", ("a", "b"), (("a", "b"),), "a", (1.0,) * 2)
        expected = [[0, 1, 1, 1], [1, 0, 1, 1], [1, 1, 0, 1], [1, 1, 1, 0]]
        np.testing.assert_array_equal(window_hops(hop_distances(one_bone), 2), expected)
        np.testing.assert_array_equal(
            window_hops(hop_distances(APART), 2),
            [[0, np.inf, 1, np.inf], [np.inf, 0, np.inf, 1], [1, np.inf, 0, np.inf], [np.inf, 1, np.inf, 0]],
        )

    @pytest.mark.parametrize("frames", [3, 5])
    @LAYOUTS
    def test_windows_by_powers(self, layout: Layout, frames: int) -> None:
        graphs = disentangled(window_hops(hop_distances(layout), frames), 6)
        same_in_all_frames = np.tile(links(layout), (frames, frames))
        for scale, graph in enumerate(graphs):
            np.testing.assert_allclose(graph, by_powers(same_in_all_frames, scale), rtol=1e-5)


def rows(frames: int, joints: int = 3, channels: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(2, channels, joints, frames, generator=generator, dtype=torch.float64)


def convolution(in_channels: int = 2, out_channels: int = 4, frames: int = 1) -> DisentangledGraphConvolution:
    torch.manual_seed(0)
    graph = torch.from_numpy(disentangled(window_hops(hop_distances(CHAIN), frames), 4))
    layer = DisentangledGraphConvolution(in_channels, out_channels, graph).double()
    nn.init.normal_(layer.mask, std=0.3)
    return layer


class TestLayers:
    def test_graph_convolution_against_loops(self) -> None:
        layer, x = convolution(), rows(5)
        assert layer.mix.bias is not None
        expected = layer.mix.bias.view(1, -1, 1, 1).repeat(2, 1, 3, 5)
        for k, v, w in itertools.product(range(4), range(3), range(3)):
            mixed = torch.einsum("oc,nct->not", layer.mix.weight[:, :, k, 0], x[:, :, v])
            expected[:, :, w] += (layer.adjacency[k, v, w] + layer.mask[k, v, w]) * mixed
        torch.testing.assert_close(layer(x), expected)

    def test_the_mask_is_learned_and_initially_tiny(self) -> None:
        torch.manual_seed(0)
        layer = DisentangledGraphConvolution(2, 4, torch.ones(3, 5, 5))
        assert 0 < layer.mask.abs().max() <= 1e-6
        assert len(layer.mask.unique()) > 1
        assert layer.mask.requires_grad
        assert "adjacency" not in layer.state_dict()

    @pytest.mark.parametrize("frames", [7, 8])
    @pytest.mark.parametrize("stride", [1, 2])
    @pytest.mark.parametrize("size", [3, 5])
    def test_windows_against_loops(self, size: int, stride: int, frames: int) -> None:
        x = rows(frames)
        y = Windows(size, stride)(x)
        middles = range(0, frames, stride)
        assert y.shape == (2, 2, size * 3, len(middles))
        for (to, middle), position, joint in itertools.product(enumerate(middles), range(size), range(3)):
            frame = middle + position - size // 2
            expected = x[:, :, joint, frame] if 0 <= frame < frames else torch.zeros(2, 2).double()
            torch.testing.assert_close(y[:, :, 3 * position + joint, to], expected, rtol=0, atol=0)

    def test_channels_stay_last_in_memory(self) -> None:
        x = rows(8).contiguous(memory_format=torch.channels_last)
        for layer in (Windows(3, 2), convolution()):
            assert layer(x).is_contiguous(memory_format=torch.channels_last)

    def test_a_path_through_windows_in_the_papers_order(self) -> None:
        """Unfold, aggregate in the window, mix, normalise; then a 3D convolution over the window."""
        torch.manual_seed(0)
        stage = ms_g3d(CHAIN, 2, width=6).blocks[4].double()
        x = rows(8, channels=6)
        for path, size in zip(stage.paths[1:], (3, 5), strict=True):
            _, gather, norm, _, collapse, last_norm = path
            unfolded = F.unfold(x.transpose(2, 3), (size, 1), padding=(size // 2, 0), stride=(2, 1))
            unfolded = unfolded.view(2, 6, size, 4, 3).permute(0, 1, 3, 2, 4).reshape(2, 6, 4, 3 * size)
            graph = (gather.adjacency + gather.mask).transpose(1, 2)
            aggregated = torch.einsum("kwv,nctv->nkctw", graph, unfolded)
            mixed = torch.einsum("ock,nkctw->notw", gather.mix.weight[..., 0], aggregated)
            y = norm(mixed + gather.mix.bias.view(1, -1, 1, 1)).relu().view(2, 6, 4, size, 3)
            weight = collapse.weight[:, :, None, :]
            y = last_norm(F.conv3d(y, weight, collapse.bias).squeeze(3))
            torch.testing.assert_close(path(x), y.transpose(2, 3))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_keeps_the_contract(check: Check) -> None:
    check(ms_g3d)


class TestNetwork:
    def test_parameters_of_the_released_code(self) -> None:
        assert count_parameters(ms_g3d(NTU_25, 60)) == 3_194_595

    def test_parameters_by_scales(self) -> None:
        """Each scale adds a mask and a matrix, in each of three paths over frames, or six over windows."""
        sizes = [
            count_parameters(ms_g3d(CHAIN, 2, width=6, scales=scales, window_scales=window_scales))
            for scales, window_scales in ((5, 3), (6, 3), (5, 4))
        ]
        matrices = 3 * 6 + 6 * 6 + 12 * 12
        assert sizes[1] - sizes[0] == 3 * 3**2 + matrices
        assert sizes[2] - sizes[0] == 3 * (9**2 + 15**2) + 2 * matrices

    def test_dropout_ends_each_stage(self) -> None:
        network = ms_g3d(CHAIN, 2, width=6, dropout=0.3)
        assert [m.p for m in network.modules() if isinstance(m, nn.Dropout) and m.p] == [0.3] * 3

    def test_too_small_a_width_is_refused(self) -> None:
        with pytest.raises(ConfigError, match="5 channels for 6 temporal branches"):
            ms_g3d(CHAIN, 2, width=5)
