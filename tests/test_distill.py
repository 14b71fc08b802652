"""Training goes where it should, goes on where it stopped, and a run keeps all that it promises."""

from __future__ import annotations

import copy
import json
import math
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
import yaml
from moving_body import ACTIONS, BOX_PLUGIN, a_sequence, blurred, fill, tiny_experiment
from skdpipe.distill.tape import Tape
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler

from skdpipe.bundle import Bundle, build_network, load_bundle
from skdpipe.cache import PoseCache
from skdpipe.config import (
    Augmentation,
    ClipFormat,
    Degradation,
    Distillation,
    Estimator,
    Experiment,
    LabelShares,
    Method,
    NetworkChoice,
    Recipe,
    to_plain,
)
from skdpipe.dataset import Batch, PairedClips, augment, batches, build_manifest
from skdpipe.distill import NAMES, DistillationResult, distill_student
from skdpipe.distill.gradients import revised_gradients, revised_gradients_by_tape
from skdpipe.distill.objective import (
    baseline_objective,
    cache_teacher_outputs,
    student_objective,
    teacher_objective,
)
from skdpipe.distill.training import Curve, Losses, Objective, _backward, _restore, _store, rate, train
from skdpipe.errors import BundleError, DataError
from skdpipe.evaluate import Figures
from skdpipe.inference.predictor import Predictor
from skdpipe.networks import FoldedStGcn, GraphNetwork, Network, NetworkOutput, adaptation_layer
from skdpipe.progress import Progress, Task
from skdpipe.skeleton import COCO_17

CPU = torch.device("cpu")
TINY = NetworkChoice("st_2sgcn", width=4)
RECIPE = Recipe(epochs=3, batch=4, learning_rate=0.05)


class InterruptionError(Exception):
    """As if somebody had pressed Ctrl-C."""


