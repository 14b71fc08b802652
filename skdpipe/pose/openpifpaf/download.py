"""A file from the network: from whichever address has it, going on where it stopped, whole or not at all."""

from __future__ import annotations

import hashlib
import urllib.request
from collections.abc import Sequence
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError

from skdpipe.errors import PoseError
from skdpipe.progress import Progress

_CHUNK = 1 << 18
_SECONDS = 30.0  # without a byte
_RANGE_REFUSED = 416
_PARTIAL = 206


def download(addresses: Sequence[str], path: Path, digest: str, progress: Progress) -> None:
    """Fetch a file and keep it if its checksum is right.

    What has come is kept in a file beside it until all is there; the next call goes on from there if the
    server knows how, and starts anew if it does not.

    Args:
        addresses: tried in this order.
        path: where the file shall be.
        digest: how its sha256 begins.
        progress: shown how many megabytes have come.

    Raises:
        PoseError: if no address gives the file, with what became of each.
    """
    part = path.with_name(f"{path.name}.part")
    failures = []
    for address in addresses:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _fetch(address, part, progress)
        except (OSError, HTTPException) as error:
            failures.append(f"{address} ({' '.join(str(error).split())[:160]})")
            continue
        if sha256_of(part).startswith(digest):
            part.replace(path)
            return
        part.unlink()
        failures.append(f"{address} (its checksum does not begin with {digest})")
    raise PoseError("; ".join(failures))


def sha256_of(path: Path) -> str:
    """A file's checksum in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fetch(address: str, part: Path, progress: Progress) -> None:
    there = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(address, headers={"Range": f"bytes={there}-"} if there else {})
    try:
        answer = urllib.request.build_opener().open(request, timeout=_SECONDS)
    except HTTPError as error:
        if there and error.code == _RANGE_REFUSED:  # all is there, or more than all; the checksum will say
            return
        raise
    with answer:
        goes_on = answer.status == _PARTIAL and _begins_at(answer.headers.get("Content-Range"), there)
        there = there if goes_on else 0
        length = answer.headers.get("Content-Length")
        total = there + int(length) if length else None
        with (
            part.open("ab" if goes_on else "wb") as file,
            progress.task(part.stem, total and total / 1e6, unit="MB") as task,
        ):
            task.advance_to(there / 1e6)
            while chunk := answer.read(_CHUNK):
                file.write(chunk)
                there += len(chunk)
                task.advance_to(there / 1e6)
    if total is not None and there < total:
        raise OSError(f"ended after {there} of {total} bytes")


def _begins_at(content_range: str | None, position: int) -> bool:
    return bool(content_range) and str(content_range).startswith(f"bytes {position}-")
