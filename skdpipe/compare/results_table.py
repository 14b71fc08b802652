"""The Markdown table of configs/RESULTS.md, from the comparison.csv of a comparison.

python -m skdpipe.compare.results_table models/NAME/comparison.csv
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from skdpipe.compare.table import HEADINGS, TrainedNetwork, cells_of, columns_of, markdown_table, rows_of
from skdpipe.errors import DataError, SkdpipeError, in_one_line
from skdpipe.json_shape import complaint
from skdpipe.printable import printable

_NOT_IN_EARLIER_CSV = {"clips", "nobody", "chance"}
_OF_NETWORK = {"top5", "parameters", "gflops", "seconds"}  # empty for a forest
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
    try:
        with csv_path.open(encoding="utf-8", newline="") as file:
            lines = csv.DictReader(file)
            missing = _IN_CSV - {*(lines.fieldnames or ())}
            if missing:
                raise DataError(
                    f"{csv_path} has no column {', '.join(sorted(missing))}; expected the comparison.csv "
                    "written by `skdpipe compare`"
                )
            networks = [_network(line, f"{csv_path}, line {lines.line_num}") for line in lines]
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(
            f"{csv_path} is damaged ({in_one_line(error)}); run `skdpipe compare` again, which writes it"
        ) from error
    if not networks:
        raise DataError(f"{csv_path} contains no results; run `skdpipe compare` until a run is finished")
    return networks


def _network(line: Mapping[str, str | None], where: str) -> TrainedNetwork:
    values = {name: line.get(name) for name in _IN_CSV | _NOT_IN_EARLIER_CSV}
    plain: dict[str, object] = {
        **{name: None if value == "" and name in _OF_NETWORK else value for name, value in values.items()},
        **{name: 0 for name in _NOT_IN_EARLIER_CSV if values[name] is None},
        **{"losses": {}, "correct": {}},  # the CSV has no predictions: there is no p in this table
    }
    try:
        return TypeAdapter(TrainedNetwork).validate_python(plain)
    except ValidationError as error:
        raise DataError(
            f"{where}: {complaint(error)}; expected a line written by `skdpipe compare`"
        ) from error


if __name__ == "__main__":
    try:
        for path in sys.argv[1:]:
            sys.stdout.write(results_table(Path(path)))
    except SkdpipeError as error:
        sys.exit(printable(f"{error}"))
