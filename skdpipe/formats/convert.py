"""Converting skeletons from one format to another."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from skdpipe.errors import DataError, FormatError, SkdpipeError, in_one_line
from skdpipe.formats.format import FormatOptions, Target
from skdpipe.formats.reading import Reading, ReadingReport, read_clips
from skdpipe.progress import Progress
from skdpipe.skeleton import Layout, PoseSequence, map_layout


def convert_poses(
    reading: Reading,
    target: Target,
    out: Path,
    options: FormatOptions,
    progress: Progress,
    *,
    layout: Layout | None = None,
) -> ReadingReport:
    """Read clips and write them in another format; each file is written atomically.

    Args:
        reading: the data set to read.
        target: the format to write.
        out: a file or a folder, as the format requires.
        options: the options for the target.
        progress: shows clips per second.
        layout: the layout to map the clips to.

    Returns:
        Counts of the clips; one that cannot be read or mapped does not stop the others.

    Raises:
        FormatError: if there is nothing to read, nothing could be read, or the target cannot hold a clip.
    """
    report = ReadingReport()
    try:
        target.write(_read_and_map(reading, report, progress, layout), out, options)
    except (SkdpipeError, OSError):
        raise
    except Exception as error:
        raise FormatError(
            f"{out} cannot be written ({in_one_line(error)}); expected clips that {target.name} can hold: "
            "report it as a fault of skdpipe"
        ) from error
    return report


def _read_and_map(
    reading: Reading, report: ReadingReport, progress: Progress, layout: Layout | None
) -> Iterator[PoseSequence]:
    for _, sequence in read_clips(reading, report, progress):
        try:
            mapped = map_layout(sequence, layout) if layout else sequence
        except DataError as error:
            report.add_failure(f"{sequence.origin.source}: {error}", f"layout: {error}")
            continue
        except Exception as error:
            report.add_error(error, sequence.origin.source)
            continue
        report.done += 1
        yield mapped
    if not report.done:
        reason = f"; the first reason: {report.failed[0]}" if report.failed else ""
        raise FormatError(f"no clip of {reading.where} could be converted{reason}")
