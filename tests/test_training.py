"""The training loop: schedule, reproducibility, interruption, single steps, divergence."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from distillation_setup import (
    CPU,
    RECIPE,
    DistillationSetup,
    InterruptionError,
    equal_states,
    first_batch,
    state_of,
    task_until,
    training_clips,
)
from moving_body import fill, tiny_experiment
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler

from skdpipe.cache import PoseCache
from skdpipe.config import Augmentation, ClipFormat, Distillation, Recipe
from skdpipe.dataset import Batch, PairedClips, build_manifest
from skdpipe.distill.objective import student_objective, teacher_objective
from skdpipe.distill.training import (
    Losses,
    Objective,
    Revision,
    compute_gradients,
    learning_rate_factor,
    planned_epochs,
    train,
)
from skdpipe.distill.training_state import Curve, load_training_state, save_training_state
from skdpipe.errors import DataError
from skdpipe.networks import dd_net
from skdpipe.skeleton import COCO_17
from skdpipe.tensor_file import write_tensors


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> PoseCache:
    return fill(PoseCache(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="module")
def data(cache: PoseCache) -> PairedClips:
    return training_clips(cache)


# The schedule


@pytest.mark.parametrize(
    ("epoch", "factor"),
    [(0, 1), (14.99, 1), (15, 0.1), (29.99, 0.1), (30, 0.01), (44.99, 0.01), (45, 0.001), (59.99, 0.001)],
)
def test_learning_rate_of_the_paper(epoch: float, factor: float) -> None:
    recipe = Recipe(epochs=60, milestones=(15, 30, 45), decay=0.1)
    assert learning_rate_factor(recipe, epoch) == pytest.approx(factor)


@pytest.mark.parametrize(
    ("epoch", "factor"), [(0, 0), (1, 0.5), (2, 1), (7, 0.5), (4.5, math.cos(math.pi / 8) ** 2), (12, 0)]
)
def test_warm_up_and_cosine(epoch: float, factor: float) -> None:
    # (1 + cos x) / 2 is cos² (x / 2); ten epochs of cosine follow two of warm-up
    assert learning_rate_factor(Recipe(epochs=12, warmup=2), epoch) == pytest.approx(factor, abs=1e-3)


def test_milestones_count_from_the_start_of_training() -> None:
    recipe = Recipe(epochs=12, warmup=2, milestones=(4,), decay=0.5)
    assert [learning_rate_factor(recipe, epoch) for epoch in (2, 3.9, 4, 11)] == [1, 1, 0.5, 0.5]


def test_the_optimiser_gets_the_schedule(data: PairedClips, tmp_path: Path) -> None:
    """Without momentum and decay, and with a gradient of one, a weight falls by the sum of the rates."""
    weight = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(weight.weight)
    recipe = Recipe(4, batch=4, learning_rate=0.2, momentum=0, weight_decay=0, milestones=(1, 3), decay=0.5)
    train(
        weight,
        lambda batch: Losses(weight.weight.sum()),
        data,
        recipe,
        seed=0,
        device=CPU,
        revision="per_loss",
        augment=None,
        state_file=tmp_path / "state",
        task=task_until(),
    )
    assert weight.weight.item() == pytest.approx(-0.2 * 2 * (1 + 0.5 + 0.5 + 0.25))  # two steps an epoch


# The number of steps


@pytest.mark.parametrize(
    ("clips", "steps", "epochs"),
    [
        (64, 0, 20),  # four steps in each of the recipe's epochs
        (64, 80, 20),
        (64, 81, 21),
        (64, 400, 100),
        (1, 400, 400),
        (17, 400, 400),  # the last batch has a single clip and is left out
        (18, 400, 200),
        (100_000, 400, 20),
    ],
)
def test_epochs_for_the_lowest_number_of_steps(clips: int, steps: int, epochs: int) -> None:
    assert planned_epochs(Recipe(epochs=20, batch=16, steps=steps), clips) == epochs


class Course:
    """The course of a training of one weight with a gradient of one: the learning rate of each step."""

    def __init__(self, data: PairedClips, recipe: Recipe, folder: Path, distil_from: int = 0) -> None:
        weight = nn.Linear(1, 1, bias=False)
        values: list[float] = []

        def objective(batch: Batch) -> Losses:
            values.append(weight.weight.item())
            return Losses(weight.weight.sum(), {"kl": 0 * weight.weight.sum()})

        task = task_until()
        self.curves = train(
            weight, objective, data, recipe, seed=0, device=CPU, revision="none", augment=None,
            state_file=folder / "state", task=task, distil_from=distil_from,
        )  # fmt: skip
        values.append(weight.weight.item())
        self.rates = [before - after for before, after in pairwise(values)]
        self.progress = [done for done, _ in task.updates]


def plain_descent(**changes: object) -> Recipe:
    settings: dict[str, object] = {"batch": 4, "learning_rate": 1.0, "momentum": 0, "weight_decay": 0}
    return Recipe(**{**settings, **changes})  # type: ignore[arg-type]


def test_milestones_keep_their_relative_place_in_more_epochs(data: PairedClips, tmp_path: Path) -> None:
    recipe = plain_descent(epochs=4, steps=24, milestones=(1, 3), decay=0.5)  # three times two steps an epoch
    course = Course(data, recipe, tmp_path)
    assert len(course.curves) == 12
    assert course.rates == pytest.approx([1.0] * 6 + [0.5] * 12 + [0.25] * 6, rel=1e-5)


def test_warm_up_and_cosine_keep_their_relative_place(data: PairedClips, tmp_path: Path) -> None:
    recipe = plain_descent(epochs=4, steps=25, warmup=1)
    course = Course(data, recipe, tmp_path)
    assert len(course.curves) == 13
    expected = [learning_rate_factor(recipe, 4 * step / 26) for step in range(26)]
    assert course.rates == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("epochs", "steps", "start", "first"), [(2, 12, 1, 3), (4, 10, 2, 3), (2, 196, 1, 49)]
)
def test_the_start_of_distillation_keeps_its_relative_place(
    data: PairedClips, tmp_path: Path, epochs: int, steps: int, start: int, first: int
) -> None:
    course = Course(data, plain_descent(epochs=epochs, steps=steps), tmp_path, distil_from=start)
    assert len(course.curves) == steps // 2
    distilled = [number for number, curve in enumerate(course.curves) if "kl" in curve.losses]
    assert distilled == list(range(first, steps // 2))


def uneven_clips(cache: PoseCache) -> PairedClips:
    """Four clips of one class and one of the other: five clips, or six of balanced classes."""
    manifest = build_manifest(cache, tiny_experiment())
    training = manifest.part(train=True)
    groups = [[clip for clip in training if clip.label == label] for label in manifest.classes]
    clip = ClipFormat(frames=8)
    return PairedClips(cache, [*groups[0][:4], groups[1][0]], manifest.classes, clip, clip, None, 0)


@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize("batch", [2, 4, 5])
def test_schedule_and_progress_follow_the_number_of_batches(
    cache: PoseCache, tmp_path: Path, batch: int, balanced: bool
) -> None:
    recipe = plain_descent(epochs=3, batch=batch, balanced=balanced, steps=7)
    course = Course(uneven_clips(cache), recipe, tmp_path)
    assert len(course.rates) >= 7
    steps = len(course.rates)
    assert course.rates == pytest.approx(
        [learning_rate_factor(recipe, 3 * step / steps) for step in range(steps)], abs=1e-5
    )
    assert course.progress == pytest.approx(
        [len(course.curves) * (step + 1) / steps for step in range(steps)]
    )


def test_balanced_classes_of_an_epoch(cache: PoseCache, tmp_path: Path) -> None:
    weight, labels = nn.Linear(1, 1), []

    def objective(batch: Batch) -> Losses:
        labels.append(batch.label)
        return Losses(weight.weight.sum() + weight.bias.sum())

    run_one(weight, objective, uneven_clips(cache), plain_descent(epochs=2, balanced=True), tmp_path)
    assert torch.cat(labels).bincount().tolist() == [6, 6]


# The optimiser


def run_one(
    modules: nn.Module, objective: Objective, data: PairedClips, recipe: Recipe, folder: Path
) -> None:
    train(
        modules, objective, data, recipe, seed=0, device=CPU, revision="per_loss", augment=None,
        state_file=folder / "state", task=task_until(),
    )  # fmt: skip


def test_adamw_decays_matrices_and_neither_biases_nor_norms(data: PairedClips, tmp_path: Path) -> None:
    modules = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    before = {name: value.clone() for name, value in modules.named_parameters()}
    recipe = Recipe(
        2, batch=4, optimiser="adamw", learning_rate=0.01, weight_decay=0.5, milestones=(9,), momentum=0
    )

    def objective(batch: Batch) -> Losses:
        return Losses(torch.stack([0 * each.sum() for each in modules.parameters()]).sum())

    run_one(modules, objective, data, recipe, tmp_path)
    for name, value in modules.named_parameters():
        factor = (1 - 0.01 * 0.5) ** 4 if name == "0.weight" else 1  # four steps
        torch.testing.assert_close(value, factor * before[name])


def test_the_first_step_of_adamw_is_the_learning_rate(data: PairedClips, tmp_path: Path) -> None:
    weight = nn.Linear(3, 1, bias=False)
    before, slope = weight.weight.detach().clone(), torch.tensor([[1e-3, -4.0, 70.0]])
    recipe = Recipe(1, batch=8, optimiser="adamw", learning_rate=0.01, weight_decay=0, milestones=(9,))
    run_one(weight, lambda batch: Losses((weight.weight * slope).sum()), data, recipe, tmp_path)
    torch.testing.assert_close(before - weight.weight, 0.01 * slope.sign(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("limit", "length"), [(0.0, 5.0), (1.5, 1.5), (5.1, 5.0)])
def test_the_gradient_of_all_weights_is_clipped_to_a_norm(
    data: PairedClips, tmp_path: Path, limit: float, length: float
) -> None:
    """One step of plain descent with the gradient (3, 4), of two weights."""
    layers = nn.ModuleList([nn.Linear(1, 1, bias=False) for _ in range(2)])
    before = torch.cat([each.weight.detach().clone() for each in layers])
    recipe = plain_descent(epochs=1, batch=8, milestones=(9,), clip_gradients=limit)
    run_one(
        layers,
        lambda batch: Losses((3 * layers[0].weight + 4 * layers[1].weight).sum()),
        data,
        recipe,
        tmp_path,
    )
    moved = before - torch.cat([each.weight.detach() for each in layers])
    torch.testing.assert_close(moved, length * torch.tensor([[0.6], [0.8]]), rtol=1e-4, atol=1e-5)


def test_revised_gradients_are_clipped(data: PairedClips, tmp_path: Path) -> None:
    """The limit holds for the sum of all losses' gradients after the revision."""
    weights = nn.Linear(2, 1, bias=False)
    nn.init.zeros_(weights.weight)

    def objective(batch: Batch) -> Losses:
        shared, free = weights.weight[0]
        return Losses(-3 * shared, {"against": 5 * shared + 4 * free})  # revised: (0, 4)

    recipe = plain_descent(epochs=1, batch=8, milestones=(9,), clip_gradients=1)
    run_one(weights, objective, data, recipe, tmp_path)
    torch.testing.assert_close(weights.weight.data, torch.tensor([[0.6, -0.8]]), rtol=1e-4, atol=1e-5)


