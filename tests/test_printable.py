"""Text from files is shown in one line without control characters; names in any script stay readable."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skdpipe.printable import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nb\r\tc", r"a\nb\r\tc"),
        ("\x1b[31mred\x1b]0;title\x07", r"\x1b[31mred\x1b]0;title\x07"),
        ("\x00\x7f\x9b\x85", r"\x00\x7f\x9b\x85"),
        ("\u202egpj.exe\u2066\u200f\u061c", r"\u202egpj.exe\u2066\u200f\u061c"),
        ("one\u2028two\u2029", r"one\u2028two\u2029"),
        ("a\u200bb\ufeffc\u00add\u2060", r"a\u200bb\ufeffc\xadd\u2060"),
        ("wa\u200dve\u200c", r"wa\u200dve\u200c"),
        ("wave\ufe0f\U000e0100", r"wave\ufe0f\U000e0100"),
        ("\u3164\u115f\u2800", r"\u3164\u115f\u2800"),
        ("\U000e0041\U0010ffff\ue000\u0378", r"\U000e0041\U0010ffff\ue000\u0378"),
        ("caf\udce9", r"caf\udce9"),
    ],
)
def test_what_moves_the_cursor_or_is_not_seen_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


@pytest.mark.parametrize(
    "name",
    [
        "Höflichkeit, Œuvre [1] {x} $a$ C:\\new",
        "手を振る　挥手 흔들기",
        "می\u200cخواهم",  # noqa: RUF001  # Persian: letters that have to be apart
        "क्\u200dष क्\u200cष",  # Hindi: both after a virama
        "שלום سلام",
        "👩\u200d🔬 👩🏽\u200d🚀 🏳\ufe0f\u200d🌈 ❤\ufe0f 1\ufe0f\u20e3 ⚠\ufe0e",
        "Screenshot 9.41\u202fPM\u00a0x",
        "",
    ],
)
def test_names_of_every_script_and_emoji_stay(name: str) -> None:
    assert printable(name) == name


@given(st.text(st.characters(), max_size=60))
def test_the_result_is_one_line_of_visible_characters(text: str) -> None:
    shown = printable(text)
    assert len(shown.splitlines()) <= 1
    assert printable(shown) == shown
    joiners = "\u200c\u200d"
    hidden = [each for each in shown if unicodedata.category(each)[0] == "C" and each not in joiners]
    assert hidden == []
    shown.encode()


def test_the_middle_of_a_long_text_is_left_out() -> None:
    text = "start " + "\x1b" * 10_000_000 + " end"
    shown = printable(text)
    assert shown.startswith(r"start \x1b\x1b")
    assert shown.endswith(r"\x1b end")
    assert r"\x1b ... 9,980,010 characters left out ... \x1b" in shown
    assert len(shown) < 100_000
    assert printable("abcdefgh", most=4) == "ab ... 4 characters left out ... gh"
