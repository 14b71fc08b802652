"""Config files: those that come with skdpipe have names, others are given by their path."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from skdpipe.errors import ConfigError
from skdpipe.regular_file import is_regular


@dataclass(frozen=True)
class ConfigFile:
    """A config that comes with skdpipe.

    Attributes:
        name: its name, for ``--config``.
        path: its file.
        summary: the first sentence of the comment at the start of the file.
    """

    name: str
    path: Path
    summary: str


def config_path(name: str) -> Path:
    """The path of a config, given as a path or as the name of one that comes with skdpipe.

    >>> config_path("demo").name
    'demo.yaml'

    Raises:
        ConfigError: if there is neither a file nor a config of that name.
    """
    path = Path(name)
    is_file = is_regular(path)
    if path.suffix in {".yaml", ".yml"} or is_file:
        if not is_file:
            raise ConfigError(f"no config file at {name:.200}; expected YAML")
        return path
    named = named_configs()
    if name not in named:
        raise ConfigError(f"no config named '{name:.100}'; expected a YAML file or one of {', '.join(named)}")
    return named[name]


def named_configs() -> dict[str, Path]:
    """The configs that come with skdpipe, by name."""
    package = Path(__file__).parents[1]
    installed = package / "configs"
    folder = installed if installed.is_dir() else package.parent / "configs"  # in the source tree
    return {file.stem: file for file in sorted(folder.glob("*.yaml"), key=lambda file: file.stem)}


def list_configs() -> list[ConfigFile]:
    """The configs that come with skdpipe, sorted by name.

    >>> "demo" in [config.name for config in list_configs()]
    True
    """
    return [ConfigFile(name, path, _first_sentence(path)) for name, path in named_configs().items()]


def _first_sentence(path: Path) -> str:
    lines = path.read_text(encoding="utf-8").splitlines()
    comment = " ".join(line.strip("# ") for line in takewhile(lambda line: line.startswith("#"), lines))
    return comment.partition(". ")[0].removesuffix(".")
