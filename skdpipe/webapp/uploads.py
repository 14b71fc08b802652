"""Clips from browsers: received with limits, kept for some minutes in a temporary folder."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Final

from starlette.concurrency import run_in_threadpool

from skdpipe.errors import SkdpipeError, VideoError
from skdpipe.printable import printable
from skdpipe.video import EXTENSIONS, measure_duration, probe
from skdpipe.webapp.settings import Limits
from skdpipe.webapp.worker import BusyError

_LONGEST_NAME: Final = 100


class TooLargeError(SkdpipeError):
    """A clip that is larger or longer than the limits."""


class GoneError(SkdpipeError):
    """Something that is not there, or not any more."""


@dataclass
class Clip:
    """A clip from a browser.

    Attributes:
        id: a secret name.
        path: the file.
        name: of the file on the user's machine, printable.
        seconds, size, fps: of the video.
        used: when it was used last, by `time.monotonic`.
    """

    id: str
    path: Path
    name: str
    seconds: float = 0.0
    size: tuple[int, int] = (0, 0)
    fps: float = 0.0
    used: float = field(default_factory=time.monotonic)

    @property
    def frames(self) -> int:
        """The number of frames, about."""
        return round(self.seconds * self.fps)

    @property
    def playable(self) -> Path:
        """Where the clip is in a form that all browsers play, if it was converted."""
        return self.path.with_name(f"{self.id}-playable.mp4")

    def hide_path(self, message: str) -> str:
        """A message with the name of the clip instead of the path of the temporary file."""
        return message.replace(str(self.path), self.name)


class Uploads:
    """The clips that were received; a further one than the limits allow replaces the oldest."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._temporary = TemporaryDirectory(prefix="skdpipe-app-", ignore_cleanup_errors=True)
        self._folder = Path(self._temporary.name)
        self._clips: dict[str, Clip] = {}
        self._receiving = False

    async def receive(self, name: str, chunks: AsyncIterator[bytes]) -> Clip:
        """Receive a clip.

        Args:
            name: of the user's file; it only gives the ending and what the page shows.
            chunks: the content.

        Raises:
            BusyError: if another clip is being received.
            TooLargeError: if it is larger or longer than the limits allow; the rest is not received.
            VideoError: if it is no video, or stops to arrive.
        """
        if self._receiving:
            raise BusyError("another clip is being received; try again when it has arrived")
        self._receiving = True
        ending = PurePosixPath(name).suffix.lower()
        key = secrets.token_hex(8)
        path = self._folder / f"{key}{ending if ending in EXTENSIONS else '.video'}"
        clip = Clip(key, path, printable(PurePosixPath(name).name, _LONGEST_NAME) or "clip")
        try:
            await self._write(path, chunks)
            await run_in_threadpool(self._measure, clip)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        finally:
            self._receiving = False
        self._clips[key] = clip
        return clip

    async def _write(self, path: Path, chunks: AsyncIterator[bytes]) -> None:
        received, most = 0, self._limits.upload_bytes
        with path.open("xb") as file:
            try:
                while True:
                    async with asyncio.timeout(self._limits.idle_seconds):
                        chunk = await anext(chunks, None)
                    if chunk is None:
                        return
                    received += len(chunk)
                    if received > most:
                        raise TooLargeError(
                            f"the clip is larger than {most / 2**20:g} MiB; choose a smaller one, or label "
                            "it with `skdpipe predict`"
                        )
                    await run_in_threadpool(file.write, chunk)
            except TimeoutError:
                raise VideoError("the clip does not arrive any more; send it again") from None

    def _measure(self, clip: Clip) -> None:
        try:
            info = probe(clip.path)
            clip.size, clip.fps, clip.seconds = info.size, info.fps, measure_duration(clip.path)
        except VideoError as error:
            raise VideoError(clip.hide_path(str(error))) from error
        limits = self._limits
        if clip.seconds > limits.seconds or clip.frames > limits.frames:
            raise TooLargeError(
                f"the clip has {clip.seconds:.0f} s and about {clip.frames:,} frames; expected at most "
                f"{limits.seconds:g} s and {limits.frames:,} frames: label it with `skdpipe predict`"
            )

    def find(self, clip: str) -> Clip:
        """The clip with an id.

        Raises:
            GoneError: if there is none any more.
        """
        found = self._clips.get(clip)
        if found is None:
            raise GoneError("the clip is not there any more; choose it again")
        found.used = time.monotonic()
        return found

    def superfluous(self) -> list[str]:
        """The clips beyond the limits: the oldest ones, and those not used for some time."""
        last = time.monotonic() - self._limits.kept_seconds
        by_use = sorted(self._clips.values(), key=lambda clip: clip.used)
        many = by_use[: max(0, len(by_use) - self._limits.clips)]
        return [clip.id for clip in by_use if clip in many or clip.used < last]

    def remove(self, clip: str) -> None:
        """Delete a clip; nothing happens if there is none."""
        found = self._clips.pop(clip, None)
        if found is not None:
            found.path.unlink(missing_ok=True)
            found.playable.unlink(missing_ok=True)

    def close(self) -> None:
        """Delete everything."""
        self._clips.clear()
        self._temporary.cleanup()
