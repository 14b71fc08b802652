"""Draw cached skeletons: a few frames of each video with the people in it, as PNG.

    python examples/draw_skeletons.py pose_cache images

The left side of a person is blue, the right side orange.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import typer
from rich.console import Console

from skdpipe import Frame, PoseCache, PoseSequence, read_frames
from skdpipe.overlay import draw_people, write_image


def draw_strip(sequence: PoseSequence, count: int) -> Frame:
    """Evenly spaced frames of a video with its skeletons, side by side.

    Args:
        sequence: the skeletons.
        count: number of frames.

    Raises:
        VideoError: if the video is no longer at the path from which it was extracted.
    """
    rows = np.linspace(0, len(sequence.frame_index) - 1, count).round().astype(int)
    people = {int(sequence.frame_index[row]): sequence.keypoints[row] for row in rows}
    frames = enumerate(read_frames(Path(sequence.origin.source)))
    drawn = [draw_people(frame, people[i], sequence.layout) for i, frame in frames if i in people]
    return np.hstack(drawn)


def main(cache: Path, images: Path, frames: int = 4) -> None:
    """Draw every sequence of a cache: ``<quality>/<settings>/<video>.png``."""
    store = PoseCache(cache)
    for entry in store.entries():
        image = images / entry.quality / entry.settings / f"{Path(entry.origin.source).stem}.png"
        write_image(image, draw_strip(store.load(entry.path), frames))
        Console().print(str(image))


if __name__ == "__main__":
    typer.run(main)
