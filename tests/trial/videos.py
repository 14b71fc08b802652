"""The kind of videos: a mutated video beside a good one, extracted into a cache that holds an earlier one."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

import av
import numpy as np
import yaml
from moving_body import ACTIONS, BOX_PLUGIN, SIZE, centres, write_action_video

from trial.children import Finished, run_valid
from trial.judging import contents, judge_entries, judge_leftovers, judge_unchanged, same_keypoints
from trial.kind import Case, Kind, Mutate, Problem, copy_files


@dataclass(frozen=True)
class Encoding:
    """A container and a codec.

    Attributes:
        suffix: of the file; the container follows from it.
        codec: FFmpeg's name.
        pixels: FFmpeg's name of the pixel format.
        container: FFmpeg's name, if the suffix does not give it.
        size: of the picture; some codecs allow only some sizes.
        sound: whether there is a stream of sound before the pictures.
    """

    suffix: str
    codec: str
    pixels: str = "yuv420p"
    container: str | None = None
    size: tuple[int, int] = SIZE
    sound: bool = False


ENCODINGS: Final = (
    Encoding("mp4", "libx264"),
    Encoding("mp4", "mpeg4", sound=True),
    Encoding("mp4", "libx265"),
    Encoding("mp4", "libvpx-vp9"),
    Encoding("m4v", "mpeg4"),
    Encoding("mov", "mjpeg", "yuvj420p"),
    Encoding("mov", "prores_ks", "yuv422p10le"),
    Encoding("mov", "png", "rgb24"),
    Encoding("mov", "qtrle", "rgb24"),
    Encoding("3gp", "h263", size=(128, 96)),
    Encoding("mkv", "libx264", sound=True),
    Encoding("mkv", "ffv1"),
    Encoding("avi", "huffyuv", "yuv422p"),
    Encoding("webm", "libvpx"),
    Encoding("webm", "libvpx-vp9"),
    Encoding("avi", "mpeg4", sound=True),
    Encoding("avi", "mjpeg", "yuvj420p"),
    Encoding("avi", "rawvideo", "bgr24"),
    Encoding("avi", "msmpeg4v2"),
    Encoding("ts", "mpeg2video"),
    Encoding("ts", "libx264"),
    Encoding("mpg", "mpeg1video"),
    Encoding("vob", "mpeg2video"),
    Encoding("flv", "flv"),
    Encoding("flv", "libx264"),
    Encoding("wmv", "wmv2"),
    Encoding("asf", "wmv1"),
    Encoding("nut", "ffv1"),
    Encoding("mxf", "mpeg2video"),
    Encoding("gif", "gif", "rgb8"),
    Encoding("apng", "apng", "rgb24"),
    Encoding("y4m", "rawvideo", container="yuv4mpegpipe"),
    Encoding("ivf", "libvpx"),
    Encoding("264", "libx264", container="h264"),
    Encoding("265", "libx265", container="hevc"),
    Encoding("mjpeg", "mjpeg", "yuvj420p"),
)


def write_clip(path: Path, encoding: Encoding, frames: int) -> None:
    """A short video of a moving box, always with the same bytes."""
    width, height = encoding.size
    # "bitexact" leaves out random identifiers and the date.
    with av.open(str(path), "w", format=encoding.container, options={"fflags": "+bitexact"}) as container:
        container.metadata.update({"title": "a title of some length", "comment": "a comment"})
        sound = (
            container.add_stream("pcm_s16le" if encoding.suffix in {"avi", "mkv"} else "aac", rate=8000)
            if (encoding.sound)
            else None
        )
        stream = container.add_stream(encoding.codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, encoding.pixels
        stream.codec_context.thread_count = 1
        stream.codec_context.flags |= av.codec.context.Flags.bitexact
        if encoding.codec in {"libx264", "libx265"}:
            stream.options = {
                "preset": "veryfast",
                "x264-params": "cpu-independent=1",
                "x265-params": "log-level=none:pools=none:frame-threads=1",
            }
        if sound is not None:
            silence = av.AudioFrame.from_ndarray(
                np.zeros((1, 1024), np.int16 if sound.codec.name == "pcm_s16le" else np.float32),
                format="s16" if sound.codec.name == "pcm_s16le" else "fltp",
                layout="mono",
            )
            silence.sample_rate, silence.pts = 8000, 0
            container.mux([*sound.encode(silence), *sound.encode()])
        for left, top in np.rint(centres(ACTIONS[0], frames, 0)).astype(int):
            image = np.full((height, width, 3), 20, np.uint8)
            image[top - 12 : top + 12, left - 5 : left + 5] = 240
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())


EXTRACTION: Final = {
    "high": {"plugin": BOX_PLUGIN},
    "low": {"plugin": BOX_PLUGIN, "options": {"shake": 1.0}, "every": 2},
}


def write_config(path: Path) -> None:
    """A config with an estimator that costs nothing."""
    path.write_text(yaml.safe_dump({"extraction": EXTRACTION}), encoding="utf-8")


def _prepare(material: Path) -> None:
    for name in ("clips", "good", "before"):
        (material / name).mkdir()
    for number, encoding in enumerate(ENCODINGS):
        path = material / "clips" / f"{number:02}-{encoding.codec}.{encoding.suffix}"
        write_clip(path, encoding, 4 + number % 7)
    write_action_video(material / "good/good.mp4", ACTIONS[0])
    write_action_video(material / "before/earlier.mp4", ACTIONS[1])
    write_config(material / "config.yaml")
    for videos, cache in (("before", "cache"), ("good", "expected"), ("clips", "plain")):
        run_valid(["extract", videos, "-c", "config.yaml", "--cache", cache], material)


def _lay_out(material: Path, folder: Path, random: Random, mutate: Mutate) -> Case:
    clips = sorted((material / "clips").iterdir())
    clip, donor = random.choice(clips), random.choice(clips)
    videos, cache = (
        copy_files(material / "good", folder / "videos"),
        copy_files(material / "cache", folder / "cache"),
    )
    shutil.copy(clip, videos)
    mutation = mutate(videos / clip.name, random, donor)
    before = contents(cache, "*.safetensors")
    expected = sorted((material / "expected").rglob("*.safetensors"))

    def judge(done: list[Finished]) -> Iterator[Problem]:
        yield from judge_unchanged(before)
        yield from judge_entries(cache)
        yield from judge_leftovers(folder)
        for entry in expected:
            found = cache / entry.relative_to(material / "expected")
            if not found.is_file() or not same_keypoints(found, entry):
                yield "lost", f"good.mp4 was not extracted to {found.parent.parent.name}"

    command = ["extract", "videos", "-c", str(material / "config.yaml"), "--cache", "cache"]
    return Case(mutation, [command], judge)


KINDS: Final = (Kind("videos", 1000, _prepare, _lay_out),)
