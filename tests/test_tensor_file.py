"""Headers of safetensors files: read by skdpipe as the library reads them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors import SafetensorError, safe_open

from skdpipe.storage import Start
from skdpipe.tensor_file import (
    Header,
    TensorFileError,
    TensorType,
    _plain_header_in,
    read_header,
    write_tensors,
)

METADATA = {"format": "a-1", "label": "wave é"}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("files") / "sound"
    write_tensors(path, {"x": np.ones((2, 3), np.float32), "n": np.arange(3, dtype=np.int32)}, METADATA)
    return path.read_bytes()


def library_header(path: Path) -> Header | None:
    """The header as safetensors reads it, None if it refuses the file."""
    try:
        with safe_open(path, framework="np") as file:
            types = {
                name: TensorType(tuple(file.get_slice(name).get_shape()), file.get_slice(name).get_dtype())
                for name in file.keys()  # noqa: SIM118
            }
            return Header(file.metadata() or {}, types)
    except SafetensorError:
        return None


def test_a_sound_header_is_read_without_the_library(sound: bytes) -> None:
    header = _plain_header_in(Start(sound, len(sound)))
    assert header is not None
    assert header.metadata.items() >= METADATA.items()
    assert header.tensors == {"x": TensorType((2, 3), "F32"), "n": TensorType((3,), "I32")}


# Replacements that keep the length, so that the file stays plausible longer than after random bytes.
CHANGES = st.lists(
    st.tuples(
        st.integers(0, 350), st.sampled_from([b"0", b"1", b"6", b"-", b"]", b"{", b'"', b",", b" ", b"\xff"])
    ),
    min_size=1,
    max_size=3,
)


@given(changes=CHANGES, length=st.integers(-30, 3))
def test_damaged_headers_are_refused_as_by_the_library(
    sound: bytes, tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, bytes]], length: int
) -> None:
    content = bytearray(sound)
    for place, byte in changes:
        content[place : place + 1] = byte
    changed = bytes(content[: len(content) + length] if length < 0 else content + b"0" * length)
    path = tmp_path_factory.getbasetemp() / "changed"
    path.write_bytes(changed)
    expected = library_header(path)
    if expected is None:
        with pytest.raises(TensorFileError):
            read_header(path)
    else:
        assert read_header(path) == expected
