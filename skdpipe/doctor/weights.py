"""Weights of pose estimators, and exported networks: whether they are there and intact."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Final

from skdpipe.doctor.setup import Check, Setup
from skdpipe.doctor.sizes import size
from skdpipe.errors import PoseError, SkdpipeError, in_one_line
from skdpipe.finding import Finding, first_few

if TYPE_CHECKING:
    from skdpipe.config import Estimator, OpenPifPafSettings, RtmlibSettings
    from skdpipe.pose.openpifpaf.catalogue import PublishedWeights

_SECONDS: Final = 10.0  # for an address


def check_embedded(_: Setup) -> Iterator[Finding]:
    """Whether the networks that come with skdpipe have the tensors that they were published with."""
    from skdpipe.pose.openpifpaf.catalogue import EMBEDDED_CHECKSUMS
    from skdpipe.pose.openpifpaf.weights_file import embedded_path
    from skdpipe.tensor_file import TensorFileError, digest_of_tensors

    remedy = "reinstall skdpipe; in a clone, git checkout models"
    for name, checksum in EMBEDDED_CHECKSUMS.items():
        path = embedded_path(name)
        try:
            is_intact = digest_of_tensors(path) == checksum
        except FileNotFoundError:
            yield Finding(name, "problem", f"{path} does not exist", remedy)
            continue
        except (OSError, TensorFileError) as error:
            yield Finding(name, "problem", f"{path} cannot be read ({in_one_line(error)})", remedy)
            continue
        if is_intact:
            yield Finding(name, "fine", f"comes with skdpipe, {size(path.stat().st_size)}, checksum right")
        else:
            yield Finding(name, "problem", f"{path} has other weights than published", remedy)


def check_downloaded(_: Setup) -> Iterator[Finding]:
    """Whether downloaded weights are complete and have the checksum that belongs to them."""
    from skdpipe.pose.openpifpaf.catalogue import PUBLISHED

    for published in PUBLISHED:
        yield from _check_published(published)


def _check_published(published: PublishedWeights) -> Iterator[Finding]:
    from skdpipe.file_digest import sha256_of
    from skdpipe.pose.openpifpaf.weights_file import converted_path, read_weights_header
    from skdpipe.tensor_file import TensorFileError, read_tensors

    converted = converted_path(published)
    checkpoint = converted.with_name(published.file)
    again = f"delete it, then run `skdpipe pose-weights fetch {published.name}`"
    if checkpoint.is_file() and not sha256_of(checkpoint).startswith(published.digest):
        text = f"the checksum of {checkpoint} is not that in its name"
        yield Finding(published.name, "problem", text, again)
    if not converted.is_file():
        return
    try:
        read_weights_header(converted, published.backbone)
        read_tensors(converted)
    except (PoseError, TensorFileError, OSError) as error:
        yield Finding(published.name, "problem", f"{converted} is damaged ({in_one_line(error)})", again)
    else:
        text = f"downloaded, {size(converted.stat().st_size)}, intact"
        yield Finding(published.name, "fine", text)


def check_config(setup: Setup) -> Iterator[Finding]:
    """Whether the weights that the config names are there."""
    try:
        extraction = setup.extraction()
    except SkdpipeError:
        return  # a finding about the config says so
    if extraction is None:
        return
    chosen = {"high": extraction.high, "low": extraction.low}
    for quality, settings in chosen.items():
        yield _check_estimator(f"{quality}-quality", settings, online=setup.online)


def _check_estimator(name: str, settings: Estimator, *, online: bool) -> Finding:
    if settings.kind == "openpifpaf":
        return _check_openpifpaf(name, settings, online=online)
    if settings.kind == "rtmlib":
        return _check_rtmlib(name, settings)
    location = settings.plugin.rpartition(":")[0]
    if location.endswith(".py"):
        from skdpipe.pose.load import plugin_file

        if not plugin_file(location).is_file():
            text = f"the plugin {location} does not exist"
            return Finding(name, "problem", text, "change the config's plugin, or run in its folder")
    return Finding(name, "fine", f"the plugin {settings.plugin} brings its own weights")


def _check_openpifpaf(name: str, settings: OpenPifPafSettings, *, online: bool) -> Finding:
    from skdpipe.pose.openpifpaf.weights_file import find, read_weights_header, weights_file

    try:
        file = weights_file(settings.weights)
        if file is not None:
            read_weights_header(file, settings.backbone)
    except PoseError as error:
        remedy = "change backbone or weights; `skdpipe pose-weights` lists those with a name"
        return Finding(name, "problem", str(error), remedy)
    if file is not None:
        return Finding(name, "fine", f"{settings.weights}: present")
    if Path(settings.weights).suffix == ".pkl" or Path(settings.weights).is_file():
        if Path(settings.weights).is_file():
            return Finding(name, "fine", f"{settings.weights}: a checkpoint of OpenPifPaf")
        return Finding(name, "problem", f"{settings.weights} does not exist", "change the config's weights")
    published = find(settings.weights)
    text = f"{published.name} is not here; {published.megabytes:g} MB are downloaded at the first use"
    command = f"`skdpipe pose-weights fetch {published.name}` downloads it now"
    if not online:
        return Finding(name, "note", text, f"{command}; --online tries the address")
    failures = [failure for address in published.addresses if (failure := _failure(address))]
    if len(failures) < len(published.addresses):
        return Finding(name, "note", f"{text}, and its address answers", command)
    return Finding(
        name,
        "problem",
        f"{published.name} is not here and cannot be downloaded: {'; '.join(failures)}",
        "connect to the network, set HTTPS_PROXY, or copy the file as `skdpipe pose-weights fetch "
        f"{published.name}` says",
    )


def _failure(address: str) -> str:
    """Why an address does not answer; empty if it does."""
    request = urllib.request.Request(address, method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS):
            return ""
    except (OSError, HTTPException) as error:
        return f"{address} ({in_one_line(error)})"


def _check_rtmlib(name: str, settings: RtmlibSettings) -> Finding:
    given = [each for each in (settings.detector, settings.pose) if each]
    if missing := [each for each in given if not Path(each).is_file()]:
        return Finding(name, "problem", f"{missing[0]} does not exist", "change the config's networks")
    if len(given) == (1 if settings.model == "rtmo" else 2):
        return Finding(name, "fine", f"{' and '.join(given)}: present")
    return Finding(
        name,
        "note",
        f"the networks of {settings.model} {settings.mode} are downloaded at the first use, unless they are "
        "in rtmlib's folder",
        "run the first extraction with network access, or give detector and pose in the config",
    )


def check_exported(_: Setup) -> Iterator[Finding]:
    """Whether exported networks have the checksums in their names."""
    from skdpipe.runtimes import stored_exports, user_cache

    count, total, damaged = 0, 0, list[Path]()
    for path, is_intact in stored_exports():
        count, total = count + 1, total + path.stat().st_size
        if not is_intact:
            damaged.append(path)
    folder = user_cache() / "exported"
    if damaged:
        names = first_few([each.name for each in damaged], 1)
        yield Finding(
            "exported",
            "warning",
            f"{len(damaged)} of {count} exported networks in {folder} are damaged: {names}",
            "delete them; they are exported again when they are needed",
        )
    elif count:
        text = f"{count} exported networks, {size(total)}, checksums right, in {folder}"
        yield Finding("exported", "fine", text)


def check_leftovers(_: Setup) -> Iterator[Finding]:
    """What broken downloads and killed processes have left in the user's cache."""
    from skdpipe.runtimes import user_cache

    folder = user_cache()
    parts = sorted(each for each in folder.rglob("*.part") if each.is_file())
    if parts:
        total = size(sum(each.stat().st_size for each in parts))
        names = first_few([each.name for each in parts], 1)
        yield Finding(
            "leftovers",
            "note",
            f"{len(parts)} unfinished files, {total}, in {folder}: {names}",
            "`skdpipe pose-weights fetch NAME` goes on with a download; otherwise delete them if no skdpipe "
            "is running",
        )


CHECKS: Final[dict[str, Check]] = {
    "embedded": check_embedded,
    "downloaded": check_downloaded,
    "config": check_config,
    "exported": check_exported,
    "leftovers": check_leftovers,
}
