"""The program: arguments, the order of the work, and what is written where."""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from random import Random
from typing import Final

from rich.console import Console

import skdpipe
from trial.children import Finished, fork, import_everything, run_command, run_in_child, wait_for
from trial.file_types import mutate_file, rewrite_file
from trial.judging import judge_end
from trial.kind import Case, Kind, Mutate, Outcome, Problem
from trial.table import counts_of, table_of

_LANES: Final = 2
_VALID_CASES: Final = 6
_ACCOUNT: Final = "what-happened.txt"


def main() -> None:
    """Run the trial; exit code 1 if a fault was found."""
    arguments = _parser().parse_args()
    console = Console(width=160 if not sys.stdout.isatty() else None, markup=False, emoji=False)
    import_everything()
    from trial import annotations, bundles, configs, entries, runs, videos
    from trial.kills import KILLS, try_kills

    kinds = {
        kind.name: kind
        for module in (videos, annotations, entries, bundles, runs, configs)
        for kind in module.KINDS
    }
    kills = {f"kill-{each.name}": each for each in KILLS}
    wanted = arguments.only.split(",") if arguments.only else [*kinds, *kills]
    if unknown := set(wanted) - {*kinds, *kills}:
        sys.exit(f"no kind {', '.join(sorted(unknown))}; expected some of {', '.join([*kinds, *kills])}")
    folder: Path = arguments.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    chosen = [kinds[name] for name in wanted if name in kinds]
    if arguments.case is not None:
        (kind,) = chosen
        _show_case(kind, arguments.case, arguments.seed, folder, console)
        return
    start, outcomes, rows = time.monotonic(), [], {}
    for kind in chosen:
        found = list(_try_kind(kind, max(1, round(kind.cases * arguments.share)), arguments.seed, folder))
        outcomes += found
        for outcome in found:
            for fault, what in outcome.problems:
                console.print(
                    f"{kind.name} {outcome.number}: {fault}: {what} ({outcome.mutation})", soft_wrap=True
                )
        console.print(_line(kind.name, found), soft_wrap=True)
    for name in (name for name in wanted if name in kills):
        each = kills[name]
        number = max(1, round(each.kills * arguments.share))
        rows[each.name], problems = try_kills(each, number, arguments.seed, folder / name)
        for what in problems:
            console.print(f"{name}: {what}", soft_wrap=True)
    minutes = (time.monotonic() - start) / 60
    counts = counts_of(outcomes)
    if counts:
        console.print(table_of("mutated inputs", counts))
    if rows:
        console.print(table_of("kills", rows))
    console.print(
        f"{minutes:.1f} minutes; seed {arguments.seed}; failing inputs in {folder / 'failures'}",
        soft_wrap=True,
    )
    result = {
        "minutes": minutes,
        "inputs": counts,
        "kills": rows,
        "cases": [asdict(each) for each in outcomes],
    }
    (folder / "outcome.json").write_text(json.dumps(result, indent=1))
    sys.exit(any(outcome.problems for outcome in outcomes) or any(row["faults"] for row in rows.values()))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python tests/trial", description="Mutated inputs and kills of every command."
    )
    parser.add_argument("--share", type=float, default=1.0, help="Share of the cases and kills.")
    parser.add_argument("--only", default="", help="Kinds, separated by commas.")
    parser.add_argument("--case", type=int, help="Run one case of one kind and print everything about it.")
    parser.add_argument("--seed", type=int, default=0, help="Other seeds give other mutations.")
    parser.add_argument("--folder", type=Path, default=Path("/tmp/skdpipe-trial"), help="Where to work.")
    return parser


def _try_kind(kind: Kind, cases: int, seed: int, folder: Path) -> Iterator[Outcome]:
    """Run the cases of a kind, several at a time."""
    material = _prepared(kind, folder)
    run_in_child(lambda: _require_valid(kind, folder, material))
    files = [folder / f"outcomes-{kind.name}-{lane}.jsonl" for lane in range(_LANES)]
    shutil.rmtree(folder / "failures" / kind.name, ignore_errors=True)

    def work(lane: int) -> None:
        with files[lane].open("w") as file:
            for number in range(lane, cases, _LANES):
                outcome = _try_case(kind, number, seed, folder, material)
                file.write(json.dumps(asdict(outcome)) + "\n")
                file.flush()

    wait_for([fork(lambda lane=lane: work(lane)) for lane in range(_LANES)])
    lines = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    for line in sorted(lines, key=lambda line: line["number"]):
        yield Outcome(**{**line, "problems": [tuple(each) for each in line["problems"]]})
    for file in files:
        file.unlink()


