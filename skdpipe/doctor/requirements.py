"""What skdpipe requires, from the metadata of the installed package, and what of it is installed."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, metadata, version
from typing import Final

from packaging.requirements import InvalidRequirement, Requirement
from packaging.version import InvalidVersion

_EVERYTHING: Final = "all"  # the extra that contains the others

OPENCV: Final = (
    "opencv-python",
    "opencv-contrib-python",
    "opencv-python-headless",
    "opencv-contrib-python-headless",
)
"""Packages that contain the same files; one of them is enough."""


def is_installed() -> bool:
    """Whether skdpipe has been installed; if not, it runs from a source tree, and requires nothing."""
    return installed("skdpipe") is not None


def requires_python() -> str:
    """The range of Python versions, empty if skdpipe has not been installed."""
    stated = metadata("skdpipe").get_all("Requires-Python") or [] if is_installed() else []
    return stated[0] if stated else ""


def extras() -> tuple[str, ...]:
    """The names of the extras, without that of all of them."""
    names = metadata("skdpipe").get_all("Provides-Extra") or [] if is_installed() else []
    return tuple(sorted(set(names) - {_EVERYTHING}))


def required(extra: str = "") -> list[Requirement]:
    """What skdpipe requires, or what an extra requires in addition."""
    texts = metadata("skdpipe").get_all("Requires-Dist") or [] if is_installed() else []
    found = [Requirement(text) for text in texts]
    basic = [each for each in found if each.marker is None or each.marker.evaluate({"extra": ""})]
    if not extra:
        return basic
    return [
        each
        for each in found
        if each not in basic
        and each.name != "skdpipe"
        and each.marker
        and each.marker.evaluate({"extra": extra})
    ]


def installed(package: str) -> str | None:
    """The version of an installed package; None if it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def is_missing(requirement: Requirement) -> bool:
    """Whether a package is not installed, nor one with the same files."""
    names = OPENCV if requirement.name in OPENCV else (requirement.name,)
    return all(installed(each) is None for each in names)


def misfit(requirement: Requirement) -> str:
    """The version of an installed package that is outside of the required range, otherwise an empty text."""
    found = installed(requirement.name)
    if found is None:
        return ""
    try:
        fits = requirement.specifier.contains(found, prereleases=True)
    except (InvalidVersion, InvalidRequirement):
        fits = False
    return "" if fits else f"{requirement.name} {found}, expected {requirement.specifier}"


def install_command(package: str) -> str:
    """How to install a package in the required version: as a part of an extra, or by itself."""
    for extra in extras():
        if any(each.name == package for each in required(extra)):
            return f'pip install "skdpipe[{extra}]"'
    for each in required():
        if each.name == package:
            return f'pip install "{each.name}{each.specifier}"'
    return f"pip install {package}"
