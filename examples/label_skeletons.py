"""The label of a skeleton with numpy and ONNX Runtime alone: what a phone or another program computes.

    python examples/label_skeletons.py models/published/student-export/student-batch-1.onnx skeleton.npz

The skeleton is a .npz file or a JSON object with ``keypoints`` (frame, person, joint, channel: x and y in
pixels and a confidence from 0 to 1, or x, y, z and a confidence; a joint that is not seen has confidence 0),
``size`` (width and height of the frames in pixels) and, if not every frame of the video is there, ``frame``
(the number of each frame, from 0) and ``frames`` (of the whole video). The joints are those of the student.
examples/my-phone.md explains each step.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def label(model: Path, skeleton: Mapping[str, Any]) -> list[tuple[str, float]]:
    """The classes of an exported student with their probabilities, the most probable first."""
    session = onnxruntime.InferenceSession(model)
    student = json.loads(session.get_modelmeta().custom_metadata_map["description"])
    x, mask = network_input(skeleton, student["clip"], student["layout"])
    if not mask.any():
        raise ValueError("nobody is seen")
    (logits,) = session.run(["logits"], {"x": x[None], "mask": mask[None]})
    scaled = logits[0].astype(np.float64) / (student["temperature"] or 1.0)
    shares = np.exp(scaled - scaled.max())
    probabilities = shares / shares.sum()
    order = np.argsort(-probabilities, kind="stable")
    return [(student["classes"][index], float(probabilities[index])) for index in order]


def network_input(
    skeleton: Mapping[str, Any], clip: Mapping[str, Any], layout: Mapping[str, Any]
) -> tuple[Floats, NDArray[np.bool_]]:
    """Steps 1 to 9: the clip ``(person, channel, frame, joint)`` and the mask ``(person,)``."""
    points = np.array(skeleton["keypoints"], np.float32)
    joints, channels = len(layout["joints"]), (clip["coordinates"] or 2) + 1
    if points.ndim != 4 or points.shape[2:] != (joints, channels) or not len(points):
        raise ValueError(f"keypoints {points.shape}, expected (frame, person, {joints}, {channels})")
    if clip["align"] and channels == 4:
        raise ValueError("clip.align is not a part of this example")
    points = choose_people(hide(points, ~seen(points)), clip["people"])
    points = smooth(points, clip["smoothing"])
    points = fill_frames(points, skeleton)
    if clip["missing"] == "interpolate":
        points = interpolate_missing(points)
    length = clip["frames"]
    if clip["fill"] == "resample":
        points = between_rows(points, np.linspace(0, len(points) - 1, length))
    else:
        points = points[np.arange(length) % len(points)]
    points = normalise(points, clip["scale"], skeleton, layout)
    mask: NDArray[np.bool_] = np.any(seen(points), axis=(0, 2))
    x = np.where(np.isnan(points), 0, points).transpose(1, 3, 0, 2).astype(np.float32)
    if clip["stream"] in ("bone", "bone_motion"):
        x = difference(x, x[..., parents(layout)])
    if clip["stream"] in ("joint_motion", "bone_motion"):
        x = difference(np.concatenate([x[:, :, 1:], x[:, :, -1:]], axis=2), x)
    return np.ascontiguousarray(x), mask


def seen(points: Floats) -> NDArray[np.bool_]:
    """Which joints have a confidence above 0."""
    found: NDArray[np.bool_] = points[..., -1] > 0
    return found


def hide(points: Floats, hidden: NDArray[np.bool_]) -> Floats:
    """A hidden joint is NaN with confidence 0, so that it is in no sum by accident."""
    unseen = np.array([np.nan] * (points.shape[-1] - 1) + [0], np.float32)
    return np.where(hidden[..., None], unseen, points)


def choose_people(points: Floats, count: int) -> Floats:
    """Step 1: the people with the largest sum of confidences, in this order; empty places at the end."""
    if points.shape[1] == count:
        return points
    confidence = points[..., -1].sum(axis=(0, 2), dtype=np.float64)
    best = points[:, np.argsort(-confidence, kind="stable")[:count]]
    frames, people, joints, channels = best.shape
    empty = np.zeros((frames, count - people, joints, channels), np.float32)
    return np.concatenate([best, hide(empty, ~seen(empty))], axis=1)


def smooth(points: Floats, window: int) -> Floats:
    """Step 2: the mean over those frames around a frame in which the joint is seen."""
    here, reach = seen(points)[..., None], min(window // 2, len(points) - 1)
    values = np.where(here, points, 0).astype(np.float64)
    total, count = np.zeros_like(values), np.zeros(here.shape)
    for shift in range(-reach, reach + 1):
        rows = np.arange(len(points)) + shift
        inside = ((rows >= 0) & (rows < len(points)))[:, None, None, None]
        rows = rows.clip(0, len(points) - 1)
        total, count = total + values[rows] * inside, count + here[rows] * inside
    return hide((total / np.maximum(count, 1)).astype(np.float32), count[..., 0] == 0)


def fill_frames(points: Floats, skeleton: Mapping[str, Any]) -> Floats:
    """Step 3: the frames between those that were sampled."""
    frame = np.asarray(skeleton.get("frame", np.arange(len(points))))
    frames = int(skeleton.get("frames", frame[-1] + 1))
    if len(frame) == frames:
        return points
    return between_rows(points, np.interp(np.arange(frames), frame, np.arange(len(frame))))


def between_rows(points: Floats, position: NDArray[np.float64]) -> Floats:
    """Linear between two rows; of a joint that is seen in one of them only, the nearer row."""
    before = np.floor(position).astype(int)
    first, second = points[before], points[np.minimum(before + 1, len(points) - 1)]
    weight = (position - before)[:, None, None, None]
    both = (seen(first) & seen(second))[..., None]
    mixed = first * (1 - weight) + second * weight
    nearer = np.where(weight <= 0.5, first, second)
    return np.asarray(np.where(both, mixed, nearer), np.float32)


def interpolate_missing(points: Floats) -> Floats:
    """Step 4: a joint that is not seen in a frame between the first and last of its person."""
    filled, frames, here = points.copy(), np.arange(len(points)), seen(points)
    for person in range(points.shape[1]):
        present = np.flatnonzero(here[:, person].any(axis=1))
        for joint in range(points.shape[2]):
            known = here[:, person, joint]
            if not known.any():
                continue
            gaps = ~known & (frames >= present[0]) & (frames <= present[-1])
            for axis in range(points.shape[3] - 1):
                values = points[known, person, joint, axis]
                filled[gaps, person, joint, axis] = np.interp(frames[gaps], frames[known], values)
            filled[gaps, person, joint, -1] = 0.1
    return filled


def normalise(points: Floats, scale: str, skeleton: Mapping[str, Any], layout: Mapping[str, Any]) -> Floats:
    """Step 6: the centre and the size of the coordinates."""
    if scale == "image":
        width, height = skeleton["size"]
        factors = np.array([1 / width, 1 / height, 1], np.float32)
        return points * factors - np.array([0.5, 0.5, 0], np.float32)
    here = seen(points)
    if not here.any():
        return points
    person = int(here.any(axis=(0, 2)).argmax())  # the first who is seen
    root = layout["joints"].index(layout["root"])
    with_root = np.flatnonzero(here[:, person, root])
    if scale == "root" and len(with_root):
        return points - np.append(points[with_root[0], person, root, :-1], 0).astype(np.float32)
    body = points[:, person]
    centre = np.median(body[here[:, person]][:, :-1].astype(np.float64), axis=0)
    points = points - np.append(centre, 0).astype(np.float32)
    if scale == "root":
        return points
    joints, there = points[:, person, :, :-1].astype(np.float64), here[:, person, :, None]
    low = np.where(there, joints, np.inf).min(axis=1)
    high = np.where(there, joints, -np.inf).max(axis=1)
    sides = np.where(np.isfinite(low), high - low, 0)
    diagonals = np.linalg.norm(sides, axis=1)
    if not (diagonals > 0).any():
        return points
    factors = np.full(points.shape[-1], 1 / float(np.median(diagonals[diagonals > 0])), np.float32)
    factors[-1] = 1
    return points * factors


def parents(layout: Mapping[str, Any]) -> list[int]:
    """For each joint the one before it on the shortest path from the root; the root's is the root."""
    index = {name: number for number, name in enumerate(layout["joints"])}
    bones = [(index[one], index[other]) for one, other in layout["bones"]]
    root = index[layout["root"]]
    parent, reached = {root: root}, [root]
    for joint in reached:
        for one, other in bones:
            for near, far in ((one, other), (other, one)):
                if near == joint and far not in parent:
                    parent[far] = joint
                    reached.append(far)
    return [parent.get(joint, joint) for joint in range(len(index))]


def difference(end: Floats, start: Floats) -> Floats:
    """Step 8: vectors ``(person, channel, frame, joint)``, zero where either end is not seen."""
    confidence = np.minimum(end[:, -1:], start[:, -1:])
    vector = np.where(confidence > 0, (end - start)[:, :-1], np.float32(0))
    return np.concatenate([vector, confidence], axis=1)


def load_skeleton(path: Path) -> Mapping[str, Any]:
    """The fields of a .npz file or a JSON object; null in JSON is NaN."""
    if path.suffix == ".npz":
        with np.load(path) as arrays:
            return dict(arrays)
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


if __name__ == "__main__":
    for name, probability in label(Path(sys.argv[1]), load_skeleton(Path(sys.argv[2]))):
        sys.stdout.write(f"{name} {probability:.3f}\n")
