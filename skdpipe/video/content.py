"""What is found in a video file while it is read: the times of its frames, and what is missing."""

from __future__ import annotations

import math
import warnings
from collections import deque
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
import av.packet
from av.container import InputContainer

from skdpipe.video.promise import ends_inside_packet, is_short, stated_duration

_JUMP_BACK: Final = 0.5  # seconds by which the times of a joined piece are at least before the last time
_JUMP_AHEAD: Final = 10.0  # the same after the last time; as FFmpeg's -dts_delta_threshold


@dataclass
class Clock:
    """Turns the timestamps of frames into seconds since the first frame, which increase.

    Attributes:
        period: seconds from one frame to the next.
        joined: whether files of this container may be joined from pieces.
    """

    period: float
    joined: bool
    _last: float | None = None
    _offset: float | None = None

    def seconds_at(self, stamp: float | None) -> float:
        """The time of the next frame.

        Args:
            stamp: its timestamp in seconds, None if it has none.
        """
        following = 0.0 if self._last is None else self._last + self.period
        seconds = following
        if stamp is not None:
            if self._offset is None:
                self._offset = following - stamp
            jump = stamp + self._offset - (self._last or 0.0)
            if jump < -_JUMP_BACK or (self.joined and jump > _JUMP_AHEAD):
                self._offset = following - stamp
            elif jump > 0:
                seconds = stamp + self._offset
        self._last = seconds
        return seconds


@dataclass
class Content:
    """What was found in a file.

    Attributes:
        clock: of its frames.
        slots: timestamps of the packets whose frames were not yet returned, in seconds; None if the frames
            themselves have valid ones. (AVI stores frames in decoding order without their times, and FFmpeg's
            guess is wrong for H.264 with B-frames.)
        frames: number of frames decoded.
        first: timestamp of the first frame in seconds.
        last: seconds from the first to the last frame.
        duration: timestamp and duration of the latest packet with a duration, in seconds.
        audio: for each audio stream the timestamp of its first packet, and its duration, in seconds.
        undecodable: number of packets that the decoder refused.
        damaged: number of returned frames that the decoder could not decode completely.
        incomplete: number of incomplete frames at the end.
    """

    clock: Clock
    slots: deque[float] | None
    frames: int = 0
    first: float = 0.0
    last: float = 0.0
    duration: tuple[float, float] = (-math.inf, 0.0)
    audio: dict[int, tuple[float, float]] = field(default_factory=dict)
    undecodable: int = 0
    damaged: int = 0
    incomplete: int = 0

    def seconds_of(self, frame: av.VideoFrame) -> float:
        """The time of the next frame."""
        stamp = frame.dts if frame.pts is None else frame.pts
        self.damaged += frame.is_corrupt
        return self.seconds_at(stamp, frame.time_base)

    def seconds_at(self, stamp: int | None, time_base: Fraction | None) -> float:
        """The time of the next frame.

        Args:
            stamp: its timestamp in the unit ``time_base``, None if it has none.
            time_base: in seconds.
        """
        time = None if stamp is None or time_base is None else float(stamp * time_base)
        if self.slots is not None:
            time = self.slots.popleft() if self.slots else None
        self.last = self.clock.seconds_at(time)
        if not self.frames:
            self.first = time or 0.0
        self.frames += 1
        return self.last

    @property
    def end(self) -> float:
        """Seconds from the start of the first to the end of the last frame."""
        return self.last + (self.duration[1] or self.clock.period)

    def add_video(self, packet: av.packet.Packet[Any]) -> None:
        """Take note of when and how long a frame is displayed."""
        base = float(packet.time_base or 0)
        if self.slots is not None and packet.size and packet.dts is not None:
            self.slots.append(packet.dts * base)
        if packet.pts is not None and packet.duration:
            self.duration = max(self.duration, (packet.pts * base, packet.duration * base))

    def add_audio(self, packet: av.packet.Packet[Any]) -> None:
        """Count the sound of a packet."""
        base = float(packet.time_base or 0)
        start, seconds = self.audio.get(packet.stream.index, ((packet.pts or 0) * base, 0.0))
        self.audio[packet.stream.index] = start, seconds + (packet.duration or 0) * base

    def warn(self, path: Path, container: InputContainer) -> None:
        """Warn if frames are missing."""
        for line in self._missing(path, container):
            warnings.warn(f"{path}: {line}", UserWarning, stacklevel=3)

    def _missing(self, path: Path, container: InputContainer) -> list[str]:
        found = f"{self.end:.1f} s of video ({self.frames} frames)"
        advice = "the file is probably truncated: download or convert it again"
        stated = stated_duration(path, container) - max(0.0, self.first)
        audible = max((self._sound_beside(*audio) for audio in self.audio.values()), default=0.0)
        lines = []
        if is_short(self.end, stated):
            lines.append(f"{found}, but the container states {stated:.1f} s; {advice}")
        elif is_short(self.end, audible):
            lines.append(f"{found}, but {audible:.1f} s of audio; {advice}")
        elif self.incomplete:
            lines.append(f"{found}, and an incomplete frame at the end, which is left out; {advice}")
        elif ends_inside_packet(path, container):
            lines.append(f"{found}, and an incomplete packet at the end; {advice}")
        if self.damaged or self.undecodable:
            lines.append(
                f"{found}, of which {self.damaged} are damaged; {self.undecodable} packets cannot be "
                "decoded: download the file again if possible"
            )
        return lines

    def _sound_beside(self, start: float, seconds: float) -> float:
        """Seconds of an audio stream from the first frame on."""
        late = self.first - start
        return seconds - (late if 0 < late < _JUMP_AHEAD else 0.0)
