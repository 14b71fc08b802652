"""From a bundle or an export to a predictor: the network, its runtime and its estimator."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from skdpipe.config import Estimator, OpenPifPafSettings, RuntimeChoice
from skdpipe.errors import BundleError, ConfigError, explaining_missing_extras
from skdpipe.inference import Predictor
from skdpipe.inference.exported import is_export, load_export
from skdpipe.inference.metadata import BundleMetadata, read_metadata
from skdpipe.inference.trained_estimator import estimator_settings, require_trained_estimator
from skdpipe.pose.decoding import SampledEstimator
from skdpipe.pose.load import load_estimator
from skdpipe.runtime import open_continual_runtime, open_runtime

if TYPE_CHECKING:
    import torch

    from skdpipe.bundle import Bundle


@explaining_missing_extras()
def load_predictor(
    bundle: str | Path | Bundle,
    *,
    device: torch.device | str = "cpu",
    estimator: Estimator | None = None,
    runtime: RuntimeChoice = "auto",
    poses_only: bool = False,
    continual: bool = False,
) -> Predictor:
    """Load a trained student and its estimator, from a bundle or from an export, which needs no PyTorch.

    A bundle never executes code: an estimator that is a plugin or a pickle must be named by the caller.

    Args:
        bundle: the student's bundle, its path, or that of an export (see `skdpipe.inference.load_export`).
        device: where the estimator and, with the runtime torch, the student run.
        estimator: settings of the estimator. By default those stored in the bundle; needed for videos if the
            student was trained on imported skeletons.
        runtime: what runs the student and, unless it is auto, the estimator's network.
        poses_only: label pose sequences only, without an estimator; of two or of three coordinates.
        continual: compute each frame of footage once, not in each window that contains it; for networks of
            the ST-GCN family and people who are labelled apart.

    Raises:
        ConfigError: if the network cannot run frame by frame, or the runtime cannot run an export.
        BundleError: if the bundle cannot be read, was trained on three coordinates, names no estimator or one
            that would execute code, or the estimator's weights have changed since the training.
        PoseError: if the estimator or its weights are not available.
        MissingDependencyError: if the runtime is not installed, or PyTorch, which a bundle needs.
    """
    where = Path(bundle) if isinstance(bundle, str | Path) else bundle
    if isinstance(where, Path) and is_export(where):
        if continual:
            raise ConfigError(
                f"continual inference with the export {where}; expected a bundle (.safetensors), which "
                "PyTorch runs frame by frame: name it, or use sliding windows"
            )
        alone = poses_only or estimator is not None
        predictor = load_export(where, runtime=runtime, poses_only=alone, device=str(device))
        if poses_only or estimator is None:
            return predictor
        found = _open_estimator(predictor.metadata, estimator, str(device), runtime)
        return Predictor(predictor.metadata, predictor.runtime, found)
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
    settings = estimator_settings(metadata, given)
    in_runtime = settings
    if runtime != "auto" and isinstance(settings, OpenPifPafSettings):
        in_runtime = replace(settings, runtime=runtime)
    estimator = load_estimator(in_runtime, device)
    require_trained_estimator(metadata, settings, estimator.fingerprint)
    return SampledEstimator(estimator, settings.every)


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