# Reproducibility


def test_a_training_is_determined_by_its_seed(data: PairedClips, tmp_path: Path) -> None:
    runs = []
    for number, seed in enumerate((0, 0, 1)):
        setup = DistillationSetup(recipe=replace(RECIPE, augment=Augmentation()))
        curves = setup.train(data, tmp_path / str(number), seed=seed)
        runs.append((curves, state_of(setup.modules)))
    assert runs[0][0] == runs[1][0] != runs[2][0]
    assert equal_states(runs[0][1], runs[1][1])
    assert not equal_states(runs[0][1], runs[2][1])


def test_a_training_does_not_depend_on_the_processes_that_load(data: PairedClips, tmp_path: Path) -> None:
    states = []
    for workers in (0, 2):
        recipe = replace(RECIPE, augment=Augmentation(), loader_workers=workers)
        setup = DistillationSetup(recipe=recipe, dropout=0.3)
        setup.train(data, tmp_path / str(workers))
        states.append(state_of(setup.modules))
    assert equal_states(*states)


def test_golden_losses(data: PairedClips, tmp_path: Path) -> None:
    """The losses of one tiny run, with tolerances for other platforms."""
    curves = DistillationSetup().train(data, tmp_path)
    assert [curve.losses["task"] for curve in curves] == pytest.approx([0.6989, 0.6863, 0.6881], rel=2e-3)
    first = {"task": 0.6989, "kl": 0.009025, "node": 3.693, "edge": 0.2411}
    assert curves[0].losses == pytest.approx(first, rel=0.01)


