"""Python, processor, memory, temporary folder and terminal."""

from __future__ import annotations

import codecs
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from skdpipe.control_groups import memory_left, processor_limit
from skdpipe.doctor.requirements import requires_python
from skdpipe.doctor.setup import Check, Setup
from skdpipe.doctor.sizes import size
from skdpipe.finding import Finding
from skdpipe.memory import free_memory
from skdpipe.runtimes import assigned_cores

_SIGNS: Final = "→│▶é"  # of the output
_LITTLE_MEMORY: Final = 2**30  # bytes; what one worker of an extraction takes
_LITTLE_SPACE: Final = 2**28


def check_python(_: Setup) -> Iterator[Finding]:
    """Version and width of Python."""
    from packaging.specifiers import SpecifierSet

    expected, found = requires_python(), platform.python_version()
    text = f"{platform.python_implementation()} {found}, {8 * _pointer_bytes()} bit, {platform.platform()}"
    if _pointer_bytes() < 8:
        remedy = "install 64-bit Python; PyTorch exists for no other"
        yield Finding("python", "problem", f"{text}; expected 64 bit", remedy)
    elif expected and not SpecifierSet(expected).contains(found, prereleases=True):
        remedy = "make an environment with such a Python, for instance `uv venv --python 3.12`"
        yield Finding("python", "problem", f"{text}; expected {expected}", remedy)
    else:
        yield Finding("python", "fine", text)


def _pointer_bytes() -> int:
    return (sys.maxsize.bit_length() + 1) // 8


def check_processor(_: Setup) -> Iterator[Finding]:
    """Cores, and how many of them a control group leaves."""
    cores = assigned_cores()
    limit = processor_limit()
    text = f"{cores} {'core' if cores == 1 else 'cores'} for this process"
    if limit is not None and limit < cores:
        threads = max(1, round(limit))
        yield Finding(
            "processor",
            "warning",
            f"{text}, but a control group allows the time of {limit:g}: more threads wait for each other",
            f"export OMP_NUM_THREADS={threads}, or start the container with --cpuset-cpus instead of --cpus",
        )
    else:
        yield Finding("processor", "fine", text)


def check_memory(_: Setup) -> Iterator[Finding]:
    """Main memory that is free, also within a control group."""
    free, group = free_memory(), memory_left()
    if free is None:
        return
    text = f"{size(free)} free" + (" in the control group of this process" if free == group else "")
    if free < _LITTLE_MEMORY:
        yield Finding("memory", "warning", text, "end other programs, or allow the container more memory")
    else:
        yield Finding("memory", "fine", text)


def check_temporary_folder(_: Setup) -> Iterator[Finding]:
    """Whether temporary files can be written."""
    try:
        with tempfile.NamedTemporaryFile() as file:
            file.write(bytes(4096))
            file.flush()
        folder = Path(tempfile.gettempdir())
        free = shutil.disk_usage(folder).free
    except OSError as error:
        yield Finding(
            "temporary-files",
            "problem",
            f"cannot be written ({error.strerror or error})",
            "free space in the folder for temporary files, or export TMPDIR=FOLDER with another one",
        )
        return
    if free < _LITTLE_SPACE:
        yield Finding(
            "temporary-files",
            "warning",
            f"{size(free)} free in {folder}; weights are unpacked and videos are prepared there",
            "free space there, or export TMPDIR=FOLDER with another folder",
        )
    else:
        yield Finding("temporary-files", "fine", f"{size(free)} free in {folder}")


def check_terminal(setup: Setup) -> Iterator[Finding]:
    """Encodings of the output and of file names."""
    names = sys.getfilesystemencoding()
    text = f"output in {setup.encoding}, file names in {names}"
    if codecs.lookup(names).name != "utf-8":
        remedy = "export PYTHONUTF8=1, or set a UTF-8 locale, for instance export LC_ALL=C.UTF-8"
        yield Finding("terminal", "warning", f"{text}: names beyond ASCII may not be found", remedy)
    elif not _has_signs(setup.encoding):
        remedy = "export PYTHONIOENCODING=utf-8, or set a UTF-8 locale, for instance export LC_ALL=C.UTF-8"
        yield Finding("terminal", "note", f"{text}: other characters are printed as codes", remedy)
    else:
        yield Finding("terminal", "fine", text)


def _has_signs(encoding: str) -> bool:
    try:
        _SIGNS.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True


CHECKS: Final[dict[str, Check]] = {
    "python": check_python,
    "processor": check_processor,
    "memory": check_memory,
    "temporary-files": check_temporary_folder,
    "terminal": check_terminal,
}
