"""Clips that tests write in foreign formats and read again, and their comparison."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sequences import make_sequence

from skdpipe.formats.catalogue import format_named
from skdpipe.formats.format import FormatOptions
from skdpipe.formats.openpifpaf import write_openpifpaf
from skdpipe.formats.pyskl import write_pyskl
from skdpipe.formats.reading import Reading, ReadingReport
from skdpipe.skeleton import COCO_17, UNSEEN, Layout, Origin, PoseSequence, clip_key

SIZE = (320, 240)


def make_clip(
    name: str,
    label: str | None = "sit",
    split: str | None = None,
    *,
    frames: int = 5,
    people: int = 2,
    layout: Layout = COCO_17,
    index: list[int] | None = None,
) -> PoseSequence:
    """People far apart, the first with the highest confidence; a fifth of the inner frames' joints is unseen.

    Coordinates and confidences have two digits, as in JSON files.
    """
    rng = np.random.default_rng(len(name) + 7 * frames)
    corner = 120 * np.arange(people)[:, None, None] + (20, 30)
    xy = np.round(corner + rng.uniform(0, 60, (frames, people, len(layout), 2)), 2)
    confidence = np.round(rng.uniform(0.5, 1, xy.shape[:3]) - 0.3 * np.arange(people)[:, None], 2)
    seen = rng.random(xy.shape[:3]) > 0.2
    seen[0], seen[-1] = True, True
    keypoints = np.concatenate([xy, confidence[..., None]], axis=-1)
    keypoints[~seen] = UNSEEN
    origin = Origin(f"videos/{name}.mp4", clip_key(name), "annotator", label, split)
    return make_sequence(keypoints, layout, frame_index=index, fps=30.0, size=SIZE, origin=origin)


def assert_same(read: PoseSequence, written: PoseSequence, atol: float = 0) -> None:
    """The same clip: keypoints, frames, frame size, layout, key, label and split."""
    np.testing.assert_allclose(read.keypoints, written.keypoints, atol=atol, rtol=0)
    assert read.keypoints.dtype == np.float32
    np.testing.assert_array_equal(read.frame_index, written.frame_index)
    assert (read.video_frames, read.size, read.fps) == (written.video_frames, written.size, written.fps)
    assert read.layout == written.layout
    for what in ("key", "label", "split"):
        assert getattr(read.origin, what) == getattr(written.origin, what), what


CLIPS = (
    make_clip("one", "sit", "train"),
    make_clip("two", "run", "val", frames=6),
    make_clip("three", "run", "train"),
)


def pyskl_reading(folder: Path, *clips: PoseSequence) -> Reading:
    """The clips (by default `CLIPS`) as a pickle with a label map."""
    write_pyskl(clips or CLIPS, folder / "set.pkl")
    labels = folder / "set.classes.txt"
    return Reading(format_named("pyskl"), folder / "set.pkl", FormatOptions(labels=labels))


def openpifpaf_reading(folder: Path, *clips: PoseSequence) -> Reading:
    """The clips (by default `CLIPS`) as a folder of JSON files."""
    write_openpifpaf(clips or CLIPS, folder)
    return Reading(format_named("openpifpaf"), folder, FormatOptions(size=SIZE))


def counts(report: ReadingReport) -> tuple[int, int, int, int]:
    """Clips done, skipped, left out and failed."""
    return report.done, report.skipped, report.left_out, len(report.failed)
