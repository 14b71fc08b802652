"""Places of files: a path of this machine, or an address of a store such as ``s3://bucket/folder``.

Every function takes both. For a path it does what `pathlib` and `skdpipe.atomic_file` do. For an address it
uses the file systems of fsspec, which repeat a request that fails for the moment; nothing that they remember
about a store is trusted, since other machines change it. Whatever goes wrong in a store is an OSError whose
``filename`` is the address.
"""

from __future__ import annotations

import errno
import os
import re
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import unquote

from skdpipe.atomic_file import (
    hidden_name,
    holding_lock,
    temporary_folder,
    write_bytes_atomically,
)
from skdpipe.errors import (
    ConfigError,
    MissingDependencyError,
    SkdpipeError,
    in_brief,
    in_one_line,
    require_extra,
)

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from fsspec import AbstractFileSystem
    from upath import UPath

    Place = Path | UPath
else:
    Place = Path  # of a command's option; `place_of` also returns addresses

_ADDRESS: Final = re.compile(r"([a-z][a-z0-9+.-]+)://", re.IGNORECASE)
_ADDRESS_AS_PATH: Final = re.compile(r"[a-z][a-z0-9+.-]+:[/\\][^/\\]", re.IGNORECASE)

# Writing an object is atomic there. Elsewhere a file is written under a hidden name, and renamed.
_OBJECT_STORES: Final = frozenset(
    {"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "oss", "oci", "ocilake", "obs", "tos", "memory"}
)
# The names under which the file systems of fsspec state what changes with an object.
_TAGS: Final = ("ETag", "etag")
_TIMES: Final = ("LastModified", "last_modified", "updated", "mtime", "modified", "created")
_AT_ONCE: Final = 512  # files of which the starts are read together
_START: Final = 65_536  # bytes read of a file whose size is not known


class State(NamedTuple):
    """What a file is recognised by.

    Attributes:
        size: in bytes.
        change: of a path the modification time in nanoseconds, of an object its ETag, or the time as text.
        time: of the last change, in seconds since 1970; 0 if it is not known.
    """

    size: int
    change: int | str
    time: float


class Start(NamedTuple):
    """The first bytes of a file, and its size."""

    content: bytes
    size: int


def place_of(text: str | Place) -> Place:
    """The place that a path or an address names; an address of ``file://`` is a path.

    Raises:
        ConfigError: if the protocol of an address is unknown, it names no folder, or it was given as a
            `pathlib.Path`, which cannot hold it.
        MissingDependencyError: if a package for the protocol is not installed.
    """
    if not isinstance(text, str):
        if isinstance(text, Path) and _ADDRESS_AS_PATH.match(str(text)):
            raise ConfigError(
                f"the path {in_brief(str(text), 100)} was an address, which pathlib changes; expected a str, "
                "or the result of skdpipe.place_of"
            )
        return text
    if "://" not in text:
        return Path(text)
    match = _ADDRESS.match(text)
    if match is None:
        raise ConfigError(
            f"cannot read the address {in_brief(text, 100)}; expected PROTOCOL://PLACE, for example "
            "s3://bucket/folder"
        )
    protocol, rest = match[1].lower(), text[match.end() :]
    if protocol in {"file", "local"}:
        if not rest.startswith("/"):
            raise ConfigError(
                f"the address {in_brief(text, 100)} names another computer; expected file:/// and a path"
            )
        return Path(unquote(rest))
    return _remote_place(protocol, rest)


def _remote_place(protocol: str, rest: str) -> Place:
    require_extra("remote", "fsspec", "upath")
    from fsspec import available_protocols, get_filesystem_class
    from upath import UPath

    address = f"{protocol}://{rest}"
    if protocol not in available_protocols():
        raise ConfigError(
            f"the protocol of {in_brief(address, 100)} is unknown; expected a path, or an address of s3, gs, "
            "abfs, sftp or another one of fsspec"
        )
    if not rest.strip("/") and protocol != "memory":
        raise ConfigError(f"{address} names no place; expected a bucket, for example {protocol}://bucket")
    try:
        get_filesystem_class(protocol)
    except ImportError as error:
        raise MissingDependencyError(
            f"a package for {protocol}:// is not installed ({error}); install it"
        ) from error
    try:
        return UPath(address)
    except ValueError as error:
        raise ConfigError(
            f"{in_brief(address, 100)} cannot be used ({error}); expected an address such as "
            "s3://bucket/folder"
        ) from error


def require_path(path: Path, name: str) -> None:
    """Check that a path was not made from an address, by which a folder ``s3:`` would be created.

    Args:
        path: the path.
        name: of the option or argument, for the message.

    Raises:
        ConfigError: if it was.
    """
    if _ADDRESS_AS_PATH.match(str(path)) and not path.exists():
        address = str(path).replace(":", ":/", 1)
        raise ConfigError(
            f"{name} {in_brief(address, 100)} is an address; expected a path of this machine here: copy what "
            "is there to a folder"
        )


def is_local(place: Place) -> bool:
    """Whether a place is a path of this machine."""
    return isinstance(place, Path)


def full_name(place: Place) -> str:
    """The absolute path, or the address."""
    return str(place.absolute()) if isinstance(place, Path) else str(place)


def is_folder(place: Place) -> bool:
    """Whether there is a folder; in a store, whether there is an object in it.

    Raises:
        OSError: if a store cannot be read.
    """
    if isinstance(place, Path):
        return place.is_dir()
    return _kind_of(place) == "directory"


def is_file(place: Place) -> bool:
    """Whether there is a file.

    Raises:
        OSError: if a store cannot be read.
    """
    if isinstance(place, Path):
        return place.is_file()
    return _kind_of(place) == "file"


def state_of(place: Place) -> State:
    """Size and change of a file.

    Raises:
        OSError: if there is none, or it cannot be read.
    """
    if isinstance(place, Path):
        return _state_of(place.stat())
    with _as_os_errors(place):
        found = _file_system(place).info(place.path)
        if found["type"] != "file":
            raise FileNotFoundError("a folder, not a file")
        return _state_in(found)


def names_in(folder: Place) -> list[str]:
    """The names of the files and folders in a folder, sorted.

    Raises:
        OSError: if there is none, or it cannot be read.
    """
    if isinstance(folder, Path):
        return sorted(os.listdir(folder))  # noqa: PTH208  # of hundreds of thousands
    return sorted(_list(folder))


def folders_in(folder: Place) -> list[Place]:
    """The folders in a folder, sorted; none if it does not exist.

    Raises:
        OSError: if it cannot be read.
    """
    if isinstance(folder, Path):
        return [each for each in sorted(folder.iterdir()) if each.is_dir()] if folder.is_dir() else []
    with suppress(FileNotFoundError):
        found = _list(folder)
        return [folder / name for name in sorted(found) if found[name]["type"] == "directory"]
    return []


def states_in(folder: Place) -> dict[str, State]:
    """The states of the files in a folder, by name, sorted; in a store without a request for each.

    Raises:
        OSError: if it does not exist, or cannot be read.
    """
    if isinstance(folder, Path):
        states = {}
        with os.scandir(folder) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):  # deleted meanwhile, or a link that leads nowhere
                    if entry.is_file():
                        states[entry.name] = _state_of(entry.stat())
    else:
        found = _list(folder)
        states = {name: _state_in(each) for name, each in found.items() if each["type"] == "file"}
    return dict(sorted(states.items()))


