"""The contract of every network: checks that take its builder.

A test module of a network runs them all::

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    def test_keeps_the_contract(check: Check) -> None:
        check(build)
"""

from __future__ import annotations

import copy
import io
from collections.abc import Callable
from inspect import signature

import pytest
import torch
from torch import Tensor, nn

from skdpipe.networks import GraphNetwork, count_multiply_adds
from skdpipe.networks.layers import PersonNorm, SpatialGraphConvolution
from skdpipe.skeleton import COCO_17, PENN_13, Layout

# Called as ``build(layout, classes, width=..., dropout=...)``, with ``people`` if it has that argument.
Build = Callable[..., GraphNetwork]
Check = Callable[[Build], None]

# a - b - c, with the root at one end: distances to the root are 0, 1, 2; degrees with oneself 2, 3, 2.
CHAIN = Layout("chain", ("a", "b", "c"), (("a", "b"), ("b", "c")), "a", (1.0,) * 3)
# Two joints that are not connected.
APART = Layout("apart", ("a", "b"), (), "a", (1.0,) * 2)
ONE_JOINT = Layout("one joint", ("a",), (), "a", (1.0,))

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


def clips(batch: int, people: int, layout: Layout = PENN_13, frames: int = 8, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, people, 3, frames, len(layout), generator=generator)


def step(network: nn.Module, x: Tensor, mask: Tensor) -> dict[str, Tensor]:
    """The results of a training step: outputs, gradients and running statistics."""
    logits, features = network(x, mask)
    (logits.square().sum() + features[mask].pow(3).sum()).backward()
    gradients = {
        f"gradient of {name}": p.grad for name, p in network.named_parameters() if p.grad is not None
    }
    assert len(gradients) == len(list(network.parameters()))
    return {"logits": logits, "features": features, **gradients, **dict(network.named_buffers())}


def build_narrow(
    build: Build,
    layout: Layout = PENN_13,
    classes: int = 5,
    *,
    people: int = 2,
    width: int = 6,
    **settings: float,
) -> GraphNetwork:
    """A network; by default of the smallest width that all of them have in common."""
    slots = {"people": people} if "people" in signature(build).parameters else {}
    return build(layout, classes, width=width, **slots, **settings)


def small(
    build: Build,
    *,
    classes: int = 5,
    people: int = 2,
    width: int = 6,
    dropout: float = 0.0,
    seed: int = 0,
) -> GraphNetwork:
    """Narrow, double precision, with perturbed weights: some have no effect at their initial values."""
    torch.manual_seed(seed)
    network = build_narrow(build, classes=classes, people=people, width=width, dropout=dropout).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.2)
    return network


def trained(build: Build, *, people: int = 2, width: int = 6) -> GraphNetwork:
    """In evaluation mode, with running statistics from training batches."""
    network = small(build, people=people, width=width)
    for number in range(3):
        network(clips(4, people, seed=number).double(), torch.ones(4, people, dtype=torch.bool))
    return network.eval()


