"""Settings of pose estimators, their training, extraction and the demonstration."""

from __future__ import annotations

from dataclasses import field
from pathlib import Path
from typing import Any

from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from pydantic.dataclasses import dataclass

from skdpipe.config.values import STRICT, Probability


@dataclass(frozen=True, config=STRICT)
class Actors:
    """Rendered images of synthetic people for training a pose network.

    Attributes:
        images: number of images.
        size: width and height of the images in pixels.
        subjects: number of different people; clothes, view, light and background vary between scenes.
        seed: of the people and scenes.
    """

    images: PositiveInt = 20000
    size: tuple[PositiveInt, PositiveInt] = (240, 180)
    subjects: PositiveInt = 400
    seed: NonNegativeInt = 1


@dataclass(frozen=True, config=STRICT)
class CocoFile:
    """A COCO keypoint file.

    Attributes:
        annotations: the annotation file.
        images: the folder of its images.
    """

    annotations: Path
    images: Path


@dataclass(frozen=True, config=STRICT)
class PoseTraining:
    """How `skdpipe train-pose` trains an OpenPifPaf network: AdamW with a cosine schedule.

    Attributes:
        backbone: OpenPifPaf's name.
        long_edge: longer side of the network's input in pixels.
        upsample: resolution of the heads' grid relative to the backbone's.
        data: rendered actors or a COCO file.
        steps: number of steps.
        batch: images in a batch.
        learning_rate: learning rate after the warm-up.
        weight_decay: weight decay of AdamW.
        warmup: steps of linear warm-up.
        batch_norm_momentum: weight of a new batch in the running statistics.
        bfloat16: run the network in bfloat16 (losses stay in float32).
        half_file: store the weights in half precision.
        seed: of initial weights, order and photometric noise.
        workers: processes that prepare images.
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
    """Thresholds of OpenPifPaf's decoder: confidences in [0, 1], with OpenPifPaf's names and defaults.

    Attributes:
        seed: least confidence of the joint from which a person is decoded.
        keypoint: least confidence of a joint.
        instance: least confidence of a person.
        cif: least confidence in the joint maps.
        caf: least confidence in the association maps.
        complete: output every joint of a person, however low its confidence (OpenPifPaf's
            ``--force-complete-pose``, with which its published AP is measured); ``keypoint`` then has no
            effect.
    """

    seed: Probability = 0.2
    keypoint: Probability = 0.15
    instance: Probability = 0.15
    cif: Probability = 0.3
    caf: Probability = 0.3
    complete: bool = False


@dataclass(frozen=True, config=STRICT)
class Estimator:
    """The pose estimator of one quality and its sampling.

    Attributes:
        backbone: backbone of an OpenPifPaf network.
        weights: name or path of its weights (`skdpipe pose-weights` lists names).
        long_edge: the longer side of a frame is scaled to this many pixels.
        thresholds: thresholds of OpenPifPaf's decoder.
        plugin: instead of OpenPifPaf, ``path/to/file.py:Name`` or ``package.module:Name``, called with
            ``options`` to make a `PoseEstimator`.
        options: keyword arguments of the plugin.
        every: runs on one frame in so many.
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
        high: the high-cost estimator, for the teacher.
        low: the low-cost estimator, for the student and prediction.
        people: number of people kept in a sequence.
        batch: frames in one call of the network.
    """

    high: Estimator
    low: Estimator
    people: PositiveInt = 2
    batch: PositiveInt = 16


@dataclass(frozen=True, config=STRICT)
class Demonstration:
    """The size of the demonstration.

    Attributes:
        train_subjects: number of people in the training clips.
        test_subjects: number of other people in the test clips.
        takes: clips of each action by each person (or pair).
        frames: length of a clip.
        size: width and height of a clip in pixels.
        fps: frames per second.
        seed: of the people and scenes.
        shown: number of test clips whose predictions are shown at the end.
    """

    train_subjects: PositiveInt = 12
    test_subjects: PositiveInt = 3
    takes: PositiveInt = 2
    frames: PositiveInt = 24
    size: tuple[PositiveInt, PositiveInt] = (240, 180)
    fps: PositiveFloat = 12.0
    seed: NonNegativeInt = 7
    shown: PositiveInt = 10
