"""Which estimator processes the videos of a student."""

from __future__ import annotations

from pathlib import Path

from skdpipe.config import Estimator, OpenPifPafSettings, PluginSettings
from skdpipe.errors import BundleError, in_brief
from skdpipe.inference.metadata import BundleMetadata


def estimator_settings(metadata: BundleMetadata, given: Estimator | None = None) -> Estimator:
    """The settings of the estimator for videos.

    Args:
        metadata: of the student.
        given: what the caller named; it takes precedence over those stored with the student.

    Raises:
        BundleError: if the student was trained on three coordinates, or names no estimator or one that would
            execute code, and the caller named none.
    """
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
    return settings


def require_trained_estimator(metadata: BundleMetadata, settings: Estimator, fingerprint: str) -> None:
    """Check that an estimator with the student's settings is the one that it was trained with.

    Args:
        metadata: of the student.
        settings: of the estimator; others than the student's are not checked.
        fingerprint: of the estimator.

    Raises:
        BundleError: if its weights are others.
    """
    if settings == metadata.estimator and fingerprint != metadata.fingerprint:
        raise BundleError(
            f"the bundle was trained with '{metadata.fingerprint}', but the estimator found here is "
            f"'{fingerprint}'; install the same weights or train again"
        )


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
