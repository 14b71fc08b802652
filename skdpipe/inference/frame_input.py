"""From tracked people, frame by frame, to the input of a continual network.

A window of footage is resampled to the frames of a clip; here the footage itself is, to as many frames a
second. The frame between two on which the estimator ran is interpolated as by `resample`. With ``scale:
body`` a frame has the centre and size of the person in the window that ends with the step, as a frame has no
size of its own; ``scale: image`` is the same for frames and windows.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skdpipe.config import ClipFormat
from skdpipe.errors import ConfigError
from skdpipe.inference.model_input import require_coordinates
from skdpipe.inference.streams import to_stream
from skdpipe.inference.windows import FootageFormat
from skdpipe.skeleton import Keypoints, PoseSequence, is_seen, layout_named, map_layout
from skdpipe.skeleton.sequence import unseen_joint
from skdpipe.skeleton.tracks import TrackedFrame
from skdpipe.skeleton.transforms import (
    interpolate_rows,
    normalise_by_body,
    normalise_by_image,
    to_network,
)

_ROUNDING = 1e-6  # seconds


def require_frame_by_frame(clip: ClipFormat) -> None:
    """Raise an error unless clips of a format can be prepared frame by frame.

    Raises:
        ConfigError: if a frame of the input depends on later frames or on where a window begins.
    """
    unsuitable = {
        "fill replay": clip.fill == "replay",
        f"smoothing {clip.smoothing}": clip.smoothing > 1,
        "missing interpolate": clip.missing == "interpolate",
        f"stream {clip.stream}": clip.stream not in ("joint", "bone"),
        "scale root": clip.scale == "root",
        "align": clip.align and clip.coordinates == 3,
    }
    found = [name for name, here in unsuitable.items() if here]
    if found:
        raise ConfigError(
            f"continual inference of a student trained with {', '.join(found)}; expected fill resample, "
            "smoothing 1, missing zero, stream joint or bone, scale body or image, and no align: use sliding "
            "windows, or train with these"
        )


@dataclass(frozen=True, eq=False)
class StepInput:
    """The input of one step of a continual network.

    Attributes:
        end: seconds of its last frame.
        numbers: ``(row,)``: tracks, increasing.
        first: ``(row,)``: position in this step of a track's first frame, -1 for tracks of earlier steps.
        x: ``(row, channel, frame, joint)``, zeros before a track's first frame.
        seen: ``(row,)``: share of the frames of the last window in which the person was detected.
    """

    end: float
    numbers: NDArray[np.intp]
    first: NDArray[np.intp]
    x: NDArray[np.float32]
    seen: NDArray[np.float64]


class FrameInput:
    """Makes the steps of a continual network from frames that are given one by one.

    Tracks that are not detected for a window and the network's delay are left out from then on. If no frame
    comes for longer than a window, all tracks begin again.

    Args:
        clip: format that the student was trained with.
        format: of the footage.
        window: seconds of a window.
        step: number of network frames of a step.
        delay: number of network frames after that of an output on which the output depends.

    Attributes:
        rate: network frames a second.

    Raises:
        ConfigError: see `require_frame_by_frame`.
    """

    def __init__(
        self,
        clip: ClipFormat,
        format: FootageFormat,  # noqa: A002
        window: float,
        step: int,
        delay: int = 0,
    ) -> None:
        require_frame_by_frame(clip)
        self._clip, self._format, self._window, self._step = clip, format, window, step
        self._memory = clip.frames + delay
        self._layout = layout_named(clip.layout)
        self.rate = clip.frames / window
        self._tracks: dict[int, _Track] = {}
        self._before: _Poses | None = None
        self._origin, self._next = 0.0, 0  # seconds of network frame 0, number of the next one

    def add(self, frame: TrackedFrame) -> list[StepInput]:
        """Add the next frame; returns the steps that it completes.

        Raises:
            DataError: if its layout cannot be mapped to that of the clip, or it has another number of
                coordinates.
        """
        poses = self._map(frame)
        before = self._before
        if before is None or poses.seconds - before.seconds > self._window:
            self._tracks.clear()
            self._origin, self._next = poses.seconds, 0
            before = poses
        steps = []
        while (seconds := self._origin + self._next / self.rate) <= poses.seconds + _ROUNDING:
            self._add_row(before, poses, seconds)
            self._next += 1
            if self._next % self._step == 0:
                steps.append(self._make_step(seconds))
        self._before = poses
        return steps

    def _map(self, frame: TrackedFrame) -> _Poses:
        sequence = PoseSequence(
            frame.people[None],
            np.zeros(1, np.int32),
            1,
            self._format.layout,
            self._format.fps,
            self._format.size,
        )
        require_coordinates(sequence, self._clip)
        people = map_layout(sequence, self._layout).keypoints[0]
        return _Poses(frame.seconds, dict(zip(frame.numbers.tolist(), people, strict=True)))

    def _add_row(self, before: _Poses, after: _Poses, seconds: float) -> None:
        """Interpolate all tracks at a time between two frames."""
        numbers = sorted({*self._tracks, *before.people, *after.people})
        if not numbers:
            return
        unseen = np.broadcast_to(
            unseen_joint(self._clip.channels - 1), (len(self._layout), self._clip.channels)
        )
        both = np.stack([[each.people.get(number, unseen) for number in numbers] for each in (before, after)])
        length = after.seconds - before.seconds
        weight = min((seconds - before.seconds) / length, 1.0) if length > 0 else 0.0
        row = interpolate_rows(both, np.array([weight]))[0]
        for number, pose in zip(numbers, row, strict=True):
            track = self._tracks.get(number)
            if is_seen(pose).any():
                track = self._tracks.setdefault(number, _Track(self._next, deque(maxlen=self._clip.frames)))
                track.last_seen = self._next
            if track is not None:
                track.rows.append(pose)

    def _make_step(self, end: float) -> StepInput:
        begin = self._next - self._step
        for number, track in list(self._tracks.items()):
            if track.last_seen <= self._next - 1 - self._memory:
                del self._tracks[number]
        numbers = sorted(self._tracks)
        tracks = [self._tracks[number] for number in numbers]
        x = np.zeros((len(numbers), self._clip.channels, self._step, len(self._layout)), np.float32)
        for row, track in enumerate(tracks):
            new = self._normalise(np.stack(track.rows)[:, None])
            x[row, :, self._step - new.shape[1] :] = new
        first = [track.first - begin if track.first >= begin else -1 for track in tracks]
        seen = [sum(is_seen(pose).any() for pose in track.rows) / self._clip.frames for track in tracks]
        return StepInput(end, np.array(numbers, np.intp), np.array(first, np.intp), x, np.array(seen))

    def _normalise(self, window: Keypoints) -> NDArray[np.float32]:
        """The new frames ``(channel, frame, joint)`` of a person's last window."""
        if self._clip.scale == "image":
            scaled = normalise_by_image(window[-self._step :], self._format.size)
        else:
            scaled = normalise_by_body(window)[-self._step :]
        return to_stream(to_network(scaled)[0], self._clip.stream, self._layout.parents)


@dataclass(frozen=True, eq=False)
class _Poses:
    """The people of a frame by the number of their track, each ``(joint, channel)``."""

    seconds: float
    people: dict[int, Keypoints]


@dataclass(eq=False)
class _Track:
    """The network frames of the last window of a person.

    Attributes:
        first, last_seen: numbers of network frames.
        rows: ``(joint, channel)`` each.
    """

    first: int
    rows: deque[Keypoints]
    last_seen: int = 0
