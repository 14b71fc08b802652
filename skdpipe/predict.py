"""From a bundle to a predictor: the network, its runtime and its estimator."""

from __future__ import annotations

from pathlib import Path

import torch

from skdpipe.bundle import Bundle, load_bundle
from skdpipe.config import Estimator, OpenPifPafSettings, PluginSettings
from skdpipe.errors import BundleError, in_brief
from skdpipe.inference import Predictor
from skdpipe.inference.metadata import BundleMetadata
from skdpipe.pose.estimate import SampledEstimator
from skdpipe.pose.load import load_estimator
from skdpipe.runtime import RuntimeChoice, open_runtime
from skdpipe.skeleton import layout_named


def load_predictor(
    bundle: str | Path | Bundle,
    *,
    device: torch.device | str = "cpu",
    estimator: Estimator | None = None,
    runtime: RuntimeChoice = "auto",
) -> Predictor:
    """Load a trained student and its estimator.

    A bundle never executes code: an estimator that is a plugin or a pickle must be named by the caller.

    Args:
        bundle: the student's bundle, or its path.
        device: where the estimator and, with the runtime torch, the student run.
        estimator: settings of the estimator. By default those stored in the bundle; needed if the student was
            trained on imported skeletons.
        runtime: what runs the student.

    Raises:
        BundleError: if the bundle cannot be read, was trained on three coordinates, names no estimator or one
            that would execute code, or the estimator's weights have changed since the training.
        PoseError: if the estimator or its weights are not available.
        MissingDependencyError: if the runtime is not installed.
    """
    device = torch.device(device)
    loaded = bundle if isinstance(bundle, Bundle) else load_bundle(Path(bundle))
    metadata = loaded.metadata
    clip = metadata.clip
    if clip.coordinates == 3:
        raise BundleError(
            "the student was trained on three coordinates (x, y, z), and estimators find two in a video; "
            "distil a student on skeletons in two dimensions, with a teacher in three if you like"
        )
    shape = (1, clip.people, clip.channels, clip.frames, len(layout_named(clip.layout)))
    sampled = _open_estimator(metadata, estimator, device)
    return Predictor(metadata, open_runtime(loaded.network, shape, runtime, device), sampled)


def _open_estimator(
    metadata: BundleMetadata, given: Estimator | None, device: torch.device
) -> SampledEstimator:
    settings = given or metadata.estimator
    if settings is None:
        raise BundleError(
            f"the bundle was trained on imported skeletons ({metadata.fingerprint}) and names no estimator; "
            "name the one that should process the video with --estimator FILE"
        )
    if given is None:
        _require_no_code(settings)
    estimator = load_estimator(settings, device)
    if settings == metadata.estimator and estimator.fingerprint != metadata.fingerprint:
        raise BundleError(
            f"the bundle was trained with '{metadata.fingerprint}', but the estimator found here is "
            f"'{estimator.fingerprint}'; install the same weights or train again"
        )
    return SampledEstimator(estimator, settings.every)


def _require_no_code(settings: Estimator) -> None:
    """Refuse an estimator that runs code and is named by the bundle alone."""
    match settings:
        case PluginSettings(plugin=code):
            pass
        case OpenPifPafSettings(weights=code) if Path(code).is_file() and Path(code).suffix != ".safetensors":
            pass
        case _:
            return
    raise BundleError(
        f"the bundle's estimator is code outside skdpipe ({in_brief(code, 200)}), which is never run on the "
        "word of a bundle; if you trust it, name it with --estimator FILE"
    )


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
