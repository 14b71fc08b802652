"""Alignment of teacher and student with different strides: the finer map is averaged along time."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from skdpipe.config import Distillation, Recipe
from skdpipe.dataset import Batch
from skdpipe.distill.alignment import require_same_joints, same_frames
from skdpipe.distill.edge_loss import edge_loss
from skdpipe.distill.losses import node_loss
from skdpipe.distill.objective import student_objective
from skdpipe.errors import ConfigError
from skdpipe.networks import GraphNetwork, NetworkOutput, adaptation_layer, dd_net, st_2sgcn
from skdpipe.networks.graph import adjacency
from skdpipe.networks.layers import Block, JointNorm, SpatialGraphConvolution, temporal_convolution
from skdpipe.skeleton import COCO_17, PENN_13

FRAMES = 12


def one_block(stride: int, channels: int = 5) -> GraphNetwork:
    """A network whose features have 12 / stride frames for a clip of twelve."""
    graph = torch.from_numpy(adjacency(PENN_13, "uniform"))
    spatial = SpatialGraphConvolution(3, channels, graph)
    block = Block(spatial, temporal_convolution(channels, 3, stride, 0), None)
    return GraphNetwork(JointNorm(3, 13), nn.Sequential(block), nn.Linear(channels, 4))


def random_batch() -> Batch:
    torch.manual_seed(8)
    high, low = torch.randn(2, 4, 2, 3, FRAMES, 13, dtype=torch.float64)
    mask = torch.tensor([[True, True], [True, False], [True, True], [False, True]])
    number = torch.arange(4)
    return Batch(high, mask, low, mask, mask, number, number >= 0, number)


def features(frames: int, rows: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(frames)
    return torch.randn(rows, 3, frames, 4, generator=generator, dtype=torch.float64)


def test_maps_of_equal_length_are_unchanged() -> None:
    student, teacher = features(5), features(5) + 1
    assert all(map(torch.equal, same_frames(student, teacher), (student, teacher)))


@pytest.mark.parametrize("finer", ["student", "teacher"])
def test_the_finer_map_is_averaged(finer: str) -> None:
    fine = torch.tensor([0.0, 2, 4, 10, 20]).view(1, 1, 5, 1).expand(1, 1, 5, 2)
    coarse = torch.zeros(1, 1, 2, 2)
    maps = (fine, coarse) if finer == "student" else (coarse, fine)
    found = dict(zip(("student", "teacher"), same_frames(*maps), strict=True))
    expected = torch.tensor([2, 34 / 3]).view(1, 1, 2, 1).expand(1, 1, 2, 2)  # frames 0 to 2, and 2 to 4
    torch.testing.assert_close(found.pop(finer), expected)
    assert torch.equal(*found.values(), coarse)


@given(st.integers(1, 9), st.integers(1, 9))
def test_each_frame_is_the_mean_of_the_frames_that_it_covers(student: int, teacher: int) -> None:
    frames = min(student, teacher)
    for found, given_ in zip(
        same_frames(features(student), features(teacher)), (student, teacher), strict=True
    ):
        parts = [
            features(given_)[:, :, i * given_ // frames : math.ceil((i + 1) * given_ / frames)].mean(dim=2)
            for i in range(frames)
        ]
        torch.testing.assert_close(found, torch.stack(parts, dim=2))


def test_no_rows() -> None:
    found = same_frames(features(4, rows=0), features(2, rows=0))
    assert [each.shape for each in found] == [(0, 3, 2, 4)] * 2
    assert node_loss(*found) == 0


def test_averaging_is_differentiable() -> None:
    fine = features(5).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: same_frames(x, features(3))[0], fine)


@pytest.mark.parametrize(("student_stride", "teacher_stride"), [(1, 4), (3, 1), (4, 2), (2, 2)])
def test_losses_of_networks_with_different_strides(student_stride: int, teacher_stride: int) -> None:
    torch.manual_seed(0)
    student, teacher = one_block(student_stride).double(), one_block(teacher_stride, 6).double().eval()
    adaptation, batch = adaptation_layer(5, 6).double(), random_batch()
    objective = student_objective(student, teacher, adaptation, Recipe(), Distillation())
    found = objective(batch).distillation
    adapted = adaptation(student(batch.low, batch.low_mask).features[batch.paired]).float()
    target = teacher(batch.high, batch.high_mask).features[batch.paired].float()
    frames = FRAMES // max(student_stride, teacher_stride)
    coarse = [x.unflatten(2, (frames, -1)).mean(dim=3) for x in (adapted, target)]
    torch.testing.assert_close(found["node"], 0.5 * node_loss(*coarse))
    torch.testing.assert_close(found["edge"], 0.5 * edge_loss(*coarse))


class Halved:
    """A teacher whose features have every other joint."""

    def __init__(self, network: GraphNetwork) -> None:
        self._network, self.feature_channels = network, network.feature_channels

    def __call__(self, x: Tensor, mask: Tensor) -> NetworkOutput:
        logits, features = self._network(x, mask)
        return NetworkOutput(logits, features[..., ::2])


def test_different_joints_raise_an_error_and_the_student_is_not_changed() -> None:
    student, teacher = st_2sgcn(COCO_17, 2, width=4), st_2sgcn(COCO_17, 2, width=4).eval()
    before = {name: value.clone() for name, value in student.state_dict().items()}
    require_same_joints(student, teacher, (2, 3, 8, 17))
    with pytest.raises(
        ConfigError, match="features have 17 joints, the teacher's 9; expected the same number"
    ) as error:
        require_same_joints(student, Halved(teacher), (2, 3, 8, 17))
    assert "\n" not in str(error.value)
    assert student.training
    assert all(torch.equal(value, before[name]) for name, value in student.state_dict().items())


def test_a_dd_net_has_features_of_one_joint() -> None:
    student, teacher, shape = dd_net(COCO_17, 2, width=4), st_2sgcn(COCO_17, 2, width=4).eval(), (2, 3, 8, 17)
    require_same_joints(student, dd_net(COCO_17, 2, width=6).eval(), shape)
    expected = "features have 1 joints, the teacher's 17; .* set distillation.pooled to true, or set "
    with pytest.raises(ConfigError, match=expected):
        require_same_joints(student, teacher, shape)
