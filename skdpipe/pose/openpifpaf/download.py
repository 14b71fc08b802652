"""Resumable download of a file with a checksum from one of several addresses."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError

from skdpipe.atomic_file import atomic_path, remove_leftovers
from skdpipe.errors import PoseError
from skdpipe.file_digest import sha256_of
from skdpipe.progress import Progress

_CHUNK = 1 << 18
_SECONDS = 30.0  # timeout without data
_RANGE_NOT_SATISFIABLE = 416
_PARTIAL = 206


def download(addresses: Sequence[str], path: Path, digest: str, progress: Progress) -> None:
    """Download a file, and keep it if its checksum is correct.

    Received data is kept in ``<name>.part`` beside the file. The next call requests the remaining bytes; if
    the server does not support ranges, the download restarts.

    Args:
        addresses: URLs, tried in this order.
        path: path of the file.
        digest: first digits of its sha256.
        progress: displays the number of megabytes received.

    Raises:
        PoseError: if no address provides the file; the message contains the failure of each.
        OSError: if the file cannot be written.
    """
    part = path.with_name(f"{path.name}.part")
    failures = []
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(path.parent)
    for address in addresses:
        try:
            _fetch(address, part, progress)
        except (OSError, HTTPException) as error:
            if isinstance(error, OSError) and error.filename == str(part):  # not the address failed
                raise
            failures.append(f"{address} ({' '.join(str(error).split())[:160]})")
            continue
        if sha256_of(part).startswith(digest):
            with atomic_path(path) as new:
                part.replace(new)
            return
        part.unlink()
        failures.append(f"{address} (its checksum does not begin with {digest})")
    raise PoseError("; ".join(failures))


def _fetch(address: str, part: Path, progress: Progress) -> None:
    received = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(address, headers={"Range": f"bytes={received}-"} if received else {})
    try:
        response = urllib.request.build_opener().open(request, timeout=_SECONDS)
    except HTTPError as error:
        if received and error.code == _RANGE_NOT_SATISFIABLE:  # the part is complete, or too long
            return
        raise
    with response:
        resumed = response.status == _PARTIAL and _starts_at(response.headers.get("Content-Range"), received)
        received = received if resumed else 0
        length = response.headers.get("Content-Length")
        total = received + int(length) if length else None
        with (
            part.open("ab" if resumed else "wb") as file,
            progress.task(part.stem, total and total / 1e6, unit="MB") as task,
        ):
            task.advance_to(received / 1e6)
            while chunk := response.read(_CHUNK):
                with _naming(part):
                    file.write(chunk)
                    file.flush()
                received += len(chunk)
                task.advance_to(received / 1e6)
    if total is not None and received < total:
        raise OSError(f"ended after {received} of {total} bytes")


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Raise the OSErrors of the block with the path of the file that they are about."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def _starts_at(content_range: str | None, position: int) -> bool:
    return bool(content_range) and str(content_range).startswith(f"bytes {position}-")