class Interrupt(Task):
    """Breaks off when so much is done."""

    def __init__(self, at: float) -> None:
        self._at = at

    def advance_to(self, done: float, note: str = "") -> None:
        if done >= self._at:
            raise InterruptionError


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> PoseCache:
    return fill(PoseCache(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="module")
def data(cache: PoseCache) -> PairedClips:
    """Eight training clips: two batches of four."""
    manifest = build_manifest(cache, tiny_experiment())
    clip = ClipFormat(frames=8)
    return PairedClips(cache, manifest.part(train=True), manifest.classes, clip, clip, None, 0)


def a_network(seed: int = 0, choice: NetworkChoice = TINY) -> GraphNetwork:
    torch.manual_seed(seed)
    return build_network(choice, ClipFormat(), 2)


class Lesson:
    """A student with its teacher, and how it is taught."""

    def __init__(
        self, settings: Distillation | None = None, recipe: Recipe = RECIPE, dropout: float = 0
    ) -> None:
        self.recipe = recipe
        self.teacher = a_network(1, replace(TINY, width=6)).eval()
        self.student = a_network(2, replace(TINY, dropout=dropout))
        self.adaptation = adaptation_layer(16, 24)
        self.modules = nn.ModuleDict({"network": self.student, "adaptation": self.adaptation})
        self.objective = student_objective(
            self.student, self.teacher, self.adaptation, recipe, settings or Distillation()
        )

    def train(
        self,
        data: PairedClips,
        folder: Path,
        *,
        seed: int = 0,
        revision: bool = True,
        until: float = math.inf,
        objective: Objective | None = None,
        distil_from: int = 0,
    ) -> list[Curve]:
        def look(batch: Batch, rng: np.random.Generator) -> Batch:
            return augment(batch, rng, mirror=COCO_17.mirror, settings=Augmentation())

        return train(
            self.modules,
            objective or self.objective,
            data,
            self.recipe,
            seed=seed,
            device=CPU,
            revision=revision,
            augment=look if self.recipe.augment else None,
            state_file=folder / "student.state",
            task=Interrupt(until),
            distil_from=distil_from,
        )


def state_of(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    assert one.keys() == other.keys()
    return all(torch.equal(one[name], other[name]) for name in one)


def a_batch(data: PairedClips, size: int = 8) -> Batch:
    return next(iter(batches(data, size)))


# The schedule


@pytest.mark.parametrize(
    ("epoch", "factor"),
    [(0, 1), (14.99, 1), (15, 0.1), (29.99, 0.1), (30, 0.01), (44.99, 0.01), (45, 0.001), (59.99, 0.001)],
)
def test_the_papers_learning_rate(epoch: float, factor: float) -> None:
    recipe = Recipe(epochs=60, milestones=(15, 30, 45), decay=0.1)
    assert rate(recipe, epoch) == pytest.approx(factor)


@pytest.mark.parametrize(
    ("epoch", "factor"), [(0, 0), (1, 0.5), (2, 1), (7, 0.5), (4.5, math.cos(math.pi / 8) ** 2), (12, 0)]
)
def test_warm_up_and_cosine(epoch: float, factor: float) -> None:
    # (1 + cos x) / 2 is cos² (x / 2); ten epochs of cosine follow two of warm-up
    assert rate(Recipe(epochs=12, warmup=2), epoch) == pytest.approx(factor, abs=1e-3)


def test_milestones_count_from_the_start_of_training() -> None:
    recipe = Recipe(epochs=12, warmup=2, milestones=(4,), decay=0.5)
    assert [rate(recipe, epoch) for epoch in (2, 3.9, 4, 11)] == [1, 1, 0.5, 0.5]


def test_the_optimiser_gets_the_schedule(data: PairedClips, tmp_path: Path) -> None:
    """Without momentum and decay, and with a gradient of one, a weight falls by the sum of the rates."""
    weight = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(weight.weight)
    recipe = Recipe(4, 4, 0.2, momentum=0, weight_decay=0, milestones=(1, 3), decay=0.5)
    train(
        weight,
        lambda batch: Losses(weight.weight.sum()),
        data,
        recipe,
        seed=0,
        device=CPU,
        revision=True,
        augment=None,
        state_file=tmp_path / "state",
        task=Task(),
    )
    assert weight.weight.item() == pytest.approx(-0.2 * 2 * (1 + 0.5 + 0.5 + 0.25))  # two steps an epoch


# A run is what its seed makes it


def test_equal_seeds_give_equal_runs_and_other_seeds_others(data: PairedClips, tmp_path: Path) -> None:
    runs = []
    for number, seed in enumerate((0, 0, 1)):
        lesson = Lesson(recipe=replace(RECIPE, augment=Augmentation()))
        curves = lesson.train(data, tmp_path / str(number), seed=seed)
        runs.append((curves, state_of(lesson.modules)))
    assert runs[0][0] == runs[1][0] != runs[2][0]
    assert same(runs[0][1], runs[1][1])
    assert not same(runs[0][1], runs[2][1])


def test_golden_losses(data: PairedClips, tmp_path: Path) -> None:
    """The losses of one tiny run, as they were when it was checked; wide enough for another platform."""
    curves = Lesson().train(data, tmp_path)
    assert [curve.losses["task"] for curve in curves] == pytest.approx([0.6989, 0.6863, 0.6881], rel=2e-3)
    first = {"task": 0.6989, "kl": 0.009025, "node": 3.693, "edge": 0.2411}
    assert curves[0].losses == pytest.approx(first, rel=0.01)


def test_teacher_and_student_learn(data: PairedClips, tmp_path: Path) -> None:
    batch = a_batch(data)
    lesson = Lesson(recipe=Recipe(epochs=25, batch=4, learning_rate=0.1, warmup=1))
    train(
        lesson.teacher,
        teacher_objective(lesson.teacher, lesson.recipe),
        data,
        lesson.recipe,
        seed=0,
        device=CPU,
        revision=True,
        augment=None,
        state_file=tmp_path / "teacher.state",
        task=Task(),
    )
    curves = lesson.train(data, tmp_path)
    assert not lesson.modules.training
    with torch.no_grad():
        assert (lesson.teacher(batch.high, batch.high_mask).logits.argmax(1) == batch.label).all()
        assert (lesson.student(batch.low, batch.low_mask).logits.argmax(1) == batch.label).all()
    for name in ("task", "kl", "node"):
        assert curves[-1].losses[name] < 0.7 * curves[0].losses[name]


# Interruption


@pytest.mark.parametrize("at", [0.5, 1.0, 1.5, 2.5, 3.0])
def test_an_interrupted_training_ends_as_an_undisturbed_one(
    data: PairedClips, tmp_path: Path, at: float
) -> None:
    """Also with dropout and augmentation, and wherever the interruption comes."""
    recipe = replace(RECIPE, augment=Augmentation(), warmup=1)
    undisturbed = Lesson(recipe=recipe, dropout=0.3)
    curves = undisturbed.train(data, tmp_path / "undisturbed")
    with pytest.raises(InterruptionError):
        Lesson(recipe=recipe, dropout=0.3).train(data, tmp_path / "broken", until=at)
    assert (tmp_path / "broken/student.state").is_file() == (at > 1)
    torch.manual_seed(77)  # whatever happened in between
    resumed = Lesson(recipe=recipe, dropout=0.3)
    assert resumed.train(data, tmp_path / "broken") == curves
    assert same(state_of(resumed.modules), state_of(undisturbed.modules))


def test_a_finished_training_trains_no_more(data: PairedClips, tmp_path: Path) -> None:
    first, second = Lesson(), Lesson()
    curves = first.train(data, tmp_path)
    assert second.train(data, tmp_path, until=0) == curves  # would break off at the first step
    assert same(state_of(first.modules), state_of(second.modules))


def test_a_damaged_state_is_named(data: PairedClips, tmp_path: Path) -> None:
    state = tmp_path / "student.state"
    state.write_bytes(b"half a file")
    with pytest.raises(DataError, match=rf"^{state} is damaged [^\n]*; delete it to train from the start$"):
        Lesson().train(data, tmp_path)


def test_the_loss_scale_is_kept_over_an_interruption(tmp_path: Path) -> None:
    network = nn.Linear(2, 2)
    optimiser, path = torch.optim.SGD(network.parameters(), 0.1), tmp_path / "state"
    halved = GradScaler("cpu", init_scale=128.0)
    _store(network, optimiser, halved, [Curve({"task": 1.0})], path)
    fresh = GradScaler("cpu")
    assert _restore(network, optimiser, fresh, path) == [Curve({"task": 1.0})]
    assert fresh.get_scale() == 128.0
    _store(network, optimiser, GradScaler("cpu", enabled=False), [], path)
    assert _restore(network, optimiser, GradScaler("cpu"), path) == []  # gone on with on a GPU


# One step


@pytest.fixture
def one_step() -> Lesson:
    """One step on all clips, of plain gradient descent."""
    return Lesson(recipe=Recipe(1, 8, 0.1, momentum=0, weight_decay=0, milestones=(9,)))


def test_without_revision_a_step_follows_the_plain_sum(
    data: PairedClips, tmp_path: Path, one_step: Lesson
) -> None:
    twin = copy.deepcopy(one_step.modules).train()
    losses = student_objective(twin["network"], one_step.teacher, twin["adaptation"], RECIPE, Distillation())(
        a_batch(data)
    )
    total = losses.task + sum(losses.distillation.values())
    gradients = torch.autograd.grad(total, list(twin.parameters()))
    one_step.train(data, tmp_path, revision=False)
    for before, gradient, after in zip(
        twin.parameters(), gradients, one_step.modules.parameters(), strict=True
    ):
        torch.testing.assert_close(after, before - 0.1 * gradient, rtol=1e-3, atol=1e-5)


def test_a_conflict_is_revised_and_reported(data: PairedClips, tmp_path: Path) -> None:
    """One weight that the task pulls up and a distillation loss down, and one that only the latter pulls."""
    weights = nn.Linear(2, 1, bias=False)
    nn.init.zeros_(weights.weight)

    def objective(batch: Batch) -> Losses:
        pulled, free = weights.weight[0]
        return Losses(-pulled, {"against": 5 * pulled + 2 * free, "along": -pulled})

    recipe = Recipe(1, 8, 0.1, momentum=0, weight_decay=0, milestones=(9,))
    options = {"seed": 0, "device": CPU, "augment": None, "task": Task()}
    (curve,) = train(weights, objective, data, recipe, revision=True, state_file=tmp_path / "1", **options)
    # task -1 and along -1; of (5, 2) only the second is left
    torch.testing.assert_close(weights.weight.data, torch.tensor([[0.2, -0.2]]))
    assert curve.revised == {"against": 1.0, "along": 0.0}
    assert curve.cosines == pytest.approx({"against": -5 / math.hypot(5, 2), "along": 1.0})
    nn.init.zeros_(weights.weight)
    (curve,) = train(weights, objective, data, recipe, revision=False, state_file=tmp_path / "2", **options)
    torch.testing.assert_close(weights.weight.data, torch.tensor([[-0.3, -0.2]]))
    assert curve.revised == {}


@pytest.mark.parametrize("revision", [True, False])
def test_batch_norm_statistics_move_once_a_step(
    data: PairedClips, tmp_path: Path, one_step: Lesson, revision: bool
) -> None:
    batch = a_batch(data)
    joints = batch.low[batch.low_mask].permute(0, 3, 1, 2).flatten(1, 2)  # (row, joint x channel, frame)
    one_step.train(data, tmp_path, revision=revision)
    norm = one_step.student.normalise.norm
    torch.testing.assert_close(norm.running_mean, 0.1 * joints.mean(dim=(0, 2)), rtol=1e-4, atol=1e-6)
    counts = {
        int(module.num_batches_tracked)
        for module in one_step.student.modules()
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)
    }
    assert counts == {1}


def test_the_adaptation_layer_learns_and_the_teacher_does_not(data: PairedClips, tmp_path: Path) -> None:
    lesson = Lesson()
    teacher, adaptation = state_of(lesson.teacher), state_of(lesson.adaptation)
    lesson.train(data, tmp_path)
    assert same(teacher, state_of(lesson.teacher))
    assert not lesson.teacher.training
    assert all(parameter.grad is None for parameter in lesson.teacher.parameters())
    assert not any(
        torch.equal(value, adaptation[name]) for name, value in lesson.adaptation.state_dict().items()
    )


@pytest.mark.parametrize("scale", [1.0, 1024.0])
@pytest.mark.parametrize("revision", [True, False])
def test_a_loss_scale_changes_nothing_once_it_is_taken_off(
    data: PairedClips, revision: bool, scale: float
) -> None:
    lesson = Lesson()
    parameters = list(lesson.modules.parameters())
    plain, scaled = [], []
    for gradients, scaler in (
        (plain, GradScaler("cpu", enabled=False)),
        (scaled, GradScaler("cpu", init_scale=scale)),
    ):
        torch.manual_seed(0)
        _backward(lesson.objective(a_batch(data)), parameters, scaler, revision=revision)
        gradients.extend(parameter.grad.clone() for parameter in parameters)
    for one, other in zip(plain, scaled, strict=True):
        torch.testing.assert_close(other / scale, one, rtol=1e-4, atol=1e-6)


def test_diverging_is_said_and_leaves_no_state(data: PairedClips, tmp_path: Path) -> None:
    lesson = Lesson(recipe=replace(RECIPE, learning_rate=1e18))
    expected = (
        r"^training diverged: \w+ is (nan|inf) in epoch 1, expected a finite number; lower recipe\.learn"
    )
    with pytest.raises(DataError, match=expected):
        lesson.train(data, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("which", ["task", "kl"])
def test_any_loss_that_is_not_finite_is_named(data: PairedClips, tmp_path: Path, which: str) -> None:
    lesson = Lesson()

    def objective(batch: Batch) -> Losses:
        losses = lesson.objective(batch)
        broken = {
            name: loss * (math.nan if name == which else 1) for name, loss in losses.distillation.items()
        }
        return Losses(losses.task * (math.nan if which == "task" else 1), broken)

    with pytest.raises(DataError, match=f"training diverged: {which} is nan in epoch 1"):
        lesson.train(data, tmp_path, objective=objective)


def test_weights_that_only_the_last_step_spoilt_are_not_kept(data: PairedClips, tmp_path: Path) -> None:
    lesson = Lesson(recipe=replace(RECIPE, epochs=1, batch=8))

    def objective(batch: Batch) -> Losses:
        bias = lesson.student.classify.bias
        return Losses((bias * 0).sqrt().sum())  # finite, but its slope is not

    with pytest.raises(DataError, match="training diverged: weights is nan in epoch 1"):
        lesson.train(data, tmp_path, objective=objective)
    assert not list(tmp_path.iterdir())


# What is minimised


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
    lesson = Lesson(settings)
    assert lesson.objective(a_batch(data)).distillation.keys() == names
    (curve, *_) = lesson.train(data, tmp_path)
    assert curve.losses.keys() == {"task", *names}
    assert curve.cosines.keys() == curve.revised.keys() == names


def test_weights_multiply_their_losses(data: PairedClips) -> None:
    batch = a_batch(data)
    plain = Lesson(Distillation(kl=1, node=1, edge=1)).objective(batch).distillation
    weighted = Lesson(Distillation(kl=2, node=0.5, edge=3)).objective(batch).distillation
    for name, factor in (("kl", 2), ("node", 0.5), ("edge", 3)):
        torch.testing.assert_close(weighted[name], factor * plain[name])


def test_teacher_and_baseline_see_their_own_quality(data: PairedClips) -> None:
    network, batch = a_network().eval(), a_batch(data)
    worse = batch._replace(low=torch.zeros_like(batch.low))
    assert teacher_objective(network, RECIPE)(batch).task == teacher_objective(network, RECIPE)(worse).task
    assert baseline_objective(network, RECIPE)(batch).task != baseline_objective(network, RECIPE)(worse).task
    same_view = batch._replace(high=batch.low, high_mask=batch.low_mask)
    assert (
        baseline_objective(network, RECIPE)(batch).task == teacher_objective(network, RECIPE)(same_view).task
    )


def test_the_task_loss_goes_by_its_name(data: PairedClips) -> None:
    network, batch = a_network().eval(), a_batch(data)
    log_p = network(batch.low, batch.low_mask).logits.log_softmax(1)
    by_label = log_p[torch.arange(8), batch.label]
    expected = {"cross_entropy": -by_label.mean(), "binary_cross_entropy_per_class": -2 * by_label.mean()}
    for name, loss in expected.items():  # with two classes, the other's 1 - P is the label's P
        found = baseline_objective(network, replace(RECIPE, task_loss=name))(batch).task
        torch.testing.assert_close(found, loss)


def test_padded_people_change_nothing(data: PairedClips) -> None:
    """Neither losses nor gradients, whatever stands in the padding."""
    lesson = Lesson()
    batch = a_batch(data)
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
        losses = lesson.objective(each)
        total = losses.task + sum(losses.distillation.values())
        results.append(
            [
                losses.task,
                *losses.distillation.values(),
                *torch.autograd.grad(total, list(lesson.modules.parameters())),
            ]
        )
    torch.testing.assert_close(results[0], results[1], rtol=1e-5, atol=1e-7)


def test_people_whom_one_view_lacks_enter_task_and_kl_alone(data: PairedClips) -> None:
    lesson, batch = Lesson(), a_batch(data)
    alone = lesson.objective(batch._replace(paired=torch.zeros_like(batch.paired)))
    both = lesson.objective(batch)
    torch.testing.assert_close(alone.task, both.task)
    torch.testing.assert_close(alone.distillation["kl"], both.distillation["kl"])
    assert alone.distillation["node"] == alone.distillation["edge"] == 0
    assert both.distillation["node"] > 0


class Listening:
    """A teacher that remembers what it was asked."""

    def __init__(self, teacher: GraphNetwork) -> None:
        self._teacher, self.feature_channels = teacher, teacher.feature_channels
        self.asked: list[Tensor] = []

    def __call__(self, x: Tensor, mask: Tensor) -> NetworkOutput:
        self.asked.append(x)
        return self._teacher(x, mask)


def without_high(batch: Batch, clips: list[int]) -> Batch:
    """The batch, some clips of which low quality alone shows; nothing may read their high quality."""
    high, mask, paired = batch.high.clone(), batch.high_mask.clone(), batch.paired.clone()
    high[clips], mask[clips], paired[clips] = torch.nan, False, False
    return batch._replace(high=high, high_mask=mask, paired=paired)


def test_clips_of_low_quality_alone_enter_the_task_loss_alone(data: PairedClips) -> None:
    lesson, batch = Lesson(), a_batch(data)
    lesson.student.eval()  # so that a clip's answer does not depend on the others
    teacher = Listening(lesson.teacher)
    kept = [0, 2, 3, 6, 7]
    mixed = taught_by(teacher, lesson)(without_high(batch, [1, 4, 5]))
    paired = taught_by(teacher, lesson)(Batch(*(part[kept] for part in batch)))
    torch.testing.assert_close(mixed.task, lesson.objective(batch).task)
    torch.testing.assert_close(dict(mixed.distillation), dict(paired.distillation))
    torch.testing.assert_close(teacher.asked[0], batch.high[kept])


def test_with_revision_by_tape_too_clips_of_low_quality_alone_are_no_hindrance(data: PairedClips) -> None:
    lesson, batch = Lesson(), without_high(a_batch(data), [0, 5])
    parameters = list(lesson.modules.parameters())
    lesson.student.eval()
    losses = lesson.objective(batch)
    expected, _ = revised_gradients(losses.task, losses.distillation, parameters)
    with Tape() as tape:
        losses = lesson.objective(batch)
    found, _ = revised_gradients_by_tape(losses.task, losses.distillation, parameters, losses.through, tape)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5)


def test_a_batch_without_any_pair_has_the_task_loss_alone(data: PairedClips) -> None:
    lesson, batch = Lesson(), a_batch(data)
    teacher = Listening(lesson.teacher)
    losses = taught_by(teacher, lesson)(without_high(batch, list(range(8))))
    assert not losses.distillation
    assert not teacher.asked
    assert losses.task > 0


def taught_by(teacher: Network, lesson: Lesson) -> Objective:
    return student_objective(lesson.student, teacher, lesson.adaptation, lesson.recipe, Distillation())


def test_a_folded_teacher_teaches_the_same(data: PairedClips) -> None:
    lesson, batch = Lesson(), a_batch(data)
    plain, folded = (taught_by(t, lesson)(batch) for t in (lesson.teacher, FoldedStGcn(lesson.teacher)))
    torch.testing.assert_close(folded.task, plain.task)
    torch.testing.assert_close(dict(folded.distillation), dict(plain.distillation), rtol=1e-4, atol=1e-6)


def test_kept_answers_teach_as_a_teacher_that_is_asked(data: PairedClips) -> None:
    lesson = Lesson()
    recipe = replace(lesson.recipe, batch=3)  # not the batches of the lesson
    kept = cache_teacher_outputs(lesson.teacher, data, recipe, 1, CPU, Task())
    assert kept is not None
    teacher = Listening(lesson.teacher)
    by_memory = student_objective(
        lesson.student, teacher, lesson.adaptation, lesson.recipe, Distillation(), kept
    )
    (batch,) = batches(data, 8, shuffle=np.random.default_rng(0))
    for unheard in (batch, without_high(batch, [1, 4])):
        expected = lesson.objective(unheard)
        found = by_memory(unheard)
        torch.testing.assert_close(found.task, expected.task)
        torch.testing.assert_close(found.distillation, expected.distillation)
    assert not teacher.asked


def test_answers_that_take_more_memory_than_they_may_are_not_kept(data: PairedClips) -> None:
    teacher = Lesson().teacher
    answer = teacher(*a_batch(data)[:2])
    needed = len(data) / 8 * sum(each.nbytes for each in answer) / 1e6
    assert cache_teacher_outputs(teacher, data, RECIPE, 1.001 * needed, CPU, Task()) is not None
    assert cache_teacher_outputs(teacher, data, RECIPE, 0.999 * needed, CPU, Task()) is None


@pytest.mark.parametrize("fold", [False, True])
def test_half_precision_gives_the_losses_in_single(data: PairedClips, fold: bool) -> None:
    lesson, batch = Lesson(), a_batch(data)
    single = lesson.objective(batch)
    objective = taught_by(FoldedStGcn(lesson.teacher), lesson) if fold else lesson.objective
    with torch.autocast("cpu", torch.bfloat16):
        half = objective(batch)
    for name, loss in {"task": half.task, **half.distillation}.items():
        assert loss.dtype == torch.float32
        expected = single.task if name == "task" else single.distillation[name]
        torch.testing.assert_close(loss, expected, rtol=0.1, atol=0.02)


def test_pooled_features_are_compared_as_wholes(data: PairedClips) -> None:
    """Node: squared distance of means over frames and joints; edge: how these lie to one another."""
    lesson, batch = Lesson(Distillation(kl=0, node=1, edge=1, pooled=True)), a_batch(data)
    losses = lesson.objective(batch).distillation
    lesson.student.train()
    own = lesson.adaptation(lesson.student(batch.low, batch.low_mask).features[batch.paired])
    known = lesson.teacher(batch.high, batch.high_mask).features[batch.paired]
    one, other = own.mean(dim=(2, 3)), known.mean(dim=(2, 3))
    torch.testing.assert_close(losses["node"], (one - other).square().sum(dim=1).mean())
    distances = [torch.cdist(each, each).square() for each in (one, other)]
    potentials = [each / each.mean() for each in distances]
    torch.testing.assert_close(losses["edge"], torch.nn.functional.huber_loss(*potentials), rtol=1e-4, atol=0)


def test_before_it_starts_distillation_is_not_there(data: PairedClips, tmp_path: Path) -> None:
    late, plain = Lesson(), Lesson()
    task_alone = plain.train(data, tmp_path / "plain", objective=lambda b: Losses(plain.objective(b).task))
    curves = late.train(data, tmp_path / "late", distil_from=1)
    assert [set(curve.losses) for curve in curves[:2]] == [{"task"}, {"task", "kl", "node", "edge"}]
    assert curves[0].losses == task_alone[0].losses
    assert curves[1].losses["task"] != task_alone[1].losses["task"]


# A whole run


class Stopwatch(Progress):
    """Notes what was trained; breaks off in a training when so many epochs are done, as Ctrl-C would."""

    def __init__(self, stop_in: str = "", at: float = math.inf) -> None:
        super().__init__(quiet=True)
        self.trained: list[str] = []
        self._stop_in, self._at = stop_in, at

    @contextmanager
    def task(self, name: str, total: float | None = None, *, unit: str = "") -> Iterator[Task]:
        self.trained.append(name.removeprefix("training "))
        yield Interrupt(self._at if name.endswith(f" {self._stop_in}") else math.inf)


METHODS = tuple(get_args(Method))
EXPERIMENT = tiny_experiment(methods=METHODS, recipe=Recipe(epochs=2, batch=4, augment=Augmentation()))


@pytest.fixture(scope="module")
def finished(cache: PoseCache, tmp_path_factory: pytest.TempPathFactory) -> DistillationResult:
    return distill_student(EXPERIMENT, cache, tmp_path_factory.mktemp("models"), device=CPU)


def weights_of(folder: Path, method: str) -> dict[str, Tensor]:
    return state_of(load_bundle(folder / f"{method}.safetensors").network)


def test_a_run_leaves_a_bundle_for_each_method_its_config_and_its_results(
    finished: DistillationResult,
) -> None:
    folder = finished.folder
    assert {path.name for path in folder.iterdir()} == {
        "config.yaml",
        "results.json",
        *(
            f"{method}{suffix}"
            for method in EXPERIMENT.methods
            for suffix in (".safetensors", ".predictions.json")
        ),
    }
    written = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    assert written["experiment"] == to_plain(EXPERIMENT)
    assert (written["data"]["training_clips"], written["data"]["test_clips"]) == (8, 4)
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    assert list(results) == list(finished.figures) == list(EXPERIMENT.methods)
    for method, figures in finished.figures.items():
        bundle = load_bundle(folder / f"{method}.safetensors")
        assert bundle.classes == ACTIONS
        assert results[method]["figures"] == bundle.run["figures"] == asdict(figures)
        assert results[method]["curves"] == bundle.run["curves"]
        assert len(bundle.run["curves"]) == 2
        assert bundle.run["versions"]["torch"] == torch.__version__
        assert bundle.run["experiment"] == to_plain(EXPERIMENT)
        assert bundle.fingerprint == ("eyes" if method == "teacher" else "squint")
        assert bundle.estimator is None  # imported
    assert results["student"]["curves"][0]["losses"].keys() == {"task", "kl", "node", "edge"}
    assert results["baseline"]["curves"][0]["losses"].keys() == {"task"}


def test_the_bundles_hold_what_the_figures_say(finished: DistillationResult, cache: PoseCache) -> None:
    """Prediction from the bundle alone agrees with the top-1 of the run, smoothing and all."""
    for method, figures in finished.figures.items():
        bundle = load_bundle(finished.folder / f"{method}.safetensors")
        predictor = Predictor(bundle, CPU, Estimator(plugin=BOX_PLUGIN))
        test = finished.manifest.part(train=False)
        paths = [clip.high if method == "teacher" else clip.low for clip in test]
        right = [
            predictor.classify(cache.load(path)).label == clip.label
            for path, clip in zip(paths, test, strict=True)
        ]
        assert 100 * np.mean(right) == pytest.approx(figures.top1)


def test_prediction_smooths_where_training_did(finished: DistillationResult) -> None:
    windows = {m: load_bundle(finished.folder / f"{m}.safetensors").clip.smoothing for m in NAMES}
    assert windows == {
        "teacher": 1, "baseline": 1, "smoothed": 3, "student": 1, "student_smoothed": 3,
    }  # fmt: skip


def test_a_second_call_trains_nothing_and_says_the_same(
    finished: DistillationResult, cache: PoseCache
) -> None:
    watch = Stopwatch()
    before = {path: path.stat().st_mtime_ns for path in finished.folder.glob("*.safetensors")}
    again = distill_student(EXPERIMENT, cache, finished.folder.parent, device=CPU, progress=watch)
    assert watch.trained == []
    assert again.figures == finished.figures
    assert {path: path.stat().st_mtime_ns for path in before} == before


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"recipe": Recipe(epochs=9, batch=4, augment=Augmentation())},
            "experiment.recipe.epochs 2, and not 9",
        ),
        ({"seed": 5}, "experiment.seed 0, and not 5"),
        (
            {"derive_low": Degradation(every=2)},
            "experiment.derive_low None, and not {'noise': None, 'every': 2",
        ),
    ],
)
def test_a_folder_holds_one_run(
    finished: DistillationResult, cache: PoseCache, changes: dict[str, object], expected: str
) -> None:
    with pytest.raises(DataError) as caught:
        distill_student(replace(EXPERIMENT, **changes), cache, finished.folder.parent, device=CPU)
    assert str(caught.value).startswith(f"{finished.folder} holds a run with {expected}")
    assert "choose another name with --set name=NAME, or delete the folder" in str(caught.value)


