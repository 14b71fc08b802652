"""Benchmarks of skdpipe against a reference.

    python tests/benchmark.py [NAME...] [--rounds N] [--threads N] [--size full|small]

Reference and candidate are timed alternately in one process, so that the load of the machine affects both,
and the result is the ratio within a round. "Multiplications" is the ratio of both sides' multiplications in
matrix products and convolutions. To add a benchmark, write a function from `Setting` to rows that yields
``timed(Comparison(name, reference, candidate), setting)``, and add it to `SECTIONS`.
"""

from __future__ import annotations

import copy
import math
import platform
import re
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Annotated, Final, Literal, NamedTuple, TypeVar, cast

import numpy as np
import plain_edges
import torch
import torch.nn.functional as F
import tracking_quality
import typer
from crossing_actors import Footage, detect_rendered, walking_scene
from extraction_speed import ExtractionSize, Qualities, both_qualities, comparisons
from moving_body import ACTIONS, a_sequence, blurred, fill, tiny_experiment
from network_contract import perturbed
from plain_st_gcn import PlainStGcn
from rich.console import Console
from rich.live import Live
from rich.table import Table
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from tracking_quality import TrackingSize

from skdpipe.bundle import Bundle, build_network, save_bundle
from skdpipe.cache import PoseCache
from skdpipe.config import (
    Augmentation,
    ClipFormat,
    Distillation,
    NetworkChoice,
    OpenPifPafSettings,
    Precision,
    Thresholds,
)
from skdpipe.dataset import BOTH, Batch, Loader, Manifest, PairedClips, augment, batches, build_manifest
from skdpipe.distill import edge_loss as blockwise
from skdpipe.distill.gradients import RevisionReport, revised_gradients, summed_revised_gradients
from skdpipe.distill.objective import baseline_objective, student_objective
from skdpipe.distill.training import Objective
from skdpipe.export import ExportReport, export_student
from skdpipe.export.litert import LitertFile
from skdpipe.export.parity import worst
from skdpipe.inference import BundleMetadata
from skdpipe.inference.export_format import LITERT_STUDENT, OPENVINO_STUDENT, STATIC_STUDENT
from skdpipe.inference.model_input import batch_input
from skdpipe.inference.runtimes import ExportedRuntime, Floats, Mask, Runtime
from skdpipe.networks import (
    NETWORKS,
    ContinualNetwork,
    GraphNetwork,
    adaptation_layer,
    agcn,
    as_gcn,
    ctr_gcn,
    deployed,
    ms_g3d,
    multiply_adds_in,
    shift_gcn,
    st_2sgcn,
    st_gcn,
    st_gcn_plus_plus,
    st_sgcn,
    to_onnx,
)
from skdpipe.pose.load import load_estimator
from skdpipe.runtime import TorchRuntime
from skdpipe.runtimes.session import openvino_has_bfloat16
from skdpipe.skeleton import layout_named
from skdpipe.speed import brief, time_in_turn
from skdpipe.synthetic import render_frame

# --------------------------------------------------------------------------------------------------------
# Measuring


@dataclass(frozen=True)
class Comparison:
    """Two functions with the same result."""

    name: str
    reference: Callable[[], object]
    candidate: Callable[[], object]


@dataclass(frozen=True)
class Measured:
    """Seconds of a call (or the other measured quantity) of both sides, and their ratio, for each round."""

    reference: list[float]
    candidate: list[float]
    ratios: list[float]


def measure(
    comparison: Comparison,
    rounds: int,
    *,
    least: float = 0.0,
    clock: Callable[[], float] = perf_counter,
) -> Measured:
    """Time both sides alternately; the ratios are reference / candidate.

    Args:
        comparison: both sides are called at least once as a warm-up.
        rounds: number of rounds; the candidate is timed first in every second one.
        least: minimum duration in seconds of a side in a round; short calls are repeated.
        clock: returns the time in seconds.
    """
    sides = {"reference": comparison.reference, "candidate": comparison.candidate}
    calls = {name: partial(_finish, side) for name, side in sides.items()}
    timings = time_in_turn(calls, rounds=rounds, least=least, clock=clock)
    reference, candidate = (list(timings[name].seconds) for name in sides)
    return Measured(
        reference, candidate, [slow / fast for slow, fast in zip(reference, candidate, strict=True)]
    )


def _finish(side: Callable[[], object]) -> None:
    side()
    _synchronise()


def _synchronise() -> None:
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.synchronize()


# --------------------------------------------------------------------------------------------------------
# Sizes


class EdgeSize(NamedTuple):
    """Shape of the features that an edge loss compares."""

    rows: int
    channels: int
    frames: int
    joints: int


class StepSize(NamedTuple):
    """An ST-GCN, or a student in training, with ``people`` in each of ``batch`` clips."""

    layout: str
    people: int
    frames: int
    width: int
    batch: int


class LoaderSize(NamedTuple):
    """A training on ``of_each`` clips of each of two actions, two thirds of them training clips."""

    layout: str
    frames: int
    width: int
    batch: int
    of_each: int


class CacheSize(NamedTuple):
    """A cache with ``clips`` clips of ``frames`` frames in both qualities."""

    clips: int
    frames: int


class ExportSize(NamedTuple):
    """Networks of one width that are exported, and the clips on which they are compared."""

    networks: tuple[str, ...]
    frames: int
    width: int
    clips: int


