"""Videos: size, rate, length, how they are stored, and what is decoded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from skdpipe.extraction.video_list import VideoList
from skdpipe.info.description import Description, Fact, commands_for, size_of
from skdpipe.video import (
    StoredVideo,
    VideoInfo,
    content_key,
    is_image_series,
    measure_duration,
    measure_timing,
    probe,
    read_stored,
)
from skdpipe.video.images import images_of

_SHOWN_CLASSES: Final = 10


def describe_video(path: Path) -> Description:
    """Describe a video file, or a series of numbered images.

    Raises:
        VideoError: if it cannot be opened, or its first frame cannot be decoded.
    """
    info = probe(path)
    if is_image_series(path):
        return _describe_images(path, info)
    stored, timing = read_stored(path), measure_timing(path)
    seconds = measure_duration(path)
    varies = timing.times is not None
    frames = len(timing.times) if timing.times is not None else stored.packets
    facts = (
        Fact("size", list(info.size), f"{info.size[0]} x {info.size[1]} pixels"),
        Fact("fps", timing.fps, f"{timing.fps:.4g}" + (", the mean: the rate varies" if varies else "")),
        Fact("rate varies", varies, "yes" if varies else "no"),
        Fact("seconds", seconds, f"{seconds:.3f}"),
        Fact("frames", frames, f"{frames:,}" if frames is not None else "not stated"),
        *_facts_of_storage(stored),
        size_of([path]),
        Fact("key", content_key(path)),
        commands_for(path, "skdpipe predict {}"),
    )
    problems = []
    if stored.missing:
        problems.append(
            f"{path}: {stored.missing:.1f} s are missing that its header states; the file is probably "
            "truncated: download or convert it again"
        )
    title = f"a video of {seconds:.1f} s, {stored.codec}"
    return Description(path, "video", title, facts, tuple(problems))


def _facts_of_storage(stored: StoredVideo) -> Iterator[Fact]:
    width, height = stored.size
    yield Fact("codec", stored.codec)
    yield Fact("container", stored.container)
    yield Fact("stored size", list(stored.size), f"{width} x {height} pixels")
    if stored.aspect is not None and stored.aspect not in (0, 1):
        yield Fact("pixel aspect", float(stored.aspect), str(stored.aspect))
    yield Fact("rotation", stored.orientation.in_words)
    yield Fact("interlaced", stored.interlaced, "yes" if stored.interlaced else "no")
    yield Fact("streams of sound", stored.sound)
    changes = list(stored.changes)
    text = f"all frames, {', '.join(changes)}" if changes else "all frames as they are stored"
    yield Fact("decoded", changes, text)


def _describe_images(path: Path, info: VideoInfo) -> Description:
    images = images_of(path)
    seconds = info.frames / info.fps
    facts = (
        Fact("size", list(info.size), f"{info.size[0]} x {info.size[1]} pixels"),
        Fact("fps", info.fps, f"{info.fps:g}, since images state no rate"),
        Fact("seconds", seconds, f"{seconds:.3f}"),
        Fact("frames", info.frames),
        Fact("first", images[0].name),
        Fact("last", images[-1].name),
        size_of(images),
        Fact("key", content_key(path)),
        commands_for(path, "skdpipe predict {}"),
    )
    return Description(path, "video", f"{info.frames:,} numbered images, read as a video", facts)


def describe_videos(path: Path, videos: VideoList) -> Description:
    """Describe a folder of videos by the names of its files."""
    labels = Counter(each.label for each in videos if each.label is not None)
    splits = Counter(each.split for each in videos if each.split is not None)
    files = [each.local_path for each in videos if each.local_path.is_file()]
    facts = [Fact("videos", len(videos), f"{len(videos):,}"), size_of(files)]
    if labels:
        shown = ", ".join(f"{name} {count:,}" for name, count in list(labels.items())[:_SHOWN_CLASSES])
        rest = f" and {len(labels) - _SHOWN_CLASSES} more" if len(labels) > _SHOWN_CLASSES else ""
        facts.append(Fact("classes", dict(labels), f"{len(labels)}: {shown}{rest}"))
    if splits:
        facts.append(Fact("splits", dict(splits), ", ".join(f"{name} {n:,}" for name, n in splits.items())))
    facts.append(commands_for(path, "skdpipe extract {}", "skdpipe predict {}"))
    return Description(path, "video", "a folder of videos", tuple(facts), notes=videos.left_out)
