"""The ASGI application: the page, its parts, and what happens at start and end."""

from __future__ import annotations

import asyncio
import mimetypes
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from importlib.resources import files
from typing import Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from skdpipe.errors import ConfigError, SkdpipeError, in_one_line
from skdpipe.printable import printable
from skdpipe.webapp import cache, camera, clips, runs
from skdpipe.webapp.guard import Guard, is_loopback
from skdpipe.webapp.services import ReadOnlyError, Services
from skdpipe.webapp.settings import AppSettings
from skdpipe.webapp.uploads import GoneError, TooLargeError
from skdpipe.webapp.worker import BusyError

_TIDYING: Final = 10.0  # seconds between two searches for old clips
_STATUS: Final = ((GoneError, 404), (TooLargeError, 413), (BusyError, 503), (ReadOnlyError, 403))


def build(settings: AppSettings) -> FastAPI:
    """The application.

    Raises:
        ConfigError: if others reach it and there is no token.
    """
    if not is_loopback(settings.host) and not settings.token:
        raise ConfigError(
            f"everybody on the network reaches {settings.host}, and there is no token; set one in AppSettings"
        )

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.services = services = Services(settings)
        tidying = asyncio.create_task(_tidy(services))
        try:
            yield
        finally:
            tidying.cancel()
            services.close()

    app = FastAPI(lifespan=lifespan, openapi_url=None, docs_url=None, redoc_url=None)
    app.add_middleware(Guard, host=settings.host, token=settings.token)
    app.add_exception_handler(Exception, _unforeseen)
    app.add_exception_handler(SkdpipeError, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _not_found)
    _add_page(app)
    for each in (clips, camera, cache, runs):
        app.include_router(each.router)
    return app


async def _tidy(services: Services) -> None:
    while True:
        services.remove_superfluous()
        await asyncio.sleep(_TIDYING)


def _add_page(app: FastAPI) -> None:
    """Serve the files of the page, which are read once."""
    folder = files("skdpipe.webapp") / "static"
    content = {each.name: each.read_bytes() for each in folder.iterdir() if each.is_file()}
    types = {name: mimetypes.guess_type(name)[0] or "application/octet-stream" for name in content}
    types |= {name: "text/javascript" for name in content if name.endswith(".js")}  # not on every Windows

    @app.get("/")
    async def page() -> Response:
        return Response(content["index.html"], media_type="text/html")

    @app.get("/static/{name}")
    async def part(name: str) -> Response:
        if name not in content:
            raise GoneError("there is no such part of the page; load it again")
        return Response(content[name], media_type=types[name])


def _answer(status: int, text: str) -> JSONResponse:
    return JSONResponse({"error": printable(" ".join(text.split()))}, status)


async def _refused(_: Request, error: Exception) -> JSONResponse:
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), 422)
    return _answer(status, str(error))


async def _invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    problem = "?"
    with suppress(LookupError):
        first = error.errors()[0]
        problem = f"{'.'.join(str(part) for part in first['loc'][1:])}: {first['msg']}"
    return _answer(422, f"the request is incomplete or wrong ({problem}); load the page again")


async def _not_found(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return _answer(error.status_code, f"{error.detail}; load the page again")


async def _unforeseen(_: Request, error: Exception) -> JSONResponse:
    return _answer(500, in_one_line(error))
