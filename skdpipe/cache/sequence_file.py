"""One cached sequence: a safetensors file with keypoints, frame indices, perhaps frame times, and metadata.

pose_cache/README.md documents the format; any safetensors reader can open the file.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, get_args

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as serialise

from skdpipe.atomic_file import write_bytes_atomically
from skdpipe.config import LayoutDescription, parse_config, to_plain
from skdpipe.errors import CacheError, DataError, SkdpipeError, in_one_line
from skdpipe.skeleton import LAYOUTS, Layout, Origin, PoseSequence, describe_layout, layout_named

Quality = Literal["high", "low"]

FORMAT: Final = "skdpipe-sequence-1"
"""Value of ``format`` in the metadata."""

_OPTIONAL: Final = ("label", "split", "subject")


@dataclass(frozen=True)
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
    """

    path: Path
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


def write_sequence(path: Path, sequence: PoseSequence, quality: Quality, settings: str) -> None:
    """Write a sequence file; equal sequences give equal bytes.

    Raises:
        CacheError: if the file cannot be written.
    """
    tensors = {
        "keypoints": np.ascontiguousarray(sequence.keypoints, np.float32),
        "frame_index": np.ascontiguousarray(sequence.frame_index, np.int32),
    }
    if sequence.times is not None:
        tensors["times"] = np.ascontiguousarray(sequence.times, np.float64)
    content = _sort_header(serialise(tensors, _to_metadata(sequence, quality, settings)))
    try:
        write_bytes_atomically(path, content)
    except OSError as error:
        raise CacheError(
            f"cannot write {path} ({error}); free some space or choose another folder"
        ) from error


def read_sequence(path: Path) -> PoseSequence:
    """Read a sequence file, bit for bit as it was written.

    Raises:
        CacheError: if the file is missing or damaged.
    """
    with _open_file(path) as file:
        entry = _read_entry(path, file)
        keypoints, frame_index = (file.get_tensor(name).copy() for name in ("keypoints", "frame_index"))
        times = file.get_tensor("times").copy() if "times" in file.keys() else None  # noqa: SIM118
    try:
        return PoseSequence(
            keypoints=keypoints,
            frame_index=frame_index,
            video_frames=entry.video_frames,
            layout=entry.layout,
            fps=entry.fps,
            size=entry.size,
            origin=entry.origin,
            times=times,
        )
    except DataError as error:
        raise _damaged(path, str(error)) from error


def read_entry(path: Path) -> Entry:
    """Read the header of a sequence file and check it against the length of the file.

    Raises:
        CacheError: as `read_sequence`.
    """
    with _open_file(path) as file:
        return _read_entry(path, file)


@contextmanager
def _open_file(path: Path) -> Iterator[Any]:
    try:
        with safe_open(path, framework="np") as file:
            yield file
    except FileNotFoundError as error:
        raise CacheError(f"{path} does not exist, expected a cached sequence; extract the video") from error
    except (OSError, SafetensorError) as error:
        raise _damaged(path, in_one_line(error)) from error


def _read_entry(path: Path, file: Any) -> Entry:
    metadata: Mapping[str, str] = file.metadata() or {}
    if metadata.get("format") != FORMAT:
        raise _damaged(path, f"format {metadata.get('format')!r}, expected {FORMAT!r}")
    shape = file.get_slice("keypoints").get_shape()
    rows = file.get_slice("frame_index").get_shape()
    if len(shape) != 4 or rows != shape[:1]:
        raise _damaged(path, f"keypoints of shape {shape} with frame_index of shape {rows}")
    try:
        layout = _layout_in(metadata, path)
        if shape[2] != len(layout) or shape[3] not in {3, 4}:
            raise _damaged(path, f"keypoints of shape {shape} with layout {layout.name}")
        if metadata["quality"] not in get_args(Quality):
            raise ValueError(f"quality {metadata['quality']!r}")
        return Entry(
            path=Path(path),
            quality="high" if metadata["quality"] == "high" else "low",
            settings=metadata["settings"],
            origin=Origin(
                source=metadata["source"],
                key=metadata["key"],
                estimator=metadata["estimator"],
                label=metadata.get("label"),
                split=metadata.get("split"),
                subject=metadata.get("subject"),
            ),
            layout=layout,
            fps=float(metadata["fps"]),
            size=(int(metadata["width"]), int(metadata["height"])),
            video_frames=int(metadata["video_frames"]),
            frames=shape[0],
            people=shape[1],
            coordinates=shape[3] - 1,
            empty=metadata["empty"] == "true",
        )
    except KeyError as error:
        raise _damaged(path, f"no {error.args[0]!r} in its metadata") from error
    except ValueError as error:
        raise _damaged(path, str(error)) from error


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
    }
    # Python represents a file name that is not UTF-8 with lone surrogates, which UTF-8 cannot encode.
    return {name: text.encode("utf-8", "backslashreplace").decode() for name, text in fields.items()}


def _sort_header(content: bytes) -> bytes:
    """The same safetensors file with sorted header fields; the library writes them in random order."""
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.dumps(json.loads(content[8:end]), ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    encoded = header.encode()
    padded = encoded + b" " * (-len(encoded) % 8)
    return len(padded).to_bytes(8, "little") + padded + content[end:]


def _layout_in(metadata: Mapping[str, str], path: Path) -> Layout:
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
            f"{path}: layout {name!r} is unknown and not described, expected one of {', '.join(LAYOUTS)}; "
            "extract the video again"
        )
    if layout.joints != joints:
        raise CacheError(
            f"{path}: joints {' '.join(joints)!r} are not those of layout {name}, "
            f"expected {' '.join(layout.joints)!r}; extract the video again"
        )
    return layout


def _damaged(path: Path, found: str) -> CacheError:
    return CacheError(f"{path} is damaged or not a pose file ({found}); delete it or extract the video again")
