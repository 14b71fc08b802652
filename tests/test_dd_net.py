"""DD-Net: its inputs against loops, unseen joints, invariances, short clips, parameters, distillation."""

from __future__ import annotations

import math

import pytest
import torch
from network_contract import (
    CHAIN,
    CHECKS,
    NTU_25,
    ONE_JOINT,
    Check,
    any_number_of_input_channels,
    build_narrow,
    channels_come_last_in_memory,
    clips,
    every_joint_of_every_frame_matters,
    one_joint_is_a_valid_layout,
    shapes_for_any_layout_people_and_frames,
    trained,
)
from torch import Tensor, nn

from skdpipe.config import Distillation, Recipe
from skdpipe.dataset import Batch
from skdpipe.distill.edge_loss import edge_loss
from skdpipe.distill.losses import node_loss
from skdpipe.distill.objective import student_objective
from skdpipe.networks import GraphNetwork, adaptation_layer, count_parameters, dd_net, deployed
from skdpipe.skeleton import COCO_17, PENN_13, Layout

# DD-Net has features of one joint, inputs of three channels, and no gradient for the input of unseen joints.
OF_GRAPHS = (
    shapes_for_any_layout_people_and_frames,
    one_joint_is_a_valid_layout,
    any_number_of_input_channels,
    channels_come_last_in_memory,
    every_joint_of_every_frame_matters,
)
EVERYONE = torch.ones(2, 2, dtype=torch.bool)


@pytest.mark.parametrize(
    "check", [check for check in CHECKS if check not in OF_GRAPHS], ids=lambda check: check.__name__
)
def test_keeps_the_contract(check: Check) -> None:
    check(dd_net)


def seen(x: Tensor) -> Tensor:
    """The clips with a confidence of one."""
    return torch.cat([x[:, :, :2], torch.ones_like(x[:, :, 2:])], dim=2)


# Shapes


@pytest.mark.parametrize(
    "layout", [PENN_13, COCO_17, NTU_25, CHAIN, ONE_JOINT], ids=lambda layout: layout.name
)
@pytest.mark.parametrize("frames", [1, 2, 3, 5, 8, 15, 24])
def test_shapes_for_any_layout_and_number_of_frames(layout: Layout, frames: int) -> None:
    network = build_narrow(dd_net, layout, 7).eval()
    logits, features = network(clips(2, 3, layout, frames), torch.ones(2, 3, dtype=torch.bool))
    assert logits.shape == (2, 7)
    assert features.shape == (2, 3, network.feature_channels, math.ceil(frames / 8), 1)
    assert logits.isfinite().all()
    assert features.isfinite().all()


@pytest.mark.parametrize("frames", [1, 2, 3, 5])
def test_short_clips_are_trained(frames: int) -> None:
    network = build_narrow(dd_net)
    network(seen(clips(2, 2, frames=frames)), EVERYONE).logits.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


