"""The HTML of a report: one file that needs no other."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final, NamedTuple

import yaml
from matplotlib.figure import Figure

from skdpipe.config import Degradation, Report, to_plain
from skdpipe.distill.experiment import recovered_gap
from skdpipe.report.figures.style import look_of, to_svg
from skdpipe.report.gather import LoadedRun

_STYLE: Final = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff; margin: 0 auto;
  max-width: 1320px; padding: 1.5rem 2rem 4rem; }
h1 { font-size: 1.6rem; margin: 0 0 .2rem; } h2 { font-size: 1.2rem; margin: 2.6rem 0 .3rem; }
p.said { margin: .2rem 0 .8rem; max-width: 62rem; color: #333; }
nav a { margin-right: 1.1rem; white-space: nowrap; } a { color: #0072B2; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: .6rem 0 1rem; }
th, td { padding: .32rem .9rem; text-align: right; border-bottom: 1px solid #ddd; }
th { border-bottom: 2px solid #555; vertical-align: bottom; }
th:first-child, td:first-child, table.facts td, table.facts th { text-align: left; }
table.facts th { border-bottom: 1px solid #ddd; font-weight: 600; white-space: nowrap; vertical-align: top; }
td.best { font-weight: 700; }
.swatch { display: inline-block; width: .75em; height: .75em; margin-right: .5em; border-radius: 2px; }
figure { margin: 0 0 1.2rem; overflow-x: auto; } figure svg { display: block; max-width: 100%; height: auto; }
figure.wide { width: max-content; max-width: calc(100vw - 4rem); margin-left: 50%;
  transform: translateX(-50%); }
figure.wide svg { max-width: none; }
label.fit { font-size: .85rem; color: #555; cursor: zoom-out; }
label.fit:has(:checked) + figure { width: auto; max-width: none; margin-left: 0; transform: none; }
label.fit:has(:checked) + figure svg { max-width: 100%; }
pre { background: #f6f6f6; padding: .8rem 1rem; overflow-x: auto; font-size: .82rem; line-height: 1.4; }
summary { cursor: pointer; font-weight: 600; margin: .5rem 0; }
@media print { label.fit, nav { display: none; } section { break-inside: avoid; } }
"""
_PAGE_WIDTH: Final = 13.0  # inches; wider figures may reach over the page's margins


class Section(NamedTuple):
    """A part of the report.

    Attributes:
        anchor: its name in links, letters alone.
        title: its heading.
        caption: one sentence that says what to see, or why there is nothing.
        figures: drawn one below the other.
    """

    anchor: str
    title: str
    caption: str
    figures: Sequence[Figure] = ()


def write_page(
    run: LoadedRun, settings: Report, sections: Sequence[Section], beside: Sequence[LoadedRun] = ()
) -> str:
    """The whole page.

    Args:
        run: whom it is about.
        settings: the report's own.
        sections: in order, after the summary.
        beside: further runs, whose figures stand in a table of their own.
    """
    title = f"Report on the run {escape(run.name)}"
    links = [
        ("summary", "Summary"),
        *((each.anchor, each.title) for each in sections),
        ("settings", "Settings"),
    ]
    nav = " ".join(f'<a href="#{anchor}">{escape(text)}</a>' for anchor, text in links)
    parts = [
        f"<h1>{title}</h1><nav>{nav}</nav>",
        f'<section id="summary"><h2>Summary</h2>{_summary(run)}',
        *(f"<h3>Beside it: {escape(other.name)}</h3>{_results(other)}" for other in beside),
        f"{_facts(run)}</section>",
        *(_section(each) for each in sections),
        f'<section id="settings"><h2>Settings</h2>{_settings(run, settings)}</section>',
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(parts)
        + "\n</body>\n</html>\n"
    )


def _section(section: Section) -> str:
    drawn = []
    for number, figure in enumerate(section.figures):
        svg = to_svg(figure, f"{section.anchor}{number}")
        name = escape(section.title, quote=True)
        wide = ""
        if figure.get_figwidth() > _PAGE_WIDTH:
            wide = ' class="wide"'
            drawn.append('<label class="fit"><input type="checkbox"> fit to the page</label>')
        drawn.append(f'<figure{wide} role="img" aria-label="{name}">{svg}</figure>')
    caption = f'<p class="said">{escape(section.caption)}</p>'
    return (
        f'<section id="{section.anchor}"><h2>{escape(section.title)}</h2>{caption}{"".join(drawn)}</section>'
    )


