"""The outputs of a run's networks for its test clips."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from skdpipe.cache import Quality
from skdpipe.config import ClipFormat
from skdpipe.evaluate import NOBODY
from skdpipe.inference import batch_input
from skdpipe.networks import Network, deployed
from skdpipe.progress import Progress
from skdpipe.report.run_results import LoadedRun
from skdpipe.report.test_clips import ClipPair, TestClips

Floats = NDArray[np.float32]
NetworkInput = tuple[Floats, NDArray[np.bool_]]
"""Clips ``(clip, person, channel, frame, joint)`` and masks ``(clip, person)``, see `batch_input`."""


class DeployedNetworks:
    """The deployed networks of a run on a device."""

    def __init__(self, run: LoadedRun, device: torch.device) -> None:
        self._device = device
        self._networks: dict[str, Network] = {
            each.name: deployed(each.bundle.network.to(device)) for each in run.methods
        }

    def infer(self, method: str, inputs: NetworkInput) -> tuple[Floats, Floats]:
        """Logits ``(clip, class)`` and features ``(clip, person, channel, frame, joint)`` of one network."""
        with torch.inference_mode():
            output = self._networks[method](*(torch.from_numpy(each).to(self._device) for each in inputs))
        return output.logits.float().cpu().numpy(), output.features.float().cpu().numpy()


@dataclass(frozen=True)
class Predictions:
    """The predictions of all networks for all test clips.

    Attributes:
        label: ``(clip,)`` class indices.
        logits: by method, ``(clip, class)``.
        seen: by method, ``(clip,)``, whether anybody was detected.
        shared_person: ``(clip,)`` index of the first person that is seen in both qualities, -1 if none is.
        visible: ``(clip,)`` share of this person's joints that are seen in high quality, over all frames.
    """

    label: NDArray[np.intp]
    logits: dict[str, Floats]
    seen: dict[str, NDArray[np.bool_]]
    shared_person: NDArray[np.intp]
    visible: NDArray[np.floating]

    @cached_property
    def predicted(self) -> dict[str, NDArray[np.intp]]:
        """By method the most probable class of each clip, `NOBODY` where nobody was detected."""
        return {
            method: most_probable_classes(logits, self.seen[method]) for method, logits in self.logits.items()
        }


def most_probable_classes(logits: Floats, seen: NDArray[np.bool_]) -> NDArray[np.intp]:
    """The class of each clip ``(clip,)`` from logits ``(clip, class)``; `NOBODY` if nobody was detected."""
    return np.where(seen, logits.argmax(axis=1), NOBODY)


def predict_clips(
    run: LoadedRun, clips: TestClips, networks: DeployedNetworks, progress: Progress
) -> Predictions:
    """Run all networks on all test clips."""
    logits: dict[str, list[Floats]] = {each.name: [] for each in run.methods}
    seen: dict[str, list[NDArray[np.bool_]]] = {each.name: [] for each in run.methods}
    shared: list[int] = []
    visible: list[float] = []
    with progress.task("test clips", len(clips), unit="clips") as task:
        for indices, pairs in clips.batches(range(len(clips))):
            inputs: dict[tuple[Quality, ClipFormat], NetworkInput] = {}
            for each in run.methods:
                quality, clip = each.method.quality, each.bundle.metadata.clip
                if (quality, clip) not in inputs:
                    sequences = [pair.of_quality(quality) for pair in pairs]
                    inputs[quality, clip] = batch_input(sequences, clip)
                logits[each.name].append(networks.infer(each.name, inputs[quality, clip])[0])
                seen[each.name].append(np.any(inputs[quality, clip][1], axis=1))
            for pair in pairs:
                shared.append(_first_shared_person(pair))
                visible.append(float(pair.high.seen[:, shared[-1]].mean()))
            task.advance_to(indices[-1] + 1)
    return Predictions(
        clips.labels,
        {method: np.concatenate(parts) for method, parts in logits.items()},
        {method: np.concatenate(parts) for method, parts in seen.items()},
        np.array(shared),
        np.array(visible),
    )


def _first_shared_person(pair: ClipPair) -> int:
    in_both = pair.high.seen.any(axis=(0, 2)) & pair.low.seen.any(axis=(0, 2))
    people = np.flatnonzero(in_both).tolist()
    return next((person for person in people if person in pair.matched_people), -1)
