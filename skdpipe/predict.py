"""From a bundle to a predictor: the network, its runtime and its estimator."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from skdpipe.config import Estimator, OpenPifPafSettings, PluginSettings, RuntimeChoice
from skdpipe.errors import BundleError, in_brief
from skdpipe.inference import Predictor
from skdpipe.inference.metadata import BundleMetadata, read_metadata
from skdpipe.pose.decoding import SampledEstimator
from skdpipe.pose.load import load_estimator
from skdpipe.runtime import open_continual_runtime, open_runtime

if TYPE_CHECKING:
    import torch

    from skdpipe.bundle import Bundle


def load_predictor(
    bundle: str | Path | Bundle,
    *,
    device: torch.device | str = "cpu",
    estimator: Estimator | None = None,
    runtime: RuntimeChoice = "auto",
    poses_only: bool = False,
    continual: bool = False,
) -> Predictor:
    """Load a trained student and its estimator.

    A bundle never executes code: an estimator that is a plugin or a pickle must be named by the caller.

    Args:
        bundle: the student's bundle, or its path.
        device: where the estimator and, with the runtime torch, the student run.
        estimator: settings of the estimator. By default those stored in the bundle; needed for videos if the
            student was trained on imported skeletons.
        runtime: what runs the student and, unless it is auto, the estimator's network.
        poses_only: label pose sequences only, without an estimator; of two or of three coordinates.
        continual: compute each frame of footage once, not in each window that contains it; for networks of
            the ST-GCN family and people who are labelled apart.

    Raises:
        ConfigError: if the network cannot run frame by frame.
        BundleError: if the bundle cannot be read, was trained on three coordinates, names no estimator or one
            that would execute code, or the estimator's weights have changed since the training.
        PoseError: if the estimator or its weights are not available.
        MissingDependencyError: if the runtime is not installed.
    """
    where = Path(bundle) if isinstance(bundle, str | Path) else bundle
    metadata = read_metadata(where) if isinstance(where, Path) else where.metadata
    sampled = None if poses_only else _open_estimator(metadata, estimator, str(device), runtime)
    return Predictor(
        metadata,
        open_runtime(where, metadata.clip, runtime, str(device)),
        sampled,
        continual=open_continual_runtime(where, metadata.clip, str(device)) if continual else None,
    )


def _open_estimator(
    metadata: BundleMetadata, given: Estimator | None, device: str, runtime: RuntimeChoice
) -> SampledEstimator:
    if metadata.clip.coordinates == 3:
        raise BundleError(
            "the student was trained on three coordinates (x, y, z), and estimators find two in a video; "
            "distil a student on skeletons in two dimensions, with a teacher in three if you like"
        )
    settings = given or metadata.estimator
    if settings is None:
        raise BundleError(
            f"the bundle was trained on imported skeletons ({metadata.fingerprint}) and names no estimator; "
            "name the one that should process the video with --estimator FILE"
        )
    if given is None:
        _require_no_code(settings)
    in_runtime = settings
    if runtime != "auto" and isinstance(settings, OpenPifPafSettings):
        in_runtime = replace(settings, runtime=runtime)
    estimator = load_estimator(in_runtime, device)
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
