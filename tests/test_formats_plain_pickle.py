"""Pickles of plain values are read in every protocol; nothing in a pickle is executed."""

from __future__ import annotations

import io
import os
import pickle
import pickletools
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hostile_pickle import OUT_OF_BOUNDS, PickledCall
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from skdpipe.errors import FormatError
from skdpipe.formats.plain_pickle import dump_plain, load_plain, to_number_array

VALUE: dict[str, Any] = {
    "half": np.arange(6, dtype=np.float16).reshape(1, 2, 3),
    "columns first": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "swapped": np.arange(3, dtype=">i4"),
    "nothing": np.zeros((0, 2), np.float32),
    "text": np.array(["a", "bcd"]),
    "truth": np.array([True, False]),
    "number": np.int64(7),
    "share": np.float32(0.25),
    "plain": [1, 2.5, "x", b"y\xff", bytearray(b"z"), (None, True), {1, 2}, frozenset({3})],
    "ordered": OrderedDict(a=1),
}


def loaded(tmp_path: Path, content: bytes) -> Any:
    (tmp_path / "a.pkl").write_bytes(content)
    return load_plain(tmp_path / "a.pkl")


def assert_equal(read: Any, written: Any) -> None:
    assert list(read) == list(written)
    for name, value in written.items():
        if isinstance(value, np.ndarray):
            assert read[name].dtype.newbyteorder("=") == value.dtype.newbyteorder("=")
            np.testing.assert_array_equal(read[name], value)
        else:
            assert read[name] == value
            assert isinstance(read[name], type(value))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_values_are_read_in_every_protocol(tmp_path: Path, protocol: int) -> None:
    assert_equal(loaded(tmp_path, pickle.dumps(VALUE, protocol)), VALUE)


@pytest.mark.parametrize("protocol", [2, 3])
def test_numpys_old_module_names_are_read(tmp_path: Path, protocol: int) -> None:
    # Up to protocol 3 names are lines, which may have any length.
    content = pickle.dumps(VALUE["half"], protocol)
    assert b"cnumpy._core.multiarray\n" in content
    old = content.replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")
    np.testing.assert_array_equal(loaded(tmp_path, old), VALUE["half"])


ARRAY = np.arange(24, dtype=np.float32).reshape(2, 3, 4)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("kind", ["f2", "<f4", ">f8", "i1", ">i8", "?", object])
@pytest.mark.parametrize(
    "order",
    [
        np.asarray,
        np.asfortranarray,
        lambda array: np.moveaxis(array, 0, 1),
        lambda array: array.transpose(2, 0, 1),
        lambda array: array[:, ::2],
        lambda array: array[::-1],
        lambda array: array[:0],
        lambda array: np.asfortranarray(array[:, :0]),
        lambda array: array[1, 1, 1, ...],
        lambda array: np.broadcast_to(array[0], (5, 3, 4)),
    ],
)
def test_arrays_are_read_in_every_memory_order(
    tmp_path: Path, protocol: int, kind: Any, order: Callable[[Any], Any]
) -> None:
    array = order(ARRAY.astype(kind))
    read = loaded(tmp_path, pickle.dumps([array], protocol))[0]
    assert read.shape == array.shape
    assert read.dtype.newbyteorder("=") == array.dtype.newbyteorder("=")
    assert read.tolist() == array.tolist()
    if array.size:
        numbers = to_number_array(read)
        assert numbers is not None
        assert numbers.dtype.kind in "biuf"
        np.testing.assert_array_equal(numbers, array.astype(float))


def objects(*items: Any) -> Any:
    array = np.empty(len(items), object)
    for number, item in enumerate(items):
        array[number] = item
    return array


def test_an_array_of_arrays_becomes_one_of_numbers(tmp_path: Path) -> None:
    read = loaded(tmp_path, pickle.dumps(objects(ARRAY, 2 * ARRAY)))
    numbers = to_number_array(read)
    assert numbers is not None
    np.testing.assert_array_equal(numbers, [ARRAY, 2 * ARRAY])


@pytest.mark.parametrize(
    "items",
    [
        (ARRAY, ARRAY[:1]),
        (ARRAY, 1),
        (1, "2"),
        (None,),
        ([1, 2],),
        (10**400,),
        (np.array(["a"]),),
    ],
)
def test_objects_that_are_no_numbers_are_not_an_array_of_numbers(
    tmp_path: Path, items: tuple[Any, ...]
) -> None:
    assert to_number_array(loaded(tmp_path, pickle.dumps(objects(*items)))) is None