def test_teacher_and_student_fit_the_clips(data: PairedClips, tmp_path: Path) -> None:
    batch = first_batch(data)
    setup = DistillationSetup(recipe=Recipe(epochs=25, batch=4, learning_rate=0.1, warmup=1))
    train(
        setup.teacher,
        teacher_objective(setup.teacher, setup.recipe),
        data,
        setup.recipe,
        seed=0,
        device=CPU,
        revision="per_loss",
        augment=None,
        state_file=tmp_path / "teacher.state",
        task=task_until(),
    )
    curves = setup.train(data, tmp_path)
    assert not setup.modules.training
    with torch.no_grad():
        assert (setup.teacher(batch.high, batch.high_mask).logits.argmax(1) == batch.label).all()
        assert (setup.student(batch.low, batch.low_mask).logits.argmax(1) == batch.label).all()
    for name in ("task", "kl", "node"):
        assert curves[-1].losses[name] < 0.7 * curves[0].losses[name]


# Interruption


@pytest.mark.parametrize("at", [0.5, 1.0, 1.5, 2.5, 3.0])
def test_an_interrupted_training_gives_the_same_result(data: PairedClips, tmp_path: Path, at: float) -> None:
    """Also with dropout and augmentation, at any time of the interruption."""
    recipe = replace(RECIPE, augment=Augmentation(), warmup=1)
    uninterrupted = DistillationSetup(recipe=recipe, dropout=0.3)
    curves = uninterrupted.train(data, tmp_path / "uninterrupted")
    with pytest.raises(InterruptionError):
        DistillationSetup(recipe=recipe, dropout=0.3).train(data, tmp_path / "broken", until=at)
    assert (tmp_path / "broken/student.state").is_file() == (at > 1)
    torch.manual_seed(77)  # any other use of the generator
    resumed = DistillationSetup(recipe=recipe, dropout=0.3)
    assert resumed.train(data, tmp_path / "broken") == curves
    assert equal_states(state_of(resumed.modules), state_of(uninterrupted.modules))


