"""Errors that a user can correct.

    SkdpipeError
    ├── ConfigError      an unknown setting or an invalid value
    ├── VideoError       a video that cannot be decoded or has no frames
    ├── PoseError        an estimator or its weights are not available
    ├── CacheError       a cached sequence is damaged or does not match
    │   ├── NewerVersionError   a later version of skdpipe wrote it
    │   ├── CacheReadError      the store of the cache does not answer, or denies access
    │   └── CacheWriteError     nothing can be written to the cache
    ├── DataError        sequences, labels or splits that training cannot use
    ├── FormatError      a foreign file that does not follow its format
    ├── BundleError      a trained network that does not fit the input
    ├── ProcessError     another process of the same training that failed
    └── MissingDependencyError   an optional package that is not installed

Each message is one line: what was found, what was expected, what to do.
"""

import reprlib
from collections.abc import Iterator, Sized
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import islice
from numbers import Number
from typing import Final

_OF_TRAINING: Final = frozenset({"torch", "torchvision", "openpifpaf", "sklearn", "scipy"})
"""Modules that are imported wherever they are needed, without a check: those of the extra ``train``."""


class SkdpipeError(Exception):
    """A mistake in the input that the user can correct; the message contains the way to correct it.

    Attributes:
        kind: equal for errors that differ only in the clip, of a file with several clips; otherwise empty.
    """

    kind: str = ""


class ConfigError(SkdpipeError):
    """An unknown setting or an invalid value."""


class VideoError(SkdpipeError):
    """A video that cannot be decoded or has no frames."""


class PoseError(SkdpipeError):
    """A pose estimator or its weights are not available."""


class CacheError(SkdpipeError):
    """A cached sequence is damaged or does not match."""


class NewerVersionError(CacheError):
    """A later version of skdpipe wrote the cached sequence, which is never overwritten."""


class CacheReadError(CacheError):
    """The store of the cache does not answer, or denies access: the sequence may be there and whole."""


class CacheWriteError(CacheError):
    """Nothing can be written to the cache: the disk is full, or writing is not permitted."""


class DataError(SkdpipeError):
    """Sequences, labels or splits that training cannot use."""


class FormatError(SkdpipeError):
    """A foreign file that does not follow its format."""


class BundleError(SkdpipeError):
    """A trained network that does not fit the input."""


class ProcessError(SkdpipeError):
    """Another process of the same training failed.

    Attributes:
        reported: whether that process reports the failure.
    """

    def __init__(self, message: str, *, reported: bool = False) -> None:
        super().__init__(message)
        self.reported = reported


class MissingDependencyError(SkdpipeError, ImportError):
    """An optional package that is not installed."""


def in_one_line(error: Exception) -> str:
    """Type and text of an error in one line of bounded length, also if it holds huge values."""
    is_text = not isinstance(error, KeyError) and all(isinstance(each, str | None) for each in error.args)
    text = str(error) if is_text or isinstance(error, OSError) else ", ".join(map(in_brief, error.args))
    return f"{type(error).__name__}: {' '.join(text.split()):.200}"


def in_brief(value: object, length: int = 40) -> str:
    """A value from a file for a message: bounded in length and in the effort for nested or huge values.

    Of a list or tuple the first values are shown; another container, or one in another, is only counted.
    """
    if type(value) in (list, tuple):
        items = [_atom_in_brief(each) for each in islice(value, 6)]  # type: ignore[call-overload]
        items += ["..."] * (len(value) > len(items))  # type: ignore[arg-type]
        start, end = "[]" if isinstance(value, list) else "()"
        return f"{start}{', '.join(items)}{',' * (start == '(' and len(items) == 1)}{end}"[:length]
    return _atom_in_brief(value)[:length]


def _atom_in_brief(value: object) -> str:
    if isinstance(value, str | bytes | Number | None):
        try:
            return reprlib.repr(value)
        except ValueError:  # Python does not write integers of thousands of digits
            return f"a huge {type(value).__name__}"
    if isinstance(value, Sized) and hasattr(type(value), "__iter__"):
        try:
            return f"{type(value).__name__} of {len(value)}"
        except TypeError:  # an array without axes
            pass
    return type(value).__name__


def require_extra(extra: str, *modules: str) -> None:
    """Check that the modules that an extra of skdpipe installs are there, without importing them.

    Args:
        extra: name of the extra in ``pip install "skdpipe[extra]"``.
        modules: top-level names as they are imported.

    Raises:
        MissingDependencyError: if one of the modules is not installed.
    """
    missing = [module for module in modules if find_spec(module) is None]
    if missing:
        raise _missing(extra, ", ".join(missing))


@contextmanager
def explaining_missing_extras() -> Iterator[None]:
    """Turn the import of a module of the extra ``train`` that is not installed into an error with a remedy.

    Raises:
        MissingDependencyError: if such a module is imported.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        if module not in _OF_TRAINING:
            raise
        raise _missing("train", module) from error


def _missing(extra: str, modules: str) -> MissingDependencyError:
    return MissingDependencyError(
        f"{modules} not found; expected the optional packages of this command: run "
        f'`pip install "skdpipe[{extra}]"`'
    )
