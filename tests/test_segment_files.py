"""Segments are read back from tables, subtitles and annotation documents as they were, whatever the names."""

from __future__ import annotations

import csv
import html
import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skdpipe.inference.segment_files import COLUMNS, to_json, write_csv, write_elan, write_webvtt
from skdpipe.inference.timeline import Segment, Span, Timeline
from skdpipe.strict_json import to_strict_json

WAVE = Segment(0.0, 2.5, "wave", 0.91234, 3, (10.04, 20.0, 110.0, 220.0))
SIT = Segment(1.25, 4.0, "sit down", 0.5, 11, (300.0, 20.0, 400.0, 220.0))
UNSURE = Segment(2.5, 3.0, None, 0.31, 3, (12.0, 20.0, 110.0, 220.0), "unsure")
NOBODY = Segment(4.0, 3725.0625, None, 0.0, reason="no person")
TIMELINE = Timeline(
    "footage/a, b.mp4",
    3725.0625,
    (640, 480),
    (WAVE, SIT, UNSURE, NOBODY),
    (Span(3, 0.0, 3.0, 75), Span(11, 1.25, 4.0, 60)),
    2000,
)


def labelled(*labels: str) -> Timeline:
    """Together labelled, a second each."""
    segments = tuple(Segment(float(i), i + 1.0, label, 0.5) for i, label in enumerate(labels))
    return Timeline("a.mp4", float(len(labels)), (64, 48), segments, (), 10)


def read_table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def read_cues(path: Path) -> list[tuple[float, float, str]]:
    """Start, end and text of the cues, as the WebVTT standard reads them."""
    header, *blocks = re.split(r"\n\n+", path.read_text(encoding="utf-8").strip("\n"))
    assert header == "WEBVTT"
    cues = []
    for block in blocks:
        timing, *text = block.split("\n")
        match = re.fullmatch(
            r"(\d\d+):([0-5]\d):([0-5]\d\.\d{3}) --> (\d\d+):([0-5]\d):([0-5]\d\.\d{3})", timing
        )
        assert match, timing
        assert not any("-->" in line or "<" in line for line in text)
        h1, m1, s1, h2, m2, s2 = map(float, match.groups())
        cues.append((3600 * h1 + 60 * m1 + s1, 3600 * h2 + 60 * m2 + s2, html.unescape("\n".join(text))))
    return cues


def read_tiers(path: Path) -> dict[str, list[tuple[int, int, str]]]:
    """Start, end in milliseconds and value of the annotations of each tier."""
    document = ElementTree.parse(path).getroot()
    slots = [
        (each.get("TIME_SLOT_ID"), int(each.get("TIME_VALUE", ""))) for each in document.iter("TIME_SLOT")
    ]
    time = dict(slots)
    assert len(time) == len(slots)
    assert [value for _, value in slots] == sorted(time.values())
    return {
        tier.get("TIER_ID", ""): [
            (time[each.get("TIME_SLOT_REF1")], time[each.get("TIME_SLOT_REF2")], each[0].text or "")
            for each in tier.iter("ALIGNABLE_ANNOTATION")
        ]
        for tier in document.iter("TIER")
    }


def test_a_table_has_a_row_for_each_segment_of_each_video(tmp_path: Path) -> None:
    other = labelled("clap")
    write_csv([TIMELINE, other], tmp_path / "new" / "s.csv")
    rows = read_table(tmp_path / "new" / "s.csv")
    assert tuple(rows[0]) == COLUMNS
    assert [row["source"] for row in rows] == 4 * ["footage/a, b.mp4"] + ["a.mp4"]
    assert list(rows[0].values())[1:] == [
        *("0.000", "2.500", "wave", "0.9123", "3"),
        *("10.0", "20.0", "110.0", "220.0", ""),
    ]
    assert (rows[2]["label"], rows[2]["reason"], rows[2]["probability"]) == ("", "unsure", "0.3100")
    assert list(rows[3].values())[1:] == ["4.000", "3725.062", "", "0.0000", "", "", "", "", "", "no person"]


def test_a_table_without_segments_has_a_header(tmp_path: Path) -> None:
    write_csv([], tmp_path / "s.csv")
    assert (tmp_path / "s.csv").read_text() == ",".join(COLUMNS) + "\n"


def test_people_at_the_same_time_have_parallel_cues(tmp_path: Path) -> None:
    write_webvtt(TIMELINE, tmp_path / "s.vtt")
    assert read_cues(tmp_path / "s.vtt") == [
        (0.0, 2.5, "Person 3: wave"),
        (1.25, 4.0, "Person 11: sit down"),
        (2.5, 3.0, "Person 3: (unsure)"),
    ]


def test_a_cue_after_an_hour_has_its_time(tmp_path: Path) -> None:
    write_webvtt(
        Timeline("a", 4000, (2, 2), (Segment(3725.0625, 3999.9996, "wave", 1.0),), (), 1), tmp_path / "s"
    )
    assert read_cues(tmp_path / "s") == [(3725.062, 4000.0, "wave")]


def test_subtitles_without_segments_are_valid(tmp_path: Path) -> None:
    write_webvtt(labelled(), tmp_path / "s.vtt")
    assert (tmp_path / "s.vtt").read_text() == "WEBVTT\n"