ADAMW = Recipe(
    2, batch=3, steps=8, balanced=True, optimiser="adamw", learning_rate=0.003, clip_gradients=0.5,
    augment=Augmentation(),
)  # fmt: skip


@pytest.mark.parametrize("at", [1.5, 2.0, 2.7])
def test_an_interrupted_training_with_adamw_gives_the_same_result(
    data: PairedClips, tmp_path: Path, at: float
) -> None:
    """Also with clipped gradients, balanced classes and more epochs than the recipe's."""
    uninterrupted = DistillationSetup(recipe=ADAMW, dropout=0.3)
    curves = uninterrupted.train(data, tmp_path / "uninterrupted", distil_from=1)
    assert len(curves) == 3  # of three steps
    with pytest.raises(InterruptionError):
        DistillationSetup(recipe=ADAMW, dropout=0.3).train(data, tmp_path / "broken", until=at, distil_from=1)
    torch.manual_seed(77)
    resumed = DistillationSetup(recipe=ADAMW, dropout=0.3)
    assert resumed.train(data, tmp_path / "broken", distil_from=1) == curves
    assert equal_states(state_of(resumed.modules), state_of(uninterrupted.modules))
    assert equal_states(*(stored_tensors(tmp_path / name) for name in ("broken", "uninterrupted")))


