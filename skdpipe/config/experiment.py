"""Settings of an experiment: data, networks, recipe, distillation."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from pydantic.dataclasses import dataclass

from skdpipe.config.load import read_if_named
from skdpipe.config.values import STRICT, AtLeastOne, BelowOne, FolderName, Probability, Share, Window

MethodName = Literal["teacher", "baseline", "smoothed", "student", "student_smoothed"]
Stream = Literal["joint", "bone", "joint_motion", "bone_motion"]


@dataclass(frozen=True, config=STRICT)
class EstimatorNoise:
    """How a poor estimator errs (`simulate_pose_errors`); `skdpipe fit-noise` finds it in real pairs.

    Sizes are shares of the body's (the diagonal of the box around it), shares are of the time, and each error
    lasts so many frames of the video on average.

    Attributes:
        jitter: standard deviation of each joint's place along x and along y, by joint name.
        jitter_default: of the joints that are not named.
        jitter_frames: for how long it goes the same way.
        outliers, outlier_size, outlier_frames: joints that are far off, and how far.
        swaps, swap_frames: left and right of a person exchanged.
        misses, misses_default, miss_frames: joints that are not seen, by joint name.
        lost, lost_frames: people who are not seen at all.
        confidence, confidence_wrong, confidence_spread: mean of joints in their place, mean of those that are
            far off or exchanged, standard deviation of both.
    """

    jitter: dict[str, NonNegativeFloat] = field(default_factory=dict)
    jitter_default: NonNegativeFloat = 0.0
    jitter_frames: AtLeastOne = 1.0
    outliers: Probability = 0.0
    outlier_size: NonNegativeFloat = 0.0
    outlier_frames: AtLeastOne = 1.0
    swaps: Probability = 0.0
    swap_frames: AtLeastOne = 1.0
    misses: dict[str, Probability] = field(default_factory=dict)
    misses_default: Probability = 0.0
    miss_frames: AtLeastOne = 1.0
    lost: Probability = 0.0
    lost_frames: AtLeastOne = 1.0
    confidence: Probability = 1.0
    confidence_wrong: Probability = 1.0
    confidence_spread: NonNegativeFloat = 0.0


@dataclass(frozen=True, config=STRICT)
class Degradation:
    """How low quality is derived from high where there is no estimator of low quality; in this order.

    Attributes:
        noise: an estimator's errors, or a file that holds them, as `skdpipe fit-noise` writes.
        every: one frame in so many is kept.
        random_loss: share of the frames that are lost, drawn at random.
        block_loss: share of the frames that are lost, all in one block.
        limbs: share of the time that a whole arm or leg is hidden, each for itself.
        limb_frames: how many frames it stays hidden on average; 0: throughout the clip.
        occlusion: probability with which a joint of a frame is hidden.
    """

    noise: Annotated[EstimatorNoise | None, BeforeValidator(read_if_named)] = None
    every: PositiveInt = 1
    random_loss: BelowOne = 0.0
    block_loss: BelowOne = 0.0
    limbs: Probability = 0.0
    limb_frames: NonNegativeInt = 0
    occlusion: Probability = 0.0


@dataclass(frozen=True, config=STRICT)
class ClipFormat:
    """How a sequence becomes a network's input.

    Attributes:
        frames: length of the clip.
        fill: ``resample`` stretches the video to that length, ``replay`` repeats it from the start.
        people: how many.
        layout: joints that the network sees.
        scale: ``body`` centres on the people and divides by their size, ``image`` by the frame's size.
        smoothing: window of the sliding average in frames (1: none).
        stream: what the network is shown: joints, bones, or how either moves.
    """

    frames: PositiveInt = 32
    fill: Literal["resample", "replay"] = "resample"
    people: PositiveInt = 2
    layout: str = "coco-17"
    scale: Literal["body", "image"] = "body"
    smoothing: Window = 1
    stream: Stream = "joint"


@dataclass(frozen=True, config=STRICT)
class NetworkChoice:
    """Which graph network.

    Attributes:
        name: ``agcn`` is one stream of 2s-AGCN.
        partitioning: of the ST-GCN family's graphs; the others have graphs of their own.
        width: channels of the first blocks; MS-G3D as released has 96, all others 64.
        dropout: probability of dropping a value.
    """

    name: Literal[
        "st_gcn", "st_sgcn", "st_2sgcn", "st_gcn_plus_plus",
        "agcn", "as_gcn", "shift_gcn", "ms_g3d", "ctr_gcn",
    ] = "st_gcn"  # fmt: skip
    partitioning: Literal["uniform", "distance", "spatial"] = "spatial"
    width: PositiveInt = 64
    dropout: BelowOne = 0.0


@dataclass(frozen=True, config=STRICT)
class Augmentation:
    """How a clip is looked at while training; both qualities of a clip are always looked at alike.

    Attributes:
        rotation: by up to so many degrees to either side.
        scale: larger or smaller by up to this share.
        shear: x by up to this share of y, and y of x.
        flip: probability of a mirror image, in which left and right joints change places.
        crop: the shortest part of the clip that is stretched to the whole, as a share of it.
        joint_dropout: probability with which a joint is hidden throughout the clip.
    """

    rotation: Annotated[float, Field(ge=0, le=180)] = 15.0
    scale: BelowOne = 0.15
    shear: BelowOne = 0.0
    flip: Probability = 0.5
    crop: Share = 0.7
    joint_dropout: BelowOne = 0.0


@dataclass(frozen=True, config=STRICT)
class Recipe:
    """How a network is trained.

    Attributes:
        epochs, batch, learning_rate, momentum, weight_decay: SGD with Nesterov momentum.
        milestones: epochs after which the learning rate is multiplied by ``decay``; if empty, a cosine.
        warmup: epochs of linear warm-up.
        label_smoothing: of the task loss.
        task_loss: plain cross-entropy, or Eq. 2 as printed.
        augment: look at clips at random while training; if not set, always alike.
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
    augment: Augmentation | None = None
    mixed_precision: bool = True
    loader_workers: NonNegativeInt = 0


