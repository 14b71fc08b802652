"""CSV files with the labels of clips: of videos to extract, and corrected ones."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from skdpipe.errors import DataError
from skdpipe.names import require_label
from skdpipe.skeleton import SPLITS
from skdpipe.skeleton.sequence import split_named


@dataclass(frozen=True)
class LabelRow:
    """A row: the values of all columns, and those of label, split and subject; None if not specified.

    Attributes:
        where: file and row, for messages.
    """

    where: str
    fields: Mapping[str, str]
    label: str | None
    split: str | None
    subject: str | None


def read_label_rows(file: Path, names: Sequence[str], what: str) -> list[LabelRow]:
    """Read a CSV with the columns label and, optionally, split and subject.

    Args:
        file: the CSV.
        names: the columns that name the clip; one must be there, and have a value in each row.
        what: the word for that value in messages.

    Raises:
        DataError: if the file does not have this form, a split has an unknown name, or there are no rows.
    """
    try:
        with file.open(encoding="utf-8-sig", newline="") as text:
            rows = [[field.strip() for field in row] for row in csv.reader(text)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{file} is not a readable UTF-8 CSV ({error})") from error
    columns = rows[0] if rows else []
    if "label" not in columns or not set(names) & set(columns):
        raise DataError(
            f"{file} has the columns {', '.join(columns) or '(none)':.200}; expected {' or '.join(names)}, "
            "label and, optionally, split, subject, separated by commas"
        )
    numbered = [(number, row) for number, row in enumerate(rows[1:], 2) if any(row)]
    found = [_read(f"{file}: row {number}", columns, row, names, what) for number, row in numbered]
    if not found:
        raise DataError(f"{file} has a header but no rows; expected a row for each video")
    return found


def _read(
    where: str, columns: Sequence[str], row: Sequence[str], names: Sequence[str], what: str
) -> LabelRow:
    fields = dict(zip(columns, row, strict=False))
    if len(row) > len(columns) or not any(fields.get(name) for name in names):
        raise DataError(
            f"{where} has {len(row)} fields ({', '.join(row):.200}); expected {what} and at "
            f"most {len(columns)} fields: put quotes around a field with commas"
        )
    label, split, subject = (fields.get(name) or None for name in ("label", "split", "subject"))
    known = split_named(split) if split else None
    if split and not known:
        raise DataError(
            f"{where} has the split '{split:.40}'; expected one of {', '.join(sorted(SPLITS))}: correct it"
        )
    for word, value in (("label", label), ("subject", subject)):
        if value is not None:
            require_label(value, where, word)
    return LabelRow(where, fields, label, known, subject)
