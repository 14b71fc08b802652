"""What the config needs of this machine: readable videos, space on the disk, memory."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from skdpipe.doctor import estimates
from skdpipe.doctor.pose_cache import existing
from skdpipe.doctor.setup import Check, Setup
from skdpipe.doctor.sizes import size
from skdpipe.errors import SkdpipeError, in_one_line
from skdpipe.finding import Finding, Level, first_few

if TYPE_CHECKING:
    from skdpipe.config import Experiment
    from skdpipe.extraction import VideoItem

_PROBED: Final = 400  # videos; the length of the others is estimated by their mean
_EACH: Final = 20  # videos between two signs of life
_TIGHT: Final = 2.0  # less space or memory than this many times the estimate is a warning
_SHARED: Final = Path("/dev/shm")


def check_config(setup: Setup) -> Iterator[Finding]:
    """Whether the config can be read."""
    try:
        extraction, experiment = setup.extraction(), setup.experiment()
    except SkdpipeError as error:
        remedy = "`skdpipe config list` and `skdpipe config show NAME` have the names and settings that exist"
        yield Finding("config", "problem", str(error), remedy)
        return
    found = {"extraction": extraction, "experiment": experiment}
    sections = " and ".join(name for name, section in found.items() if section is not None)
    yield Finding("config", "fine", f"{setup.config} with {sections or 'other settings'}")


def check_videos(setup: Setup) -> Iterator[Finding | None]:
    """Whether the videos can be opened, and their skeletons have space on the disk."""
    from skdpipe.errors import DataError
    from skdpipe.extraction.video_list import find_videos

    items: list[VideoItem] = []
    for where in setup.videos:
        try:
            items += find_videos(where)
        except DataError as error:
            yield Finding("videos", "problem", str(error), "name a video, a folder of videos, or a CSV")
    if not items:
        return
    probed = items[:: -(-len(items) // _PROBED)]
    frames, unreadable = list[int](), list[str]()
    for number, item in enumerate(probed):
        if number % _EACH == 0:
            yield None
        _probe(item, frames, unreadable)
    part = f"{len(items)} videos" if len(probed) == len(items) else f"{len(probed)} of {len(items)} videos"
    if unreadable:
        yield Finding(
            "videos",
            "warning",
            f"{len(unreadable)} of {part} cannot be read: {first_few(unreadable, 1)}",
            "convert them or leave them out; `skdpipe extract` goes on with the others",
        )
    known = [each for each in frames if each]
    if not known:
        return
    total = sum(known) * len(items) // len(known)
    if not unreadable:
        yield Finding("videos", "fine", f"{part}, about {total:,} frames, can be opened")
    yield from _check_disk(setup, len(items), total)


def _probe(item: VideoItem, frames: list[int], unreadable: list[str]) -> None:
    from skdpipe.video import probe

    try:
        frames.append(probe(item.local_path).frames)
    except (SkdpipeError, OSError) as error:
        unreadable.append(str(error) if isinstance(error, SkdpipeError) else in_one_line(error))


def _check_disk(setup: Setup, videos: int, frames: int) -> Iterator[Finding]:
    """Whether the skeletons of so many videos and frames have space; those in the cache are counted too."""
    try:
        extraction = setup.extraction()
    except SkdpipeError:
        return  # the first finding says so
    if extraction is None:
        return
    mean = frames // videos
    need = videos * sum(
        estimates.bytes_on_disk(mean, each, extraction.people) for each in (extraction.high, extraction.low)
    )
    folder = existing(setup.cache)
    yield compare(
        "disk", need, shutil.disk_usage(folder).free, f"skeletons of {videos} videos", f"in {folder}"
    )


def compare(name: str, need: int, free: int, what: str, where: str) -> Finding:
    """The finding about a need, and what is free."""
    text = f"{what}: about {size(need)}, {size(free)} free {where}"
    remedy = {
        "disk": "free some space, or choose a folder on another disk with --cache",
    }.get(name, "set recipe.batch to a smaller number, or choose a smaller network")
    if need > free:
        return Finding(name, "problem", text, remedy)
    if need * _TIGHT > free:
        return Finding(name, "warning", text, remedy)
    return Finding(name, "fine", text)


def check_training(setup: Setup) -> Iterator[Finding | None]:
    """Whether a training has the memory that it needs."""
    experiment = _experiment(setup)
    if experiment is None or find_spec("torch") is None:
        return
    import torch

    from skdpipe.memory import free_memory

    yield None
    clips = _count_clips(setup)
    need = estimates.bytes_of_training(experiment, clips)
    what = f"training with batches of {experiment.recipe.batch}" + (f" and {clips} clips" if clips else "")
    if torch.cuda.is_available():
        yield compare("training", need, torch.cuda.mem_get_info()[0], what, "on the GPU")
    elif (free := free_memory()) is not None:
        yield compare("training", need + estimates.BYTES_OF_TORCH, free, what, "in memory")


def _experiment(setup: Setup) -> Experiment | None:
    try:
        return setup.experiment()
    except SkdpipeError:
        return None  # a finding about the config says so


def _count_clips(setup: Setup) -> int:
    """The number of clips of high quality in the cache."""
    from skdpipe.cache import PoseCache

    cache = PoseCache(setup.cache)
    return sum(1 for folder in cache.folders("high") for _ in cache.files_in(folder))


def check_shared_memory(setup: Setup) -> Iterator[Finding]:
    """Whether the loader can start processes."""
    if not sys.platform.startswith("linux") or (experiment := _experiment(setup)) is None:
        return
    if not _SHARED.is_dir():
        level: Level = "problem" if experiment.recipe.loader_workers else "note"
        text = f"{_SHARED} does not exist; processes of a loader need it"
        yield Finding("shared-memory", level, text, "mount a tmpfs there, or keep recipe.loader_workers at 0")


CHECKS: Final[dict[str, Check]] = {
    "config": check_config,
    "videos": check_videos,
    "training": check_training,
    "shared-memory": check_shared_memory,
}
