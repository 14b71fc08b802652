"""What the name of a clip and a label may be."""

from __future__ import annotations

import pytest

from skdpipe.errors import DataError
from skdpipe.names import require_label, require_name, require_path
from skdpipe.skeleton import clip_key


@pytest.mark.parametrize("name", ["wave", "drink water", "Übung 3/ä", "波", "👩‍🚀 jump", "a\u00a0b"])
def test_text_in_one_line_is_a_name(name: str) -> None:
    assert (require_label(name, "file"), require_name(name, "file")) == (name, name)


@pytest.mark.parametrize(
    ("label", "found"),
    [
        ("\ud800", "half a character (U+D800)"),
        ("a\0b", "a control character (U+0000)"),
        ("a\nb", "a control character (U+000A)"),
        ("\x1b[31m", "a control character (U+001B)"),
        ("a\u2028b", "a line break (U+2028)"),
        ("é" * 101, "202 bytes"),
        ("x" * 10_000_000, "10000000 characters"),
        ("", "label ''; expected text"),
        (" ", "label ' '; expected text"),
        (["wave"], "label ['wave']; expected text"),
    ],
)
def test_other_labels_are_refused_in_a_bounded_line(label: object, found: str) -> None:
    with pytest.raises(DataError) as caught:
        require_label(label, "set.json")
    assert str(caught.value).startswith("set.json: label ")
    assert found in str(caught.value)
    assert len(str(caught.value)) < 200


def test_paths_that_are_not_utf_8_have_no_key() -> None:
    assert require_path("videos/Ä\n.mp4") == "videos/Ä\n.mp4"
    with pytest.raises(DataError, match=r"'a\\udcff': the name is not UTF-8 text; rename the file"):
        clip_key("a\udcff")
