"""The errors a user can cause.

    SkdpipeError
    ├── ConfigError      a setting that does not exist or does not fit
    ├── VideoError       a file that cannot be decoded, is empty, or has no picture
    ├── PoseError        an estimator or its weights cannot be had
    ├── CacheError       a cached sequence that is damaged or does not match
    ├── DataError        sequences, labels or splits that training cannot use
    ├── FormatError      a foreign file that is not what its format promises
    └── BundleError      a trained model that does not fit the input

Each message is one line: what was found, what was expected, what to do.
"""


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
