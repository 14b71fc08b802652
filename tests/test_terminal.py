"""Names from files on a terminal, in tables, beside progress bars, in JSON, in reports and in pictures."""

from __future__ import annotations

import io
import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table
from rich.text import Text

from skdpipe.cli import app as terminal
from skdpipe.cli.app import PlainConsole
from skdpipe.compare.table import markdown_table
from skdpipe.overlay import Panel, draw_sheet
from skdpipe.progress import Progress
from skdpipe.report.figures.style import as_text, to_svg
from skdpipe.report.page import _in_lines, _shown, _with_code
from skdpipe.skeleton import COCO_17

HOSTILE = "\x1b[31m[red]:smile:[/]\n\u202e$a$\x7f"
SHOWN = r"\x1b[31m[red]:smile:[/]\n\u202e$a$\x7f"


def test_a_table_shows_cells_and_title_in_one_line() -> None:
    console = PlainConsole(file=io.StringIO(), width=60)
    table = Table("name", title=HOSTILE)
    table.add_column(Text("two\nlines"))
    table.add_row(HOSTILE, "1")
    console.print(table)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    title, _, _, second, _, row, _ = text.splitlines()
    assert title.strip() == SHOWN
    assert "lines" in second
    assert row.split("│")[1].strip() == SHOWN


def test_a_line_stays_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.print_line(HOSTILE)
    terminal.print_problem("red", "failed", f"{HOSTILE}: no video")
    terminal.print_lines(f"first\n{HOSTILE.replace(chr(10), '')}")
    output = capsys.readouterr()
    assert output.out.splitlines() == [SHOWN, "first", SHOWN.replace(r"\n", "")]
    assert output.err == f"failed: {SHOWN}: no video\n"


def test_json_is_ascii_without_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.print_json({"label": HOSTILE})
    text = capsys.readouterr().out.removesuffix("\n")
    assert text.isascii()
    assert text.isprintable()
    assert json.loads(text) == {"label": HOSTILE}


@pytest.mark.parametrize("is_terminal", [True, False])
def test_progress_shows_name_and_note_as_they_are(is_terminal: bool) -> None:
    console = Console(file=io.StringIO(), force_terminal=is_terminal, width=200, color_system=None)
    with Progress(console).task(HOSTILE, 2) as task:
        task.advance_to(2, f"note {HOSTILE}")
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert SHOWN in text
    assert f"note {SHOWN}" in text
    assert "\x1b[31m" not in text


def test_a_mistaken_command_is_shown_as_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from skdpipe.cli import main

    monkeypatch.setattr("sys.argv", ["skdpipe", "extract", "a", "--\x1b[31m\u202e"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    assert r"No such option: --\x1b[31m\u202e" in capsys.readouterr().err


def test_the_report_shows_text_as_it_is() -> None:
    assert _shown(HOSTILE) == SHOWN
    assert _shown(3) == 3
    assert _with_code(f"`{HOSTILE}` <b>") == f"<code>{SHOWN}</code> &lt;b&gt;"
    assert _in_lines("a: <b>\n\x1b: 2") == "a: &lt;b&gt;\n\\x1b: 2"


def test_figures_are_valid_xml_with_names_as_they_are() -> None:
    figure = Figure((4, 1))
    figure.suptitle(as_text(HOSTILE, 60))
    texts = [each.text for each in ElementTree.fromstring(to_svg(figure, "x")).iter() if each.text]
    assert SHOWN in texts


def test_pictures_are_as_wide_as_a_label_of_bounded_length(tmp_path: Path) -> None:
    frame, nobody = np.zeros((20, 30, 3), np.uint8), np.zeros((0, 17, 3), np.float32)
    sheet = draw_sheet([Panel([frame], [nobody], "\udce9" * 1_000_000, "wave" * 1_000_000)], COCO_17)
    assert sheet.shape[1] < 10_000


def test_a_markdown_cell_stays_in_its_row() -> None:
    assert markdown_table([["a"], ["---"], ["x|y\n| z \x1b"]]) == "| a |\n| --- |\n| x/y\\n/ z \\x1b |\n"
