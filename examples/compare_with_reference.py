"""Compare an estimator's skeletons with reference poses, frame by frame.

    python examples/compare_with_reference.py ../shared/data/clips /tmp/compared

Extracts every fifth frame of each clip in both qualities of a config and compares with
``CLIPS/reference_poses/<clip>.json``. Use a separate cache folder: its sequences contain all people instead
of the most confident two. Clips that are already in it are not extracted again.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import typer
from rich.console import Console
from rich.table import Table

from skdpipe import (
    COCO_17,
    DataError,
    Extraction,
    Keypoints,
    PoseCache,
    PoseSequence,
    Progress,
    VideoError,
    extract_videos,
    find_videos,
    load_config,
    open_sources,
)
from skdpipe.cache import Entry
from skdpipe.pose.accuracy import PoseAccuracy, pose_accuracy

# The references have every fifth frame and all people; no clip has more than 30.
_SETTINGS = ("people=30", "high.every=5", "low.every=5")


@dataclass(frozen=True)
class Comparison:
    """One clip and estimator, over the frames that the reference contains.

    Attributes:
        clip: file name of the clip.
        estimator: name of the estimator.
        reference: name of the estimator of the reference.
        reference_people, found_people: number of people in each frame, ``(frame,)``.
        accuracy: of the found people, with the reference as truth.
    """

    clip: str
    estimator: str
    reference: str
    reference_people: list[int]
    found_people: list[int]
    accuracy: PoseAccuracy

    @property
    def agreement(self) -> float:
        """Fraction of the frames with the same number of people as the reference."""
        return float(np.mean(np.equal(self.reference_people, self.found_people)))

    @property
    def oks(self) -> float:
        """Mean object keypoint similarity of the people in both; NaN if there are none."""
        return self.accuracy.oks / self.accuracy.found if self.accuracy.found else float("nan")


def compare_folder(
    clips: Path, cache: PoseCache, config: str, *, progress: Progress | None = None
) -> list[Comparison]:
    """Extract the clips of a folder and compare both qualities of each clip with its reference.

    Raises:
        SkdpipeError: if the config, an estimator, a clip or a reference cannot be loaded.
    """
    settings = load_config(Extraction, config, _SETTINGS, section="extraction")
    sources = open_sources(settings, torch.device("cpu"))
    report = extract_videos(find_videos(clips), sources, cache, people=settings.people, progress=progress)
    for _, reason in report.failed:
        raise VideoError(reason)
    entries = [entry for source in sources for entry in cache.entries(source.quality, source.settings)]
    entries.sort(key=lambda entry: entry.origin.source)
    return [compare(entry, cache.load(entry.path), clips / "reference_poses") for entry in entries]


def compare(entry: Entry, found: PoseSequence, references: Path) -> Comparison:
    """Compare one cached sequence with the reference of its clip, over the frames that both contain.

    Raises:
        DataError: if there is no reference.
    """
    clip = Path(entry.origin.source)
    path = references / f"{clip.stem}.json"
    if not path.is_file():
        raise DataError(f"no reference at {path}; expected poses like those of ../shared/data/clips")
    reference = json.loads(path.read_text(encoding="utf-8"))
    rows = dict(zip(found.frame_index.tolist(), found.keypoints, strict=True))
    scale = np.array([*np.divide(found.size, reference["size"]), 1], np.float32)  # to square pixels
    pairs = [
        (_people(frame) * scale, _present(rows[frame["frame"]]))
        for frame in reference["frames"]
        if frame["frame"] in rows
    ]
    return Comparison(
        clip=clip.name,
        estimator=entry.origin.estimator.split(" ")[0],
        reference=f"{reference['estimator'].split(' ')[0]} {reference['input_size']}",
        reference_people=[len(people) for people, _ in pairs],
        found_people=[len(people) for _, people in pairs],
        accuracy=pose_accuracy(pairs, COCO_17),
    )


def _people(frame: dict[str, Any]) -> Keypoints:
    """The people ``(person, joint, 3)`` of one frame of a reference."""
    return np.array([person["keypoints"] for person in frame["people"]], np.float32).reshape(-1, 17, 3)


def _present(people: Keypoints) -> Keypoints:
    return people[(people[..., 2] > 0).any(axis=1)]


def main(clips: Path, cache: Path, config: str = "movenet") -> None:
    """Print a table: a row for each clip and quality."""
    table = Table("clip", "estimator", "reference", "frames", "people", "in reference", "same", "OKS")
    for row in compare_folder(clips, PoseCache(cache), config, progress=Progress()):
        table.add_row(
            row.clip,
            row.estimator,
            row.reference,
            str(len(row.found_people)),
            str(sum(row.found_people)),
            str(sum(row.reference_people)),
            f"{row.agreement:.0%}",
            f"{row.oks:.3f}",
        )
    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print(table)
    console.print("same: frames with the same number of people; OKS: of the people in both")


if __name__ == "__main__":
    typer.run(main)
