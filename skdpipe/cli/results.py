"""What `skdpipe predict` prints and writes: labels of clips, and segments of footage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from skdpipe.cli.app import print_json, print_line, print_note, print_problem, stderr
from skdpipe.cli.clips import Refused
from skdpipe.errors import ConfigError, SkdpipeError, in_brief

if TYPE_CHECKING:
    from skdpipe.inference import Prediction
    from skdpipe.inference.timeline import Segment, Timeline
    from skdpipe.skeleton import Layout
    from skdpipe.skeleton.tracks import TrackedFrame


_VTT: Final = (".vtt",)
_EAF: Final = (".eaf",)
_VIDEO: Final = (".mp4", ".mkv", ".mov")


@dataclass(frozen=True)
class Places:
    """The files of one clip; None for those that are not wanted."""

    vtt: Path | None
    elan: Path | None
    overlay: Path | None


@dataclass(frozen=True)
class Results:
    """Where the results of a command go.

    Attributes:
        top: number of labels printed for a clip.
        as_json: print one JSON object a clip.
        csv: file with the segments of all clips.
        vtt, elan, overlay: file of the only clip, or folder for a file of each clip.
        table: the results for the CSV so far.
    """

    top: int
    as_json: bool
    csv: Path | None
    vtt: Path | None
    elan: Path | None
    overlay: Path | None
    table: list[Timeline] = field(default_factory=list)
    written: set[Path] = field(default_factory=set)

    def print_prediction(self, prediction: Prediction) -> None:
        """Print the label of a clip."""
        if self.as_json:
            print_json(
                {
                    "source": prediction.source,
                    "label": prediction.label,
                    "probabilities": dict(prediction.probabilities),
                    "people": prediction.people,
                    "frames": prediction.frames,
                    "reason": prediction.reason,
                }
            )
            return
        if not prediction.probabilities:
            print_line(f"{prediction.source}: no person found in {prediction.frames} frames")
            return
        labels = ", ".join(f"{label} {share:.3f}" for label, share in prediction.probabilities[: self.top])
        unsure = f"{prediction.reason}: " if prediction.reason else ""
        print_line(f"{prediction.source}: {unsure}{labels}")

    def print_timeline(self, timeline: Timeline) -> None:
        """Print the segments of footage."""
        from skdpipe.inference.segment_files import to_json

        if self.as_json:
            print_json(to_json(timeline))
            return
        count = len(timeline.people)
        people = f", {count} {'person' if count == 1 else 'people'}" if count else ""
        print_line(f"{timeline.source}: {clock(timeline.seconds)}{people}")
        for each in timeline.segments:
            print_line(f"  {in_words(each)}")

    def require_folders(self) -> None:
        """Check that several clips do not go into the file of one.

        Raises:
            ConfigError: if a file is named.
        """
        for name, option, endings in self._options:
            if option is not None and _is_file(option, endings):
                name_of_file = in_brief(str(option), 100)
                raise ConfigError(
                    f"--{name} {name_of_file} is one file, and there are several clips; name a folder"
                )

    @property
    def _options(self) -> list[tuple[str, Path | None, Sequence[str]]]:
        return [("vtt", self.vtt, _VTT), ("elan", self.elan, _EAF), ("overlay", self.overlay, _VIDEO)]

    def places_of(self, source: str, video: Path | None) -> Places:
        """The files for a clip, which is not labelled yet.

        Args:
            source: of the clip.
            video: its file, None if there are only skeletons.

        Raises:
            SkdpipeError: if one belongs to another clip or cannot be a video, or none can be drawn on.
        """
        overlay = None
        if self.overlay is not None:
            from skdpipe.overlay import require_output

            if video is None:
                raise SkdpipeError(f"{source} has skeletons without a video to draw on; leave out --overlay")
            overlay = self._place(self.overlay, _VIDEO, source)
            require_output(video, overlay)
        return Places(
            self.vtt and self._place(self.vtt, _VTT, source),
            self.elan and self._place(self.elan, _EAF, source),
            overlay,
        )

    def _place(self, option: Path, endings: Sequence[str], source: str) -> Path:
        """The file for a clip: the one that is named, or one in the folder that is named."""
        is_file = _is_file(option, endings)
        path = option if is_file else option / f"{Path(source).stem}{endings[0]}"
        number = 1
        while path in self.written:
            if is_file:
                raise SkdpipeError(
                    f"{source} would replace {path}, the file of the clip before; name a folder for several"
                )
            number += 1
            path = path.with_name(f"{Path(source).stem}-{number}{endings[0]}")
        return path

    def write(
        self,
        timeline: Timeline,
        places: Places,
        video: Path | None,
        frames: Sequence[TrackedFrame],
        layout: Layout,
        classes: Sequence[str],
    ) -> None:
        """Write the files that are wanted of a clip or footage.

        Args:
            timeline: its segments.
            places: from `places_of`.
            video: its file.
            frames: its people, for the overlay.
            layout: of the people.
            classes: of the student.

        Raises:
            OSError: if a file cannot be written.
        """
        from skdpipe.inference.segment_files import write_csv, write_elan, write_webvtt

        if self.csv is not None:
            self.csv.parent.mkdir(parents=True, exist_ok=True)
            self.table.append(timeline)
            write_csv(self.table, self.csv)
        for path in filter(None, (places.vtt, places.elan, places.overlay)):
            self.written.add(path)
            path.parent.mkdir(parents=True, exist_ok=True)
            if not self.as_json:
                print_note("writes", str(path))
        if places.vtt is not None:
            write_webvtt(timeline, places.vtt)
        if places.elan is not None:
            write_elan(timeline, places.elan, video, classes)
        if places.overlay is not None and video is not None:
            from skdpipe.overlay import write_overlay
            from skdpipe.progress import Progress

            write_overlay(
                video, timeline, frames, layout, places.overlay, Progress(stderr, quiet=self.as_json)
            )


def _is_file(option: Path, endings: Sequence[str]) -> bool:
    """Whether an option names a file, not a folder.

    Raises:
        ConfigError: if it may be either.
    """
    if option.is_dir() or not option.suffix:
        return False
    if option.suffix.lower() not in endings:
        found = in_brief(str(option), 100)
        raise ConfigError(
            f"{found}: expected a file that ends in {', '.join(endings)}, or a folder; create a folder whose "
            "name has a dot first"
        )
    return True


def print_refused(refused: Refused, *, as_json: bool) -> None:
    """Print why a clip has no label."""
    if as_json:
        print_json({"source": refused.source, "error": refused.reason})
    print_problem("red", "error", refused.reason)


def clock(seconds: float) -> str:
    """A time as hours, minutes, and seconds with one decimal: 0:01:05.5."""
    tenths = round(10 * seconds)
    return f"{tenths // 36000}:{tenths // 600 % 60:02}:{tenths // 10 % 60:02}.{tenths % 10}"


def in_words(segment: Segment) -> str:
    """A segment in one line."""
    who = "" if segment.person is None else f", person {segment.person}"
    probability = f" {segment.probability:.3f}" if segment.probability else ""
    what = segment.text if segment.label is not None else f"({segment.text})"
    return f"{clock(segment.start)} - {clock(segment.end)}  {what}{probability}{who}"
