"""Labels for new videos: the cheap estimator and the student, nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from skdpipe.bundle import Bundle
from skdpipe.config import Estimator
from skdpipe.dataset import prepare
from skdpipe.errors import BundleError, DataError
from skdpipe.extract import Source, estimate
from skdpipe.networks import deployed
from skdpipe.pose import PoseEstimator
from skdpipe.pose.load import load_estimator
from skdpipe.skeleton import Origin, PoseSequence, layout_named, map_layout


@dataclass(frozen=True)
class Prediction:
    """What a clip shows.

    Attributes:
        source: the video.
        probabilities: class names with their probabilities, most probable first; empty if nobody is seen.
        people: how many people the estimator followed.
        frames: how many frames it saw.
    """

    source: str
    probabilities: tuple[tuple[str, float], ...]
    people: int
    frames: int

    @property
    def label(self) -> str | None:
        """The most probable class, None if nobody is seen."""
        return self.probabilities[0][0] if self.probabilities else None


class Predictor:
    """A bundle and its estimator, ready to label videos.

    A bundle executes nothing: an estimator that is code or a pickle must be named by the user.

    Args:
        bundle: the trained student.
        device: where both networks run.
        estimator: the bundle's own, named because it is trusted, or another: needed where the student
            was trained on imported skeletons, and at one's own risk elsewhere.

    Raises:
        BundleError: if the bundle names no estimator or one that would execute something, or the
            estimator's weights have changed since the training.
    """

    def __init__(self, bundle: Bundle, device: torch.device, estimator: Estimator | None = None) -> None:
        settings = estimator or bundle.estimator
        if settings is None:
            raise BundleError(
                f"the bundle was trained on skeletons that were imported ({bundle.fingerprint}) and names no "
                "estimator; say which one looks at the video with --estimator FILE"
            )
        if estimator is None:
            _require_harmless(settings)
        self._bundle, self._device, self._every = bundle, device, settings.every
        self._estimator: PoseEstimator = load_estimator(settings, device)
        if settings == bundle.estimator and self._estimator.fingerprint != bundle.fingerprint:
            raise BundleError(
                f"the bundle was trained with '{bundle.fingerprint}', but the estimator found here is "
                f"'{self._estimator.fingerprint}'; put the right weights in place or train again"
            )
        _check_layout(self._estimator, bundle)
        self._network = deployed(bundle.network.to(device))

    def see(self, path: Path, *, batch: int = 16) -> PoseSequence:
        """The skeletons that the estimator finds in a video.

        Raises:
            VideoError: if the video cannot be decoded.
        """
        source = Source("low", self._estimator, self._every)
        return estimate(path, [source], Origin(str(path)), self._bundle.clip.people, batch)[0]

    def predict(self, path: Path) -> Prediction:
        """Label a video.

        Raises:
            VideoError: if the video cannot be decoded.
        """
        return self.classify(self.see(path))

    def classify(self, sequence: PoseSequence) -> Prediction:
        """Label skeletons.

        Raises:
            DataError: if their layout cannot be mapped to the bundle's.
        """
        if sequence.is_empty:
            return Prediction(sequence.origin.source, (), 0, len(sequence.frame_index))
        clip, mask = prepare(sequence, self._bundle.clip)
        with torch.inference_mode():
            x = torch.from_numpy(clip)[None].to(self._device)
            logits = self._network(x, torch.from_numpy(mask)[None].to(self._device)).logits[0].float()
        probability = logits.softmax(dim=0).cpu()
        order = probability.argsort(descending=True).tolist()
        ranked = tuple((self._bundle.classes[index], float(probability[index])) for index in order)
        return Prediction(sequence.origin.source, ranked, int(mask.sum()), len(sequence.frame_index))


def _require_harmless(settings: Estimator) -> None:
    """Refuse an estimator that runs code which only the bundle names."""
    pickled = Path(settings.weights).is_file() and Path(settings.weights).suffix != ".safetensors"
    if settings.plugin or pickled:
        raise BundleError(
            f"the bundle's estimator is code outside skdpipe ({settings.plugin or settings.weights}), which "
            "a bundle may not run by itself; if you trust it, name it with --estimator FILE"
        )


def _check_layout(estimator: PoseEstimator, bundle: Bundle) -> None:
    """Map one unseen person, to find out before the first video whether the joints fit."""
    nobody = np.zeros((1, 1, len(estimator.layout), 3), np.float32)
    probe = PoseSequence(nobody, np.zeros(1, np.int32), 1, estimator.layout, 25.0, (1, 1))
    try:
        map_layout(probe, layout_named(bundle.clip.layout))
    except DataError as error:
        raise BundleError(f"the estimator's skeletons do not fit the bundle: {error}") from error


def newest_bundle(models: Path) -> Path:
    """The student that was trained last.

    Raises:
        BundleError: if there is none.
    """
    students = sorted(models.glob("*/student.safetensors"), key=lambda path: path.stat().st_mtime)
    if not students:
        raise BundleError(
            f"no trained student under {models}; run `skdpipe distill` or name one with --bundle"
        )
    return students[-1]
