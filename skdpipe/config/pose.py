"""Settings of the training of pose estimators, extraction and the demonstration."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from pydantic.dataclasses import dataclass

from skdpipe.config.estimator import Estimator
from skdpipe.config.values import STRICT, Frames, People, Pixels, Probability, Processes


@dataclass(frozen=True, config=STRICT)
class Actors:
    """Rendered images of procedural people, for training a pose network.

    Attributes:
        images: number of images.
        size: width and height of an image in pixels.
        subjects: number of different people; clothes, view, light and background vary between images.
        seed: random seed of the people and scenes.
    """

    images: PositiveInt = 20000
    size: tuple[Pixels, Pixels] = (240, 180)
    subjects: PositiveInt = 400
    seed: NonNegativeInt = 1


@dataclass(frozen=True, config=STRICT)
class CocoFile:
    """A COCO keypoint data set.

    Attributes:
        annotations: path of the JSON file with keypoints.
        images: path of the folder with the images.
    """

    annotations: Path
    images: Path


@dataclass(frozen=True, config=STRICT)
class PoseTraining:
    """How `skdpipe train-pose` trains an OpenPifPaf network: AdamW with a cosine schedule.

    Attributes:
        backbone: OpenPifPaf's name of the network.
        long_edge: longer side of the network's input in pixels.
        data: rendered actors or a COCO keypoint file.
        upsample: factor by which the output fields are finer than the backbone's stride.
        steps: number of training steps.
        batch: number of images in a step.
        learning_rate: learning rate after the warm-up.
        weight_decay: weight decay of AdamW.
        warmup: number of steps of linear warm-up.
        batch_norm_momentum: weight of a batch in the running statistics of batch norm.
        bfloat16: run the network in bfloat16; losses are computed in float32.
        half_file: store the weights in half precision.
        seed: random seed of initial weights, order of images and photometric noise.
        workers: number of processes that prepare images.
    """

    backbone: str
    long_edge: Pixels
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
    workers: Processes = 2


@dataclass(frozen=True, config=STRICT)
class Extraction:
    """How videos become pose sequences of two qualities.

    Attributes:
        high: high-cost estimator, for the teacher.
        low: low-cost estimator, for baselines, student and prediction.
        people: number of people in a sequence; the most confident ones are stored.
        batch: number of frames in one call of the estimator.
    """

    high: Estimator
    low: Estimator
    people: People = 2
    batch: PositiveInt = 16


@dataclass(frozen=True, config=STRICT)
class Demonstration:
    """Data set and runs of the demonstration.

    Attributes:
        train_subjects: number of people in the rendered training videos.
        test_subjects: number of other people in the rendered test videos.
        takes: number of rendered clips of each action by each person or pair.
        simulated_train_subjects: number of further people whose skeletons are simulated for training: one
            clip of each action, with the errors of the estimators as fitted on the rendered training clips.
        simulated_test_subjects: number of further people whose skeletons are simulated for the test.
        frames: length of a clip in frames.
        size: width and height of the videos in pixels.
        fps: frames per second of the videos.
        seed: random seed of the people and scenes.
        runs: number of runs of the experiment; each has another seed, starting with that of the experiment.
        shown: number of rendered test clips that are labelled and drawn at the end.
    """

    train_subjects: Annotated[int, Field(ge=1, le=1000)] = 5
    test_subjects: Annotated[int, Field(ge=1, le=1000)] = 3
    takes: PositiveInt = 1
    simulated_train_subjects: Annotated[int, Field(ge=0, le=10_000)] = 10
    simulated_test_subjects: Annotated[int, Field(ge=0, le=10_000)] = 150
    frames: Frames = 24
    size: tuple[Pixels, Pixels] = (240, 180)
    fps: Annotated[float, Field(gt=0, le=10_000)] = 12.0
    seed: NonNegativeInt = 7
    runs: PositiveInt = 3
    shown: PositiveInt = 10