def _prepared(kind: Kind, folder: Path) -> Path:
    """The folder with the valid files of a kind, written if it is not there or is of other sources."""
    material = folder / "material" / kind.name
    finished, sources = material / "finished", _digest_of_sources()
    if not finished.exists() or finished.read_text() != sources:
        shutil.rmtree(material, ignore_errors=True)
        material.mkdir(parents=True)
        run_in_child(lambda: kind.prepare(material))
        finished.write_text(sources)
    return material


def _digest_of_sources() -> str:
    digest = hashlib.sha256()
    for package in (Path(__file__).parent, Path(skdpipe.__file__).parent):
        for path in sorted(package.rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _require_valid(kind: Kind, folder: Path, material: Path) -> None:
    """Check that files that are only written again are accepted: otherwise mutated ones show nothing."""
    for number in range(_VALID_CASES):
        outcome = _try_case(kind, number, "valid", folder, material, rewrite_file)
        if not outcome.accepted or outcome.problems:
            kept = folder / "failures" / kind.name / str(number) / _ACCOUNT
            raise AssertionError(f"{kind.name}: a valid case is refused: {kept.read_text()}")


def _try_case(
    kind: Kind, number: int, seed: int | str, folder: Path, material: Path, mutate: Mutate = mutate_file
) -> Outcome:
    """Run one case; its folder is kept below ``failures`` if there is a fault or nothing was mutated."""
    where = folder / "cases" / f"{kind.name}-{number}"
    shutil.rmtree(where, ignore_errors=True)
    where.mkdir(parents=True)
    case = kind.lay_out(material, where, Random(f"{seed} {kind.name} {number}"), mutate)
    kept = folder / "failures" / kind.name / str(number)
    inputs = where.with_name(f"{where.name}-inputs")
    shutil.copytree(where, inputs, dirs_exist_ok=True, symlinks=True)
    done = [run_command(command, where) for command in case.commands]
    problems = _problems(case, done)
    if problems or mutate is not mutate_file:
        shutil.rmtree(kept, ignore_errors=True)
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(inputs, kept)
        (kept / _ACCOUNT).write_text(_account(case, done, problems), errors="backslashreplace")
    shutil.rmtree(inputs, ignore_errors=True)
    shutil.rmtree(where, ignore_errors=True)
    return Outcome(
        kind.name,
        number,
        case.mutation.encode(errors="backslashreplace").decode(),
        all(each.code == 0 and not each.signal for each in done),
        [(fault, what.encode(errors="backslashreplace").decode()) for fault, what in problems],
        max(each.seconds for each in done),
        max(each.peak for each in done),
    )


def _problems(case: Case, done: Sequence[Finished]) -> list[Problem]:
    problems = [problem for each in done for problem in judge_end(each)]
    try:
        problems += case.judge(list(done))
    except Exception as error:  # files that cannot even be read
        problems.append(("absurd", f"cannot be judged: {type(error).__name__}: {error}"))
    return problems


def _account(case: Case, done: Sequence[Finished], problems: Sequence[Problem]) -> str:
    """What happened, in full, for the folder of a failing case."""
    parts = [f"mutation: {case.mutation}", *(f"{fault}: {what}" for fault, what in problems)]
    for each in done:
        parts += [
            f"\n$ skdpipe {' '.join(each.command)}",
            f"exit code {each.code}, signal {each.signal}, limit {each.limit or 'none'}, "
            f"{each.seconds:.1f} s of processor time, {each.peak / 1e6:.0f} MB",
            f"--- stdout\n{each.out[:20_000]}",
            f"--- stderr\n{each.err[-20_000:]}",
        ]
    return "\n".join(parts) + "\n"


def _show_case(kind: Kind, number: int, seed: int, folder: Path, console: Console) -> None:
    material = _prepared(kind, folder)
    outcome = _try_case(kind, number, seed, folder, material)
    kept = folder / "failures" / kind.name / str(number)
    if outcome.problems:
        console.print((kept / _ACCOUNT).read_text(), soft_wrap=True)
        console.print(f"inputs in {kept}", soft_wrap=True)
    else:
        what = "accepted" if outcome.accepted else "refused"
        console.print(f"{kind.name} {number}: {what}, no fault ({outcome.mutation})", soft_wrap=True)


def _line(name: str, outcomes: Sequence[Outcome]) -> str:
    failing = sum(bool(outcome.problems) for outcome in outcomes)
    slowest, largest = max(each.seconds for each in outcomes), max(each.peak for each in outcomes)
    return (
        f"{name}: {len(outcomes)} cases, {failing} with a fault; at most {slowest:.1f} s of processor time "
        f"and {largest / 1e6:.0f} MB"
    )
