"""Weights of pose networks: safetensors of skdpipe, and checkpoints of OpenPifPaf."""

from __future__ import annotations

import math
import shlex
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from skdpipe.file_digest import sha256_of
from skdpipe.info.description import Description, Fact, commands_for, listed, size_of
from skdpipe.info.tensors import check_tensors
from skdpipe.pose.openpifpaf.catalogue import EMBEDDED, LICENSE, PUBLISHED, PublishedWeights
from skdpipe.pose.openpifpaf.weights_file import embedded_path, read_weights_header
from skdpipe.tensor_file import digest_of_tensors, read_header

_OLD_CHECKPOINT: Final = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # of torch before 1.6
_MOST_ENTRIES: Final = 20_000


def describe_pose_network(path: Path) -> Description:
    """Describe the weights of a pose network.

    Raises:
        PoseError: if the header is damaged.
    """
    backbone = read_header(path).metadata.get("backbone", "")
    header = read_weights_header(path, backbone)
    intact, problem = check_tensors(path, "train or fetch it again")
    parameters = sum(math.prod(each.shape) for each in header.tensors.values())
    name = next((name for name in EMBEDDED if _is_same(embedded_path(name), path)), None)
    facts = [
        Fact("backbone", backbone),
        Fact(
            "heads",
            "2019" if header.of_2019 else "0.13",
            f"OpenPifPaf {'of 2019' * header.of_2019 or '0.13'}",
        ),
        Fact("upsample", header.upsample),
        Fact("values", parameters, f"{parameters:,} in {len(header.tensors)} tensors"),
        Fact("training", header.notes, listed(header.notes) if isinstance(header.notes, Mapping) else ""),
        Fact("weights", name or str(path)),
        Fact("licence", LICENSE),
    ]
    if not problem:
        facts.append(Fact("checksum", digest_of_tensors(path)))
    facts += [commands_for(path, _command(backbone, name or "{}")), size_of([path]), intact]
    embedded = f", embedded as {name}" if name else ""
    return Description(
        path,
        "pose network",
        f"weights of an OpenPifPaf network: {backbone}{embedded}",
        tuple(facts),
        (problem,) if problem else (),
    )


def _command(backbone: str, weights: str) -> str:
    return f"skdpipe extract VIDEOS --set low.backbone={shlex.quote(backbone)} --set low.weights={weights}"


def _is_same(one: Path, other: Path) -> bool:
    return one.exists() and one.samefile(other)


def is_checkpoint(path: Path, start: bytes) -> bool:
    """Whether a file is a checkpoint of torch; nothing in it is unpickled."""
    if start.startswith(_OLD_CHECKPOINT):
        return True
    if not start.startswith(b"PK"):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()[:_MOST_ENTRIES]
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return False
    return any(name.endswith("/data.pkl") for name in names)


def describe_checkpoint(path: Path) -> Description:
    """Describe a checkpoint of torch, such as those of OpenPifPaf, without reading its content."""
    digest = sha256_of(path)
    published = next((each for each in PUBLISHED if digest.startswith(each.digest)), None)
    facts = [size_of([path]), Fact("sha256", digest)]
    if published is not None:
        facts += _published(published)
    backbone = published.backbone if published is not None else "BACKBONE"
    facts.append(commands_for(path, _command(backbone, "{}")))
    what = f"the published weights {published.name}" if published is not None else "perhaps of OpenPifPaf"
    return Description(
        path,
        "checkpoint",
        f"a checkpoint of PyTorch, {what}: a pickle, which skdpipe never unpickles",
        tuple(facts),
        notes=(
            "a pickle is a program that other tools would run: skdpipe reads only tensors and the names of "
            "modules from it",
        ),
    )


def _published(weights: PublishedWeights) -> list[Fact]:
    ap = Fact(
        "ap",
        weights.ap,
        f"{weights.ap} % on COCO, as published" if weights.ap is not None else "not published",
    )
    return [
        Fact("weights", weights.name),
        Fact("backbone", weights.backbone),
        ap,
        Fact("source", weights.source),
        Fact("licence", weights.license),
    ]
