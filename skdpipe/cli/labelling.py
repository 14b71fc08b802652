"""How `skdpipe predict` labels one video or pose sequence after the other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from skdpipe.cli.app import print_note, print_problem, stderr
from skdpipe.cli.clips import Refused
from skdpipe.cli.results import Results
from skdpipe.errors import ConfigError, SkdpipeError

if TYPE_CHECKING:
    from skdpipe.inference import Predictor
    from skdpipe.inference.timeline import Timeline
    from skdpipe.inference.window_settings import FootageSettings
    from skdpipe.skeleton import PoseSequence
    from skdpipe.skeleton.tracks import TrackedFrame


@dataclass(frozen=True)
class Wanted:
    """How the user wants videos to be labelled; None is the default.

    Attributes:
        segments: label segments, not the whole.
        min_probability, window, stride, per_person: as in `FootageSettings`.
        continual: compute each frame of footage once.
    """

    segments: bool | None
    min_probability: float | None
    window: float | None
    stride: float | None
    per_person: bool | None
    continual: bool

    @property
    def footage(self) -> FootageSettings:
        """The settings of footage.

        Raises:
            ConfigError: if one is out of its range.
        """
        from skdpipe.inference.window_settings import FootageSettings

        given = {} if self.min_probability is None else {"min_probability": self.min_probability}
        return FootageSettings(self.window, self.stride, per_person=self.per_person, **given)


class Labelling:
    """Labels clips and footage, prints the labels and writes the files.

    Args:
        predictor: labels them.
        wanted: how.
        results: where the labels go.

    Raises:
        ConfigError: if a setting is out of its range, or is for segments where one label is wanted.
    """

    def __init__(self, predictor: Predictor, wanted: Wanted, results: Results) -> None:
        self._predictor, self._wanted, self._results = predictor, wanted, results
        self._footage = wanted.footage
        self._noted = {predictor.metadata.fingerprint}
        self._noted_rate = self._noted_length = self._noted_windows = False
        of_segments = (wanted.window, wanted.stride, wanted.per_person)
        given = wanted.continual or any(value is not None for value in of_segments)
        if given and wanted.segments is False:
            raise ConfigError(
                "--one-label with --window, --stride, --per-person, --together or --continual, which are for "
                "segments; leave one of them out"
            )
        self._segments = True if given else wanted.segments

    def label(self, clip: Path | PoseSequence) -> Refused | None:
        """Label a video or a pose sequence; an error is returned."""
        source, video = (str(clip), clip) if isinstance(clip, Path) else (clip.origin.source, None)
        try:
            places = self._results.places_of(source, video)
            if not isinstance(clip, Path):
                self._note_estimator(clip)
            frames: list[TrackedFrame] = []
            label = self._label_footage if self._is_footage(clip) else self._label_clip
            timeline = label(clip, frames)
            layout = self._predictor.layout if isinstance(clip, Path) else clip.layout
            classes = self._predictor.metadata.classes
            self._results.write(timeline, places, video, frames, layout, classes)
        except SkdpipeError as error:
            return Refused(source, str(error) if source in str(error) else f"{source}: {error}")
        return None

    def _is_footage(self, clip: Path | PoseSequence) -> bool:
        from skdpipe.video import measure_duration

        if self._segments is not None:
            return self._segments
        if self._predictor.metadata.training_clips is None:
            self._note_length()
            return False
        return self._predictor.is_footage(measure_duration(clip) if isinstance(clip, Path) else clip.duration)

    def _label_clip(self, clip: Path | PoseSequence, frames: list[TrackedFrame]) -> Timeline:
        """The label of a whole clip; its people are appended to the frames if they are drawn."""
        from skdpipe.inference.pose_footage import frames_of, timeline_of_clip

        sequence = self._predictor.estimate_poses(clip) if isinstance(clip, Path) else clip
        prediction = self._predictor.predict(sequence, min_probability=self._wanted.min_probability or 0.0)
        self._results.print_prediction(prediction)
        if self._results.overlay is not None:
            frames += frames_of(sequence)
        return timeline_of_clip(prediction, sequence)

    def _label_footage(self, clip: Path | PoseSequence, frames: list[TrackedFrame]) -> Timeline:
        """The segments of footage; its people are appended to the frames if they are drawn."""
        from skdpipe.inference.window_settings import windows_of
        from skdpipe.progress import Progress
        from skdpipe.video import probe

        windows = windows_of(self._predictor.metadata, self._footage)
        if not self._noted_windows and not self._results.as_json:
            self._noted_windows = True
            who = "each person apart" if windows.per_person else "people together"
            print_note("windows", f"{windows.seconds:.3g} s, every {windows.stride:.3g} s, {who}")
        most = 0
        total = (probe(clip).frames if isinstance(clip, Path) else clip.video_frames) or None
        name = clip.name if isinstance(clip, Path) else Path(clip.origin.source).name
        progress = Progress(stderr, quiet=self._results.as_json)
        with progress.task(f"labelling {name}", total, unit="frames") as task:

            def show(frame: TrackedFrame) -> None:
                nonlocal most
                most = max(most, len(frame.numbers))
                task.advance_to(frame.frame + 1)
                if self._results.overlay is not None:
                    frames.append(frame)

            timeline = self._predictor.label_footage(clip, self._footage, on_frame=show)
        self._results.print_timeline(timeline)
        if not isinstance(clip, Path):
            self._note_rate(clip)
        people = self._predictor.metadata.clip.people
        if most > people and all(each.person is None for each in timeline.segments):
            print_note(
                "people",
                f"{most} people are in view at once, and the student labels {people} together; --per-person "
                "labels each",
            )
        return timeline

    def _note_length(self) -> None:
        """Print a note once that nothing is known to be longer than the training clips."""
        if not self._noted_length:
            self._noted_length = True
            print_note(
                "clips",
                "a bundle of an earlier version does not state the length of its training clips: each video "
                "gets one label; --window gives segments",
            )

    def _note_rate(self, clip: PoseSequence) -> None:
        """Print a note once if the times may rest on a frame rate that is assumed."""
        from skdpipe.formats.defaults import FPS

        if clip.fps == FPS and not self._noted_rate:
            self._noted_rate = True
            print_problem(
                "yellow",
                "note",
                f"times are at {FPS:g} frames per second, as assumed where skeletons do not record it; --fps "
                "gives another",
            )

    def _note_estimator(self, clip: PoseSequence) -> None:
        """Print a note once for each estimator of skeletons that is not the student's."""
        estimator, trained = clip.origin.estimator, self._predictor.metadata.fingerprint
        if estimator in self._noted:
            return
        self._noted.add(estimator)
        print_problem(
            "yellow",
            "note",
            f"poses by {estimator or 'an unknown estimator'}; the student was trained on poses by {trained}; "
            "accuracy may be lower",
        )
