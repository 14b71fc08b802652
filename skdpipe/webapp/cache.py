"""Requests about the pose cache: search clips, and show their skeletons in both qualities."""

from __future__ import annotations

import mimetypes
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Body
from fastapi.responses import FileResponse, JSONResponse

from skdpipe.cache import PoseCache
from skdpipe.cache.corrections import RelabelReport, correct_label, undo_corrections
from skdpipe.errors import CacheError, DataError, in_brief
from skdpipe.inference.pose_footage import frames_of
from skdpipe.printable import printable
from skdpipe.webapp.cache_index import CachedClip
from skdpipe.webapp.cached_videos import find_video
from skdpipe.webapp.labelling import poses_to_json
from skdpipe.webapp.services import Given, ReadOnlyError, Services
from skdpipe.webapp.uploads import GoneError

router = APIRouter(prefix="/api/cache")


@router.get("")
def search(
    services: Given,
    text: str = "",
    label: str | None = None,
    split: str | None = None,
    page: int = 0,
    refresh: bool = False,
) -> dict[str, Any]:
    """A page of the clips that are found."""
    if refresh:
        services.cache_index.refresh()
    found = services.cache_index.find(text, label, split, page)
    return {
        "clips": [_row(each) for each in found.clips],
        "total": found.total,
        "page": found.page,
        "pages": found.pages,
        "labels": [[name, printable(name), count] for name, count in found.labels.items()],
        "splits": [[name, printable(name), count] for name, count in found.splits.items()],
        "damaged": found.damaged,
        "read": found.read,
        "is_reading": found.is_reading,
        "folder": printable(str(services.settings.cache)),
    }


@router.get("/{key}")
def describe(key: str, services: Given) -> dict[str, Any]:
    """A clip and the files that it has."""
    clip = _find(services, key)
    return {
        **_row(clip),
        "corrected": bool(clip.labelled.original),
        "original": _text(dict(clip.labelled.original).get("label", clip.labelled.label)),
        "has_video": find_video(clip, services.settings.videos) is not None,
        "files": [
            {
                "quality": each.quality,
                "settings": printable(each.settings),
                "label": _text(each.label),
                "frames": each.frames,
            }
            for each in clip.files
        ],
    }


@router.put("/{key}/label")
def correct(key: str, label: Annotated[str, Body(embed=True)], services: Given) -> dict[str, Any]:
    """Correct the label of a clip in all its files, as `skdpipe cache relabel` does."""
    label = label.strip()
    if printable(label) != label:
        raise DataError(
            f"label {in_brief(printable(label), 100)}; expected printable text without control characters"
        )
    return _change(services, key, lambda cache: correct_label(cache, key, label))


@router.delete("/{key}/label")
def undo(key: str, services: Given) -> dict[str, Any]:
    """Restore the labels that a clip had before they were corrected."""
    return _change(services, key, lambda cache: undo_corrections(cache, [key], write=True))


def _change(services: Services, key: str, change: Callable[[PoseCache], RelabelReport]) -> dict[str, Any]:
    """Change the labels of a clip; the clip as it is then, and the number of files that were written.

    Raises:
        ReadOnlyError: if the page only reads.
        CacheError: if a file cannot be changed.
    """
    if services.settings.read_only:
        raise ReadOnlyError("the page was started with --read-only, and labels cannot be corrected")
    _find(services, key)
    report = change(PoseCache(services.settings.cache))
    if report.failed:
        path, reason = report.failed[0]
        raise CacheError(f"{path} was not changed: {reason}")
    return {**describe(key, services), "written": report.files}


@router.get("/{key}/poses/{number}")
def poses(key: str, number: int, services: Given) -> JSONResponse:
    """The skeletons of a file of a clip, by its place in the list."""
    clip = _find(services, key)
    if not 0 <= number < len(clip.files):
        raise GoneError("the skeletons are not there any more; load the page again")
    sequence = PoseCache(services.settings.cache).load(clip.files[number].path)
    drawn = poses_to_json(frames_of(sequence), sequence.layout, sequence.size)
    return JSONResponse({"seconds": sequence.duration, "poses": drawn})


@router.get("/{key}/video")
def video(key: str, services: Given) -> FileResponse:
    """The video of a clip, if the user has named its folder."""
    path = find_video(_find(services, key), services.settings.videos)
    if path is None:
        raise GoneError("the video is not there, or in no folder of --videos")
    return FileResponse(path, media_type=mimetypes.guess_type(path.name)[0] or "video/mp4")


def _find(services: Services, key: str) -> CachedClip:
    clip = services.cache_index.clip(key)
    if clip is None:
        raise GoneError("the clip is not in the cache any more; search again")
    return clip


def _row(clip: CachedClip) -> dict[str, Any]:
    shown = clip.labelled
    return {
        "key": clip.key,
        "source": printable(shown.source),
        "label": _text(shown.label),
        "split": _text(shown.split),
        "subject": _text(shown.subject),
        "seconds": round(max(each.seconds for each in clip.files), 3),
        "qualities": sorted({each.quality for each in clip.files}),
    }


def _text(value: str | None) -> str:
    return "" if value is None else printable(value)
