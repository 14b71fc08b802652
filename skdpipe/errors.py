"""Errors that a user can correct.

    SkdpipeError
    ├── ConfigError      an unknown setting or an invalid value
    ├── VideoError       a video that cannot be decoded or has no frames
    ├── PoseError        an estimator or its weights are not available
    ├── CacheError       a cached sequence is damaged or does not match
    ├── DataError        sequences, labels or splits that training cannot use
    ├── FormatError      a foreign file that does not follow its format
    └── BundleError      a trained network that does not fit the input

Each message is one line: what was found, what was expected, what to do.
"""


class SkdpipeError(Exception):
    """A mistake in the input that the user can correct; the message contains the way to correct it."""


class ConfigError(SkdpipeError):
    """An unknown setting or an invalid value."""


class VideoError(SkdpipeError):
    """A video that cannot be decoded or has no frames."""


class PoseError(SkdpipeError):
    """A pose estimator or its weights are not available."""


class CacheError(SkdpipeError):
    """A cached sequence is damaged or does not match."""


class DataError(SkdpipeError):
    """Sequences, labels or splits that training cannot use."""


class FormatError(SkdpipeError):
    """A foreign file that does not follow its format."""


class BundleError(SkdpipeError):
    """A trained network that does not fit the input."""