def stored_tensors(folder: Path) -> dict[str, Tensor]:
    with safe_open(folder / "student.state", framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def test_the_state_has_both_moments_of_adamw(data: PairedClips, tmp_path: Path) -> None:
    setup = DistillationSetup(recipe=ADAMW)
    setup.train(data, tmp_path)
    names = {name for name in stored_tensors(tmp_path) if name.startswith("optimiser.")}
    count = len(list(setup.modules.parameters()))
    assert names == {
        f"optimiser.{index}.{name}" for index in range(count) for name in ("step", "exp_avg", "exp_avg_sq")
    }


def test_a_state_of_an_earlier_version_continues(data: PairedClips, tmp_path: Path) -> None:
    """It contained the momentum as ``momentum.N``."""
    uninterrupted = DistillationSetup()
    curves = uninterrupted.train(data, tmp_path / "uninterrupted")
    with pytest.raises(InterruptionError):
        DistillationSetup().train(data, tmp_path / "earlier", until=2.5)
    path = tmp_path / "earlier/student.state"
    with safe_open(path, framework="pt") as file:
        metadata = {name: file.metadata()[name] for name in ("curves", "scaler")}
    tensors = {
        name.replace("optimiser.", "momentum.").removesuffix(".momentum_buffer"): value
        for name, value in stored_tensors(path.parent).items()
    }
    assert {name for name in tensors if not name.startswith("module.")} == {
        f"momentum.{index}" for index in range(len(list(uninterrupted.modules.parameters())))
    }
    save_file(tensors, path, metadata)
    resumed = DistillationSetup()
    assert resumed.train(data, tmp_path / "earlier") == curves
    assert equal_states(state_of(resumed.modules), state_of(uninterrupted.modules))


def test_a_state_with_the_curves_of_an_earlier_version_continues(data: PairedClips, tmp_path: Path) -> None:
    """They had no learning rate, clips and accuracies."""
    uninterrupted = DistillationSetup()
    curves = uninterrupted.train(data, tmp_path / "uninterrupted")
    path = interrupted_state(data, tmp_path / "earlier")
    stored = json.loads(state_header(path)["curves"])
    former = [{name: curve[name] for name in ("losses", "cosines", "revised", "seconds")} for curve in stored]
    rewrite_state(path, stored_tensors(path.parent), curves=json.dumps(former))
    resumed = DistillationSetup()
    found = resumed.train(data, path.parent)
    assert equal_states(state_of(resumed.modules), state_of(uninterrupted.modules))
    assert [curve.training_top1 is None for curve in found] == [True, True, False]
    assert found[2] == curves[2]
    assert [curve.losses for curve in found] == [curve.losses for curve in curves]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_dd_net_is_trained_on_a_gpu_with_adamw_and_continues(data: PairedClips, tmp_path: Path) -> None:
    recipe, device = replace(ADAMW, augment=None, epochs=6), torch.device("cuda")

    def trained(folder: str, until: float = math.inf) -> tuple[list[Curve], dict[str, Tensor]]:
        torch.manual_seed(0)
        network = dd_net(COCO_17, 2, width=8).to(device)
        curves = train(
            network, teacher_objective(network, recipe), data, recipe, seed=0, device=device,
            revision="none", augment=None, state_file=tmp_path / folder, task=task_until(until),
        )  # fmt: skip
        return curves, state_of(network.cpu())

    curves, _ = trained("uninterrupted")
    with pytest.raises(InterruptionError):
        trained("broken", until=3.4)
    resumed, weights = trained("broken")
    assert len(resumed) == len(curves) == 6
    assert all(math.isfinite(curve.losses["task"]) for curve in resumed)
    assert resumed[0].losses["task"] == pytest.approx(curves[0].losses["task"], rel=0.01)
    assert all(value.isfinite().all() for value in weights.values())


def test_a_finished_training_is_not_repeated(data: PairedClips, tmp_path: Path) -> None:
    first, second = DistillationSetup(), DistillationSetup()
    curves = first.train(data, tmp_path)
    assert second.train(data, tmp_path, until=0) == curves  # would raise at the first step
    assert equal_states(state_of(first.modules), state_of(second.modules))


def test_a_damaged_state_raises_an_error(data: PairedClips, tmp_path: Path) -> None:
    state = tmp_path / "student.state"
    state.write_bytes(b"half a file")
    with pytest.raises(DataError, match=rf"^{state} is damaged [^\n]*; delete it to train from the start$"):
        DistillationSetup().train(data, tmp_path)


def interrupted_state(data: PairedClips, folder: Path, recipe: Recipe = RECIPE) -> Path:
    """The state of a training after its second epoch of three."""
    with pytest.raises(InterruptionError):
        DistillationSetup(recipe=recipe).train(data, folder, until=2.5)
    return folder / "student.state"


def state_header(path: Path) -> dict[str, str]:
    with safe_open(path, framework="pt") as file:
        return dict(file.metadata())


def rewrite_state(path: Path, tensors: dict[str, Tensor], **changes: str | None) -> None:
    """Write a state with other tensors and metadata, as any program could: without a checksum."""
    with safe_open(path, framework="pt") as file:
        metadata = {**file.metadata(), "sha256": None, **changes}
    save_file(tensors, path, {name: text for name, text in metadata.items() if text is not None})


WEIGHT = "module.network.classify.weight"


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda t: t.pop(WEIGHT), f"no tensor {WEIGHT}"),
        (lambda t: t.pop("optimiser.0.exp_avg"), "no tensor optimiser.0.exp_avg"),
        (lambda t: t.update(more=torch.ones(2)), "an unknown tensor more"),
        (lambda t: t.update({WEIGHT: t[WEIGHT][:, :2].clone()}), f"{WEIGHT} of float32 [2, 2] instead of"),
        (lambda t: t.update({WEIGHT: t[WEIGHT].double()}), f"{WEIGHT} of float64"),
        (lambda t: t[WEIGHT].fill_(math.nan), f"{WEIGHT} is not finite"),
        (lambda t: t["optimiser.0.exp_avg"].fill_(math.inf), "optimiser.0.exp_avg is not finite"),
        (lambda t: t["optimiser.0.exp_avg_sq"].fill_(-1), "optimiser.0.exp_avg_sq is negative"),
        (lambda t: next(t[n] for n in t if n.endswith("running_var")).fill_(-1), "running_var is negative"),
    ],
)
def test_a_state_with_other_tensors_raises_an_error_and_is_kept(
    data: PairedClips, tmp_path: Path, change: Callable[[dict[str, Tensor]], object], found: str
) -> None:
    path = interrupted_state(data, tmp_path, ADAMW)
    tensors = stored_tensors(tmp_path)
    change(tensors)
    rewrite_state(path, tensors)
    before = path.read_bytes()
    with pytest.raises(DataError) as caught:
        DistillationSetup(recipe=ADAMW).train(data, tmp_path)
    assert str(caught.value).startswith(f"{path} is damaged or of another training (")
    assert found in str(caught.value)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"format": "skdpipe-training-2"}, "newer than 'skdpipe-training-1'; update skdpipe"),
        ({"format": "another"}, "expected 'skdpipe-training-1'"),
        ({"curves": None}, "Invalid JSON"),
        ({"curves": '[{"losses": {"task": NaN}}]'}, "0.losses.task: found nan"),
        ({"curves": '[{"losses": {"task": "1"}}]'}, "0.losses.task: found '1'"),
        ({"curves": "[" * 100_000}, "Invalid JSON"),
        ({"scaler": "[]"}, "should be an object"),
    ],
)
def test_a_state_with_other_metadata_raises_an_error(
    data: PairedClips, tmp_path: Path, changes: dict[str, str | None], found: str
) -> None:
    path = interrupted_state(data, tmp_path)
    rewrite_state(path, stored_tensors(tmp_path), **changes)
    with pytest.raises(DataError) as caught:
        DistillationSetup().train(data, tmp_path)
    assert found in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_state_of_another_optimiser_or_without_metadata_raises_an_error(
    data: PairedClips, tmp_path: Path
) -> None:
    path = interrupted_state(data, tmp_path)
    with pytest.raises(DataError, match=r"an unknown tensor optimiser|no tensor optimiser"):
        DistillationSetup(recipe=ADAMW).train(data, tmp_path)
    save_file(stored_tensors(tmp_path), path)
    with pytest.raises(DataError, match="is damaged or of another training"):
        DistillationSetup().train(data, tmp_path)
    path.unlink()
    path.mkdir()
    with pytest.raises(DataError, match="a folder or a device, not a file"):
        DistillationSetup().train(data, tmp_path)


