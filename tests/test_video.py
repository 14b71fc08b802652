"""Written frames are read back, and files that are not videos are refused with one line."""

import os
import struct
from pathlib import Path

import av
import numpy as np
import pytest
from conftest import WriteVideo
from hypothesis import given, settings
from hypothesis import strategies as st
from squares import square_frames

from skdpipe.errors import VideoError
from skdpipe.video import VideoInfo, content_key, probe, read_frames, write_video


def colours(frames: int, size: tuple[int, int] = (64, 48)) -> np.ndarray:
    """Four bands of colour whose brightness increases from frame to frame."""
    bands = np.array([(200, 40, 40), (30, 160, 60), (40, 60, 200), (120, 120, 120)], np.uint8)
    image = bands[np.arange(size[0]) * 4 // size[0]][None].repeat(size[1], axis=0)
    return np.stack([image + np.uint8(i) for i in range(frames)])


def encode(path: Path, codec: str, frames: np.ndarray, **options: str) -> Path:
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return path


def noise(frames: int) -> np.ndarray:
    """Frames that do not compress well: blocks of random colour."""
    blocks = np.random.default_rng(0).integers(0, 255, (frames, 6, 8, 3), dtype=np.uint8)
    return blocks.repeat(16, axis=1).repeat(16, axis=2)


def truncated(path: Path, share: float) -> Path:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    return path


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


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_frames_are_rotated_upright(tmp_path: Path, degrees: int) -> None:
    path = tmp_path / "phone.mp4"
    write_video(path, colours(3), 10)
    (upright,) = {frame.tobytes() for frame in list(read_frames(path))[:1]}
    # The matrix in the track header, 16.16 fixed point, rotates the stored frames clockwise in a player.
    cosine, sine = {90: (0, 1), 180: (-1, 0), 270: (0, -1)}[degrees]
    matrix = struct.pack(">9i", cosine << 16, sine << 16, 0, -sine << 16, cosine << 16, 0, 0, 0, 1 << 30)
    content = bytearray(path.read_bytes())
    at = content.index(b"tkhd") + 44
    content[at : at + 36] = matrix
    path.write_bytes(content)
    shown = next(read_frames(path))
    stored = np.frombuffer(upright, np.uint8).reshape(48, 64, 3)
    np.testing.assert_array_equal(shown, np.rot90(stored, -degrees // 90))


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
        with pytest.raises(VideoError, match="cannot be read"):
            content_key(path)


@pytest.mark.parametrize("name", ["a.mp4", "a.avi", "notes.txt", "table.csv", "a"])
def test_text_is_refused_whatever_its_name(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("one line of words\n" * 50)
    assert "not a readable video" in reason(path) or "found text" in reason(path)
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


def test_a_codec_without_a_decoder_is_refused(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mp4", "libx264", noise(3))
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zzzz"))
    assert "no decoder for the codec" in reason(path)


def test_a_video_whose_frame_size_changes_is_refused(tmp_path: Path) -> None:
    large = encode(tmp_path / "a.mpg", "mpeg1video", noise(5)).read_bytes()
    small = encode(tmp_path / "b.mpg", "mpeg1video", noise(5)[:, :48, :64]).read_bytes()
    (tmp_path / "both.mpg").write_bytes(large + small)
    assert "changes from 128x96 to 64x48" in reason(tmp_path / "both.mpg")


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
