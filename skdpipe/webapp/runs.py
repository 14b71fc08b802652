"""Requests about runs: their figures, and their reports."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from fastapi import APIRouter
from fastapi.responses import FileResponse

from skdpipe.errors import require_extra
from skdpipe.printable import printable
from skdpipe.webapp.services import Given, ReadOnlyError, Services
from skdpipe.webapp.uploads import GoneError
from skdpipe.webapp.worker import Job

router = APIRouter(prefix="/api/runs")

_REPORT: Final = "report.html"
# A report consists of text, styles and drawings; its scripts, if there were any, do not run.
_REPORT_POLICY: Final = (
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'"
)


@router.get("")
def list_runs(services: Given) -> dict[str, Any]:
    """The names of the runs, the newest first."""
    return {"runs": [*_runs_of(services)], "folder": printable(str(services.settings.models))}


@router.get("/{name}")
def describe(name: str, services: Given) -> dict[str, Any]:
    """The figures of a run."""
    require_extra("train", "torch")
    from skdpipe.distill.conclusions import conclude
    from skdpipe.distill.records import read_config_file
    from skdpipe.distill.results import MethodResult, read_test_results
    from skdpipe.distill.run_folder import RunFolder

    folder = _find(services, name)
    files = RunFolder(folder)
    config, results = read_config_file(files.config), read_test_results([files])

    def row(each: MethodResult) -> dict[str, Any]:
        figures = each.figures
        return {
            "title": each.title,
            "quality": each.quality,
            "top1": [*each.top1],
            "top5": figures and figures.top5,
            "training_top1": each.training_top1,
            "parameters": figures and figures.parameters,
            "gflops": figures and figures.gflops,
        }

    return {
        "classes": [printable(each) for each in config.data.classes],
        "training_clips": config.data.training_clips,
        "test_clips": config.data.test_clips,
        "high": printable(config.data.high),
        "low": printable(config.data.low),
        "seed": config.experiment.seed,
        "methods": [row(each) for each in results.values()],
        "conclusions": [printable(each.text) for each in conclude(results)],
        "has_report": (folder / _REPORT).is_file(),
    }


@router.get("/{name}/report")
def show_report(name: str, services: Given) -> FileResponse:
    """The report of a run, as `skdpipe report` wrote it."""
    path = _find(services, name) / _REPORT
    if not path.is_file():
        raise GoneError("the run has no report; make it")
    return FileResponse(path, media_type="text/html", headers={"content-security-policy": _REPORT_POLICY})


@router.post("/{name}/report")
def make_report(name: str, services: Given) -> dict[str, str]:
    """Begin to write the report of a run, as `skdpipe report` does."""
    if services.settings.read_only:
        raise ReadOnlyError("the page was started with --read-only: run `skdpipe report` yourself")
    folder, settings = _find(services, name), services.settings

    def work(_: Job) -> str:
        require_extra("train", "torch")
        import torch

        from skdpipe.cache import PoseCache
        from skdpipe.config import Report, load_config
        from skdpipe.report import write_report

        output, cache = folder / _REPORT, PoseCache(settings.cache)
        report = load_config(Report, "report", section="report")
        write_report(folder, cache, output, report, device=torch.device(settings.device))
        return printable(str(output))

    return {"job": services.worker.submit(work).id}


def _runs_of(services: Services) -> dict[str, Path]:
    found = [path.parent for path in services.settings.models.glob("*/config.yaml")]
    found.sort(key=lambda folder: (folder / "config.yaml").stat().st_mtime, reverse=True)
    return {printable(folder.name): folder for folder in found}


def _find(services: Services, name: str) -> Path:
    folder = _runs_of(services).get(name)
    if folder is None:
        raise GoneError(f"there is no run {printable(name, 100)}; choose another one")
    return folder
