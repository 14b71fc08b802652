"""Footage is drawn with its people and its timeline; each frame keeps its time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from recording_progress import RecordedTask, RecordingProgress
from squares import square_frames

from skdpipe.errors import DataError, VideoError
from skdpipe.inference.timeline import Segment, Timeline
from skdpipe.overlay import require_output, write_overlay
from skdpipe.overlay.between import PeopleBetween
from skdpipe.overlay.colours import colours_of, ink_on, person_colour
from skdpipe.overlay.lettering import Lettering
from skdpipe.overlay.painter import Painter
from skdpipe.overlay.strip import Strip
from skdpipe.skeleton import COCO_17, PENN_13, UNSEEN
from skdpipe.skeleton.tracks import TrackedFrame
from skdpipe.video import probe, read_timed_frames, write_timed_video, write_video

SIZE = (640, 480)
GROUND = np.full((480, 640, 3), 60, np.uint8)
DARK = (28, 28, 28)


def pose(x: float, y: float = 200.0) -> NDArray[np.float32]:
    """A person whose left arm is horizontal, from x to x + 100; the other joints are unseen."""
    keypoints = np.broadcast_to(UNSEEN, (13, 3)).copy()
    keypoints[PENN_13.index("left_elbow")] = (x, y, 1)
    keypoints[PENN_13.index("left_wrist")] = (x + 100, y, 1)
    return keypoints


def tracked(frame: int, seconds: float, **people: NDArray[np.float32]) -> TrackedFrame:
    """A frame with the people p1, p7 ..."""
    numbers = np.array([int(name[1:]) for name in people], np.intp)
    poses = np.stack(list(people.values())) if people else np.zeros((0, 13, 3), np.float32)
    return TrackedFrame(frame, seconds, numbers, poses)


def timeline(*segments: Segment, seconds: float = 10.0, size: tuple[int, int] = SIZE) -> Timeline:
    ordered = sorted(segments, key=lambda each: each.start)
    return Timeline("clip.mp4", seconds, size, tuple(ordered), (), 10)


def has_colour(image: NDArray[np.uint8], colour: tuple[int, int, int]) -> bool:
    return bool((image == colour).all(axis=-1).any())


def elbow(people: dict[int, NDArray[np.float32]], number: int = 1) -> float:
    return float(people[number][PENN_13.index("left_elbow"), 0])


def test_people_move_evenly_between_two_sampled_frames() -> None:
    people = PeopleBetween([tracked(0, 0.0, p1=pose(0)), tracked(5, 0.5, p1=pose(100))])
    assert [round(elbow(people.at(time))) for time in (0.0, 0.1, 0.25, 0.4, 0.5)] == [0, 20, 50, 80, 100]


def test_a_person_missed_for_a_moment_is_bridged_but_not_for_longer() -> None:
    def seen_at(times: tuple[float, ...], after: int) -> list[bool]:
        """Whether the person is there, with detections in frames 0 and ``after`` of ten a second."""
        frames = [tracked(f, f / 10, **({"p1": pose(f)} if f in (0, after) else {})) for f in range(21)]
        people = PeopleBetween(frames)
        return [bool(people.at(time)) for time in times]

    assert seen_at((0.0, 0.2, 0.4, 0.6), after=4) == [True, True, True, False]
    assert seen_at((0.0, 0.2, 0.5, 1.0), after=10) == [True, False, False, True]


def test_a_person_comes_and_goes_with_the_nearest_sampled_frame() -> None:
    frames = [tracked(0, 0.0), tracked(1, 0.2, p1=pose(5)), tracked(2, 0.4)]
    people = PeopleBetween(frames)
    assert [bool(people.at(time)) for time in (0.0, 0.09, 0.11, 0.2, 0.29, 0.31)] == [
        *(False, False, True, True, True, False)
    ]


def test_a_pose_is_held_for_a_second_after_the_last_frame() -> None:
    people = PeopleBetween([tracked(0, 0.0, p1=pose(5))])
    assert elbow(people.at(1.0)) == 5
    assert people.at(1.01) == {}


def test_a_joint_seen_in_one_of_two_frames_is_held_while_that_is_nearer() -> None:
    later = pose(100)
    later[PENN_13.index("left_wrist")] = UNSEEN
    people = PeopleBetween([tracked(0, 0.0, p1=pose(0)), tracked(1, 1.0, p1=later)])
    wrist = PENN_13.index("left_wrist")
    early, late = people.at(0.4)[1][wrist], people.at(0.6)[1][wrist]
    np.testing.assert_array_equal(early, (100, 200, 1))
    np.testing.assert_array_equal(late, UNSEEN)


def test_there_may_be_no_sampled_frames() -> None:
    assert PeopleBetween([]).at(3.0) == {}


def test_text_is_written_where_it_is_placed_and_cut_off_at_the_edges() -> None:
    lettering = Lettering(20)
    whole = np.zeros((100, 200, 3), np.uint8)
    lettering.write(whole, "wave", 50, 40, (255, 255, 255))
    ys, xs = np.nonzero(whole.any(axis=2))
    assert xs.min() >= 50
    assert xs.max() < 50 + lettering.width("wave")
    assert ys.min() >= 40
    assert ys.max() < 40 + lettering.height
    for left, top in ((60, 45), (0, 0), (-10, -50)):  # of a window on the picture
        part = np.zeros((30, 30, 3), np.uint8)
        lettering.write(part, "wave", 50 - left, 40 - top, (255, 255, 255))
        padded = np.pad(whole, ((60, 60), (60, 60), (0, 0)))
        np.testing.assert_array_equal(part, padded[top + 60 : top + 90, left + 60 : left + 90])


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\U00014400", r"\U00014400"),  # an Anatolian hieroglyph, which none of the fonts has
        ("a\nb", r"a\nb"),
        ("\u202e", r"\u202e"),
    ],
)
def test_what_cannot_be_drawn_is_escaped(text: str, shown: str) -> None:
    lettering = Lettering(16)
    escaped, expected = (np.zeros((30, 120, 3), np.uint8) for _ in range(2))
    lettering.write(escaped, text, 0, 0, (255, 255, 255))
    lettering.write(expected, shown, 0, 0, (255, 255, 255))
    assert escaped.any()
    np.testing.assert_array_equal(escaped, expected)


def test_accented_letters_are_drawn_as_they_are() -> None:
    lettering = Lettering(16)
    images = np.zeros((3, 30, 40, 3), np.uint8)
    for image, text in zip(images, ("é", "e", r"\xe9"), strict=True):
        lettering.write(image, text, 0, 0, (255, 255, 255))
    assert (images[0] != images[1]).any()
    assert (images[0] != images[2]).any()
    assert lettering.width("é") < lettering.width(r"\xe9")


@settings(max_examples=50, deadline=None)
@given(text=st.text("aWi \u6325\n", min_size=1, max_size=40), width=st.integers(0, 300))
def test_a_shortened_text_fits(text: str, width: int) -> None:
    lettering = Lettering(12)
    short = lettering.shorten(text, width)
    assert not short or lettering.width(short) <= width
    assert short == text or not short or (short.endswith("...") and text.startswith(short[:-3]))


def test_each_label_and_person_has_a_colour_of_its_own() -> None:
    colours = colours_of(f"class {number}" for number in range(24))
    assert len(set(colours.values())) == 24
    assert len({person_colour(number) for number in range(7)}) == 7
    assert person_colour(1000) == person_colour(1000)
    assert ink_on((240, 228, 66)) == (0, 0, 0)
    assert ink_on((0, 114, 178)) == (255, 255, 255)


def draw_strip(footage: Timeline, seconds: float, size: tuple[int, int] = SIZE) -> NDArray[np.uint8]:
    strip = Strip(footage, size, Lettering(12))
    image = np.zeros((strip.height, size[0], 3), np.uint8)
    strip.draw(image, seconds)
    return image


def columns_of(image: NDArray[np.uint8], colour: tuple[int, int, int]) -> tuple[int, int]:
    """The first and the last column with a colour."""
    columns = np.flatnonzero((image == colour).all(axis=-1).any(axis=0))
    return int(columns.min()), int(columns.max())


def test_a_segment_takes_its_share_of_the_row_in_the_colour_of_its_class() -> None:
    colours = colours_of(["clap", "wave"])
    image = draw_strip(timeline(Segment(0, 5, "wave", 0.9, 1), Segment(5, 10, "clap", 0.9, 1)), 9.9)
    start, middle = columns_of(image, colours["wave"])
    after, _ = columns_of(image, colours["clap"])
    assert 0 < after - middle <= 3
    whole = 2 * (after - start)
    assert start + whole == pytest.approx(640, abs=12)


def test_the_cursor_is_at_the_current_time() -> None:
    footage = timeline(Segment(0, 10, "wave", 0.9, 1))
    start, end = columns_of(draw_strip(footage, 0.0), colours_of(["wave"])["wave"])
    for seconds in (2.5, 5.0, 7.5):
        row = draw_strip(footage, seconds)[4]
        white = np.flatnonzero((row == 255).all(axis=-1))
        assert white.mean() == pytest.approx(start + seconds / 10 * (end - start), abs=3)


def test_a_person_who_is_not_there_has_no_segment() -> None:
    image = draw_strip(timeline(Segment(0, 4, "wave", 0.9, 1), Segment(6, 10, "wave", 0.9, 1)), 0.0)
    start, end = columns_of(image, colours_of(["wave"])["wave"])
    between = image[4:12, (start + end) // 2 - 20 : (start + end) // 2 + 20]
    assert (between == DARK).all()


def test_the_most_seen_people_have_a_row_and_the_others_are_counted() -> None:
    two = [Segment(0, 3, "wave", 0.9, 1), Segment(4, 6, "wave", 0.9, 2)]
    low = (640, 90)  # which has room for two rows
    image = draw_strip(timeline(*two, Segment(0, 1, "wave", 0.9, 0)), 0.0, low)
    assert [has_colour(image, person_colour(number)) for number in range(3)] == [False, True, True]
    without = draw_strip(timeline(*two), 0.0, low)
    line = len(without) - len(draw_strip(timeline(*two[:1]), 0.0, low))
    assert len(image) == len(without) + line


def test_long_footage_is_shown_a_minute_at_a_time() -> None:
    footage = timeline(Segment(0, 30, "wave", 0.9, 1), Segment(70, 120, "clap", 0.9, 2), seconds=120.0)
    colours = colours_of(["clap", "wave"])
    first, second = draw_strip(footage, 59.9), draw_strip(footage, 60.1)
    assert has_colour(first, colours["wave"])
    assert not has_colour(first, colours["clap"])
    assert has_colour(second, colours["clap"])
    assert not has_colour(second, colours["wave"])
    assert has_colour(second, person_colour(2))
    assert not has_colour(second, person_colour(1))


def test_names_without_place_in_a_segment_are_in_a_legend() -> None:
    short = [Segment(0, 0.2, "a name of some length", 0.9, 1), Segment(0.2, 10, "b", 0.9, 1)]
    named = [Segment(0, 5, "a name of some length", 0.9, 1), Segment(5, 10, "b", 0.9, 1)]
    with_legend, without = (draw_strip(timeline(*each), 0.0) for each in (short, named))
    added = with_legend[len(without) - 2 :]
    assert has_colour(added, colours_of(["a name of some length", "b"])["a name of some length"])


def test_bones_have_the_colour_of_the_person_in_every_frame() -> None:
    painter = Painter(timeline(), PENN_13)
    for x in (50, 300):
        image = painter.draw(GROUND, 0.0, {1: pose(x), 2: pose(x, 400)})
        assert tuple(image[200, x + 50]) == person_colour(1)
        assert tuple(image[400, x + 50]) == person_colour(2)
    assert (GROUND == 60).all()


def test_left_joints_are_white_and_right_ones_black() -> None:
    keypoints = pose(300)
    keypoints[PENN_13.index("right_knee")] = (350, 300, 1)
    image = Painter(timeline(), PENN_13).draw(GROUND, 0.0, {1: keypoints})
    assert tuple(image[200, 300]) == (255, 255, 255)
    assert tuple(image[300, 350]) == (0, 0, 0)


def test_a_label_is_in_the_colour_of_the_person_and_a_missing_one_in_grey() -> None:
    footage = timeline(Segment(0, 5, "wave", 0.9, 1), Segment(5, 10, None, 0.3, 1, reason="unsure"))
    painter = Painter(footage, PENN_13)
    above = 180, 293  # the box starts at 192, 292
    assert tuple(painter.draw(GROUND, 1.0, {1: pose(300)})[above]) == person_colour(1)
    assert tuple(painter.draw(GROUND, 6.0, {1: pose(300)})[above]) == DARK


def test_labels_of_people_in_one_place_do_not_cover_each_other() -> None:
    people = {number: pose(300 + number) for number in range(4)}
    image = Painter(timeline(), PENN_13).draw(GROUND, 0.0, people)[:480]
    for number in people:
        assert (image == person_colour(number)).all(axis=-1).sum() > 60


def test_a_label_for_all_is_in_the_corner() -> None:
    together = Painter(timeline(Segment(0, 10, "wave", 0.9)), PENN_13).draw(GROUND, 0.0, {})
    assert has_colour(together[:20, :100], (255, 255, 255))
    nobody = timeline(Segment(0, 10, None, 0.0, reason="no person"))
    assert not has_colour(Painter(nobody, PENN_13).draw(GROUND, 0.0, {})[:20, :100], (255, 255, 255))


@pytest.mark.parametrize("size", [(96, 96), (97, 95), (1, 1), (640, 35), (35, 640), (1921, 1081)])
def test_pictures_of_any_size_are_drawn_in_even_sizes(size: tuple[int, int]) -> None:
    footage = timeline(
        *(Segment(0, 10, "a name that is too long for small pictures " * 4, 0.9, n) for n in range(3)),
        Segment(0, 10, "wave", 0.9),
        size=size,
    )
    people = {number: pose(size[0] / 2, size[1] * (number - 1.0)) for number in range(4)}
    people[9] = pose(1e9, -1e9)
    image = Painter(footage, PENN_13).draw(np.zeros((size[1], size[0], 3), np.uint8), 1.0, people)
    assert image.shape[0] % 2 == image.shape[1] % 2 == 0
    assert max(image.shape) >= 480
    assert has_colour(image, person_colour(0))


@pytest.fixture
def uneven(tmp_path: Path) -> tuple[Path, list[float]]:
    """A video of variable rate, and the times of its frames."""
    times = [0.0, 0.04, 0.1, 0.5, 0.52, 1.5]
    path = tmp_path / "clip.mp4"
    write_timed_video(path, zip(square_frames(frames=6), times, strict=True), 25.0)
    return path, times


SMALL = Timeline("clip.mp4", 1.54, (64, 48), (Segment(0, 1.5, "wave", 0.9, 1),), (), 6)


def test_each_frame_keeps_its_time(uneven: tuple[Path, list[float]], tmp_path: Path) -> None:
    video, times = uneven
    out = tmp_path / "new" / "out.mp4"
    progress = RecordingProgress()
    write_overlay(video, SMALL, [tracked(0, 0.0, p1=pose(10))], PENN_13, out, progress)
    written = list(read_timed_frames(out))
    assert [seconds for _, seconds in written] == pytest.approx(times, abs=1e-4)
    height, width, _ = written[0][0].shape
    assert width == 8 * 64
    assert height > 8 * 48
    task = progress.named("drawing out.mp4")
    assert (task.total, task.unit, task.updates[-1][0]) == (6, "frames", 6)


def test_people_are_read_no_further_than_needed(tmp_path: Path) -> None:
    video = tmp_path / "long.mp4"
    write_video(video, square_frames(frames=60), 4.0)
    read: list[int] = []
    ahead: list[float] = []

    def frames() -> Iterator[TrackedFrame]:
        for frame in range(60):
            read.append(frame)
            yield tracked(frame, frame / 4)

    progress = RecordingProgress(lambda task: ahead.append(read[-1] - task.updates[-1][0]))
    write_overlay(video, SMALL, frames(), PENN_13, tmp_path / "out.mp4", progress)
    assert len(ahead) == 60
    assert max(ahead) <= 2.0 * 4


def test_an_interruption_leaves_the_former_file(uneven: tuple[Path, list[float]], tmp_path: Path) -> None:
    out = tmp_path / "out" / "out.mp4"
    out.parent.mkdir()
    out.write_bytes(b"former")

    def interrupt(task: RecordedTask) -> None:
        if len(task.updates) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_overlay(uneven[0], SMALL, [], PENN_13, out, RecordingProgress(interrupt))
    assert [each.name for each in out.parent.iterdir()] == ["out.mp4"]
    assert out.read_bytes() == b"former"


def test_a_timeline_or_people_of_another_video_are_refused(
    uneven: tuple[Path, list[float]], tmp_path: Path
) -> None:
    video, _ = uneven
    with pytest.raises(DataError, match=r"64x48 pixels, but its timeline is of 640x480; expected the video"):
        write_overlay(video, timeline(), [], PENN_13, tmp_path / "out.mp4")
    with pytest.raises(
        DataError, match=r"frame 0: people of shape \(13, 3\); expected the 17 joints of coco"
    ):
        write_overlay(video, SMALL, [tracked(0, 0.0, p1=pose(5))], COCO_17, tmp_path / "out.mp4")
    assert not (tmp_path / "out.mp4").exists()


def test_the_video_itself_and_unknown_endings_are_refused(
    uneven: tuple[Path, list[float]], tmp_path: Path
) -> None:
    video, _ = uneven
    with pytest.raises(VideoError, match=r"is the video itself; expected another file"):
        write_overlay(video, SMALL, [], PENN_13, video.parent / "." / video.name)
    for name in ("out.avi", "out", "out.webm"):
        with pytest.raises(VideoError, match=r"expected an ending of \.mp4, \.mov, \.mkv"):
            require_output(video, tmp_path / name)
    for name in ("out.MP4", "out.mkv"):
        require_output(video, tmp_path / name)
    assert probe(video).frames == 6


def test_a_folder_of_images_is_drawn_too(tmp_path: Path) -> None:
    from skdpipe.overlay import write_image

    for number, image in enumerate(square_frames(frames=3)):
        write_image(tmp_path / "images" / f"{number:03}.png", image)
    write_overlay(tmp_path / "images", SMALL, [], PENN_13, tmp_path / "out.mp4")
    times = [seconds for _, seconds in read_timed_frames(tmp_path / "out.mp4")]
    assert times == pytest.approx([0, 1 / 30, 2 / 30], abs=1e-4)
