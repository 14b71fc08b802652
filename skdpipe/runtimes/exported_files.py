"""Exported networks, kept in the user's cache of weights under the checksum of their weights."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from pathlib import Path

from skdpipe.atomic_file import write_bytes_atomically
from skdpipe.errors import in_one_line


def user_cache() -> Path:
    """The folder of downloaded weights and exported networks, a part of that of `torch.hub`."""
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("TORCH_HOME") or Path(caches) / "torch").expanduser() / "hub" / "skdpipe"


def exported_network(key: str, export: Callable[[], bytes]) -> bytes:
    """The ONNX model of a network; it is exported if that was not done before.

    Args:
        key: a name with the checksum of the weights and the version of the export.
        export: exports the network.
    """
    path = user_cache() / "exported" / f"{key}.onnx"
    try:
        return path.read_bytes()
    except OSError:
        pass
    model = export()
    try:
        write_bytes_atomically(path, model)
    except OSError as error:
        warnings.warn(
            f"{path}: cannot be written ({in_one_line(error)}); the network is exported again next time",
            stacklevel=2,
        )
    return model
