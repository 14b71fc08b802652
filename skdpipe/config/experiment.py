"""Settings of an experiment: data, networks, recipe, distillation."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from pydantic.dataclasses import dataclass

from skdpipe.config.values import STRICT, BelowOne, FolderName, Probability, Window


@dataclass(frozen=True, config=STRICT)
class Degradation:
    """How low quality is derived from high where there is no estimator of low quality.

    Attributes:
        every: one frame in so many is kept.
        occlusion: probability with which a joint of a frame is hidden.
    """

    every: PositiveInt = 1
    occlusion: Probability = 0.0


@dataclass(frozen=True, config=STRICT)
class ClipFormat:
    """How a sequence becomes a network's input.

    Attributes:
        frames: length of the clip.
        fill: ``resample`` stretches the video to that length, ``replay`` repeats it from the start.
        people: how many.
        layout: joints that the network sees.
        scale: ``body`` centres on the people and divides by their size, ``picture`` by the frame's size.
        smoothing: window of the sliding average in frames (1: none).
        stream: what the network is shown: joints, bones, or how either moves.
    """

    frames: PositiveInt = 32
    fill: Literal["resample", "replay"] = "resample"
    people: PositiveInt = 2
    layout: str = "coco-17"
    scale: Literal["body", "picture"] = "body"
    smoothing: Window = 1
    stream: Literal["joint", "bone", "joint_motion", "bone_motion"] = "joint"


@dataclass(frozen=True, config=STRICT)
class NetworkChoice:
    """Which graph network: ``st_gcn``, ``st_sgcn`` or ``st_2sgcn``, its partitioning and width."""

    name: Literal["st_gcn", "st_sgcn", "st_2sgcn"] = "st_gcn"
    partitioning: Literal["uniform", "distance", "spatial"] = "spatial"
    width: PositiveInt = 64
    dropout: BelowOne = 0.0


@dataclass(frozen=True, config=STRICT)
class Recipe:
    """How a network is trained.

    Attributes:
        epochs, batch, learning_rate, momentum, weight_decay: SGD with Nesterov momentum.
        milestones: epochs after which the learning rate is multiplied by ``decay``; if empty, a cosine.
        warmup: epochs of linear warm-up.
        label_smoothing: of the task loss.
        task_loss: plain cross-entropy, or Eq. 2 as printed.
        augment: random rotation, scale, temporal crop and flip, alike for both views of a clip.
        mixed_precision: use half precision on a GPU.
        loader_workers: processes that prepare batches; 0 is best when all clips lie in memory.
    """

    epochs: PositiveInt = 20
    batch: PositiveInt = 16
    learning_rate: PositiveFloat = 0.1
    momentum: BelowOne = 0.9
    weight_decay: NonNegativeFloat = 1e-4
    milestones: tuple[PositiveInt, ...] = ()
    decay: PositiveFloat = 0.1
    warmup: NonNegativeInt = 0
    label_smoothing: Probability = 0.0
    task_loss: Literal["cross_entropy", "binary_cross_entropy_per_class"] = "cross_entropy"
    augment: bool = False
    mixed_precision: bool = True
    loader_workers: NonNegativeInt = 0


@dataclass(frozen=True, config=STRICT)
class Distillation:
    """What the student learns from the teacher (the paper's Eq. 3-14).

    Attributes:
        kl, node, edge: factors of the three terms; with the paper's λ = 0.5, node and edge have 0.5 each.
        temperature: τ of Eq. 4.
        kl_direction: ``teacher_student`` is KL(P_t || P_s), ``student_teacher`` is Eq. 5 as printed.
        node_variant: Eq. 7 as in the ``paper``, or ``relative`` to the strength of the teacher's features.
        edge_variant: potentials as in the ``paper`` or as in the ``official`` code.
        adaptation: a 1x1 convolution on the student's features (always there when channels differ).
        revision: revise gradients that conflict with the task's (Eq. 14).
    """

    kl: NonNegativeFloat = 1.0
    node: NonNegativeFloat = 0.5
    edge: NonNegativeFloat = 0.5
    temperature: PositiveFloat = 1.0
    kl_direction: Literal["teacher_student", "student_teacher"] = "teacher_student"
    node_variant: Literal["paper", "relative"] = "paper"
    edge_variant: Literal["paper", "official"] = "paper"
    adaptation: bool = True
    revision: bool = True


@dataclass(frozen=True, config=STRICT)
class Experiment:
    """One distillation: data, networks, recipe.

    Attributes:
        name: the run's folder under ``models/``.
        seed: of the split, weights, order, augmentation and occlusion.
        high, low: settings folders in the cache; empty picks the only one there is.
        derive_low: how low quality comes from high, instead of cached low quality.
        unpaired: also train on clips that one quality alone shows; the test clips stay the paired ones.
        test_fraction: share of videos (or subjects) held out where the cache names no split.
        smoothing_window: of the LQS-SWA-S baseline.
        methods: which rows of the table are trained.
    """

    name: FolderName = "run"
    seed: NonNegativeInt = 0
    high: str = ""
    low: str = ""
    derive_low: Degradation | None = None
    unpaired: bool = False
    test_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.3
    smoothing_window: Window = 3
    methods: Annotated[
        tuple[Literal["teacher", "baseline", "smoothed", "student"], ...], Field(min_length=1)
    ] = (
        "teacher",
        "baseline",
        "smoothed",
        "student",
    )
    clip: ClipFormat = field(default_factory=ClipFormat)
    teacher: NetworkChoice = field(default_factory=NetworkChoice)
    student: NetworkChoice = field(default_factory=NetworkChoice)
    recipe: Recipe = field(default_factory=Recipe)
    distillation: Distillation = field(default_factory=Distillation)