@pytest.mark.parametrize(
    ("joints", "classes", "width", "parameters"),
    [(15, 21, 16, 115_269), (15, 21, 64, 1_726_677), (25, 60, 16, 129_372)],
)
def test_parameters(joints: int, classes: int, width: int, parameters: int) -> None:
    layout = Layout("unconnected", tuple(map(str, range(joints))), (), "0", (1.0,) * joints)

    def convolution(channels: int, out: int, taps: int) -> int:
        return taps * channels * out + 2 * out  # followed by a batch norm

    inputs = (joints * (joints - 1) // 2, 2 * joints, 2 * joints, 2 * joints)
    expected = sum(
        convolution(channels, width, 1) + convolution(width, width, 3) + convolution(width, width, 1)
        for channels in inputs
    )
    for channels, out in ((4, 2), (2, 4), (4, 8)):
        expected += convolution(channels * width, out * width, 3) + convolution(out * width, out * width, 3)
    network = dd_net(layout, classes, width=width)
    expected += (network.feature_channels + 1) * classes
    assert count_parameters(network) == expected == parameters


# The four inputs


def inputs_of(network: GraphNetwork, x: Tensor) -> dict[str, Tensor]:
    """The input of each stream, ``(channel, frame)``, for a clip of one person."""
    found: dict[str, Tensor] = {}
    hooks = [
        getattr(network.blocks, name).register_forward_pre_hook(
            lambda _, inputs, name=name: found.update({name: inputs[0][0, :, 0]})
        )
        for name in ("distances", "positions", "slow_motion", "fast_motion")
    ]
    network(x, torch.ones(1, 1, dtype=torch.bool))
    for hook in hooks:
        hook.remove()
    return found


def test_inputs_against_loops() -> None:
    network, frames = trained(dd_net), 7
    x = clips(1, 1, frames=frames).double()  # about half of the confidences are negative
    place, is_seen = x[0, 0, :2], x[0, 0, 2] > 1e-6
    found = inputs_of(network, x)
    pairs = [(a, b) for a in range(13) for b in range(a + 1, 13)]

    def distance(a: int, b: int, t: int) -> float:
        return math.dist(place[:, t, a].tolist(), place[:, t, b].tolist()) * (is_seen[t, a] & is_seen[t, b])

    def change(axis: int, joint: int, t: int, later: int) -> float:
        if later >= frames or not (is_seen[t, joint] and is_seen[later, joint]):
            return 0.0
        return float(place[axis, later, joint] - place[axis, t, joint])

    joints = [(axis, joint) for axis in range(2) for joint in range(13)]
    expected = {
        "distances": [[distance(a, b, t) for t in range(frames)] for a, b in pairs],
        "positions": [
            [float(place[axis, t, j] * is_seen[t, j]) for t in range(frames)] for axis, j in joints
        ],
        "slow_motion": [[change(axis, j, t, t + 1) for t in range(frames)] for axis, j in joints],
        "fast_motion": [[change(axis, j, t, t + 2) for t in range(0, frames, 2)] for axis, j in joints],
    }
    for name, values in expected.items():
        torch.testing.assert_close(found[name], torch.tensor(values, dtype=torch.float64))


def test_the_position_of_an_unseen_joint_has_no_effect() -> None:
    network, x = trained(dd_net), seen(clips(2, 2, frames=9).double())
    x[0, 1, 2, 3:6, 4] = 0
    x[1, 0, 2, :, 7] = -1
    changed = x.clone()
    changed[0, 1, :2, 3:6, 4] = 1e6
    changed[1, 0, :2, :, 7] = -17
    torch.testing.assert_close(network(changed, EVERYONE), network(x, EVERYONE), rtol=0, atol=0)
    seen_instead = x.clone()
    seen_instead[0, 1, 2, 3:6, 4] = 1
    assert (network(seen_instead, EVERYONE).logits[0] - network(x, EVERYONE).logits[0]).abs().max() > 1e-6


def test_the_degree_of_confidence_has_no_effect() -> None:
    network, x = trained(dd_net), seen(clips(2, 2).double())
    fainter = x.clone()
    fainter[:, :, 2] = 0.1
    torch.testing.assert_close(network(fainter, EVERYONE), network(x, EVERYONE), rtol=0, atol=0)


def test_every_seen_joint_of_every_frame_matters() -> None:
    x = seen(clips(1, 2, frames=9).double()).requires_grad_()
    logits = trained(dd_net, width=36)(x, torch.ones(1, 2, dtype=torch.bool)).logits
    (gradient,) = torch.autograd.grad(logits.square().sum(), x)
    assert (gradient != 0).any(dim=2).all()


def silence(network: GraphNetwork, *streams: str) -> GraphNetwork:
    """The network with zero weights in the first convolution of some streams."""
    for name in streams:
        nn.init.zeros_(getattr(network.blocks, name)[0].weight)
    return network


def test_distances_are_invariant_to_rotation_and_translation() -> None:
    network, x = trained(dd_net), clips(2, 2, frames=9).double()
    angle = 0.7
    turn = torch.tensor(
        [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]], dtype=torch.float64
    )
    moved = x.clone()
    moved[:, :, :2] = torch.einsum("ac,npctj->npatj", turn, x[:, :, :2]) + torch.tensor([3.0, -2]).view(
        2, 1, 1
    )
    before, after = network(x, EVERYONE).logits, network(moved, EVERYONE).logits
    assert (before - after).abs().max() > 1e-3
    silence(network, "positions", "slow_motion", "fast_motion")
    torch.testing.assert_close(network(moved, EVERYONE), network(x, EVERYONE))
    stretched = x.clone()
    stretched[:, :, 0] *= 2
    before, after = network(x, EVERYONE).logits, network(stretched, EVERYONE).logits
    assert (before - after).abs().max() > 1e-3


