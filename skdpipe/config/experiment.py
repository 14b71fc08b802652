"""Settings of an experiment: data, networks, recipe, distillation."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
)
from pydantic.dataclasses import dataclass

from skdpipe.config.load import read_if_named
from skdpipe.config.network import ClipFormat, NetworkChoice
from skdpipe.config.values import (
    STRICT,
    AtLeastOne,
    BelowOne,
    FolderName,
    Probability,
    Processes,
    Share,
    Window,
)

MethodName = Literal["teacher", "baseline", "smoothed", "student", "student_smoothed"]


@dataclass(frozen=True, config=STRICT)
class EstimatorNoise:
    """Errors of a simulated low-cost estimator; `skdpipe fit-noise` measures them on pairs of skeletons.

    A share is the mean fraction of the frames that have the error. A size is a fraction of the body size (the
    diagonal of the person's bounding box). A length is the mean duration of the error in frames of the video.

    Attributes:
        jitter: standard deviation of each joint's position error along x and along y, by joint name; a size.
        jitter_default: the same for joints that ``jitter`` does not contain.
        jitter_frames: correlation length of the jitter.
        outliers: share of the frames in which a joint is far from its true position.
        outlier_size: standard deviation of an outlier's position error along x and along y; a size.
        outlier_frames: mean length of an outlier.
        swaps: share of the frames in which left and right of a person are exchanged.
        swap_frames: mean length of an exchange.
        misses: share of the frames in which a joint is not detected, by joint name.
        misses_default: the same for joints that ``misses`` does not contain.
        miss_frames: mean length of a missed detection.
        lost: share of the frames in which a whole person is not detected.
        lost_frames: mean length of such a loss.
        confidence: mean confidence of joints that are neither outliers nor exchanged.
        confidence_wrong: mean confidence of outliers and exchanged joints.
        confidence_spread: standard deviation of both confidences.
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


def _or_name(schema: dict[str, Any]) -> None:
    """Allow the name or path of a file in a JSON schema."""
    schema["anyOf"].append({"type": "string"})


@dataclass(frozen=True, config=STRICT)
class Degradation:
    """How low quality is derived from high quality, as an alternative to a low-cost estimator.

    The degradations are applied in the order of the settings.

    Attributes:
        noise: estimator errors, as settings or as the name or path of a file written by `skdpipe fit-noise`.
        every: sampling step; one frame in ``every`` is kept (the paper's k = 1/every), by time if the frame
            rate varies.
        random_loss: fraction of the frames that are dropped at random.
        block_loss: fraction of the frames that are dropped as one block.
        limbs: fraction of the time that an arm (from the elbow) or a leg (from the knee) is hidden; each limb
            is hidden independently.
        limb_frames: mean length of such an occlusion in frames; 0 hides a limb for the whole clip.
        occlusion: probability that a joint of a frame is hidden, independently of the others.
    """

    noise: Annotated[
        EstimatorNoise | None, BeforeValidator(read_if_named), Field(json_schema_extra=_or_name)
    ] = None
    every: PositiveInt = 1
    random_loss: BelowOne = 0.0
    block_loss: BelowOne = 0.0
    limbs: Probability = 0.0
    limb_frames: NonNegativeInt = 0
    occlusion: Probability = 0.0


@dataclass(frozen=True, config=STRICT)
class Augmentation:
    """Random transforms of the training clips; both qualities of a clip get the same transform.

    Attributes:
        rotation: largest rotation in degrees, in either direction: in the image, or of three coordinates
            about the vertical axis.
        tilt: the same about the two horizontal axes of three coordinates.
        scale: largest relative change of size.
        shear: largest shear factor of each coordinate by each other.
        flip: probability of a mirror image, in which left and right joints are exchanged.
        crop: shortest part of the clip, as a fraction of its length, that is stretched to the whole length.
        joint_dropout: probability that a joint is hidden for the whole clip.
    """

    rotation: Annotated[float, Field(ge=0, le=180)] = 15.0
    tilt: Annotated[float, Field(ge=0, le=180)] = 0.0
    scale: BelowOne = 0.15
    shear: BelowOne = 0.0
    flip: Probability = 0.5
    crop: Share = 0.7
    joint_dropout: BelowOne = 0.0


@dataclass(frozen=True, config=STRICT)
class Recipe:
    """How a network is trained.

    Attributes:
        epochs: number of passes over the training clips.
        steps: lowest number of training steps; a smaller set of clips gets as many more epochs as it takes.
        batch: number of clips in a training step.
        balanced: each class contributes the same number of clips to an epoch: clips of small classes are
            drawn more than once, of the largest ones some are left out.
        optimiser: ``sgd`` with Nesterov momentum, or ``adamw``.
        learning_rate: learning rate after the warm-up; AdamW needs about a twentieth of SGD's.
        momentum: Nesterov momentum of SGD; 0 gives plain SGD.
        weight_decay: factor of the L2 penalty of SGD, or of AdamW's decoupled weight decay.
        clip_gradients: largest norm of the gradient of all weights, which is scaled down to it; 0 allows any.
        milestones: epochs after which the learning rate is multiplied by ``decay``; if empty, the learning
            rate follows a cosine to 0.
        decay: factor of the learning rate at each milestone.
        warmup: number of epochs of linear warm-up.
        label_smoothing: label smoothing of the task loss.
        task_loss: ``cross_entropy``, or ``binary_cross_entropy_per_class`` for Eq. 2 as printed in the paper.
        augment: random transforms of the training clips; ``{}`` uses their defaults, null switches them off.
        mixed_precision: ``fp16`` computes in half precision on a GPU, and in single precision elsewhere;
            ``bf16`` in bfloat16 everywhere; ``none`` in single precision.
        loader_workers: number of processes that prepare batches; 0 chooses none if all clips fit into
            ``memory_megabytes``, and otherwise a number by that of the cores.
        memory_megabytes: memory for clips that have been read, in MB (10^6 bytes), of all loader processes of
            a training process; clips that do not fit are read again in each epoch.
    """

    epochs: PositiveInt = 20
    steps: NonNegativeInt = 0
    batch: PositiveInt = 16
    balanced: bool = False
    optimiser: Literal["sgd", "adamw"] = "sgd"
    learning_rate: PositiveFloat = 0.1
    momentum: BelowOne = 0.9
    weight_decay: NonNegativeFloat = 1e-4
    clip_gradients: NonNegativeFloat = 0.0
    milestones: tuple[PositiveInt, ...] = ()
    decay: PositiveFloat = 0.1
    warmup: NonNegativeInt = 0
    label_smoothing: Probability = 0.0
    task_loss: Literal["cross_entropy", "binary_cross_entropy_per_class"] = "cross_entropy"
    augment: Augmentation | None = None
    mixed_precision: Literal["fp16", "bf16", "none"] = "fp16"
    loader_workers: Processes = 0
    memory_megabytes: NonNegativeInt = 2000


@dataclass(frozen=True, config=STRICT)
class Distillation:
    """Losses and options of structural knowledge distillation (Eq. 3-14 of the paper).

    Attributes:
        task: factor of the task loss; 1 in the paper.
        kl: factor of the KL divergence between the predictions of teacher and student (Eq. 4 and 5); 0
            disables it.
        node: factor of the node loss on features (Eq. 7); 0.5 for the paper's λ = 0.5; 0 disables it.
        edge: factor of the edge loss on features (Eq. 8-11); 0.5 for the paper's λ = 0.5; 0 disables it.
        temperature: softmax temperature τ of Eq. 4.
        kl_direction: ``teacher_student`` is KL(P_t || P_s), ``student_teacher`` is Eq. 5 as printed.
        node_variant: ``paper`` is Eq. 7, ``relative`` divides it by the squared norm of the teacher's
            features.
        edge_variant: edge potentials as in the ``paper`` or as in the ``official`` code.
        adaptation: a 1x1 convolution on the student's features; always used if the numbers of channels
            differ.
        revision: gradient revision (Eq. 14): the part of a distillation gradient that conflicts with the task
            gradient is removed, for each loss (``per_loss``, Algorithm 1), for their sum (``summed``), or for
            ``none``.
        start: number of first epochs that use the task loss alone.
        pooled: compare features averaged over frames and joints instead of features at each vertex; the edges
            then connect the people of different clips.
        warm_start: initialise the student with the teacher's weights. Both must be the same network, or the
            student a smaller one of the ST-GCN family, which gets the weights of the blocks that it has. If
            they have different coordinates, the first layers have random weights.
        resample_degradation: draw the derived low quality of the student again in each epoch.
        teacher_cache_megabytes: memory for the teacher's outputs on all training clips, in MB (10^6 bytes),
            so that they are computed once. If they do not fit or clips are augmented, they are computed for
            each batch.
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
        """Whether any distillation loss is used; without one, the teacher can give initial weights only."""
        return bool(self.kl or self.node or self.edge)


@dataclass(frozen=True, config=STRICT)
class LabelShares:
    """Fraction of each class's training labels that each quality uses; at least one per class.

    Attributes:
        high: fraction of the training labels for the teacher.
        low: fraction of the training labels for baselines and student. On the other clips the student is
            trained with the distillation losses alone; baselines, and a student without these losses, do not
            use them.
    """

    high: Share = 1.0
    low: Share = 1.0


def _several(classes: int) -> int:
    if classes == 1:
        raise ValueError("a subset should have two or more classes")
    return classes


@dataclass(frozen=True, config=STRICT)
class Subset:
    """A random subset of the clips, drawn by the seed; for learning curves and tests with few clips.

    Attributes:
        classes: number of classes; 0 uses all.
        train: largest number of training clips of each class; 0 uses all.
        test: largest number of test clips of each class; 0 uses all.
    """

    classes: Annotated[NonNegativeInt, AfterValidator(_several)] = 0
    train: NonNegativeInt = 0
    test: NonNegativeInt = 0


@dataclass(frozen=True, config=STRICT)
class Fold:
    """One part of a cross-validation.

    Attributes:
        number: which part is the test, from 1.
        of: number of parts.
    """

    number: PositiveInt
    of: Annotated[int, Field(ge=2, le=1000)]

    def __post_init__(self) -> None:
        if self.number > self.of:
            raise ValueError(f"fold {self.number} of {self.of} does not exist")


@dataclass(frozen=True, config=STRICT)
class Experiment:
    """One distillation experiment: data, networks, recipe.

    Attributes:
        name: name of the run's folder under ``models/``.
        seed: random seed of the split, the initial weights, the order of clips, augmentation and degradation.
        high: settings folder of high quality in the cache; if empty, the only one there is.
        low: settings folder of low quality in the cache; if empty, the only one there is.
        derive_low: derive low quality from high quality instead of using low quality from the cache.
        unpaired: also train on clips that only one quality has; the test clips are always paired.
        unlabelled: also train the student on paired clips without a label, with the distillation losses
            alone.
        labels: fraction of the available training labels that is used.
        only_classes: use only clips with these labels; if empty, all classes.
        without_classes: leave out the clips with these labels.
        test_fraction: fraction of the videos (or subjects) that is held out for the test if the cache
            contains no split.
        validation: fraction of the training videos (or subjects) that is held out and tested instead of the
            test clips, for choosing settings.
        calibration: fraction of the training videos (or subjects) that is held out to calibrate the
            probabilities of a student: it is trained a second time without them, and the temperature of its
            softmax is fitted on them. 0 leaves the probabilities as they are. The weights and labels of the
            student do not depend on it. Comparisons, the parts of a cross-validation and further seeds of the
            demonstration are never calibrated.
        fold: tests a part of all labelled pairs instead of the test clips: whole subjects, or videos of each
            class. Set by ``--folds``, which tests each part once.
        subset: use only a random part of the classes and clips.
        classical: also train a random forest on each quality, as a baseline without a network.
        smoothing_window: window of the sliding average of LQS-SWA-S and SKD* in frames, an odd number.
        methods: which methods are trained: ``teacher`` HQS-T, ``baseline`` LQS-S, ``smoothed`` LQS-SWA-S,
            ``student`` SKD, ``student_smoothed`` SKD*.
        clip: input of the networks.
        teacher: network of the teacher.
        student: network of baselines and student.
        recipe: training of all networks.
        distillation: losses and options of the student.
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
    calibration: BelowOne = 0.2
    fold: Fold | None = None
    subset: Subset = field(default_factory=Subset)
    classical: bool = True
    smoothing_window: Window = 3
    methods: Annotated[tuple[MethodName, ...], Field(min_length=1)] = (
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
