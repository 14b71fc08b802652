"""All formats by name.

sequences = format_named("pyskl").read(path, path, FormatOptions(split="xsub"))
"""

from __future__ import annotations

from typing import Final

from skdpipe.errors import ConfigError
from skdpipe.formats import (
    cache_files,
    coco,
    kinetics,
    ntu,
    nw_ucla,
    openpifpaf,
    openpose,
    penn,
    pyskl,
    skd,
    st_gcn,
    utd_mhad,
)
from skdpipe.formats.format import Format, Target

FORMATS: Final = (
    cache_files.FORMAT,
    penn.FORMAT,
    ntu.FORMAT,
    kinetics.FORMAT,
    openpose.FORMAT,
    pyskl.FORMAT,
    openpifpaf.FORMAT,
    coco.FORMAT,
    st_gcn.FORMAT,
    skd.FORMAT,
    nw_ucla.FORMAT,
    utd_mhad.FORMAT,
)
TARGETS: Final = (
    cache_files.TARGET,
    pyskl.TARGET,
    st_gcn.TARGET,
    openpifpaf.TARGET,
    coco.TARGET,
    openpose.TARGET,
    kinetics.TARGET,
)


def format_named(name: str) -> Format:
    """The format of that name.

    Raises:
        ConfigError: if there is none.
    """
    found = next((each for each in FORMATS if each.name == name), None)
    if found is None:
        raise ConfigError(f"no format '{name}'; expected one of {', '.join(each.name for each in FORMATS)}")
    return found


def target_named(name: str) -> Target:
    """The writable format of that name.

    Raises:
        ConfigError: if there is none.
    """
    found = next((each for each in TARGETS if each.name == name), None)
    if found is None:
        known = ", ".join(each.name for each in TARGETS)
        raise ConfigError(f"cannot write the format '{name}'; expected one of {known}")
    return found
