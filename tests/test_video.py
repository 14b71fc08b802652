"""Written frames are read back, and files that are not videos are refused with one line."""

import os
import random
import re
import socket
import struct
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterable
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from conftest import WriteVideo
from display_matrix import with_matrix
from encoded_videos import encode, noise, truncated
from hypothesis import given, settings
from hypothesis import strategies as st
from squares import square_frames

from skdpipe.errors import VideoError
from skdpipe.skeleton.timing import Timing, timing_of
from skdpipe.video import (
    VideoInfo,
    content_key,
    measure_duration,
    measure_timing,
    probe,
    read_frames,
    read_timed_frames,
    write_video,
)


def colours(frames: int, size: tuple[int, int] = (64, 48)) -> np.ndarray:
    """Four bands of colour whose brightness increases from frame to frame."""
    bands = np.array([(200, 40, 40), (30, 160, 60), (40, 60, 200), (120, 120, 120)], np.uint8)
    image = bands[np.arange(size[0]) * 4 // size[0]][None].repeat(size[1], axis=0)
    return np.stack([image + np.uint8(i) for i in range(frames)])


def reason(path: Path) -> str:
    """The reason for which a file is refused, without the path at the start of the message."""
    with pytest.raises(VideoError) as caught:
        list(read_frames(path))
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert "\n" not in text
    return text.removeprefix(f"{path}: ")


# Writing and reading -----------------------------------------------------------------------------


@settings(max_examples=12)
@given(
    frames=st.integers(1, 9),
    width=st.integers(8, 40),
    height=st.integers(8, 40),
    fps=st.sampled_from([1.0, 12.0, 12.5, 24.0, 30000 / 1001, 60.0]),
)
def test_written_frames_are_read_back(tmp_path_factory, frames, width, height, fps) -> None:
    path = tmp_path_factory.mktemp("video") / "a.mp4"
    ramp = np.linspace(0, 200, 4 * width * height).reshape(2 * height, 2 * width)
    written = np.stack([(ramp + 5 * i).astype(np.uint8)[..., None].repeat(3, axis=2) for i in range(frames)])
    write_video(path, written, fps)
    info = probe(path)
    assert (info.size, info.frames) == ((2 * width, 2 * height), frames)
    assert info.fps == pytest.approx(fps, rel=1e-6)
    back = np.stack(list(read_frames(path)))
    assert back.shape == written.shape
    assert back.dtype == np.uint8
    np.testing.assert_allclose(back.astype(int), written, atol=12)
    assert np.abs(back.astype(int) - written).mean() < 3


def test_colours_and_their_order_survive(tmp_path: Path) -> None:
    written = colours(12)
    write_video(tmp_path / "a.mp4", written, 10)
    back = np.stack(list(read_frames(tmp_path / "a.mp4")))
    middles = [8, 24, 40, 56]  # of the bands
    np.testing.assert_allclose(back[:, 24, middles].astype(int), written[:, 24, middles], atol=6)


def test_the_same_frames_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        write_video(tmp_path / name, square_frames(), 10)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()
    assert content_key(tmp_path / "a.mp4") == content_key(tmp_path / "b.mp4")
    write_video(tmp_path / "c.mp4", square_frames(step=1), 10)
    assert content_key(tmp_path / "c.mp4") != content_key(tmp_path / "a.mp4")


@pytest.mark.parametrize(
    "name",
    ["a b.mp4", "späße 日本.mp4", "take 1: wave.mp4", "http:wave.mp4", "-v.mp4", "%03d.mp4", "a?b#c.mp4"],
)
def test_any_file_name_can_be_used(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # relative names, which FFmpeg could parse as a protocol or an option
    write_video(Path("a folder") / name, square_frames(frames=3), 10)
    write_video(Path(name), square_frames(frames=3), 10)
    assert Path(name).is_file()
    assert len(list(read_frames(Path(name)))) == len(list(read_frames(Path("a folder") / name))) == 3


def test_a_name_that_is_not_utf8_can_be_read(square_video: WriteVideo) -> None:
    name = os.fsencode(square_video("a.mp4", frames=3).parent) + b"/caf\xe9.mp4"
    Path(os.fsdecode(name)).write_bytes((square_video("a.mp4", frames=3)).read_bytes())
    assert len(list(read_frames(Path(os.fsdecode(name))))) == 3


@pytest.mark.parametrize("codec", ["mpeg4", "mpeg2video", "libx264"])
@pytest.mark.parametrize("ending", ["avi", "mkv", "mov"])
def test_other_containers_and_codecs_can_be_read(tmp_path: Path, codec: str, ending: str) -> None:
    path = encode(tmp_path / f"a.{ending}", codec, colours(7))
    assert len(list(read_frames(path))) == 7
    assert probe(path).size == (64, 48)


# As `ffmpeg -i phone.mp4 -f rawvideo` shows them (5.1, which rotates by default).
ORIENTATIONS: dict[tuple[int, int, int, int], Callable[[np.ndarray], np.ndarray]] = {
    (1, 0, 0, 1): lambda stored: stored,
    (-1, 0, 0, 1): np.fliplr,
    (1, 0, 0, -1): np.flipud,
    (-1, 0, 0, -1): lambda stored: np.rot90(stored, 2),
    (0, 1, -1, 0): lambda stored: np.rot90(stored, -1),  # clockwise
    (0, -1, 1, 0): np.rot90,
    (0, 1, 1, 0): lambda stored: stored.transpose(1, 0, 2),
    (0, -1, -1, 0): lambda stored: np.rot90(stored, 2).transpose(1, 0, 2),
    (0, 0, 0, 0): lambda stored: stored,  # no matrix at all
}


@pytest.mark.parametrize("matrix", ORIENTATIONS)
def test_frames_are_rotated_and_mirrored_as_in_a_player(tmp_path: Path, matrix) -> None:
    path = tmp_path / "phone.mp4"
    images = colours(3)
    images[:, 30:] //= 2  # top and bottom differ, too
    write_video(path, images, 10)
    stored = next(read_frames(path))
    shown = next(read_frames(with_matrix(path, *matrix)))
    np.testing.assert_array_equal(shown, ORIENTATIONS[matrix](stored))
    assert probe(path).size == (shown.shape[1], shown.shape[0])


@pytest.mark.parametrize("matrix", [(0.7071, 0.7071, -0.7071, 0.7071), (1, 0.5, 0, 1)])
def test_a_display_matrix_that_is_none_of_the_eight_is_refused(tmp_path: Path, matrix) -> None:
    path = tmp_path / "tilted.mp4"
    write_video(path, colours(3), 10)
    why = reason(with_matrix(path, *matrix))
    assert f"its display matrix is {matrix[0]:.3g}" in why
    assert "expected a rotation by a multiple of 90 degrees" in why


@pytest.mark.parametrize(
    ("pixels", "width"),
    [
        (Fraction(2, 1), 128),
        (Fraction(1, 2), 32),
        (Fraction(16, 15), 68),
        (Fraction(1, 1), 64),
        (Fraction(64, 51), 80),
        (Fraction(1000, 1), 64),
        (None, 64),
    ],
)
def test_pixels_are_square_and_the_height_is_kept(tmp_path: Path, pixels: Fraction, width: int) -> None:
    path = encode(tmp_path / "a.mkv", "libx264", colours(3), pixels=pixels)
    assert probe(path).size == (width, 48)
    assert probe(path, square_pixels=False).size == (64, 48)
    (frame, *_) = read_frames(path)
    assert frame.shape == (48, width, 3)
    edge = np.abs(np.diff(frame[24].astype(int), axis=0)).sum(axis=1).argmax()
    quarters = width / 4 * np.arange(1, 4)
    assert np.abs(quarters - (edge + 1)).min() <= 1  # the bands are still quarters


def test_pixels_are_made_square_before_the_rotation(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mp4", "libx264", colours(3), pixels=Fraction(2))
    assert probe(with_matrix(path, 0, 1, -1, 0)).size == (48, 128)
    assert next(read_frames(path)).shape == (128, 48, 3)


def interleaved(frames: int) -> np.ndarray:
    """A bright bar that moves by eight pixels from field to field; the odd lines of a frame come first."""
    images = np.full((frames, 48, 64, 3), 20, np.uint8)
    for frame in range(frames):
        for field in (0, 1):
            left = (8 * (2 * frame + field)) % 48
            images[frame, 1 - field :: 2, left : left + 16] = 230
    return images


def combing(image: np.ndarray) -> float:
    """Mean difference of each line to the mean of its neighbours."""
    lines = image.astype(int)
    return float(np.abs(2 * lines[1:-1] - lines[:-2] - lines[2:]).mean())


@pytest.mark.parametrize(("codec", "ending"), [("mpeg2video", "mpg"), ("libx264", "mkv"), ("mpeg4", "avi")])
def test_interlaced_video_is_deinterlaced(tmp_path: Path, codec: str, ending: str) -> None:
    combed = encode(tmp_path / f"a.{ending}", codec, interleaved(10), interlaced=True)
    images, seconds = zip(*read_timed_frames(combed), strict=True)
    assert len(images) == 10
    np.testing.assert_allclose(np.diff(seconds), 0.04, atol=1e-3)
    assert combing(interleaved(10)[5]) > 50
    assert max(combing(image) for image in images[1:]) < 20
    left = [int(np.flatnonzero(image[24].mean(axis=-1) > 125)[0]) for image in images[1:-1]]
    assert left == pytest.approx([16 * frame % 48 for frame in range(1, 9)], abs=3)


def test_progressive_frames_before_interlaced_ones_do_not_change(tmp_path: Path) -> None:
    first = encode(tmp_path / "a.ts", "libx264", colours(10))
    second = encode(tmp_path / "b.ts", "libx264", interleaved(10), interlaced=True)
    (tmp_path / "both.ts").write_bytes(first.read_bytes() + second.read_bytes())
    images = list(read_frames(tmp_path / "both.ts"))
    assert len(images) == 20
    np.testing.assert_array_equal(images[:10], list(read_frames(first)))
    assert max(combing(image) for image in images[11:]) < 20


# Times -----------------------------------------------------------------------------------------------------


def seconds_of(path: Path) -> np.ndarray:
    return np.array([seconds for _, seconds in read_timed_frames(path)])


@pytest.mark.parametrize("ending", ["mp4", "mkv", "ts", "avi"])
@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_evenly_spaced_frames_are_known_as_such(tmp_path: Path, codec: str, ending: str) -> None:
    path = encode(tmp_path / f"a.{ending}", codec, noise(40))
    np.testing.assert_allclose(seconds_of(path), np.arange(40) / 25, atol=1e-3)
    assert measure_timing(path) == Timing(25.0)


@pytest.mark.parametrize("ending", ["mp4", "mkv", "mov"])
def test_a_varying_rate_is_measured(tmp_path: Path, ending: str) -> None:
    times = [*range(0, 100, 25), *range(100, 140)]  # one frame a second, then 25
    path = encode(tmp_path / f"a.{ending}", "libx264", noise(44), times=times)
    np.testing.assert_allclose(seconds_of(path), np.array(times) / 25, atol=1e-3)
    timing = measure_timing(path)
    assert timing.varying_fps == pytest.approx(43 / (139 / 25), rel=1e-3)
    np.testing.assert_allclose(timing.times, np.array(times) / 25, atol=1e-3)


def test_the_rate_of_a_container_that_is_wrong_is_measured() -> None:
    assert timing_of([0, 0.1, 0.2, 0.3], 25.0) == Timing(pytest.approx(10))
    assert timing_of([0, 0.033, 0.067, 0.1, 0.133], 30000 / 1001) == Timing(30000 / 1001)
    assert timing_of([7.0], 25.0) == Timing(25.0)


@pytest.mark.parametrize("ending", ["mp4", "mkv", "ts", "avi", "h264"])
def test_the_length_of_a_video_is_that_of_its_frames(tmp_path: Path, ending: str) -> None:
    path = encode(tmp_path / f"a.{ending}", "libx264", noise(40))
    assert measure_duration(path) == pytest.approx(40 / 25, abs=0.05)


@pytest.mark.parametrize("offset", [-40, 0, 40, 5000])
def test_the_times_of_joined_transport_streams_continue(tmp_path: Path, offset: int) -> None:
    pieces = [
        encode(tmp_path / f"{n}.ts", "libx264", noise(30), times=range(start, start + 30))
        for n, start in enumerate((100, 100 + offset * 25))
    ]
    path = tmp_path / "joined.ts"
    path.write_bytes(b"".join(piece.read_bytes() for piece in pieces))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_allclose(seconds_of(path), np.arange(60) / 25, atol=1e-3)
    assert measure_timing(path) == Timing(25.0)


def test_a_file_whose_title_is_not_utf8_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.avi"
    with av.open(str(path), "w") as container:
        container.metadata["title"] = "XXXX"
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(colours(1)[0], format="rgb24")))
        container.mux(stream.encode())
    path.write_bytes(path.read_bytes().replace(b"XXXX", b"caf\xe9"))
    assert len(list(read_frames(path))) == 1


def test_reading_can_stop_early(square_video: WriteVideo) -> None:
    path = square_video("a.mp4")
    frames = read_frames(path)
    next(frames)
    assert path in open_files()
    frames.close()
    assert path not in open_files()


@pytest.mark.parametrize("content", [b"", b"text\n" * 99])
def test_files_are_closed_after_an_error(tmp_path: Path, content: bytes) -> None:
    bad = [audio_file(tmp_path / "audio.mp4"), tmp_path / "other.mp4", tmp_path / "other.txt"]
    for path in bad[1:]:
        path.write_bytes(content)
    for path in bad:
        reason(path)
    assert not open_files() & set(bad)


def open_files() -> set[Path]:
    descriptors = Path("/proc/self/fd")
    if not descriptors.is_dir():
        pytest.skip(f"this system does not list its open files in {descriptors}")
    return {each.readlink() for each in descriptors.iterdir() if each.is_symlink()}


@pytest.mark.parametrize(
    ("name", "info"),
    [
        ("clean_and_jerk.mp4", VideoInfo(30000 / 1001, (455, 256), 300)),
        ("arm_wrestling.mp4", VideoInfo(28.0, (427, 256), 280)),
        ("basketball_fast_pan.mp4", VideoInfo(30000 / 1001, (426, 240), 300)),
        ("ta_chi.mp4", VideoInfo(30000 / 1001, (340, 256), 300)),
        ("three_people_aerobics.avi", VideoInfo(10.0, (384, 288), 393)),
    ],
)
def test_real_clips_are_decoded_completely(clips: Path, name: str, info: VideoInfo) -> None:
    assert probe(clips / name) == info
    assert sum(1 for _ in read_frames(clips / name)) == info.frames


# Files that are not videos --------------------------------------------------------------------------------


def test_a_missing_file_or_a_folder_is_refused(tmp_path: Path) -> None:
    assert reason(tmp_path / "none.mp4") == "no such file"
    assert "directory" in reason(tmp_path)
    for path in (tmp_path / "none.mp4", tmp_path):
        with pytest.raises(VideoError, match=r"no such file|cannot be read"):
            content_key(path)


@pytest.mark.parametrize("name", ["a.mp4", "a.avi", "notes.txt", "table.csv", "a"])
def test_text_is_refused_whatever_its_name(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("one line of words\n" * 50)
    assert "not a readable video" in reason(path)
    with pytest.raises(VideoError):
        probe(path)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    assert "not a readable video" in reason(tmp_path / "empty.mp4")


def audio_file(path: Path, cover: bool = False) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        if cover:
            image = container.add_stream("mjpeg")
            image.width, image.height, image.pix_fmt = 64, 48, "yuvj420p"
            image.disposition = av.stream.Disposition.attached_pic
            container.mux(image.encode(av.VideoFrame.from_ndarray(colours(1)[0], format="rgb24")))
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 44100
        for number in range(20):
            frame.pts = number * 1024
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def test_audio_without_video_is_refused(tmp_path: Path) -> None:
    assert reason(audio_file(tmp_path / "a.mp4")) == "has no video stream (found audio); expected a video"


def test_the_cover_image_of_an_audio_file_is_not_a_video(tmp_path: Path) -> None:
    path = audio_file(tmp_path / "song.mp4", cover=True)
    with av.open(str(path)) as container:
        assert container.streams.video, "the file should have a cover"
    assert "found audio, video" in reason(path)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.5, 0.7, 0.9])
