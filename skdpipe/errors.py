"""The errors a user can cause.

    SkdpipeError
    ├── ConfigError      a setting that does not exist or does not fit
    ├── VideoError       a file that cannot be decoded, is empty, or has no picture
    ├── PoseError        an estimator or its weights cannot be had
    ├── CacheError       a cached sequence that is damaged or does not match
    ├── DataError        sequences, labels or splits that training cannot use
    ├── FormatError      a foreign file that is not what its format promises
    ├── BundleError      a trained model that does not fit the input
    └── MissingDependencyError   an optional package that is not installed

Each message is one line: what was found, what was expected, what to do.
"""

from importlib.util import find_spec


class SkdpipeError(Exception):
    """A mistake in the input that the user can mend; the message says how."""


class ConfigError(SkdpipeError):
    """A setting that does not exist or does not fit."""


class VideoError(SkdpipeError):
    """A video that cannot be decoded, is empty, or has no picture."""


class PoseError(SkdpipeError):
    """A pose estimator or its weights cannot be had."""


class CacheError(SkdpipeError):
    """A cached sequence that is damaged or does not match."""


class DataError(SkdpipeError):
    """Sequences, labels or splits that training cannot use."""


class FormatError(SkdpipeError):
    """A foreign file that is not what its format promises."""


class BundleError(SkdpipeError):
    """A trained model that does not fit the input."""


class MissingDependencyError(SkdpipeError, ImportError):
    """An optional package that is not installed."""


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
        raise MissingDependencyError(
            f"{', '.join(missing)} not found; expected the optional packages of this command: run "
            f'`pip install "skdpipe[{extra}]"`'
        )
