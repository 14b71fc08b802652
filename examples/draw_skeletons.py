"""Look at cached skeletons: a few frames of each video with its people drawn in, as PNG.

    python examples/draw_skeletons.py pose_cache pictures

The person's left is blue, the right orange.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import typer
from rich.console import Console

from skdpipe.cache import PoseCache
from skdpipe.overlay import draw_people, write_image
from skdpipe.skeleton import PoseSequence
from skdpipe.video import Frame, read_frames


def draw_strip(sequence: PoseSequence, count: int) -> Frame:
    """So many frames of a video side by side, evenly spread over its sequence.

    Raises:
        VideoError: if the video is no longer where it was extracted.
    """
    rows = np.linspace(0, len(sequence.frame_index) - 1, count).round().astype(int)
    people = {int(sequence.frame_index[row]): sequence.keypoints[row] for row in rows}
    frames = enumerate(read_frames(Path(sequence.origin.source)))
    drawn = [draw_people(frame, people[i], sequence.layout) for i, frame in frames if i in people]
    return np.hstack(drawn)


def main(cache: Path, pictures: Path, frames: int = 4) -> None:
    """Draw every sequence of a cache: ``<quality>/<settings>/<video>.png``."""
    store = PoseCache(cache)
    for entry in store.entries():
        picture = pictures / entry.quality / entry.settings / f"{Path(entry.origin.source).stem}.png"
        write_image(picture, draw_strip(store.load(entry.path), frames))
        Console().print(str(picture))


if __name__ == "__main__":
    typer.run(main)