def test_motion_is_invariant_to_translation_and_not_to_the_order_of_frames() -> None:
    network, x = silence(trained(dd_net), "positions", "distances"), clips(2, 2, frames=9).double()
    moved = x.clone()
    moved[:, :, :2] += 3
    torch.testing.assert_close(network(moved, EVERYONE), network(x, EVERYONE))
    before, after = network(x, EVERYONE).logits, network(x.flip(3), EVERYONE).logits
    assert (before - after).abs().max() > 1e-3


# Training and precision


def test_the_gradient_is_finite_where_joints_coincide() -> None:
    network = build_narrow(dd_net)
    x = seen(clips(2, 2))
    x[:, :, :2, :, 1] = x[:, :, :2, :, 0]  # two joints
    x[0, 0, :2] = 0.5  # a whole person, in all frames
    network(x, EVERYONE).logits.square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


def test_dropout_drops_a_channel_of_the_whole_clip() -> None:
    torch.manual_seed(0)
    network = build_narrow(dd_net, width=16, dropout=0.5)
    found: list[Tensor] = []
    network.blocks.mix.register_forward_pre_hook(lambda _, inputs: found.append(inputs[0]))
    network(seen(clips(2, 2, frames=16)), EVERYONE)
    (x,) = found
    dropped = (x == 0).all(dim=3).float().mean()
    assert 0.4 < dropped < 0.6
    assert (x == 0).float().mean() == dropped


def test_half_precision() -> None:
    network, x = trained(dd_net).float(), seen(clips(2, 2, frames=9))
    expected = network(x, EVERYONE)
    with torch.autocast("cpu", torch.bfloat16):
        outputs = network(x, EVERYONE), deployed(network)(x, EVERYONE)
    for output in outputs:
        for half, single in zip(output, expected, strict=True):
            difference = (half.float() - single).square().mean().sqrt()
            assert difference < 0.03 * single.square().mean().sqrt()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_half_precision_training_step_on_a_gpu() -> None:
    network, x = build_narrow(dd_net).cuda(), seen(clips(2, 2, frames=9)).cuda()
    with torch.autocast("cuda", torch.float16):
        loss = network(x, EVERYONE.cuda()).logits.float().square().sum()
    loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


# Distillation


def random_batch(frames: int = 9) -> Batch:
    high, low = (seen(clips(4, 2, frames=frames, seed=seed)).double() for seed in (1, 2))
    mask = torch.tensor([[True, True], [True, False], [True, True], [False, True]])
    number = torch.arange(4)
    return Batch(high, mask, low, mask, mask, number, number >= 0, number)


@pytest.mark.parametrize("pooled", [False, True])
def test_node_and_edge_loss_between_two_dd_nets(pooled: bool) -> None:
    teacher, student = trained(dd_net, width=8), trained(dd_net).train()
    adaptation = adaptation_layer(student.feature_channels, teacher.feature_channels).double()
    batch = random_batch()
    settings = Distillation(node_variant="paper", pooled=pooled)
    losses = student_objective(student, teacher, adaptation, Recipe(), settings)(batch)
    own = adaptation(student(batch.low, batch.low_mask).features[batch.paired]).float()
    target = teacher(batch.high, batch.high_mask).features[batch.paired].float()
    if pooled:
        own, target = (x.mean(dim=(2, 3)).t()[None, :, :, None] for x in (own, target))
    torch.testing.assert_close(losses.distillation["node"], 0.5 * node_loss(own, target))
    torch.testing.assert_close(losses.distillation["edge"], 0.5 * edge_loss(own, target))
    for loss in losses.distillation.values():
        gradients = torch.autograd.grad(
            loss, list(student.blocks.parameters()), retain_graph=True, allow_unused=True
        )
        assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)
        assert any(gradient.abs().max() > 0 for gradient in gradients)


def test_edge_loss_of_clips_of_eight_frames_is_zero_and_so_is_its_gradient() -> None:
    """Their features have a single vertex, which has no edges."""
    teacher, student = trained(dd_net), trained(dd_net, width=6).train()
    adaptation = adaptation_layer(student.feature_channels, teacher.feature_channels).double()
    losses = student_objective(student, teacher, adaptation, Recipe(), Distillation())(random_batch(frames=8))
    assert losses.distillation["edge"] == 0
    gradients = torch.autograd.grad(losses.distillation["edge"], list(student.blocks.parameters()))
    assert all((gradient == 0).all() for gradient in gradients)
