"""From settings to an ASGI application."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skdpipe.errors import require_extra
from skdpipe.webapp.settings import AppSettings

if TYPE_CHECKING:
    from fastapi import FastAPI


def create_app(settings: AppSettings | None = None) -> FastAPI:
    """The web application, for any ASGI server: ``uvicorn.run(create_app())``.

    Uploads are in a temporary folder from the application's start to its end (ASGI lifespan).

    Raises:
        MissingDependencyError: if fastapi is not installed.
    """
    require_extra("app", "fastapi")
    from skdpipe.webapp.application import build

    return build(settings or AppSettings())
