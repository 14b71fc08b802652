"""Exported networks, kept in the user's cache of weights under the checksum of their weights."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from skdpipe.atomic_file import write_bytes_atomically
from skdpipe.errors import in_one_line

_DIGITS: Final = 16  # of the checksum of a model, in the name of its file


def user_cache() -> Path:
    """The folder of downloaded weights and exported networks, a part of that of `torch.hub`."""
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("TORCH_HOME") or Path(caches) / "torch").expanduser() / "hub" / "skdpipe"


def exported_network(key: str, export: Callable[[], bytes]) -> bytes:
    """The ONNX model of a network; it is exported if that was not done before.

    The name of a file contains the checksum of its content; a file that was altered is exported again.

    Args:
        key: a name with the checksum of the weights and the version of the export.
        export: exports the network.
    """
    folder = user_cache() / "exported"
    for path in sorted(folder.glob(f"{key}-*.onnx")):
        try:
            model = path.read_bytes()
        except OSError:
            continue
        if path.name == _name(key, model):
            return model
    model = export()
    path = folder / _name(key, model)
    try:
        write_bytes_atomically(path, model)
    except OSError as error:
        warnings.warn(
            f"{path}: cannot be written ({in_one_line(error)}); the network is exported again next time",
            stacklevel=2,
        )
    return model


def stored_exports() -> Iterator[tuple[Path, bool]]:
    """The exported networks that are kept, and whether each has the checksum in its name.

    Raises:
        OSError: if one cannot be read.
    """
    for path in sorted((user_cache() / "exported").glob(f"*-{_DIGITS * '[0-9a-f]'}.onnx")):
        key = path.stem.rpartition("-")[0]
        yield path, path.name == _name(key, path.read_bytes())


def _name(key: str, model: bytes) -> str:
    return f"{key}-{hashlib.sha256(model).hexdigest()[:_DIGITS]}.onnx"
