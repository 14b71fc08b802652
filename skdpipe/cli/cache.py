"""Commands about the pose cache: what it contains, whether it is whole, pruning, and corrected labels."""

from __future__ import annotations

import csv
import io
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from time import localtime, strftime
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.filesize import decimal

from skdpipe.cli.app import (
    SETTINGS,
    Cache,
    app,
    print_json,
    print_line,
    print_plain,
    print_problem,
    stderr,
)
from skdpipe.cli.interruption import starting_over
from skdpipe.errors import CacheError, CacheReadError, DataError
from skdpipe.printable import printable
from skdpipe.storage import Place, is_folder

if TYPE_CHECKING:
    from skdpipe import CacheFinding, FolderSummary, PoseCache, PruneReport, RelabelReport

cache = typer.Typer(
    help="List, verify and prune the pose cache, or correct its labels.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(cache, name="cache", rich_help_panel=SETTINGS)

_COLUMNS: Final = (
    *("quality", "settings", "key", "source", "label", "split", "subject", "frames", "people", "bytes"),
)
_SHOWN: Final = 10  # files, clips or labels in a list
Json = Annotated[bool, typer.Option("--json", help="Print everything as JSON.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do it; otherwise it is only printed what would be done.")]


@cache.command("list")
def list_(
    folder: Annotated[str, typer.Argument(metavar="[QUALITY/SETTINGS]", help="List this folder only.")] = "",
    root: Cache = Path("pose_cache"),
    clips: Annotated[bool, typer.Option("--clips", help="Print the sequences as CSV.")] = False,
    json: Json = False,
) -> None:
    """List what is in the cache, by quality and estimator; with --clips each sequence."""
    from skdpipe import Progress, count_pairs, list_other_files, summarise_cache

    opened = _open(root)
    if clips:
        _print_clips(opened, folder)
        return
    with starting_over():
        folders = summarise_cache(opened, Progress(stderr), folder)
    pairs, others = count_pairs(opened), list_other_files(opened)
    if json:
        found = {"root": str(root), "folders": [_plain(each) for each in folders], "pairs": asdict(pairs)}
        print_json({**found, "others": [{**asdict(each), "path": str(each.path)} for each in others]})
        return
    size = sum(each.bytes for each in folders)
    print_line(f"{root}: {sum(each.files for each in folders):,} sequences, {decimal(size)}")
    for each in folders:
        _print_folder(each)
    if folder:
        return
    print_line(
        f"clips: {pairs.both:,} in both qualities, {pairs.high_only:,} in high only, "
        f"{pairs.low_only:,} in low only"
    )
    _print_some([f"{other.path}: {other.what}, {decimal(other.bytes)}" for other in others], "  ")


def _plain(folder: FolderSummary) -> dict[str, object]:
    return {**asdict(folder), "labelled": folder.labelled, "classes": folder.classes}


def _print_folder(folder: FolderSummary) -> None:
    counts = [f"{folder.files:,} sequences, {decimal(folder.bytes)}"]
    for count, what in (
        (folder.unlabelled, "without a label"),
        (folder.corrected, "with corrected labels"),
        (folder.empty, "without people"),
    ):
        counts += [f"{count:,} {what}"] * bool(count)
    print_line(f"{folder.quality}/{folder.settings}: {', '.join(counts)}")
    for estimator in folder.estimators:
        print_line(f"  estimator: {estimator}")
    if folder.files:
        first, last = (strftime("%Y-%m-%d", localtime(each)) for each in (folder.oldest, folder.newest))
        print_line(f"  written: {first}" + (f" to {last}" if last != first else ""))
    by_size = sorted(folder.labels.items(), key=lambda item: (-item[1], item[0]))
    shown = [f"{label} {count:,}" for label, count in by_size[:_SHOWN]]
    shown += [f"{len(by_size) - _SHOWN} more"] * (len(by_size) > _SHOWN)
    print_line(f"  labels: {folder.labelled:,} in {folder.classes} classes: {', '.join(shown) or 'none'}")
    for count, what, remedy in (
        (folder.damaged, "damaged", "`skdpipe cache verify` names them"),
        (folder.unknown, "of a later version or another format", "`skdpipe cache verify` names them"),
        (folder.leftovers, "unfinished, of killed processes", "delete them with `skdpipe cache prune --yes`"),
    ):
        if count:
            print_problem("yellow", f"  {what}", f"{count:,}; {remedy}")


def _print_clips(opened: PoseCache, folder: str) -> None:
    """Print the sequences of a folder, or of all, as CSV."""
    from skdpipe.cache.sequence_file import read_entry

    _print_row(*_COLUMNS)
    left_out = 0
    for found in opened.folders_named(folder) if folder else opened.folders():
        states = opened.states_in(found)
        for path, start in opened.starts_in(found):
            try:
                entry, size = read_entry(path, start), states[path.name].size
            except CacheReadError:
                raise
            except (CacheError, KeyError):  # damaged, or written meanwhile
                left_out += 1
                continue
            origin = entry.origin
            _print_row(
                found.parent.name, found.name, origin.key, origin.source, origin.label, origin.split,
                origin.subject, entry.frames, entry.people, size,
            )  # fmt: skip
    if left_out:
        print_problem("yellow", "left out", f"{left_out:,} files; `skdpipe cache verify` names them")


def _print_row(*values: object) -> None:
    row = io.StringIO()
    texts = ["" if value is None else printable(str(value)) for value in values]
    csv.writer(row, lineterminator="").writerow(texts)
    print_plain(row.getvalue())


@cache.command()
def verify(root: Cache = Path("pose_cache"), json: Json = False) -> None:
    """Read every file and compare its checksum; exit code 1 if one is damaged or out of place."""
    from skdpipe import Progress, verify_cache

    with starting_over():
        report = verify_cache(_open(root), Progress(stderr))
    if json:
        findings = [{**asdict(each), "path": str(each.path)} for each in report.findings]
        without = [str(path) for path in report.unverifiable]
        print_json(
            {"files": report.files, "bytes": report.bytes, "findings": findings, "unverifiable": without}
        )
    else:
        _print_findings(report.findings)
        if report.unverifiable:
            print_line(f"without a checksum, by an earlier version: {len(report.unverifiable):,}")
            _print_some([str(path) for path in report.unverifiable], "  ")
        read = f"{report.files:,} files read ({decimal(report.bytes)})"
        print_line(f"{root}: {read}, {len(report.findings):,} problems")
    if report.findings:
        sys.exit(1)


def _print_findings(findings: Iterable[CacheFinding]) -> None:
    by_kind = defaultdict(list)
    for each in findings:
        by_kind[each.kind, each.remedy].append(f"{each.path}: {each.text}")
    for (kind, remedy), lines in by_kind.items():
        print_line(f"{kind}: {len(lines):,} (→ {remedy})")
        _print_some(lines, "  ")


@cache.command()
def prune(
    root: Cache = Path("pose_cache"),
    damaged: Annotated[bool, typer.Option("--damaged", help="Also damaged sequences.")] = False,
    orphans: Annotated[
        list[Path] | None,
        typer.Option(help="Also sequences whose video is not in this folder any more; may be repeated."),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(help="Also this folder of settings, NAME or QUALITY/NAME; may be repeated."),
    ] = None,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Delete the leftovers of killed processes and, if wanted, more; without --yes only print what."""
    from skdpipe import Progress, find_orphans, prune_cache

    opened, progress = _open(root), Progress(stderr)
    report = prune_cache(
        opened,
        damaged=damaged,
        orphans=find_orphans(opened, orphans, progress) if orphans else (),
        settings=settings or (),
        write=yes,
        progress=progress,
    )
    if json:
        files = [
            {"path": str(each.path), "bytes": each.bytes, "reason": each.reason} for each in report.removals
        ]
        kept = [{"path": str(path), "reason": reason} for path, reason in report.kept]
        print_json({"deleted": yes, "files": files, "bytes": report.bytes, "kept": kept})
    else:
        _print_pruning(report, root, yes)


def _print_pruning(report: PruneReport, root: Place, done: bool) -> None:
    by_reason = defaultdict(list)
    for each in report.removals:
        by_reason[each.reason].append(each)
    for name, removals in by_reason.items():
        print_line(f"{name}: {len(removals):,} files, {decimal(sum(each.bytes for each in removals))}")
        _print_some([f"{each.path} ({decimal(each.bytes)})" for each in removals], "  ")
    for path, reason in report.kept[:_SHOWN]:
        print_problem("yellow", "kept", f"{path}: {reason}")
    if len(report.kept) > _SHOWN:
        print_problem("yellow", "kept", f"{len(report.kept) - _SHOWN:,} more")
    count = f"{len(report.removals):,} files ({decimal(report.bytes)})"
    print_line(f"{root}: {count} {'deleted' if done else 'can be deleted'}")
    if report.removals and not done:
        print_line("nothing was deleted; add --yes")


@cache.command()
def relabel(
    labels: Annotated[
        Path | None, typer.Argument(help="CSV: key or path, label and, optionally, split, subject.")
    ] = None,
    old: Annotated[str, typer.Option("--from", help="Rename this class.")] = "",
    new: Annotated[str, typer.Option("--to", help="Its new name.")] = "",
    undo: Annotated[
        bool,
        typer.Option(
            "--undo", help="Restore the labels before the corrections, of all clips or those of a CSV."
        ),
    ] = False,
    root: Cache = Path("pose_cache"),
    yes: Yes = False,
) -> None:
    """Correct labels in both qualities; extraction keeps them. Without --yes only print what would change."""
    from skdpipe import Progress, read_corrections, relabel_cache, rename_label, undo_corrections

    if bool(old) != bool(new) or (bool(old) + undo + (labels is not None and not undo)) != 1:
        raise DataError("expected a CSV of labels, or --from OLD and --to NEW, or --undo, perhaps with a CSV")
    opened, progress = _open(root), Progress(stderr)
    unknown: Sequence[str] = ()
    if labels is None:
        if old:
            report = rename_label(opened, old, new, write=yes, progress=progress)
            _print_renaming(report, old, new)
        else:
            report = undo_corrections(opened, write=yes, progress=progress)
    else:
        rows = read_corrections(labels, opened, progress)
        unknown = rows.unknown
        if undo:
            report = undo_corrections(opened, rows.corrections, write=yes, progress=progress)
        else:
            report = relabel_cache(opened, rows.corrections, write=yes, progress=progress)
    _print_relabelling(report, root, yes)
    for line in [*unknown, *(reason for _, reason in report.failed)]:
        print_problem("red", "failed", line)
    if unknown or report.failed:
        sys.exit(1)


def _print_renaming(report: RelabelReport, old: str, new: str) -> None:
    """Print what is unusual about a renamed class.

    Raises:
        DataError: if it has no clips.
    """
    if not (report.changes or report.failed):
        labels = ", ".join(sorted(filter(None, report.unchanged))) or "no labels"
        raise DataError(f"no clip has the label {old!r}; found {labels:.2000}")
    if others := report.unchanged.get(new):
        print_problem("yellow", "note", f"{others:,} other clips have the label {new} already")


def _print_relabelling(report: RelabelReport, root: Place, done: bool) -> None:
    lines = [
        f"{change.before or '(no label)'} → {change.after or '(no label)'}: {change.clips:,} clips"
        for change in report.changes
    ]
    _print_some(lines, "")
    verb = "changed" if done else "would change"
    print_line(f"{root}: {report.clips:,} clips ({report.files:,} files) {verb}")
    if report.files and not done:
        print_line("nothing was changed; add --yes")


def _open(root: Place) -> PoseCache:
    """The cache in a folder.

    Raises:
        CacheError: if there is no such folder.
    """
    from skdpipe import PoseCache

    if not is_folder(root):
        raise CacheError(f"{root} is not a folder; expected a pose cache: name it with --cache")
    return PoseCache(root)


def _print_some(lines: Sequence[str], indent: str) -> None:
    for line in lines[:_SHOWN]:
        print_line(f"{indent}{line}")
    if len(lines) > _SHOWN:
        print_line(f"{indent}and {len(lines) - _SHOWN:,} more")
