"""The metadata of a bundle: everything but the weights, read from the file's header."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import Field

from skdpipe.config import (
    ClipFormat,
    Estimator,
    LayoutDescription,
    NetworkChoice,
    parse_config,
    parse_estimator_settings,
    to_plain,
)
from skdpipe.errors import BundleError, SkdpipeError, in_brief, in_one_line
from skdpipe.skeleton import LAYOUTS, describe_layout, layout_named
from skdpipe.tensor_file import NewerFormatError, TensorFileError, read_header

FORMAT: Final = "skdpipe-bundle-1"

LOWEST: Final = 0.05
HIGHEST: Final = 20.0
"""The range of temperatures."""

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Part = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


@dataclass(frozen=True)
class TrainingClips:
    """The labelled training clips of a network, in the quality that it was trained on.

    Lengths are those of all clips, the other values those of at most 1,000 of them.

    Attributes:
        seconds: median length.
        shortest, longest: shortest and longest length in seconds.
        window: median number of seconds of a clip that the network gets: all of it, or with ``fill: replay``
            at most ``frames`` frames of the video.
        pose_fps: median number of poses a second: the frame rate divided by the sampling step.
        people: largest number of people who are seen in a clip, at most those of the input.
        several: share of the clips in which two or more people are seen in a fifth of the poses.
        seen: median share of the poses of a clip in which its main person is seen.
        least_seen: its 5 % quantile.
    """

    seconds: Positive
    shortest: Positive
    longest: Positive
    window: Positive
    pose_fps: Positive
    people: Annotated[int, Field(ge=0, le=100)]
    several: Part
    seen: Part
    least_seen: Part


@dataclass(frozen=True)
class BundleMetadata:
    """What a trained network is and what input it expects.

    Attributes:
        choice: the network.
        classes: class names in order of the logits.
        clip: how a pose sequence becomes its input.
        fingerprint: of the estimator whose skeletons it was trained on.
        estimator: settings of that estimator, None if skeletons were imported or derived.
        run: config, data, seed, versions and figures of the training.
        temperature: divides the logits, so that probabilities are calibrated; None if it was not fitted.
        training_clips: length, rate and people of the training clips; None in bundles of earlier versions.
    """

    choice: NetworkChoice
    classes: tuple[str, ...]
    clip: ClipFormat
    fingerprint: str
    estimator: Estimator | None = None
    run: Mapping[str, Any] = field(default_factory=dict)
    temperature: float | None = None
    training_clips: TrainingClips | None = None

    def to_header(self) -> dict[str, str]:
        """The metadata as the header of a safetensors file."""
        description = {
            "choice": to_plain(self.choice),
            "classes": list(self.classes),
            "clip": to_plain(self.clip),
            "layout": to_plain(describe_layout(layout_named(self.clip.layout))),
            "fingerprint": self.fingerprint,
            "estimator": to_plain(self.estimator) if self.estimator else None,
            "run": dict(self.run),
            "temperature": self.temperature,
            "training_clips": asdict(self.training_clips) if self.training_clips else None,
        }
        return {"format": FORMAT, "description": json.dumps(description, allow_nan=False)}


def read_metadata(path: Path) -> BundleMetadata:
    """Read the metadata of a bundle; the weights are not read.

    Raises:
        BundleError: if the file is missing, damaged or not a bundle, or a later version of skdpipe wrote it.
    """
    with errors_of(path):
        header = read_header(path)
        header.require_format(FORMAT)
    return metadata_in(header.metadata, path)


def metadata_in(fields: Mapping[str, str], path: Path, remedy: str = "train it again") -> BundleMetadata:
    """The metadata in the field ``description`` of a bundle or an exported network.

    Args:
        fields: of the file.
        path: of the file, for messages.
        remedy: what to do if they do not fit this version.

    Raises:
        BundleError: if they do not fit this version.
    """
    try:
        return _parse_description(fields["description"], str(path))
    except (SkdpipeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise unfit(path, error, remedy) from error


def _parse_description(description: str, where: str) -> BundleMetadata:
    content = json.loads(description)
    estimator, classes, run = content["estimator"], content["classes"], content["run"]
    temperature, clips = content.get("temperature"), content.get("training_clips")
    if not _is_list_of_names(classes) or not isinstance(run, dict):
        raise ValueError("classes should be different names, and run the facts of its training")
    return BundleMetadata(
        parse_config(NetworkChoice, content["choice"], where),
        tuple(classes),
        _clip_format(content, where),
        str(content["fingerprint"]),
        parse_estimator_settings(estimator, where) if estimator else None,
        run,
        temperature=_temperature(temperature) if temperature is not None else None,
        training_clips=_training_clips(clips, where) if clips is not None else None,
    )


@contextmanager
def errors_of(path: Path) -> Iterator[None]:
    """Turn what is wrong with the file of a bundle into a `BundleError` that names it."""
    try:
        yield
    except FileNotFoundError as error:
        raise BundleError(f"no bundle at {path}; expected a file written by `skdpipe distill`") from error
    except NewerFormatError as error:
        raise BundleError(
            f"{path} was written by a later version of skdpipe ({error}); update skdpipe"
        ) from error
    except TensorFileError as error:
        raise BundleError(f"{path} is not a readable bundle ({error}); train it again") from error
    except OSError as error:
        raise BundleError(f"{path} cannot be read ({error.strerror}); expected a bundle") from error


def _is_list_of_names(classes: object) -> bool:
    if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
        return False
    return 0 < len(classes) == len(set(classes))


def _temperature(found: object) -> float:
    if isinstance(found, bool) or not isinstance(found, int | float) or not LOWEST <= found <= HIGHEST:
        raise ValueError(
            f"a temperature of {in_brief(found)}, expected a number from {LOWEST:g} to {HIGHEST:g}"
        )
    return float(found)


def _training_clips(content: object, where: str) -> TrainingClips:
    clips = parse_config(TrainingClips, content, f"{where}: training_clips")
    if not clips.shortest <= clips.seconds <= clips.longest:
        raise ValueError(
            f"training clips of {clips.shortest:g} to {clips.longest:g} s, with a median of "
            f"{clips.seconds:g} s"
        )
    if clips.window > clips.longest:
        raise ValueError(f"a window of {clips.window:g} s is longer than every training clip")
    return clips


def _clip_format(content: Mapping[str, Any], where: str) -> ClipFormat:
    """The clip format; a built-in layout that has changed since the training is as it was then.

    Bundles of earlier versions do not state the number of coordinates, which is 2.
    """
    clip = parse_config(ClipFormat, content["clip"], where)
    clip = replace(clip, coordinates=clip.coordinates or 2)
    if "layout" in content:
        layout = parse_config(LayoutDescription, content["layout"], where)
        named = LAYOUTS.get(layout.name)
        if clip.layout == layout.name and (named is None or describe_layout(named) != layout):
            return replace(clip, layout=replace(layout, name=f"{layout.name} (as trained)"))
    return clip


def unfit(path: Path, error: Exception, remedy: str = "train it again") -> BundleError:
    """The error for a bundle or an export whose content does not fit this version."""
    return BundleError(f"{path} does not fit this version of skdpipe ({in_one_line(error)}); {remedy}")