def test_equal_trainings_give_equal_bytes(data: PairedClips, tmp_path: Path) -> None:
    """Except for the times of the epochs."""
    for name in ("one", "other"):
        path = interrupted_state(data, tmp_path / name)
        with safe_open(path, framework="pt") as file:
            curves = json.loads(file.metadata()["curves"])
        without_times = json.dumps([{**curve, "seconds": 0} for curve in curves])
        rewrite = {name: value.numpy() for name, value in stored_tensors(path.parent).items()}
        write_tensors(path, rewrite, {"curves": without_times})
    assert (tmp_path / "one/student.state").read_bytes() == (tmp_path / "other/student.state").read_bytes()


def test_the_loss_scale_is_restored(tmp_path: Path) -> None:
    network = nn.Linear(2, 2)
    optimiser, path = torch.optim.SGD(network.parameters(), 0.1), tmp_path / "state"
    halved = GradScaler("cpu", init_scale=128.0)
    save_training_state(path, network, optimiser, halved, [Curve({"task": 1.0})])
    new = GradScaler("cpu")
    assert load_training_state(path, network, optimiser, new) == [Curve({"task": 1.0})]
    assert new.get_scale() == 128.0
    save_training_state(path, network, optimiser, GradScaler("cpu", enabled=False), [])
    assert load_training_state(path, network, optimiser, GradScaler("cpu")) == []  # continued on a GPU


# One step


@pytest.fixture
def one_step() -> DistillationSetup:
    """One step on all clips, of plain gradient descent."""
    return DistillationSetup(
        recipe=Recipe(1, batch=8, learning_rate=0.1, momentum=0, weight_decay=0, milestones=(9,))
    )


