"""Settings: frozen dataclasses checked by pydantic, read from YAML, changed by ``key.path=value``.

Nothing below `cli` and the public functions sees a config: networks and losses take plain arguments.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar, get_args, get_type_hints

import yaml
from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    TypeAdapter,
    ValidationError,
)
from pydantic.dataclasses import dataclass
from pydantic_core import ErrorDetails

from skdpipe.errors import ConfigError

_STRICT: Final = ConfigDict(extra="forbid", coerce_numbers_to_str=True)  # a run may be called 2024
T = TypeVar("T")


def _odd(frames: int) -> int:
    if frames % 2 == 0:
        raise ValueError("a window should be an odd number of frames")
    return frames


def _folder_name(name: str) -> str:
    if not name.strip(". ") or set(name) & set("/\\"):
        raise ValueError("should be a folder's name, not a path")
    return name


Window = Annotated[PositiveInt, AfterValidator(_odd)]
Probability = Annotated[float, Field(ge=0, le=1)]
BelowOne = Annotated[float, Field(ge=0, lt=1)]
FolderName = Annotated[str, AfterValidator(_folder_name)]


@dataclass(frozen=True, config=_STRICT)
class Actors:
    """Pictures of procedural people for training a pose network.

    Attributes:
        pictures: how many are drawn.
        size: width and height of the drawn frame in pixels.
        subjects: how many different people; takes vary clothes, view, light and background.
        seed: of the cast; another seed is another world.
    """

    pictures: PositiveInt = 20000
    size: tuple[PositiveInt, PositiveInt] = (240, 180)
    subjects: PositiveInt = 400
    seed: NonNegativeInt = 1


@dataclass(frozen=True, config=_STRICT)
class CocoFile:
    """A COCO keypoint file and the folder of its images."""

    annotations: Path
    images: Path


@dataclass(frozen=True, config=_STRICT)
class PoseTraining:
    """How `train-pose` trains an OpenPifPaf network.

    Attributes:
        backbone: OpenPifPaf's name.
        long_edge: pixels of the longer side of the network's picture.
        upsample: how much finer than the backbone's stride the heads' grid is.
        data: actors or a COCO file.
        steps, batch, learning_rate, weight_decay, warmup: AdamW with a cosine schedule.
        batch_norm_momentum: weight of a new batch in the running statistics.
        bfloat16: run the network in bfloat16 (losses stay in float32).
        half_file: store the weights in half precision.
        seed: of initial weights, order and photometric noise.
        workers: processes that prepare pictures.
    """

    backbone: str
    long_edge: PositiveInt
    data: Actors | CocoFile
    upsample: PositiveInt = 1
    steps: PositiveInt = 10000
    batch: PositiveInt = 16
    learning_rate: PositiveFloat = 2e-3
    weight_decay: NonNegativeFloat = 1e-2
    warmup: NonNegativeInt = 200
    batch_norm_momentum: Probability = 0.05
    bfloat16: bool = True
    half_file: bool = True
    seed: NonNegativeInt = 0
    workers: NonNegativeInt = 2


@dataclass(frozen=True, config=_STRICT)
class Thresholds:
    """What OpenPifPaf's decoder accepts: confidences in [0, 1]; OpenPifPaf's names and defaults.

    Attributes:
        seed, cif, caf: least confidence of where a person begins, of the joint maps, of the associations.
        keypoint, instance: least confidence of a joint and of a person.
        complete: place every joint of a person, however unsure (OpenPifPaf's ``--force-complete-pose``, with
            which its published AP is measured); ``keypoint`` is then without effect.
    """

    seed: Probability = 0.2
    keypoint: Probability = 0.15
    instance: Probability = 0.15
    cif: Probability = 0.3
    caf: Probability = 0.3
    complete: bool = False


@dataclass(frozen=True, config=_STRICT)
class Estimator:
    """A quality of skeletons: which estimator sees which frames.

    Attributes:
        backbone, weights, long_edge, thresholds: OpenPifPaf's (see `pose.pifpaf`).
        plugin: instead of OpenPifPaf, ``path/to/file.py:Name`` or ``package.module:Name``, something
            that is called with ``options`` and gives a `PoseEstimator`.
        options: keyword arguments of the plugin.
        every: one frame in so many is looked at.
    """

    backbone: str = ""
    weights: str = ""
    long_edge: PositiveInt = 321
    thresholds: Thresholds = field(default_factory=Thresholds)
    plugin: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    every: PositiveInt = 1


@dataclass(frozen=True, config=_STRICT)
class Extraction:
    """How videos become skeletons.

    Attributes:
        high, low: the two qualities; low alone is what prediction uses.
        people: how many people a sequence keeps.
        batch: frames that go through the network at once.
    """

    high: Estimator
    low: Estimator
    people: PositiveInt = 2
    batch: PositiveInt = 16


@dataclass(frozen=True, config=_STRICT)
class Demonstration:
    """How much the demonstration plays.

    Attributes:
        train_subjects, test_subjects: how many people act for training and for the test; nobody does both.
        takes: clips of each action by each person (or pair).
        frames, size, fps: of each clip.
        seed: of the cast.
        shown: how many unseen clips are labelled at the end.
    """

    train_subjects: PositiveInt = 12
    test_subjects: PositiveInt = 3
    takes: PositiveInt = 2
    frames: PositiveInt = 24
    size: tuple[PositiveInt, PositiveInt] = (240, 180)
    fps: PositiveFloat = 12.0
    seed: NonNegativeInt = 7
    shown: PositiveInt = 10


@dataclass(frozen=True, config=_STRICT)
class Degradation:
    """How low quality is derived from high where there is no estimator of low quality.

    Attributes:
        every: one frame in so many is kept.
        occlusion: probability with which a joint of a frame is hidden.
    """

    every: PositiveInt = 1
    occlusion: Probability = 0.0


@dataclass(frozen=True, config=_STRICT)
class ClipFormat:
    """How a sequence becomes a network's input.

    Attributes:
        frames: length of the clip.
        fill: ``resample`` stretches the video to that length, ``replay`` repeats it from the start.
        people: how many.
        layout: joints that the network sees.
        scale: ``body`` centres on the people and divides by their size, ``picture`` by the frame's size.
        smoothing: window of the sliding average in frames (1: none).
    """

    frames: PositiveInt = 32
    fill: Literal["resample", "replay"] = "resample"
    people: PositiveInt = 2
    layout: str = "coco-17"
    scale: Literal["body", "picture"] = "body"
    smoothing: Window = 1


@dataclass(frozen=True, config=_STRICT)
class NetworkChoice:
    """Which graph network: ``st_gcn``, ``st_sgcn`` or ``st_2sgcn``, its partitioning and width."""

    name: Literal["st_gcn", "st_sgcn", "st_2sgcn"] = "st_gcn"
    partitioning: Literal["uniform", "distance", "spatial"] = "spatial"
    width: PositiveInt = 64
    dropout: BelowOne = 0.0


@dataclass(frozen=True, config=_STRICT)
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


@dataclass(frozen=True, config=_STRICT)
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


@dataclass(frozen=True, config=_STRICT)
class Experiment:
    """One distillation: data, networks, recipe.

    Attributes:
        name: the run's folder under ``models/``.
        seed: of the split, weights, order, augmentation and occlusion.
        high, low: settings folders in the cache; empty picks the only one there is.
        derive_low: how low quality comes from high, instead of cached low quality.
        test_fraction: share of videos (or subjects) held out where the cache names no split.
        smoothing_window: of the LQS-SWA-S baseline.
        methods: which rows of the table are trained.
    """

    name: FolderName = "run"
    seed: NonNegativeInt = 0
    high: str = ""
    low: str = ""
    derive_low: Degradation | None = None
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


def config_path(name: str) -> Path:
    """A config by path, or by the name of one that comes with skdpipe (``demo``, ``paper``...).

    Raises:
        ConfigError: if there is neither.
    """
    path = Path(name)
    if path.suffix in {".yaml", ".yml"} or path.is_file():
        if not path.is_file():
            raise ConfigError(f"no config file at {path}; expected YAML")
        return path
    package = Path(__file__).parent
    folders = [package / "configs", package.parent / "configs"]
    for folder in folders:
        if (folder / f"{name}.yaml").is_file():
            return folder / f"{name}.yaml"
    known = sorted({file.stem for folder in folders for file in folder.glob("*.yaml")})
    raise ConfigError(f"no config named '{name}'; expected a YAML file or one of {', '.join(known)}")


def load_config(kind: type[T], path: Path, overrides: Sequence[str] = (), *, section: str = "") -> T:
    """Read a config of one kind from YAML and apply ``key.path=value`` overrides (values are YAML too).

    Args:
        kind: the dataclass to make.
        path: the file.
        overrides: keys relative to the section.
        section: which part of the file; if empty, all of it.

    Raises:
        ConfigError: if the file cannot be read, is not YAML, has no such section, or a key or value does
            not fit.
    """
    try:
        values = _mapping(yaml.safe_load(path.read_text(encoding="utf-8")), str(path))
    except OSError as error:
        raise ConfigError(f"no config file at {path} ({error.strerror}); expected YAML") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    if section:
        if section not in values:
            found = ", ".join(map(str, values)) or "nothing"
            raise ConfigError(f"{path} has no section '{section}'; found {found}")
        values = _mapping(values[section], f"{path}: {section}")
    for override in overrides:
        _override(values, override)
    return parse_config(kind, values, f"{path}: {section}" if section else str(path))


def _mapping(values: object, where: str) -> dict[str, Any]:
    """What YAML gave, if it is settings; nothing at all is no settings."""
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(f"{where} holds a {type(values).__name__}; expected a mapping of settings")
    return values


def parse_config(kind: type[T], values: dict[str, Any], where: str) -> T:
    """Check plain values against a config class.

    Raises:
        ConfigError: naming the first key that does not fit.
    """
    try:
        return TypeAdapter(kind).validate_python(values)
    except ValidationError as error:
        first = min(error.errors(), key=lambda each: each["type"] == "missing")  # it may be misspelt
        raise ConfigError(f"{where}: {_complaint(kind, first)}") from error


def _complaint(kind: object, problem: ErrorDetails) -> str:
    """The key that does not fit, what was found there, and what was expected."""
    *parents, last = problem["loc"] or ("settings",)
    key = ".".join(map(str, (*parents, last)))
    if problem["type"] == "unexpected_keyword_argument":
        return f"{key} is no setting; expected one of {', '.join(_settings_of(kind, parents))}"
    if problem["type"] == "missing":
        return f"{key} is not set and has no default; add it"
    expected = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "dataclass_type":
        expected = "Input should be a group of settings"
    return f"{key}: found {problem['input']!r:.60}; {expected[0].lower()}{expected[1:]}"


def _settings_of(kind: object, place: Sequence[int | str]) -> list[str]:
    """The settings of a group, which lies at a place in a config class."""
    for name in place:
        hint = get_type_hints(kind).get(str(name), kind)
        kind = next((option for option in (hint, *get_args(hint)) if is_dataclass(option)), kind)
    assert is_dataclass(kind)
    return [each.name for each in fields(kind)]


def to_plain(config: object) -> dict[str, Any]:
    """A config as plain YAML and JSON values; `parse_config` reads it back."""
    plain: dict[str, Any] = TypeAdapter(type(config)).dump_python(config, mode="json")
    return plain


def _override(values: dict[str, Any], override: str) -> None:
    key, sign, text = override.partition("=")
    if not sign or not key:
        raise ConfigError(f"cannot read the setting '{override}'; expected key.path=value")
    *parents, last = key.split(".")
    for parent in parents:
        if values.get(parent) is None:
            values[parent] = {}
        values = values[parent]
        if not isinstance(values, dict):
            raise ConfigError(f"setting '{override}': {parent} is a value, not a group of settings")
    try:
        values[last] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"setting '{override}': {' '.join(str(error).split())}; expected YAML") from error