@dataclass(frozen=True)
class Sizes:
    """Sizes of all benchmarks.

    Attributes:
        rounds: default number of rounds.
        least: minimum seconds of a side in a round.
        edges: sizes at which the edge losses are timed, by name.
        peak: size at which their memory is measured.
        peak_losses: losses whose memory is measured.
        train: ST-GCNs whose training steps are timed.
        runtimes: ST-GCNs that are timed in each runtime.
        exported: networks that are exported.
        extraction: the video and networks of the extraction.
        qualities: videos, and the networks of both qualities.
        loaders: trainings whose waiting time for batches is measured.
        cache: the cache of which a manifest and batches are made.
        steps: students whose steps are timed.
        footage: windows of footage, of ``people`` each; the batch is not used.
        tracking: footage in which people are followed.
    """

    rounds: int
    least: float
    edges: dict[str, EdgeSize]
    peak: EdgeSize
    peak_losses: tuple[str, ...]
    train: tuple[StepSize, ...]
    runtimes: tuple[StepSize, ...]
    exported: ExportSize
    extraction: ExtractionSize
    qualities: tuple[Qualities, ...]
    loaders: tuple[LoaderSize, ...]
    cache: CacheSize
    steps: tuple[StepSize, ...]
    footage: tuple[StepSize, ...]
    tracking: TrackingSize


# Sixteen clips of two persons; all pairs of their vertices at once take 7 GB.
_PAPER: Final = EdgeSize(32, 256, 75, 25)
_TINY: Final = EdgeSize(2, 8, 8, 13)

SIZES: Final = {
    "full": Sizes(
        rounds=5,
        least=0.2,
        edges={"paper": _PAPER, "everyday": EdgeSize(16, 64, 8, 13)},
        peak=_PAPER,
        peak_losses=("edge_loss", "official_edge_loss"),
        train=(StepSize("coco-17", 2, 300, 64, 4), StepSize("coco-17", 1, 24, 16, 16)),
        runtimes=(
            StepSize("coco-17", 2, 300, 64, 1),
            StepSize("coco-17", 2, 300, 64, 16),
            StepSize("coco-17", 1, 24, 16, 16),
        ),
        exported=ExportSize(NETWORKS, 32, 16, 64),
        extraction=ExtractionSize(
            300,
            640,
            480,
            (
                ("shufflenetv2x1", "actors-low", 97),
                ("mobilenetv3small", "", 97),
                ("resnet18", "actors-high", 161),
            ),
        ),
        qualities=(
            Qualities(240, ("resnet18", "actors-high", 161), ("shufflenetv2x1", "actors-low", 97), 2),
            Qualities(32, ("shufflenetv2k30", "", 641), ("mobilenetv3small", "", 321), 1),
        ),
        loaders=(LoaderSize("penn-13", 32, 16, 16, 48), LoaderSize("coco-17", 300, 64, 16, 24)),
        cache=CacheSize(2000, 64),
        steps=(StepSize("penn-13", 1, 32, 16, 16), StepSize("coco-17", 2, 300, 64, 4)),
        footage=tuple(
            StepSize("coco-17", people, frames, 64, 1) for frames in (32, 100) for people in (1, 3)
        ),
        tracking=TrackingSize((2, 3, 5), 10, 20, (1, 2, 3), 8),
    ),
    "small": Sizes(
        rounds=2,
        least=0.0,
        edges={"tiny": _TINY},
        peak=EdgeSize(4, 64, 64, 13),
        peak_losses=("edge_loss",),
        train=(StepSize("coco-17", 2, 16, 4, 2),),
        runtimes=(StepSize("penn-13", 2, 8, 4, 2),),
        exported=ExportSize(("st_2sgcn", "dd_net"), 8, 6, 4),
        extraction=ExtractionSize(6, 64, 48, (("shufflenetv2x1", "actors-low", 33),)),
        qualities=(Qualities(4, ("shufflenetv2x1", "actors-low", 33), ("mobilenetv3small", "", 33), 2),),
        loaders=(LoaderSize("penn-13", 8, 4, 4, 6),),
        cache=CacheSize(12, 8),
        steps=(StepSize("penn-13", 1, 8, 6, 2),),
        footage=(StepSize("penn-13", 2, 8, 4, 1),),
        tracking=TrackingSize((2,), 1, 2, (2,), 0.2),
    ),
}


@dataclass(frozen=True)
class Setting:
    """The settings of a section."""

    sizes: Sizes
    rounds: int
    device: torch.device
    threads: int
    keep_memory: bool
    seed: int


@dataclass(frozen=True)
class Row:
    """A row of a table; the measured values are in ``unit``."""

    name: str
    measured: Measured
    unit: str = "ms"
    remark: str = ""


def timed(
    comparison: Comparison,
    setting: Setting,
    remark: Callable[[Measured], str] | None = None,
    *,
    multiplications: str = "",
) -> Row:
    """A row with the milliseconds of both sides; ``remark`` makes a remark from the seconds."""
    measured = measure(comparison, setting.rounds, least=setting.sizes.least)
    remarks = [multiplications, remark(measured) if remark else ""]
    return Row(comparison.name, _in_milliseconds(measured), remark="; ".join(filter(None, remarks)))


def multiplication_ratio(reference: Callable[[], object], candidate: Callable[[], object]) -> str:
    """The ratio of both sides' multiplications in matrix products and convolutions.

    The ratio of times tends to it where these take most of the time.
    """

    def count(call: Callable[[], object]) -> int:
        with FlopCounterMode(display=False) as counter:
            call()
        return int(counter.get_total_flops())

    return f"multiplications {count(reference) / count(candidate):.2f}"