def test_a_run_of_an_earlier_version_goes_on(
    finished: DistillationResult, cache: PoseCache, tmp_path: Path
) -> None:
    """Settings that were added since are as by default; other values still make another run."""
    folder = tmp_path / finished.folder.name
    shutil.copytree(finished.folder, folder)
    config = yaml.safe_load((folder / "config.yaml").read_text())
    del config["experiment"]["validation"], config["experiment"]["distillation"]["teacher_cache_megabytes"]
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    assert distill_student(EXPERIMENT, cache, tmp_path, device=CPU).figures == finished.figures
    other = replace(EXPERIMENT, distillation=replace(EXPERIMENT.distillation, teacher_cache_megabytes=5))
    with pytest.raises(
        DataError, match=r"holds a run with experiment\.\S+teacher_cache_megabytes 1000, and not 5"
    ):
        distill_student(other, cache, tmp_path, device=CPU)


@pytest.mark.parametrize("content", ["", "experiment: {}", "experiment: {colour: red}", "- 1"])
def test_a_folder_whose_settings_are_odd_is_another_run(
    finished: DistillationResult, cache: PoseCache, tmp_path: Path, content: str
) -> None:
    folder = tmp_path / finished.folder.name
    shutil.copytree(finished.folder, folder)
    (folder / "config.yaml").write_text(content)
    with pytest.raises(DataError, match="holds a run with"):
        distill_student(EXPERIMENT, cache, tmp_path, device=CPU)