def test_each_person_has_a_tier(tmp_path: Path) -> None:
    write_elan(TIMELINE, tmp_path / "s.eaf", tmp_path / "a, b.mp4", ["clap", "wave"])
    assert read_tiers(tmp_path / "s.eaf") == {
        "Person 3": [(0, 2500, "wave"), (2500, 3000, "(unsure)")],
        "Person 11": [(1250, 4000, "sit down")],
    }
    document = ElementTree.parse(tmp_path / "s.eaf").getroot()
    assert [each.text for each in document.iter("CVE_VALUE")] == ["clap", "wave", "sit down", "(unsure)"]
    kind = document.find("LINGUISTIC_TYPE")
    assert kind is not None
    assert kind.get("CONTROLLED_VOCABULARY_REF") == document.find("CONTROLLED_VOCABULARY").get("CV_ID")
    assert {tier.get("LINGUISTIC_TYPE_REF") for tier in document.iter("TIER")} == {
        kind.get("LINGUISTIC_TYPE_ID")
    }


def test_annotations_of_all_together_have_one_tier(tmp_path: Path) -> None:
    write_elan(labelled("wave", "clap"), tmp_path / "s.eaf", None)
    assert read_tiers(tmp_path / "s.eaf") == {"All": [(0, 1000, "wave"), (1000, 2000, "clap")]}
    assert ElementTree.parse(tmp_path / "s.eaf").getroot().find("HEADER/MEDIA_DESCRIPTOR") is None


@pytest.mark.parametrize(
    ("media", "expected"),
    [
        ("here/clip 1.mp4", "./clip 1.mp4"),
        ("here/videos/clip.mp4", "./videos/clip.mp4"),
        ("there/clip.mp4", "../there/clip.mp4"),
    ],
)
def test_the_video_is_named_relative_to_the_document(tmp_path: Path, media: str, expected: str) -> None:
    write_elan(labelled("wave"), tmp_path / "here" / "s.eaf", tmp_path / media)
    descriptor = ElementTree.parse(tmp_path / "here" / "s.eaf").getroot().find("HEADER/MEDIA_DESCRIPTOR")
    assert descriptor is not None
    assert descriptor.get("RELATIVE_MEDIA_URL") == expected
    assert descriptor.get("MEDIA_URL") == f"file://{(tmp_path / media).as_posix()}"
    assert descriptor.get("MIME_TYPE") == "video/mp4"


def test_json_holds_plain_values() -> None:
    text = json.loads(to_strict_json(to_json(TIMELINE)))
    assert {name: text[name] for name in ("source", "seconds", "size", "frames")} == {
        "source": "footage/a, b.mp4",
        "seconds": 3725.062,
        "size": [640, 480],
        "frames": 2000,
    }
    assert text["segments"][0] == {
        "start": 0.0,
        "end": 2.5,
        "label": "wave",
        "probability": 0.9123,
        "person": 3,
        "box": [10.0, 20.0, 110.0, 220.0],
        "reason": None,
    }
    assert text["segments"][3]["reason"] == "no person"
    assert text["segments"][3]["box"] is None
    assert text["people"][1] == {"person": 11, "start": 1.25, "end": 4.0, "frames": 60}


@pytest.mark.parametrize(
    ("label", "shown"),
    [
        ("a --> b", "a --> b"),
        ("<b>&amp; 'x' \"y\"", "<b>&amp; 'x' \"y\""),
        ("two\nlines\n\nhere", r"two\nlines\n\nhere"),
        ("\x00\x1b\ufffe", r"\x00\x1b\ufffe"),
        ("\udc80", r"\udc80"),
        ("挥手 é \U0001f44b", "挥手 é \U0001f44b"),
        ("]]>", "]]>"),
    ],
)
def test_hard_names_are_kept_or_escaped(tmp_path: Path, label: str, shown: str) -> None:
    timeline = labelled(label, "after")
    write_webvtt(timeline, tmp_path / "s.vtt")
    assert [text for *_, text in read_cues(tmp_path / "s.vtt")] == [shown, "after"]
    write_elan(timeline, tmp_path / "s.eaf", tmp_path / f"{shown.replace('/', '')}.mp4", [label])
    assert [text for *_, text in read_tiers(tmp_path / "s.eaf")["All"]] == [shown, "after"]
    write_csv([timeline], tmp_path / "s.csv")
    assert [row["label"] for row in read_table(tmp_path / "s.csv")] == [shown, "after"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(labels=st.lists(st.text(min_size=1), min_size=1, max_size=4))
def test_no_name_breaks_a_file(tmp_path: Path, labels: list[str]) -> None:
    timeline = labelled(*labels)
    write_webvtt(timeline, tmp_path / "s.vtt")
    write_elan(timeline, tmp_path / "s.eaf", None)
    write_csv([timeline], tmp_path / "s.csv")
    cues, tiers = read_cues(tmp_path / "s.vtt"), read_tiers(tmp_path / "s.eaf")
    assert [text for *_, text in cues] == [text for *_, text in tiers["All"]]
    assert len(cues) == len(read_table(tmp_path / "s.csv")) == len(labels)


def test_a_segment_of_one_frame_lasts_a_millisecond(tmp_path: Path) -> None:
    timeline = Timeline("a.mp4", 0.0, (64, 48), (Segment(0.0, 0.0, "wave", 1.0),), (), 1)
    write_webvtt(timeline, tmp_path / "s.vtt")
    write_elan(timeline, tmp_path / "s.eaf", None)
    assert read_cues(tmp_path / "s.vtt") == [(0.0, 0.001, "wave")]
    assert read_tiers(tmp_path / "s.eaf") == {"All": [(0, 1, "wave")]}