def test_without_revision_a_step_follows_the_plain_sum(
    data: PairedClips, tmp_path: Path, one_step: DistillationSetup
) -> None:
    twin = copy.deepcopy(one_step.modules).train()
    losses = student_objective(twin["network"], one_step.teacher, twin["adaptation"], RECIPE, Distillation())(
        first_batch(data)
    )
    total = losses.task + sum(losses.distillation.values())
    gradients = torch.autograd.grad(total, list(twin.parameters()))
    one_step.train(data, tmp_path, revision="none")
    for before, gradient, after in zip(
        twin.parameters(), gradients, one_step.modules.parameters(), strict=True
    ):
        torch.testing.assert_close(after, before - 0.1 * gradient, rtol=1e-3, atol=1e-5)


def test_a_conflict_is_revised_and_reported(data: PairedClips, tmp_path: Path) -> None:
    """Task and distillation loss have opposite gradients in the first weight; the second one is free."""
    weights = nn.Linear(2, 1, bias=False)
    nn.init.zeros_(weights.weight)

    def objective(batch: Batch) -> Losses:
        shared, free = weights.weight[0]
        return Losses(-shared, {"against": 5 * shared + 2 * free, "along": -shared})

    recipe = Recipe(1, batch=8, learning_rate=0.1, momentum=0, weight_decay=0, milestones=(9,))
    options = {"seed": 0, "device": CPU, "augment": None, "task": task_until()}
    (curve,) = train(
        weights, objective, data, recipe, revision="per_loss", state_file=tmp_path / "1", **options
    )
    # task -1 and along -1; of (5, 2) only the second component remains
    torch.testing.assert_close(weights.weight.data, torch.tensor([[0.2, -0.2]]))
    assert curve.revised == {"against": 1.0, "along": 0.0}
    assert curve.cosines == pytest.approx({"against": -5 / math.hypot(5, 2), "along": 1.0})
    nn.init.zeros_(weights.weight)
    (curve,) = train(weights, objective, data, recipe, revision="none", state_file=tmp_path / "2", **options)
    torch.testing.assert_close(weights.weight.data, torch.tensor([[-0.3, -0.2]]))
    assert curve.revised == {}


@pytest.mark.parametrize("revision", ["none", "summed", "per_loss"])
def test_batch_norm_statistics_are_updated_once_a_step(
    data: PairedClips, tmp_path: Path, one_step: DistillationSetup, revision: Revision
) -> None:
    batch = first_batch(data)
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


def test_the_adaptation_layer_is_trained_and_the_teacher_is_not(data: PairedClips, tmp_path: Path) -> None:
    setup = DistillationSetup()
    teacher, adaptation = state_of(setup.teacher), state_of(setup.adaptation)
    setup.train(data, tmp_path)
    assert equal_states(teacher, state_of(setup.teacher))
    assert not setup.teacher.training
    assert all(parameter.grad is None for parameter in setup.teacher.parameters())
    assert not any(
        torch.equal(value, adaptation[name]) for name, value in setup.adaptation.state_dict().items()
    )


@pytest.mark.parametrize("scale", [1.0, 1024.0])
@pytest.mark.parametrize("revision", ["none", "summed", "per_loss"])
def test_the_loss_scale_is_a_factor_of_the_gradients(
    data: PairedClips, revision: Revision, scale: float
) -> None:
    setup = DistillationSetup()
    parameters = list(setup.modules.parameters())
    plain, scaled = [], []
    for gradients, scaler in (
        (plain, GradScaler("cpu", enabled=False)),
        (scaled, GradScaler("cpu", init_scale=scale)),
    ):
        torch.manual_seed(0)
        compute_gradients(setup.objective(first_batch(data)), parameters, scaler, revision)
        gradients.extend(parameter.grad.clone() for parameter in parameters)
    for one, other in zip(plain, scaled, strict=True):
        torch.testing.assert_close(other / scale, one, rtol=1e-4, atol=1e-6)


def test_the_training_accuracy_counts_the_labelled_clips_of_all_steps(
    data: PairedClips, tmp_path: Path
) -> None:
    """Of steps of different sizes; a step without labelled clips does not count."""
    weight = nn.Linear(1, 1, bias=False)
    correct = iter([torch.tensor([True, True, False]), torch.tensor([False]), torch.tensor([]).bool()] * 2)
    recipe = Recipe(2, batch=3, learning_rate=0.1, milestones=(9,))
    curves = train(
        weight, lambda batch: Losses(weight.weight.sum(), correct=next(correct)), data, recipe, seed=0,
        device=CPU, revision="none", augment=None, state_file=tmp_path / "state", task=task_until(),
    )  # fmt: skip
    assert [(curve.training_top1, curve.clips) for curve in curves] == [(50.0, 8)] * 2
    assert [curve.learning_rate for curve in curves] == [0.1, 0.1]