def test_a_folder_holds_one_set_of_clips(finished: DistillationResult, tmp_path: Path) -> None:
    other = fill(PoseCache(tmp_path), of_each=9)
    with pytest.raises(DataError, match=r"holds a run with data\.training_clips 8, and not 12"):
        distill_student(EXPERIMENT, other, finished.folder.parent, device=CPU)


def test_settings_may_be_mended_while_nothing_is_trained(cache: PoseCache, tmp_path: Path) -> None:
    wild = replace(EXPERIMENT, recipe=replace(EXPERIMENT.recipe, learning_rate=1e18), methods=("teacher",))
    with pytest.raises(DataError, match="training diverged"):
        distill_student(wild, cache, tmp_path, device=CPU)
    mended = replace(EXPERIMENT, methods=("teacher",))
    assert list(distill_student(mended, cache, tmp_path, device=CPU).figures) == ["teacher"]


@pytest.mark.parametrize(("method", "epoch"), [("teacher", 1.5), ("smoothed", 0.5), ("student", 1.5)])
def test_an_interrupted_run_ends_as_an_undisturbed_one(
    finished: DistillationResult, cache: PoseCache, tmp_path: Path, method: str, epoch: float
) -> None:
    with pytest.raises(InterruptionError):
        distill_student(EXPERIMENT, cache, tmp_path, device=CPU, progress=Stopwatch(NAMES[method], epoch))
    watch = Stopwatch()
    resumed = distill_student(EXPERIMENT, cache, tmp_path, device=CPU, progress=watch)
    assert watch.trained == list(NAMES.values())[list(NAMES).index(method) :]
    for each in NAMES:
        assert same(weights_of(resumed.folder, each), weights_of(finished.folder, each))
        curves = [
            [Curve(**curve) for curve in load_bundle(f / f"{each}.safetensors").run["curves"]]
            for f in (resumed.folder, finished.folder)
        ]
        assert curves[0] == curves[1]
    assert not list(resumed.folder.glob("*.state"))


