"""The weights that come with skdpipe."""

from __future__ import annotations

from pathlib import Path


def embedded_path(name: str) -> Path:
    """Path of a file of weights: in the package, or in the source tree's ``models/``.

    Args:
        name: without the suffix ``.safetensors``.
    """
    package = Path(__file__).parent
    folders = (package / "models", package.parent / "models")
    candidates = [folder / f"{name}.safetensors" for folder in folders]
    return next((path for path in candidates if path.is_file()), candidates[-1])
