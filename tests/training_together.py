"""Checks of several processes against one, which `torchrun` runs: see test_torchrun.py.

Each check is called in all processes and returns the largest difference from the result of one process,
relative to the largest value of that. The process with number 0 writes all of them as JSON.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pytest
import torch
from distillation_setup import (
    CPU,
    DistillationSetup,
    InterruptionError,
    first_batch,
    tiny_network,
    training_clips,
)
from moving_body import fill
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler

from skdpipe.cache import PoseCache
from skdpipe.config import Augmentation, Distillation, Recipe
from skdpipe.dataset import Batch, PairedClips
from skdpipe.distill.objective import cache_teacher_outputs, student_objective, teacher_objective
from skdpipe.distill.processes import ALONE, Processes, joined_processes
from skdpipe.distill.training import Losses, Revision, compute_gradients
from skdpipe.distill.training_state import Curve
from skdpipe.errors import DataError, ProcessError
from skdpipe.networks import NETWORKS, build_network
from skdpipe.networks.batch_norm import synchronised_batch_norm
from skdpipe.progress import Task
from skdpipe.skeleton import PENN_13

Check = Callable[[Processes, PairedClips], float]
Named = Mapping[str, Tensor]

VARIANTS: Final[Mapping[str, Distillation]] = {
    "paper": Distillation(),
    "reverse KL, relative node, official edge": Distillation(
        kl_direction="student_teacher", node_variant="relative", edge_variant="official", temperature=2.0
    ),
    "pooled": Distillation(pooled=True, node=2.0, edge=3.0),
    "pooled relative": Distillation(pooled=True, node_variant="relative", edge_variant="official"),
}


def difference(found: Named, expected: Named) -> float:
    """The largest difference, relative to the largest value of the same name (or 1, if that is larger)."""
    assert found.keys() == expected.keys(), found.keys() ^ expected.keys()
    worst = 0.0
    for name, value in expected.items():
        assert found[name].shape == value.shape, name
        if value.numel():
            size = max(1.0, float(value.detach().abs().max()))
            worst = max(worst, float((found[name].detach() - value.detach()).abs().max()) / size)
    return worst if math.isfinite(worst) else math.inf


def part_of(batch: Batch, processes: Processes) -> Batch:
    return Batch(*(each[processes.index :: processes.count] for each in batch))


# Losses, their gradients, and the revised direction


def mixed_batch(data: PairedClips, kind: torch.dtype) -> Batch:
    """Seven clips; those of process 1 of two are unlabelled, and one of all has high quality only there."""
    batch = first_batch(data, 7)
    labelled = torch.tensor([True, False, True, False, True, False, True])
    mask, paired = batch.high_mask.clone(), batch.paired.clone()
    mask[[0, 3]], paired[[0, 3]] = False, False
    return batch._replace(
        high=batch.high.to(kind), low=batch.low.to(kind), high_mask=mask, paired=paired, labelled=labelled
    )


def without_high_in_process_1(data: PairedClips, kind: torch.dtype) -> Batch:
    """No feature can be compared in process 1 of two, which has no label either."""
    batch = mixed_batch(data, kind)
    mask, paired = batch.high_mask.clone(), batch.paired.clone()
    mask[1::2], paired[1::2] = False, False
    return batch._replace(high_mask=mask, paired=paired)


def step(setup: DistillationSetup, settings: Distillation, revision: Revision, batch: Batch,
         processes: Processes) -> dict[str, Tensor]:  # fmt: skip
    """Losses, the gradient of each by itself, the direction of the update, and the conflicts found."""
    parameters = list(setup.modules.parameters())
    objective = student_objective(
        setup.student, setup.teacher, setup.adaptation, setup.recipe, settings, None, processes
    )
    found: dict[str, Tensor] = {}
    with synchronised(setup.modules, processes):
        losses = objective(part_of(batch, processes))
        for name, loss in {"task": losses.task, **losses.distillation}.items():
            found[name] = processes.sum(loss.detach())
            gradient = torch.autograd.grad(loss, parameters, retain_graph=True, materialize_grads=True)
            found |= numbered(f"gradient of {name}", processes.sum_vector(gradient))
        report = compute_gradients(losses, parameters, GradScaler(enabled=False), revision, processes)
    found |= numbered("direction", [each.grad for each in parameters if each.grad is not None])
    if report is not None:
        found |= {f"cosine {name}": torch.tensor(value) for name, value in report.cosine.items()}
    return found | dict(setup.modules.named_buffers())


def numbered(name: str, tensors: Sequence[Tensor]) -> dict[str, Tensor]:
    return {f"{name} {number}": each for number, each in enumerate(tensors)}


@contextmanager
def synchronised(modules: nn.Module, processes: Processes) -> Iterator[None]:
    with nullcontext() if processes.count == 1 else synchronised_batch_norm(modules, processes.sum):
        yield


def losses_and_gradients(
    settings: Distillation,
    revision: Revision,
    kind: torch.dtype,
    batch_of: Callable[[PairedClips, torch.dtype], Batch],
    processes: Processes,
    data: PairedClips,
) -> float:
    results = []
    for each in (processes, ALONE):
        setup = DistillationSetup(settings)
        for module in (setup.modules, setup.teacher):
            module.to(kind)
        results.append(step(setup, settings, revision, batch_of(data, kind), each))
    assert {"gradient of kl 0", "gradient of node 0", "gradient of edge 0"} <= results[0].keys()
    return difference(*results)


# Networks with synchronised batch norm


def network_step(name: str, clips: int, processes: Processes, data: PairedClips) -> float:
    """Outputs, gradients and running statistics; the second person is in clips of process 0 alone."""
    generator = torch.Generator().manual_seed(3)
    x = 3 + torch.randn(clips, 2, 3, 16, len(PENN_13), generator=generator, dtype=torch.float64)
    mask = torch.ones(clips, 2, dtype=torch.bool)
    mask[1::2, 1] = False
    results = []
    for each in (processes, ALONE):
        torch.manual_seed(5)
        network = build_network(name, PENN_13, 4, people=2, width=8).double()
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(torch.randn_like(parameter), alpha=0.1)
        own = slice(each.index, None, each.count)
        with synchronised(network, each):
            output = network(x[own], mask[own])
            loss = output.logits.square().sum() + output.features[mask[own]].pow(3).sum()
            gradients = torch.autograd.grad(loss, list(network.parameters()), materialize_grads=True)
        found = numbered("gradient", each.sum_vector(gradients)) | dict(network.named_buffers())
        everything = torch.zeros(clips, 4, dtype=torch.float64)
        everything[own] = output.logits.detach()
        results.append({**found, "logits": each.sum(everything)})
    assert any(key.endswith("num_batches_tracked") for key in results[0])
    return difference(*results)


def without_rows_statistics_stay(processes: Processes, data: PairedClips) -> float:
    norm = nn.Sequential(nn.BatchNorm2d(3))
    before = {name: value.clone() for name, value in norm.state_dict().items()}
    with synchronised(norm, processes):
        assert norm(torch.zeros(0, 3, 2, 2)).shape == (0, 3, 2, 2)
    assert isinstance(norm[0], nn.BatchNorm2d)
    return difference(norm.state_dict(), before)


def statistics_far_from_zero(processes: Processes, data: PairedClips) -> float:
    """A mean that is a thousand times the standard deviation, in single precision."""
    x = 1000 + torch.randn(64, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    results = []
    for each in (processes, ALONE):
        norm = nn.Sequential(nn.BatchNorm2d(3))
        with synchronised(norm, each):
            y = norm(x[each.index :: each.count])
        results.append({"first": y[:1] if each.is_first else y[:0], **norm.state_dict()})
    if not processes.is_first:
        results[1]["first"] = results[1]["first"][:0]
    return difference(*results)


# Whole trainings


def trained(
    recipe: Recipe,
    folder: Path,
    processes: Processes,
    data: PairedClips,
    until: float = math.inf,
    settings: Distillation | None = None,
) -> dict[str, Tensor] | None:
    """Weights and curves; None if the training is interrupted."""
    setup = DistillationSetup(settings, recipe)
    objective = student_objective(
        setup.student, setup.teacher, setup.adaptation, recipe, settings or Distillation(), None, processes
    )
    try:
        curves = setup.train(
            data, folder, until=until, objective=objective, processes=processes,
            test=lambda epoch: float(epoch), follow=lambda curves: None,
        )  # fmt: skip
    except InterruptionError:
        return None
    return {**setup.modules.state_dict(), **values_of(curves)}


def values_of(curves: Sequence[Curve]) -> dict[str, Tensor]:
    return {
        f"{number} {kind} {name}": torch.tensor(float(value))
        for number, curve in enumerate(curves)
        for kind, values in (
            ("loss", curve.losses),
            ("cosine", curve.cosines),
            ("revised", curve.revised),
            ("count", {"clips": curve.clips, "top1": curve.training_top1, "test": curve.test_top1}),
        )
        for name, value in values.items()
        if value is not None
    }


def together_and_alone(
    recipe: Recipe, processes: Processes, data: PairedClips, settings: Distillation | None = None
) -> float:
    with TemporaryDirectory() as folder:
        found = trained(recipe, Path(folder) / "together", processes, data, settings=settings)
        expected = trained(recipe, Path(folder) / "alone", ALONE, data, settings=settings)
        assert (Path(folder) / "together/student.state").exists() == processes.is_first
    assert found is not None
    assert expected is not None
    first = processes.of_first(lambda: found)
    assert all(torch.equal(found[name], value) for name, value in first.items())  # they never drift apart
    if recipe.optimiser == "adamw":
        # The gradient of a bias before a batch norm is zero. AdamW divides its rounding errors by their size.
        before_norms = ("temporal.2.bias", "residual.0.bias", "running_mean")
        for name in [name for name in expected if name.endswith(before_norms)]:
            del found[name], expected[name]
    return difference(found, expected)


def continued_in_other_processes(processes: Processes, data: PairedClips) -> float:
    """The first epoch by all processes, the second by one, the rest by all."""
    with TemporaryDirectory() as folder:
        broken = Path(folder) / "broken"
        assert trained(FOUR_EPOCHS, broken, processes, data, until=1.5) is None
        assert processes.of_first(lambda: trained(FOUR_EPOCHS, broken, ALONE, data, until=2.5)) is None
        found = trained(FOUR_EPOCHS, broken, processes, data)
        expected = trained(FOUR_EPOCHS, Path(folder) / "alone", ALONE, data)
    assert found is not None
    assert expected is not None
    return difference(found, expected)


def in_bfloat16(processes: Processes, data: PairedClips) -> float:
    """Rounding to eight bits differs between parts and whole, so that only the loss is compared."""
    values = []
    for each in (processes, ALONE):
        with TemporaryDirectory() as folder:
            found = trained(replace(SGD, mixed_precision="bf16", epochs=1), Path(folder), each, data)
        assert found is not None
        values.append({"task": found["0 loss task"], "node": found["0 loss node"]})
    return difference(*values)


def outputs_of_the_teacher(processes: Processes, data: PairedClips) -> float:
    teacher, recipe = tiny_network(1).eval(), Recipe(batch=3)
    found, expected = (
        cache_teacher_outputs(teacher, data, recipe, 100, CPU, Task(), each) for each in (processes, ALONE)
    )
    assert found is not None
    assert expected is not None
    return difference(found._asdict(), expected._asdict())


# Errors


@contextmanager
def reported_by_process_0(processes: Processes, text: str) -> Iterator[None]:
    expected = DataError if processes.is_first else ProcessError
    with pytest.raises(expected, match=text) as caught:
        yield
    assert processes.is_first or caught.value.reported  # type: ignore[attr-defined]


def an_error_of_process_0_ends_all(processes: Processes, data: PairedClips) -> float:
    def fail() -> None:
        raise DataError("there are no clips")

    with reported_by_process_0(processes, "there are no clips"):
        processes.of_first(fail)
    return 0.0


def a_loss_that_is_not_finite_ends_all(processes: Processes, data: PairedClips) -> float:
    """It is found in one process."""
    setup = DistillationSetup(recipe=SGD)
    objective = teacher_objective(setup.student, SGD, processes)

    def diverging(batch: Batch) -> Losses:
        losses = objective(batch)
        return losses if processes.is_first else losses._replace(task=losses.task * math.nan)

    with (
        TemporaryDirectory() as folder,
        reported_by_process_0(processes, "training diverged: task is nan in epoch 1"),
    ):
        setup.train(data, Path(folder), objective=diverging, processes=processes)
    return 0.0


SGD: Final = Recipe(epochs=3, batch=3, learning_rate=0.05, augment=Augmentation(), warmup=1)  # 3, 3, 2 clips
FOUR_EPOCHS: Final = replace(SGD, epochs=4)
ADAMW: Final = Recipe(
    2, batch=5, steps=6, balanced=True, optimiser="adamw", learning_rate=0.003, clip_gradients=0.5,
    label_smoothing=0.1,
)  # fmt: skip
SINGLE_CLIPS: Final = Recipe(epochs=1, batch=1, learning_rate=0.02)  # process 1 has no clip in any step

REVISIONS: Final[tuple[Revision, ...]] = ("summed", "none")
BATCHES: Final = {"mixed": mixed_batch, "one process without features": without_high_in_process_1}
CHECKS: Final[Mapping[str, Check]] = {
    **{
        f"losses of {name}, {batch}, {kind}": partial(
            losses_and_gradients, settings, "per_loss", kind, BATCHES[batch]
        )
        for batch in BATCHES
        for name, settings in VARIANTS.items()
        for kind in (torch.float64, torch.float32)
    },
    **{
        f"losses of paper, {revision}": partial(
            losses_and_gradients, Distillation(), revision, torch.float64, mixed_batch
        )
        for revision in REVISIONS
    },
    **{
        f"{name} with {clips} clips": partial(network_step, name, clips)
        for name in NETWORKS
        for clips in (5, 1)  # process 1 has none of one
    },
    "sgd": partial(together_and_alone, SGD),
    "adamw": partial(together_and_alone, ADAMW),
    "pooled": partial(together_and_alone, replace(SGD, batch=4, epochs=1), settings=VARIANTS["pooled"]),
    "batches of one clip": partial(together_and_alone, SINGLE_CLIPS),
    **{
        each.__name__.replace("_", " "): each
        for each in (
            continued_in_other_processes,
            outputs_of_the_teacher,
            without_rows_statistics_stay,
            statistics_far_from_zero,
            in_bfloat16,
            an_error_of_process_0_ends_all,
            a_loss_that_is_not_finite_ends_all,
        )
    },
}


def main(results: Path) -> None:
    """Run all checks and write the largest difference of any process by name."""
    with joined_processes(CPU) as processes, TemporaryDirectory() as folder:
        data = training_clips(fill(PoseCache(Path(folder))))
        found: dict[str, float] = {}
        for name, check in CHECKS.items():
            worst = processes.with_rows_of_others(torch.tensor([check(processes, data)], dtype=torch.float64))
            found[name] = float(worst.max())
        if processes.is_first:
            results.write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