def _in_milliseconds(measured: Measured) -> Measured:
    reference, candidate = (
        [1000 * value for value in values] for values in (measured.reference, measured.candidate)
    )
    return Measured(reference, candidate, measured.ratios)


# --------------------------------------------------------------------------------------------------------
# edge: the edge losses against all pairs of vertices in one matrix

EdgeLoss = Callable[[Tensor, Tensor], Tensor]
T = TypeVar("T")
R = TypeVar("R")

EDGE_LOSSES: Final[dict[str, tuple[EdgeLoss, EdgeLoss]]] = {
    "edge_loss": (plain_edges.edge_loss, blockwise.edge_loss),
    "official_edge_loss": (plain_edges.official_edge_loss, blockwise.official_edge_loss),
}


def edge(setting: Setting) -> Iterator[Row]:
    """Memory and time of a forward and a backward pass."""
    yield from _peaks(setting)
    for kind, size in setting.sizes.edges.items():
        for loss, sides in EDGE_LOSSES.items():
            reference, candidate = (edge_step(side, size, setting) for side in sides)
            yield timed(Comparison(f"{loss}, {kind} {tuple(size)}", reference, candidate), setting)


def edge_step(loss: EdgeLoss, size: EdgeSize, setting: Setting) -> Callable[[], object]:
    """A forward and a backward pass on random features ``(row, channel, frame, joint)``."""
    generator = torch.Generator().manual_seed(setting.seed)
    student, teacher = (torch.randn(*size, generator=generator).to(setting.device) for _ in range(2))
    student.requires_grad_()
    return lambda: torch.autograd.grad(loss(student, teacher), student)


def _peaks(setting: Setting) -> Iterator[Row]:
    losses = setting.sizes.peak_losses
    sides = [side for loss in losses for side in EDGE_LOSSES[loss]]
    rounds = setting.rounds
    if setting.device.type == "cuda":
        peaks = [_peak_on_cuda(side, setting) for side in sides for _ in range(rounds)]
    else:
        peaks = _new_process("spawn", _each_in_a_new_process, sides, setting)
    for number, loss in enumerate(losses):
        first = 2 * rounds * number
        reference, candidate = peaks[first : first + rounds], peaks[first + rounds : first + 2 * rounds]
        ratios = [much / little for much, little in zip(reference, candidate, strict=True)]
        name = f"{loss}, peak beyond inputs {tuple(setting.sizes.peak)}"
        yield Row(name, Measured(reference, candidate, ratios), unit="MB")


def _peak_on_cuda(loss: EdgeLoss, setting: Setting) -> float:
    """Megabytes beyond the inputs."""
    step = edge_step(loss, setting.sizes.peak, setting)
    edge_step(loss, _TINY, setting)()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    step()
    return (torch.cuda.max_memory_allocated() - before) / 1e6


def _each_in_a_new_process(sides: list[EdgeLoss], setting: Setting) -> list[float]:
    """A peak for each side and round, each in a new process."""
    each = [side for side in sides for _ in range(setting.rounds)]
    return [_new_process("fork", _peak_on_cpu, side, setting) for side in each]


def _new_process(
    start: Literal["spawn", "fork"], call: Callable[[T, Setting], R], of: T, setting: Setting
) -> R:
    with ProcessPoolExecutor(1, mp_context=get_context(start)) as alone:
        return alone.submit(call, of, setting).result()


def _peak_on_cpu(loss: EdgeLoss, setting: Setting) -> float:
    """Megabytes beyond the inputs, in a process that has computed nothing else."""
    prepare_process(setting)
    edge_step(loss, _TINY, setting)()  # loads libraries that PyTorch loads on first use
    step = edge_step(loss, setting.sizes.peak, setting)
    before = _resident("VmRSS")
    step()
    return _resident("VmHWM") - before