def test_results_lost_with_the_process_are_written_again(
    finished: DistillationResult, cache: PoseCache
) -> None:
    """Killed after the bundle was written, and before the results were."""
    path = finished.folder / "results.json"
    whole = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({name: whole[name] for name in whole if name != "smoothed"}), encoding="utf-8")
    (finished.folder / "smoothed.state").write_bytes(b"left over")
    distill_student(EXPERIMENT, cache, finished.folder.parent, device=CPU)
    assert json.loads(path.read_text(encoding="utf-8")) == whole
    assert not (finished.folder / "smoothed.state").exists()


KILLED = """
import json, os, signal, sys, torch
from contextlib import contextmanager
from pathlib import Path
from skdpipe.cache import PoseCache
from skdpipe.config import Experiment, parse_config
from skdpipe.distill import distill_student
from skdpipe.progress import Progress, Task

class Deadly(Task):
    def advance_to(self, done, note=""):
        if done >= 1.5:
            os.kill(os.getpid(), signal.SIGKILL)

class Watch(Progress):
    @contextmanager
    def task(self, name, total=None, *, unit=""):
        yield Deadly() if name == "training SKD" else Task()

torch.set_num_threads(int(sys.argv[4]))  # sums in the same order
experiment = parse_config(Experiment, json.loads(sys.argv[3]), "test")
cache, models = PoseCache(Path(sys.argv[1])), Path(sys.argv[2])
distill_student(experiment, cache, models, device=torch.device("cpu"), progress=Watch(quiet=True))
"""


