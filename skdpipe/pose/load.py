"""Pose estimators from settings: OpenPifPaf, rtmlib, or a plugin from outside the package."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from skdpipe.config import Estimator, PluginSettings, RtmlibSettings
from skdpipe.errors import PoseError, SkdpipeError, in_brief, in_one_line
from skdpipe.pose import PoseEstimator
from skdpipe.runtimes import available_threads
from skdpipe.skeleton import describe_layout

if TYPE_CHECKING:
    import torch

_ENTRY_POINTS: Final = "skdpipe.estimators"


def load_estimator(
    settings: Estimator, device: torch.device | str = "cpu", *, threads: int | None = None
) -> PoseEstimator:
    """Load the estimator that the settings describe.

    Args:
        settings: of the estimator.
        device: device of a network in PyTorch; plugins choose their own.
        threads: number of threads of a network in another runtime; by default one for each core.

    Raises:
        PoseError: if code or weights cannot be loaded.
        MissingDependencyError: if the runtime is not installed.
        ConfigError: if the runtime does not have the precision.
    """
    if isinstance(settings, PluginSettings):
        return _load_plugin(settings.plugin, settings.options)
    if isinstance(settings, RtmlibSettings):
        from skdpipe.pose.rtmlib import Rtmlib

        return Rtmlib(settings, str(device), threads=threads)
    from skdpipe.pose.openpifpaf import OpenPifPaf, open_network

    network = open_network(settings, str(device), threads or available_threads())
    return OpenPifPaf(network, long_edge=settings.long_edge, thresholds=settings.thresholds)


def installed_plugins() -> list[str]:
    """The names of the estimators that installed packages provide."""
    return sorted(importlib.metadata.entry_points(group=_ENTRY_POINTS).names)


def _load_plugin(target: str, options: dict[str, Any]) -> PoseEstimator:
    """Import ``path/to/file.py:Name``, ``package.module:Name`` or an entry point, and call it."""
    location, _, name = target.rpartition(":")
    try:
        if target in installed_plugins():
            (entry_point,) = importlib.metadata.entry_points(group=_ENTRY_POINTS, name=target)
            factory = entry_point.load()
        elif location.endswith(".py"):
            path = plugin_file(location)
            spec = importlib.util.spec_from_file_location(f"skdpipe_plugin_{path.stem}", path)
            assert spec is not None
            assert spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            sys.modules[spec.name] = module  # required by dataclasses
            spec.loader.exec_module(module)
            factory = getattr(module, name)
        else:
            factory = getattr(importlib.import_module(location), name)
    except Exception as error:  # the code of a plugin can raise any exception
        raise PoseError(
            f"cannot load the estimator plugin '{target}' ({in_one_line(error)}); expected "
            "path/to/file.py:Name, package.module:Name, or the name of an installed plugin (found "
            f"{', '.join(installed_plugins()) or 'none'})"
        ) from error
    try:
        estimator = factory(**options)
    except SkdpipeError:
        raise
    except Exception as error:
        raise PoseError(
            f"plugin '{target}' cannot be called with options {in_brief(options, 200)} ({in_one_line(error)})"
        ) from error
    try:
        if not isinstance(estimator, PoseEstimator):
            raise PoseError(
                f"plugin '{target}' returned no pose estimator; it must have layout, fingerprint and a call"
            )
        if not isinstance(estimator.fingerprint, str) or not estimator.fingerprint.strip():
            raise PoseError(
                f"plugin '{target}' has the fingerprint {in_brief(estimator.fingerprint)}; expected a text"
            )
        describe_layout(estimator.layout)
    except SkdpipeError:
        raise
    except Exception as error:
        raise PoseError(
            f"plugin '{target}' has an unusable layout or fingerprint ({in_one_line(error)})"
        ) from error
    return estimator


def plugin_file(where: str) -> Path:
    """The file of a plugin: in the working directory, or one of the examples that come with skdpipe."""
    package = Path(__file__).parents[1]
    candidates = (Path(where), package / where, package.parent / where)
    return next((path for path in candidates if path.is_file()), candidates[0])