def _resident(which: Literal["VmRSS", "VmHWM"]) -> float:
    """Current or peak memory in megabytes.

    From /proc, because a new process inherits the ``ru_maxrss`` of its parent.
    """
    found = re.search(rf"{which}:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
    assert found, f"no {which} in /proc/self/status; expected Linux"
    return int(found[1]) * 1024 / 1e6


# --------------------------------------------------------------------------------------------------------
# st-gcn: a training step against the released code


def st_gcn_against_released(setting: Setting) -> Iterator[Row]:
    """Forward and backward pass, without the optimiser."""
    for size in setting.sizes.train:
        network = trained_st_gcn(size, setting)
        clips = labelled_clips(size, setting)
        reference = training_step(PlainStGcn(copy.deepcopy(network)), *clips)
        candidate = training_step(network, *clips)
        comparison = Comparison(f"training, {_step_name(size)}", reference, candidate)
        yield timed(comparison, setting, multiplications=multiplication_ratio(reference, candidate))


def training_step(network: nn.Module, x: Tensor, mask: Tensor, label: Tensor) -> Callable[[], None]:
    """Forward and backward pass of cross-entropy; arguments as returned by `labelled_clips`."""
    network.train()

    def step() -> None:
        network.zero_grad()
        F.cross_entropy(network(x, mask)[0], label).backward()  # type: ignore[no-untyped-call]

    return step


def trained_st_gcn(size: StepSize, setting: Setting) -> GraphNetwork:
    """An ST-GCN with random edge importance, affine weights and running statistics."""
    torch.manual_seed(setting.seed)
    network = st_gcn(layout_named(size.layout), classes=60, partitioning="distance", width=size.width)
    with torch.no_grad():
        for name, values in network.state_dict().items():
            if values.ndim == 1 or name.endswith("importance"):
                values.copy_(_random_like(name, values))
    return network.to(setting.device)


def _random_like(name: str, values: Tensor) -> Tensor:
    about_zero = name.endswith(("bias", "running_mean"))
    return torch.randn_like(values) / 10 if about_zero else torch.empty_like(values).uniform_(0.5, 1.5)


def labelled_clips(size: StepSize, setting: Setting) -> tuple[Tensor, Tensor, Tensor]:
    """Clips ``(batch, person, 3, frame, joint)``, their mask ``(batch, person)``, labels ``(batch,)``."""
    generator = torch.Generator().manual_seed(setting.seed)
    joints = len(layout_named(size.layout))
    x = torch.randn(size.batch, size.people, 3, size.frames, joints, generator=generator)
    label = torch.randint(60, (size.batch,), generator=generator)
    mask = torch.ones(size.batch, size.people, dtype=torch.bool)
    return x.to(setting.device), mask.to(setting.device), label.to(setting.device)


# --------------------------------------------------------------------------------------------------------
# runtimes: evaluation of an ST-GCN in each runtime


def runtimes(setting: Setting) -> Iterator[Row]:
    """The deployed network in each runtime, against the network in evaluation mode in PyTorch."""
    for size in setting.sizes.runtimes:
        network = trained_st_gcn(size, setting).eval()
        x, mask = (tensor.cpu().numpy() for tensor in labelled_clips(size, setting)[:2])

        def evaluate(network: GraphNetwork = network, x: Floats = x, mask: Mask = mask) -> Floats:
            with torch.inference_mode():
                clips = (torch.from_numpy(array).to(setting.device) for array in (x, mask))
                logits = network(*clips).logits.cpu()
            return np.asarray(logits.numpy(), np.float32)

        for runtime, seconds in opened_runtimes(network, x.shape, setting):
            apart = float(np.abs(runtime(x, mask) - evaluate()).max() / np.abs(evaluate()).max())
            comparison = Comparison(
                f"{runtime.name}, {_step_name(size)}", evaluate, partial(runtime, x, mask)
            )
            yield timed(comparison, setting, partial(_break_even, size.batch, seconds, apart))


def opened_runtimes(
    network: GraphNetwork, shape: tuple[int, ...], setting: Setting
) -> Iterator[tuple[Runtime, float]]:
    """Each runtime, and the seconds of its export and compilation."""
    start = perf_counter()
    yield TorchRuntime(network, setting.device), perf_counter() - start
    start = perf_counter()
    model = to_onnx(deployed(network).cpu(), cast("tuple[int, int, int, int, int]", shape))
    exported = perf_counter() - start
    names: tuple[Literal["onnx", "openvino"], ...] = ("onnx", "openvino")
    for name in names:
        start = perf_counter()
        yield ExportedRuntime(model, name, setting.threads), exported + perf_counter() - start


def _break_even(batch: int, seconds: float, apart: float, measured: Measured) -> str:
    """The time to open a runtime, the clips after which it has paid, and its error relative to the logits."""
    gain = (median(measured.reference) - median(measured.candidate)) / batch
    clips = f"pays after {math.ceil(seconds / gain)} clips" if gain > 0 else "never pays"
    return f"opened in {seconds:.2g} s, {clips}; error {apart:.0e}"


# --------------------------------------------------------------------------------------------------------
# revision: gradient revision of each loss against revision of their sum


BUILDERS: Final[dict[str, Callable[..., GraphNetwork]]] = {
    "ST-GCN": st_gcn,
    "ST-sGCN": st_sgcn,
    "ST-2sGCN": st_2sgcn,
    "ST-GCN++": st_gcn_plus_plus,
    "2s-AGCN": agcn,
    "AS-GCN": as_gcn,
    "Shift-GCN": shift_gcn,
    "MS-G3D": ms_g3d,
    "CTR-GCN": ctr_gcn,
}


Revise = Callable[
    [Tensor, Mapping[str, Tensor], list[nn.Parameter]], tuple[tuple[Tensor, ...], RevisionReport]
]


@dataclass(frozen=True)
class DistillationStep:
    """A student, its adaptation layer and a frozen ST-GCN of the same width as its teacher."""

    modules: nn.ModuleDict
    distillation: Objective
    task_only: Objective
    batch: Batch

    @property
    def parameters(self) -> list[nn.Parameter]:
        """The trained parameters."""
        return list(self.modules.parameters())


def distillation_step(network: str, size: StepSize, setting: Setting, *, cached: bool) -> DistillationStep:
    """Random clips, labels and weights; all three distillation losses.

    Args:
        network: the student, of `BUILDERS`.
        size: of the batch.
        setting: device and seed.
        cached: the teacher's outputs are cached, as in training without augmentation.
    """
    torch.manual_seed(setting.seed)
    layout, recipe = layout_named(size.layout), tiny_experiment().recipe
    student, teacher = (
        BUILDERS[name](layout, classes=15, width=size.width).to(setting.device)
        for name in (network, "ST-GCN")
    )
    adaptation = adaptation_layer(student.feature_channels, teacher.feature_channels).to(setting.device)
    shape = (size.batch, size.people, 3, size.frames, len(layout))
    mask = torch.ones(shape[:2], dtype=torch.bool)
    label = torch.randint(15, (size.batch,))
    labelled, number = torch.ones(size.batch, dtype=torch.bool), torch.arange(size.batch)
    parts = Batch(torch.randn(shape), mask, torch.randn(shape), mask, mask, label, labelled, number)
    batch = Batch(*(part.to(setting.device) for part in parts))
    settings = Distillation(node_variant="relative")
    outputs = torch.no_grad()(partial(teacher.eval(), batch.high, batch.high_mask))
    return DistillationStep(
        nn.ModuleDict({"network": student, "adaptation": adaptation}).train(),
        student_objective(student, teacher, adaptation, recipe, settings, outputs() if cached else None),
        baseline_objective(student, recipe),
        batch,
    )


def gradient_revision(setting: Setting) -> Iterator[Row]:
    """Forward pass, losses and revised gradient, with cached teacher outputs."""
    for size in setting.sizes.steps:
        for network in BUILDERS:
            step = distillation_step(network, size, setting, cached=True)
            sides = (
                partial(_revise, step, revised_gradients),
                partial(_revise, step, summed_revised_gradients),
            )
            comparison = Comparison(f"{network}, {_step_name(size)}", *sides)
            yield timed(
                comparison,
                setting,
                partial(_without_forward, step),
                multiplications=multiplication_ratio(*sides),
            )


def _revise(step: DistillationStep, revise: Revise) -> tuple[Tensor, ...]:
    losses = step.distillation(step.batch)
    return revise(losses.task, losses.distillation, step.parameters)[0]


def _without_forward(step: DistillationStep, measured: Measured) -> str:
    """The ratio without the forward pass and the losses, which both sides have in common."""
    start = perf_counter()
    for _ in range(3):
        step.distillation(step.batch)
        _synchronise()
    common = (perf_counter() - start) / 3
    reference, candidate = (median(seconds) - common for seconds in (measured.reference, measured.candidate))
    return f"without the forward pass {reference / candidate:.2f}"


def _step_name(size: StepSize) -> str:
    return f"{size.frames} frames, {size.layout}, width {size.width}, {size.people}x{size.batch}"


# --------------------------------------------------------------------------------------------------------
# step: a whole step of distillation


def whole_step(setting: Setting) -> Iterator[Row]:
    """Teacher, student, losses, revision of each loss and optimiser, against a step without distillation."""
    for size in setting.sizes.steps:
        for cached, name in ((False, "teacher computed"), (True, "teacher cached")):
            step = distillation_step("ST-GCN", size, setting, cached=cached)
            sides = partial(_update, step, distil=True), partial(_update, step, distil=False)
            multiplications = multiplication_ratio(*sides)
            yield timed(
                Comparison(f"{_step_name(size)}, {name}", *sides), setting, multiplications=multiplications
            )


def _update(step: DistillationStep, *, distil: bool) -> None:
    if distil:
        gradients = _revise(step, revised_gradients)
    else:
        task = step.task_only(step.batch).task
        gradients = torch.autograd.grad(task, step.parameters, materialize_grads=True)
    with torch.no_grad():
        for parameter, gradient in zip(step.parameters, gradients, strict=True):
            parameter.sub_(gradient, alpha=1e-4)


# --------------------------------------------------------------------------------------------------------
# loader: time that training waits for batches


def loader(setting: Setting) -> Iterator[Row]:
    """Time of a training step, and its part in which the next batch is read, moved and augmented."""
    for size in setting.sizes.loaders:
        with TemporaryDirectory() as folder:
            yield _waiting(_training_clips(PoseCache(Path(folder)), size), size, setting)


def _training_clips(cache: PoseCache, size: LoaderSize) -> PairedClips:
    manifest = build_manifest(fill(cache, size.of_each), tiny_experiment())
    clip = ClipFormat(frames=size.frames, layout=size.layout)
    return PairedClips(cache, manifest.part(train=True), manifest.classes, clip, clip, None, 0)


def _waiting(data: PairedClips, size: LoaderSize, setting: Setting) -> Row:
    start = perf_counter()
    for index in range(len(data)):
        data[index]
    read = (perf_counter() - start) / len(data)
    epoch = _Epoch(data, size, setting)
    epoch.run()
    rounds = [epoch.run() for _ in range(setting.rounds)]
    whole, waiting = ([seconds[part] for seconds in rounds] for part in (0, 1))
    shares = [wait / step for step, wait in rounds]
    name = f"{size.frames} frames, {size.layout}, width {size.width}, batch {size.batch}"
    measured = _in_milliseconds(Measured(whole, waiting, shares))
    return Row(name, measured, remark=f"{1000 * read:.2g} ms to read a clip")


class _Epoch:
    """Trains an ST-GCN as :func:`skdpipe.distill.training.train` does, and measures the time."""

    def __init__(self, data: PairedClips, size: LoaderSize, setting: Setting) -> None:
        self._data, self._size, self._device = data, size, setting.device
        self._layout = layout_named(size.layout)
        self._rng = np.random.default_rng(setting.seed)
        torch.manual_seed(setting.seed)
        self._network = st_gcn(self._layout, 2, partitioning="spatial", width=size.width).to(setting.device)
        self._optimiser = torch.optim.SGD(self._network.parameters(), lr=0.01, momentum=0.9, nesterov=True)

    def run(self) -> tuple[float, float]:
        """Mean seconds of a step, and of waiting for its batch."""
        steps, waiting, start = 0, 0.0, perf_counter()
        batches_on_device = self._batches()
        while True:
            requested = perf_counter()
            batch = next(batches_on_device, None)
            waiting += perf_counter() - requested
            if batch is None:
                return (perf_counter() - start) / steps, waiting / steps
            self._update(batch)
            steps += 1

    def _batches(self) -> Iterator[Batch]:
        for batch in batches(self._data, self._size.batch, shuffle=self._rng):
            augmented = augment(batch, self._rng, mirror=self._layout.mirror, settings=Augmentation())
            yield Batch(*(tensor.to(self._device, non_blocking=True) for tensor in augmented))

    def _update(self, batch: Batch) -> None:
        self._optimiser.zero_grad()
        loss = F.cross_entropy(self._network(batch.low, batch.low_mask).logits, batch.label)
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()
        loss.item()  # as in the training loop; waits for the end of the step on a GPU


# --------------------------------------------------------------------------------------------------------
# cache: a manifest of many clips, and their batches

_CLIPS_READ: Final = 2000


def many_clips(setting: Setting) -> Iterator[Row]:
    """Milliseconds to read a clip and prepare it in a batch, without keeping it."""
    size = setting.sizes.cache
    with TemporaryDirectory() as folder:
        root = Path(folder)
        for number in range(size.clips):
            sequence = a_sequence(ACTIONS[number % 2], number, frames=size.frames)
            split = "train" if number % 3 else "test"
            origin = replace(sequence.origin, key=f"{number:032x}", split=split)
            for quality in BOTH:
                PoseCache(root).save(replace(sequence, origin=origin), quality, "synthetic")
        seconds, megabytes = _new_process("spawn", _time_manifest, root, setting)
        manifest = build_manifest(PoseCache(root), tiny_experiment())
        sides = [partial(_prepare, PoseCache(root), manifest, size, workers) for workers in (0, 1)]
        measured = measure(Comparison("", *sides), setting.rounds)
        read = len(manifest.clips[:_CLIPS_READ])
        here, by_worker = (
            [each / read for each in side] for side in (measured.reference, measured.candidate)
        )
        of_clip = _in_milliseconds(Measured(here, by_worker, measured.ratios))
        remark = f"manifest {seconds:.2g} s, {megabytes:.0f} MB"
        yield Row(f"{size.clips} clips, {size.frames} frames", of_clip, remark=remark)


def _time_manifest(root: Path, _: Setting) -> tuple[float, float]:
    """Seconds and megabytes of memory to make a manifest, in a process that has made no other."""
    before, start = _resident("VmHWM"), perf_counter()
    build_manifest(PoseCache(root), tiny_experiment())
    return perf_counter() - start, _resident("VmHWM") - before


def _prepare(cache: PoseCache, manifest: Manifest, size: CacheSize, workers: int) -> None:
    """One epoch of the first clips in this process, or by workers."""
    clip = ClipFormat(frames=size.frames, coordinates=2)
    clips = (manifest.clips[:_CLIPS_READ], manifest.classes, clip, clip, None, 0)
    data = PairedClips(cache, *clips, megabytes=0 if workers else 1e9)
    with Loader(data, 64, workers=workers) as loader:
        for _ in loader.epoch(augment=Augmentation(), noise=np.random.default_rng(0)):
            pass


# --------------------------------------------------------------------------------------------------------
# extract: extraction against OpenPifPaf's video command


def extract(setting: Setting) -> Iterator[Row]:
    """Seconds for a rendered video, without loading the networks."""
    precisions: list[Precision] = ["float32"]
    if openvino_has_bfloat16():
        precisions.append("bfloat16")
    for side in comparisons(setting.sizes.extraction, precisions, setting.threads):
        comparison = Comparison(side.name, side.reference, side.candidate)
        yield Row(side.name, measure(comparison, setting.rounds), "s", side.remark)


# --------------------------------------------------------------------------------------------------------
# qualities: one pass over a video for both qualities


def qualities(setting: Setting) -> Iterator[Row]:
    """Seconds for a rendered video in both qualities, without loading the networks."""
    for size in setting.sizes.qualities:
        for side in both_qualities(size, setting.threads):
            measured = measure(Comparison(side.name, side.reference, side.candidate), setting.rounds)
            rate = size.frames / min(measured.candidate)
            yield Row(side.name, measured, "s", f"{rate:.3g} frames/s in one pass")


# --------------------------------------------------------------------------------------------------------
# continual: a frame of footage by a continual network, against sliding windows


def continual(setting: Setting) -> Iterator[Row]:
    """Time of a frame for all people, by strides of the windows in frames."""
    for name in ("ST-GCN", "ST-2sGCN"):
        for size in setting.sizes.footage:
            torch.manual_seed(setting.seed)
            layout = layout_named(size.layout)
            network = BUILDERS[name](layout, classes=60, width=size.width).eval().to(setting.device)
            yield from _by_stride(name, network, size, setting)


def _by_stride(name: str, network: GraphNetwork, size: StepSize, setting: Setting) -> Iterator[Row]:
    """The time of a window is measured once, and divided by each stride."""
    x = torch.randn(size.people, 1, 3, size.frames, len(layout_named(size.layout)), device=setting.device)
    mask = torch.ones(size.people, 1, dtype=torch.bool, device=setting.device)
    windowed, by_frame = deployed(network), ContinualNetwork(network, size.frames)
    state = by_frame.start([0] * size.people)
    sides = [partial(windowed, x, mask), partial(by_frame, x[:, 0, :, : by_frame.stride], state)]
    window, step = (torch.inference_mode()(side) for side in sides)
    measured = measure(Comparison(name, window, step), setting.rounds, least=setting.sizes.least)
    window_cost, step_cost = (multiply_adds_in(side) for side in sides)
    for stride in (1, 2, 4, 8):
        reference, candidate = (
            [1000 * seconds / frames for seconds in each]
            for each, frames in ((measured.reference, stride), (measured.candidate, by_frame.stride))
        )
        ratios = [slow / fast for slow, fast in zip(reference, candidate, strict=True)]
        costs = window_cost / stride / 1e6, step_cost / by_frame.stride / 1e6
        yield Row(
            f"{name}, {size.frames} frames, {size.layout}, width {size.width}, people {size.people}, "
            f"stride {stride}",
            Measured(reference, candidate, ratios),
            remark=f"{brief(costs[0])}, {brief(costs[1])} M multiply-adds: {costs[0] / costs[1]:.2f}",
        )


# --------------------------------------------------------------------------------------------------------
# tracking: identities of people who cross, and the time for a frame


def tracking(setting: Setting) -> Iterator[Row]:
    """Other trackers, and the pose network, beside the tracker."""
    size = setting.sizes.tracking
    for name, shown in tracking_quality.simulated(size, setting.seed):
        yield from _trackers(name, shown, setting)
    settings = OpenPifPafSettings(
        "shufflenetv2x1", "actors-low", long_edge=225, thresholds=Thresholds(complete=True)
    )
    estimator = load_estimator(settings, threads=setting.threads)
    seeds = range(setting.seed, setting.seed + 3)
    scenes = [walking_scene(2, size.rendered, 15, seed) for seed in seeds]
    shown = [detect_rendered(scene, estimator) for scene in scenes]
    yield from _trackers("2 people rendered, 15 frames/s", shown, setting)
    image = render_frame(scenes[0], 0)[0]
    follow = partial(tracking_quality.track_all, shown[0])
    measured = measure(Comparison("", partial(estimator, [image]), follow), setting.rounds)
    yield _per_frame("pose network, shufflenetv2x1 at 225 pixels", measured, 1, len(shown[0].frames), "")


def _trackers(name: str, shown: list[Footage], setting: Setting) -> Iterator[Row]:
    frames = sum(len(each.frames) for each in shown)
    for other, follow in tracking_quality.installed().items():
        sides = (partial(_follow_all, each, shown) for each in (follow, tracking_quality.track_all))
        measured = measure(Comparison("", *sides), setting.rounds)
        remark = tracking_quality.described(other, follow, shown)
        yield _per_frame(f"{name}, {other}", measured, frames, frames, remark)


def _follow_all(follow: tracking_quality.Follow, shown: list[Footage]) -> None:
    for each in shown:
        follow(each)


def _per_frame(name: str, measured: Measured, frames: int, own_frames: int, remark: str) -> Row:
    reference = [1000 * seconds / frames for seconds in measured.reference]
    candidate = [1000 * seconds / own_frames for seconds in measured.candidate]
    ratios = [slow / fast for slow, fast in zip(reference, candidate, strict=True)]
    return Row(name, Measured(reference, candidate, ratios), remark=remark or tracking_quality.missing())


# --------------------------------------------------------------------------------------------------------
# export: a clip in every network, as it is exported


def exports(setting: Setting) -> Iterator[Row]:
    """Every network in each format that can be written here, against PyTorch, on one clip."""
    size = setting.sizes.exported
    clip = ClipFormat(frames=size.frames)
    shown = [blurred(a_sequence(ACTIONS[number % 2], number)) for number in range(size.clips)]
    x, mask = batch_input(shown[:1], clip)
    for name in size.networks:
        torch.manual_seed(setting.seed)
        choice = NetworkChoice(name, width=size.width)
        network = perturbed(build_network(choice, clip, len(ACTIONS)))
        with TemporaryDirectory() as folder:
            path = Path(folder) / "network.safetensors"
            save_bundle(Bundle(network, BundleMetadata(choice, ACTIONS, clip, "squint")), path)
            report = export_student(path, skeletons=shown)
            reference = TorchRuntime(network, "cpu")
            for file, runtime in exported_runtimes(report.folder):
                comparison = Comparison(
                    f"{name} {runtime.name}, {size.frames} frames, width {size.width}",
                    partial(reference, x, mask),
                    partial(runtime, x, mask),
                )
                yield timed(comparison, setting, partial(_size_and_parity, report, file))


def exported_runtimes(folder: Path) -> Iterator[tuple[str, Runtime]]:
    """The files of an export, each with what runs it on one thread."""
    yield STATIC_STUDENT, ExportedRuntime((folder / STATIC_STUDENT).read_bytes(), "onnx", 1)
    if (folder / OPENVINO_STUDENT).is_file():
        yield OPENVINO_STUDENT, ExportedRuntime(folder / OPENVINO_STUDENT, "openvino", 1)
    if (folder / LITERT_STUDENT).is_file():
        yield LITERT_STUDENT, LitertFile(folder / LITERT_STUDENT)


def _size_and_parity(report: ExportReport, file: str, measured: Measured) -> str:
    """The size of a file, the largest difference relative to the largest logit, and the equal labels."""
    parity = worst([each for each in report.compared if each.file == file])
    apart = parity.largest_difference / report.largest_logit
    return f"{report.size_of(file) / 1000:.0f} kB; difference {apart:.0e}; {parity.equal:.0%} equal labels"


# --------------------------------------------------------------------------------------------------------
# The command


@dataclass(frozen=True)
class Section:
    """A table: its rows, the headings of both sides and their ratio, and the format of the ratio."""

    title: str
    rows: Callable[[Setting], Iterator[Row]]
    reference: str = "reference"
    candidate: str = "candidate"
    ratio: str = "ratio"
    written: str = ".2f"


SECTIONS: Final = {
    "edge": Section("Edge loss, forward and backward; (row, channel, frame, joint)", edge),
    "st-gcn": Section("ST-GCN, training step", st_gcn_against_released, reference="released"),
    "runtimes": Section("ST-GCN, evaluation in each runtime", runtimes, "PyTorch", "runtime"),
    "export": Section("A clip in an exported network", exports, "PyTorch", "exported"),
    "revision": Section("Gradient revision, three losses", gradient_revision, "per loss", "summed"),
    "step": Section("A whole step", whole_step, "distillation", "without"),
    "extract": Section("Extraction from a video", extract),
    "qualities": Section("Both qualities of a video", qualities, "two passes", "one pass"),
    "continual": Section("A frame of footage, all people", continual, "windows", "continual"),
    "tracking": Section("Tracking, one frame", tracking, "other"),
    "loader": Section("Waiting for batches", loader, "whole step", "waiting", "share", ".2%"),
    "cache": Section("A clip read and prepared for a batch", many_clips, "here", "by a process"),
}

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    names: Annotated[list[str] | None, typer.Argument(help=f"{', '.join(SECTIONS)}; all by default.")] = None,
    rounds: Annotated[int | None, typer.Option(min=1, help="Number of rounds; 5 by default.")] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads of PyTorch; its default if not given.")
    ] = None,
    size: Annotated[Literal["full", "small"], typer.Option(help="small: tiny inputs, for tests.")] = "full",
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1...; the GPU if there is one.")] = "",
    keep_memory: Annotated[bool, typer.Option(help="Keep freed memory, as training does.")] = True,
    clips: Annotated[int | None, typer.Option(min=6, help="Clips in the cache of the section cache.")] = None,
    seed: Annotated[int, typer.Option(help="Random seed.")] = 0,
) -> None:
    """Time skdpipe against a reference, both alternately in one process."""
    unknown = sorted(set(names or ()) - set(SECTIONS))
    if unknown:
        raise typer.BadParameter(f"'{unknown[0]}' is none of {', '.join(SECTIONS)}", param_hint="NAME")
    sizes = SIZES[size]
    if clips is not None:
        sizes = replace(sizes, cache=sizes.cache._replace(clips=clips))
    setting = Setting(
        sizes,
        rounds or sizes.rounds,
        torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu")),
        threads or torch.get_num_threads(),
        keep_memory,
        seed,
    )
    console = Console(markup=False, emoji=False, highlight=False)
    if not console.is_terminal:
        console.width = 160
    console.print(machine(setting, kept=prepare_process(setting)), soft_wrap=True)
    for name in names or SECTIONS:
        show(SECTIONS[name], setting, console)


