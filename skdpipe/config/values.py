"""Types of single settings, with their ranges."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import AfterValidator, ConfigDict, Field

STRICT: Final = ConfigDict(extra="forbid", coerce_numbers_to_str=True)  # a run may be named 2024


def _odd(frames: int) -> int:
    if frames % 2 == 0:
        raise ValueError("a window should be an odd number of frames")
    return frames


def _folder_name(name: str) -> str:
    if not name.strip(". ") or set(name) & set("/\\"):
        raise ValueError("should be a folder's name, not a path")
    return name


Window = Annotated[int, Field(gt=0, le=9_999), AfterValidator(_odd)]
Probability = Annotated[float, Field(ge=0, le=1)]
AtLeastOne = Annotated[float, Field(ge=1)]
BelowOne = Annotated[float, Field(ge=0, lt=1)]
Share = Annotated[float, Field(gt=0, le=1)]
FolderName = Annotated[str, AfterValidator(_folder_name)]
