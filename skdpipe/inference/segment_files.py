"""Segments as files for other programs: CSV for tables, WebVTT for players, EAF for the annotation tool ELAN.

In names, characters that cannot be seen or that a format cannot hold are escaped as by `printable`.
"""

from __future__ import annotations

import csv
import html
import io
import mimetypes
import os
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

from skdpipe.atomic_file import write_bytes_atomically, write_text_atomically
from skdpipe.inference.timeline import Segment, Timeline
from skdpipe.printable import printable

COLUMNS: Final = (
    *("source", "start", "end", "label", "probability", "person"),
    *("left", "top", "right", "bottom", "reason"),
)
"""The columns of a table of segments."""

_SCHEMA: Final = "http://www.mpi.nl/tools/elan/EAFv3.0.xsd"
_UNDETERMINED: Final = {
    "LANG_DEF": "http://cdb.iso.org/lg/CDB-00130975-001",
    "LANG_ID": "und",
    "LANG_LABEL": "undetermined (und)",
}


def to_json(timeline: Timeline) -> dict[str, object]:
    """The timeline as plain values: times in seconds, boxes in pixels, None where there is no value."""
    return {
        "source": timeline.source,
        "seconds": round(timeline.seconds, 3),
        "size": list(timeline.size),
        "frames": timeline.frames,
        "segments": [segment_to_json(each) for each in timeline.segments],
        "people": [
            {
                "person": each.person,
                "start": round(each.start, 3),
                "end": round(each.end, 3),
                "frames": each.frames,
            }
            for each in timeline.people
        ],
    }


def segment_to_json(segment: Segment) -> dict[str, object]:
    """A segment as plain values; see `to_json`."""
    return {
        "start": round(segment.start, 3),
        "end": round(segment.end, 3),
        "label": segment.label,
        "probability": round(segment.probability, 4),
        "person": segment.person,
        "box": None if segment.box is None else [round(side, 1) for side in segment.box],
        "reason": segment.reason,
    }