@pytest.mark.parametrize("name", ["index_last.mp4", "index_first.mp4", "a.avi"])
def test_a_truncated_file_is_refused(tmp_path: Path, name: str, share: float) -> None:
    options = {"movflags": "faststart"} if name == "index_first.mp4" else {}
    path = encode(tmp_path / name, "mpeg4" if name == "a.avi" else "libx264", noise(30), **options)
    assert len(list(read_frames(path))) == 30
    assert reason(truncated(path, share))


CONTAINERS = {
    "mkv": ("libx264", "aac"),
    "webm": ("libvpx-vp9", "libopus"),
    "wmv": ("wmv2", "wmav2"),
    "flv": ("flv", "libmp3lame"),
    "ts": ("libx264", "aac"),
    "mpg": ("mpeg2video", "mp2"),
}


def warned(path: Path) -> tuple[int, list[str]]:
    """The number of frames, and the warnings of reading them."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        frames = sum(1 for _ in read_frames(path))
    lines = [str(each.message) for each in caught]
    assert all(line.startswith(f"{path}: ") and "\n" not in line for line in lines)
    return frames, [line.removeprefix(f"{path}: ") for line in lines]


@pytest.mark.filterwarnings("ignore:.*truncated")
@pytest.mark.parametrize("ending", CONTAINERS)
@pytest.mark.parametrize("share", [0.4, 0.7])
def test_a_truncated_file_without_an_index_is_read_to_its_end(
    tmp_path: Path, ending: str, share: float
) -> None:
    codec, audio = CONTAINERS[ending]
    path = encode(tmp_path / f"a.{ending}", codec, noise(75), sound=(audio, 3.0))
    assert warned(path) == (75, [])
    whole = {round(seconds, 2): image for image, seconds in read_timed_frames(path)}
    frames, lines = warned(truncated(path, share))
    assert 0.5 * share * 75 < frames < 70
    for image, seconds in read_timed_frames(path):
        np.testing.assert_array_equal(image, whole[round(seconds, 2)])
    if ending in {"mkv", "webm", "wmv", "flv"}:
        (line,) = lines
        assert re.match(rf"\d\.\d s of video \({frames} frames\), but the container states 3\.[01] s; ", line)
    elif ending in {"ts", "mpg"}:  # their duration is that of their last packet
        (line,) = lines
        assert re.match(rf"\d\.\d s of video \({frames} frames\), and an incomplete (frame|packet) at", line)


@pytest.mark.parametrize("ending", ["ts", "mpg", "mkv"])
def test_less_video_than_audio_is_reported(tmp_path: Path, ending: str) -> None:
    codec, audio = CONTAINERS[ending]
    _, lines = warned(encode(tmp_path / f"a.{ending}", codec, noise(50), sound=(audio, 4.0)))
    (line,) = lines
    assert re.match(
        r"2\.\d s of video \(50 frames\), but (4\.\d s of audio|the container states 4\.\d s); ", line
    )
    assert warned(encode(tmp_path / f"b.{ending}", codec, noise(50), sound=(audio, 2.3))) == (50, [])


@pytest.mark.parametrize(("ending", "codec"), [("ts", "libx264"), ("flv", "flv"), ("ts", "mpeg2video")])
def test_damage_in_the_middle_is_reported(tmp_path: Path, ending: str, codec: str) -> None:
    path = encode(tmp_path / f"a.{ending}", codec, noise(100))
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 4000] = bytes(4000)
    path.write_bytes(content)
    frames, (line,) = warned(path)
    assert 80 <= frames < 100
    assert re.match(rf"\d\.\d s of video \({frames} frames\), of which 1 are damaged; 0 packets cannot", line)


# Images ------------------------------------------------------------------------------------------


def write_images(folder: Path, numbers: Iterable[int], name: str = "img_{:05d}.png") -> list[np.ndarray]:
    folder.mkdir(parents=True, exist_ok=True)
    images = [colours(1)[0] + np.uint8(number % 50) for number in numbers]
    for number, image in zip(numbers, images, strict=True):
        assert cv2.imwrite(str(folder / name.format(number)), image[..., ::-1])
    return images


@pytest.mark.parametrize("ending", ["png", "bmp", "tiff", "PPM"])
def test_numbered_images_are_a_video(tmp_path: Path, ending: str) -> None:
    name = f"img {{}}.{ending}"
    images = write_images(tmp_path / "a", range(7, 13), name)  # 10 follows 9
    for path in (tmp_path / "a", tmp_path / f"a/img %d.{ending}"):
        np.testing.assert_array_equal(list(read_frames(path)), images)
        assert probe(path) == VideoInfo(30.0, (64, 48), 6)
        np.testing.assert_allclose(seconds_of(path), np.arange(6) / 30)
        assert measure_timing(path) == Timing(30.0)


def test_a_pattern_chooses_one_of_several_series(tmp_path: Path) -> None:
    left, _ = (
        write_images(tmp_path, numbers, f"{s}_{{:03d}}.png") for s, numbers in (("l", (0, 1)), ("r", (5, 6)))
    )
    np.testing.assert_array_equal(list(read_frames(tmp_path / "l_%03d.png")), left)
    assert "2 series of images (l_000.png, r_005.png); expected one" in reason(tmp_path)
    assert "no image has such a name" in reason(tmp_path / "x_%03d.png")


def test_the_key_of_images_depends_on_names_and_contents(tmp_path: Path) -> None:
    write_images(tmp_path / "a", range(3))
    write_images(tmp_path / "b", range(3))
    write_images(tmp_path / "c", range(4))
    write_images(tmp_path / "d", range(1, 4))
    key = content_key(tmp_path / "a")
    assert re.fullmatch("[0-9a-f]{32}", key)
    assert key == content_key(tmp_path / "b") == content_key(tmp_path / "a/img_%05d.png")
    assert len({key, content_key(tmp_path / "c"), content_key(tmp_path / "d")}) == 3
    write_images(tmp_path / "b", (9,), "img_00001.png")
    assert content_key(tmp_path / "b") != key


@pytest.mark.parametrize(
    ("numbers", "why"),
    [
        ((1, 2, 5, 9), r"5 of the images 1 to 9 are missing \(3, 4, 6, 7, 8\); expected consecutive"),
        ((1, 1_000_000_000), r"999999998 of the images .* missing \(2, 3, 4, 5, 6, \.\.\.\)"),
    ],
)
def test_missing_images_are_refused(tmp_path: Path, numbers: tuple[int, ...], why: str) -> None:
    write_images(tmp_path / "a", numbers)
    assert re.search(why, reason(tmp_path / "a"))


def test_images_that_cannot_be_one_video_are_refused(tmp_path: Path) -> None:
    write_images(tmp_path / "a", range(3))
    (tmp_path / "a/img_00001.png").write_bytes(b"no image")
    with pytest.raises(VideoError, match=r"img_00001\.png: not a readable image"):
        list(read_frames(tmp_path / "a"))
    cv2.imwrite(str(tmp_path / "a/img_00001.png"), np.zeros((8, 9, 3), np.uint8))
    assert "changes from 64x48 to 9x8" in reason(tmp_path / "a")
    (tmp_path / "a/img_00001.png").unlink()
    write_images(tmp_path / "a", (1,), "img_{}.png")
    write_images(tmp_path / "a", (1,), "img_{:03d}.png")
    assert "img_001.png and img_1.png have the same number" in reason(tmp_path / "a")


def test_images_are_turned_by_their_exif_orientation(tmp_path: Path) -> None:
    write_images(tmp_path, range(2), "{}.jpg")
    for path in tmp_path.iterdir():
        # APP1 with one entry: orientation (0x112), a short, 6: the top of the scene is at the right
        tiff = b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x112, 3, 1, 6, 0, 0)
        exif = b"Exif\0\0" + tiff
        content = path.read_bytes()
        path.write_bytes(content[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + content[2:])
    image = next(read_frames(tmp_path))
    assert image.shape == (64, 48, 3)
    np.testing.assert_allclose(image[8, 24].astype(int), (200, 40, 40), atol=8)  # the leftmost band


def test_a_codec_without_a_decoder_is_refused(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mp4", "libx264", noise(3))
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zzzz"))
    assert "no decoder for the codec" in reason(path)


def test_a_video_whose_frame_size_changes_is_refused(tmp_path: Path) -> None:
    large = encode(tmp_path / "a.mpg", "mpeg1video", noise(5)).read_bytes()
    small = encode(tmp_path / "b.mpg", "mpeg1video", noise(5)[:, :48, :64]).read_bytes()
    (tmp_path / "both.mpg").write_bytes(large + small)
    assert "changes from 128x96 to 64x48" in reason(tmp_path / "both.mpg")


# Hostile files ---------------------------------------------------------------------------


PLAYLISTS = {
    "script.mp4": "ffconcat version 1.0\nfile inside.mp4\n",
    "playlist.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\ninside.ts\n#EXT-X-ENDLIST\n",
    "list.avi": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\ninside.ts\n#EXT-X-ENDLIST\n",
    "session.sdp": "v=0\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 33\n",
    "manifest.mp4": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
    'mediaPresentationDuration="PT1S" profiles="urn:mpeg:dash:profile:isoff-on-demand:2011"><Period>'
    '<AdaptationSet mimeType="video/mp4"><Representation id="1" bandwidth="1"><BaseURL>inside.mp4</BaseURL>'
    "</Representation></AdaptationSet></Period></MPD>",
}


@pytest.mark.parametrize("name", PLAYLISTS)
def test_a_file_that_names_another_file_opens_nothing(tmp_path: Path, name: str) -> None:
    for ending in (".mp4", ".ts"):
        encode(tmp_path / f"inside{ending}", "libx264", noise(25))
    (tmp_path / name).write_text(PLAYLISTS[name])
    assert "not a readable video" in reason(tmp_path / name)


@pytest.mark.parametrize("name", ["a.mp4", "a.m3u8", "a.ts"])
def test_no_connection_is_opened(tmp_path: Path, name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/a.ts"
        playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{url}\n#EXT-X-ENDLIST\n"
        (tmp_path / name).write_text(playlist if name != "a.mp4" else f"ffconcat version 1.0\nfile {url}\n")
        assert "not a readable video" in reason(tmp_path / name)
        server.settimeout(0.1)
        with pytest.raises(TimeoutError):
            server.accept()


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.mp4")
    (tmp_path / "b.mp4").symlink_to("/dev/zero")
    for name, kind in (("a.mp4", "pipe"), ("b.mp4", "device")):
        assert reason(tmp_path / name) == f"cannot be read: a {kind}; expected a regular file"
        for read in (probe, measure_timing, content_key):
            with pytest.raises(VideoError, match=f"a {kind}; expected a regular file"):
                read(tmp_path / name)
    folder = tmp_path / "images"
    write_images(folder, range(3))
    (folder / "img_00003.png").symlink_to("/dev/zero")
    for read in (content_key, lambda path: list(read_frames(path))):
        with pytest.raises(VideoError, match=r"img_00003\.png: .* a device; expected a regular file"):
            read(folder)


@pytest.mark.parametrize("name", ["a\0b.mp4", "a" * 5000, "a" * 300 + ".mp4", "%099999999999d.jpg"])
def test_a_path_that_no_file_can_have_is_refused(tmp_path: Path, name: str) -> None:
    for read in (probe, content_key):
        with pytest.raises(VideoError):
            read(tmp_path / name)


def test_pictures_above_8k_are_refused_before_they_are_decoded(tmp_path: Path) -> None:
    gif = tmp_path / "a.gif"
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((6100, 6000), np.uint8))
    with av.open(str(gif), "w") as container:
        stream = container.add_stream("gif", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "gray"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(colours(1)[0][..., 0], format="gray")))
        container.mux(stream.encode())
    assert probe(gif).size == (64, 48)
    content = gif.read_bytes()
    gif.write_bytes(content[:6] + struct.pack("<HH", 6000, 6000) + content[10:])
    assert "no frame could be decoded" in reason(gif)
    (tmp_path / "images").mkdir()
    (tmp_path / "a.png").rename(tmp_path / "images/1.png")
    with pytest.raises(VideoError, match="pictures of 6000x6100 pixels; expected at most 35651584"):
        probe(tmp_path / "images")


def test_square_pixels_must_not_exceed_8k_either(tmp_path: Path) -> None:
    path = tmp_path / "a.y4m"
    path.write_bytes(b"YUV4MPEG2 W4096 H1024 F25:1 A10:1\nFRAME\n" + bytes(4096 * 1024 * 3 // 2))
    assert "pictures of 40960x1024 pixels" in reason(path)


def test_times_beyond_a_year_are_refused(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.ivf", "libvpx", noise(6))
    content, at = bytearray(path.read_bytes()), 32
    for number in range(6):
        content[at + 4 : at + 12] = struct.pack("<q", number * 2**60 if number else 0)
        at += 12 + struct.unpack_from("<I", content, at)[0]
    path.write_bytes(content)
    assert "at most a year: the times are damaged" in reason(path)
    with pytest.raises(VideoError, match="at most a year"):
        measure_timing(path)


def test_more_frames_than_bytes_are_not_believed(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.avi", "mpeg4", noise(6))
    content = path.read_bytes()
    assert probe(path).frames == 6
    at = content.index(b"strh") + 8 + 32  # the length in the stream's header
    path.write_bytes(content[:at] + struct.pack("<I", 2**32 - 1) + content[at + 4 :])
    assert probe(path).frames == 0


@pytest.mark.parametrize("rate", ["0:0", "1000000000:1", "1:1000000000"])
def test_a_rate_that_cannot_be_is_not_believed(tmp_path: Path, rate: str) -> None:
    path = tmp_path / "a.y4m"
    path.write_bytes(f"YUV4MPEG2 W16 H16 F{rate}\n".encode() + (b"FRAME\n" + bytes(384)) * 3)
    assert probe(path).fps == 25


def test_packets_that_cannot_be_read_are_no_hindrance_for_the_times(tmp_path: Path) -> None:
    path = tmp_path / "a.y4m"
    path.write_bytes(b"YUV4MPEG2 W16 H16 F50:1\n" + (b"FRAME\n" + bytes(384)) * 3 + b"NOISE" * 99)
    assert measure_timing(path) == Timing(50.0)
    assert len(list(read_frames(path))) == 3


def test_packets_without_end_are_refused(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.ivf", "libvpx", noise(1))
    path.write_bytes(path.read_bytes()[:32] + (struct.pack("<I", 1) + bytes(9)) * 20_000)
    assert "10000 packets in a row without a frame" in reason(path)


READ_ALL = """
import sys
from pathlib import Path
import av
from skdpipe.errors import VideoError
from skdpipe.video import read_frames
av.logging.set_level(av.logging.PANIC)  # from now on, the decoder's threads need Python's lock
for path in sorted(Path(sys.argv[1]).iterdir()):
    try:
        list(read_frames(path))
    except VideoError:
        print("refused")
