"""A video with what was found in it drawn on every frame."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

from skdpipe.atomic_file import remove_leftovers
from skdpipe.errors import DataError, VideoError
from skdpipe.inference.timeline import Timeline
from skdpipe.overlay.between import PeopleBetween
from skdpipe.overlay.painter import Painter
from skdpipe.progress import Progress
from skdpipe.skeleton import Layout
from skdpipe.skeleton.tracks import TrackedFrame
from skdpipe.video import Frame, probe, read_timed_frames, require_timed_ending, write_timed_video


def require_output(video: Path, out: Path) -> None:
    """Check before a long computation that an overlay of the video can have this path.

    Raises:
        VideoError: if its ending is none of ``.mp4``, ``.mkv`` and ``.mov``, or it is the video itself.
    """
    require_timed_ending(out)
    if out.exists() and video.exists() and out.samefile(video):
        raise VideoError(f"{out}: is the video itself; expected another file for the overlay")


def write_overlay(
    video: Path,
    timeline: Timeline,
    frames: Iterable[TrackedFrame],
    layout: Layout,
    out: Path,
    progress: Progress | None = None,
) -> None:
    """Write the video with skeletons, people's numbers, labels and the timeline drawn.

    Each frame keeps its time; sound is left out. Pictures of less than 480 pixels are enlarged by a whole
    factor so that text is legible. Between sampled frames people are interpolated. Memory is constant.

    Args:
        video: which is decoded a second time.
        timeline: of the video.
        frames: the people of the sampled frames, by time, in pixels of the video.
        layout: of the people's joints.
        out: the file, in H.264; its folder is created.
        progress: displays the frames written, by default nothing.

    Raises:
        VideoError: if the video cannot be decoded, or as `require_output`.
        DataError: if the timeline or the people are of another video or layout.
        OSError: if the file cannot be written; a former file stays as it is.
    """
    require_output(video, out)
    info = probe(video)
    if info.size != timeline.size:
        found = "x".join(map(str, timeline.size))
        raise DataError(
            f"{video}: {info.size[0]}x{info.size[1]} pixels, but its timeline is of {found}; expected the "
            "video that was labelled"
        )
    remove_leftovers(out.parent)
    painter = Painter(timeline, layout)
    people = PeopleBetween(_checked(frames, layout))
    displayed = progress or Progress(quiet=True)
    with (
        displayed.task(f"drawing {out.name}", info.frames or None, unit="frames") as task,
        closing(read_timed_frames(video)) as images,
    ):

        def drawn() -> Iterator[tuple[Frame, float]]:
            for number, (image, seconds) in enumerate(images, 1):
                yield painter.draw(image, seconds, people.at(seconds)), seconds
                task.advance_to(number)

        write_timed_video(out, drawn(), info.fps)


def _checked(frames: Iterable[TrackedFrame], layout: Layout) -> Iterator[TrackedFrame]:
    for frame in frames:
        if frame.people.shape[1:] != (len(layout), 3):
            raise DataError(
                f"frame {frame.frame}: people of shape {frame.people.shape[1:]}; expected the {len(layout)} "
                f"joints of {layout.name} with two coordinates and a confidence"
            )
        yield frame
