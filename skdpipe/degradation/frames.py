"""Frame sampling and loss of frames."""

from __future__ import annotations

import numpy as np

from skdpipe.errors import DataError
from skdpipe.skeleton import PoseSequence
from skdpipe.skeleton.timing import FrameSampler


def sample_frames(sequence: PoseSequence, every: int) -> PoseSequence:
    """Keep every ``every``-th row, starting with the first (the paper's k = 1/every).

    If the frames of the video are not evenly spaced, rows are sampled by time, as `FrameSampler` does: on
    average one in ``every`` or fewer are kept.

    ``frame_index`` contains the video frames of the rows that are kept; ``fps`` does not change. Sampling
    evenly spaced frames by 2 and then by 5 is the same as sampling by 10.

    Raises:
        DataError: if every is less than 1.
    """
    times = sequence.seconds
    varying = sequence.times is not None and len(times) > 1
    sampler = FrameSampler(every, float((len(times) - 1) / (times[-1] - times[0])) if varying else None)
    return sequence.select_rows(np.flatnonzero([sampler.chooses(seconds) for seconds in times.tolist()]))


def drop_random_frames(sequence: PoseSequence, share: float, rng: np.random.Generator) -> PoseSequence:
    """Remove a share of the rows, drawn without replacement; at least one row is kept.

    Raises:
        DataError: if the share is not in [0, 1].
    """
    kept = _count_kept(sequence, share)
    return sequence.select_rows(np.sort(rng.permutation(len(sequence.frame_index))[:kept]))


def drop_block(sequence: PoseSequence, share: float, rng: np.random.Generator) -> PoseSequence:
    """Remove a share of the rows in one block at a random position; at least one row is kept.

    Raises:
        DataError: if the share is not in [0, 1].
    """
    kept = _count_kept(sequence, share)
    rows = np.arange(len(sequence.frame_index))
    start = int(rng.integers(kept + 1))
    return sequence.select_rows(np.delete(rows, slice(start, start + len(rows) - kept)))


def _count_kept(sequence: PoseSequence, share: float) -> int:
    if not 0 <= share <= 1:
        raise DataError(f"share of lost frames {share}; expected a number from 0 to 1")
    rows = len(sequence.frame_index)
    return min(rows, max(1, round((1 - share) * rows)))