def test_one_array_in_many_places_does_not_fill_the_memory(tmp_path: Path) -> None:
    large = np.zeros(10**6, np.uint8)
    assert to_number_array(loaded(tmp_path, pickle.dumps(objects(*[large] * 1001)))) is None


@pytest.mark.parametrize("value", [np.str_("wave"), np.float64(2), np.float16(0.5), np.bool_(True)])
def test_scalars_of_numpy_are_read(tmp_path: Path, value: Any) -> None:
    read = loaded(tmp_path, pickle.dumps(value))
    assert (read, type(read)) == (value, type(value))


def test_an_array_of_python_2_is_read(tmp_path: Path) -> None:
    # Python 2 stores bytes as text (opcode U, SHORT_BINSTRING).
    content = (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\nq\x00cnumpy\nndarray\nq\x01K\x00\x85U\x01b\x87R"
        b"(K\x01K\x02\x85cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        b"\x89U\x02\x07\xfftb."
    )
    np.testing.assert_array_equal(loaded(tmp_path, content), np.array([7, 255], np.uint8))


@given(arrays.arrays(st.sampled_from([np.float16, np.float32, np.int64, np.uint8, "U3"]), (2, 3)))
def test_what_is_written_is_read_by_anyone(array: np.ndarray) -> None:
    file = io.BytesIO()
    dump_plain({"a": array, "label": 3, "shape": (240, 320)}, file)
    theirs = pickle.loads(file.getvalue())
    assert theirs["a"].dtype == array.dtype
    np.testing.assert_array_equal(theirs["a"], array)
    assert theirs["a"].flags.writeable
    assert (theirs["label"], theirs["shape"]) == (3, (240, 320))


def test_what_is_written_uses_no_private_names_of_numpy(tmp_path: Path) -> None:
    file = io.BytesIO()
    dump_plain(VALUE["half"], file)
    text = {argument for _, argument, _ in pickletools.genops(file.getvalue()) if isinstance(argument, str)}
    assert text == {"numpy", "ndarray", "<f2", "builtins", "bytearray"}
    np.testing.assert_array_equal(loaded(tmp_path, file.getvalue()), VALUE["half"])


# Hostile files


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize(
    ("function", "arguments", "name"),
    [
        (os.system, ("touch {}",), "system"),
        (eval, ("open({!r}, 'w')",), "eval"),
        (exec, ("open({!r}, 'w')",), "exec"),
        (getattr, ("", "join"), "getattr"),
        (open, ("{}", "w"), "open"),
        (np.fromfile, ("{}",), "fromfile"),
        (np.save, ("{}", 1), "save"),
        (np.load, ("{}",), "load"),
        (np.memmap, ("{}", "u1", "w+", 0, 1), "memmap"),
        (np.empty, (10**12,), "empty"),
        (np.float64, (1,), "float64"),
        (Path, ("{}",), "Path"),
    ],
)
def test_a_call_is_refused_by_name_and_not_made(
    tmp_path: Path, protocol: int, function: Callable[..., object], arguments: tuple[Any, ...], name: str
) -> None:
    trace = tmp_path / "trace"
    filled = [each.format(str(trace)) if isinstance(each, str) else each for each in arguments]
    with pytest.raises(
        FormatError, match=rf"a\.pkl: the pickle names \S*{name}\S* and could run it"
    ) as caught:
        loaded(tmp_path, pickle.dumps({"annotations": [PickledCall(function, *filled)]}, protocol))
    assert "\n" not in str(caught.value)
    assert not trace.exists()


def call(module: str, name: str, arguments: bytes) -> bytes:
    return f"c{module}\n{name}\n".encode() + arguments + b"R"


