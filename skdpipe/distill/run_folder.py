"""Whose a run's folder is: its config.yaml says what the run is, and no other goes on in it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from skdpipe.atomic_file import write_text_atomically
from skdpipe.config import Experiment, parse_config, to_plain
from skdpipe.dataset import Manifest
from skdpipe.errors import ConfigError, DataError


def describe(manifest: Manifest, teacher: Path | None, initial: Path | None) -> dict[str, Any]:
    """What a run is made from besides its settings; files by the beginning of their SHA-256."""
    return {
        "classes": list(manifest.classes),
        "high": manifest.high,
        "low": manifest.low,
        "training_clips": len(manifest.part(train=True)),
        "test_clips": len(manifest.part(train=False)),
        "clips": manifest.digest,
        **{
            name: hashlib.sha256(path.read_bytes()).hexdigest()[:16] if path else None
            for name, path in (("teacher", teacher), ("initial", initial))
        },
    }


def claim(folder: Path, here: Mapping[str, Any]) -> None:
    """Write what the run is, or make sure that it is what was trained here before.

    Args:
        folder: of the run.
        here: its settings and what `describe` says, plain values all.

    Raises:
        DataError: if the folder holds another run.
    """
    config = folder / "config.yaml"
    if config.is_file() and any(path.suffix in {".safetensors", ".state"} for path in folder.iterdir()):
        there = _with_newer_settings(yaml.safe_load(config.read_text(encoding="utf-8")), config)
        for key, found, wanted in _differences(there, here):
            if key != "experiment.methods":  # the others may be trained later
                raise DataError(
                    f"{folder} holds a run with {key} {found}, and not {wanted}; choose another name with "
                    "--set name=NAME, or delete the folder"
                )
    else:
        write_text_atomically(config, yaml.safe_dump(here, sort_keys=False, allow_unicode=True))


def _with_newer_settings(there: object, config: Path) -> object:
    """A run of an earlier version knew no settings that were added since: they have their defaults."""
    if not (isinstance(there, dict) and isinstance(there.get("experiment"), dict)):
        return there
    try:
        experiment = parse_config(Experiment, there["experiment"], str(config))
    except ConfigError:  # a setting that is no more: it is named as a difference
        return there
    return {**there, "experiment": to_plain(experiment)}


def _differences(a: object, b: object, key: str = "") -> Iterator[tuple[str, object, object]]:
    """Where two trees of plain values differ: the key, and the value in each."""
    if isinstance(a, dict) and isinstance(b, dict):
        for name in {**a, **b}:
            yield from _differences(a.get(name), b.get(name), f"{key}.{name}".lstrip("."))
    elif a != b:
        yield key, a, b
