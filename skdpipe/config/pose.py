"""Settings of what makes skeletons: estimators, their training, extraction, the demonstration."""

from __future__ import annotations

from dataclasses import field
from pathlib import Path
from typing import Any

from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from pydantic.dataclasses import dataclass

from skdpipe.config.values import STRICT, Probability


@dataclass(frozen=True, config=STRICT)
class Actors:
    """Pictures of procedural people for training a pose network.

    Attributes:
        images: number of images.
        size: width and height of the drawn frame in pixels.
        subjects: how many different people; takes vary clothes, view, light and background.
        seed: of the cast; another seed is another world.
    """

    images: PositiveInt = 20000
    size: tuple[PositiveInt, PositiveInt] = (240, 180)
    subjects: PositiveInt = 400
    seed: NonNegativeInt = 1


@dataclass(frozen=True, config=STRICT)
class CocoFile:
    """A COCO keypoint file and the folder of its images."""

    annotations: Path
    images: Path


@dataclass(frozen=True, config=STRICT)
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


@dataclass(frozen=True, config=STRICT)
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


@dataclass(frozen=True, config=STRICT)
class Estimator:
    """A quality of skeletons: which estimator sees which frames.

    Attributes:
        backbone, weights, long_edge, thresholds: OpenPifPaf's (see `pose.openpifpaf`).
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


@dataclass(frozen=True, config=STRICT)
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


@dataclass(frozen=True, config=STRICT)
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
