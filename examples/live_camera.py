"""What the people before a camera do: `skdpipe predict --source` in Python.

    python examples/live_camera.py models/demo/student.safetensors 0 --window 2

The source is the number of a camera, an address (rtsp://, http://, ...), or - for video on standard input.
Ctrl-C ends it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import typer
from rich.console import Console

from skdpipe import FootageSettings, LivePredictor, Predictor, Segment, load_predictor
from skdpipe.video import open_live


def labels_of(predictor: Predictor, source: str, settings: FootageSettings) -> Iterator[Segment]:
    """The label of each window as soon as it is known; times count from the first frame.

    Raises:
        SkdpipeError: if the source cannot be opened, or the bundle has no estimator.
    """
    with open_live(source) as frames:
        live = LivePredictor(predictor, settings, fps=frames.fps)
        for frame in frames:
            yield from live.update(frame.image, frame.seconds).windows
        yield from live.finish().windows


def main(student: Path, source: str = "0", window: float | None = None) -> None:
    """Print the labels of a live source."""
    for each in labels_of(load_predictor(student), source, FootageSettings(window=window)):
        who = "" if each.person is None else f"person {each.person}: "
        Console().print(f"{each.end:.1f} s  {who}{each.text} {each.probability:.3f}")


if __name__ == "__main__":
    typer.run(main)
