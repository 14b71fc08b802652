"""Live sources: frames in order with times that increase, whatever the other side does."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stream_server import MJPEG, container_of, jpeg_part, number_of, numbered, served

from skdpipe.errors import VideoError
from skdpipe.video import LiveEvent, LiveFrame, RawVideo, is_live, open_live
from skdpipe.video.address import without_secrets
from skdpipe.video.frame_buffer import FrameBuffer
from skdpipe.video.live import _delays
from skdpipe.video.live_clock import LiveClock
from skdpipe.video.standard_input import open_input

STREAM = container_of(numbered(50))


def paced(data: bytes, pieces: int = 50, seconds: float = 0.01) -> Iterator[bytes]:
    size = -(-len(data) // pieces)
    for at in range(0, len(data), size):
        yield data[at : at + size]
        time.sleep(seconds)


def received(address: str, most: int, **options) -> tuple[list[LiveFrame], list[LiveEvent], int]:
    """Frames, events, and the number of corrupt packets; frames wait, so that a slow machine drops none."""
    events: list[LiveEvent] = []
    frames: list[LiveFrame] = []
    with open_live(address, on_event=events.append, capacity=100, **options) as source:
        for frame in source:
            frames.append(frame)
            if len(frames) == most:
                break
        return frames, events, source.corrupt


def reason(source: str, **options) -> str:
    with pytest.raises(VideoError) as caught:
        open_live(source, **options)
    text = str(caught.value)
    assert "\n" not in text
    return text


# The buffer ----------------------------------------------------------------------------------------------


def test_a_consumer_that_keeps_up_receives_every_frame() -> None:
    buffer = FrameBuffer[int](2)
    for number in range(100):
        buffer.offer(number)
        assert buffer.take() == number
    assert buffer.dropped == 0


def test_a_late_consumer_receives_the_newest_frame_and_the_others_are_counted() -> None:
    buffer = FrameBuffer[int](3)
    for number in range(10):
        buffer.offer(number)
    assert (buffer.take(), buffer.dropped) == (9, 9)
    for number in range(10, 13):
        buffer.offer(number)  # still late: it did not wait for a frame in between
    assert (buffer.take(), buffer.dropped) == (12, 11)


def test_a_consumer_that_waited_for_a_frame_is_no_longer_late() -> None:
    buffer = FrameBuffer[int](3)
    for number in range(10):
        buffer.offer(number)
    assert buffer.take() == 9
    waiting = threading.Timer(0.05, buffer.offer, [10])
    waiting.start()
    assert buffer.take() == 10
    for number in (11, 12, 13):
        buffer.offer(number)
    assert [buffer.take() for _ in range(3)] == [11, 12, 13]


def test_messages_keep_their_place_and_are_never_dropped() -> None:
    buffer = FrameBuffer[object](2)
    buffer.put_message("a")
    buffer.offer(0)
    buffer.put_message("b")
    for number in range(1, 6):
        buffer.offer(number)
    buffer.put_message("c")
    buffer.end()
    assert [buffer.take() for _ in range(5)] == ["a", "b", 5, "c", None]
    assert buffer.dropped == 5


def test_a_producer_that_does_not_drop_waits_for_room() -> None:
    buffer = FrameBuffer[int](2)
    threading.Thread(target=lambda: ([buffer.put(number) for number in range(50)], buffer.end())).start()
    time.sleep(0.05)
    assert list(iter(buffer.take, None)) == list(range(50))
    assert buffer.dropped == 0


def test_an_error_comes_after_the_frames_and_closing_frees_the_producer() -> None:
    buffer = FrameBuffer[int](1)
    buffer.put(1)
    buffer.end(VideoError("broken"))
    assert buffer.take() == 1
    with pytest.raises(VideoError, match="broken"):
        buffer.take()
    assert buffer.take() is None
    full = FrameBuffer[int](1)
    full.put(1)
    producer = threading.Thread(target=full.put, args=[2])
    producer.start()
    full.close()
    producer.join(5)
    assert not producer.is_alive()
    assert full.take() is None


@given(st.lists(st.booleans(), max_size=60), st.integers(1, 5))
def test_no_frame_is_lost_uncounted_and_the_order_is_kept(offers: list[bool], capacity: int) -> None:
    buffer = FrameBuffer[int](capacity)
    offered, taken = 0, []
    for is_offer in offers:
        if is_offer:
            buffer.offer(offered)
            offered += 1
        elif offered > len(taken) + buffer.dropped:
            taken.append(buffer.take())
    buffer.end()
    taken += iter(buffer.take, None)
    assert taken == sorted(taken)
    assert len(taken) + buffer.dropped == offered
    assert not offered or taken[-1] == offered - 1


# Times ---------------------------------------------------------------------------------------------------


def test_timestamps_count_where_they_agree_with_the_arrivals() -> None:
    clock = LiveClock()
    late = random.Random(0)
    times = [clock.seconds_at(900 + n / 25, 50 + n / 25 + late.uniform(0, 0.2)) for n in range(250)]
    np.testing.assert_allclose(np.diff(times), 0.04, atol=1e-3)


def test_without_timestamps_the_arrivals_count() -> None:
    clock = LiveClock()
    assert [clock.seconds_at(None, 7 + each) for each in (0, 0.5, 0.5, 2)] == [0, 0.5, 0.501, 2]


@pytest.mark.parametrize("jump", [-95443.7, -3.0, 60.0, 1e9])
def test_the_times_continue_where_timestamps_jump(jump: float) -> None:
    clock = LiveClock()
    times = [clock.seconds_at(1e5 + n / 25 + (jump if n > 50 else 0), n / 25) for n in range(100)]
    np.testing.assert_allclose(times, np.arange(100) / 25, atol=1e-9)


@pytest.mark.parametrize("rate", [0.0, 0.5, 0.99, 1.0001, 3.0])
def test_timestamps_of_another_rate_never_lead_far_from_the_arrivals(rate: float) -> None:
    clock = LiveClock()
    arrivals = np.arange(20_000) / 10
    times = np.array([clock.seconds_at(5 + rate * each, each) for each in arrivals])
    assert (np.diff(times) > 0).all()
    assert np.abs(times - arrivals).max() < 10.5


def test_a_pause_between_connections_counts() -> None:
    clock = LiveClock()
    first = [clock.seconds_at(3 + n / 10, n / 10) for n in range(10)]
    clock.reconnect()
    second = [clock.seconds_at(700 + n / 10, 30 + n / 10) for n in range(10)]
    np.testing.assert_allclose(first + second, [*np.arange(10) / 10, *(30 + np.arange(10) / 10)])


@given(
    st.lists(
        st.tuples(st.none() | st.floats(-1e9, 1e9, allow_nan=False), st.floats(0, 20), st.booleans()),
        max_size=40,
    )
)
def test_times_increase_whatever_the_timestamps_are(frames) -> None:
    clock = LiveClock()
    arrived, times = 100.0, []
    for stamp, wait, reconnects in frames:
        arrived += wait
        if reconnects:
            clock.reconnect()
        times.append(clock.seconds_at(stamp, arrived))
    assert (np.diff(times) > 0).all()
    assert not times or times[0] == 0


def test_attempts_become_rare_and_are_not_in_step() -> None:
    delays = _delays(random.Random(1))
    waited = [next(delays) for _ in range(12)]
    for number, seconds in enumerate(waited):
        whole = min(0.5 * 2**number, 30)
        assert whole / 2 <= seconds <= whole
    other = _delays(random.Random(2))
    assert waited != [next(other) for _ in range(12)]


# Addresses -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "live"), [("0", True), ("-", True), ("rtsp://a/b", True), ("a.mp4", False), ("./0", False)]
)
def test_a_path_is_not_a_live_source(source: str, live: bool) -> None:
    assert is_live(source) == live


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("rtsp://camera:554/1", "rtsp://camera:554/1"),
        ("rtsp://admin:secret@camera/1", "rtsp://***@camera/1"),
        ("rtsp://admin:sec/ret@camera/1", "rtsp://***@camera/1"),
        ("rtsp://admin:s@ecret@camera/1", "rtsp://***@camera/1"),
        ("http://camera/video?user=a&pwd=secret", "http://camera/video?***"),
        ("http://secret?#:secret@camera/video#secret", "http://***@camera/video?***"),
    ],
)
def test_secrets_are_left_out(address: str, shown: str) -> None:
    assert without_secrets(address) == shown


def test_a_live_stream_is_received_as_it_comes() -> None:
    with served(lambda request, path: paced(STREAM, seconds=0.02)) as address:
        frames, events, corrupt = received(address, 45)
    assert [number_of(each.image) for each in frames] == pytest.approx(list(range(45)), abs=1)
    assert {each.size for each in frames} == {(64, 48)}
    assert frames[0].image.shape == (48, 64, 3)
    np.testing.assert_allclose([each.seconds for each in frames], np.arange(45) / 25, atol=0.01)
    assert (np.diff([each.arrived for each in frames]) >= 0).all()
    assert 0 <= time.monotonic() - frames[-1].arrived < 5
    assert events == [LiveEvent("connected", size=(64, 48))]
    assert corrupt == 0


@pytest.mark.parametrize(("answer", "drop"), [(STREAM, None), ([STREAM], False)])
def test_a_recording_waits_for_the_consumer_and_ends(answer: bytes | list[bytes], drop: bool | None) -> None:
    with (
        served(lambda request, path: answer) as address,
        open_live(address, capacity=2, drop=drop) as source,
    ):
        assert source.is_recording
        frames = []
        for frame in source:
            time.sleep(0.005)
            frames.append((number_of(frame.image), frame.seconds))
    numbers, seconds = zip(*frames, strict=True)
    assert numbers == pytest.approx(list(range(50)), abs=1)
    np.testing.assert_allclose(seconds, np.arange(50) / 25, atol=1e-3)
    assert source.dropped == 0


def test_a_slow_consumer_receives_the_newest_frames() -> None:
    with (
        served(lambda request, path: paced(STREAM, seconds=0.01)) as address,
        open_live(address, capacity=2) as source,
    ):
        numbers = []
        for frame in source:
            time.sleep(0.1)
            numbers.append(number_of(frame.image))
            if numbers[-1] > 30:
                break
        assert len(numbers) < 15
        assert source.dropped >= 15
    assert numbers == sorted(numbers)


def test_motion_jpeg_is_received_at_the_pace_of_its_arrival() -> None:
    def parts() -> Iterator[bytes]:
        for image in numbered(60):
            yield jpeg_part(image)
            time.sleep(0.02)

    with served(lambda request, path: parts(), MJPEG) as address:
        frames, _, _ = received(address, 40)
    assert [number_of(each.image) for each in frames] == pytest.approx(list(range(40)), abs=1)
    later = [each.seconds for each in frames[10:]]
    assert np.diff(later).mean() == pytest.approx(0.02, rel=0.5)  # although FFmpeg states 25 frames/s


def test_a_connection_that_is_cut_is_made_again() -> None:
    with served(lambda request, path: paced(STREAM, seconds=0.04) if request != 1 else 404) as address:
        frames, events, _ = received(address, 60)
    assert [each.kind for each in events[:3]] == ["connected", "disconnected", "reconnected"]
    assert "broke off" in events[1].reason or "ended" in events[1].reason
    assert events[2].seconds > 0.5  # the second attempt failed
    seconds = np.array([each.seconds for each in frames])
    assert (np.diff(seconds) > 0).all()
    assert np.diff(seconds).max() > 0.5


def test_a_stream_that_stalls_counts_as_vanished() -> None:
    released = threading.Event()

    def stalling() -> Iterator[bytes]:
        yield STREAM[: len(STREAM) // 2]
        released.wait(20)

    try:
        with served(lambda request, path: stalling() if request == 0 else paced(STREAM)) as address:
            frames, events, _ = received(address, 40, patience=0.5)
    finally:
        released.set()
    assert events[1] == LiveEvent("disconnected", "no frame for 0.5 s")
    assert len(frames) == 40


def test_garbage_in_a_stream_is_skipped_and_counted() -> None:
    grain = np.random.default_rng(0).integers(-30, 30, (50, 96, 128, 3))
    stream = container_of(
        (image + grain[n]).astype(np.uint8) for n, image in enumerate(numbered(50, (128, 96)))
    )
    noise = random.Random(0).randbytes(len(stream) // 10)
    third = len(stream) // 3
    with served(lambda r, p: paced(stream[:third] + noise + stream[third + len(noise) :])) as address:
        frames, events, corrupt = received(address, 40)
    assert corrupt > 0
    assert [each.kind for each in events] == ["connected"]
    numbers = [number_of(each.image) for each in frames]
    assert numbers == sorted(numbers)
    assert len(frames) == 40


def test_garbage_between_jpegs_is_skipped() -> None:
    def parts() -> Iterator[bytes]:
        for number, image in enumerate(numbered(40)):
            part = jpeg_part(image)
            yield part.replace(part[250:400], b"x" * 150) if number == 15 else part
            time.sleep(0.01)

    with served(lambda request, path: parts(), MJPEG) as address:
        frames, events, _ = received(address, 35)
    numbers = [number_of(each.image) for each in frames]
    assert [each.kind for each in events] == ["connected"]
    assert numbers[-1] >= 33


def test_a_stream_may_change_its_size() -> None:
    larger = container_of(numbered(30, (96, 80), start=50), first=50)
    with served(lambda request, path: paced(STREAM + larger, seconds=0.02)) as address:
        frames, events, _ = received(address, 70)
    sizes = [each.size for each in frames]
    assert sizes[0] == (64, 48)
    assert sizes[-1] == (96, 80)
    assert frames[-1].image.shape == (80, 96, 3)
    assert events == [LiveEvent("connected", size=(64, 48)), LiveEvent("resized", size=(96, 80))]


@pytest.mark.parametrize(
    ("code", "why"),
    [
        (401, "password are refused"),
        (403, "password are refused"),
        (404, "nothing at this address"),
        (500, "cannot be opened"),
    ],
)
def test_an_address_that_never_worked_is_an_error(code: int, why: str) -> None:
    with served(lambda request, path: code) as address:
        text = reason(address.replace("//", "//user:secret@") + "?key=secret")
    assert why in text
    assert "secret" not in text
    assert text.startswith("http://***@127.0.0.1:")


def test_an_address_without_a_video_is_an_error() -> None:
    page = b"<html>Not a camera</html>" * 50
    with served(lambda request, path: page, "text/html") as address:
        assert "no video stream was found there" in reason(address)


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("rtsp://user:secret@127.0.0.1:1/live", "the connection is refused"),
        ("https://user:secret@127.0.0.1:1/live", "the connection is refused"),
        ("rtsp://user:secret@no-such-host.invalid/live", "no host of this name"),
        ("http://user:secret/secret@127.0.0.1/", "no host of this name"),
        ("ftp://user:secret@127.0.0.1/", "not an address of a video stream"),
        ("file:///etc/passwd", "not an address of a video stream"),
    ],
)
def test_addresses_that_cannot_work(address: str, why: str) -> None:
    text = reason(address)
    assert why in text
    assert "secret" not in text


def test_a_server_that_does_not_answer_is_an_error() -> None:
    with served(lambda request, path: (time.sleep(0.1) or b"" for _ in range(50))) as address:
        assert "no answer within 0.3 s" in reason(address, patience=0.3)


@pytest.mark.parametrize(
    "reference", ["file://{path}", "{path}", "concat:{path}", "subfile,,start,0,end,0,,:{path}"]
)
def test_a_playlist_cannot_open_local_files(tmp_path: Path, reference: str) -> None:
    (tmp_path / "secret.ts").write_bytes(STREAM)
    segment = reference.format(path=tmp_path / "secret.ts")
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{segment}\n#EXT-X-ENDLIST\n".encode()
    with served(lambda request, path: playlist if request == 0 else 404) as address:
        assert reason(address.replace("/stream", "/a.m3u8"))


def test_a_playlist_of_segments_is_received() -> None:
    parts = [container_of(numbered(25, start=25 * n), first=25 * n) for n in range(2)]
    playlist = b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n0.ts\n#EXTINF:1,\n1.ts\n#EXT-X-ENDLIST\n"

    def answer(request: int, path: str) -> bytes:
        return playlist if path.endswith("m3u8") else parts[int(path[1])]

    with served(answer) as address, open_live(address.replace("stream", "a.m3u8")) as source:
        frames = list(source)
    assert source.is_recording
    assert [number_of(each.image) for each in frames] == pytest.approx(list(range(50)), abs=1)


def test_a_camera_that_does_not_exist(capfd: pytest.CaptureFixture[str]) -> None:
    assert "camera 99: cannot be opened" in reason("99")
    assert capfd.readouterr() == ("", "")


def test_closing_ends_the_thread() -> None:
    before = threading.active_count()
    with served(lambda request, path: paced(STREAM)) as address:
        source = open_live(address, patience=2)
        source.close()
        assert next(source, None) in (None, source) or True
    deadline = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert threading.active_count() <= before


# Standard input ------------------------------------------------------------------------------------------


def piped(data: bytes, raw: RawVideo | None = None) -> list[LiveFrame]:
    """The frames of data in a pipe."""
    reading, writing = os.pipe()

    def write() -> None:
        with suppress(BrokenPipeError), open(writing, "wb") as file:  # noqa: PTH123
            file.write(data)

    threading.Thread(target=write, daemon=True).start()
    try:
        with open_input(raw, LiveClock(), lambda: None, 10, threading.Event(), reading) as feed:
            return list(feed.frames)
    finally:
        os.close(reading)


@pytest.mark.parametrize(
    ("format_name", "codec", "options"),
    [
        ("mpegts", "mpeg2video", {}),
        ("matroska", "libx264", {}),
        ("mp4", "libx264", {"movflags": "frag_keyframe+empty_moov"}),
        ("yuv4mpegpipe", "rawvideo", {}),
    ],
)
def test_containers_on_a_pipe(format_name: str, codec: str, options: dict[str, str]) -> None:
    frames = piped(container_of(numbered(30), format_name, codec, **options))
    assert [number_of(each.image) for each in frames] == pytest.approx(list(range(30)), abs=1)
    np.testing.assert_allclose([each.seconds for each in frames], np.arange(30) / 25, atol=1e-3)


@pytest.mark.parametrize("pixel_format", ["rgb24", "bgr24"])
def test_raw_frames_on_a_pipe(pixel_format: str) -> None:
    images = np.random.default_rng(0).integers(0, 255, (7, 48, 64, 3), np.uint8)
    written = images if pixel_format == "rgb24" else images[..., ::-1]
    frames = piped(written.tobytes(), RawVideo((64, 48), 12.5, pixel_format))
    np.testing.assert_array_equal([each.image for each in frames], images)
    assert [each.seconds for each in frames] == [n / 12.5 for n in range(7)]


def test_raw_frames_of_another_size() -> None:
    with pytest.raises(VideoError, match="ended after 100 bytes; expected 9216 for a frame of 64x48"):
        piped(bytes(100), RawVideo((64, 48), 25))
    with pytest.warns(UserWarning, match="ended with 784 of the 9216 bytes"):
        assert len(piped(bytes(10_000), RawVideo((64, 48), 25))) == 1
    with pytest.raises(VideoError, match="8K"):
        piped(b"", RawVideo((20_000, 20_000), 25))


@pytest.mark.parametrize("data", [b"text\n" * 1000, b"#EXTM3U\n#EXTINF:2,\nfile:///etc/passwd\n"])
def test_standard_input_without_a_video(data: bytes) -> None:
    with pytest.raises(VideoError, match="standard input: not a video that can be read without seeking"):
        piped(data)
    with pytest.raises(VideoError, match="standard input: is empty; expected video"):
        piped(b"")


PROGRAM = """
import sys, time
from skdpipe.video import open_live, RawVideo
raw = RawVideo((64, 48), 25) if "raw" in sys.argv else None
with open_live("-", raw=raw, capacity=2) as source:
    count = 0
    for frame in source:
        count += 1
        time.sleep(0.002)
        print(count, flush=True)
    print("end", source.dropped, source.fps, source.size)
"""


@contextmanager
def program(*words: str) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_nothing_on_standard_input_is_dropped() -> None:
    with program() as process:
        out, error = process.communicate(STREAM)
    assert out.decode().splitlines()[-1] == "end 0 25.0 (64, 48)"
    assert out.decode().splitlines()[-2] == "50"
    assert error == b""


def test_an_interruption_ends_a_program_whose_input_stalls() -> None:
    with program("raw") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(bytes(64 * 48 * 3 * 2))
        process.stdin.flush()
        assert process.stdout.readline() == b"1\n"
        began = time.monotonic()
        process.send_signal(2)
        process.wait(5)
        assert time.monotonic() - began < 2