def test_a_training_is_followed_and_tested_without_an_effect(data: PairedClips, tmp_path: Path) -> None:
    """Also if the test uses random numbers and leaves the network in evaluation mode."""
    plain, tested = (
        DistillationSetup(recipe=replace(RECIPE, augment=Augmentation()), dropout=0.3) for _ in "ab"
    )
    curves = plain.train(data, tmp_path / "plain")
    followed: list[list[float | None]] = []

    def test(epoch: int) -> float | None:
        tested.modules.eval()
        torch.rand(epoch)
        return 10.0 * epoch if epoch != 2 else None

    def follow(found: Sequence[Curve]) -> None:
        followed.append([curve.test_top1 for curve in found])
        state = tmp_path / "tested/student.state"
        assert len(json.loads(state_header(state)["curves"]) if found else []) == len(found)

    found = tested.train(data, tmp_path / "tested", test=test, follow=follow)
    assert followed == [[], [10.0], [10.0, None], [10.0, None, 30.0]]
    assert [replace(curve, test_top1=None) for curve in found] == curves
    assert equal_states(state_of(plain.modules), state_of(tested.modules))


def test_divergence_raises_an_error_and_leaves_no_state(data: PairedClips, tmp_path: Path) -> None:
    setup = DistillationSetup(recipe=replace(RECIPE, learning_rate=1e18))
    expected = (
        r"^training diverged: \w+ is (nan|inf) in epoch 1, expected a finite number; lower recipe\.learn"
    )
    with pytest.raises(DataError, match=expected):
        setup.train(data, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("which", ["task", "kl"])
def test_a_loss_that_is_not_finite_is_named(data: PairedClips, tmp_path: Path, which: str) -> None:
    setup = DistillationSetup()

    def objective(batch: Batch) -> Losses:
        losses = setup.objective(batch)
        broken = {
            name: loss * (math.nan if name == which else 1) for name, loss in losses.distillation.items()
        }
        return Losses(losses.task * (math.nan if which == "task" else 1), broken)

    with pytest.raises(DataError, match=f"training diverged: {which} is nan in epoch 1"):
        setup.train(data, tmp_path, objective=objective)


def test_weights_that_are_not_finite_are_not_saved(data: PairedClips, tmp_path: Path) -> None:
    setup = DistillationSetup(recipe=replace(RECIPE, epochs=1, batch=8))

    def objective(batch: Batch) -> Losses:
        bias = setup.student.classify.bias
        return Losses((bias * 0).sqrt().sum())  # finite, but its gradient is not

    with pytest.raises(DataError, match="training diverged: weights is nan in epoch 1"):
        setup.train(data, tmp_path, objective=objective)
    assert not list(tmp_path.iterdir())


def test_running_statistics_that_are_not_finite_are_not_saved(data: PairedClips, tmp_path: Path) -> None:
    setup = DistillationSetup(recipe=replace(RECIPE, epochs=1, batch=8))
    (norm, *_) = (
        each for each in setup.student.modules() if isinstance(each, nn.BatchNorm1d | nn.BatchNorm2d)
    )

    def objective(batch: Batch) -> Losses:
        norm.running_var.fill_(torch.inf)  # as after a joint at 1e30
        return setup.objective(batch)

    with pytest.raises(DataError, match="training diverged: running statistics is inf in epoch 1"):
        setup.train(data, tmp_path, objective=objective)
    assert not list(tmp_path.iterdir())


def test_distillation_starts_in_its_first_epoch(data: PairedClips, tmp_path: Path) -> None:
    late, plain = DistillationSetup(), DistillationSetup()
    task_alone = plain.train(data, tmp_path / "plain", objective=lambda b: Losses(plain.objective(b).task))
    curves = late.train(data, tmp_path / "late", distil_from=1)
    assert [set(curve.losses) for curve in curves[:2]] == [{"task"}, {"task", "kl", "node", "edge"}]
    assert curves[0].losses == task_alone[0].losses
    assert curves[1].losses["task"] != task_alone[1].losses["task"]


def test_summed_revision_reports_the_sum(data: PairedClips, tmp_path: Path) -> None:
    curves = DistillationSetup().train(data, tmp_path, revision="summed")
    assert curves[0].losses.keys() == {"task", "kl", "node", "edge"}
    assert curves[0].cosines.keys() == curves[0].revised.keys() == {"sum"}
