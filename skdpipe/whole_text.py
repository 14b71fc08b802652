"""Text files that appear whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path


def write_whole_text(path: Path, text: str) -> None:
    """Write a file in UTF-8, and its folder if need be, at once or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}-{os.getpid()}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)