def _summary(run: LoadedRun) -> str:
    caption = (
        "Recovered gap is (method - LQS-S) / (HQS-T - LQS-S) in top-1; time is the median of one clip on the "
        "device that trained, and a multiply-add counts as two operations."
    )
    return f'<p class="said">{escape(caption)}</p>{_results(run)}'


def _results(run: LoadedRun) -> str:
    head = ("", "top-1 %", "top-5 %", "parameters", "GFLOPs", "ms a clip", "recovered gap")
    poor = [each.figures.top1 for each in run.methods if not each.sees_high]
    rows = []
    for each in run.methods:
        figures = each.figures
        best = ' class="best"' if not each.sees_high and figures.top1 == max(poor) else ""
        swatch = f'<span class="swatch" style="background:{look_of(each.method).colour}"></span>'
        rows.append(
            f"<tr><td>{swatch}{escape(each.title)}</td><td{best}>{figures.top1:.2f}</td><td>{figures.top5:.2f}</td>"
            f"<td>{figures.parameters:,}</td><td>{figures.gflops:.3f}</td><td>{figures.milliseconds:.2f}</td>"
            f"<td>{_gap(run, each.method)}</td></tr>"
        )
    cells = "".join(f"<th>{each}</th>" for each in head)
    return f"<table><thead><tr>{cells}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _gap(run: LoadedRun, method: str) -> str:
    teacher, baseline, this = (run.method(name) for name in ("teacher", "baseline", method))
    if method in {"teacher", "baseline"} or not (teacher and baseline and this):
        return ""
    gap = recovered_gap(*(each.figures.top1 for each in (teacher, baseline, this)))
    return "no gap" if gap is None else f"{gap:.0%}"


def _facts(run: LoadedRun) -> str:
    data = run.data
    derived = run.experiment.derive_low
    low = f"{data['low']} (cached)"
    if derived is not None:
        usual = to_plain(Degradation())
        changed = [f"{key} {value}" for key, value in to_plain(derived).items() if value != usual[key]]
        low = f"derived from high: {', '.join(changed) or 'unchanged'}"
    facts = [
        ("folder", str(run.folder)),
        (
            "clips",
            f"{data['training_clips']} for training, {data['test_clips']} for the test ({data['clips']})",
        ),
        ("classes", f"{len(run.classes)}: {', '.join(run.classes)}"),
        ("high quality", f"{data['high']} (cached)"),
        ("low quality", low),
        ("networks", "; ".join(_network(run, name) for name in ("teacher", "student"))),
        ("seed", str(run.experiment.seed)),
        *((f"trained with ({titles})", said) for titles, said in _versions(run).items()),
    ]
    rows = "".join(f"<tr><th>{escape(name)}</th><td>{escape(said)}</td></tr>" for name, said in facts)
    return f'<table class="facts"><tbody>{rows}</tbody></table>'


def _network(run: LoadedRun, name: str) -> str:
    choice = to_plain(getattr(run.experiment, name))
    rest = (f"{key} {value}" for key, value in choice.items() if key != "name")
    return f"{name}: {', '.join((choice['name'], *rest))}"


def _versions(run: LoadedRun) -> dict[str, str]:
    """What each group of methods was trained with, by the group's titles."""
    groups: dict[str, list[str]] = {}
    for each in run.methods:
        said = ", ".join(
            f"{key} {value}" for key, value in each.bundle.metadata.run.get("versions", {}).items()
        )
        groups.setdefault(said or "unknown", []).append(each.title)
    return {", ".join(titles): said for said, titles in groups.items()}


def _settings(run: LoadedRun, settings: Report) -> str:
    parts = []
    for title, said in (("experiment", run.experiment), ("report", settings)):
        text = yaml.safe_dump({title: to_plain(said)}, sort_keys=False, allow_unicode=True)
        parts.append(f"<details><summary>Config of the {title}</summary><pre>{escape(text)}</pre></details>")
    return "".join(parts)
