"""The frames that are wanted are those of a full decoding, whatever is not decoded."""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import av
import numpy as np
import pytest
from display_matrix import with_matrix
from encoded_videos import encode, truncated
from hypothesis import given
from hypothesis import strategies as st

from skdpipe.errors import VideoError
from skdpipe.skeleton.timing import FrameSampler, timing_of
from skdpipe.video import measure_timing, read_timed_frames
from skdpipe.video.container import open_container
from skdpipe.video.picture import Frame
from skdpipe.video.reading import Sampling
from skdpipe.video.references import Role, needed_packets
from skdpipe.video.sampled import outline_of

LENGTH = 75


def moving(frames: int = LENGTH, size: tuple[int, int] = (96, 64)) -> np.ndarray:
    """A texture that moves to the right, with a new texture every 30 frames: encoders use B-frames."""
    random = np.random.default_rng(3)
    scenes = random.integers(0, 255, (1 + frames // 30, 8, 12, 3), np.uint8)
    large = scenes.repeat(size[1] // 8, axis=1).repeat(size[0] // 12, axis=2)
    return np.stack([np.roll(large[number // 30], 2 * number, axis=1) for number in range(frames)])


@dataclass(frozen=True)
class Case:
    """A video, and whether its packets alone state which frames need not be decoded."""

    codec: str
    ending: str
    outlined: bool
    coding: Mapping[str, str] = field(default_factory=dict)
    pixel_format: str = "yuv420p"
    interlaced: bool = False
    times: tuple[int, ...] | None = None
    matrix: tuple[int, ...] | None = None


B_FRAMES = {"bf": "3", "b_strategy": "0"}
VARYING = tuple(number + 9 * (number // 10) for number in range(LENGTH))
CASES = {
    "H.264": Case("libx264", "mp4", True, B_FRAMES),
    "short groups": Case("libx264", "mov", True, {**B_FRAMES, "g": "12"}),
    "a pyramid": Case("libx264", "mp4", True, {"bf": "7", "b_strategy": "0", "b-pyramid": "normal"}),
    "open groups": Case("libx264", "mp4", True, {**B_FRAMES, "g": "12", "x264-params": "open-gop=1"}),
    "intra refresh": Case("libx264", "mp4", True, {"intra-refresh": "1", "g": "12"}),
    "no B-frames": Case("libx264", "mp4", True, {"bf": "0", "g": "20"}),
    "several slices": Case("libx264", "mp4", True, {**B_FRAMES, "slices": "3"}),
    "key frames only": Case("libx264", "mp4", True, {"g": "1"}),
    "10 bits": Case("libx264", "mp4", True, B_FRAMES, pixel_format="yuv420p10le"),
    "4:4:4": Case("libx264", "mp4", True, B_FRAMES, pixel_format="yuv444p"),
    "rotated": Case("libx264", "mp4", True, B_FRAMES, matrix=(0, 1, -1, 0)),
    "varying rate": Case("libx264", "mp4", True, B_FRAMES, times=VARYING),
    "interlaced": Case("libx264", "mp4", False, B_FRAMES, interlaced=True),
    "H.265": Case("libx265", "mp4", True, {"x265-params": "log-level=none:keyint=25"}),
    "closed H.265": Case("libx265", "mp4", True, {"x265-params": "log-level=none:keyint=10:open-gop=0"}),
    "layered H.265": Case("libx265", "mp4", True, {"x265-params": "log-level=none:temporal-layers=3"}),
    "JPEG": Case("mjpeg", "avi", True, pixel_format="yuvj420p"),
    "JPEG in QuickTime": Case("mjpeg", "mov", True, pixel_format="yuvj420p"),
    "ProRes": Case("prores_ks", "mov", True, pixel_format="yuv422p10le"),
    "interlaced ProRes": Case("prores_ks", "mov", False, pixel_format="yuv422p10le", interlaced=True),
    "transport stream": Case("libx264", "ts", False, B_FRAMES),
    "Matroska": Case("libx264", "mkv", False, B_FRAMES),
    "H.264 in AVI": Case("libx264", "avi", False, B_FRAMES),
    "MPEG-4": Case("mpeg4", "avi", False, {"bf": "2"}),
    "VP9": Case("libvpx-vp9", "webm", False, {"deadline": "realtime", "cpu-used": "8"}),
}


def write(folder: Path, case: Case) -> Path:
    path = encode(
        folder / f"a.{case.ending}",
        case.codec,
        moving(),
        coding=case.coding,
        pixel_format=case.pixel_format,
        interlaced=case.interlaced,
        times=case.times,
    )
    return path if case.matrix is None else with_matrix(path, *case.matrix)


@dataclass
class Reading:
    """What reading a video gave: frames with times, the warnings, and the error that ended it."""

    frames: list[tuple[Frame | None, float]]
    warnings: list[str]
    error: str | None = None


def read(path: Path, sampling: Sampling | None = None) -> Reading:
    reading = Reading([], [])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            reading.frames.extend(read_timed_frames(path, sampling))
        except VideoError as error:
            reading.error = str(error)
    reading.warnings = [str(each.message) for each in caught]
    return reading


def require_the_same(path: Path, full: Reading, every: int) -> None:
    """Check one frame in ``every``, and that the choice is made once for each frame, in order."""
    calls: list[float] = []

    def sampling() -> Callable[[float], bool]:
        calls.clear()
        sampler = FrameSampler(every)
        return lambda seconds: calls.append(seconds) is None and sampler.chooses(seconds)  # type: ignore[func-returns-value]

    sampled = read(path, sampling)
    assert (sampled.warnings, sampled.error) == (full.warnings, full.error)
    times = [seconds for _, seconds in full.frames]
    assert [seconds for _, seconds in sampled.frames] == times
    if full.error is None:
        assert calls == times
    for number, ((expected, _), (frame, _)) in enumerate(zip(full.frames, sampled.frames, strict=True)):
        if number % every:
            assert frame is None
        elif "are damaged" not in str(full.warnings):  # FFmpeg repairs frames in another way each time
            np.testing.assert_array_equal(frame, expected)


@pytest.mark.parametrize("name", CASES)
def test_sampled_frames_are_those_of_a_full_decoding(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, CASES[name])
    with open_container(path) as (container, stream):
        assert (outline_of(container, stream) is not None) == CASES[name].outlined
    full = read(path)
    assert (len(full.frames), full.error) == (LENGTH, None)
    for every in (1, 2, 3, 10, 40):
        require_the_same(path, full, every)


@pytest.mark.parametrize("name", ["H.264", "varying rate", "H.265", "JPEG", "Matroska"])
def test_the_timing_is_that_of_the_decoded_frames(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, CASES[name])
    expected = timing_of([seconds for _, seconds in read_timed_frames(path)], 25.0)
    timing = measure_timing(path)
    assert timing.fps == expected.fps
    assert (timing.times is not None) == (name == "varying rate")
    np.testing.assert_array_equal(timing.times, expected.times)


def test_real_clips_are_sampled_exactly(clips: Path) -> None:
    for path in [*clips.glob("*.*4"), clips / "three_people_aerobics.avi"]:
        full = read(path)
        for every in (3, 10):
            require_the_same(path, full, every)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("name", ["H.264", "JPEG", "transport stream", "Matroska", "index first"])
def test_errors_and_warnings_of_truncated_files_do_not_change(
    tmp_path: Path, name: str, share: float
) -> None:
    if name == "index first":
        path = encode(tmp_path / "a.mp4", "libx264", moving(), coding=B_FRAMES, movflags="faststart")
    else:
        path = write(tmp_path, CASES[name])
    full = read(truncated(path, share))
    assert full.error or full.warnings
    for every in (1, 3, 10):
        require_the_same(path, full, every)


def test_a_warning_about_missing_frames_does_not_change(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.avi", "mjpeg", moving(20), pixel_format="yuvj420p")
    content = bytearray(path.read_bytes())
    at = content.index(b"strh") + 8 + 32  # the stated number of frames
    content[at : at + 4] = (300).to_bytes(4, "little")
    path.write_bytes(content)
    full = read(path)
    assert "20 frames), but the container states 12.0 s" in full.warnings[0]
    require_the_same(path, full, 7)


# What is not decoded ------------------------------------------------------------------------------------


def packet_places(path: Path) -> list[tuple[int, int]]:
    """The position and size in the file of each packet."""
    with open_container(path) as (container, stream):
        return [(packet.pos or 0, packet.size) for packet in container.demux(stream) if packet.size]


@pytest.mark.parametrize(("name", "most"), [("H.264", 50), ("H.265", 55), ("short groups", 45), ("JPEG", 8)])
def test_frames_that_are_not_needed_are_not_decoded(tmp_path: Path, name: str, most: int) -> None:
    path = write(tmp_path, CASES[name])
    with open_container(path) as (container, stream):
        outline = outline_of(container, stream)
    assert outline is not None
    shown = np.argsort(outline.stamps)
    needed = needed_packets(outline.roles, {int(packet) for packet in shown[::10]})
    assert len(needed) <= most
    before = read(path)
    content = bytearray(path.read_bytes())
    for number, (at, size) in enumerate(packet_places(path)):
        if number not in needed:
            content[at + size // 2 : at + size] = bytes(size - size // 2)  # damages the picture
    path.write_bytes(content)
    after = read(path, lambda: FrameSampler(10).chooses)
    assert after.error is None
    for (expected, _), (frame, _) in list(zip(before.frames, after.frames, strict=True))[::10]:
        np.testing.assert_array_equal(frame, expected)


def slice_of_a_key_frame(path: Path) -> int:
    """The position of the fourth key frame, after the length and type of its slice."""
    with open_container(path) as (container, stream):
        return [packet.pos or 0 for packet in container.demux(stream) if packet.is_keyframe][3] + 5


@pytest.mark.parametrize(
    ("start", "damage", "found"),
    [(20, b"\x5a" * 79, "of which 1 are damaged"), (0, b"\x80" + bytes(99), "decoding failed")],
)
def test_damage_of_a_needed_frame_is_reported_as_in_a_full_decoding(
    tmp_path: Path, start: int, damage: bytes, found: str
) -> None:
    path = write(tmp_path, CASES["short groups"])
    content = bytearray(path.read_bytes())
    at = slice_of_a_key_frame(path) + start
    content[at : at + len(damage)] = damage
    path.write_bytes(content)
    with open_container(path) as (container, stream):
        assert outline_of(container, stream) is not None
    full = read(path)
    assert found in str([full.error, *full.warnings])
    for every in (3, 4):
        require_the_same(path, full, every)


def test_frames_before_the_cut_of_an_edit_list_are_left_out(tmp_path: Path) -> None:
    times = range(-10, LENGTH - 10)
    path = encode(
        tmp_path / "a.mp4", "libx264", moving(), times=times, coding=B_FRAMES, avoid_negative_ts="disabled"
    )
    full = read(path)
    assert len(full.frames) == LENGTH - 10
    for every in (3, 10):
        require_the_same(path, full, every)


def test_wrong_times_of_packets_change_nothing(tmp_path: Path) -> None:
    path = write(tmp_path, CASES["short groups"])
    with av.open(str(path)) as source, av.open(str(tmp_path / "b.mp4"), "w") as target:
        copy = target.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(source.demux(video=0)):
            if packet.size:  # in the order of decoding, as some old programs wrote B-frames
                packet.pts = packet.dts = number * (packet.duration or 0)
                packet.stream = copy
                target.mux(packet)
    full = read(tmp_path / "b.mp4")
    assert len(full.frames) == LENGTH
    for every in (2, 3, 10):
        require_the_same(tmp_path / "b.mp4", full, every)


def test_frames_that_are_not_those_of_the_index_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path, CASES["short groups"])
    content = bytearray(path.read_bytes())
    at = slice_of_a_key_frame(path)
    content[at + 20 : at + 99] = b"\x5a" * 79
    path.write_bytes(content)
    every = iter([2, 3])  # in full, other frames would be chosen
    sampled = read(path, lambda: FrameSampler(next(every)).chooses)
    assert sampled.error is not None
    assert sampled.error.startswith(f"{path}: its frames are not those that its index states")


@st.composite
def roles_and_wanted(draw: st.DrawFn) -> tuple[list[Role], set[int]]:
    roles = draw(st.lists(st.builds(Role, restarts=st.booleans(), referenced=st.booleans()), max_size=12))
    return roles, draw(st.sets(st.integers(0, max(0, len(roles) - 1)))) if roles else set()


@given(roles_and_wanted())
def test_needed_packets_are_those_that_wanted_ones_may_refer_to(case: tuple[list[Role], set[int]]) -> None:
    roles, wanted = case
    expected = set(wanted)
    for frame in wanted:
        start = max((n for n in range(frame + 1) if roles[n].restarts), default=0)
        expected |= {n for n in range(start, frame) if roles[n].referenced}
    assert needed_packets(roles, wanted) == expected