def test_a_killed_run_goes_on(finished: DistillationResult, cache: PoseCache, tmp_path: Path) -> None:
    settings, threads = json.dumps(to_plain(EXPERIMENT)), str(torch.get_num_threads())
    command = [sys.executable, "-c", KILLED, str(cache.root), str(tmp_path), settings, threads]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    watch = Stopwatch()
    resumed = distill_student(EXPERIMENT, cache, tmp_path, device=CPU, progress=watch)
    assert watch.trained == ["SKD", "SKD*"]
    for method in NAMES:
        assert same(weights_of(resumed.folder, method), weights_of(finished.folder, method))


# Teachers from elsewhere, and parts of a run


def test_a_trained_teacher_can_be_given(
    finished: DistillationResult, cache: PoseCache, tmp_path: Path
) -> None:
    known = finished.folder / "teacher.safetensors"
    watch = Stopwatch()
    result = distill_student(EXPERIMENT, cache, tmp_path, device=CPU, teacher=known, progress=watch)
    assert watch.trained == ["LQS-S", "LQS-SWA-S", "SKD", "SKD*"]
    assert same(weights_of(result.folder, "teacher"), weights_of(finished.folder, "teacher"))
    assert same(weights_of(result.folder, "student"), weights_of(finished.folder, "student"))
    assert result.figures["teacher"].top1 == finished.figures["teacher"].top1
    assert "teacher" in json.loads((result.folder / "results.json").read_text(encoding="utf-8"))
    distill_student(EXPERIMENT, cache, tmp_path, device=CPU, teacher=known, progress=(again := Stopwatch()))
    assert again.trained == []
    with pytest.raises(DataError, match=r"holds a run with data\.teacher \w+, and not None"):
        distill_student(EXPERIMENT, cache, tmp_path, device=CPU)


@pytest.mark.parametrize(
    ("method", "changes", "expected"),
    [
        ("student", {}, "was trained for the skeletons of squint; expected eyes"),
        ("teacher", {"clip": ClipFormat(frames=9)}, r"was trained for clips ClipFormat\(frames=8.*frames=9"),
    ],
)
def test_a_teacher_that_does_not_fit_is_refused(
    finished: DistillationResult,
    cache: PoseCache,
    tmp_path: Path,
    method: str,
    changes: dict[str, object],
    expected: str,
) -> None:
    known = finished.folder / f"{method}.safetensors"
    with pytest.raises(BundleError, match=expected):
        distill_student(replace(EXPERIMENT, **changes), cache, tmp_path, device=CPU, teacher=known)
    assert not list(tmp_path.iterdir())


