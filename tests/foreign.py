"""Clips to write in foreign formats and to read again, and how the two are compared."""

from __future__ import annotations

import numpy as np

from skdpipe.skeleton import COCO_17, Layout, Origin, PoseSequence, clip_key

SIZE = (320, 240)


def a_clip(
    name: str,
    label: str | None = "sit",
    split: str | None = None,
    *,
    frames: int = 5,
    people: int = 2,
    layout: Layout = COCO_17,
    index: list[int] | None = None,
) -> PoseSequence:
    """People who stand far apart, the first the surest; one joint in five is unseen, and each is seen once.

    Places and confidences have two digits, as JSON files keep them.
    """
    rng = np.random.default_rng(len(name) + 7 * frames)
    corner = 120 * np.arange(people)[:, None, None] + (20, 30)
    xy = np.round(corner + rng.uniform(0, 60, (frames, people, len(layout), 2)), 2)
    confidence = np.round(rng.uniform(0.5, 1, xy.shape[:3]) - 0.3 * np.arange(people)[:, None], 2)
    seen = rng.random(xy.shape[:3]) > 0.2
    seen[0], seen[-1] = True, True
    keypoints = np.concatenate([xy, confidence[..., None]], axis=-1)
    keypoints[~seen] = (np.nan, np.nan, 0)
    rows = np.array(range(frames) if index is None else index, np.int32)
    origin = Origin(f"videos/{name}.mp4", clip_key(name), "eyes", label, split)
    return PoseSequence(keypoints.astype(np.float32), rows, int(rows[-1]) + 1, layout, 30.0, SIZE, origin)


def assert_same(read: PoseSequence, written: PoseSequence, atol: float = 0) -> None:
    """The same clip: keypoints, frames, picture, layout, key, label and split."""
    np.testing.assert_allclose(read.keypoints, written.keypoints, atol=atol, rtol=0)
    assert read.keypoints.dtype == np.float32
    np.testing.assert_array_equal(read.frame_index, written.frame_index)
    assert (read.video_frames, read.size, read.fps) == (written.video_frames, written.size, written.fps)
    assert read.layout == written.layout
    for what in ("key", "label", "split"):
        assert getattr(read.origin, what) == getattr(written.origin, what), what
