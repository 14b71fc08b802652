"""Requests about the clips of the user: receive, label, download the labels."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse, JSONResponse

from skdpipe.inference import FootageSettings
from skdpipe.inference.segment_files import write_csv, write_webvtt
from skdpipe.overlay.colours import person_colour
from skdpipe.webapp.conversion import convert_clip
from skdpipe.webapp.labelling import Labelled, label_clip
from skdpipe.webapp.services import Given
from skdpipe.webapp.uploads import GoneError, TooLargeError
from skdpipe.webapp.worker import Job

router = APIRouter(prefix="/api")

_PEOPLE = 7  # colours, after which they repeat


@router.get("/state")
def describe(services: Given) -> dict[str, Any]:
    """What the page offers."""
    settings, limits = services.settings, services.settings.limits
    return {
        "students": [*services.students.list()],
        "read_only": settings.read_only,
        "people_colours": [list(person_colour(number)) for number in range(_PEOPLE)],
        "limits": {"bytes": limits.upload_bytes, "seconds": limits.seconds},
    }


@router.post("/clips")
async def receive(request: Request, services: Given, name: str = "clip") -> dict[str, Any]:
    """Receive a clip: the body is the file."""
    stated = request.headers.get("content-length", "")
    most = services.settings.limits.upload_bytes
    if stated.isdecimal() and int(stated) > most:
        raise TooLargeError(f"the clip is larger than {most / 2**20:g} MiB; choose a smaller one")
    clip = await services.uploads.receive(name, request.stream())
    services.remove_superfluous()
    return {"id": clip.id, "name": clip.name, "seconds": clip.seconds, "size": clip.size, "fps": clip.fps}


@router.delete("/clips/{clip}")
def remove(clip: str, services: Given) -> None:
    """Delete a clip and its results."""
    services.remove_clip(clip)


@router.post("/clips/{clip}/labels")
def label(
    clip: str, student: str, services: Given, people: Literal["", "apart", "together"] = ""
) -> dict[str, str]:
    """Begin to label a clip, in segments if people are labelled apart or together."""
    found = services.uploads.find(clip)

    def work(job: Job) -> Labelled:
        footage = FootageSettings(per_person=people == "apart") if people else None
        return label_clip(services.students.load(student), found, footage, job)

    return {"job": services.worker.submit(work, owner=clip).id}


@router.post("/clips/{clip}/playable")
def convert(clip: str, services: Given) -> dict[str, str]:
    """Begin to convert a clip that the browser does not play."""
    found = services.uploads.find(clip)
    return {"job": services.worker.submit(lambda job: convert_clip(found, job), owner=clip).id}


@router.get("/clips/{clip}/video")
def play(clip: str, services: Given) -> FileResponse:
    """The converted clip."""
    path = services.uploads.find(clip).playable
    if not path.is_file():
        raise GoneError("the clip is not converted; choose it again")
    return FileResponse(path, media_type="video/mp4")


@router.get("/jobs/{job}")
def watch(job: str, services: Given) -> Response:
    """How far a job is, and its result."""
    found = services.find_job(job)
    result = found.result.page if isinstance(found.result, Labelled) else found.result
    page = {"state": found.state, "done": found.done, "total": found.total, "error": found.error}
    return JSONResponse({**page, "result": result if found.state == "done" else None})


@router.delete("/jobs/{job}")
def cancel(job: str, services: Given) -> None:
    """Cancel a job."""
    services.find_job(job).cancel()


@router.get("/jobs/{job}/segments.{kind}")
def download(job: str, kind: Literal["csv", "vtt"], services: Given) -> Response:
    """The segments of a clip as a file."""
    found = services.find_job(job)
    if not isinstance(found.result, Labelled):
        raise GoneError("the clip has no labels yet; wait until it is labelled")
    timeline = replace(found.result.timeline, source=services.uploads.find(found.owner).name)
    with tempfile.TemporaryDirectory(prefix="skdpipe-app-") as folder:
        path = Path(folder) / f"segments.{kind}"
        if kind == "csv":
            write_csv([timeline], path)
        else:
            write_webvtt(timeline, path)
        content = path.read_bytes()
    headers = {"content-disposition": f'attachment; filename="segments.{kind}"'}
    return Response(content, media_type=f"text/{kind}; charset=utf-8", headers=headers)
