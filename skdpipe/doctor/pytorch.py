"""PyTorch: import, threads, GPU, and a small computation on each device."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any, Final

from skdpipe.doctor.requirements import install_command
from skdpipe.doctor.setup import Check, Setup
from skdpipe.errors import in_one_line
from skdpipe.finding import Finding

NEEDED_FOR: Final = "needed by extract, distill, compare, train-pose and demo"

_NO_DEVICE: Final = 100  # CUDA_ERROR_NO_DEVICE


def check_import(_: Setup) -> Iterator[Finding]:
    """Whether torch can be imported. The other checks of this module need it."""
    if find_spec("torch") is None:
        text = f"not installed; {NEEDED_FOR}"
        yield Finding("torch", "note", text, install_command("torch"))
        return
    try:
        import torch
    except Exception as error:  # whatever its libraries raise
        yield Finding(
            "torch",
            "problem",
            f"cannot be imported ({in_one_line(error)})",
            "pip install --force-reinstall torch torchvision; a library that the message names is one of the "
            "system",
        )
        return
    built_for = f"CUDA {torch.version.cuda}" if torch.version.cuda else "the processor alone"
    yield Finding("torch", "fine", f"{torch.__version__}, built for {built_for}")


def check_threads(_: Setup) -> Iterator[Finding]:
    """Threads of torch, and the cores that it may use."""
    if (torch := _imported()) is None:
        return
    from skdpipe.runtimes import available_cores

    threads, cores = torch.get_num_threads(), available_cores()
    text = f"{threads} of torch for {cores} {'core' if cores == 1 else 'cores'}"
    if threads > cores:
        remedy = f"export OMP_NUM_THREADS={cores}"
        yield Finding("threads", "warning", f"{text}: they wait for each other", remedy)
    elif threads < cores // 2:
        remedy = "unset OMP_NUM_THREADS and MKL_NUM_THREADS, or set them to the number of cores"
        yield Finding("threads", "note", f"{text}: computations are slower than they could be", remedy)
    else:
        yield Finding("threads", "fine", text)


def check_gpu(_: Setup) -> Iterator[Finding]:
    """Whether torch can use the GPU that the driver has."""
    if (torch := _imported()) is None:
        return
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            properties = torch.cuda.get_device_properties(index)
            text = f"cuda:{index} {properties.name}, {properties.total_memory / 1e9:.0f} GB"
            yield Finding("gpu", "fine", text)
        return
    yield explain_missing_gpu(torch.version.cuda, *query_driver())


def query_driver() -> tuple[int | None, tuple[int, int]]:
    """What NVIDIA's driver answers: the code of its initialisation, None without a driver, and its CUDA."""
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return None, (0, 0)
    number = ctypes.c_int(0)
    driver.cuDriverGetVersion(ctypes.byref(number))
    return int(driver.cuInit(0)), (number.value // 1000, number.value % 1000 // 10)


def explain_missing_gpu(built_for: str | None, code: int | None, driver: tuple[int, int]) -> Finding:
    """Why torch has no GPU.

    Args:
        built_for: the version of CUDA that torch was built for, None if for the processor alone.
        code, driver: of `query_driver`.
    """
    if code is None or code == _NO_DEVICE:
        return Finding("gpu", "fine", "no NVIDIA GPU; networks run on the processor")
    has = f"NVIDIA's driver (CUDA {driver[0]}.{driver[1]})"
    if built_for is None:
        remedy = "pip install --force-reinstall a torch built for CUDA, then rebuild OpenPifPaf for it"
        return Finding("gpu", "warning", f"{has} is there, but this torch has no CUDA", remedy)
    if driver < tuple(map(int, built_for.split(".")[:2])):
        remedy = f"update the driver, or install a torch built for CUDA {driver[0]}.{driver[1]} or earlier"
        return Finding("gpu", "warning", f"{has} is older than torch, built for CUDA {built_for}", remedy)
    if code:
        remedy = "run nvidia-smi, which says more; after an update of the driver restart the machine"
        return Finding("gpu", "warning", f"{has} does not start (code {code})", remedy)
    remedy = "see what CUDA_VISIBLE_DEVICES is, and what `python -c 'import torch; torch.cuda.init()'` prints"
    return Finding("gpu", "warning", f"{has} works, but torch finds no GPU", remedy)


def check_computation(_: Setup) -> Iterator[Finding]:
    """A convolution, a product and its gradient on each device, compared with integers computed by Python."""
    if (torch := _imported()) is None:
        return
    devices = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
    for device in devices:
        try:
            wrong = _wrong_results(torch, device)
        except RuntimeError as error:
            wrong = in_one_line(error)
        if wrong:
            remedy = (
                "reinstall torch"
                if device == "cpu"
                else "use --device cpu; update the driver, or install a torch that was built for this GPU"
            )
            yield Finding("computation", "problem", f"{device}: {wrong}", remedy)
        else:
            text = f"{device}: convolution, product and gradient are right"
            yield Finding("computation", "fine", text)


def _wrong_results(torch: Any, device: str) -> str:
    """What of a small computation is wrong on a device; empty if nothing is."""
    signal = torch.tensor([[[1.0, 2, 3, 4, 5]]], device=device)
    kernel = torch.tensor([[[1.0, 0, -2]]], device=device)
    convolved = torch.nn.functional.conv1d(signal, kernel).flatten().tolist()
    if convolved != [-5.0, -6.0, -7.0]:
        return f"a convolution is {convolved}, expected [-5, -6, -7]"
    matrix = torch.tensor([[1.0, 2], [3, 4]], device=device)
    vector = torch.tensor([1.0, -1], device=device, requires_grad=True)
    (matrix @ vector).square().sum().backward()  # (-1, -1); the gradient is 2 Mᵀ (M v)
    gradient = vector.grad.tolist()
    return "" if gradient == [-8.0, -12.0] else f"a gradient is {gradient}, expected [-8, -12]"


def _imported() -> Any:
    """The module, if the first check could import it in this process."""
    return sys.modules.get("torch")


CHECKS: Final[dict[str, Check]] = {
    "torch": check_import,
    "threads": check_threads,
    "gpu": check_gpu,
    "computation": check_computation,
}