OBJECTS = call("numpy", "dtype", b"(S'O8'\nI00\nI01\nt")
"""The type of arrays of objects, as numpy writes it."""


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"cnumpy.core.multiarray\n_reconstruct.__globals__\n.", "_reconstruct.__globals__ and could run it"),
        (b"\x80\x04\x8c\x08builtins\x8c\x0blist.append\x93.", "names builtins.list.append"),
        (b"cnumpy\nndarray\n(dS'__defaults__'\nNsb.", "changes a function"),
        (b"cnumpy.core.multiarray\nscalar\nN}S'__kwdefaults__'\nNs\x86b.", "changes a function"),
        (call("numpy", "dtype", b"(S'O8'\nt") + b".", "array of type 'O8'"),
        (call("numpy", "dtype", b"(S'f4,O'\nt") + b".", "array of type 'f4,O'"),
        (call("numpy", "dtype", b"(S'V8'\nt") + b".", "array of type 'V8'"),
        (
            call("numpy", "dtype", b"(S'f4'\nt") + b"(I3\nS'|'\nN(S'a'\nt(dI-1\nI-1\nI0\ntb.",
            "array of records",
        ),
        (call("numpy", "ndarray", b"((I1\ntS'O'\nS'12345678'\nt") + b".", "array of type 'O'"),
        (OBJECTS + b"(I3\nS'|'\nN(S'a'\ntNI-1\nI-1\nI0\ntb.", "array of records"),
        (
            call("numpy", "ndarray", b"((I1\nt" + OBJECTS + b"S'12345678'\nt") + b".",
            "array of type 'O8' in bytes",
        ),
        (call("numpy", "ndarray", b"((I99\ntS'f8'\nS'12345678'\nt") + b".", "not a pickle of plain values"),
        (call("numpy", "ndarray", b"((I1\ntS'f8'\n]t") + b".", "an array of list"),
        (call("_codecs", "encode", b"(S'x'\nS'zip'\nt") + b".", "uses the codec 'zip'"),
        (call("builtins", "bytearray", b"(I9999999999999\nt") + b".", "bytes of int"),
        (b"Pmine\n.", "not a pickle of plain values"),
        (b"\x82\x01.", "not a pickle of plain values"),
        (b"", "not a pickle of plain values"),
        (b"\x80\x09.", "not a pickle of plain values"),
        (pickle.dumps(VALUE)[:-40], "not a pickle of plain values"),
    ],
)
def test_hand_made_pickles_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(FormatError) as caught:
        loaded(tmp_path, content)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.binary(max_size=40))
def test_any_bytes_are_plain_values_or_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.pkl"
    path.write_bytes(content)
    with suppress(FormatError):
        load_plain(path)


@pytest.mark.parametrize(("content", "message"), OUT_OF_BOUNDS.values(), ids=OUT_OF_BOUNDS)
def test_a_pickle_out_of_bounds_is_refused_before_it_is_read(
    tmp_path: Path, content: bytes, message: str
) -> None:
    with pytest.raises(FormatError) as caught:
        loaded(tmp_path, content)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


CONTENT = b"B" + (1_000_000).to_bytes(4, "little") + bytes(1_000_000) + b"q\x01"


@pytest.mark.parametrize(
    "repeated",
    [
        b"cbuiltins\nbytearray\nh\x01\x85R0",
        b"cnumpy\nndarray\n(J\x40\x42\x0f\x00\x85X\x02\x00\x00\x00u1h\x01tR0",
    ],
)
def test_a_content_is_not_copied_many_times(tmp_path: Path, repeated: bytes) -> None:
    with pytest.raises(FormatError, match=r"copies its content many times"):
        loaded(tmp_path, b"\x80\x03" + CONTENT + repeated * 10 + b"N.")


def test_items_of_an_array_are_not_set(tmp_path: Path) -> None:
    array = b"cnumpy\nndarray\n(K\x04\x85X\x02\x00\x00\x00u1C\x04abcdtR"
    np.testing.assert_array_equal(loaded(tmp_path, b"\x80\x03" + array + b"."), [97, 98, 99, 100])
    with pytest.raises(FormatError, match="read-only"):
        loaded(tmp_path, b"\x80\x03" + array + b"K\x00K\x01s.")


def test_the_attributes_of_an_ordered_dict_are_not_set(tmp_path: Path) -> None:
    content = b"\x80\x02ccollections\nOrderedDict\n)R}X\x03\x00\x00\x00getK\x01sb."
    assert loaded(tmp_path, content).get("a", 5) == 5


def test_a_long_integer_is_read_and_is_no_key(tmp_path: Path) -> None:
    assert loaded(tmp_path, pickle.dumps([10**5000])) == [10**5000]
    with pytest.raises(FormatError, match="a key that is no text"):
        loaded(tmp_path, pickle.dumps({10**5000: 1}))


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.pkl")
    with pytest.raises(FormatError, match=r"pipe\.pkl cannot be read \(it is not a regular file\)"):
        load_plain(tmp_path / "pipe.pkl")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"none\.pkl cannot be read \(No such file"):
        load_plain(tmp_path / "none.pkl")
