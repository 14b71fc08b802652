"""Values whose pickle is a function call."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any


class PickledCall:
    """A plain `pickle.load` of this value calls the function."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


def create_file(path: Path) -> PickledCall:
    """A value whose execution would create the file."""
    return PickledCall(os.system, f"touch {path}")