def prepare_process(setting: Setting) -> bool:
    """Set threads, memory and device; returns whether freed memory is kept."""
    torch.set_num_threads(setting.threads)
    if setting.device.type == "cuda":
        torch.cuda.set_device(setting.device.index or 0)
    if not setting.keep_memory:
        return False
    from skdpipe.memory import keep_freed_memory

    return keep_freed_memory()


def machine(setting: Setting, *, kept: bool) -> str:
    """The machine and settings in one line."""
    info = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*: (.*)", info.read_text(encoding="utf-8")) if info.is_file() else None
    memory = "freed memory kept" if kept else "freed memory returned"
    on_cuda = setting.device.type == "cuda"
    gpu = torch.cuda.get_device_name(setting.device) if on_cuda else "no CUDA device used"
    processor = found[1] if found else platform.processor()
    plural = "thread" if setting.threads == 1 else "threads"
    versions = f"torch {torch.__version__}"
    return f"{processor}, {setting.threads} {plural}, {versions}, {memory}, {gpu}, seed {setting.seed}"


def show(section: Section, setting: Setting, console: Console) -> None:
    """Measure a section and print its table; on a terminal each row is printed when it is measured."""
    table = Table(title=section.title, title_justify="left", box=None)
    table.add_column("")
    for heading in (section.reference, section.candidate, section.ratio, "lowest..highest"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("")
    with Live(table, console=console, auto_refresh=False) as live:
        for row in section.rows(setting):
            table.add_row(*cells(row, section.written))
            live.refresh()
    console.print()


def cells(row: Row, written: str) -> tuple[str, ...]:
    """The cells of a row: medians, the spread of the ratio, the remark."""
    reference, candidate = (
        brief(median(values)) for values in (row.measured.reference, row.measured.candidate)
    )
    ratios = row.measured.ratios
    lowest, middle, highest = (format(pick(ratios), written) for pick in (min, median, max))
    return (
        row.name,
        f"{reference} {row.unit}",
        f"{candidate} {row.unit}",
        middle,
        f"{lowest}..{highest}",
        row.remark,
    )


if __name__ == "__main__":
    app()
