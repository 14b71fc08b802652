"""Mutations of bytes and of nested values; every choice is made by the given random generator."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final

import numpy as np

MEGABYTES: Final = "x" * 10_000_000


@dataclass(frozen=True)
class Verbatim:
    """Text for a file of text (JSON, YAML) that no writer would write, such as a number of 5,000 digits."""

    text: str


STRINGS: Final = (
    "",
    " ",
    "nan",
    "-1",
    "1e999",
    "\ud800",
    "\0",
    "\x1b]0;title\x07\x1b[31mred",
    "\u202egnp.exe",
    "\x9b2J",
    "two\nlines\r",
    "<script>alert(1)</script>",
    "[red]x[/red]",
    "../../escaped",
    "/dev/zero",
    "a" * 300,
)
NUMBERS: Final = (
    -1,
    0,
    1,
    7,
    255,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**63 - 1,
    2**64,
    3_000_000,
    9_999_999,
    10**12,
    -(10**12),
    0.5,
    -0.5,
    1e-320,
    1e6,
    1e30,
    -1e30,
    1e300,
    float("nan"),
    float("inf"),
    float("-inf"),
)
_VERBATIM: Final = (
    Verbatim("1" + 5000 * "0"),
    Verbatim("1e400"),
    Verbatim(100_000 * "["),
    Verbatim(2_000 * "[" + 2_000 * "]"),
    Verbatim(2_000 * '{"a":' + "1" + 2_000 * "}"),
    Verbatim('"\\ud800"'),
    Verbatim("2023-99-99"),
)


def hostile_value(random: Random) -> Any:
    """A value that a reader may not expect."""
    choice = random.random()
    if choice < 0.4:
        return random.choice(NUMBERS)
    if choice < 0.65:
        return random.choice(STRINGS)
    if choice < 0.75:
        return random.choice(_VERBATIM)
    if choice < 0.77:
        return MEGABYTES
    if choice < 0.79:
        return 10**5000
    return random.choice(
        [None, True, False, [], {}, [[]], [[[1]]], {"a": {"b": 1}}, [1, "a", None], b"\xff", (), [None]]
    )


# Values ----------------------------------------------------------------------------------------


def mutate_value(tree: Any, random: Random) -> tuple[Any, str]:
    """A copy of nested dicts, lists, arrays and scalars with one to three changes, and what was changed."""
    root = [copy.deepcopy(tree)]
    whats = []
    for _ in range(random.choice([1, 1, 1, 2, 3])):
        parent, key, path = _random_place(root, random)
        value = parent[key]
        if isinstance(value, np.ndarray) and random.random() < 0.8:
            parent[key], what = _mutate_array(value, random)
        else:
            what = random.choice(_CHANGES)(parent, key, random)
        whats.append(f"{path}: {what}")
    return root[0], ", ".join(whats)


def _random_place(root: list[Any], random: Random) -> tuple[Any, Any, str]:
    """A container, a key of it, and the path to there; deep places are as likely as shallow ones."""
    parent: Any = root
    key: Any = 0
    path = ""
    while True:
        value = parent[key]
        keys: Sequence[Any] = ()
        if isinstance(value, tuple):
            value = parent[key] = list(value)
        if isinstance(value, dict):
            keys = list(value)
        elif isinstance(value, list):
            keys = range(len(value))
        if not keys or (path and random.random() < 0.25):
            return parent, key, path or "(all)"
        parent, key = value, random.choice(keys)
        path = f"{path}/{key!s:.40}"


def _replace(parent: Any, key: Any, random: Random) -> str:
    parent[key] = hostile_value(random)
    return f"replaced by {_brief(parent[key])}"


def _remove(parent: Any, key: Any, random: Random) -> str:
    if isinstance(parent, list) and len(parent) == 1 and key == 0:
        parent[0] = None
    else:
        del parent[key]
    return "removed"


def _repeat(parent: Any, key: Any, random: Random) -> str:
    if isinstance(parent, dict):
        parent[f"{key}{random.choice(['', ' ', '2', '_'])}x"] = copy.deepcopy(parent[key])
        return "repeated under another name"
    times = random.choice([1, 1, 1, 2, 50, 3000])
    size = len(str(parent[key])) if not isinstance(parent[key], np.ndarray) else parent[key].size
    times = min(times, 1 + 10**6 // max(1, size))
    parent[key:key] = [parent[key]] * times
    return f"repeated {times} times"


def _count_up(parent: Any, key: Any, random: Random) -> str:
    """Repeat a value, each time with other numbers: many tracks, frames, images."""
    if not isinstance(parent, list) or isinstance(parent[key], np.ndarray):
        return _replace(parent, key, random)
    step, value = random.choice([1, 1, 7, 1000]), parent[key]
    times = min(random.choice([10, 500, 3000]), 1 + 10**6 // max(1, len(str(value))))
    parent[key:key] = [_added(value, step * number) for number in range(times)]
    return f"repeated {times} times, numbers rising by {step}"


def _added(value: Any, number: int) -> Any:
    if isinstance(value, dict):
        return {key: _added(each, number) for key, each in value.items()}
    if isinstance(value, list):
        return [_added(each, number) for each in value]
    if isinstance(value, str):
        return re.sub(r"[0-9]+", lambda digits: str(int(digits[0][:9]) + number), value)
    return value + number if type(value) is int else value


def _exchange(parent: Any, key: Any, random: Random) -> str:
    other = random.choice(list(parent) if isinstance(parent, dict) else range(len(parent)))
    parent[key], parent[other] = parent[other], parent[key]
    return f"exchanged with {other!s:.40}"


def _rename(parent: Any, key: Any, random: Random) -> str:
    if not isinstance(parent, dict):
        return _replace(parent, key, random)
    name = random.choice([*STRINGS, str(key).upper(), f"{key}s"])
    parent[name] = parent.pop(key)
    return f"renamed to {_brief(name)}"


def _wrap(parent: Any, key: Any, random: Random) -> str:
    parent[key] = random.choice(
        [lambda value: [value], lambda value: {"a": value}, lambda value: [value] * 2]
    )(parent[key])
    return "wrapped"


def _retype(parent: Any, key: Any, random: Random) -> str:
    value = parent[key]
    if isinstance(value, bool) or value is None:
        parent[key] = str(value)
    elif isinstance(value, (int, float)):
        parent[key] = random.choice([str(value), [value], -value, value + 0.5, value * 10**9])
    elif isinstance(value, str):
        digits = re.sub("[0-9]+", str(random.choice([9_999_999, 0, 10**12, "", "-1"])), value)
        parent[key] = random.choice(
            [digits, digits, [value], len(value), value * 1000, list(value), value[::-1]]
        )
    elif isinstance(value, dict):
        parent[key] = list(value.items())
    elif isinstance(value, list):
        parent[key] = {str(index): each for index, each in enumerate(value)}
    return f"made a {type(parent[key]).__name__}"


_CHANGES: Final[tuple[Callable[[Any, Any, Random], str], ...]] = (
    _replace,
    _replace,
    _replace,
    _replace,
    _remove,
    _repeat,
    _count_up,
    _exchange,
    _rename,
    _wrap,
    _retype,
)


def _brief(value: object) -> str:
    if isinstance(value, Verbatim):
        return f"the text {value.text[:20]}"
    if isinstance(value, int) and abs(value) > 10**20:
        return "a huge integer"
    return f"{value!r:.30}"


def _mutate_array(array: np.ndarray, random: Random) -> tuple[np.ndarray, str]:
    """The array with one number, its type or its shape changed."""
    choice = random.random()
    with np.errstate(all="ignore"):
        if choice < 0.5 and array.size and array.dtype.kind in "fiu":
            changed = array.copy(order="K")
            number = random.choice(NUMBERS)
            some = random.choice([1, 1, 1, array.size])
            places = random.sample(range(array.size), some)
            if array.dtype.kind != "f":
                limits = np.iinfo(array.dtype)
                number = min(max(0 if number != number else number, limits.min), limits.max)
            elif abs(number) > np.finfo(array.dtype).max:
                number = float(np.copysign(np.inf, number))
            changed.flat[places] = number
            return changed, f"{some} numbers set to {number}"
        if choice < 0.75 and array.dtype.kind in "fiu":
            kind = random.choice(
                ["f2", "f4", "f8", ">f4", ">f8", "i1", "i8", "u8", "?", "c8", "S3", "U3", "M8[s]"]
            )
            try:
                return array.astype(kind), f"made {kind}"
            except (TypeError, ValueError):
                return array.astype("c8"), "made c8"
    shapes: list[Callable[[], np.ndarray]] = [
        lambda: array.reshape(-1),
        lambda: array.T,
        lambda: array[None],
        lambda: array[:0],
        lambda: array[..., :0],
        lambda: array[..., :1],
        lambda: array[:1],
        lambda: np.concatenate([array] * min(1000, 1 + 10**6 // max(1, array.size))),
        lambda: np.asfortranarray(array),
        lambda: np.moveaxis(array, 0, -1),
        lambda: np.zeros((), array.dtype),
        lambda: array[::-1],
    ]
    change = random.choice(shapes) if array.ndim else shapes[2]
    changed = change()
    return changed, f"shape {array.shape} made {changed.shape}"


# Bytes -----------------------------------------------------------------------------------------


def mutate_bytes(content: bytes, random: Random, donor: bytes = b"") -> tuple[bytes, str]:
    """The bytes with one to four changes, and what was changed.

    Args:
        content: the bytes.
        random: chooses.
        donor: bytes of another file of the kind, of which a part may be inserted.
    """
    changed, whats = bytearray(content), []
    for _ in range(random.choice([1, 1, 2, 4])):
        if not changed:
            break
        whats.append(random.choice(_BYTE_CHANGES)(changed, random, donor))
    return bytes(changed), ", ".join(whats)


def _place(content: bytearray, random: Random) -> int:
    """A place; the first and the last bytes of a file, where headers are, are more likely."""
    size = len(content)
    choice = random.random()
    if choice < 0.35:
        return random.randrange(min(size, 512))
    if choice < 0.55:
        return max(0, size - 1 - random.randrange(min(size, 1024)))
    return random.randrange(size)


def _flip(content: bytearray, random: Random, donor: bytes) -> str:
    count = random.choice([1, 1, 4, 16, 64])
    for _ in range(count):
        content[_place(content, random)] ^= 1 << random.randrange(8)
    return f"{count} bits flipped"


def _overwrite(content: bytearray, random: Random, donor: bytes) -> str:
    place = _place(content, random)
    length = min(random.choice([1, 4, 8, 32]), len(content) - place)
    content[place : place + length] = random.choice([b"\0", b"\xff", b"\x80", random.randbytes(1)]) * length
    return f"{length} bytes overwritten at {place}"


def _truncate(content: bytearray, random: Random, donor: bytes) -> str:
    place = _place(content, random)
    del content[place:]
    return f"cut at {place}"


def _remove_chunk(content: bytearray, random: Random, donor: bytes) -> str:
    place, length = _place(content, random), random.choice([1, 4, 16, 188, 1024])
    del content[place : place + length]
    return f"{length} bytes removed at {place}"


def _duplicate_chunk(content: bytearray, random: Random, donor: bytes) -> str:
    place, length = _place(content, random), random.choice([1, 4, 16, 188, 1024])
    times = random.choice([1, 1, 10, 200])
    content[place:place] = content[place : place + length] * times
    return f"{length} bytes at {place} repeated {times} times"


def _swap_chunks(content: bytearray, random: Random, donor: bytes) -> str:
    length = random.choice([1, 4, 16, 188])
    a, b = sorted((_place(content, random), _place(content, random)))
    if b + length <= len(content) and a + length <= b:
        content[a : a + length], content[b : b + length] = content[b : b + length], content[a : a + length]
    return f"{length} bytes at {a} and {b} exchanged"


def _set_length(content: bytearray, random: Random, donor: bytes) -> str:
    """Set a number, most likely one beside a name of four letters, as in ISO files, RIFF and safetensors."""
    names = [found.start() for found in re.finditer(rb"[A-Za-z]{4}", bytes(content))]
    place = _place(content, random)
    if names and random.random() < 0.7:
        place = random.choice(names) + random.choice([-8, -4, 4, 8, 12, 16, 20, 24])
    size = random.choice([1, 2, 4, 4, 4, 8])
    number = random.choice([0, 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63, 2**16, len(content)]) % 256**size
    place = min(max(0, place), len(content))
    content[place : place + size] = number.to_bytes(size, random.choice(["big", "little"]))
    return f"{size} bytes at {place} set to {number}"


def _replace_text(content: bytearray, random: Random, donor: bytes) -> str:
    texts = list(re.finditer(rb"[ -~]{4,}", bytes(content)))
    if not texts:
        return _flip(content, random, donor)
    found = random.choice(texts)
    new = random.choice([b"\xe9\xff\xfe", b"\x1b]0;x\x07", b"\0", b"%s%n", "\u202e".encode(), b"9" * 400])
    if random.random() < 0.7:
        new = (new * (1 + len(found[0])))[: len(found[0])]
    content[found.start() : found.end()] = new
    return f"text at {found.start()} replaced by {new[:12]!r}"


def _splice(content: bytearray, random: Random, donor: bytes) -> str:
    if not donor:
        return _flip(content, random, donor)
    start, length = random.randrange(len(donor)), random.choice([4, 32, 512, len(donor)])
    place = _place(content, random)
    part = donor[start : start + length]
    content[place : place + random.choice([0, len(part)])] = part
    return f"{len(part)} bytes of another file at {place}"


_BYTE_CHANGES: Final = (
    _flip,
    _flip,
    _overwrite,
    _truncate,
    _remove_chunk,
    _duplicate_chunk,
    _swap_chunks,
    _set_length,
    _set_length,
    _replace_text,
    _splice,
)