@dataclass(frozen=True, config=STRICT)
class Distillation:
    """What the student learns from the teacher (the paper's Eq. 3-14).

    Attributes:
        task: factor of the task loss; 1 in the paper.
        kl, node, edge: factors of the three terms; with the paper's λ = 0.5, node and edge have 0.5 each.
        temperature: τ of Eq. 4.
        kl_direction: ``teacher_student`` is KL(P_t || P_s), ``student_teacher`` is Eq. 5 as printed.
        node_variant: Eq. 7 as in the ``paper``, or ``relative`` to the strength of the teacher's features.
        edge_variant: potentials as in the ``paper`` or as in the ``official`` code.
        adaptation: a 1x1 convolution on the student's features (always there when channels differ).
        revision: of distillation gradients that conflict with the task's (Eq. 14): of each loss
            (``per_loss``, Algorithm 1), of their sum (``summed``), or ``none``.
        start: epochs of the task loss alone before the teacher is heard.
        pooled: compare features averaged over frames and joints with one another, not at each vertex; then
            the edges are those between the clips' people and not within each.
        warm_start: the student begins with the teacher's weights; takes the same network for both, or a
            smaller one of the ST-GCN family, which gets those of the blocks that it has.
        resample_degradation: low quality that is derived is drawn anew in each epoch, for the student alone.
        teacher_cache_megabytes: memory in which the teacher's answers to all training clips are kept, so that
            it is asked once and not in each epoch; where they do not fit, or clips are augmented, it is asked
            anew for each batch.
    """

    task: PositiveFloat = 1.0
    kl: NonNegativeFloat = 1.0
    node: NonNegativeFloat = 0.5
    edge: NonNegativeFloat = 0.5
    temperature: PositiveFloat = 1.0
    kl_direction: Literal["teacher_student", "student_teacher"] = "teacher_student"
    node_variant: Literal["paper", "relative"] = "paper"
    edge_variant: Literal["paper", "official"] = "paper"
    adaptation: bool = True
    revision: Literal["none", "summed", "per_loss"] = "per_loss"
    start: NonNegativeInt = 0
    pooled: bool = False
    warm_start: bool = False
    resample_degradation: bool = False
    teacher_cache_megabytes: NonNegativeInt = 1000

    @property
    def has_losses(self) -> bool:
        """Whether the student hears the teacher at all, or merely begins with its weights."""
        return bool(self.kl or self.node or self.edge)


@dataclass(frozen=True, config=STRICT)
class LabelShares:
    """How much of each class's training clips each quality has labels of, one clip at least.

    Attributes:
        high: share whose label the teacher is told.
        low: share whose label baselines and student are told. Of the others only the teacher tells the
            student; baselines, and a student without distillation losses, do not train on them.
    """

    high: Share = 1.0
    low: Share = 1.0


@dataclass(frozen=True, config=STRICT)
class Experiment:
    """One distillation: data, networks, recipe.

    Attributes:
        name: the run's folder under ``models/``.
        seed: of the split, weights, order, augmentation and occlusion.
        high, low: settings folders in the cache; empty picks the only one there is.
        derive_low: how low quality comes from high, instead of cached low quality.
        unpaired: also train on clips that one quality alone shows; the test clips stay the paired ones.
        unlabelled: also train the student on pairs without a label, by what the teacher says of them.
        labels: how many of the labels that are there are used in training.
        only_classes, without_classes: labels whose clips alone are used, or not used; empty: no such limit.
        test_fraction: share of videos (or subjects) held out where the cache names no split.
        validation: share of the training videos (or subjects) that is tested in place of the test clips, and
            these are not looked at; for choosing settings.
        smoothing_window: of LQS-SWA-S and SKD*.
        methods: which rows of the table are trained.
    """

    name: FolderName = "run"
    seed: NonNegativeInt = 0
    high: str = ""
    low: str = ""
    derive_low: Degradation | None = None
    unpaired: bool = False
    unlabelled: bool = False
    labels: LabelShares = field(default_factory=LabelShares)
    only_classes: tuple[str, ...] = ()
    without_classes: tuple[str, ...] = ()
    test_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.3
    validation: BelowOne = 0.0
    smoothing_window: Window = 3
    methods: Annotated[
        tuple[MethodName, ...],
        Field(min_length=1),
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
