"""From a run folder to the HTML file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from skdpipe.atomic_file import remove_leftovers, write_text_atomically
from skdpipe.errors import DataError, require_extra
from skdpipe.progress import Progress

if TYPE_CHECKING:
    import torch

    from skdpipe.cache import PoseCache
    from skdpipe.config import Report


def write_report(
    folder: Path,
    cache: PoseCache,
    output: Path,
    settings: Report,
    *,
    device: torch.device,
    progress: Progress | None = None,
    beside: Sequence[Path] = (),
) -> None:
    """Write one self-contained HTML file about a run.

    Args:
        folder: the run folder, made by `skdpipe distill`.
        cache: the pose cache that the run was trained on.
        output: the HTML file, written atomically.
        settings: content of the report.
        device: runs the networks.
        progress: shows clips and time left.
        beside: folders of further runs to compare in accuracy and cost.

    Raises:
        MissingDependencyError: if matplotlib or jinja2 is not installed.
        DataError: if the folder is not a run folder or damaged, the cache does not exist or contains other
            clips, or the output is a folder.
        OSError: if the output cannot be written.
        BundleError: if a bundle is damaged.
        CacheError: if a cached sequence is missing or damaged.
    """
    require_extra("report", "matplotlib", "jinja2")
    from skdpipe.report.page import render_page
    from skdpipe.report.run_results import load_run, time_runs
    from skdpipe.report.sections import build_sections

    if output.exists() and not output.is_file():
        raise DataError(f"{output} is not a file; choose another output, because the report is written there")
    run, others = load_run(folder), [load_run(other) for other in beside]
    times = time_runs([run, *others], device)
    sections = build_sections(run, others, times, cache, settings, device, progress or Progress(quiet=True))
    remove_leftovers(output.parent)
    write_text_atomically(output, render_page(run, settings, sections, others, times, device))
