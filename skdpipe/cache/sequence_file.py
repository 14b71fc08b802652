"""One cached sequence: a safetensors file with keypoints, frame indices, perhaps frame times, and metadata.

pose_cache/README.md documents the format; any safetensors reader can open the file.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from sys import intern
from typing import Final, Literal, get_args

import numpy as np

from skdpipe.config import LayoutDescription, parse_config, to_plain
from skdpipe.errors import (
    CacheError,
    CacheReadError,
    CacheWriteError,
    DataError,
    NewerVersionError,
    SkdpipeError,
    in_brief,
    in_one_line,
)
from skdpipe.skeleton import LAYOUTS, Layout, Origin, PoseSequence, describe_layout, layout_named
from skdpipe.skeleton.plausible import require_plausible, require_plausible_video
from skdpipe.storage import Place, Start, is_local
from skdpipe.tensor_file import (
    CHECKSUM,
    Header,
    NewerFormatError,
    OtherFormatError,
    TensorFileError,
    TensorType,
    read_content,
    read_header,
    tensors_in,
    write_tensors,
)

Quality = Literal["high", "low"]

FORMAT: Final = "skdpipe-sequence-1"
"""Value of ``format`` in the metadata."""

# Errors of one path; any other one, such as a full disk, would also stop the next file.
_OF_ONE_PATH: Final = {errno.EISDIR, errno.ENOTEMPTY, errno.ENAMETOOLONG}

_OPTIONAL: Final = ("label", "split", "subject")
_CORRECTED: Final = "corrected"
KNOWN_FIELDS: Final = frozenset(
    {
        *("format", "layout", "joints", "layout_description", "fps", "width", "height", "video_frames"),
        *("empty", "quality", "settings", "source", "key", "estimator", *_OPTIONAL, _CORRECTED, CHECKSUM),
    }
)
"""The fields that the metadata of a file may have."""


@dataclass(frozen=True, slots=True)
class Entry:
    """The header of a cached file: everything except the keypoints.

    Attributes:
        path: the file.
        quality, settings: the folders it was saved in.
        origin: source and labels of the sequence.
        layout: of the joints.
        fps, size, video_frames: of the video, as in `PoseSequence`.
        frames: number of rows; less than video_frames if frames were sampled.
        people: length of the person axis; some people may be unseen in all frames.
        coordinates: 2 or 3.
        empty: True if no joint is seen in any frame.
        checksum: as the file states it; None in files of earlier versions.
    """

    path: Place
    quality: Quality
    settings: str
    origin: Origin
    layout: Layout
    fps: float
    size: tuple[int, int]
    video_frames: int
    frames: int
    people: int
    coordinates: int
    empty: bool
    checksum: str | None = None


def write_sequence(path: Place, sequence: PoseSequence, quality: Quality, settings: str) -> None:
    """Write a sequence file; equal sequences give equal bytes.

    Raises:
        DataError: if the sequence is not plausible (`require_plausible`).
        NewerVersionError: if the file exists, and a later version of skdpipe wrote it.
        CacheWriteError: if nothing can be written there.
        CacheError: if this file cannot be written.
    """
    try:
        require_plausible(sequence)
    except DataError as error:
        raise DataError(f"{sequence.origin.source}: {error}") from error
    if not is_local(path) or path.exists():
        _refuse_newer(path)
    tensors = {
        "keypoints": np.ascontiguousarray(sequence.keypoints, np.float32),
        "frame_index": np.ascontiguousarray(sequence.frame_index, np.int32),
    }
    if sequence.times is not None:
        tensors["times"] = np.ascontiguousarray(sequence.times, np.float64)
    try:
        write_tensors(path, tensors, _to_metadata(sequence, quality, settings))
    except OSError as error:
        if error.errno in _OF_ONE_PATH:
            raise CacheError(f"cannot write {path} ({error.strerror}); expected a file: delete it") from error
        raise CacheWriteError(
            f"cannot write {path} ({error.strerror}); free some space or choose another folder"
        ) from error


def read_sequence(path: Place) -> PoseSequence:
    """Read a sequence file, bit for bit as it was written.

    Raises:
        NewerVersionError: if a later version of skdpipe wrote it.
        CacheError: if the file is missing or damaged.
    """
    return read_whole(path)[1]


def read_whole(path: Place) -> tuple[Entry, PoseSequence]:
    """As `read_sequence`, with the header."""
    with _errors_of(path):
        content = read_content(path)
    entry = read_entry(path, Start(content, len(content)))
    with _errors_of(path):
        tensors = tensors_in(content)
        sequence = PoseSequence(
            keypoints=tensors["keypoints"],
            frame_index=tensors["frame_index"],
            video_frames=entry.video_frames,
            layout=entry.layout,
            fps=entry.fps,
            size=entry.size,
            origin=entry.origin,
            times=tensors.get("times"),
        )
        require_plausible(sequence)
    return entry, sequence


def read_entry(path: Place, start: Start | None = None) -> Entry:
    """Read the header of a sequence file and check it against the length of the file.

    Args:
        path: the file.
        start: what was read already of the file.

    Raises:
        NewerVersionError, CacheError: as `read_sequence`.
    """
    with _errors_of(path):
        header = read_header(path, start)
        header.require_format(FORMAT)
        return _to_entry(path, header)


def _refuse_newer(path: Place) -> None:
    try:
        read_entry(path)
    except (NewerVersionError, CacheReadError):
        raise
    except CacheError:  # a missing one is written, a damaged one is replaced
        return


@contextmanager
def _errors_of(path: Place) -> Iterator[None]:
    """Turn what is wrong with a file into errors that name it."""
    try:
        yield
    except FileNotFoundError as error:
        raise missing(path) from error
    except NewerFormatError as error:
        raise NewerVersionError(
            f"{path} was written by a later version of skdpipe ({error}); update skdpipe, or choose another "
            "folder"
        ) from error
    except OtherFormatError as error:
        raise CacheError(f"{path} holds no poses ({error}); name a file of the pose cache") from error
    except TensorFileError as error:
        raise _damaged(path, str(error)) from error
    except KeyError as error:
        raise _damaged(path, f"no {error.args[0]!r} in its metadata") from error
    except (DataError, ValueError, RecursionError) as error:
        raise _damaged(path, str(error)) from error
    except OSError as error:
        if is_local(path):
            raise _damaged(path, in_one_line(error)) from error
        raise unreadable(path, error) from error


def _to_entry(path: Place, header: Header) -> Entry:
    metadata, tensors = header.metadata, header.tensors
    shape = tensors["keypoints"].shape if "keypoints" in tensors else ()
    expected = {
        "keypoints": TensorType(shape, "F32"),
        "frame_index": TensorType(shape[:1], "I32"),
        "times": TensorType(shape[:1], "F64"),
    }
    layout = _layout_in(metadata, path)
    if (
        any(expected.get(name) != found for name, found in tensors.items())
        or "frame_index" not in tensors
        or len(shape) != 4
        or shape[2] != len(layout)
        or shape[3] not in {3, 4}
    ):
        found = ", ".join(f"{name} {each.dtype} {each.shape}" for name, each in list(tensors.items())[:4])
        raise TensorFileError(f"tensors {found:.200} with layout {layout.name:.40}")
    if metadata["quality"] not in get_args(Quality):
        raise TensorFileError(f"quality {in_brief(metadata['quality'])}")
    fps, size = float(metadata["fps"]), (int(metadata["width"]), int(metadata["height"]))
    video_frames = int(metadata["video_frames"])
    require_plausible_video(video_frames, fps, size, coordinates=shape[3] - 1)
    return Entry(
        path=path,
        quality="high" if metadata["quality"] == "high" else "low",
        settings=intern(metadata["settings"]),
        origin=Origin(
            source=metadata["source"],
            key=metadata["key"],
            estimator=intern(metadata["estimator"]),
            **{name: intern(metadata[name]) for name in _OPTIONAL if name in metadata},
            corrected=_corrections_in(metadata),
        ),
        layout=layout,
        fps=fps,
        size=size,
        video_frames=video_frames,
        frames=shape[0],
        people=shape[1],
        coordinates=shape[3] - 1,
        empty=metadata["empty"] == "true",
        checksum=metadata.get(CHECKSUM),
    )


def _to_metadata(sequence: PoseSequence, quality: Quality, settings: str) -> dict[str, str]:
    origin, layout = sequence.origin, sequence.layout
    is_builtin = LAYOUTS.get(layout.name) == layout
    description = {} if is_builtin else {"layout_description": json.dumps(to_plain(describe_layout(layout)))}
    optional = {name: getattr(origin, name) for name in _OPTIONAL if getattr(origin, name) is not None}
    fields = {
        "format": FORMAT,
        "layout": layout.name,
        "joints": " ".join(layout.joints),
        **description,
        "fps": repr(float(sequence.fps)),
        "width": str(sequence.size[0]),
        "height": str(sequence.size[1]),
        "video_frames": str(sequence.video_frames),
        "empty": "true" if sequence.is_empty else "false",
        "quality": quality,
        "settings": settings,
        "source": origin.source,
        "key": origin.key,
        "estimator": origin.estimator,
        **optional,
        **({_CORRECTED: json.dumps(dict(origin.corrected))} if origin.corrected else {}),
    }
    # Python represents a file name that is not UTF-8 with lone surrogates, which UTF-8 cannot encode.
    return {name: text.encode("utf-8", "backslashreplace").decode() for name, text in fields.items()}


def _corrections_in(metadata: Mapping[str, str]) -> tuple[tuple[str, str | None], ...]:
    """The labels that were corrected, with their values before."""
    if _CORRECTED not in metadata:
        return ()
    corrected = json.loads(metadata[_CORRECTED])
    if not isinstance(corrected, dict) or any(
        name not in _OPTIONAL or not isinstance(value, str | None) for name, value in corrected.items()
    ):
        raise TensorFileError(f"corrected labels {in_brief(metadata[_CORRECTED])}")
    return tuple(sorted(corrected.items()))


def _layout_in(metadata: Mapping[str, str], path: Place) -> Layout:
    """The layout that a file names, or describes if it is not built in."""
    name, joints = metadata["layout"], tuple(metadata["joints"].split())
    if "layout_description" in metadata:
        try:
            return layout_named(
                parse_config(LayoutDescription, json.loads(metadata["layout_description"]), name)
            )
        except SkdpipeError as error:
            raise _damaged(path, str(error)) from error
    layout = LAYOUTS.get(name)
    if layout is None:
        raise CacheError(
            f"{path}: layout {in_brief(name)} is unknown and not described, expected one of "
            f"{', '.join(LAYOUTS)}; extract the video again"
        )
    if layout.joints != joints:
        raise CacheError(
            f"{path}: joints {in_brief(' '.join(joints), 200)} are not those of layout {name}, "
            f"expected {' '.join(layout.joints)!r}; extract the video again"
        )
    return layout


def unreadable(place: Place, error: OSError) -> CacheReadError:
    """The error of a store that does not answer, or denies access."""
    return CacheReadError(
        f"{place} cannot be read ({error.strerror}); correct the address, the endpoint or the credentials of "
        "the store, or try again"
    )


def missing(path: Place) -> CacheError:
    """The error of a sequence that does not exist."""
    return CacheError(f"{path} does not exist, expected a cached sequence; extract the video")


def _damaged(path: Place, found: str) -> CacheError:
    return CacheError(f"{path} is damaged or not a pose file ({found}); delete it or extract the video again")
