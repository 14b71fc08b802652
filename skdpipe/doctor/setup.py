"""What is diagnosed: the config, the videos and the cache that are to be used, and how thoroughly."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from skdpipe.errors import ConfigError
from skdpipe.finding import Finding

if TYPE_CHECKING:
    from skdpipe.config import Experiment, Extraction

T = TypeVar("T")

_SECTIONS: Final = ("extraction", "experiment")


@dataclass(frozen=True)
class Setup:
    """What a user is about to do.

    Attributes:
        config: name or path of the config.
        overrides: of its settings, ``section.key.path=value``, where the section is extraction or experiment.
        videos: videos, folders or CSV files, as for `skdpipe extract`.
        cache: folder of the pose cache.
        thorough: whether every cached sequence is read, instead of a sample.
        online: whether the addresses of missing weights are tried.
        encoding: of the terminal.
    """

    config: str = "published"
    overrides: tuple[str, ...] = ()
    videos: tuple[Path, ...] = ()
    cache: Path = Path("pose_cache")
    thorough: bool = False
    online: bool = False
    encoding: str = "utf-8"

    def extraction(self) -> Extraction | None:
        """The settings of extraction; None if the config has none.

        Raises:
            ConfigError: as `load_config`.
        """
        from skdpipe.config import Extraction

        return self._section(Extraction, "extraction")

    def experiment(self) -> Experiment | None:
        """The settings of the experiment; None if the config has none.

        Raises:
            ConfigError: as `load_config`.
        """
        from skdpipe.config import Experiment

        return self._section(Experiment, "experiment")

    def _section(self, kind: type[T], section: str) -> T | None:
        from skdpipe.config import config_path, load_config
        from skdpipe.config.yaml_text import read_yaml

        path = config_path(self.config)
        values = read_yaml(path)
        if isinstance(values, dict) and section not in values:
            return None
        return load_config(kind, path, self._overrides_of(section), section=section)

    def _overrides_of(self, section: str) -> list[str]:
        for each in self.overrides:
            if not each.startswith(tuple(f"{name}." for name in _SECTIONS)):
                raise ConfigError(
                    f"cannot read the setting '{each:.100}'; expected extraction.KEY=VALUE or "
                    "experiment.KEY=VALUE"
                )
        start = f"{section}."
        return [each.removeprefix(start) for each in self.overrides if each.startswith(start)]


Check = Callable[[Setup], Iterator[Finding | None]]
"""One check, or some of one kind. None among its findings means that it is still at work."""
