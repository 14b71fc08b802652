"""How `skdpipe predict --source` labels a live source."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from skdpipe.cli.app import print_json, print_line, print_note, print_problem
from skdpipe.cli.interruption import NothingToContinue
from skdpipe.cli.results import clock, in_words
from skdpipe.errors import ConfigError

if TYPE_CHECKING:
    from skdpipe.inference import FootageSettings, LivePredictor, Predictor
    from skdpipe.inference.footage import Labels
    from skdpipe.video import LiveEvent, LiveSource, RawVideo

_LATE: Final = 0.5  # seconds for which a frame is waited for at the end of the duration
_LATENCIES: Final = 10_000  # the last ones, of which the summary has the quantiles


@dataclass
class LiveResults:
    """Prints labels as they come, and how late they are.

    Attributes:
        as_json: print one JSON object for each label, segment and event.
        frames: number of frames so far.
        latencies: seconds from the arrival of a frame to the labels that it completes.
        labels: the last label of each person.
    """

    as_json: bool
    frames: int = 0
    latencies: deque[float] = field(default_factory=lambda: deque(maxlen=_LATENCIES))
    labels: dict[int | None, str] = field(default_factory=dict)

    def print_event(self, event: LiveEvent) -> None:
        """Print what happened to the connection."""
        if self.as_json:
            size = None if event.size is None else list(event.size)
            print_json(
                {
                    "event": event.kind,
                    "reason": event.reason,
                    "seconds": round(event.seconds, 3),
                    "size": size,
                }
            )
        elif event.kind == "disconnected":
            print_problem("yellow", event.kind, event.reason)
        else:
            after = f" after {event.seconds:.1f} s" if event.seconds else ""
            pixels = "" if event.size is None else f", {event.size[0]}x{event.size[1]}"
            print_note(event.kind, f"live source{after}{pixels}")

    def print_labels(self, labels: Labels, arrived: float | None, dropped: int) -> None:
        """Print what a frame has completed; without JSON, the labels of windows that are new.

        Args:
            labels: of the windows and segments.
            arrived: when the frame arrived, by `time.monotonic`; None at the end.
            dropped: number of frames dropped so far.
        """
        from skdpipe.inference.segment_files import segment_to_json

        latency = None if arrived is None else time.monotonic() - arrived
        if latency is not None and labels.windows:
            self.latencies.append(latency)
        for each in labels.windows:
            if self.as_json:
                more: dict[str, object] = {"latency": latency and round(latency, 4), "dropped": dropped}
                print_json({"event": "label", **segment_to_json(each), **more})
            elif latency is not None and self.labels.get(each.person) != each.text:
                self.labels[each.person] = each.text
                share = f" {each.probability:.3f}" if each.probability else ""
                who = "" if each.person is None else f", person {each.person}"
                print_line(f"{clock(each.end)}  now {each.text}{share}{who} ({latency:.2f} s late)")
        for each in labels.segments:
            if self.as_json:
                print_json({"event": "segment", **segment_to_json(each)})
            else:
                print_line(in_words(each))
        for span in labels.left:
            self.labels.pop(span.person, None)

    def print_summary(self, source: LiveSource) -> None:
        """Print how many frames there were, how many were left out, and how late the labels were."""
        ordered = sorted(self.latencies)
        median, high = (ordered[int(share * len(ordered))] if ordered else None for share in (0.5, 0.95))
        if self.as_json:
            print_json(
                {
                    "event": "end",
                    "frames": self.frames,
                    "dropped": source.dropped,
                    "corrupt": source.corrupt,
                    "latency_median": median and round(median, 4),
                    "latency_95": high and round(high, 4),
                }
            )
            return
        late = (
            "" if median is None else f"; latency from frame to label {median:.3f} s, 95 % below {high:.3f} s"
        )
        print_note(
            "end", f"{self.frames} frames labelled, {source.dropped} dropped, {source.corrupt} corrupt{late}"
        )


@dataclass(frozen=True)
class LiveOptions:
    """What is labelled.

    Attributes:
        source: number of a camera, address, or ``-``.
        raw: width and height of frames without a container on standard input.
        fps: frames per second, if the source states none.
        duration: seconds after which the source is left.
        as_json: print one JSON object for each label, segment and event.
    """

    source: str
    raw: tuple[int, int] | None
    fps: float | None
    duration: float | None
    as_json: bool

    @property
    def raw_video(self) -> RawVideo | None:
        """The frames without a container.

        Raises:
            ConfigError: if their rate is not known.
        """
        from skdpipe.video import RawVideo

        if self.raw is None:
            return None
        if self.fps is None:
            raise ConfigError("--raw without --fps; expected the frames per second of the raw frames too")
        return RawVideo(self.raw, self.fps)


def label_live(predictor: Predictor, settings: FootageSettings, options: LiveOptions) -> None:
    """Label a live source until it ends, for a time, or until the command is interrupted.

    Raises:
        NothingToContinue: after an interruption.
        VideoError: if the source cannot be opened.
        ConfigError: if the rate of raw frames is not known.
        BundleError: if the length of a window is not known.
    """
    from skdpipe.inference import LivePredictor
    from skdpipe.video import open_live

    results = LiveResults(options.as_json)
    raw = options.raw_video
    _warm_up(predictor)
    with open_live(options.source, raw=raw, on_event=results.print_event) as frames:
        live = LivePredictor(predictor, settings, fps=frames.fps or options.fps)
        with _ending(live, results, frames), _leaving_after(options.duration, frames):
            for frame in frames:
                labels = live.update(frame.image, frame.seconds)
                results.frames += 1
                results.print_labels(labels, frame.arrived, frames.dropped)
                if options.duration is not None and frame.seconds >= options.duration:
                    break


def _warm_up(predictor: Predictor) -> None:
    """Run the estimator once; the first call may take a second, in which a live source would drop frames."""
    import numpy as np

    from skdpipe.pose.protocol import detect_people

    detect_people(predictor.require_estimator().estimator, [np.zeros((240, 320, 3), np.uint8)])


@contextmanager
def _leaving_after(duration: float | None, source: LiveSource) -> Iterator[None]:
    """Leave a live source after some seconds even if it gives no frames any more."""
    if duration is None or source.is_recording:
        yield
        return
    timer = threading.Timer(duration + _LATE, source.close)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextmanager
def _ending(live: LivePredictor, results: LiveResults, source: LiveSource) -> Iterator[None]:
    """End the last segments and print the summary, also after an interruption."""
    try:
        yield
    except KeyboardInterrupt:
        raise NothingToContinue from None
    finally:
        results.print_labels(live.finish(), None, source.dropped)
        results.print_summary(source)
