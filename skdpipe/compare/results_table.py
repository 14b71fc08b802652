"""The Markdown table of configs/RESULTS.md, from the comparison.csv of a comparison.

python -m skdpipe.compare.results_table models/NAME/comparison.csv
"""

from __future__ import annotations

import csv
import sys
from dataclasses import fields
from pathlib import Path

from skdpipe.compare.table import HEADINGS, TrainedNetwork, cells_of, columns_of, markdown_table, rows_of
from skdpipe.errors import DataError, SkdpipeError
from skdpipe.printable import printable

_NOT_IN_EARLIER_CSV = {"clips", "nobody", "chance"}
_IN_CSV = {field.name for field in fields(TrainedNetwork)} - {"losses", "correct", *_NOT_IN_EARLIER_CSV}


def results_table(csv_path: Path) -> str:
    """A Markdown table of a comparison: one row per scenario and student, one column per method or variant.

    Cells are top-1 in percent, mean ± standard deviation over the seeds. The last column is the recovered gap
    (method - LQS-S) / (HQS-T - LQS-S) of each distilled method and each variant.

    Raises:
        DataError: if the file does not exist or is not a comparison.csv.
    """
    rows = rows_of(_read_networks(csv_path))
    columns = columns_of(rows)
    headings = ["scenario", "student", *columns, HEADINGS[0]]
    lines = [headings, ["---"] * len(headings), *(cells_of(row, columns)[: len(headings)] for row in rows)]
    return markdown_table(lines)


def _read_networks(csv_path: Path) -> list[TrainedNetwork]:
    if not csv_path.is_file():
        raise DataError(f"no file {csv_path}; expected the comparison.csv written by `skdpipe compare`")
    with csv_path.open(encoding="utf-8", newline="") as file:
        lines = csv.DictReader(file)
        missing = _IN_CSV - {*(lines.fieldnames or ())}
        if missing:
            raise DataError(
                f"{csv_path} has no column {', '.join(sorted(missing))}; expected the comparison.csv written "
                "by `skdpipe compare`"
            )
        networks = [_network(line, f"{csv_path}, line {lines.line_num}") for line in lines]
    if not networks:
        raise DataError(f"{csv_path} contains no results; run `skdpipe compare` until a run is finished")
    return networks


def _network(line: dict[str, str], where: str) -> TrainedNetwork:
    try:
        return TrainedNetwork(
            scenario=line["scenario"],
            student=line["student"],
            column=line["column"],
            seed=int(line["seed"]),
            top1=float(line["top1"]),
            top5=float(line["top5"]) if line["top5"] else None,
            parameters=int(line["parameters"]) if line["parameters"] else None,
            gflops=float(line["gflops"]) if line["gflops"] else None,
            seconds=float(line["seconds"]) if line["seconds"] else None,
            clips=int(line.get("clips", 0)),
            nobody=int(line.get("nobody", 0)),
            chance=float(line.get("chance", 0)),
            losses={},
            correct={},  # the CSV has no predictions: there is no p in this table
            run=line["run"],
        )
    except (TypeError, ValueError) as error:
        raise DataError(f"{where}: {error}; expected a line written by `skdpipe compare`") from error


if __name__ == "__main__":
    try:
        for path in sys.argv[1:]:
            sys.stdout.write(results_table(Path(path)))
    except SkdpipeError as error:
        sys.exit(printable(f"{error}"))
