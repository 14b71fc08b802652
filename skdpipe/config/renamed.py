"""Settings that were renamed: files and bundles with the old names can still be read."""

from __future__ import annotations

from typing import Any, Final

from skdpipe.errors import ConfigError

_NAMES: Final = {
    "fresh_views": "resample_degradation",
    "kept_megabytes": "teacher_cache_megabytes",
    "jitter_elsewhere": "jitter_default",
    "misses_elsewhere": "misses_default",
    "pictures": "images",
}
_VALUES: Final = {
    ("scale", "picture"): "image",
    ("revision", True): "per_loss",
    ("revision", False): "none",
    ("mixed_precision", True): "fp16",
    ("mixed_precision", False): "none",
}
_OF_PLUGIN: Final = "options"  # keyword arguments of a plugin


def with_current_names(values: dict[str, Any], where: str) -> tuple[dict[str, Any], list[str]]:
    """Settings with the current names and values; a plugin's options are left as they are.

    Args:
        values: nested plain values, as in YAML.
        where: start of an error message and of the lines that are returned.

    Returns:
        The settings, and a line for each rename that was applied.

    Raises:
        ConfigError: if a setting is given under its old and its new name.
    """
    current: dict[str, Any] = {}
    renames: list[str] = []
    for old, value in values.items():
        name = _NAMES.get(old, old)
        if name in current:
            raise ConfigError(f"{where}: {old} and {name} are the same setting; keep {name} only")
        if name != old:
            renames.append(f"{where}: the setting {old} is now called {name}")
        if isinstance(value, dict) and name != _OF_PLUGIN:
            value, inner = with_current_names(value, where)
            renames += inner
        elif isinstance(value, str | bool) and (name, value) in _VALUES:
            new = _VALUES[name, value]
            renames.append(f"{where}: {name}: {str(value).lower()} is now written {name}: {new}")
            value = new
        current[name] = value
    return current, renames
