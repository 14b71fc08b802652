"""The clips that a command labels: videos, and skeletons of any format."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from skdpipe.cli.app import print_problem
from skdpipe.errors import ConfigError, DataError, SkdpipeError

if TYPE_CHECKING:
    from skdpipe.extraction import VideoItem
    from skdpipe.formats.format import FormatOptions
    from skdpipe.formats.reading import Reading
    from skdpipe.skeleton import PoseSequence


@dataclass(frozen=True)
class Refused:
    """A path, a clip or clips of a file that cannot be read or labelled, and why."""

    source: str
    reason: str


def find_sources(
    paths: Sequence[Path], format_name: str | None, options: FormatOptions, videos: Path | None
) -> list[VideoItem | Reading | Refused]:
    """The videos, and the files and folders of skeletons, at several paths; paths with neither come last.

    What is left out of a folder is printed.

    Args:
        paths: as the user named them.
        format_name: of all skeletons; by default what the files show.
        options: for the skeletons.
        videos: folder of the videos of the skeletons' clips.

    Raises:
        ConfigError: if a format or an option is given that no path needs.
        DataError: if the folder contains no videos.
    """
    from skdpipe.extraction import VideoList
    from skdpipe.formats.format import refuse_useless
    from skdpipe.formats.reading import Reading, reading_of
    from skdpipe.formats.recognise import recognise

    found: list[VideoItem | Reading | Refused] = []
    refused: list[Refused] = []
    for path in paths:
        try:
            known = recognise(path, format_name)
        except SkdpipeError as error:
            refused.append(Refused(str(path), str(error)))
            continue
        if isinstance(known, VideoList):
            found += known
            for line in known.left_out:
                print_problem("yellow", "left out", line)
        else:
            found.append(reading_of(known, path, options, videos, None))
    formats = [each.format for each in found if isinstance(each, Reading)]
    useless = {*options.given, *["format"] * bool(format_name), *["videos"] * bool(videos)}
    if formats:
        refuse_useless(options, formats)
    elif useless and found:
        raise ConfigError(f"--{min(useless)} is for skeletons, and only videos are named; leave it out")
    return found + refused


def each_clip(
    sources: Sequence[VideoItem | Reading | Refused],
) -> Iterator[Path | PoseSequence | Refused]:
    """The paths of videos, the pose sequences of files, and what cannot be read; notes are printed."""
    from skdpipe.formats.reading import Reading

    for source in sources:
        if isinstance(source, Reading):
            yield from _clips_of(source)
        else:
            yield source if isinstance(source, Refused) else _path_of(source)


def _path_of(item: VideoItem) -> Path | Refused:
    try:
        return item.local_path
    except DataError as error:
        return Refused(str(item.path), str(error))


def _clips_of(reading: Reading) -> Iterator[PoseSequence | Refused]:
    from skdpipe.formats.reading import ReadingReport, read_clips
    from skdpipe.progress import Progress

    report = ReadingReport()
    try:
        for _, sequence in read_clips(reading, report, Progress(quiet=True)):
            yield sequence
    except SkdpipeError as error:  # there are no files
        report.add_error(error, reading.where)
    for what, count in report.notes.items():
        print_problem("yellow", "note", f"{count} {what}")
    for reason in report.failed:
        yield Refused(str(reading.where), reason)