def test_a_teacher_of_other_classes_is_refused(finished: DistillationResult, tmp_path: Path) -> None:
    cache = fill(PoseCache(tmp_path / "cache"))
    for number, split in enumerate(("train", "test")):
        clip = a_sequence("sideways", 90 + number, split=split, label="turn")
        cache.save(clip, "high", "eyes-1")
        cache.save(clip, "low", "squint-1")
    with pytest.raises(
        BundleError, match="classes sideways, up and down; expected sideways, turn, up and down"
    ):
        distill_student(
            EXPERIMENT, cache, tmp_path, device=CPU, teacher=finished.folder / "teacher.safetensors"
        )


def test_a_student_needs_a_teacher(cache: PoseCache, tmp_path: Path) -> None:
    alone = replace(EXPERIMENT, methods=("baseline", "student"))
    expected = "^methods baseline, student train a student without a teacher; add teacher to the methods, or"
    with pytest.raises(DataError, match=expected):
        distill_student(alone, cache, tmp_path, device=CPU)
    assert not list(tmp_path.iterdir())


def test_methods_may_come_one_after_the_other_and_in_any_order(
    finished: DistillationResult, cache: PoseCache, tmp_path: Path
) -> None:
    first = distill_student(replace(EXPERIMENT, methods=("student", "teacher")), cache, tmp_path, device=CPU)
    assert list(first.figures) == ["teacher", "student"]
    assert first.recovered_gap is None
    later = distill_student(replace(EXPERIMENT, methods=("baseline",)), cache, tmp_path, device=CPU)
    assert list(later.figures) == ["baseline"]
    results = json.loads((first.folder / "results.json").read_text(encoding="utf-8"))
    assert set(results) == {"teacher", "baseline", "student"}
    for method in results:
        assert same(weights_of(first.folder, method), weights_of(finished.folder, method))


@pytest.mark.parametrize("name", ["st_sgcn", "st_2sgcn"])
def test_a_smaller_student_of_another_width_learns_from_the_teacher(
    cache: PoseCache, tmp_path: Path, name: str
) -> None:
    small = replace(
        EXPERIMENT,
        teacher=NetworkChoice("st_gcn", width=6),
        student=NetworkChoice(name, width=4),
        distillation=Distillation(adaptation=False),  # there nevertheless: 16 channels are not 24
        methods=("teacher", "student"),
    )
    result = distill_student(small, cache, tmp_path, device=CPU)
    student = load_bundle(result.folder / "student.safetensors")
    assert (student.choice.name, student.choice.width) == (name, 4)
    assert len(student.network.blocks) == {"st_sgcn": 7, "st_2sgcn": 4}[name]
    assert not any(key.startswith("adaptation") for key in student.network.state_dict())
    assert result.figures["student"].parameters < result.figures["teacher"].parameters


def test_without_adaptation_networks_of_one_width_are_compared_as_they_are(
    cache: PoseCache, tmp_path: Path
) -> None:
    plain = replace(EXPERIMENT, distillation=Distillation(adaptation=False), methods=("teacher", "student"))
    assert set(distill_student(plain, cache, tmp_path, device=CPU).figures) == {"teacher", "student"}


def test_unpaired_clips_train_what_learns_from_their_quality(tmp_path: Path) -> None:
    cache = fill(PoseCache(tmp_path / "cache"))
    for number in range(60, 72):  # three times as many batches of low quality alone as of pairs
        for action in ACTIONS:
            cache.save(blurred(a_sequence(action, number, split="train")), "low", "squint-1")
    for number in (90, 91):
        cache.save(a_sequence("sideways", number, split="train"), "high", "eyes-1")
    steps = {}
    for unpaired in (False, True):
        experiment = replace(EXPERIMENT, name=f"unpaired {unpaired}", unpaired=unpaired)
        watch = StepCounter()
        result = distill_student(experiment, cache, tmp_path, device=CPU, progress=watch)
        steps[unpaired] = watch.steps
        assert len(result.figures) == len(METHODS)
        written = yaml.safe_load((result.folder / "config.yaml").read_text())["data"]
        assert (written["training_clips"], written["test_clips"]) == (8 + 26 * unpaired, 4)
    assert steps[False] == dict.fromkeys(NAMES.values(), 4)  # two epochs of 8 / 4
    assert steps[True] == {**dict.fromkeys(NAMES.values(), 16), "HQS-T": 6}  # of 10 / 4 and 32 / 4


def test_without_its_label_a_clip_teaches_through_the_teacher_alone(data: PairedClips) -> None:
    lesson, batch = Lesson(), a_batch(data)
    few = batch._replace(
        labelled=torch.arange(8) < 3, label=torch.where(torch.arange(8) < 3, batch.label, -1)
    )
    everything, some = lesson.objective(batch), lesson.objective(few)
    for name, loss in everything.distillation.items():
        torch.testing.assert_close(some.distillation[name], loss)
    logits = lesson.student(batch.low, batch.low_mask).logits[:3]
    torch.testing.assert_close(some.task, nn.functional.cross_entropy(logits, batch.label[:3]) * 3 / 8)
    assert baseline_objective(lesson.student, RECIPE)(batch).task != some.task


def test_a_batch_without_labels_has_no_task(data: PairedClips) -> None:
    """Nor a gradient of it, so that there is nothing to revise: what is left is the teacher's."""
    lesson, batch = Lesson(), a_batch(data)
    parameters = list(lesson.modules.parameters())
    none = batch._replace(labelled=torch.zeros(8, dtype=torch.bool), label=torch.full((8,), -1))
    with Tape() as tape:
        losses = lesson.objective(none)
    assert losses.task == 0
    total = sum(losses.distillation.values())
    wanted = torch.autograd.grad(total, parameters, retain_graph=True)
    by_tape, report = revised_gradients_by_tape(
        losses.task, losses.distillation, parameters, losses.through, tape
    )
    assert not any(report.revised.values())
    torch.testing.assert_close(by_tape, wanted)
    one_by_one, _ = revised_gradients(*lesson.objective(none)[:2], parameters)
    torch.testing.assert_close(one_by_one, wanted)


