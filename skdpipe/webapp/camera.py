"""Requests of the camera page: pictures, a few in a second, one after the other."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool

from skdpipe.webapp.live_session import LiveSession
from skdpipe.webapp.services import Given
from skdpipe.webapp.uploads import GoneError, TooLargeError
from skdpipe.webapp.worker import Job

router = APIRouter(prefix="/api/camera")

_PATIENCE: Final = 20.0  # seconds for a picture behind other work

Seconds = Annotated[float, Query(ge=0, allow_inf_nan=False)]


@router.post("")
def begin(student: str, services: Given) -> dict[str, str]:
    """Begin a session, which ends the one before; the result of the job is its name."""

    def work(_: Job) -> str:
        services.live = LiveSession(services.students.load(student), services.settings.limits)
        return services.live.id

    return {"job": services.worker.submit(work).id}


@router.post("/{session}/pictures")
async def label(session: str, seconds: Seconds, request: Request, services: Given) -> dict[str, Any]:
    """Label a picture: the body is JPEG."""
    live = _find(services.live, session)
    picture, most = bytearray(), services.settings.limits.image_bytes
    async for chunk in request.stream():
        picture += chunk
        if len(picture) > most:
            raise TooLargeError(f"the picture is larger than {most / 2**20:g} MiB")

    def work(_: Job) -> dict[str, Any]:
        return live.label(bytes(picture), seconds)

    result: dict[str, Any] = await run_in_threadpool(services.worker.run, work, _PATIENCE)
    return result


@router.delete("/{session}")
def end(session: str, services: Given) -> dict[str, Any]:
    """End a session; the last segments."""
    live = _find(services.live, session)
    services.live = None
    result: dict[str, Any] = services.worker.run(lambda _: live.finish(), _PATIENCE)
    return result


def _find(live: LiveSession | None, session: str) -> LiveSession:
    if live is None or live.id != session:
        raise GoneError("the camera is used by another page now; start it again")
    return live
