"""Text from files as one line that is safe to show: on a terminal, in HTML, in a picture."""

from __future__ import annotations

import unicodedata
from typing import Final

_MOST: Final = 20_000
_ZWNJ, _ZWJ, _VARIATIONS = "\u200c", "\u200d", "\ufe0e\ufe0f"
# Without a glyph although they are letters, marks or symbols: fillers, the grapheme joiner, variations.
_INVISIBLE: Final = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0"
    + "".join(map(chr, (*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))))
)
_VIRAMA: Final = 9  # canonical combining class


def printable(text: str, most: int = _MOST) -> str:
    r"""Text with every character escaped that moves the cursor, changes the direction or cannot be seen.

    Escaped are control and format characters, line separators, surrogates, and code points that are private
    or unassigned; joiners and variation selectors stay where a script or an emoji needs them. A backslash
    stays as it is. From a text of more than ``most`` characters the middle is left out.

    >>> print(printable("a\x1b[31m\n\u202eb"))
    a\x1b[31m\n\u202eb
    >>> printable("x" * 100, most=10)
    'xxxxx ... 90 characters left out ... xxxxx'
    """
    if len(text) > most:
        left, right = text[: most // 2], text[len(text) - most // 2 :]
        rest = f" ... {len(text) - len(left) - len(right):,} characters left out ... "
        return printable(left) + rest + printable(right)
    if text.isascii() and text.isprintable():
        return text
    ends = f" {text} "
    return "".join(
        each if _is_visible(each, *around) else each.encode("unicode_escape").decode()
        for each, *around in zip(text, ends, ends[2:], strict=False)
    )


def _is_visible(character: str, before: str, after: str) -> bool:
    """Whether a character between two others is seen, or changes how these are seen."""
    if character in (_ZWNJ, _ZWJ):
        return _joins(character, before, after)
    if character in _VARIATIONS:
        return unicodedata.category(before)[0] in "SPN"
    category = unicodedata.category(character)
    return category[0] != "C" and category not in ("Zl", "Zp") and character not in _INVISIBLE


def _joins(joiner: str, before: str, after: str) -> bool:
    """Whether a joiner is in its place: RFC 5892, appendix A, and sequences of emoji."""
    if unicodedata.combining(before) == _VIRAMA:
        return True
    if joiner == _ZWNJ:
        return all(unicodedata.bidirectional(each) == "AL" for each in (before, after))
    is_emoji = before in _VARIATIONS or unicodedata.category(before) in ("So", "Sk")
    return is_emoji and unicodedata.category(after) == "So"