def files_below(folder: UPath) -> dict[Place, State]:
    """The states of all files in a folder of a store and the folders in it, sorted; of a file its own.

    Raises:
        OSError: if there are none, or they cannot be read.
    """
    with _as_os_errors(folder):
        found = _file_system(folder).find(folder.path, detail=True)
    own = folder.path.strip("/")
    below = {path.strip("/").removeprefix(own).strip("/"): each for path, each in found.items()}
    if not below:
        raise FileNotFoundError(errno.ENOENT, "it does not exist", str(folder))
    return {folder / name if name else folder: _state_in(each) for name, each in sorted(below.items())}


def read_bytes(place: Place) -> bytes:
    """The content of a file.

    Raises:
        OSError: if there is none, or it cannot be read.
    """
    if isinstance(place, Path):
        return place.read_bytes()
    return _read_range(place, None)


def read_start(place: Place) -> Start:
    """The first 64 kB of a file, or all of it.

    Raises:
        OSError: if there is none, or it cannot be read.
    """
    if isinstance(place, Path):
        with place.open("rb") as file:
            return Start(file.read(_START), os.fstat(file.fileno()).st_size)
    content = _read_range(place, _START)
    if len(content) < _START:
        return Start(content, len(content))
    return Start(content, state_of(place).size)


