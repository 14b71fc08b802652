"""Fitting of the errors of a low-cost estimator, from videos that a high-cost estimator has processed too.

The high-quality skeletons are the reference. People are matched by `match_people`, and the frames that both
qualities have are compared. `simulate_pose_errors` simulates the errors that are found here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import yaml
from numpy.typing import NDArray

from skdpipe.atomic_file import remove_leftovers, write_text_atomically
from skdpipe.cache import PoseCache
from skdpipe.config import EstimatorNoise, to_plain
from skdpipe.errors import DataError
from skdpipe.skeleton import Keypoints, Layout, PoseSequence, is_seen, layout_named, map_layout
from skdpipe.skeleton.people import body_size, match_people

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

# A joint is an outlier beyond this number of standard deviations; 3 in 10,000 samples of normal noise are.
_OUTLIER: Final = 4.0
# Left and right are swapped if swapping them back reduces the mean distance of the joints by this factor.
_SWAPPED: Final = 0.5
_MAD: Final = 1.4826  # standard deviation over median absolute deviation of the normal distribution


@dataclass(frozen=True)
class _Errors:
    """Errors of one person in the frames in which the person is seen in high quality.

    Attributes:
        frame: frame of the video ``(frame,)``.
        offset: low minus high as a share of the body size ``(frame, joint, coordinate)``; NaN if the joint is
            not seen in both.
        swapped: left and right are exchanged ``(frame,)``.
        lost: no joint is seen in low quality ``(frame,)``.
        missed: seen in high and not in low quality, although the person is not lost ``(frame, joint)``.
        detected: seen in both qualities ``(frame, joint)``.
        confidence: in low quality ``(frame, joint)``.
    """

    frame: NDArray[np.int32]
    offset: Floats
    swapped: Bools
    lost: Bools
    missed: Bools
    detected: Bools
    confidence: Floats


def fit_noise(pairs: Iterable[tuple[PoseSequence, PoseSequence]], layout: Layout) -> EstimatorNoise:
    """Fit the parameters of `simulate_pose_errors` to pairs of skeletons.

    The jitter of a joint is the robust standard deviation of its offsets (1.4826 times their median absolute
    value), correlated over time as the offsets are. Joints beyond four standard deviations are outliers.
    Outliers, swaps, misses and lost people have the share and the mean length that they have in the pairs.

    Args:
        pairs: high-quality and low-quality skeletons of the same videos.
        layout: layout of the noise; both qualities are mapped to it.

    Raises:
        DataError: if no person is seen in both qualities of any video, a layout cannot be mapped, or one
            quality has two coordinates and the other three.
    """
    errors = [
        each for high, low in pairs for each in _compare(map_layout(high, layout), map_layout(low, layout))
    ]
    if not errors:
        raise DataError(
            "no person is seen in both qualities of any video; expected skeletons of the same people: "
            "extract them with a lower threshold, or choose other settings"
        )
    frames = [each.frame for each in errors]
    offset = np.concatenate([each.offset for each in errors])
    sigma = np.array([_MAD * _median(np.abs(offset[:, joint])) for joint in range(len(layout))])
    outlier = [np.linalg.norm(each.offset, axis=-1) > _OUTLIER * sigma for each in errors]
    inlier_offset = [
        np.where(where[..., None], np.nan, each.offset) for each, where in zip(errors, outlier, strict=True)
    ]
    outlier_offset = offset[np.concatenate(outlier)]
    detected = np.concatenate([each.detected for each in errors])
    missed = np.concatenate([each.missed for each in errors])
    misses = missed.sum(axis=0) / np.maximum((missed | detected).sum(axis=0), 1)
    wrong = np.concatenate([o | each.swapped[:, None] for each, o in zip(errors, outlier, strict=True)])
    confidence = np.concatenate([each.confidence for each in errors])
    of_right, of_wrong = confidence[detected & ~wrong], confidence[detected & wrong]
    return EstimatorNoise(
        jitter=_named(layout, sigma),
        jitter_frames=_correlation_time(inlier_offset, frames),
        outliers=round(float(np.concatenate(outlier).sum() / max(detected.sum(), 1)), 4),
        outlier_size=round(float(np.sqrt((outlier_offset**2).mean())), 4) if len(outlier_offset) else 0.0,
        outlier_frames=_mean_length(outlier, frames),
        swaps=_share([each.swapped for each in errors]),
        swap_frames=_mean_length([each.swapped for each in errors], frames),
        misses=_named(layout, misses),
        miss_frames=_mean_length([each.missed for each in errors], frames),
        lost=_share([each.lost for each in errors]),
        lost_frames=_mean_length([each.lost for each in errors], frames),
        confidence=round(float(of_right.mean()), 4) if len(of_right) else 1.0,
        confidence_wrong=round(float(of_wrong.mean()), 4) if len(of_wrong) else 1.0,
        confidence_spread=round(float(np.concatenate([_centred(of_right), _centred(of_wrong)]).std()), 4),
    )


def fit_noise_of_cache(cache: PoseCache, high: str, low: str, layout: str) -> EstimatorNoise:
    """`fit_noise` to the videos that the cache contains in both qualities.

    Args:
        cache: the pose cache.
        high, low: settings folders; an empty name selects the only folder.
        layout: name of the layout of the noise.

    Raises:
        DataError: as `fit_noise`, or if there are no such settings.
    """
    high, low = cache.choose_settings("high", high), cache.choose_settings("low", low)
    low_path = {entry.origin.key: entry.path for entry in cache.entries("low", low)}
    pairs = (
        (cache.load(entry.path), cache.load(low_path[entry.origin.key]))
        for entry in cache.entries("high", high)
        if entry.origin.key in low_path
    )
    return fit_noise(pairs, layout_named(layout))


def save_noise(noise: EstimatorNoise, path: Path) -> None:
    """Write noise to a YAML file, which is complete or absent."""
    remove_leftovers(path.parent)
    write_text_atomically(path, yaml.safe_dump(to_plain(noise), sort_keys=False))


def _compare(high: PoseSequence, low: PoseSequence) -> list[_Errors]:
    if high.coordinates != low.coordinates:
        raise DataError(
            f"{high.origin.source} has {high.coordinates} coordinates in high and {low.coordinates} in low "
            "quality; expected the same number, so that positions can be compared"
        )
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
    present = is_seen(high).any(axis=1)
    frame, high, low = frame[present], high[present], low[present]
    mirrored = low[:, list(layout.mirror)]
    swapped = _mean_distance(high, mirrored) < _SWAPPED * _mean_distance(high, low)
    swapped_back = np.where(swapped[:, None, None], mirrored, low)
    seen_high, seen_low = is_seen(high), is_seen(low)
    both = (seen_high & is_seen(swapped_back))[..., None]
    offset = (swapped_back[..., :-1].astype(np.float64) - high[..., :-1]) / size
    lost = np.logical_not(seen_low.any(axis=1))
    return _Errors(
        frame=frame,
        offset=np.where(both, offset, np.nan),
        swapped=swapped,
        lost=lost,
        missed=seen_high & ~seen_low & ~lost[:, None],
        detected=seen_high & seen_low,
        confidence=low[..., -1].astype(np.float64),
    )


def _mean_distance(a: Keypoints, b: Keypoints) -> Floats:
    """Mean distance ``(frame,)`` over the joints that are seen in both; NaN if there are none."""
    both = is_seen(a) & is_seen(b)
    length = np.where(both, np.linalg.norm((a - b)[..., :-1].astype(np.float64), axis=-1), 0)
    count = both.sum(axis=1)
    return np.where(count > 0, length.sum(axis=1) / np.maximum(count, 1), np.nan)


def _median(values: Floats) -> float:
    """Median of the finite values; 0 if there are none."""
    numbers = values[np.isfinite(values)]
    return float(np.median(numbers)) if numbers.size else 0.0


def _centred(values: Floats) -> Floats:
    return values - values.mean() if len(values) else values


def _named(layout: Layout, values: Floats) -> dict[str, float]:
    return {joint: round(float(value), 4) for joint, value in zip(layout.joints, values, strict=True)}


def _share(states: Sequence[Bools]) -> float:
    return round(float(np.concatenate(states).mean()), 4)


def _mean_length(states: Sequence[Bools], frames: Sequence[NDArray[np.int32]]) -> float:
    """Mean number of video frames for which a state lasts, 1 or more.

    This is the mean length in a two-state Markov chain, number of frames in the state over number of ends.
    The chain steps from one compared frame to the next.
    """
    inside = sum(int(state[:-1].sum()) for state in states)
    ended = sum(int((state[:-1] & ~state[1:]).sum()) for state in states)
    return round(max(1.0, inside / max(ended, 1) * _step(frames)), 2)


def _correlation_time(offsets: Sequence[Floats], frames: Sequence[NDArray[np.int32]]) -> float:
    """Correlation time in video frames, 1 or more, of the AR(1) process with the offsets' correlation."""
    before, after = (np.concatenate([offset[part].ravel() for offset in offsets]) for part in _NEIGHBOURS)
    both = np.isfinite(before) & np.isfinite(after)
    square = float((before[both] ** 2).sum())
    correlation = float((before[both] * after[both]).sum()) / square if square else 0.0
    each_frame: float = min(max(correlation, 0.0), 0.999) ** (1 / _step(frames))
    return round(1 / (1 - each_frame), 2)


_NEIGHBOURS: Final = (slice(None, -1), slice(1, None))


def _step(frames: Sequence[NDArray[np.int32]]) -> float:
    """Median number of video frames from one compared frame to the next."""
    steps = np.concatenate([np.diff(frame) for frame in frames])
    return float(np.median(steps)) if len(steps) else 1.0
