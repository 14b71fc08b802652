"""From one format of skeletons into another, or out of the cache."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from skdpipe.errors import DataError, FormatError
from skdpipe.formats.catalogue import Options, Target
from skdpipe.formats.importing import Reading, ReadingReport, read_clips
from skdpipe.progress import Progress
from skdpipe.skeleton import Layout, PoseSequence, map_layout


def convert_poses(
    reading: Reading,
    target: Target,
    out: Path,
    options: Options,
    progress: Progress,
    *,
    layout: Layout | None = None,
) -> ReadingReport:
    """Read clips and write them in another format; files appear whole or not at all.

    Args:
        reading: what is to be read.
        target: the format to write.
        out: where; a file or a folder, as the format has it.
        options: what the user says about the target.
        progress: shows clips a second.
        layout: the layout to map the clips to.

    Returns:
        What was done and what failed; a clip that cannot be read or mapped does not stop the others.

    Raises:
        FormatError: if there is nothing to read, or the target cannot hold a clip, or nothing could be read.
    """
    report = ReadingReport()
    target.write(_mapped(reading, report, progress, layout), out, options)
    return report


def _mapped(
    reading: Reading, report: ReadingReport, progress: Progress, layout: Layout | None
) -> Iterator[PoseSequence]:
    used = 0
    for sequence in read_clips(reading, report, progress):
        try:
            mapped = map_layout(sequence, layout) if layout else sequence
        except DataError as error:
            report.done -= 1
            report.failed.append(f"{sequence.origin.source}: {error}")
            continue
        used += 1
        yield mapped
    if not used:
        reason = f"; the first reason: {report.failed[0]}" if report.failed else ""
        raise FormatError(f"no clip of {reading.where} could be converted{reason}")