def read_starts(
    folder: Place, states: Iterable[tuple[str, State]], at_once: int = 1
) -> Iterator[tuple[str, Start | OSError]]:
    """The starts of files in a folder of a store, by name: of many at once, or the error of each.

    Args:
        folder: the folder.
        states: of the files, by name.
        at_once: number of files that are read first. Then it is doubled, so that who needs only the first
            file does not wait for many.
    """
    assert not isinstance(folder, Path)
    remaining = iter(states)
    while chosen := list(islice(remaining, at_once)):
        at_once = min(2 * at_once, _AT_ONCE)
        paths = [(folder / name).path for name, _ in chosen]
        with _as_os_errors(folder):
            found = _file_system(folder).cat_ranges(
                paths, 0, [max(1, min(state.size, _START)) for _, state in chosen], on_error="return"
            )
        for (name, state), content in zip(chosen, found, strict=True):
            if isinstance(content, bytes):
                yield name, Start(content, state.size)
            else:
                yield name, _as_os_error(folder / name, content)


def write_bytes(place: Place, *parts: bytes | memoryview) -> None:
    """Write the parts of a file, or leave the old one as it is; readers find the old or the new one.

    Raises:
        OSError: if it cannot be written; its ``filename`` is the place.
    """
    if isinstance(place, Path):
        write_bytes_atomically(place, *parts)
        return
    content = b"".join(parts)
    with _as_os_errors(place):
        files = _file_system(place)
        if place.protocol in _OBJECT_STORES:
            files.pipe_file(place.path, content)
        else:
            _write_and_move(files, place, content)


def _write_and_move(files: AbstractFileSystem, place: UPath, content: bytes) -> None:
    from fsspec import AbstractFileSystem

    if type(files).mv is AbstractFileSystem.mv:  # which copies
        raise OSError(errno.ENOTSUP, f"{place.protocol}:// cannot replace a file in one step")
    part = (place.parent / hidden_name()).path
    files.makedirs(place.parent.path, exist_ok=True)
    try:
        files.pipe_file(part, content)
        files.mv(part, place.path)
    except BaseException:
        with suppress(Exception):
            files.rm_file(part)
        raise


def add_part(place: Place, content: bytes) -> None:
    """Write a new file beside a place of a store, which cannot be appended to: ``NAME-DIGITS.SUFFIX``.

    Raises:
        OSError: as `write_bytes`.
    """
    write_bytes(place.with_name(f"{place.stem}-{uuid.uuid4().hex}{place.suffix}"), content)


def read_parts(place: Place) -> list[bytes]:
    """The contents of the files that `add_part` wrote; none if there are none.

    Raises:
        OSError: if the store cannot be read.
    """
    assert not isinstance(place, Path)
    part = re.compile(rf"{re.escape(place.stem)}-[0-9a-f]{{32}}{re.escape(place.suffix)}")
    try:
        paths = [(place.parent / name).path for name in names_in(place.parent) if part.fullmatch(name)]
    except FileNotFoundError:
        return []
    with _as_os_errors(place):
        found = _file_system(place).cat_ranges(paths, 0, None, on_error="return") if paths else []
    return [each for each in found if isinstance(each, bytes)]


