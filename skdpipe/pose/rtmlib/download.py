"""Networks that rtmlib publishes, in the folder in which it keeps them."""

from __future__ import annotations

import shutil
import sys
import zipfile
from http.client import HTTPException
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from skdpipe.atomic_file import open_atomically, remove_leftovers
from skdpipe.errors import PoseError, in_one_line

_SECONDS: Final = 5.0  # timeout without data, for each of the addresses of a host


def fetch(address: str) -> Path:
    """The ONNX file of a published archive, which is downloaded and unpacked if the file does not exist.

    rtmlib's own `download_checkpoint` unpacks all archives into one folder and takes the first network that
    it finds there. This can be what an interrupted download or another process has left. Here the file gets
    its name when it is complete, and a damaged archive is not kept.

    Args:
        address: of the archive, as in rtmlib's tables; its mirror is the second choice.

    Raises:
        PoseError: if no address provides the archive, or the file cannot be written; the message contains the
            failure of each.
    """
    from rtmlib.tools.file import _get_rtmhub_dir, download_url_to_file, get_mirror_url

    name = address.rpartition("/")[2].partition(".")[0]
    path = Path(_get_rtmhub_dir()) / "checkpoints" / f"{name}.onnx"  # rtmlib looks for it there
    if path.is_file():
        return path
    remove_leftovers(path.parent)
    failures = []
    for each in filter(None, (address, get_mirror_url(address))):
        with TemporaryDirectory() as folder:
            archive = Path(folder) / "archive.zip"
            try:
                download_url_to_file(each, archive, progress=sys.stderr.isatty(), timeout=_SECONDS)
                _unpack(archive, path)
            except (OSError, HTTPException, zipfile.BadZipFile) as error:
                failures.append(f"{each} ({in_one_line(error)})")
            else:
                return path
    raise PoseError(f"no network {path}, and it cannot be downloaded: tried {'; '.join(failures)}")


def _unpack(archive: Path, path: Path) -> None:
    """Write the network of an archive to a file; its checksum in the archive is verified."""
    with zipfile.ZipFile(archive) as files:
        names = [name for name in files.namelist() if name.endswith("end2end.onnx")]
        if len(names) != 1:
            raise zipfile.BadZipFile(f"{len(names)} files end2end.onnx; expected one")
        with files.open(names[0]) as packed, open_atomically(path) as file:
            shutil.copyfileobj(packed, file)
