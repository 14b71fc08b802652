"""What errors a poor estimator makes, from videos that a good one has seen too.

The good one counts as the truth. People are put together by `match_people`; compared are the frames that
both have seen. What is found here, `skdpipe.degradation.degrade.simulate_pose_errors` makes again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import yaml
from numpy.typing import NDArray

from skdpipe.atomic_file import write_text_atomically
from skdpipe.cache import PoseCache
from skdpipe.config import EstimatorNoise, to_plain
from skdpipe.errors import DataError
from skdpipe.skeleton import Keypoints, Layout, PoseSequence, layout_named, map_layout
from skdpipe.skeleton.people import body_size, match_people

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

# Beyond so many standard deviations a joint is far off; normal noise goes there in 3 of 10,000 cases.
_FAR: Final = 4.0
# Left and right are exchanged where exchanging them back brings the joints nearer by this factor.
_EXCHANGED: Final = 0.5
_MAD: Final = 1.4826  # of the normal distribution: standard deviation over median absolute deviation


@dataclass(frozen=True)
class _Errors:
    """What happened to one person; ``(frame, ...)`` along the frames in which the good estimator sees it.

    Attributes:
        frame: which frame of the video ``(frame,)``.
        offset: from the good place as a share of the body's size ``(frame, joint, 2)``; NaN if not in both.
        swapped, lost: ``(frame,)``.
        missed, shown: joints that the good one sees in a frame that the poor one sees somebody in: which
            are not, and which are seen ``(frame, joint)``.
        confidence: ``(frame, joint)``.
    """

    frame: NDArray[np.int32]
    offset: Floats
    swapped: Bools
    lost: Bools
    missed: Bools
    shown: Bools
    confidence: Floats


def fit_noise(pairs: Iterable[tuple[PoseSequence, PoseSequence]], layout: Layout) -> EstimatorNoise:
    """The noise that makes poor skeletons like these of good ones.

    Joints' places: the robust standard deviation of each, correlated over time as they are; joints beyond
    four of these are far off. Everything that lasts has the share and the mean length that it has there.

    Args:
        pairs: good and poor skeletons of the same videos.
        layout: whose joints the noise is about.

    Raises:
        DataError: if no person is seen in both qualities of any video, or a layout cannot be mapped.
    """
    errors = [
        each for high, low in pairs for each in _compare(map_layout(high, layout), map_layout(low, layout))
    ]
    if not errors:
        raise DataError(
            "nobody is seen in both qualities of any video; expected pairs of skeletons of the same people: "
            "look at them with a lower threshold, or choose other settings"
        )
    offset = np.concatenate([each.offset for each in errors])
    sigma = np.array([_MAD * _median(np.abs(offset[:, joint])) for joint in range(len(layout))])
    far = [np.hypot(*np.moveaxis(each.offset, -1, 0)) > _FAR * sigma for each in errors]
    near = [np.where(where[..., None], np.nan, each.offset) for each, where in zip(errors, far, strict=True)]
    outliers = offset[np.concatenate(far)]
    confidence = np.concatenate([each.confidence for each in errors])
    shown = np.concatenate([each.shown for each in errors])
    wrong = np.concatenate([w | each.swapped[:, None] for each, w in zip(errors, far, strict=True)])
    right, unsure = confidence[shown & ~wrong], confidence[shown & wrong]
    missed = np.concatenate([each.missed for each in errors])
    misses = missed.sum(axis=0) / np.maximum((missed | shown).sum(axis=0), 1)
    frames = [each.frame for each in errors]
    return EstimatorNoise(
        jitter=_named(layout, sigma),
        jitter_frames=_memory(near, frames),
        outliers=round(float(np.concatenate(far).sum() / max(shown.sum(), 1)), 4),
        outlier_size=round(float(np.sqrt((outliers**2).mean())), 4) if len(outliers) else 0.0,
        outlier_frames=_length(far, frames),
        swaps=_share([each.swapped for each in errors]),
        swap_frames=_length([each.swapped for each in errors], frames),
        misses=_named(layout, misses),
        miss_frames=_length([each.missed for each in errors], frames),
        lost=_share([each.lost for each in errors]),
        lost_frames=_length([each.lost for each in errors], frames),
        confidence=round(float(right.mean()), 4) if len(right) else 1.0,
        confidence_wrong=round(float(unsure.mean()), 4) if len(unsure) else 1.0,
        confidence_spread=round(float(np.concatenate([_about_mean(right), _about_mean(unsure)]).std()), 4),
    )


def fit_noise_of_cache(cache: PoseCache, high: str, low: str, layout: str) -> EstimatorNoise:
    """`fit_noise` to the videos that the cache has in both qualities.

    Args:
        cache: where the skeletons are.
        high, low: settings folders; empty picks the only one there is.
        layout: whose joints the noise is about, by name.

    Raises:
        DataError: as `fit_noise`, or if there are no such settings.
    """
    good, poor = cache.choose_settings("high", high), cache.choose_settings("low", low)
    partner = {entry.origin.key: entry.path for entry in cache.entries("low", poor)}
    pairs = (
        (cache.load(entry.path), cache.load(partner[entry.origin.key]))
        for entry in cache.entries("high", good)
        if entry.origin.key in partner
    )
    return fit_noise(pairs, layout_named(layout))


def save_noise(noise: EstimatorNoise, path: Path) -> None:
    """Write noise as YAML, at once or not at all."""
    write_text_atomically(path, yaml.safe_dump(to_plain(noise), sort_keys=False))


def _compare(high: PoseSequence, low: PoseSequence) -> list[_Errors]:
    low, report = match_people(high, low)
    frame, rows_high, rows_low = np.intersect1d(high.frame_index, low.frame_index, return_indices=True)
    sizes = body_size(high.keypoints)
    return [
        _errors_of(frame, high.keypoints[rows_high, i], low.keypoints[rows_low, i], sizes[i], high.layout)
        for i, _ in report.pairs
        if sizes[i] > 0
    ]


def _errors_of(
    frame: NDArray[np.int32], high: Keypoints, low: Keypoints, size: float, layout: Layout
) -> _Errors:
    there = (high[..., 2] > 0).any(axis=1)
    frame, high, low = frame[there], high[there], low[there]
    mirrored = low[:, list(layout.mirror)]
    direct, crossed = _distance(high, low), _distance(high, mirrored)
    swapped = crossed < _EXCHANGED * direct
    exchanged_back = np.where(swapped[:, None, None], mirrored, low)
    seen_high, seen_low = high[..., 2] > 0, low[..., 2] > 0
    both = (seen_high & (exchanged_back[..., 2] > 0))[..., None]
    offset = (exchanged_back[..., :2].astype(np.float64) - high[..., :2]) / size
    lost = np.logical_not(seen_low.any(axis=1))
    return _Errors(
        frame=frame,
        offset=np.where(both, offset, np.nan),
        swapped=swapped,
        lost=lost,
        missed=seen_high & ~seen_low & ~lost[:, None],
        shown=seen_high & seen_low,
        confidence=low[..., 2].astype(np.float64),
    )


def _distance(a: Keypoints, b: Keypoints) -> Floats:
    """Mean distance ``(frame,)`` over the joints that both show; NaN if there are none."""
    both = (a[..., 2] > 0) & (b[..., 2] > 0)
    length = np.where(both, np.hypot(*np.moveaxis((a - b)[..., :2].astype(np.float64), -1, 0)), 0)
    count = both.sum(axis=1)
    return np.where(count > 0, length.sum(axis=1) / np.maximum(count, 1), np.nan)


def _median(values: Floats) -> float:
    """Of the numbers among them; 0 if there are none."""
    numbers = values[np.isfinite(values)]
    return float(np.median(numbers)) if numbers.size else 0.0


def _about_mean(values: Floats) -> Floats:
    return values - values.mean() if len(values) else values


def _named(layout: Layout, values: Floats) -> dict[str, float]:
    return {joint: round(float(value), 4) for joint, value in zip(layout.joints, values, strict=True)}


def _share(states: Sequence[Bools]) -> float:
    return round(float(np.concatenate(states).mean()), 4)


def _length(states: Sequence[Bools], frames: Sequence[NDArray[np.int32]]) -> float:
    """How many frames of the video a state lasts on average, 1 or more.

    As of a Markov chain: times that it was the case, over times that it then ended; the chain steps from one
    compared frame to the next.
    """
    lasted = sum(int(state[:-1].sum()) for state in states)
    ended = sum(int((state[:-1] & ~state[1:]).sum()) for state in states)
    return round(max(1.0, lasted / max(ended, 1) * _step(frames)), 2)


def _memory(offsets: Sequence[Floats], frames: Sequence[NDArray[np.int32]]) -> float:
    """For how many frames offsets go the same way, 1 or more: an AR(1) process with their correlation."""
    before, after = (np.concatenate([offset[part].ravel() for offset in offsets]) for part in _NEIGHBOURS)
    both = np.isfinite(before) & np.isfinite(after)
    square = float((before[both] ** 2).sum())
    correlation = float((before[both] * after[both]).sum()) / square if square else 0.0
    each_frame: float = min(max(correlation, 0.0), 0.999) ** (1 / _step(frames))
    return round(1 / (1 - each_frame), 2)


_NEIGHBOURS: Final = (slice(None, -1), slice(1, None))


def _step(frames: Sequence[NDArray[np.int32]]) -> float:
    """Frames of the video from one compared frame to the next, as a rule."""
    steps = np.concatenate([np.diff(frame) for frame in frames])
    return float(np.median(steps)) if len(steps) else 1.0
