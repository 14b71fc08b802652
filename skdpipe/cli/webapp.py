"""The command that shows clips, skeletons, labels and runs in a browser."""

from __future__ import annotations

import os
import secrets
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from skdpipe.cli.app import (
    EVERYDAY,
    Device,
    EstimatorConfig,
    LocalCache,
    Models,
    RuntimeName,
    app,
    device_name,
    print_line,
    print_note,
    print_problem,
)
from skdpipe.cli.interruption import starting_over
from skdpipe.errors import ConfigError, require_extra

if TYPE_CHECKING:
    from fastapi import FastAPI

    from skdpipe.webapp import AppSettings

_PATIENCE: Final = 0  # seconds for answers that are under way when the command is interrupted


@app.command(name="app", rich_help_panel=EVERYDAY)
def web_app(
    bundle: Annotated[
        Path | None,
        typer.Option(help="Bundle of a student, or folder of an export; by default the newest bundle."),
    ] = None,
    models: Models = Path("models"),
    cache: LocalCache = Path("pose_cache"),
    videos: Annotated[
        list[Path] | None,
        typer.Option(
            help="Folder of videos that may be shown behind cached skeletons; may be repeated.",
        ),
    ] = None,
    estimator: EstimatorConfig = "",
    runtime: RuntimeName = "auto",
    device: Device = "",
    host: Annotated[
        str, typer.Option(help="Address to listen on; by default only this computer reaches the page.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(help="Port to listen on; 0 takes a free one.", min=0, max=65535)
    ] = 8765,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Correct no labels and write no reports.")
    ] = False,
    open_browser: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
) -> None:
    """Show a page in the browser: label clips or the camera, browse the pose cache and runs.

    The page is for this computer alone, unless --host says otherwise. Clips are removed when the page does
    not need them any more, and at the end. Ctrl-C ends the command.
    """
    require_extra("app", "fastapi", "uvicorn")
    from skdpipe import create_app, load_estimator_settings
    from skdpipe.webapp import AppSettings
    from skdpipe.webapp.guard import is_loopback

    for path in (bundle, *(videos or ())):
        if path is not None and not path.exists():
            raise ConfigError(f"{path}: no such file or folder; correct the path")
    settings = AppSettings(
        models,
        bundle,
        cache,
        tuple(videos or ()),
        load_estimator_settings(estimator) if estimator else None,
        runtime,
        device_name(device),
        host,
        "" if is_loopback(host) else secrets.token_urlsafe(16),
        read_only,
    )
    listening = _listen(host, port)
    address = _address(settings, listening.getsockname()[1])
    if settings.token:
        print_problem(
            "yellow",
            "warning",
            f"everybody on the network can reach {host}; the token in the address keeps others out, but the "
            "connection is not encrypted",
        )
    if bundle is None and not any(models.glob("*/*.safetensors")):
        print_note(
            "bundle", f"none under {models}; the page browses only: run `skdpipe distill`, or --bundle FILE"
        )
    print_line(address)
    if open_browser:
        _open(address)
    _serve(create_app(settings), listening)


def _listen(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises:
        ConfigError: if the address cannot be used.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except OSError as error:
        why = str(error.strerror)
        if error.errno is not None and not isinstance(error, socket.gaierror):
            why = os.strerror(error.errno)  # create_server adds the address
        raise ConfigError(
            f"port {port} of {host} cannot be used ({why.lower()}); choose another one with --port, 0 for a "
            "free one"
        ) from error


def _address(settings: AppSettings, port: int) -> str:
    host = socket.gethostname() if settings.host in ("0.0.0.0", "::") else settings.host
    token = f"?token={settings.token}" if settings.token else ""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/{token}"


def _open(address: str) -> None:
    import threading
    import webbrowser

    threading.Thread(target=webbrowser.open, args=[address], daemon=True).start()


def _serve(application: FastAPI, listening: socket.socket) -> None:
    """Answer requests until an interruption.

    Raises:
        NothingToContinue: after it.
    """
    import uvicorn

    config = uvicorn.Config(
        application,
        log_config=None,
        log_level="critical",  # errors are shown in the page
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_PATIENCE,
        timeout_keep_alive=30,
    )
    with starting_over():
        uvicorn.Server(config).run(sockets=[listening])
