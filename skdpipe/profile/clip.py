"""The video of a profile: the user's, or a rendered one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from skdpipe.config import Demonstration
from skdpipe.errors import VideoError
from skdpipe.synthetic import ACTIONS, make_scene, render_clip
from skdpipe.video import probe, read_frames, write_video

if TYPE_CHECKING:
    from skdpipe.video import Frame

_MOST_BYTES: Final = 2**31  # of all frames, which are kept: 11 seconds of 1080p
_TEST_SUBJECT: Final = 1000  # is in no training of the embedded estimators


@dataclass(frozen=True, eq=False)
class Clip:
    """A video that is measured.

    Attributes:
        path: the file.
        name: what it is, for people.
        frames: RGB ``(height, width, 3)`` uint8.
        fps: frames per second.
    """

    path: Path
    name: str
    frames: list[Frame]
    fps: float

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        height, width = self.frames[0].shape[:2]
        return width, height

    @property
    def seconds(self) -> float:
        """Duration."""
        return len(self.frames) / self.fps


@contextmanager
def open_clip(video: Path | None) -> Iterator[Clip]:
    """The clip of a video; without one, a rendered clip as in the demonstration, deleted at the end.

    Raises:
        VideoError: if the video cannot be decoded or is too long.
    """
    if video is not None:
        yield _read(video, str(video))
        return
    settings = Demonstration()
    scene = make_scene(
        ACTIONS[0],
        subject=_TEST_SUBJECT,
        take=0,
        seed=settings.seed,
        size=settings.size,
        frames=settings.frames,
        fps=settings.fps,
    )
    with TemporaryDirectory() as folder:
        path = Path(folder) / "actors.mp4"
        write_video(path, render_clip(scene).frames, scene.fps)
        yield _read(path, "a rendered actor")


def _read(path: Path, name: str) -> Clip:
    frames: list[Frame] = []
    for frame in read_frames(path):
        frames.append(frame)
        if len(frames) * frame.nbytes > _MOST_BYTES:
            size = f"{frame.shape[1]}x{frame.shape[0]}"
            raise VideoError(
                f"{path} has more than {len(frames) - 1} frames of {size}; expected "
                "some seconds, because each estimator runs on them several times: cut it, for instance with "
                f"`ffmpeg -i {path.name} -t 5 clip.mp4`"
            )
    return Clip(path, name, frames, probe(path).fps)