def test_each_method_trains_on_the_clips_that_tell_it_something(tmp_path: Path) -> None:
    cache = fill(PoseCache(tmp_path / "cache"), of_each=18)  # 24 training clips: six batches of four
    for number in range(50, 58):
        nameless = a_sequence("sideways", number, label=None)
        cache.save(nameless, "high", "eyes-1")
        cache.save(blurred(nameless), "low", "squint-1")
    labels = LabelShares(high=0.5, low=0.34)
    experiment = replace(EXPERIMENT, unlabelled=True, labels=labels)
    watch, silent = StepCounter(), StepCounter()
    distill_student(experiment, cache, tmp_path, device=CPU, progress=watch)
    assert watch.steps == {"HQS-T": 6, "LQS-S": 4, "LQS-SWA-S": 4, "SKD": 16, "SKD*": 16}  # of 12, 8 and 32
    quiet = replace(
        experiment,
        name="quiet",
        methods=("teacher", "student"),
        distillation=Distillation(kl=0, node=0, edge=0),
    )
    distill_student(quiet, cache, tmp_path, device=CPU, progress=silent)
    assert silent.steps == {"HQS-T": 6, "SKD": 4}


class StepCounter(Progress):
    """Counts the steps of each training."""

    def __init__(self) -> None:
        super().__init__(quiet=True)
        self.steps: dict[str, int] = {}

    @contextmanager
    def task(self, name: str, total: float | None = None, *, unit: str = "") -> Iterator[Task]:
        steps, method = self.steps, name.removeprefix("training ")

        class Counting(Task):
            def advance_to(self, done: float, note: str = "") -> None:
                steps[method] = steps.get(method, 0) + 1

        yield Counting()


def test_an_unknown_layout_is_refused_before_anything_is_written(cache: PoseCache, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no layout 'coco-18'"):
        distill_student(replace(EXPERIMENT, clip=ClipFormat(layout="coco-18")), cache, tmp_path, device=CPU)
    assert not list(tmp_path.iterdir())


# What prediction will need


def extracted(cache: PoseCache, every: int) -> PoseCache:
    """Skeletons with the estimator's settings beside them, as `extract` leaves them."""
    fill(cache)
    settings = to_plain(Estimator(backbone="resnet18", weights="somewhere", every=every))
    (cache.root / "high/eyes-1/estimator.yaml").write_text(yaml.safe_dump(settings))
    return cache


def bundles(result: DistillationResult) -> dict[str, Bundle]:
    return {method: load_bundle(result.folder / f"{method}.safetensors") for method in result.figures}


def test_a_bundle_knows_its_estimator(tmp_path: Path) -> None:
    cache = extracted(PoseCache(tmp_path / "cache"), every=1)
    by = bundles(distill_student(EXPERIMENT, cache, tmp_path, device=CPU))
    assert by["teacher"].estimator == Estimator(backbone="resnet18", weights="somewhere")
    assert by["student"].estimator is None


def test_frames_left_out_in_training_are_left_out_in_prediction(tmp_path: Path) -> None:
    cache = extracted(PoseCache(tmp_path / "cache"), every=2)
    derived = replace(EXPERIMENT, derive_low=Degradation(every=3, occlusion=0.1))
    by = bundles(distill_student(derived, cache, tmp_path, device=CPU))
    assert {method: bundle.estimator.every for method, bundle in by.items() if bundle.estimator} == {
        "teacher": 2,
        "baseline": 6,
        "smoothed": 6,
        "student": 6,
        "student_smoothed": 6,
    }
    assert {bundle.fingerprint for bundle in by.values()} == {"eyes"}


# The recovered gap


def figures(top1: float) -> Figures:
    return Figures(top1, 100, 1, 1, 1)


@pytest.mark.parametrize(
    ("top1", "gap"),
    [
        ({"teacher": 83.43, "baseline": 63.74, "student": 81.87}, 0.92),  # the paper's Penn Action
        ({"teacher": 82.03, "baseline": 76.58, "student": 80.80}, 0.77),
        ({"teacher": 80.0, "baseline": 70.0, "student": 65.0}, -0.5),
        ({"teacher": 70.0, "baseline": 70.0, "student": 80.0}, None),
        ({"teacher": 80.0, "student": 80.0}, None),
    ],
)
def test_the_recovered_gap(finished: DistillationResult, top1: dict[str, float], gap: float | None) -> None:
    result = replace(finished, figures={method: figures(value) for method, value in top1.items()})
    assert result.recovered_gap == (gap if gap is None else pytest.approx(gap, abs=0.005))


def test_a_run_may_have_any_name_that_a_folder_may_have(cache: PoseCache, tmp_path: Path) -> None:
    named: Experiment = replace(EXPERIMENT, name="été [2024] :car:", methods=("baseline",))
    assert distill_student(named, cache, tmp_path, device=CPU).folder == tmp_path / "été [2024] :car:"


def test_a_warm_start_begins_with_the_teachers_weights(cache: PoseCache, tmp_path: Path) -> None:
    recipe = Recipe(epochs=1, batch=4, learning_rate=1e-9, momentum=0, weight_decay=0)
    warm = tiny_experiment(recipe=recipe, distillation=Distillation(warm_start=True))
    folder = distill_student(
        replace(warm, methods=("teacher", "student")), cache, tmp_path, device=CPU
    ).folder
    teacher, student = (weights_of(folder, method) for method in ("teacher", "student"))
    for name, value in student.items():
        if "running" not in name and "tracked" not in name:
            torch.testing.assert_close(value, teacher[name], rtol=0, atol=1e-5)


def test_a_warm_start_takes_weights_that_the_teacher_has(cache: PoseCache, tmp_path: Path) -> None:
    other = tiny_experiment(distillation=Distillation(warm_start=True), student=replace(TINY, width=6))
    with pytest.raises(DataError, match=r"all of whose weights the teacher has; it has no such blocks\.1"):
        distill_student(other, cache, tmp_path, device=CPU)
    assert not list(tmp_path.iterdir())  # the teacher is not trained in vain


def test_a_warm_start_of_a_smaller_network(cache: PoseCache, tmp_path: Path) -> None:
    still = Recipe(epochs=1, batch=4, learning_rate=1e-9, momentum=0, weight_decay=0)
    warm = tiny_experiment(
        recipe=still,
        teacher=replace(TINY, name="st_gcn"),
        distillation=Distillation(warm_start=True),
        methods=("teacher", "student"),
    )
    folder = distill_student(warm, cache, tmp_path, device=CPU).folder
    teacher, student = (weights_of(folder, method) for method in ("teacher", "student"))
    torch.testing.assert_close(
        student["blocks.8.temporal.2.weight"], teacher["blocks.8.temporal.2.weight"], rtol=0, atol=1e-5
    )