"""


def test_a_decoder_that_logs_errors_ends(tmp_path: Path) -> None:
    content, chance = encode(tmp_path / "a.mp4", "libx264", noise(12)).read_bytes(), random.Random(0)
    start = content.index(b"mdat") + 1500
    for number in range(20):
        damaged = bytearray(content)
        for _ in range(60):
            damaged[chance.randrange(start, len(content) - 1000)] = chance.randrange(256)
        (tmp_path / f"{number}.mp4").write_bytes(damaged)
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", READ_ALL, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert run.stdout.count("refused") > 5


@settings(max_examples=60)
@given(st.data())
def test_any_mutant_is_read_or_refused(mutant_seeds: dict[str, bytes], data: st.DataObject) -> None:
    ending = data.draw(st.sampled_from(sorted(mutant_seeds)))
    content = bytearray(mutant_seeds[ending])
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, max(0, min(len(content) - 1, 800))))
        new = data.draw(st.sampled_from([b"", b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f", b"\0" * 40]))
        content[at : at + data.draw(st.sampled_from([0, 1, 4, 8, 99]))] = new
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder, f"a{ending}")
        path.write_bytes(content)
        for read in (probe, measure_timing, lambda path: sum(1 for _ in read_timed_frames(path))):
            with suppress(VideoError):
                read(path)


@pytest.fixture(scope="module")
def mutant_seeds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A small video of each container, by its ending."""
    folder = tmp_path_factory.mktemp("seeds")
    codecs = {
        **{".mp4": "libx264", ".mkv": "libx264", ".mov": "mpeg4", ".ts": "mpeg2video", ".mpg": "mpeg1video"},
        **{
            ".avi": "mpeg4",
            ".flv": "flv",
            ".webm": "libvpx",
            ".wmv": "wmv2",
            ".ivf": "libvpx",
            ".rm": "rv10",
        },
        **{".nut": "mpeg4", ".mxf": "mpeg2video", ".3gp": "mpeg4", ".swf": "flv"},
    }
    return {
        ending: encode(folder / f"a{ending}", codec, colours(4)).read_bytes()
        for ending, codec in codecs.items()
    }


# Writing errors --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "frames", "fps", "why"),
    [
        ("a.mp4", [], 10, "nothing to write"),
        ("a.mp4", colours(2), 0, "rate above 0"),
        ("a.mp4", colours(2)[:, :, :63], 10, "cannot write 63x48 pixels; crop or pad"),
        ("a.mp4", colours(2)[:, :47], 10, "cannot write 64x47 pixels; crop or pad"),
        ("a.mp4", [colours(1)[0], colours(1)[0, :40]], 10, "expected one size"),
        ("a.mp4", colours(2) / 255, 10, "cannot be written .* expected uint8"),
        ("a.xyz", colours(2), 10, "cannot be written .* and .mp4"),
        ("a.webm", colours(2), 10, "cannot be written"),  # WebM cannot contain H.264
    ],
)
def test_videos_that_cannot_be_written_are_refused(tmp_path: Path, name, frames, fps, why: str) -> None:
    with pytest.raises(VideoError, match=why) as caught:
        write_video(tmp_path / name, frames, fps)
    assert "\n" not in str(caught.value)