def write_csv(timelines: Iterable[Timeline], path: Path) -> None:
    """Write the segments of several videos as one table, in the order of the videos.

    The columns are `COLUMNS`; times are in seconds, the sides of the box in pixels. A field is empty where
    there is no value.

    Raises:
        OSError: if the file cannot be written; a former file stays as it is.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    for timeline in timelines:
        table.writerows(_row(timeline.source, each) for each in timeline.segments)
    write_text_atomically(path, text.getvalue())


def _row(source: str, segment: Segment) -> list[str]:
    return [
        printable(source),
        f"{segment.start:.3f}",
        f"{segment.end:.3f}",
        printable(segment.label or ""),
        f"{segment.probability:.4f}",
        "" if segment.person is None else str(segment.person),
        *(["", "", "", ""] if segment.box is None else [f"{side:.1f}" for side in segment.box]),
        segment.reason or "",
    ]


def write_webvtt(timeline: Timeline, path: Path) -> None:
    """Write subtitles for players: a cue for each segment, "Person 3: wave"; several at once are parallel.

    A person without a label has the reason in parentheses. While nobody is in view there is no cue.

    Raises:
        OSError: if the file cannot be written; a former file stays as it is.
    """
    cues = [
        f"{_vtt_time(start)} --> {_vtt_time(end)}\n{html.escape(_cue_text(each), quote=False)}\n"
        for each in _annotations(timeline)
        for start, end in [_milliseconds(each)]
    ]
    write_text_atomically(path, "\n".join(["WEBVTT\n", *cues]))


def _cue_text(segment: Segment) -> str:
    who = "" if segment.person is None else f"{_who(segment.person)}: "
    return who + _annotation_text(segment)


def _vtt_time(milliseconds: int) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{rest:03}"


def write_elan(timeline: Timeline, path: Path, media: Path | None, classes: Sequence[str] = ()) -> None:
    """Write an annotation document of ELAN (EAF 3.0): a tier for each person, or one if labelled together.

    A segment without a label has the reason in parentheses as its value; while nobody is in view there is no
    annotation.

    Args:
        timeline: of the footage.
        path: the file, which usually ends in ``.eaf``.
        media: the video, which the document names relative to its own folder too; None if there is none.
        classes: the labels to choose from in ELAN; those of the segments are added.

    Raises:
        OSError: if the file cannot be written; a former file stays as it is.
    """
    document = ElementTree.Element(
        "ANNOTATION_DOCUMENT",
        {
            "AUTHOR": "skdpipe",
            "DATE": datetime.now(UTC).isoformat(timespec="seconds"),
            "FORMAT": "3.0",
            "VERSION": "3.0",
            "xmlns:xsi": "http://www.w3.org/2001/XMLSchema-instance",
            "xsi:noNamespaceSchemaLocation": _SCHEMA,
        },
    )
    segments = _annotations(timeline)
    document.append(_header(path, media, len(segments)))
    document.append(_time_order(segments))
    document.extend(_tiers(segments))
    _add(
        document,
        "LINGUISTIC_TYPE",
        LINGUISTIC_TYPE_ID="action",
        TIME_ALIGNABLE="true",
        GRAPHIC_REFERENCES="false",
        CONTROLLED_VOCABULARY_REF="actions",
    )
    _add(document, "LANGUAGE", **_UNDETERMINED)
    document.append(_vocabulary([*map(printable, classes), *map(_annotation_text, segments)]))
    ElementTree.indent(document)
    text = ElementTree.tostring(document, encoding="UTF-8", xml_declaration=True)
    write_bytes_atomically(path, text, b"\n")


def _header(path: Path, media: Path | None, annotations: int) -> ElementTree.Element:
    header = ElementTree.Element("HEADER", MEDIA_FILE="", TIME_UNITS="milliseconds")
    if media is not None:
        where = media.absolute().as_posix()
        kind = mimetypes.guess_type(media.name)[0] or "unknown"
        names = {"MEDIA_URL": f"file://{'' if where.startswith('/') else '/'}{printable(where)}"}
        if media.absolute().drive == path.absolute().drive:
            relative = Path(os.path.relpath(media, path.parent)).as_posix()
            names["RELATIVE_MEDIA_URL"] = printable(
                relative if relative.startswith("../") else f"./{relative}"
            )
        _add(header, "MEDIA_DESCRIPTOR", MIME_TYPE=kind, **names)
    _add(header, "PROPERTY", str(annotations), NAME="lastUsedAnnotationId")
    return header


def _time_order(segments: Sequence[Segment]) -> ElementTree.Element:
    """Two slots for each annotation: one that two share would move both in ELAN."""
    times = [time for each in segments for time in _milliseconds(each)]
    order = ElementTree.Element("TIME_ORDER")
    for slot in sorted(range(len(times)), key=times.__getitem__):
        _add(order, "TIME_SLOT", TIME_SLOT_ID=f"ts{slot + 1}", TIME_VALUE=str(times[slot]))
    return order


def _tiers(segments: Sequence[Segment]) -> list[ElementTree.Element]:
    """A tier for each person, by number, after that of all together."""
    tiers: dict[int | None, ElementTree.Element] = {}
    for person in sorted({each.person for each in segments}, key=lambda number: (number is not None, number)):
        tiers[person] = ElementTree.Element("TIER", TIER_ID=_who(person), LINGUISTIC_TYPE_REF="action")
    for number, each in enumerate(segments, 1):
        annotation = _add(
            _add(tiers[each.person], "ANNOTATION"),
            "ALIGNABLE_ANNOTATION",
            ANNOTATION_ID=f"a{number}",
            TIME_SLOT_REF1=f"ts{2 * number - 1}",
            TIME_SLOT_REF2=f"ts{2 * number}",
        )
        _add(annotation, "ANNOTATION_VALUE", _annotation_text(each))
    return list(tiers.values())


def _vocabulary(values: Iterable[str]) -> ElementTree.Element:
    vocabulary = ElementTree.Element("CONTROLLED_VOCABULARY", CV_ID="actions")
    _add(vocabulary, "DESCRIPTION", LANG_REF="und")
    for number, value in enumerate(dict.fromkeys(values), 1):
        entry = _add(vocabulary, "CV_ENTRY_ML", CVE_ID=f"cve{number}")
        _add(entry, "CVE_VALUE", value, LANG_REF="und", DESCRIPTION="")
    return vocabulary


def _add(
    parent: ElementTree.Element, name: str, text: str | None = None, **attributes: str
) -> ElementTree.Element:
    element = ElementTree.SubElement(parent, name, attributes)
    element.text = text
    return element


def _annotations(timeline: Timeline) -> list[Segment]:
    """The segments in which somebody is in view."""
    return [each for each in timeline.segments if each.reason != "no person"]


def _who(person: int | None) -> str:
    return "All" if person is None else f"Person {person}"


def _annotation_text(segment: Segment) -> str:
    return printable(segment.label) if segment.label is not None else f"({segment.text})"


def _milliseconds(segment: Segment) -> tuple[int, int]:
    """Start and end; a segment of a single frame lasts a millisecond, as neither format has instants."""
    start, end = round(1000 * segment.start), round(1000 * segment.end)
    return start, max(end, start + 1)
