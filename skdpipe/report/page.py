"""The HTML page of a report: the values for `templates/report.html`."""

from __future__ import annotations

import platform
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import torch
import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from matplotlib.figure import Figure

from skdpipe.config import Degradation, Report, to_plain
from skdpipe.distill.conclusions import conclude
from skdpipe.distill.methods import BASELINE, TEACHER, method_named
from skdpipe.distill.results import MethodResult, Results, recovered_gap
from skdpipe.finding import first_few
from skdpipe.printable import printable
from skdpipe.report.figures.style import describe, look_of, to_svg
from skdpipe.report.run_results import LoadedRun, NetworkTimes
from skdpipe.report.section import Section

_TEMPLATES: Final = Path(__file__).parent / "templates"
_CODE: Final = re.compile(r"`([^`]*)`")
_LONGEST_NAME: Final = 80
_PAGE_WIDTH: Final = 13.0  # inches; wider figures extend over the margins of the page


class ResultRow(NamedTuple):
    """A row of the results table.

    Attributes:
        result: test result of a method or a forest.
        input: quality and preprocessing of the input, and kind of training.
        colour: in the figures; empty for a forest, which they do not show.
        is_best: whether top-1 is the best of the methods with low-quality input.
        gap: recovered gap; empty for teacher, baseline and forests, and if there is no gap to recover.
        time: milliseconds of one clip with their spread; empty for a forest.
    """

    result: MethodResult
    input: str
    colour: str
    is_best: bool
    gap: str
    time: str


class Drawing(NamedTuple):
    """A figure as markup.

    Attributes:
        svg: the element.
        alt: what it shows, for those who cannot see it.
        is_wide: whether it is wider than the page.
    """

    svg: Markup
    alt: str
    is_wide: bool


def render_page(
    run: LoadedRun,
    settings: Report,
    sections: Sequence[Section],
    others: Sequence[LoadedRun],
    times: Sequence[NetworkTimes],
    device: torch.device,
) -> str:
    """The HTML text of the page; all text is `printable` and escaped, only the figures are markup.

    Args:
        run: the run of the report.
        settings: content of the report, shown at the end.
        sections: shown in this order after the summary.
        others: further runs whose results are shown in tables of their own.
        times: of the networks of this run and of each other one, taken in turn.
        device: on which they were taken.
    """
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"with_code": _with_code, "in_lines": _in_lines, "brief": _brief}
    configs = {"experiment": run.experiment, "report": settings}
    return environment.get_template("report.html").render(
        run=run,
        conclusions=conclude(run.validated or run.results),
        results=_rows(run.results, times[0]),
        validated=_rows(run.validated, times[0]),
        others=[
            (other.name, _rows(other.results, of_other))
            for other, of_other in zip(others, times[1:], strict=True)
        ],
        facts=[*_facts(run), ("times taken on", _place(device))],
        first_few=first_few,
        poses=settings.wrong.poses,
        sections=[
            (section, [_drawing(figure, f"{section.anchor}{n}") for n, figure in enumerate(section.figures)])
            for section in sections
        ],
        configs={
            name: yaml.safe_dump({name: to_plain(config)}, sort_keys=False, allow_unicode=True)
            for name, config in configs.items()
        },
    )


def _with_code(text: str) -> Markup:
    """Text as markup, in which `command` between backticks is code."""
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(printable(text)))))


def _brief(text: str) -> str:
    """A name of bounded length."""
    return printable(text, _LONGEST_NAME)


def _in_lines(text: str) -> Markup:
    """Text of several lines as markup."""
    return Markup("\n").join(map(printable, text.split("\n")))


def _shown(value: object) -> object:
    """A value of the template as it is shown."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _drawing(figure: Figure, name: str) -> Drawing:
    return Drawing(Markup(to_svg(figure, name)), describe(figure), figure.get_figwidth() > _PAGE_WIDTH)


def _rows(results: Results, times: NetworkTimes) -> list[ResultRow]:
    of_low = {
        name: each.top1.estimate for name, each in results.items() if each.figures and each.quality == "low"
    }
    best = max(of_low.values(), default=None)
    return [
        ResultRow(
            result=result,
            input=_input(result),
            colour="" if result.figures is None else look_of(name).colour,
            is_best=name in of_low and of_low[name] == best,
            gap=_gap(results, name),
            time=times[name].in_milliseconds() if name in times else "",
        )
        for name, result in results.items()
    ]


def _input(result: MethodResult) -> str:
    parts = [f"{result.quality} quality"]
    if result.figures is None:
        return ", ".join([*parts, "summary features"])
    method = method_named(result.name)
    if method.smoothed:
        parts.append("smoothed")
    if method.distilled:
        parts.append("with teacher")
    return ", ".join(parts)


def _gap(results: Results, name: str) -> str:
    if name in (TEACHER.name, BASELINE.name) or results[name].figures is None:
        return ""
    gap = recovered_gap(results, name)
    return "" if gap is None else f"{gap:.0%}"


def _facts(run: LoadedRun) -> list[tuple[str, str]]:
    """Names and values of the table below the results."""
    data, derived = run.data, run.experiment.derive_low
    low = f"{data.low} (cached)"
    if derived is not None:
        defaults = to_plain(Degradation())
        changed = [f"{key} {value}" for key, value in to_plain(derived).items() if value != defaults[key]]
        low = f"derived from high quality: {', '.join(changed) or 'unchanged'}"
    return [
        ("folder", str(run.folder)),
        ("clips", f"{data.training_clips} for training, {data.test_clips} for the test"),
        ("digest of the clips", f"{data.clips}"),
        ("chance level", _chance(run.results)),
        ("classes", f"{len(run.classes)}: {', '.join(run.classes)}"),
        ("high quality", f"{data.high} (cached)"),
        ("low quality", low),
        ("teacher network", _network(to_plain(run.experiment.teacher))),
        ("student network", _network(to_plain(run.experiment.student))),
        ("seed", str(run.experiment.seed)),
        *((f"trained with ({titles})", versions) for titles, versions in _versions(run).items()),
    ]


def _place(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type}, {platform.machine()}, PyTorch with {torch.get_num_threads()} threads"


def _chance(results: Results) -> str:
    if not results:
        return "unknown"
    chance = next(iter(results.values())).chance
    return f"{chance:.1f} % (the most frequent class of the test clips)"


def _network(choice: dict[str, object]) -> str:
    return ", ".join(f"{value}" if key == "name" else f"{key} {value}" for key, value in choice.items())


def _versions(run: LoadedRun) -> dict[str, str]:
    """The software versions of each group of methods, by the titles of the group."""
    groups: dict[str, list[str]] = {}
    for each in run.methods:
        recorded = each.bundle.metadata.run.get("versions", {})
        versions = ", ".join(f"{key} {value}" for key, value in recorded.items())
        groups.setdefault(versions or "unknown", []).append(each.method.title)
    return {", ".join(titles): versions for versions, titles in groups.items()}
