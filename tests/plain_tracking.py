"""Tracking as plain as possible: every track of the clip is looked at in every frame, pair by pair."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from skdpipe.skeleton import UNSEEN, Keypoints, Layout, is_seen
from skdpipe.skeleton.people import assign, body_area, oks


def plain_track(
    frames: Sequence[Keypoints], layout: Layout, size: tuple[int, int], memory: int = 30
) -> Keypoints:
    """``(frame, person, joint, 3)``, people in the order of their first detection."""
    minimum_area = (0.02 * float(np.hypot(*size))) ** 2
    last: list[Keypoints] = []
    when: list[int] = []
    velocity: list[np.ndarray] = []
    found: list[tuple[int, int, Keypoints]] = []
    for frame, detected in enumerate(frames):
        people = detected[is_seen(detected).any(axis=-1)]
        active = [index for index in range(len(last)) if frame - when[index] <= memory]
        score = np.zeros((len(active), len(people)))
        for row, index in enumerate(active):
            gap = frame - when[index]
            shift = velocity[index] * 5 * (1 - 0.8**gap)
            predicted = last[index] + np.append(shift, 0).astype(np.float32)
            for column, pose in enumerate(people):
                both = is_seen(predicted) & is_seen(pose)
                if not both.any():
                    continue
                areas = [max(float(body_area(each)), minimum_area) for each in (predicted, pose)]
                area = max(areas) * (gap**0.25) ** 2
                x, y = (predicted - pose)[both, :2].T
                nearness = 1 - np.median(np.hypot(x, y)) / np.sqrt(area)
                if nearness > 0:
                    similarity = (oks(predicted, pose, layout.sigmas, area) + nearness) / 2
                    score[row, column] = similarity * (np.sqrt(min(areas) / max(areas)) / (1 + gap / 15))
        assigned = {column: active[row] for row, column in assign(score)}
        for column, pose in enumerate(people):
            index = assigned.get(column, len(last))
            if index == len(last):
                last.append(pose)
                when.append(frame)
                velocity.append(np.zeros(2))
            else:
                both = is_seen(last[index]) & is_seen(pose)
                motion = np.median((pose - last[index])[both, :2], axis=0) / (frame - when[index])
                velocity[index] = 0.5 * velocity[index] + 0.5 * motion
                last[index], when[index] = pose, frame
            found.append((frame, index, pose))
    keypoints = np.tile(UNSEEN, (len(frames), len(last), len(layout), 1))
    for frame, index, pose in found:
        keypoints[frame, index] = pose
    return keypoints
