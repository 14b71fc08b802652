"""The objectives of teacher, baselines and students."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from distillation_setup import (
    CPU,
    RECIPE,
    DistillationSetup,
    first_batch,
    task_until,
    tiny_network,
    training_clips,
)
from moving_body import fill
from torch import Tensor, nn

from skdpipe.cache import PoseCache
from skdpipe.config import Distillation
from skdpipe.dataset import Batch, PairedClips, batches
from skdpipe.distill.gradients import RevisionReport, revised_gradients, summed_revised_gradients
from skdpipe.distill.objective import (
    are_correct,
    baseline_objective,
    cache_teacher_outputs,
    student_objective,
    teacher_objective,
)
from skdpipe.networks import GraphNetwork, NetworkOutput


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> PairedClips:
    return training_clips(fill(PoseCache(tmp_path_factory.mktemp("cache"))))


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        (Distillation(), {"kl", "node", "edge"}),
        (Distillation(kl=0), {"node", "edge"}),
        (Distillation(node=0, edge=0), {"kl"}),
        (Distillation(kl=0, node=0, edge=0), set()),
        (Distillation(edge_variant="official", kl_direction="student_teacher"), {"kl", "node", "edge"}),
    ],
)
def test_losses_without_weight_are_left_out(
    data: PairedClips, tmp_path: Path, settings: Distillation, names: set[str]
) -> None:
    setup = DistillationSetup(settings)
    assert setup.objective(first_batch(data)).distillation.keys() == names
    (curve, *_) = setup.train(data, tmp_path)
    assert curve.losses.keys() == {"task", *names}
    assert curve.cosines.keys() == curve.revised.keys() == names


def test_weights_multiply_their_losses(data: PairedClips) -> None:
    batch = first_batch(data)
    plain = DistillationSetup(Distillation(kl=1, node=1, edge=1)).objective(batch).distillation
    weighted = DistillationSetup(Distillation(kl=2, node=0.5, edge=3)).objective(batch).distillation
    for name, factor in (("kl", 2), ("node", 0.5), ("edge", 3)):
        torch.testing.assert_close(weighted[name], factor * plain[name])


def test_teacher_and_baseline_use_their_own_quality(data: PairedClips) -> None:
    network, batch = tiny_network().eval(), first_batch(data)
    worse = batch._replace(low=torch.zeros_like(batch.low))
    assert teacher_objective(network, RECIPE)(batch).task == teacher_objective(network, RECIPE)(worse).task
    assert baseline_objective(network, RECIPE)(batch).task != baseline_objective(network, RECIPE)(worse).task
    same_view = batch._replace(high=batch.low, high_mask=batch.low_mask)
    assert (
        baseline_objective(network, RECIPE)(batch).task == teacher_objective(network, RECIPE)(same_view).task
    )


def test_correct_clips_are_counted_where_somebody_is_seen() -> None:
    logits = torch.tensor([[1.0, 2.0], [2.0, 1.0], [1.0, 2.0]])
    mask = torch.tensor([[True, False], [True, True], [False, False]])
    assert are_correct(logits, torch.tensor([1, 1, 1]), mask).tolist() == [True, False, False]


def test_the_student_counts_labelled_clips_alone(data: PairedClips) -> None:
    batch = first_batch(data)
    labelled = torch.arange(8) % 4 == 0
    setup = DistillationSetup()
    setup.modules.eval()
    correct = setup.objective(batch._replace(labelled=labelled)).correct
    assert correct is not None
    own = setup.student(batch.low, batch.low_mask).logits.argmax(dim=1) == batch.label
    assert correct.tolist() == own[labelled].tolist()
    teacher = teacher_objective(setup.teacher, RECIPE)(batch).correct
    assert teacher is not None
    expected = setup.teacher(batch.high, batch.high_mask).logits.argmax(dim=1) == batch.label
    assert teacher.tolist() == expected.tolist()


def test_the_recipe_selects_the_task_loss(data: PairedClips) -> None:
    network, batch = tiny_network().eval(), first_batch(data)
    log_p = network(batch.low, batch.low_mask).logits.log_softmax(1)
    by_label = log_p[torch.arange(8), batch.label]
    expected = {"cross_entropy": -by_label.mean(), "binary_cross_entropy_per_class": -2 * by_label.mean()}
    for name, loss in expected.items():  # with two classes, the other's 1 - P is the label's P
        found = baseline_objective(network, replace(RECIPE, task_loss=name))(batch).task
        torch.testing.assert_close(found, loss)


def test_padded_people_do_not_affect_losses_and_gradients(data: PairedClips) -> None:
    setup = DistillationSetup()
    batch = first_batch(data)
    noise = torch.full_like(batch.high[:, :1], 1e3)
    nobody = torch.zeros(8, 1, dtype=torch.bool)
    padded = Batch(
        torch.cat([batch.high, noise], 1),
        torch.cat([batch.high_mask, nobody], 1),
        torch.cat([batch.low, -noise], 1),
        torch.cat([batch.low_mask, nobody], 1),
        torch.cat([batch.paired, nobody], 1),
        batch.label,
        batch.labelled,
        batch.number,
    )
    results = []
    for each in (batch, padded):
        losses = setup.objective(each)
        total = losses.task + sum(losses.distillation.values())
        results.append(
            [
                losses.task,
                *losses.distillation.values(),
                *torch.autograd.grad(total, list(setup.modules.parameters())),
            ]
        )
    torch.testing.assert_close(results[0], results[1], rtol=1e-5, atol=1e-7)


def test_people_of_only_one_quality_enter_only_task_and_kl(data: PairedClips) -> None:
    setup, batch = DistillationSetup(), first_batch(data)
    alone = setup.objective(batch._replace(paired=torch.zeros_like(batch.paired)))
    both = setup.objective(batch)
    torch.testing.assert_close(alone.task, both.task)
    torch.testing.assert_close(alone.distillation["kl"], both.distillation["kl"])
    assert alone.distillation["node"] == alone.distillation["edge"] == 0
    assert both.distillation["node"] > 0


class RecordingTeacher:
    """A teacher that records its inputs."""

    def __init__(self, teacher: GraphNetwork) -> None:
        self._teacher, self.feature_channels = teacher, teacher.feature_channels
        self.inputs: list[Tensor] = []

    def __call__(self, x: Tensor, mask: Tensor) -> NetworkOutput:
        self.inputs.append(x)
        return self._teacher(x, mask)


def without_high(batch: Batch, clips: list[int]) -> Batch:
    """The batch with some clips of low quality only; NaN in their high quality."""
    high, mask, paired = batch.high.clone(), batch.high_mask.clone(), batch.paired.clone()
    high[clips], mask[clips], paired[clips] = torch.nan, False, False
    return batch._replace(high=high, high_mask=mask, paired=paired)


def test_clips_of_low_quality_only_enter_only_the_task_loss(data: PairedClips) -> None:
    setup, batch = DistillationSetup(), first_batch(data)
    setup.student.eval()  # a clip's output then does not depend on the others
    teacher = RecordingTeacher(setup.teacher)
    kept = [0, 2, 3, 6, 7]
    mixed = setup.objective_with(teacher)(without_high(batch, [1, 4, 5]))
    paired = setup.objective_with(teacher)(Batch(*(part[kept] for part in batch)))
    torch.testing.assert_close(mixed.task, setup.objective(batch).task)
    torch.testing.assert_close(dict(mixed.distillation), dict(paired.distillation))
    torch.testing.assert_close(teacher.inputs[0], batch.high[kept])


def test_a_batch_without_pairs_has_only_the_task_loss(data: PairedClips) -> None:
    setup, batch = DistillationSetup(), first_batch(data)
    teacher = RecordingTeacher(setup.teacher)
    losses = setup.objective_with(teacher)(without_high(batch, list(range(8))))
    assert not losses.distillation
    assert not teacher.inputs
    assert losses.task > 0


def test_cached_outputs_give_the_same_losses(data: PairedClips) -> None:
    setup = DistillationSetup()
    recipe = replace(setup.recipe, batch=3)  # other batches than in the objective
    cached = cache_teacher_outputs(setup.teacher, data, recipe, 1, CPU, task_until())
    assert cached is not None
    teacher = RecordingTeacher(setup.teacher)
    with_cache = student_objective(
        setup.student, teacher, setup.adaptation, setup.recipe, Distillation(), cached
    )
    (batch,) = batches(data, 8, shuffle=np.random.default_rng(0))
    for each in (batch, without_high(batch, [1, 4])):
        expected = setup.objective(each)
        found = with_cache(each)
        torch.testing.assert_close(found.task, expected.task)
        torch.testing.assert_close(found.distillation, expected.distillation)
    assert not teacher.inputs


def test_outputs_beyond_the_memory_limit_are_not_cached(data: PairedClips) -> None:
    teacher = DistillationSetup().teacher
    output = teacher(*first_batch(data)[:2])
    needed = len(data) / 8 * sum(each.nbytes for each in output) / 1e6
    assert cache_teacher_outputs(teacher, data, RECIPE, 1.001 * needed, CPU, task_until()) is not None
    assert cache_teacher_outputs(teacher, data, RECIPE, 0.999 * needed, CPU, task_until()) is None


def test_losses_under_autocast_are_single_precision(data: PairedClips) -> None:
    setup, batch = DistillationSetup(), first_batch(data)
    single = setup.objective(batch)
    with torch.autocast("cpu", torch.bfloat16):
        half = setup.objective(batch)
    for name, loss in {"task": half.task, **half.distillation}.items():
        assert loss.dtype == torch.float32
        expected = single.task if name == "task" else single.distillation[name]
        torch.testing.assert_close(loss, expected, rtol=0.1, atol=0.02)


def test_pooled_losses(data: PairedClips) -> None:
    """Node: squared distance of means over frames and joints; edge: distances between these means."""
    setup, batch = DistillationSetup(Distillation(kl=0, node=1, edge=1, pooled=True)), first_batch(data)
    losses = setup.objective(batch).distillation
    setup.student.train()
    own = setup.adaptation(setup.student(batch.low, batch.low_mask).features[batch.paired])
    target = setup.teacher(batch.high, batch.high_mask).features[batch.paired]
    one, other = own.mean(dim=(2, 3)), target.mean(dim=(2, 3))
    torch.testing.assert_close(losses["node"], (one - other).square().sum(dim=1).mean())
    distances = [torch.cdist(each, each).square() for each in (one, other)]
    potentials = [each / each.mean() for each in distances]
    torch.testing.assert_close(losses["edge"], torch.nn.functional.huber_loss(*potentials), rtol=1e-4, atol=0)


def test_clips_without_label_enter_only_the_distillation_losses(data: PairedClips) -> None:
    setup, batch = DistillationSetup(), first_batch(data)
    few = batch._replace(
        labelled=torch.arange(8) < 3, label=torch.where(torch.arange(8) < 3, batch.label, -1)
    )
    complete, some = setup.objective(batch), setup.objective(few)
    for name, loss in complete.distillation.items():
        torch.testing.assert_close(some.distillation[name], loss)
    logits = setup.student(batch.low, batch.low_mask).logits[:3]
    torch.testing.assert_close(some.task, nn.functional.cross_entropy(logits, batch.label[:3]) * 3 / 8)
    assert baseline_objective(setup.student, RECIPE)(batch).task != some.task


@pytest.mark.parametrize("revise", [revised_gradients, summed_revised_gradients])
def test_a_batch_without_labels_has_no_task_gradient(
    data: PairedClips, revise: Callable[..., tuple[tuple[Tensor, ...], RevisionReport]]
) -> None:
    """The gradient is that of the distillation losses, without revision."""
    setup, batch = DistillationSetup(), first_batch(data)
    parameters = list(setup.modules.parameters())
    unlabelled = batch._replace(
        labelled=torch.zeros(8, dtype=torch.bool), label=torch.full((8,), -1, dtype=torch.int64)
    )
    losses = setup.objective(unlabelled)
    assert losses.task == 0
    total = sum(losses.distillation.values())
    expected = torch.autograd.grad(total, parameters, retain_graph=True)
    gradients, report = revise(losses.task, losses.distillation, parameters)
    assert not any(report.revised.values())
    torch.testing.assert_close(gradients, expected)
