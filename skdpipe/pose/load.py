"""From settings to a pose estimator: OpenPifPaf, or whatever a config names from outside the package."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from typing import Any

import torch

from skdpipe.config import Estimator
from skdpipe.errors import PoseError
from skdpipe.pose import PoseEstimator
from skdpipe.skeleton import LAYOUTS


def load_estimator(settings: Estimator, device: torch.device) -> PoseEstimator:
    """The estimator that the settings name.

    Raises:
        PoseError: if its code or its weights cannot be had.
    """
    if settings.plugin and (settings.backbone or settings.weights):
        raise PoseError(
            f"the estimator's settings name the plugin '{settings.plugin}' and OpenPifPaf's backbone or "
            "weights; give one of the two"
        )
    if settings.plugin:
        return _plugin(settings.plugin, settings.options)
    if not settings.backbone or not settings.weights:
        raise PoseError(
            "the estimator's settings name neither backbone and weights nor a plugin; give one of them"
        )
    from skdpipe.pose.pifpaf import OpenPifPaf, load_weights

    return OpenPifPaf(
        load_weights(settings.backbone, settings.weights),
        long_edge=settings.long_edge,
        thresholds=settings.thresholds,
        device=device,
    )


def _plugin(target: str, options: dict[str, Any]) -> PoseEstimator:
    """Import ``path/to/file.py:Name`` or ``package.module:Name`` and call it."""
    where, _, name = target.rpartition(":")
    try:
        if where.endswith(".py"):
            path = _plugin_file(where)
            spec = importlib.util.spec_from_file_location(f"skdpipe_plugin_{path.stem}", path)
            assert spec is not None
            assert spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            sys.modules[spec.name] = module  # dataclasses look themselves up there
            spec.loader.exec_module(module)
        else:
            module = importlib.import_module(where)
        factory = getattr(module, name)
    except Exception as error:  # a plugin's code can fail in any way
        raise PoseError(
            f"cannot load the estimator plugin '{target}' ({type(error).__name__}: {error}); expected "
            "path/to/file.py:Name or package.module:Name"
        ) from error
    try:
        estimator = factory(**options)
    except (TypeError, ValueError) as error:
        raise PoseError(f"plugin '{target}' cannot be called with options {options} ({error})") from error
    if not isinstance(estimator, PoseEstimator):
        raise PoseError(f"plugin '{target}' gives no pose estimator; it needs layout, fingerprint and a call")
    if estimator.layout.name not in LAYOUTS:
        raise PoseError(
            f"plugin '{target}' has the layout {estimator.layout.name}; expected one of {', '.join(LAYOUTS)}"
        )
    return estimator


def _plugin_file(where: str) -> Path:
    """The file of a plugin: relative to the working directory, or one of the examples that come with skdpipe."""
    package = Path(__file__).parents[1]
    candidates = (Path(where), package / where, package.parent / where)
    return next((path for path in candidates if path.is_file()), candidates[0])
