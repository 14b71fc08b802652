"""Skeletons in any format: clips, layout, and their mean pose."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from skdpipe.errors import DataError
from skdpipe.formats.format import Format, FormatOptions, refuse_useless
from skdpipe.formats.reading import ReadingReport, read_clips, reading_of
from skdpipe.info.description import Description, Fact
from skdpipe.progress import Progress
from skdpipe.skeleton import PoseSequence
from skdpipe.skeleton.mean_pose import summarise_poses


def describe_skeletons(path: Path, known: Format, options: FormatOptions, progress: Progress) -> Description:
    """Describe skeletons; all clips are read.

    Args:
        path: file or folder.
        known: its format.
        options: for the format.
        progress: shows the clips.

    Raises:
        ConfigError: if the format does not take an option.
        FormatError: if there are no files.
        DataError: if no clip can be read, nobody is seen, or the clips have several layouts.
    """
    refuse_useless(options, [known])
    report, counts = ReadingReport(), Counter[str]()
    labels = Counter[str]()

    def counted() -> Iterator[PoseSequence]:
        for _, sequence in read_clips(reading_of(known, path, options, None, None), report, progress):
            labels.update([sequence.origin.label] if sequence.origin.label is not None else [])
            counts["frames"] += len(sequence.frame_index)
            counts["empty"] += sequence.is_empty
            yield sequence

    try:
        summary = summarise_poses(counted())
    except DataError as error:
        rest = f" (and {report.failures - 1} more failures)" if report.failures > 1 else ""
        raise DataError(f"{report.failed[0]}{rest}" if report.failed else f"{path}: {error}") from error
    clips, frames = summary.clips, counts["frames"] / summary.clips
    layout, joints = summary.layout, len(summary.layout)
    never = [joint for joint, share in zip(layout.joints, summary.mean[:, -1], strict=True) if share == 0]
    facts = (
        Fact("clips", clips, f"{clips:,}"),
        Fact("labels", dict(labels), f"{labels.total():,} clips with one of {len(labels):,} labels"),
        Fact("frames", counts["frames"], f"{counts['frames']:,}"),
        Fact("without people", counts["empty"], f"{counts['empty']:,}"),
        Fact("format", known.name),
        Fact(
            "layout",
            {"name": layout.name, "joints": list(layout.joints), "coordinates": summary.coordinates},
            f"{layout.name}: {joints} joints in {summary.coordinates} coordinates; {summary.poses} poses",
        ),
    )
    return Description(
        path,
        "skeletons",
        f"{clips} clips, {labels.total()} with a label, {counts['empty']} without people, {frames:.0f} "
        "frames each on average",
        facts,
        problems=tuple(report.failed),
        notes=(
            *(f"{count} {what}" for what, count in report.notes.items()),
            *(f"never seen: {joint}" for joint in never),
        ),
        poses=summary,
    )
