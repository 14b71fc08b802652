"""Settings of pose estimators; each family of estimators has a kind of settings of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Discriminator, PositiveInt, Tag
from pydantic.dataclasses import dataclass

from skdpipe.config.load import load_config, parse_config
from skdpipe.config.values import STRICT, Name, Pixels, Probability
from skdpipe.errors import in_brief

RuntimeChoice = Literal["auto", "torch", "onnx", "openvino"]
Precision = Literal["float32", "bfloat16", "float16"]


@dataclass(frozen=True, config=STRICT)
class Thresholds:
    """Confidence thresholds of OpenPifPaf's decoder, with OpenPifPaf's names and defaults.

    Attributes:
        seed: lowest confidence of a joint from which the decoding of a person starts.
        keypoint: lowest confidence of a joint in the result.
        instance: lowest confidence of a person in the result.
        cif: lowest confidence in the joint maps.
        caf: lowest confidence in the association maps.
        complete: output all joints of a person whatever their confidence (``--force-complete-pose``, which is
            used for OpenPifPaf's published AP); ``keypoint`` then has no effect.
    """

    seed: Probability = 0.2
    keypoint: Probability = 0.15
    instance: Probability = 0.15
    cif: Probability = 0.3
    caf: Probability = 0.3
    complete: bool = False


@dataclass(frozen=True, config=STRICT)
class OpenPifPafSettings:
    """An OpenPifPaf network, and the frames on which it runs.

    Attributes:
        kind: family of the estimator.
        backbone: OpenPifPaf's name of the network.
        weights: name of embedded or published weights (`skdpipe pose-weights` lists them), or the path of a
            file.
        long_edge: frames are scaled so that their longer side has this many pixels.
        thresholds: confidence thresholds of OpenPifPaf's decoder.
        runtime: what runs the network: torch (PyTorch), onnx (ONNX Runtime) or openvino. auto takes PyTorch
            on a GPU, and otherwise the fastest that is installed. All find the same joints, up to rounding.
        precision: number format in which the network computes. bfloat16 (openvino, torch) and float16 (torch
            on a GPU) are faster on hardware that has them, and move the joints a little.
        every: sampling step; the estimator runs on one frame in ``every``, by time if the frame rate varies.
    """

    kind: Literal["openpifpaf"] = field(default="openpifpaf", kw_only=True)
    backbone: Name
    weights: Name
    long_edge: Pixels = 321
    thresholds: Thresholds = field(default_factory=Thresholds)
    runtime: RuntimeChoice = "auto"
    precision: Precision = "float32"
    every: PositiveInt = 1


@dataclass(frozen=True, config=STRICT)
class RtmlibSettings:
    """RTMPose or RTMO by rtmlib, and the frames on which it runs.

    Attributes:
        kind: family of the estimator.
        model: rtmpose (a detector, and a network for the joints of each person) or rtmo (one network for all
            people).
        mode: which published networks are downloaded where no path is given, from the best to the fastest:
            performance, balanced or lightweight.
        body: layout of the joints; rtmo has only coco-17.
        detector: path of an ONNX file of YOLOX, for rtmpose; if empty, it is downloaded.
        pose: path of an ONNX file of the model; if empty, it is downloaded.
        detect_every: interval of detections in frames, for rtmpose. In between, people are searched for
            around their joints in the frame before. Every batch of frames starts with a detection.
        person: people whose detection has a lower score are left out.
        keypoint: joints with a lower confidence are unseen.
        runtime: what runs the networks: onnx (ONNX Runtime) or openvino. auto takes ONNX Runtime on a GPU,
            and otherwise the fastest that is installed. All find the same joints, up to rounding.
        every: sampling step; the estimator runs on one frame in ``every``, by time if the frame rate varies.
    """

    kind: Literal["rtmlib"] = field(default="rtmlib", kw_only=True)
    model: Literal["rtmpose", "rtmo"] = "rtmpose"
    mode: Literal["performance", "balanced", "lightweight"] = "balanced"
    body: Literal["coco-17", "halpe-26", "coco-wholebody-133"] = "coco-17"
    detector: str = ""
    pose: str = ""
    detect_every: PositiveInt = 1
    person: Probability = 0.3
    keypoint: Probability = 0.3
    runtime: Literal["auto", "onnx", "openvino"] = "auto"
    every: PositiveInt = 1


@dataclass(frozen=True, config=STRICT)
class PluginSettings:
    """An estimator from outside the package, and the frames on which it runs.

    Attributes:
        kind: family of the estimator.
        plugin: a callable that returns a `PoseEstimator`: ``path/to/file.py:Name``, ``package.module:Name``,
            or the name under which an installed package provides it (entry points ``skdpipe.estimators``).
        options: keyword arguments of the plugin.
        every: sampling step; the estimator runs on one frame in ``every``, by time if the frame rate varies.
    """

    kind: Literal["plugin"] = field(default="plugin", kw_only=True)
    plugin: Name
    options: dict[str, Any] = field(default_factory=dict)
    every: PositiveInt = 1


_KINDS: Final[dict[str, type]] = {
    "openpifpaf": OpenPifPafSettings,
    "rtmlib": RtmlibSettings,
    "plugin": PluginSettings,
}
_EMPTY: Final = {"backbone": "", "weights": "", "plugin": "", "options": {}}
_OPENPIFPAF_ALONE: Final = {"long_edge", "thresholds"}


def _with_kind(values: object) -> object:
    """Plain settings with their kind.

    Without a kind they are a plugin's if they name one, otherwise OpenPifPaf's. Files of earlier versions
    have the settings of both, of which those of one are empty.

    Raises:
        ValueError: if there is no such kind, or settings without a kind are of both.
    """
    if not isinstance(values, dict):
        return values
    if "kind" not in values:
        stated = {name: value for name, value in values.items() if value != _EMPTY.get(name, ...)}
        if "plugin" not in stated:
            return {"kind": "openpifpaf", **stated}
        if {"backbone", "weights"} & stated.keys():
            raise ValueError("expected OpenPifPaf's backbone and weights, or a plugin; keep one of the two")
        if "backbone" in values:
            stated = {name: value for name, value in stated.items() if name not in _OPENPIFPAF_ALONE}
        return {"kind": "plugin", **stated}
    if values["kind"] not in _KINDS:
        raise ValueError(f"expected kind {' or '.join(_KINDS)}, not {in_brief(values['kind'])}")
    return values


def _class_of(values: object) -> str:
    """The name of the class of settings, plain or not."""
    return _KINDS[values["kind"]].__name__ if isinstance(values, dict) else type(values).__name__


Estimator = Annotated[
    Annotated[OpenPifPafSettings, Tag("OpenPifPafSettings")]
    | Annotated[RtmlibSettings, Tag("RtmlibSettings")]
    | Annotated[PluginSettings, Tag("PluginSettings")],
    Discriminator(_class_of),
    BeforeValidator(_with_kind),
]
"""The settings of any estimator."""


def load_estimator_settings(path: str | Path, overrides: Sequence[str] = ()) -> Estimator:
    """Read the settings of an estimator from a file that contains nothing else; see `load_config`."""
    settings: Estimator = load_config(_ANY, path, overrides)
    return settings


def parse_estimator_settings(values: object, where: str) -> Estimator:
    """Check plain values as settings of an estimator; see `parse_config`."""
    settings: Estimator = parse_config(_ANY, values, where)
    return settings


_ANY: Final[Any] = Estimator  # a union, which is no type
