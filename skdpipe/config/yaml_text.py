"""YAML text read into plain values: mappings, lists, text, numbers, booleans and null, within bounds."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Final

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode

from skdpipe.errors import ConfigError, in_brief, in_one_line
from skdpipe.regular_file import read_regular

_MOST_BYTES: Final = 1_000_000
_MOST_VALUES: Final = 100_000  # with those of aliases as often as they are used
_MOST_LEVELS: Final = 50
_LARGEST_INTEGER: Final = 2**63
_PLAIN: Final = ("null", "bool", "int", "float", "str", "seq", "map")
_TAG: Final = "tag:yaml.org,2002:"
_MERGE: Final = f"{_TAG}merge"


def read_yaml(path: Path) -> Any:
    """The plain values of a YAML file.

    Raises:
        ConfigError: if the file cannot be read, or as `parse_yaml`.
    """
    try:
        text = read_regular(path, _MOST_BYTES).decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(f"no config file at {path!s:.200} ({error.strerror}); expected YAML") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not YAML: {error}") from error
    return parse_yaml(text, str(path))


def parse_yaml(text: str, where: str) -> Any:
    """The plain values that YAML text stands for; dates are text.

    Raises:
        ConfigError: if the text is not one document of YAML, a key is there twice or is not text or an
            integer, an anchor contains itself, or the text exceeds a bound: 1 MB, 50 levels, and 100,000
            values with those of aliases as often as they are used.
    """
    if len(text) > _MOST_BYTES:
        raise ConfigError(f"{where} has more than {_MOST_BYTES // 1_000_000} MB of YAML; expected settings")
    try:
        loader = _PlainLoader(text)
        try:
            return loader.get_single_data()
        finally:
            loader.dispose()
    except Exception as error:  # beside YAMLError, its constructors raise errors of many kinds for wrong tags
        raise ConfigError(f"{where} is not YAML: {_in_one_line(error):.300}") from error


class _PlainLoader(yaml.SafeLoader):
    """PyYAML's safe loader within the bounds of `parse_yaml`, without dates, binary data and sets."""

    def construct_yaml_int(self, node: ScalarNode) -> int:
        if len(node.value) > 100 or abs(value := int(super().construct_yaml_int(node))) >= _LARGEST_INTEGER:
            raise _problem(f"the integer {in_brief(node.value)}; expected one of 64 bits", node.start_mark)
        return value

    yaml_constructors: ClassVar[dict[str | None, Any]] = {
        **{tag: yaml.SafeLoader.yaml_constructors[tag] for tag in (None, *(_TAG + name for name in _PLAIN))},
        f"{_TAG}int": construct_yaml_int,
    }
    yaml_implicit_resolvers = {  # noqa: RUF012
        first: [(tag, pattern) for tag, pattern in resolvers if tag != f"{_TAG}timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._count = self._level = 0
        self._size_of: dict[int, int] = {}  # of each node with all that it contains, by its id

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        is_alias = self.check_event(yaml.AliasEvent)
        before = self._count
        mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
        self._level += 1
        if self._level > _MOST_LEVELS:
            raise _problem(f"more than {_MOST_LEVELS} levels", mark)
        node = super().compose_node(parent, index)
        self._level -= 1
        if is_alias and id(node) not in self._size_of:
            raise _problem("an anchor that contains itself", mark)
        self._count += self._size_of[id(node)] if is_alias else 1
        if self._count > _MOST_VALUES:
            raise _problem(f"more than {_MOST_VALUES} values", mark)
        self._size_of.setdefault(id(node), self._count - before)
        if isinstance(node, ScalarNode):
            _require_whole_text(node)
        return node

    def compose_mapping_node(self, anchor: Any) -> MappingNode:
        node = super().compose_mapping_node(anchor)
        keys = set[tuple[str, str]]()
        for key, _ in node.value:
            if not isinstance(key, ScalarNode) or key.tag not in {f"{_TAG}str", f"{_TAG}int", _MERGE}:
                found = in_brief(key.value) if isinstance(key, ScalarNode) else f"a {key.id}"
                raise _problem(f"the key {found}; expected text: put it in quotes", key.start_mark)
            if (key.tag, key.value) in keys:
                raise _problem(f"the key {in_brief(key.value)} twice; keep one", key.start_mark)
            keys.add((key.tag, key.value))
        return node


def _in_one_line(error: Exception) -> str:
    if not isinstance(error, yaml.YAMLError):
        return in_one_line(error)
    return " ".join(str(error).split()).replace('in "<unicode string>", ', "in ")


def _require_whole_text(node: ScalarNode) -> None:
    try:
        node.value.encode()
    except UnicodeEncodeError:
        raise _problem("half a character (a lone surrogate) in a text", node.start_mark) from None
    if "\0" in node.value:
        raise _problem("a NUL character in a text", node.start_mark)


def _problem(found: str, mark: yaml.Mark) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=f"found {found}", problem_mark=mark)