def lock_of(place: Place) -> AbstractContextManager[None]:
    """The lock of a file, as `holding_lock`; a store has no locks.

    Raises:
        OSError: if the file cannot be created.
    """
    return holding_lock(place) if isinstance(place, Path) else nullcontext()


@contextmanager
def local_copy(place: Place) -> Iterator[Path]:
    """The path of a file: of a store, that of a temporary copy, which is deleted after the block.

    A copy that a killed process has left behind is deleted by the next one.

    Raises:
        OSError: if it cannot be read, or the copy cannot be written.
        SkdpipeError: those of the block, in which the file is named, not the copy.
    """
    if isinstance(place, Path):
        yield place
        return
    with temporary_folder() as folder:
        # With the parts of the address, for warnings about the file.
        path = folder.joinpath(*(part for part in place.path.split("/") if part not in {"", ".", ".."}))
        path.parent.mkdir(parents=True, exist_ok=True)
        with _as_os_errors(place):
            _file_system(place).get_file(place.path, str(path))
        try:
            yield path
        except SkdpipeError as error:
            error.args = tuple(str(each).replace(str(path), str(place)) for each in error.args)
            raise


def _kind_of(place: UPath) -> str:
    """``file`` or ``directory``; empty if there is nothing."""
    with suppress(FileNotFoundError), _as_os_errors(place):
        return str(_file_system(place).info(place.path)["type"])
    return ""


def _read_range(place: UPath, length: int | None) -> bytes:
    with _as_os_errors(place):
        files = _file_system(place)
        try:
            content = files.cat_file(place.path, start=0, end=length)  # with a range, s3fs makes one request
        except OSError as error:
            if error.errno != errno.EINVAL or files.info(place.path)["size"]:  # no range in an empty object
                raise
            return b""
    assert isinstance(content, bytes)
    return content


def _list(folder: UPath) -> dict[str, dict[str, Any]]:
    """What fsspec knows about the files and folders in a folder, by name."""
    with _as_os_errors(folder):
        found = _file_system(folder).ls(folder.path, detail=True)
    own = folder.path.strip("/")
    named = {each["name"].strip("/"): each for each in found}
    return {path.rpartition("/")[2]: each for path, each in named.items() if path != own}


def _state_of(status: os.stat_result) -> State:
    return State(status.st_size, status.st_mtime_ns, status.st_mtime)


def _state_in(found: dict[str, Any]) -> State:
    tag = next((str(found[name]) for name in _TAGS if found.get(name)), "").strip('"')
    time = next((found[name] for name in _TIMES if found.get(name)), 0.0)
    if isinstance(time, datetime):
        time = time.timestamp()
    return State(int(found["size"]), tag or str(time), time if isinstance(time, float) else 0.0)


def _file_system(place: UPath) -> AbstractFileSystem:
    """The file system of this process, which remembers no lists of files.

    That of `UPath.fs` would be used after a fork, which it does not survive.
    """
    from fsspec import filesystem

    files = filesystem(place.protocol, **place.storage_options)
    files.invalidate_cache()
    return files


@contextmanager
def _as_os_errors(place: UPath) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise _as_os_error(place, error) from error


def _as_os_error(place: UPath, error: BaseException) -> OSError:
    """Any error of a store as an OSError with a number, a text and the address."""
    match error:
        case FileNotFoundError():
            code = errno.ENOENT
        case PermissionError():
            code = errno.EACCES
        case OSError(errno=int(number)):
            code = number
        case _:
            code = errno.EIO
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    if code == errno.ENOENT and (not text or place.path.strip("/") in text):
        text = "it does not exist"
    elif not isinstance(error, OSError) or not text:
        text = in_one_line(error) if isinstance(error, Exception) else repr(error)
    return OSError(code, f"{' '.join(text.split()):.200}", str(place))
