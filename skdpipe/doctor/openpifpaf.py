"""OpenPifPaf: its C++ extension, and the people that the embedded networks find."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from skdpipe.doctor.pytorch import NEEDED_FOR
from skdpipe.doctor.requirements import install_command, installed
from skdpipe.doctor.setup import Check, Setup
from skdpipe.errors import SkdpipeError, in_one_line
from skdpipe.finding import Finding

if TYPE_CHECKING:
    from skdpipe.skeleton import Keypoints

_REBUILD: Final = (
    'build it for the installed torch: pip install "setuptools<82" versioneer, then PYTHONOPTIMIZE=1 pip '
    "install --no-build-isolation --no-cache-dir --no-deps --force-reinstall openpifpaf==0.13.0; with uv: uv "
    "cache clean openpifpaf, then uv sync --reinstall-package openpifpaf"
)
_NETWORKS: Final = {"actors-high": ("resnet18", 161), "actors-low": ("shufflenetv2x1", 97)}
_LEAST_FOUND: Final = 0.9  # share of the joints
_NEAR: Final = 0.1  # of the height of the person


def check_extension(_: Setup) -> Iterator[Finding]:
    """Whether the C++ extension was compiled for the installed torch, and OpenPifPaf can be imported."""
    if find_spec("openpifpaf") is None:
        text = f"not installed; {NEEDED_FOR}"
        yield Finding("openpifpaf", "note", text, install_command("openpifpaf"))
        return
    if find_spec("torch") is None:
        text = f"{installed('openpifpaf')}, which does not work without torch"
        yield Finding("openpifpaf", "note", text, install_command("torch"))
        return
    try:
        import torch
    except Exception:
        return  # a finding about torch says so

    (folder,) = find_spec("openpifpaf").submodule_search_locations  # type: ignore[union-attr, misc]
    extensions = sorted(Path(folder).glob("_cpp*.so")) + sorted(Path(folder).glob("_cpp*.pyd"))
    if not extensions:
        yield Finding("extension", "problem", f"there is no C++ extension in {folder}", _REBUILD)
        return
    try:
        torch.ops.load_library(str(extensions[0]))  # type: ignore[no-untyped-call]
    except OSError as error:
        why = in_one_line(error.__cause__ if isinstance(error.__cause__, OSError) else error)
        is_other = "undefined symbol" in why or "Symbol not found" in why or "DLL load failed" in why
        shown = why.replace(f"{folder}/", "")[:100]
        found = f"compiled for another torch than {torch.__version__}" if is_other else "cannot be loaded"
        yield Finding("extension", "problem", f"{found} ({shown})", _REBUILD)
        return
    from skdpipe.pose.openpifpaf import networks  # noqa: F401  # imports OpenPifPaf

    text = f"OpenPifPaf {installed('openpifpaf')}, its C++ extension fits torch {torch.__version__}"
    yield Finding("extension", "fine", text)


def check_people(_: Setup) -> Iterator[Finding]:
    """Whether the embedded networks find the people of a rendered picture where they are."""
    if "skdpipe.pose.openpifpaf.networks" not in sys.modules:  # the first check could not import it
        return
    from skdpipe.config import OpenPifPafSettings, Thresholds
    from skdpipe.pose.load import load_estimator
    from skdpipe.synthetic import make_scene, render_frame

    image, truth, _visible = render_frame(make_scene("push", subject=2, take=0, seed=7, frames=8), 0)
    for weights, (backbone, edge) in _NETWORKS.items():
        settings = OpenPifPafSettings(
            backbone=backbone,
            weights=weights,
            long_edge=edge,
            runtime="torch",
            thresholds=Thresholds(complete=True),
        )
        try:
            (found,) = load_estimator(settings)([image])
        except SkdpipeError as error:
            yield Finding(weights, "problem", str(error), "reinstall skdpipe")
            continue
        share = share_found(found, truth)
        text = f"{len(found)} of {len(truth)} people of a rendered picture, {share:.0%} of the joints right"
        if len(found) == len(truth) and share >= _LEAST_FOUND:
            yield Finding(weights, "fine", text)
        else:
            remedy = "reinstall skdpipe, torch and torchvision, and run `skdpipe doctor` again"
            yield Finding(weights, "problem", text, remedy)


def share_found(found: Keypoints, truth: Keypoints) -> float:
    """The share of the joints of people that are near those of the most similar person found.

    Args:
        found: ``(person, joint, 3)``.
        truth: likewise; the unseen joints do not count.
    """
    import numpy as np

    if not len(found):
        return 0.0
    near = []
    for person in truth:
        joints = person[person[:, 2] > 0, :2]
        others = found[:, person[:, 2] > 0, :2]
        distances = np.linalg.norm(others - joints, axis=2) / np.ptp(joints[:, 1])
        near.append((distances < _NEAR)[np.argmin(distances.mean(axis=1))])
    return float(np.concatenate(near).mean())


CHECKS: Final[dict[str, Check]] = {"extension": check_extension, "people": check_people}
