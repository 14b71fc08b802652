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
    """Errors of a pose estimator, simulated on high-quality skeletons; `skdpipe fit-noise` fits them to real
    pairs.

    Lengths are relative to the body size (the diagonal of the box around the person), rates are shares of all
    frames, and durations are mean numbers of video frames.

    Attributes:
        jitter: standard deviation of each joint's position along x and along y, by joint name.
        jitter_default: standard deviation of joints that are not named.
        jitter_frames: duration over which the jitter is correlated.
        outliers: rate of joints that are far from their position.
        outlier_size: standard deviation of their distance.
        outlier_frames: duration of an outlier.
        swaps: rate of frames in which left and right of a person are exchanged.
        swap_frames: duration of an exchange.
        misses: rate at which a joint is not detected, by joint name.
        misses_default: rate of joints that are not named.
        miss_frames: duration of a miss.
        lost: rate at which a whole person is not detected.
        lost_frames: duration of a loss.
        confidence: mean confidence of joints at their position.
        confidence_wrong: mean confidence of outliers and exchanged joints.
        confidence_spread: standard deviation of both.
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
    """How low quality is derived from high quality; the steps are applied in this order.

    Attributes:
        noise: errors of an estimator, or a YAML file of them as written by `skdpipe fit-noise`; null for
            none.
        every: keeps one frame in so many.
        random_loss: share of the frames that are dropped at random.
        block_loss: share of the frames that are dropped in one block.
        limbs: share of the time for which a whole arm or leg is hidden, independently for each.
        limb_frames: mean duration of a hidden limb in frames; 0 hides it for the whole clip.
        occlusion: probability that a joint is hidden in a frame.
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
    """How a pose sequence becomes the input of a network.

    Attributes:
        frames: length of the clip.
        fill: ``resample`` stretches the video to that length, ``replay`` repeats it from the start.
        people: number of people; those with the highest mean confidence are used.
        layout: the joints, for instance ``coco-17``; skeletons of other layouts are mapped by joint name.
        scale: ``body`` centres on the first person and divides by the body size, ``image`` divides by the
            image size.
        smoothing: window of the sliding-window average in frames, an odd number; 1 for none.
        stream: joints, bones, or the motion of either.
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
    """A graph network.

    Attributes:
        name: the network; ``agcn`` is one stream of 2s-AGCN.
        partitioning: neighbour subsets of the ST-GCN family; other networks have their own graphs.
        width: channels of the first blocks; 96 for MS-G3D as released, 64 for all others.
        dropout: dropout probability.
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
    """Random transformations of training clips; both qualities of a clip are transformed in the same way.

    Attributes:
        rotation: largest rotation to either side, in degrees.
        scale: largest relative change of size.
        shear: largest shear of either axis, as a share of the other.
        flip: probability of mirroring, with left and right joints exchanged.
        crop: shortest part of the clip that is stretched to the whole length, as a share of it.
        joint_dropout: probability that a joint is hidden for the whole clip.
    """

    rotation: Annotated[float, Field(ge=0, le=180)] = 15.0
    scale: BelowOne = 0.15
    shear: BelowOne = 0.0
    flip: Probability = 0.5
    crop: Share = 0.7
    joint_dropout: BelowOne = 0.0


@dataclass(frozen=True, config=STRICT)
class Recipe:
    """How a network is trained: SGD with Nesterov momentum.

    Attributes:
        epochs: number of epochs.
        batch: clips in a batch.
        learning_rate: learning rate after the warm-up.
        momentum: momentum of SGD.
        weight_decay: weight decay of SGD.
        milestones: epochs after which the learning rate is multiplied by ``decay``; a cosine schedule if
            empty.
        decay: factor at the milestones.
        warmup: epochs of linear warm-up.
        label_smoothing: label smoothing of the task loss.
        task_loss: cross-entropy (released code), or a binary cross-entropy for each class (Eq. 2 as printed).
        augment: random transformations of the training clips; null for none.
        mixed_precision: half precision on a GPU.
        loader_workers: processes that prepare batches; 0 is fastest if all clips fit in memory.
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
    """What the student learns from the teacher (Eq. 3-14 of the paper).

    Attributes:
        task: factor of the task loss; 1 in the paper.
        kl: factor of the KL loss; 0 switches it off.
        node: factor of the node loss; the paper's λ = 0.5 is 0.5.
        edge: factor of the edge loss; the paper's 1-λ is 0.5.
        temperature: τ of Eq. 4.
        kl_direction: ``teacher_student`` is KL(P_t || P_s), ``student_teacher`` is Eq. 5 as printed.
        node_variant: Eq. 7 as in the ``paper``, or ``relative`` to the squared norm of the teacher's
            features.
        edge_variant: potentials as in the ``paper`` or as in the ``official`` code.
        adaptation: a 1x1 convolution on the student's features; always used if the numbers of channels
            differ.
        revision: gradient revision (Eq. 14) of each distillation loss (``per_loss``, Algorithm 1), of their
            sum (``summed``), or ``none``.
        start: number of first epochs with the task loss alone.
        pooled: compare features averaged over frames and joints instead of each vertex; edges are then
            between the people of the batch.
        warm_start: initial weights from the teacher; needs the same network and width, or a smaller network
            of the ST-GCN family.
        resample_degradation: derive low quality again in each epoch, for the student only.
        teacher_cache_megabytes: memory for the teacher's output on all training clips, which is then computed
            once; if it does not fit, or clips are augmented, the teacher runs on every batch.
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
        """Whether there is a distillation loss; without one the teacher may only provide initial weights."""
        return bool(self.kl or self.node or self.edge)


@dataclass(frozen=True, config=STRICT)
class LabelShares:
    """Share of each class's training clips whose label is used, at least one clip.

    Attributes:
        high: share of labels for the teacher.
        low: share of labels for baselines and student. The other clips train the student through the
            distillation losses only, and baselines not at all.
    """

    high: Share = 1.0
    low: Share = 1.0


@dataclass(frozen=True, config=STRICT)
class Experiment:
    """One distillation: data, networks, recipe.

    Attributes:
        name: the run's folder under ``models/``.
        seed: of the split, weights, order, augmentation and derived low quality.
        high: settings folder of high quality in the cache; empty uses the only one.
        low: settings folder of low quality in the cache; empty uses the only one.
        derive_low: derives low quality from high quality instead of using cached low quality; null for
            cached.
        unpaired: also train on clips with one quality only; test clips stay the paired ones.
        unlabelled: also train the student on unlabelled pairs, through the distillation losses.
        labels: how many of the labels are used in training.
        only_classes: use clips of these labels only; empty for all.
        without_classes: leave out clips of these labels.
        test_fraction: share of videos (or subjects) held out if the cache states no split.
        validation: share of the training videos (or subjects) that replaces the test clips, for choosing
            settings.
        smoothing_window: window of LQS-SWA-S and SKD* in frames, an odd number.
        methods: rows of the table that are trained.
        clip: input of the networks.
        teacher: the teacher's network.
        student: the network of student and baselines.
        recipe: training of all networks.
        distillation: losses of the student.
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
