"""Teacher and student of other strides: maps are averaged along time, and gradients stay exact."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from skdpipe.distill.tape import Tape
from torch import Tensor, nn

from skdpipe.config import Distillation, Recipe
from skdpipe.dataset import Batch
from skdpipe.distill.alignment import require_same_joints, same_frames
from skdpipe.distill.gradients import revised_gradients, revised_gradients_by_tape
from skdpipe.distill.losses import node_loss
from skdpipe.distill.objective import student_objective
from skdpipe.errors import ConfigError
from skdpipe.networks import GraphNetwork, NetworkOutput, adaptation_layer, st_2sgcn
from skdpipe.networks.graph import adjacency
from skdpipe.networks.layers import Block, JointNorm, SpatialGraphConvolution, temporal_convolution
from skdpipe.skeleton import COCO_17, PENN_13

pytestmark = pytest.mark.usefixtures("one_thread")

FRAMES = 12


def one_block(stride: int, channels: int = 5) -> GraphNetwork:
    """A network that shortens a clip of twelve frames to 12 / stride."""
    graph = torch.from_numpy(adjacency(PENN_13, "uniform"))
    spatial = SpatialGraphConvolution(3, channels, graph)
    block = Block(spatial, temporal_convolution(channels, 3, stride, 0), None)
    return GraphNetwork(JointNorm(3, 13), nn.Sequential(block), nn.Linear(channels, 4))


def a_batch() -> Batch:
    torch.manual_seed(8)
    high, low = torch.randn(2, 4, 2, 3, FRAMES, 13, dtype=torch.float64)
    mask = torch.tensor([[True, True], [True, False], [True, True], [False, True]])
    number = torch.arange(4)
    return Batch(high, mask, low, mask, mask, number, number >= 0, number)


def features(frames: int, rows: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(frames)
    return torch.randn(rows, 3, frames, 4, generator=generator, dtype=torch.float64)


def test_as_many_frames_stay_as_they_are() -> None:
    student, teacher = features(5), features(5) + 1
    assert all(map(torch.equal, same_frames(student, teacher), (student, teacher)))


@pytest.mark.parametrize("finer", ["student", "teacher"])
def test_the_finer_map_is_averaged_by_hand(finer: str) -> None:
    fine = torch.tensor([0.0, 2, 4, 10, 20]).view(1, 1, 5, 1).expand(1, 1, 5, 2)
    coarse = torch.zeros(1, 1, 2, 2)
    maps = (fine, coarse) if finer == "student" else (coarse, fine)
    found = dict(zip(("student", "teacher"), same_frames(*maps), strict=True))
    expected = torch.tensor([2, 34 / 3]).view(1, 1, 2, 1).expand(1, 1, 2, 2)  # frames 0 to 2, and 2 to 4
    torch.testing.assert_close(found.pop(finer), expected)
    assert torch.equal(*found.values(), coarse)


@given(st.integers(1, 9), st.integers(1, 9))
def test_each_frame_is_the_mean_of_those_that_it_covers(student: int, teacher: int) -> None:
    frames = min(student, teacher)
    for found, given_ in zip(
        same_frames(features(student), features(teacher)), (student, teacher), strict=True
    ):
        parts = [
            features(given_)[:, :, i * given_ // frames : math.ceil((i + 1) * given_ / frames)].mean(dim=2)
            for i in range(frames)
        ]
        torch.testing.assert_close(found, torch.stack(parts, dim=2))


def test_no_rows_stay_none() -> None:
    found = same_frames(features(4, rows=0), features(2, rows=0))
    assert [each.shape for each in found] == [(0, 3, 2, 4)] * 2
    assert node_loss(*found) == 0


def test_averaging_is_differentiable() -> None:
    fine = features(5).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: same_frames(x, features(3))[0], fine)


@pytest.mark.parametrize(("student_stride", "teacher_stride"), [(1, 4), (3, 2), (4, 1), (2, 2)])
def test_the_tape_is_exact_for_networks_of_other_strides(student_stride: int, teacher_stride: int) -> None:
    torch.manual_seed(0)
    student, teacher = one_block(student_stride).double(), one_block(teacher_stride, 6).double().eval()
    adaptation, batch = adaptation_layer(5, 6).double(), a_batch()
    objective = student_objective(student, teacher, adaptation, Recipe(), Distillation())
    parameters = [*student.parameters(), *adaptation.parameters()]
    losses = objective(batch)
    assert set(losses.distillation) == {"kl", "node", "edge"}
    expected, explicit = revised_gradients(losses.task, losses.distillation, parameters)
    with Tape() as tape:
        losses = objective(batch)
    found, report = revised_gradients_by_tape(
        losses.task, losses.distillation, parameters, losses.through, tape
    )
    torch.testing.assert_close(
        found, expected, rtol=1e-5, atol=1e-7
    )  # losses take logits in single precision
    assert report.share == pytest.approx(dict(explicit.share), rel=1e-4, abs=1e-6)


def test_the_tape_is_exact_where_averaging_is_on_it() -> None:
    torch.manual_seed(0)
    network, batch = one_block(1).double(), a_batch()
    wanted = torch.randn(6, 5, 5, 13, dtype=torch.float64)

    def losses() -> tuple[Tensor, dict[str, Tensor], tuple[Tensor, ...]]:
        logits, found = network(batch.low, batch.low_mask)
        pooled = same_frames(found[batch.low_mask], wanted)[0]
        task = nn.functional.cross_entropy(logits, batch.label)
        return task, {"node": node_loss(pooled, wanted)}, (logits, pooled)

    parameters = list(network.parameters())
    task, others, _ = losses()
    expected, explicit = revised_gradients(task, others, parameters)
    with Tape() as tape:
        task, others, through = losses()
    found, report = revised_gradients_by_tape(task, others, parameters, through, tape)
    torch.testing.assert_close(found, expected)
    assert report.share == pytest.approx(dict(explicit.share))


class Halved:
    """A teacher whose last map has every other joint."""

    def __init__(self, network: GraphNetwork) -> None:
        self._network, self.feature_channels = network, network.feature_channels

    def __call__(self, x: Tensor, mask: Tensor) -> NetworkOutput:
        logits, features = self._network(x, mask)
        return NetworkOutput(logits, features[..., ::2])


def test_other_joints_are_refused_in_one_line_and_the_probe_changes_nothing() -> None:
    student, teacher = st_2sgcn(COCO_17, 2, width=4), st_2sgcn(COCO_17, 2, width=4).eval()
    before = {name: value.clone() for name, value in student.state_dict().items()}
    require_same_joints(student, teacher, (2, 3, 8, 17))
    with pytest.raises(
        ConfigError, match="features have 17 joints, the teacher's 9; expected as many"
    ) as error:
        require_same_joints(student, Halved(teacher), (2, 3, 8, 17))
    assert "\n" not in str(error.value)
    assert student.training
    assert all(torch.equal(value, before[name]) for name, value in student.state_dict().items())
