"""The checkpoint reader returns the tensors that torch saved, and executes nothing from hostile files."""

import io
import os
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from hostile_pickle import OUT_OF_BOUNDS
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from skdpipe.errors import PoseError
from skdpipe.pose.openpifpaf.checkpoint_reader import Record, modules, read_checkpoint


def unusual_module() -> nn.Module:
    """A module with every kind of parameter and buffer of a state dict."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Sequential(nn.Conv2d(2, 3, 3, stride=2), nn.BatchNorm2d(3)), nn.ReLU())
    module.register_parameter("transposed", nn.Parameter(torch.rand(4, 3).t()))
    module.register_parameter("slice", nn.Parameter(torch.rand(10)[2:7]))
    module.register_parameter("none", None)
    module.register_buffer("small", torch.rand(3).half())
    module.register_buffer("empty", torch.empty(0, 2))
    module.register_buffer("temporary", torch.rand(2), persistent=False)
    return module


def saved(path: Path, content: object, *, as_zip: bool = True) -> Path:
    torch.save(content, path, _use_new_zipfile_serialization=as_zip)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(PoseError) as caught:
        read_checkpoint(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("as_zip", [True, False])
def test_the_tensors_of_a_module_are_its_state_dict(tmp_path: Path, as_zip: bool) -> None:
    module = unusual_module()
    content = {"model": module, "epoch": 3, "meta": {"device": torch.device("cpu")}}
    path = saved(tmp_path / "module.pkl", content, as_zip=as_zip)
    checkpoint = read_checkpoint(path)
    root = checkpoint.content["model"]
    assert checkpoint.content["epoch"] == 3
    assert checkpoint.content["meta"]["device"].path == "torch.device"
    expected, found = module.state_dict(), checkpoint.tensors(root)
    assert list(found) == list(expected)
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype
        torch.testing.assert_close(found[name], tensor.detach(), rtol=0, atol=0)
    assert [name for name, _ in modules(root)] == [name for name, _ in module.named_modules()]
    assert [record.kind for _, record in modules(root)] == [type(m).__name__ for m in module.modules()]
    assert dict(modules(root))["0.0"].get("stride") == (2, 2)


class Calls:
    """An object whose pickle calls a function with arguments."""

    def __init__(self, function: Callable[..., Any], *arguments: Any, state: Any = None) -> None:
        self.reduced = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.reduced


def trap(path: Path) -> Calls:
    """An object whose unpickling creates a file."""
    return Calls(os.system, f"touch {path}")


@pytest.mark.parametrize("as_zip", [True, False])
@pytest.mark.parametrize("where", ["alone", "beside", "in a module", "as an argument", "as a state"])
def test_a_hostile_file_is_refused_and_not_executed(tmp_path: Path, where: str, as_zip: bool) -> None:
    created = tmp_path / "created"
    module = nn.Linear(2, 2)
    hostile = trap(created)
    if where == "in a module":
        module.__dict__["hidden"] = hostile
    content = {
        "alone": hostile,
        "beside": {"model": module, "meta": [hostile]},
        "in a module": {"model": module},
        "as an argument": {"model": Calls(torch.device, hostile)},
        "as a state": {"model": Calls(nn.ReLU, state={"_modules": hostile})},
    }[where]
    path = saved(tmp_path / "hostile.pkl", content, as_zip=as_zip)
    assert f"{os.system.__module__}.system; expected only tensors and plain modules" in refusal(path)
    assert not created.exists()
    with suppress(TypeError, RuntimeError, AttributeError):
        torch.load(path, weights_only=False)
    assert created.exists()  # unpickling does execute it


@pytest.mark.parametrize(
    "function",
    [
        eval,
        exec,
        getattr,
        __import__,
        open,
        io.open_code,
        pickle.loads,
        torch.load,
        torch.hub.load,
        os.remove,
    ],
)
def test_no_function_is_accepted(tmp_path: Path, function: Callable[..., Any]) -> None:
    path = saved(tmp_path / "hostile.pkl", {"model": Calls(function, "1")})
    assert f".{function.__name__}; expected only" in refusal(path)


@pytest.mark.parametrize("name", ["modules.os.system", "ReLU.forward", "ReLU.__init__.__globals__"])
def test_attributes_of_accepted_names_are_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "dotted.pkl"
    plain = saved(tmp_path / "plain.pkl", None, as_zip=False).read_bytes()
    start = plain.index(pickle.dumps(None, 2))  # after magic number, protocol and system information
    parts = ["torch.nn.modules", name]
    pickled = b"\x80\x04" + b"".join(b"\x8c" + bytes([len(p)]) + p.encode() for p in parts) + b"\x93."
    path.write_bytes(plain[:start] + pickled + plain[start + len(pickle.dumps(None, 2)) :])
    assert f"torch.nn.modules.{name}" in refusal(path)


def test_accepted_classes_are_not_instantiated(tmp_path: Path) -> None:
    """Neither constructor nor ``__setstate__`` is called, and a file cannot affect the next one."""
    content = {"model": Calls(nn.Conv2d, "no", "channels", state={"weight": 1})}
    first, second = (read_checkpoint(saved(tmp_path / f"{i}.pkl", content)).content["model"] for i in (0, 1))
    assert isinstance(first, Record)
    assert (first.path, first.arguments) == ("torch.nn.modules.conv.Conv2d", ("no", "channels"))
    assert first.get("weight") == 1
    assert type(first) is not type(second)


def module_with_tensor(
    storage_length: int, offset: int, size: tuple[int, ...], stride: tuple[int, ...]
) -> nn.Module:
    module = nn.ReLU()
    storage = torch.ones(storage_length).storage()
    rebuilt = Calls(torch._utils._rebuild_tensor_v2, storage, offset, size, stride, False, OrderedDict())
    module.__dict__["_parameters"] = {"weight": rebuilt}
    return module


@pytest.mark.parametrize(
    ("offset", "size", "stride"),
    [
        (0, (4,), (1,)),
        (2, (2,), (1,)),
        (0, (10**12,), (0,)),
        (-1, (1,), (1,)),
        (0, (2, 2), (2, 1)),
        (0, (2,), (-1,)),
    ],
)
def test_a_tensor_beyond_its_storage_is_refused(
    tmp_path: Path, offset: int, size: tuple[int, ...], stride: tuple[int, ...]
) -> None:
    checkpoint = read_checkpoint(saved(tmp_path / "invalid.pkl", module_with_tensor(3, offset, size, stride)))
    with pytest.raises(ValueError, match=r"beyond its storage|without a storage"):
        checkpoint.tensors(checkpoint.content)
    valid = read_checkpoint(saved(tmp_path / "valid.pkl", module_with_tensor(3, 1, (2,), (1,))))
    assert valid.tensors(valid.content)["weight"].tolist() == [1, 1]


def test_modules_that_contain_themselves_are_refused(tmp_path: Path) -> None:
    module = nn.ReLU()
    module.__dict__["_modules"] = {"itself": module}
    checkpoint = read_checkpoint(saved(tmp_path / "circle.pkl", module))
    with pytest.raises(ValueError, match="contains itself"):
        checkpoint.tensors(checkpoint.content)


@given(st.booleans(), st.floats(0, 0.999))
def test_a_truncated_file_is_refused(
    tmp_path_factory: pytest.TempPathFactory, as_zip: bool, share: float
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    complete = saved(folder / "complete.pkl", {"model": nn.Linear(3, 2)}, as_zip=as_zip).read_bytes()
    (folder / "cut.pkl").write_bytes(complete[: int(share * len(complete))])
    assert "is not an OpenPifPaf checkpoint" in refusal(folder / "cut.pkl")


def test_a_compressed_or_foreign_archive_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.pkl", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", pickle.dumps({}, 2))
        archive.writestr("a/data/0", bytes(10**6))
    assert "compressed" in refusal(tmp_path / "bomb.pkl")
    torch.jit.save(torch.jit.script(nn.Linear(1, 1)), tmp_path / "script.pkl")
    refusal(tmp_path / "script.pkl")


@pytest.mark.parametrize(("content", "message"), OUT_OF_BOUNDS.values(), ids=OUT_OF_BOUNDS)
def test_a_pickle_out_of_bounds_is_refused_before_it_is_read(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "hostile.pkl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", content)
    assert message in refusal(path)
    path.write_bytes(saved(tmp_path / "plain.pkl", None, as_zip=False).read_bytes()[:30] + content)
    refusal(path)


@pytest.mark.parametrize("as_zip", [True, False])
def test_modules_that_share_a_module_many_times_are_refused(tmp_path: Path, as_zip: bool) -> None:
    module: nn.Module = nn.ReLU()
    for _ in range(30):
        module = nn.Sequential(module, module)
    checkpoint = read_checkpoint(saved(tmp_path / "shared.pkl", module, as_zip=as_zip))
    with pytest.raises(ValueError, match="more than 20000 modules"):
        checkpoint.tensors(checkpoint.content)


@pytest.mark.parametrize("as_zip", [True, False])
def test_a_storage_is_not_read_many_times(tmp_path: Path, as_zip: bool) -> None:
    module = nn.Module()
    parameter = nn.Parameter(torch.ones(100_000))
    for number in range(10):
        module.register_parameter(f"p{number}", parameter)
    checkpoint = read_checkpoint(saved(tmp_path / "shared.pkl", module, as_zip=as_zip))
    with pytest.raises(ValueError, match="share their storage many times"):
        checkpoint.tensors(checkpoint.content)


def test_an_archive_of_repeated_or_very_many_files_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "twice.pkl", {"a": torch.ones(1)})
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr(archive.namelist()[0], b"")
    refusal(path)
    (tmp_path / "many.pkl").write_bytes(path.read_bytes() + b"PK\x01\x02" * 20_000)
    refusal(tmp_path / "many.pkl")
