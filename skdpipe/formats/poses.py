"""`load_poses` and `save_poses`: pose sequences from and to every format in one call."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

from skdpipe.errors import ConfigError, SkdpipeError
from skdpipe.formats.catalogue import TARGETS, target_named
from skdpipe.formats.format import (
    FormatOptions,
    Space,
    Surroundings,
    Target,
    refuse_useless,
    unexpected,
)
from skdpipe.formats.recognise import format_of
from skdpipe.skeleton import PoseSequence


def load_poses(
    path: Path | str,
    format: str | None = None,  # noqa: A002
    *,
    split: str | None = None,
    layout: str | None = None,
    labels: Path | str | None = None,
    size: tuple[int, int] | None = None,
    fps: float | None = None,
    images: Path | str | None = None,
    space: Space | None = None,
) -> list[PoseSequence]:
    """Load all pose sequences of a file or folder into memory.

    Use `skdpipe.import_poses` for data sets that do not fit into memory, and to continue after clips that are
    refused. Error messages spell the options as on the command line (``--size``).

    >>> import tempfile
    >>> import numpy as np
    >>> from skdpipe.skeleton import COCO_17, PoseSequence
    >>> keypoints = np.ones((2, 1, 17, 3), np.float32)  # (frame, person, joint, x, y and confidence)
    >>> walk = PoseSequence(keypoints, np.arange(2, dtype=np.int32), 2, COCO_17, 25.0, (640, 480))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     number = save_poses([walk], f"{folder}/walk.safetensors")
    ...     (loaded,) = load_poses(f"{folder}/walk.safetensors")
    >>> number, loaded.keypoints.shape, loaded.fps
    (1, (2, 1, 17, 3), 25.0)

    Args:
        path: the file or folder; of the cache a ``.safetensors`` file or a folder ``pose_cache/high/NAME``.
        format: cache, penn, ntu, kinetics, openpose, pyskl, openpifpaf, coco, st-gcn, skd, nw-ucla or
            utd-mhad. May be left out if the files show it, as nearly all do (`recognise.format_of`).
        split: name of the pair of splits, for example ``xsub``.
        layout: name of the layout of the joints, or the path of a YAML file that describes it; by default the
            only built-in layout with that number of joints.
        labels: text file with the class names, one per line, class 0 first.
        size: width and height of the frames in pixels.
        fps: frames per second; by default 30, except for the cache, which records them.
        images: COCO file with the names of the images.
        space: ``camera`` reads the three coordinates of ntu, and of arrays of st-gcn and skd that have them.

    Returns:
        The sequences in the order of the files; an unseen joint is NaN with confidence 0. What is left out,
        such as clips in no split of a pair, is counted in a warning.

    Raises:
        ConfigError: if there is no such format, the files do not show it, or it does not take an option.
        FormatError: if a file or one of its clips is not as the format requires.
        DataError: if there is no such layout.
        CacheError: if a cached file is damaged.
    """
    path = Path(path)
    chosen = format_of(path, format)
    options = FormatOptions(split, layout, _as_path(labels), size, fps, _as_path(images), space=space)
    refuse_useless(options, [chosen])
    around = Surroundings(note=_warn)
    files, clips = chosen.files(path), list[PoseSequence]()
    where = path
    try:
        for what, count in chosen.left_out(path).items():
            _warn(what, count)
        for file in files:
            where = file.path
            clips += chosen.read_file(file, path, options, around)
    except SkdpipeError:
        raise
    except Exception as error:
        raise unexpected(error, where) from error
    return clips


def save_poses(
    sequences: Sequence[PoseSequence],
    path: Path | str,
    format: str | None = None,  # noqa: A002
    *,
    labels: Path | str | None = None,
    frames: int | None = None,
    people: int | None = None,
) -> int:
    """Save pose sequences in any format that can be written; each file is written atomically.

    Clips are named after ``origin.source``. `load_poses` has an example.

    Args:
        sequences: the sequences.
        path: a file (cache with one sequence, pyskl, coco) or a folder (the others, or
            ``pose_cache/high/NAME``).
        format: cache, pyskl, st-gcn, openpifpaf, coco, openpose or kinetics. May be left out for
            ``.safetensors``.
        labels: text file with the class names, one per line, for pyskl, st-gcn and kinetics; by default the
            names are sorted.
        frames, people: frames and people of an st-gcn array, by default 300 and 2.

    Returns:
        The number of sequences written.

    Raises:
        ConfigError: if there is no such format, it must be named, or it does not take an option.
        FormatError: if the format cannot hold a sequence, or a file cannot be written.
        CacheError: if a cached file cannot be written.
    """
    path = Path(path)
    chosen = target_named(format) if format else _target_of(path)
    options = FormatOptions(labels=_as_path(labels), frames=frames, people=people)
    refuse_useless(options, [chosen])
    return chosen.write(sequences, path, options)


def _warn(what: str, count: int) -> None:
    if count:
        warnings.warn(f"{count} {what}", stacklevel=2)


def _target_of(path: Path) -> Target:
    """The format whose suffix the path has."""
    found = next((each for each in TARGETS if each.suffix and path.name.lower().endswith(each.suffix)), None)
    if found is None:
        known = ", ".join(each.name for each in TARGETS)
        raise ConfigError(f"the format of {path} is not clear from its name; name one of {known}")
    return found


def _as_path(path: Path | str | None) -> Path | None:
    return None if path is None else Path(path)
