"""The estimators to measure: those of a config, with other long edges, sampling, runtimes and precisions."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import product
from pathlib import Path
from typing import Any

from skdpipe.config import (
    Estimator,
    Extraction,
    OpenPifPafSettings,
    PluginSettings,
    RtmlibSettings,
    parse_estimator_settings,
    to_plain,
)
from skdpipe.errors import ConfigError, in_brief


@dataclass(frozen=True)
class Variant:
    """An estimator to measure.

    Attributes:
        name: what distinguishes it, in one line.
        settings: of the estimator.
    """

    name: str
    settings: Estimator


def list_variants(
    extraction: Extraction,
    qualities: Sequence[str] = ("high", "low"),
    changes: Mapping[str, Sequence[object]] | None = None,
) -> list[Variant]:
    """The estimators of a config with every combination of the changed settings, without repetitions.

    Args:
        extraction: settings of both qualities.
        qualities: which of them.
        changes: by name of a setting (``long_edge``, ``every``, ``runtime``, ``precision``) the values to
            measure; the config's own where there are none.

    Raises:
        ConfigError: if a quality is neither high nor low, or a setting or its value is not valid.
    """
    if unknown := {*qualities} - {"high", "low"}:
        raise ConfigError(f"quality {in_brief(min(unknown))}; expected high or low")
    wanted = {name: values for name, values in (changes or {}).items() if values}
    found: list[Variant] = []
    for quality in qualities:
        settings = extraction.high if quality == "high" else extraction.low
        _require_settings(quality, settings, list(wanted))
        for changed in _combinations(settings, wanted):
            if all(each.settings != changed for each in found):
                found.append(Variant(f"{quality}: {describe_settings(changed)}", changed))
    return found


def describe_settings(settings: Estimator) -> str:
    """The settings that matter for the cost, in a few words; float32 and every frame are not mentioned."""
    words: list[str] = []
    if isinstance(settings, OpenPifPafSettings):
        words = [settings.weights, f"{settings.long_edge}px", settings.runtime]
        words += [settings.precision] if settings.precision != "float32" else []
    elif isinstance(settings, RtmlibSettings):
        words = [settings.model, Path(settings.pose).stem or settings.mode, settings.runtime]
        words += [f"detect_every {settings.detect_every}"] if settings.detect_every > 1 else []
    elif isinstance(settings, PluginSettings):
        words = [settings.plugin]
    return " ".join([*words, *([f"1/{settings.every}"] if settings.every > 1 else [])])


def _require_settings(quality: str, settings: Estimator, names: Sequence[str]) -> None:
    known = {each.name for each in fields(settings)}
    for name in names:
        if name not in known:
            raise ConfigError(
                f"the estimator of {quality} quality is of the kind {settings.kind}, which has no {name}; "
                f"leave out --{name.replace('_', '-')}, or choose the other quality with --quality"
            )


def _combinations(settings: Estimator, wanted: Mapping[str, Sequence[Any]]) -> Iterator[Estimator]:
    for values in product(*wanted.values()):
        changed = dict(zip(wanted, values, strict=True))
        where = ", ".join(f"{name} {value}" for name, value in changed.items())
        yield parse_estimator_settings({**to_plain(settings), **changed}, where) if changed else settings


def parse_budget(text: str) -> float:
    """Seconds of a budget such as ``20ms`` or ``0.02s``; a number alone is in milliseconds.

    Raises:
        ConfigError: if it is no positive duration.
    """
    number, unit = text.strip().removesuffix("s"), 1.0 if text.strip().endswith("s") else 1e-3
    if number.endswith("m") and unit == 1.0:
        number, unit = number.removesuffix("m"), 1e-3
    try:
        seconds = unit * float(number)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise ConfigError(f"--budget {text!r}; expected a duration of a frame above 0, for instance 20ms")
    return seconds
