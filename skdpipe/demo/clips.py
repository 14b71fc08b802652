"""The clips of the demonstration, and the rendering of some of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from skdpipe.atomic_file import remove_leftovers
from skdpipe.config import Demonstration
from skdpipe.progress import Progress
from skdpipe.synthetic import ACTIONS, Scene, make_scene, render_clip
from skdpipe.video import write_video

Split = Literal["train", "test"]

# The ranges do not overlap: `Demonstration` limits the number of subjects.
_FIRST_RENDERED: Final[dict[Split, int]] = {"train": 0, "test": 1000}
_FIRST_SIMULATED: Final[dict[Split, int]] = {"train": 10_000, "test": 20_000}

_SIMULATED: Final = "simulated/"


@dataclass(frozen=True)
class ActorClip:
    """One clip of an actor or a pair of actors.

    Attributes:
        split: ``train`` or ``test``.
        action: the label.
        subject: number of the person.
        take: number of the recording.
    """

    split: Split
    action: str
    subject: int
    take: int

    @property
    def name(self) -> str:
        """``<split>/<action>/<subject>-<take>``."""
        return f"{self.split}/{self.action}/subject{self.subject:04d}-take{self.take}"

    def scene(self, settings: Demonstration) -> Scene:
        """The scene of the clip."""
        return make_scene(
            self.action,
            subject=self.subject,
            take=self.take,
            seed=settings.seed,
            size=settings.size,
            frames=settings.frames,
            fps=settings.fps,
        )


def rendered_clips(settings: Demonstration) -> list[ActorClip]:
    """The clips that are rendered."""
    subjects: dict[Split, int] = {"train": settings.train_subjects, "test": settings.test_subjects}
    return _clips(_FIRST_RENDERED, subjects, settings.takes)


def simulated_clips(settings: Demonstration) -> list[ActorClip]:
    """The clips whose skeletons are simulated; one take of each of their people, who are not rendered."""
    subjects: dict[Split, int] = {
        "train": settings.simulated_train_subjects,
        "test": settings.simulated_test_subjects,
    }
    return _clips(_FIRST_SIMULATED, subjects, takes=1)


def simulated_source(clip: ActorClip) -> str:
    """The source of a clip whose skeletons are simulated."""
    return f"{_SIMULATED}{clip.name}"


def is_simulated(source: str) -> bool:
    """Whether a source is one of `simulated_source`."""
    return source.startswith(_SIMULATED)


def _clips(first: dict[Split, int], subjects: dict[Split, int], takes: int) -> list[ActorClip]:
    return [
        ActorClip(split, action, first[split] + number, take)
        for split, count in subjects.items()
        for action in ACTIONS
        for number in range(count)
        for take in range(takes)
    ]


def video_path(folder: Path, clip: ActorClip) -> Path:
    """The video of a rendered clip."""
    return folder / f"{clip.name}.mp4"


def render_videos(settings: Demonstration, folder: Path, progress: Progress) -> None:
    """Write the missing videos."""
    clips = rendered_clips(settings)
    for each in {video_path(folder, clip).parent for clip in clips}:
        remove_leftovers(each)
    with progress.task("rendering actors", len(clips), unit="clips") as task:
        for done, clip in enumerate(clips, 1):
            path = video_path(folder, clip)
            if not path.is_file():
                scene = clip.scene(settings)
                write_video(path, render_clip(scene).frames, scene.fps)
            task.advance_to(done)
