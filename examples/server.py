"""Label videos and skeletons over HTTP with an exported student; the guide is my-server.md.

    python examples/server.py student-export --port 8000

Needs `pip install "skdpipe[runner,app]"`; PyTorch is not needed. It listens on this machine alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from queue import Empty, SimpleQueue
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Final

import typer
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect

from skdpipe.errors import DataError, SkdpipeError, in_one_line

_CONTEXT: Final = get_context("spawn")
_RETRY_SECONDS: Final = 5
_JSON: Final = "application/json"


@dataclass(frozen=True)
class Limits:
    """What a request may take.

    Attributes:
        megabytes: largest upload, checked while it comes in.
        clip_seconds: longest clip.
        seconds: for the whole request; then its process is ended.
        requests: number of requests at once, each with a process; others get the status 503.
    """

    megabytes: float = 50.0
    clip_seconds: float = 60.0
    seconds: float = 60.0
    requests: int = 2


class Refused(Exception):  # noqa: N818
    """A request that is not answered with labels: the status and the reason."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Worker:
    """A process that has loaded the export and labels one clip after the other.

    A thread that computes cannot be ended; a process can.

    Args:
        export: folder of the export.
        limits: of a request.
    """

    def __init__(self, export: Path, limits: Limits) -> None:
        self._export, self._limits = export, limits
        self._start()

    def _start(self) -> None:
        self._end, other = _CONTEXT.Pipe()
        self._process = _CONTEXT.Process(
            target=label_clips, args=(other, self._export, self._limits.clip_seconds), daemon=True
        )
        self._process.start()
        other.close()

    def receive(self, seconds: float | None) -> Any:
        """The next answer of the process.

        Raises:
            TimeoutError: if it does not come in time.
            EOFError: if the process has ended.
        """
        if not self._end.poll(seconds):
            raise TimeoutError
        return self._end.recv()

    def label(self, clip: Path, seconds: float) -> dict[str, Any]:
        """The labels of a clip; a process that takes longer is ended and replaced.

        Raises:
            Refused: if there are none.
        """
        try:
            self._end.send(clip)
            answer = self.receive(seconds)
        except (TimeoutError, EOFError, OSError) as error:
            self.stop()
            self._start()
            self.receive(None)
            if isinstance(error, TimeoutError):
                raise Refused(504, f"the clip takes more than {self._limits.seconds:g} s; cut it") from None
            raise Refused(500, "the process that labels ended; another clip may work") from None
        if "error" in answer:
            raise Refused(422, answer["error"])
        found: dict[str, Any] = answer
        return found

    def stop(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.join()
        self._end.close()


def label_clips(end: Connection, export: Path, most_seconds: float) -> None:
    """The loop of a worker's process: paths come in, answers go out."""
    from skdpipe.inference import load_export

    predictor = load_export(export)
    end.send({"classes": list(predictor.metadata.classes), "student": predictor.metadata.choice.name})
    with suppress(EOFError, KeyboardInterrupt):
        while True:
            clip: Path = end.recv()
            try:
                end.send(label_clip(predictor, clip, most_seconds))
            except SkdpipeError as error:
                end.send({"error": without_paths(str(error), clip)})
            except Exception as error:  # the server goes on
                end.send({"error": f"the clip cannot be labelled ({type(error).__name__}); try another"})


def without_paths(text: str, clip: Path) -> str:
    """An error without the paths of this machine."""
    return text.replace(str(clip), "the upload").replace(str(clip.parent), "the upload")


def label_clip(predictor: Any, clip: Path, most_seconds: float) -> dict[str, Any]:
    """The label of a video or of skeletons, or the segments of what is longer than the training clips.

    Raises:
        SkdpipeError: if it cannot be read or is too long.
    """
    from skdpipe.formats import load_poses
    from skdpipe.inference.segment_files import to_json
    from skdpipe.video import measure_duration

    source: Any = clip
    if clip.suffix == ".json":
        clips = load_poses(clip)
        if len(clips) != 1:
            raise DataError(f"{len(clips)} clips of skeletons; expected one: send them one by one")
        source, seconds = clips[0], clips[0].duration
    else:
        seconds = measure_duration(clip)
    if seconds > most_seconds:
        raise DataError(f"a clip of {seconds:.1f} s; expected at most {most_seconds:g} s: cut it")
    if predictor.is_footage(seconds):
        found = to_json(predictor.label_footage(source))
        del found["source"]
        return found
    prediction = predictor.predict(source)
    return {
        "label": prediction.label,
        "reason": prediction.reason,
        "probabilities": {name: round(share, 4) for name, share in prediction.probabilities},
        "seconds": round(seconds, 3),
    }


def make_app(export: Path, limits: Limits) -> FastAPI:
    """The application; its workers start with it."""
    idle: SimpleQueue[Worker] = SimpleQueue()
    about: dict[str, Any] = {}

    @asynccontextmanager
    async def running(_: FastAPI) -> AsyncIterator[None]:
        workers = [Worker(export, limits) for _ in range(limits.requests)]
        try:
            for worker in workers:
                about.update(await asyncio.to_thread(worker.receive, None))
                idle.put(worker)
            yield
        finally:
            for worker in workers:
                worker.stop()

    app = FastAPI(title="skdpipe", lifespan=running)

    @app.exception_handler(Refused)
    def refuse(_: Request, refused: Refused) -> JSONResponse:
        headers = {"Connection": "close"}  # the rest of an upload is not read
        if refused.status == 503:
            headers["Retry-After"] = str(_RETRY_SECONDS)
        return JSONResponse({"error": str(refused)}, refused.status, headers)

    @app.get("/health")
    def health() -> dict[str, Any]:
        return {"status": "ok", **about, "idle": idle.qsize()}

    @app.post("/label")
    async def label(request: Request) -> dict[str, Any]:
        try:
            worker = idle.get_nowait()
        except Empty:
            raise Refused(503, "all processes are busy; try again later") from None
        start = asyncio.get_running_loop().time()
        try:
            with TemporaryDirectory(prefix="skdpipe-upload-") as folder:
                try:
                    async with asyncio.timeout(limits.seconds):
                        clip = await save_upload(request, Path(folder), limits)
                except ClientDisconnect:
                    raise Refused(400, "the upload ended early") from None
                except TimeoutError:
                    raise Refused(408, f"the upload took more than {limits.seconds:g} s") from None
                left = limits.seconds - (asyncio.get_running_loop().time() - start)
                labelling = asyncio.ensure_future(asyncio.to_thread(worker.label, clip, max(left, 0)))
                try:
                    return await asyncio.shield(labelling)
                finally:  # also if the client has gone: the worker and the file are in use until the end
                    await asyncio.wait([labelling])
        finally:
            idle.put(worker)

    return app


async def save_upload(request: Request, folder: Path, limits: Limits) -> Path:
    """Write the upload to a folder: the body itself, or the first file of a form.

    Raises:
        Refused: if it is too large, empty, or not a form with a file.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "multipart/form-data":
        clip = folder / ("clip.json" if kind == _JSON else "clip.mp4")
        with clip.open("wb") as file:
            async for chunk in limited(request, limits):
                file.write(chunk)
    else:
        try:
            form = await MultiPartParser(request.headers, limited(request, limits), max_files=1).parse()
        except (MultiPartException, KeyError, ValueError) as error:
            raise Refused(400, f"the form cannot be read ({in_one_line(error)}); expected a file") from None
        try:
            uploads = [each for each in form.values() if isinstance(each, UploadFile)]
            if not uploads:
                raise Refused(400, "a form without a file; expected a video or JSON")
            is_json = uploads[0].content_type == _JSON or str(uploads[0].filename).endswith(".json")
            clip = folder / ("clip.json" if is_json else "clip.mp4")
            with clip.open("wb") as file:
                while chunk := await uploads[0].read(2**20):
                    file.write(chunk)
        finally:
            await form.close()
    if clip.stat().st_size == 0:
        raise Refused(400, "an empty upload; expected a video, or skeletons as JSON")
    return clip


async def limited(request: Request, limits: Limits) -> AsyncGenerator[bytes, None]:
    """The body as it comes in.

    Raises:
        Refused: as soon as it is too large.
    """
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limits.megabytes * 1e6:
            raise Refused(413, f"an upload of more than {limits.megabytes:g} MB; cut or compress the clip")
        yield chunk


def main(
    export: Path,
    port: int = 8000,
    megabytes: float = Limits.megabytes,
    clip_seconds: float = Limits.clip_seconds,
    seconds: float = Limits.seconds,
    requests: Annotated[int, typer.Option(min=1)] = Limits.requests,
) -> None:
    """Label videos and skeletons over HTTP, on this machine alone."""
    from skdpipe.inference import load_export

    try:
        load_export(export)
    except SkdpipeError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None
    limits = Limits(megabytes, clip_seconds, seconds, requests)
    uvicorn.run(make_app(export, limits), host="127.0.0.1", port=port, log_level="warning")


if __name__ == "__main__":
    typer.run(main)
