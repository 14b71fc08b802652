"""Joint responses: how strongly the last features of a network respond to each joint of a person."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from skdpipe.distill.methods import BASELINE, STUDENT
from skdpipe.evaluate import NOBODY
from skdpipe.inference import batch_input
from skdpipe.report.measures import feature_frames_at, response_magnitude
from skdpipe.report.predictions import DeployedNetworks, Predictions, most_probable_classes
from skdpipe.report.run_results import LoadedRun
from skdpipe.report.test_clips import TestClips
from skdpipe.skeleton import Layout, layout_named


@dataclass(frozen=True)
class JointResponse:
    """The responses of several networks to one person of a clip.

    Attributes:
        label: the clip's class.
        source: file name of the clip's video.
        layout: of the joints.
        frames: the clip's length in the network input.
        moments: ``(moment,)``, frames of the clip.
        pose: ``(moment, joint, 2)``, the high-quality skeleton in normalised coordinates, y downwards;
            NaN where a joint is not seen.
        missing: ``(moment, joint)``, True where a joint is seen only in high quality.
        magnitude: by method ``(moment, joint)``, relative to the network's largest magnitude in this clip;
            without networks whose features have no joints.
        largest: by method this largest magnitude.
        predicted: by method the predicted class.
    """

    label: str
    source: str
    layout: Layout
    frames: int
    moments: NDArray[np.intp]
    pose: NDArray[np.float32]
    missing: NDArray[np.bool_]
    magnitude: dict[str, NDArray[np.floating]]
    largest: dict[str, float]
    predicted: dict[str, str]


def select_example_clips(predictions: Predictions, count: int) -> list[int]:
    """Indices of test clips to draw, of different classes as far as possible.

    Clips that the student classifies correctly and the baseline does not come first, then clips whose person
    has the most visible joints. Clips without a person in both qualities are left out.
    """
    correct = {method: classes == predictions.label for method, classes in predictions.predicted.items()}
    none = np.zeros(len(predictions.label), bool)
    corrected = correct.get(STUDENT.name, none) & ~correct.get(BASELINE.name, ~none)
    usable = np.flatnonzero(predictions.shared_person >= 0).tolist()
    ranked = sorted(usable, key=lambda index: (not corrected[index], -predictions.visible[index], index))
    best_of_class: dict[int, int] = {}
    for index in ranked:
        best_of_class.setdefault(int(predictions.label[index]), index)
    chosen = list(best_of_class.values())
    return [*chosen, *(index for index in ranked if index not in chosen)][:count]


def measure_response(
    run: LoadedRun, clips: TestClips, networks: DeployedNetworks, index: int, person: int, moments: int
) -> JointResponse:
    """The response of each compared network to one person of a test clip.

    Args:
        run: the run of the networks.
        clips: its test clips.
        networks: its networks.
        index: of the test clip.
        person: index of the person.
        moments: number of frames at which the response is measured, evenly spaced.
    """
    pair, clip = clips[index], replace(run.experiment.clip, stream="joint")
    high, low = (batch_input([sequence], clip)[0][0, person] for sequence in (pair.high, pair.low))
    at = ((np.arange(moments) + 0.5) * clip.frames / moments).astype(np.intp)
    magnitude, largest, predicted = {}, {}, {}
    for each in run.compared:
        inputs = batch_input([pair.of_quality(each.method.quality)], each.bundle.metadata.clip)
        logits, features = networks.infer(each.name, inputs)
        if features.shape[-1] != high.shape[-1]:  # DD-Net's features have no joints
            continue
        absolute = response_magnitude(features[0, person])
        largest[each.name] = float(absolute.max())
        relative = absolute / max(largest[each.name], 1e-30)
        magnitude[each.name] = feature_frames_at(relative, at, clip.frames)
        (index_of_class,) = most_probable_classes(logits, np.any(inputs[1], axis=1))
        predicted[each.name] = "no person" if index_of_class == NOBODY else run.classes[index_of_class]
    seen = high[-1, at] > 0
    pose = high[:2, at].transpose(1, 2, 0)
    if pair.high.coordinates == 3:  # seen from the sensor, whose y points up
        pose = pose * np.array([1, -1], np.float32)
    return JointResponse(
        label=clips.clips[index].label,
        source=Path(clips.clips[index].source).name,
        layout=layout_named(clip.layout),
        frames=clip.frames,
        moments=at,
        pose=np.where(seen[..., None], pose, np.nan),
        missing=seen & ~(low[-1, at] > 0),
        magnitude=magnitude,
        largest=largest,
        predicted=predicted,
    )
