"""Probabilities of people in footage by a continual network, frame by frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from skdpipe.errors import BundleError
from skdpipe.inference.frame_input import FrameInput, StepInput
from skdpipe.inference.metadata import BundleMetadata
from skdpipe.inference.prediction import probabilities_of
from skdpipe.inference.windows import FootageFormat
from skdpipe.runtimes import open_session
from skdpipe.skeleton.tracks import TrackedFrame

Floats = NDArray[np.float32]
Arrays = tuple[Floats, ...]


@dataclass(frozen=True)
class ContinualFormat:
    """What runs a continual network needs of it; see :class:`skdpipe.networks.ContinualNetwork`.

    Attributes:
        stride: number of frames of a step.
        delay: number of frames after that of an output on which the output depends.
        state_shapes: shape of each array of the state, without the rows. The first array holds
            the number of frames of each row.
    """

    stride: int
    delay: int
    state_shapes: tuple[tuple[int, ...], ...]

    def start(self, first: Sequence[int]) -> Arrays:
        """The state of rows that begin with the next step, at these positions in it."""
        age, *others = (np.zeros((len(first), *shape), np.float32) for shape in self.state_shapes)
        return age - np.asarray(first, np.float32), *others


class ContinualRuntime(Protocol):
    """Runs a continual network.

    Attributes:
        name: of the runtime, for messages and reports.
        format: of the network.
    """

    name: str
    format: ContinualFormat

    def __call__(self, x: Floats, state: Arrays) -> tuple[Floats, Arrays]:
        """Compute a step.

        Args:
            x: ``(row, channel, frame, joint)``.
            state: arrays with the rows on the first axis.

        Returns:
            Logits ``(row, class)``, NaN for rows without an output yet, and the next state.
        """
        ...


class ExportedContinualRuntime:
    """Runs a continual network that was exported to ONNX, on the CPU in single precision.

    Args:
        model: as exported by :func:`skdpipe.networks.continual_to_onnx`.
        format: of the network.
        name: of the runtime.
        threads: number of threads.

    Raises:
        MissingDependencyError: if the runtime is not installed.
    """

    def __init__(
        self,
        model: bytes,
        format: ContinualFormat,  # noqa: A002
        name: Literal["onnx", "openvino"],
        threads: int,
    ) -> None:
        self.name: str = name
        self.format = format
        self._session = open_session(model, name, threads=threads)

    def __call__(self, x: Floats, state: Arrays) -> tuple[Floats, Arrays]:
        """See :class:`ContinualRuntime`."""
        states = {f"state_{number}": each for number, each in enumerate(state)}
        logits, *following = self._session({"x": x, **states})
        return logits, tuple(following)


@dataclass(frozen=True, eq=False)
class PeopleScores:
    """The probabilities of the people in a window.

    Attributes:
        start, end: of the window in seconds. It ends before the newest frame, by the network's delay.
        numbers: ``(person,)``: tracks, increasing.
        probabilities: ``(person, class)``, calibrated.
        seen: ``(person,)``: share of the frames of the last window in which the person was detected.
    """

    start: float
    end: float
    numbers: NDArray[np.intp]
    probabilities: NDArray[np.float64]
    seen: NDArray[np.float64]


class ContinualScorer:
    """Gives each person of footage probabilities, computing each frame once.

    A person has probabilities as soon as there is one output; from then on they are the mean over the last
    window.

    Args:
        metadata: of the student's bundle.
        runtime: runs the student.
        window: seconds of a window.
        format: of the footage.

    Attributes:
        delay: seconds from the end of a window to the frame that completes its probabilities.

    Raises:
        ConfigError: if the student's input cannot be prepared frame by frame.
    """

    def __init__(
        self,
        metadata: BundleMetadata,
        runtime: ContinualRuntime,
        window: float,
        format: FootageFormat,  # noqa: A002
    ) -> None:
        self._metadata, self._runtime, self._window = metadata, runtime, window
        steps = runtime.format
        self._input = FrameInput(metadata.clip, format, window, steps.stride, steps.delay)
        self.delay = runtime.format.delay / self._input.rate
        self._numbers = np.zeros(0, np.intp)
        self._state = runtime.format.start([])

    def add(self, frame: TrackedFrame) -> list[PeopleScores]:
        """Add the next frame; returns the windows that it completes.

        Raises:
            BundleError: if the student's output is not finite.
        """
        return [self._score(step) for step in self._input.add(frame)]

    def _score(self, step: StepInput) -> PeopleScores:
        end = step.end - self.delay
        if not len(step.numbers):
            self._numbers = step.numbers
            nobody = np.zeros((0, len(self._metadata.classes)))
            return PeopleScores(end - self._window, end, step.numbers, nobody, step.seen)
        logits, self._state = self._runtime(step.x, self._state_of(step))
        self._numbers = step.numbers
        complete = self._state[0] > self._runtime.format.delay  # the first array is the age in frames
        if not np.isfinite(logits[complete]).all():
            raise BundleError("the network's output for a person is not finite; train it again")
        probabilities = probabilities_of(logits[complete], self._metadata.temperature)
        numbers, seen = step.numbers[complete], step.seen[complete]
        return PeopleScores(end - self._window, end, numbers, probabilities, seen)

    def _state_of(self, step: StepInput) -> Arrays:
        """The state of the tracks of a step; new ones begin."""
        started = self._runtime.format.start(np.maximum(step.first, 0).tolist())
        known = step.first < 0
        rows = np.searchsorted(self._numbers, step.numbers[known])
        for array, kept in zip(started, self._state, strict=True):
            array[known] = kept[rows]
        return started
