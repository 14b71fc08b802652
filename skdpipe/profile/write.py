"""The files of a profile: JSON, and the picture."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Final

from skdpipe.atomic_file import remove_leftovers, write_bytes_atomically, write_text_atomically
from skdpipe.config import to_plain
from skdpipe.errors import DataError
from skdpipe.profile.accuracy import NetworkProfile, answer_budget
from skdpipe.profile.measure import Profile
from skdpipe.speed import Timing
from skdpipe.strict_json import to_strict_json

PROFILE_FORMAT: Final = "skdpipe-profile-1"


def write_profile(profile: Profile, folder: Path, budget: float | None = None) -> list[Path]:
    """Write ``profile.json`` and, if matplotlib is installed, ``profile.png``.

    Args:
        profile: the measurements.
        folder: is created.
        budget: seconds of a frame, shown in the picture.

    Returns:
        The files written.

    Raises:
        DataError: if the folder is a file.
        OSError: if a file cannot be written.
    """
    if folder.exists() and not folder.is_dir():
        raise DataError(
            f"{folder} is not a folder; choose another output, because two files are written there"
        )
    folder.mkdir(parents=True, exist_ok=True)
    remove_leftovers(folder)
    files = [folder / "profile.json"]
    write_text_atomically(files[0], to_strict_json(profile_as_plain(profile, budget), indent=1) + "\n")
    if find_spec("matplotlib") is not None:
        from skdpipe.profile.figure import draw_profile, to_png

        files.append(folder / "profile.png")
        write_bytes_atomically(files[1], to_png(draw_profile(profile, budget)))
    return files


def profile_as_plain(profile: Profile, budget: float | None = None) -> dict[str, object]:
    """A profile as plain values for JSON; times are in milliseconds of the whole clip.

    Args:
        profile: the measurements.
        budget: seconds of a frame, to which the answers are added.
    """
    plain: dict[str, object] = {
        "format": PROFILE_FORMAT,
        "clip": {
            "name": profile.clip,
            "frames": profile.frames,
            "size": list(profile.size),
            "fps": profile.fps,
        },
        "machine": profile.machine,
        "rounds": profile.rounds,
        "estimators": [
            {
                "name": each.name,
                "settings": to_plain(each.settings),
                "fingerprint": each.fingerprint,
                "runtime": each.runtime,
                "stages": {stage: _plain(time) for stage, time in each.stages.items()},
                "whole": _plain(each.whole),
                "real_time_factor": profile.real_time_factor(each.whole),
                "images": each.images,
                "parameters": each.network.parameters if each.network else None,
                "multiply_adds": each.network.multiply_adds if each.network else None,
                "peak_memory": each.peak_memory,
                "people": each.people,
            }
            for each in profile.estimators
        ],
        "networks": [
            {
                "name": each.network,
                "estimator": each.estimator,
                "test": each.test,
                "top1": each.top1._asdict(),
                "parameters": each.parameters,
                "gflops": each.gflops,
                "student": _plain(each.student),
                "cost": _plain(each.cost),
                "real_time_factor": profile.real_time_factor(each.cost),
                "on_front": each.on_front,
            }
            for each in profile.networks
        ],
        "left_out": dict(profile.left_out),
    }
    if budget is not None:
        plain["budget"] = {
            "milliseconds_a_frame": 1000 * budget,
            "answers": [
                {
                    "test": each.test,
                    "best": _named(each.best) if each.best else None,
                    "cheapest": _named(each.cheapest),
                }
                for each in answer_budget(profile.networks, budget * profile.frames)
            ],
        }
    return plain


def _named(network: NetworkProfile) -> dict[str, str]:
    return {"name": network.network, "estimator": network.estimator}


def _plain(time: Timing) -> dict[str, float]:
    values = {"median": time.median, "lowest": time.lowest, "highest": time.highest}
    return {name: 1000 * value for name, value in values.items()}
