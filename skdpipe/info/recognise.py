"""Which kind of thing a file or folder is, by its content."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Final

from skdpipe.cache.sequence_file import FORMAT as SEQUENCE
from skdpipe.config.yaml_text import parse_yaml, read_yaml
from skdpipe.errors import ConfigError, DataError, SkdpipeError, VideoError, in_brief
from skdpipe.extraction.video_list import VideoList, find_videos
from skdpipe.formats.format import Format, FormatOptions
from skdpipe.formats.recognise import ENDINGS, format_of, recognise
from skdpipe.inference.metadata import FORMAT as BUNDLE
from skdpipe.info.bundle import describe_bundle
from skdpipe.info.cache import (
    describe_cache,
    describe_entry,
    describe_remote_cache,
    describe_settings_folder,
    is_cache,
    is_quality,
    is_settings_folder,
)
from skdpipe.info.config import describe_config_file, kinds_of_config
from skdpipe.info.description import Description, Fact
from skdpipe.info.export import describe_export, is_export, is_litert, is_onnx, is_openvino, read_fields
from skdpipe.info.pose_network import describe_checkpoint, describe_pose_network, is_checkpoint
from skdpipe.info.run import (
    COMPARISON,
    describe_comparison,
    describe_cross_validation,
    describe_run,
    is_cross_validation,
    is_run,
)
from skdpipe.info.skeletons import describe_skeletons
from skdpipe.info.tensors import format_in, is_tensor_file
from skdpipe.info.training_state import FORMATS as STATES
from skdpipe.info.training_state import describe_training_state
from skdpipe.info.video import describe_video, describe_videos
from skdpipe.pose.openpifpaf.weights_file import FORMAT as POSE
from skdpipe.pose.openpifpaf.weights_file import FORMAT_2019 as POSE_2019
from skdpipe.progress import Progress
from skdpipe.regular_file import kind_of
from skdpipe.storage import Place, place_of
from skdpipe.tensor_file import TensorFileError
from skdpipe.video import EXTENSIONS, is_image_series

_START: Final = 256  # bytes
_LARGEST_YAML: Final = 1_000_000
_LISTED: Final = 100  # entries of a folder that are looked at
_EXPECTED: Final = (
    "expected a bundle, a run or comparison, an export, a pose cache, weights of a pose network, a config, "
    "skeletons or a video; skeletons whose format the files do not show need --format"
)


def describe_path(
    path: Place | str,
    *,
    format: str | None = None,  # noqa: A002
    options: FormatOptions | None = None,
    progress: Progress | None = None,
) -> Description:
    """Say what a file or folder is: a bundle, a run, a pose cache, a video...; nothing in it is executed.

    >>> from skdpipe import config_path, describe_path
    >>> found = describe_path(config_path("demo"))
    >>> found.kind, found.values["valid"]
    ('config', True)

    Args:
        path: the file or folder, recognised by its content; in a store only a pose cache.
        format: of skeletons, if the files do not show it; see `load_poses`.
        options: for the format of skeletons.
        progress: shows the clips of skeletons, and the files of a cache.

    Raises:
        DataError: if there is no such file, or it is nothing that skdpipe knows.
        SkdpipeError: if it is damaged so that nothing is known about it; what is known of other damaged files
            is described, with the damage in ``problems``.
    """
    path, progress = place_of(path), progress or Progress(quiet=True)
    if not isinstance(path, Path):
        return describe_remote_cache(path, progress)
    if format is not None or (options is not None and options.given):
        return describe_skeletons(path, format_of(path, format), options or FormatOptions(), progress)
    try:
        kind = kind_of(path)
    except (OSError, ValueError) as error:
        if is_image_series(path):
            return describe_video(path)
        raise DataError(f"{path}: no such file or folder; {_EXPECTED}") from error
    if kind not in {"folder", "file"}:
        raise DataError(f"{path}: a {kind}; {_EXPECTED}")
    try:
        return (_describe_folder if kind == "folder" else _describe_file)(path, progress)
    except TensorFileError as error:
        raise DataError(f"{path}: damaged ({error}); copy it again") from error
    except OSError as error:
        where = error.filename or path
        raise DataError(f"{where}: cannot be read ({error.strerror}); change its permissions") from error


# Files


def _describe_file(path: Path, progress: Progress) -> Description:
    with path.open("rb") as file:
        start = file.read(_START)
    if not start:
        raise DataError(f"{path}: an empty file; {_EXPECTED}")
    if is_tensor_file(path, start):
        return _describe_tensors(path, progress)
    if is_checkpoint(path, start):
        return describe_checkpoint(path)
    if is_onnx(start) or is_openvino(start) or is_litert(start):
        return _describe_exported(path, start)
    if path.suffix.lower() in ENDINGS:
        _refuse_file_of_run(path)
        return describe_skeletons(path, format_of(path, None), FormatOptions(), progress)
    if kinds := _kinds_of_config(path, start):
        return describe_config_file(path, kinds)
    try:
        return describe_video(path)
    except VideoError as error:
        if path.suffix.lower() in EXTENSIONS:
            raise
        what = "text" if _is_text(start) else "a file of an unknown kind"
        raise DataError(f"{path}: {what}; {_EXPECTED}") from error


def _describe_exported(path: Path, start: bytes) -> Description:
    if is_litert(start):
        raise DataError(
            f"{path}: a network for LiteRT, whose metadata skdpipe does not read; expected the folder of its "
            "export"
        )
    return describe_export(path)


def _describe_tensors(path: Path, progress: Progress) -> Description:
    stated = format_in(path)
    name = _name_of(stated)
    if name in STATES:
        return describe_training_state(path, STATES[name])
    if name == _name_of(BUNDLE):
        return describe_bundle(path)
    if name == _name_of(SEQUENCE):
        return describe_entry(path, progress)
    if name in {_name_of(POSE), _name_of(POSE_2019)}:
        return describe_pose_network(path)
    found = f"of the format {in_brief(stated)}" if stated else "without a format"
    raise DataError(f"{path}: safetensors {found}, of another program; {_EXPECTED}")


def _name_of(format_and_version: str) -> str:
    return format_and_version.rpartition("-")[0]


def _refuse_file_of_run(path: Path) -> None:
    """Files of a run or a comparison are described with their folder."""
    if path.suffix == ".json" and (is_run(path.parent) or path.name == COMPARISON):
        raise DataError(
            f"{path}: a file of {path.parent}; expected that folder: `skdpipe info {path.parent}`"
        )


def _kinds_of_config(path: Path, start: bytes) -> dict[str, object]:
    """The sections of a config; empty if the file is none.

    Raises:
        ConfigError: if it is named as YAML, and is none or has no settings of skdpipe.
    """
    named = path.suffix.lower() in {".yaml", ".yml"}
    if not named and (not _is_text(start) or path.stat().st_size > _LARGEST_YAML):
        return {}
    try:
        values = parse_yaml(path.read_bytes()[: _LARGEST_YAML + 1].decode("utf-8-sig"), str(path))
    except UnicodeDecodeError as error:
        if named:
            raise ConfigError(f"{path} is not YAML: {error}") from error
        return {}
    except ConfigError:
        if named:
            raise
        return {}
    if isinstance(values, dict) and {"experiment", "data"} <= values.keys():
        raise DataError(
            f"{path}: a file of {path.parent}; expected that folder: `skdpipe info {path.parent}`"
        )
    kinds = kinds_of_config(values)
    if named and not kinds:
        raise ConfigError(f"{path}: YAML without settings of skdpipe; `skdpipe config schema` lists them")
    return kinds


def _is_text(start: bytes) -> bool:
    return not any(byte < 9 or 13 < byte < 32 for byte in start)


# Folders


def _describe_folder(folder: Path, progress: Progress) -> Description:
    if not any(folder.iterdir()):
        raise DataError(f"{folder}: an empty folder; {_EXPECTED}")
    if (folder / COMPARISON).is_file():
        return describe_comparison(folder)
    if is_run(folder):
        return describe_run(folder)
    if is_cross_validation(folder):
        return describe_cross_validation(folder)
    if is_export(folder):
        return describe_export(folder)
    if is_cache(folder):
        return describe_cache(folder, progress)
    if is_quality(folder):
        return describe_cache(folder.absolute().parent, progress, "high" if folder.name == "high" else "low")
    if is_settings_folder(folder):
        return describe_settings_folder(folder, progress)
    if (found := _describe_entries(folder)) is not None:
        return found
    return _describe_foreign_folder(folder, progress)


def _describe_foreign_folder(folder: Path, progress: Progress) -> Description:
    """Videos, images or skeletons."""
    try:
        found = recognise(folder)
    except (DataError, ConfigError) as error:
        raise DataError(f"{folder}: a folder without anything that skdpipe knows; {_EXPECTED}") from error
    if isinstance(found, Format):
        return describe_skeletons(folder, found, FormatOptions(), progress)
    if [each.path for each in found] == [folder]:
        return describe_video(folder)
    return describe_videos(folder, _with_labels(folder, found))


def _with_labels(folder: Path, videos: VideoList) -> VideoList:
    try:
        return find_videos(folder)
    except DataError:
        return videos


def _describe_entries(folder: Path) -> Description | None:
    """A folder of runs, bundles or weights; None if it holds nothing of the kind."""
    entries = sorted(each for each in islice(folder.iterdir(), _LISTED) if not each.name.startswith("."))
    known = {each: what for each in entries if (what := _what_is(each))}
    if not known:
        return None
    words = {each.name: what for each, what in known.items()}
    facts = [Fact("entries", words, tuple(f"{name}: {what}" for name, what in words.items()))]
    others = [each.name for each in entries if each not in known]
    if others:
        facts.append(Fact("others", others, ", ".join(others)))
    return Description(
        folder, "folder", f"a folder with {len(known)} files or folders of skdpipe", tuple(facts)
    )


def _what_is(path: Path) -> str:
    """What an entry of a folder is, by a short look at it; empty if it is nothing that skdpipe wrote."""
    try:
        if path.is_dir():
            return _what_folder_is(path)
        if path.suffix in {".safetensors", ".state"}:
            name = _name_of(format_in(path))
            words = {
                BUNDLE: "a trained network",
                POSE: "weights of a pose network",
                SEQUENCE: "a cached sequence",
            }
            named = {_name_of(each): text for each, text in words.items()}
            return named.get(name, "the state of a training" if name in STATES else "")
        if path.suffix in {".yaml", ".yml"}:
            return "a config" if kinds_of_config(read_yaml(path)) else ""
        if path.suffix == ".onnx":
            return "an exported network" if read_fields(path).get("format", "").startswith("skdpipe") else ""
    except SkdpipeError:
        return "damaged"
    return ""


def _what_folder_is(folder: Path) -> str:
    for is_kind, what in (
        (is_run, "a run"),
        (is_cross_validation, "a cross-validation"),
        (is_cache, "a pose cache"),
        (is_export, "an exported network"),
    ):
        if is_kind(folder):
            return what
    return "a comparison" if (folder / COMPARISON).is_file() else ""
