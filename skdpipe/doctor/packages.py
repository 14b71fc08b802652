"""The packages that skdpipe requires, and its extras."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from typing import Final

from skdpipe.doctor import requirements
from skdpipe.doctor.requirements import misfit
from skdpipe.doctor.setup import Check, Setup
from skdpipe.finding import Finding

PURPOSES: Final = {
    "app": "`skdpipe app`, a page in the browser",
    "litert": "`skdpipe export` for LiteRT (TensorFlow Lite), over 1 GB of packages",
    "onnx": "networks in ONNX Runtime, faster than PyTorch without a GPU",
    "openvino": "networks in OpenVINO, the fastest without a GPU",
    "report": "`skdpipe report`, figures and tables",
    "rtmlib": "the estimators RTMPose and RTMO",
    "runner": "exported networks without PyTorch",
    "ray": "`skdpipe extract --engine ray` and `skdpipe compare --engine ray`",
    "remote": "videos and caches at addresses such as s3://bucket",
    "tensorboard": "`skdpipe distill --log tensorboard`",
    "train": "PyTorch and OpenPifPaf: extraction, training, export",
    "train-pose": "`skdpipe train-pose` and `measure-pose` on COCO",
}
"""What each extra is for."""


def check_required(_: Setup) -> Iterator[Finding]:
    """Whether the packages that every command needs are there, in versions that fit."""
    if not requirements.is_installed():
        yield Finding(
            "required",
            "warning",
            "skdpipe runs from a source tree and has not been installed: nothing is known of its packages",
            "install it as the README says, or run `pip install -e .` in the source tree",
        )
        return
    needed = requirements.required()
    missing = [each for each in needed if requirements.is_missing(each)]
    misfits = [misfit(each) for each in needed if misfit(each)]
    for each in missing:
        command = f'pip install "{each.name}{each.specifier}"'
        yield Finding(each.name, "problem", f"not installed; expected {each.specifier}", command)
    for each in needed:
        if found := misfit(each):
            yield Finding(each.name, "problem", found, f'pip install "{each.name}{each.specifier}"')
    if not missing and not misfits:
        text = f"skdpipe {version('skdpipe')} and the {len(needed)} packages that it requires"
        yield Finding("required", "fine", text)


def check_extras(_: Setup) -> Iterator[Finding]:
    """Which extras are complete."""
    for extra in requirements.extras():
        needed = requirements.required(extra)
        purpose = PURPOSES.get(extra, "")
        about = f"[{extra}] for {purpose}" if purpose else f"[{extra}]"
        command = f'pip install "skdpipe[{extra}]"'
        missing = [each.name for each in needed if requirements.is_missing(each)]
        misfits = [found for each in needed if (found := misfit(each))]
        if misfits:
            yield Finding(f"extra-{extra}", "warning", f"{about}: {', '.join(misfits)}", command)
        elif missing:
            text = f"{about}: not installed ({', '.join(missing)})"
            yield Finding(f"extra-{extra}", "note", text, command)
        else:
            yield Finding(f"extra-{extra}", "fine", about)


CHECKS: Final[dict[str, Check]] = {"required": check_required, "extras": check_extras}
