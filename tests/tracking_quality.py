"""Identity switches and IDF1 of trackers on actors who cross, beside kept libraries."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Final, NamedTuple

import numpy as np
from crossing_actors import SIZE, Footage, detect_with_errors, walking_scene
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from skdpipe.pose.tracker import Tracker
from skdpipe.skeleton import COCO_17, Keypoints, is_seen
from skdpipe.skeleton.people import assign, body_area, box_corners, oks

Numbers = list[NDArray[np.intp]]
"""For each frame the tracks of its detections, -1 for none."""

Follow = Callable[[Footage], Numbers]


@dataclass(frozen=True)
class Quality:
    """How well tracks follow people.

    Attributes:
        switches: times that a person's detection belongs to another track than the person's detection before.
        idf1: F1 of the detections under the best one-to-one assignment of tracks to people (Ristani et al.
            2016, Performance measures and a data set for multi-target, multi-camera tracking).
    """

    switches: int
    idf1: float


def measure_quality(footage: Footage, numbers: Numbers) -> Quality:
    """Compare the tracks of all detections with the people whom they show."""
    people = np.concatenate(footage.identities)
    tracks = np.concatenate(numbers)
    known, track_rows = np.unique(tracks[tracks >= 0], return_inverse=True)
    rows = np.full(len(tracks), -1)
    rows[tracks >= 0] = track_rows
    both = (people >= 0) & (rows >= 0)
    count = np.zeros((int(people.max(initial=-1)) + 1, len(known)), np.intp)
    np.add.at(count, (people[both], rows[both]), 1)
    true = int(count[linear_sum_assignment(count, maximize=True)].sum())
    switches = 0
    for person in range(len(count)):
        mine = rows[both & (people == person)]
        switches += int((np.diff(mine) != 0).sum())
    total = int((people >= 0).sum()) + int((rows >= 0).sum())
    return Quality(switches, 2 * true / max(total, 1))


def track_all(footage: Footage) -> Numbers:
    """The tracker of this project, as `skdpipe.pose.estimate.track_frames` uses it."""
    tracker = Tracker(COCO_17, SIZE, memory=2.0)
    seen = enumerate(zip(footage.frames, footage.seconds.tolist(), strict=True))
    return [
        tracker.update(number * footage.step, people, seconds).numbers for number, (people, seconds) in seen
    ]


def oks_sort(footage: Footage, least: float = 0.05, memory: float = 2.0) -> Numbers:
    """SORT with OKS: the last pose, moved on by the smoothed velocity, compared by OKS in one assignment."""
    last: list[Keypoints] = []
    when: list[float] = []
    velocity: list[NDArray[np.float64]] = []
    numbers = []
    for seconds, people in zip(footage.seconds, footage.frames, strict=True):
        active = [row for row in range(len(last)) if seconds - when[row] <= memory]
        score = np.zeros((len(active), len(people)))
        for row, index in enumerate(active):
            predicted = last[index].copy()
            predicted[:, :2] += velocity[index] * (seconds - when[index])
            area = np.maximum(body_area(people), body_area(predicted))
            score[row] = np.nan_to_num(oks(predicted[None], people, np.array(COCO_17.sigmas), area))
        taken = {column: active[row] for row, column in assign(np.where(score >= least, score, 0))}
        found = []
        for column, pose in enumerate(people):
            index = taken.get(column, len(last))
            if index == len(last):
                last.append(pose)
                when.append(seconds)
                velocity.append(np.zeros(2))
            else:
                both = is_seen(last[index]) & is_seen(pose)
                motion = np.mean((pose - last[index])[both, :2], axis=0) / (seconds - when[index])
                velocity[index] = 0.7 * velocity[index] + 0.3 * motion
                last[index], when[index] = pose, seconds
            found.append(index)
        numbers.append(np.array(found, np.intp))
    return numbers


def boxes_of(people: Keypoints) -> NDArray[np.float64]:
    """Left, top, right, bottom; a tenth larger than the box of the seen joints, as a body is."""
    lowest, highest = box_corners(people)
    margin = 0.05 * (highest - lowest)
    return np.concatenate([lowest - margin, highest + margin], axis=-1)


def with_package(tracker: Any, footage: Footage) -> Numbers:
    """Run a tracker of the package `trackers`, to which ByteTrack moved from supervision, on boxes."""
    import supervision as sv

    numbers = []
    for people in footage.frames:
        seen = is_seen(people)
        confidence = np.where(seen, people[..., 2], 0).sum(axis=1) / np.maximum(seen.sum(axis=1), 1)
        rows = {"row": np.arange(len(people))}
        boxes = sv.Detections(boxes_of(people), confidence=confidence, data=rows)
        found = tracker.update(boxes if len(people) else sv.Detections.empty())
        numbers.append(np.full(len(people), -1, np.intp))
        if len(found):
            numbers[-1][found.data["row"]] = found.tracker_id
    return numbers


def byte_track(footage: Footage) -> Numbers:
    from trackers import ByteTrackTracker

    return with_package(
        ByteTrackTracker(
            frame_rate=footage.fps,
            lost_track_buffer=60,  # at 30 frames/s
            track_activation_threshold=0.3,
            minimum_consecutive_frames=1,
            high_conf_det_threshold=0.3,
            minimum_iou_threshold=0.05,
        ),
        footage,
    )


def oc_sort(footage: Footage) -> Numbers:
    from trackers import OCSORTTracker

    return with_package(
        OCSORTTracker(
            frame_rate=footage.fps,
            lost_track_buffer=60,
            minimum_consecutive_frames=1,
            high_conf_det_threshold=0.3,
            minimum_iou_threshold=0.05,
        ),
        footage,
    )


def norfair(footage: Footage) -> Numbers:
    """Norfair with one minus the OKS of the joints that are seen in both as the distance."""
    from norfair import Detection
    from norfair import Tracker as Norfair

    sigmas = np.array(COCO_17.sigmas)

    def distance(detection: Any, tracked: Any) -> float:
        both = (detection.scores > 0) & (tracked.last_detection.scores > 0)
        if not both.any():
            return 1.0
        area = max(float(np.prod(np.ptp(detection.points[detection.scores > 0], axis=0))), 400.0)
        squared = ((detection.points - tracked.estimate)[both] ** 2).sum(axis=1)
        return 1 - float(np.exp(-squared / (2 * area * (2 * sigmas[both]) ** 2)).mean())

    tracker = Norfair(distance, 0.95, hit_counter_max=round(footage.fps), initialization_delay=0)
    numbers = []
    for people in footage.frames:
        found = [
            Detection(np.nan_to_num(pose[:, :2]), pose[:, 2], data=row) for row, pose in enumerate(people)
        ]
        numbers.append(np.full(len(people), -1, np.intp))
        for each in tracker.update(found):
            if any(each.last_detection is detection for detection in found):
                numbers[-1][each.last_detection.data] = each.id
    return numbers


OTHERS: Final[dict[str, tuple[str, Follow]]] = {
    "OKS-SORT": ("", oks_sort),
    "ByteTrack": ("trackers", byte_track),
    "OC-SORT": ("trackers", oc_sort),
    "Norfair": ("norfair", norfair),
}
"""Other trackers, each with the package that it needs: none is a dependency of this project."""


def installed() -> dict[str, Follow]:
    """The other trackers whose package is installed."""
    return {name: follow for name, (package, follow) in OTHERS.items() if _is_installed(package)}


def missing() -> str:
    """How to get the packages that are not installed; empty if all are."""
    packages = {package for package, _ in OTHERS.values() if not _is_installed(package)}
    return f"not measured: pip install {' '.join(sorted(packages))}" if packages else ""


def _is_installed(package: str) -> bool:
    return not package or find_spec(package) is not None


class TrackingSize(NamedTuple):
    """Footage for the trackers: simulated, and rendered for a real estimator.

    Attributes:
        people: numbers of actors.
        seeds: number of videos for each.
        seconds: their length; they have 30 frames/s.
        steps: one frame in so many is tracked.
        rendered: seconds of the rendered video of two actors, 15 frames/s, for each of three seeds.
    """

    people: tuple[int, ...]
    seeds: int
    seconds: float
    steps: tuple[int, ...]
    rendered: float


def simulated(size: TrackingSize, seed: int) -> Iterator[tuple[str, list[Footage]]]:
    """Footage with simulated errors, by what it shows."""
    for people in size.people:
        seeds = range(seed, seed + size.seeds)
        shown = [detect_with_errors(walking_scene(people, size.seconds, 30, each), each) for each in seeds]
        for step in size.steps:
            yield f"{people} people, {30 // step} frames/s", [each.every(step) for each in shown]


def judge_all(follow: Follow, shown: Sequence[Footage]) -> tuple[int, float]:
    """Identity switches, and the mean IDF1."""
    found = [measure_quality(each, follow(each)) for each in shown]
    return sum(each.switches for each in found), float(np.mean([each.idf1 for each in found]))


def described(name: str, follow: Follow, shown: Sequence[Footage]) -> str:
    """The switches and IDF1 of ours and of another tracker."""
    (switches, idf1), (other_switches, other_idf1) = judge_all(track_all, shown), judge_all(follow, shown)
    return f"switches {switches}, {name} {other_switches}; IDF1 {idf1:.3f}, {name} {other_idf1:.3f}"
