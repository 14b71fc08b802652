"""Types of single settings, with their ranges."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import AfterValidator, ConfigDict, Field

from skdpipe.names import LONGEST_LABEL, problem_of

STRICT: Final = ConfigDict(
    extra="forbid",
    coerce_numbers_to_str=True,  # a run may be named 2024
    allow_inf_nan=False,
)


def _odd(frames: int) -> int:
    if frames % 2 == 0:
        raise ValueError("a window should be an odd number of frames")
    return frames


def _folder_name(name: str) -> str:
    if not name.strip(". ") or set(name) & set("/\\"):
        raise ValueError("should be a folder's name, not a path")
    if problem := problem_of(name, LONGEST_LABEL):
        raise ValueError(f"should be a line of at most {LONGEST_LABEL} bytes, and has {problem}")
    return name


Name = Annotated[str, Field(min_length=1)]
Frames = Annotated[int, Field(gt=0, le=10_000)]
People = Annotated[int, Field(gt=0, le=100)]
Pixels = Annotated[int, Field(gt=0, le=100_000)]
Processes = Annotated[int, Field(ge=0, le=1000)]
Window = Annotated[int, Field(gt=0, le=9_999), AfterValidator(_odd)]
Probability = Annotated[float, Field(ge=0, le=1)]
AtLeastOne = Annotated[float, Field(ge=1)]
BelowOne = Annotated[float, Field(ge=0, lt=1)]
Share = Annotated[float, Field(gt=0, le=1)]
FolderName = Annotated[str, AfterValidator(_folder_name)]