def perturbed(network: GraphNetwork) -> GraphNetwork:
    """In evaluation mode, with no weight or statistic at its initial value."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                assert module.running_mean is not None
                assert module.running_var is not None
                module.running_mean.normal_()
                module.running_var.uniform_(0.5, 2)
    return network.eval()


def shapes_for_any_layout_people_and_frames(build: Build) -> None:
    usual = ((PENN_13, 3, 9), (COCO_17, 2, 15), (NTU_25, 2, 10))
    for layout, people, frames in (*usual, (CHAIN, 1, 8), (APART, 4, 14)):
        network = build_narrow(build, layout, 7, people=people)
        mask = torch.ones(2, people, dtype=torch.bool)
        logits, features = network(clips(2, people, layout, frames), mask)
        assert logits.shape == (2, 7)
        assert logits.isfinite().all()
        assert network.feature_channels == 4 * 6
        later = -(-frames // 4)  # two strides of two, rounded up
        assert features.shape == (2, people, network.feature_channels, later, len(layout))


def one_joint_is_a_valid_layout(build: Build) -> None:
    network, mask = build_narrow(build, ONE_JOINT), torch.ones(2, 2, dtype=torch.bool)
    logits, features = network(clips(2, 2, ONE_JOINT), mask)
    assert logits.isfinite().all()
    assert features.shape == (2, 2, 24, 2, 1)


def any_number_of_input_channels(build: Build) -> None:
    mask = torch.ones(2, 2, dtype=torch.bool)
    for channels in (2, 4):
        network = build_narrow(build, CHAIN, in_channels=channels)
        assert network(torch.randn(2, 2, channels, 8, 3), mask).logits.shape == (2, 5)


def channels_come_last_in_memory(build: Build) -> None:
    """Of feature maps; tensors without a frame axis may have any memory format."""
    network, checked = small(build), []

    def check(module: nn.Module, _: object, output: Tensor) -> None:
        checked.append(module)
        if output.shape[3] in (8, 4, 2):  # frames
            assert output.is_contiguous(memory_format=torch.channels_last), module

    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.BatchNorm2d):
            module.register_forward_hook(check)
    network.blocks.register_forward_hook(check)
    features = network(clips(2, 2).double(), torch.ones(2, 2, dtype=torch.bool)).features
    assert checked[-1] is network.blocks
    assert features.permute(0, 1, 4, 3, 2).is_contiguous()


def gradients_reach_every_parameter(build: Build) -> None:
    """In evaluation mode, since batch norm in training mode cancels the bias before it.

    The width is large enough that ReLU does not zero all channels of a branch.
    """
    network = trained(build, width=36)
    logits, features = network(clips(3, 2).double(), torch.ones(3, 2, dtype=torch.bool))
    (logits.square().sum() + features.pow(3).sum()).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().max() > 0, name


def initial_weights_have_gradients(build: Build) -> None:
    torch.manual_seed(0)
    step(build_narrow(build), clips(2, 2), torch.ones(2, 2, dtype=torch.bool))


def every_joint_of_every_frame_matters(build: Build) -> None:
    x = clips(1, 2, frames=9).double().requires_grad_()
    logits = trained(build)(x, torch.ones(1, 2, dtype=torch.bool)).logits
    (gradient,) = torch.autograd.grad(logits.square().sum(), x)
    assert (gradient != 0).any(dim=2).all()


def features_depend_on_their_person_only(build: Build) -> None:
    network, x, mask = trained(build), clips(2, 2).double(), torch.ones(2, 2, dtype=torch.bool)
    changed = x.clone()
    changed[:, 1] *= 2
    before, after = network(x, mask).features, network(changed, mask).features
    torch.testing.assert_close(after[:, 0], before[:, 0])
    assert (after[:, 1] - before[:, 1]).abs().max() > 1e-6


def samples_are_independent_in_evaluation(build: Build) -> None:
    network, x = trained(build), clips(3, 2).double()
    mask = torch.tensor([[True, True], [True, False], [True, True]])
    logits, features = network(x, mask)
    for number in range(3):
        alone = network(x[number : number + 1], mask[number : number + 1])
        torch.testing.assert_close(alone.logits[0], logits[number])
        torch.testing.assert_close(alone.features[0], features[number])
    assert (logits[0] - logits[2]).abs().max() > 1e-6


def padding_changes_nothing(build: Build) -> None:
    """Logits, features, gradients and running statistics do not depend on the values of padded people."""
    network, x = small(build, people=3), clips(4, 3).double()
    mask = torch.tensor([[True, True, False], [False, True, False], [True, True, False], [False] * 3])
    found = []
    for garbage in (0.0, float("nan"), float("inf"), -1e30):
        padded = torch.where(mask[..., None, None, None], x, garbage)
        logits, features = (copied := copy.deepcopy(network))(padded, mask)
        assert (features[~mask] == 0).all()
        (logits.square().sum() + features[mask].pow(3).sum()).backward()
        gradients = {name: p.grad for name, p in copied.named_parameters()}
        found.append((logits, features, gradients, dict(copied.named_buffers())))
    for other in found[1:]:
        torch.testing.assert_close(other, found[0], rtol=0, atol=0)


def a_clip_without_people_has_logits(build: Build) -> None:
    network, x = trained(build), clips(2, 2).double()
    mask = torch.tensor([[True, True], [False, False]])
    x[1] = torch.nan
    logits, features = network(x, mask)
    assert logits.isfinite().all()
    assert (features[1] == 0).all()
    torch.testing.assert_close(logits[0], network(x[:1], mask[:1]).logits[0])


def people_can_be_permuted(build: Build) -> None:
    """With a norm for each person slot the order has an effect, unless these norms are equal."""
    network, x = trained(build, people=3), clips(2, 3).double()
    mask, order = torch.tensor([[True, True, True], [True, False, True]]), [2, 0, 1]
    if isinstance(network.normalise, PersonNorm):
        before, after = network(x, mask).logits, network(x[:, order], mask[:, order]).logits
        assert (before - after).abs().max() > 1e-6
        first, *others = network.normalise.norms
        for norm in others:
            norm.load_state_dict(first.state_dict())
    logits, features = network(x, mask)
    moved = network(x[:, order], mask[:, order])
    torch.testing.assert_close(moved.logits, logits)
    torch.testing.assert_close(moved.features, features[:, order])


def more_people_than_slots_are_refused(build: Build) -> None:
    """With a norm for each person slot; otherwise any number of people is accepted."""
    network, x = trained(build, people=2), clips(1, 3).double()
    two, three = torch.tensor([[True, True, False]]), torch.tensor([[True, True, True]])
    assert network(x, two).logits.isfinite().all()
    if isinstance(network.normalise, PersonNorm):
        with pytest.raises(AssertionError, match="a person in slot 3, but norms for people=2"):
            network(x, three)
    else:
        assert network(x, three).logits.isfinite().all()


def training_steps_are_deterministic(build: Build) -> None:
    def once() -> dict[str, Tensor]:
        network = small(build, dropout=0.5)
        torch.manual_seed(7)
        return step(network, clips(2, 2).double(), torch.tensor([[True, True], [True, False]]))

    torch.testing.assert_close(once(), once(), rtol=0, atol=0)


def dropout_has_the_given_probability(build: Build) -> None:
    kinds = nn.Dropout | nn.Dropout2d
    probabilities = {m.p for m in small(build, dropout=0.3).modules() if isinstance(m, kinds)}
    assert 0.3 in probabilities
    assert probabilities <= {0.0, 0.3}
    assert {m.p for m in small(build).modules() if isinstance(m, kinds)} == {0.0}


def dropout_is_active_in_training_only(build: Build) -> None:
    network, x, mask = small(build, dropout=0.5), clips(2, 2).double(), torch.ones(2, 2, dtype=torch.bool)
    assert not torch.equal(network(x, mask).logits, network(x, mask).logits)
    without = small(build).eval()
    without.load_state_dict(network.state_dict())
    assert torch.equal(network.eval()(x, mask).logits, without(x, mask).logits)


def state_dict_restores_the_network(build: Build) -> None:
    network, x, mask = trained(build), clips(2, 2).double(), torch.ones(2, 2, dtype=torch.bool)
    file = io.BytesIO()
    torch.save(network.state_dict(), file)
    file.seek(0)
    other = small(build, seed=1).eval()
    other.load_state_dict(torch.load(file, weights_only=True))
    torch.testing.assert_close(other(x, mask), network(x, mask), rtol=0, atol=0)


def multiply_adds_grow_with_people(build: Build) -> None:
    """All operations are per person, except the classifier and the aggregation of biases."""
    network = build_narrow(build, CHAIN, 4, people=4)
    two, four = (count_multiply_adds(network, (1, people, 3, 8, 3)) for people in (2, 4))
    gathers = [m for m in network.modules() if isinstance(m, SpatialGraphConvolution)]
    shared = 4 * network.feature_channels + sum(3 * each.mix.out_channels for each in gathers)
    assert shared < two
    assert four - shared == 2 * (two - shared)


CHECKS: tuple[Check, ...] = (
    shapes_for_any_layout_people_and_frames,
    one_joint_is_a_valid_layout,
    any_number_of_input_channels,
    channels_come_last_in_memory,
    gradients_reach_every_parameter,
    initial_weights_have_gradients,
    every_joint_of_every_frame_matters,
    features_depend_on_their_person_only,
    samples_are_independent_in_evaluation,
    padding_changes_nothing,
    a_clip_without_people_has_logits,
    people_can_be_permuted,
    more_people_than_slots_are_refused,
    training_steps_are_deterministic,
    dropout_has_the_given_probability,
    dropout_is_active_in_training_only,
    state_dict_restores_the_network,
    multiply_adds_grow_with_people,
)
