"""The profile: stages, trained networks beside their cost, budgets, files, and what cannot be measured."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from moving_body import ACTIONS, BOX_PLUGIN, write_action_video
from squares import SquareFinder, square_frames

from skdpipe.config import Extraction, OpenPifPafSettings, PluginSettings
from skdpipe.errors import ConfigError, DataError, PoseError, SkdpipeError, VideoError
from skdpipe.pose.decoding import SampledEstimator
from skdpipe.pose.estimate import estimate_video
from skdpipe.pose.load import load_estimator
from skdpipe.profile import (
    EstimatorProfile,
    NetworkProfile,
    Profile,
    Variant,
    answer_budget,
    list_variants,
    parse_budget,
    profile_estimators,
    write_profile,
)
from skdpipe.profile.accuracy import pareto_front
from skdpipe.profile.clip import open_clip
from skdpipe.profile.cost import NetworkCost, count_cost
from skdpipe.profile.figure import draw_profile
from skdpipe.profile.memory import measure_peak_memory
from skdpipe.profile.stages import (
    DECODING,
    ESTIMATOR,
    NETWORK,
    POSES,
    PREPARATION,
    TRACKING,
    WHOLE,
    StagedEstimator,
    open_stages,
)
from skdpipe.significance import Interval
from skdpipe.skeleton import Keypoints, Origin, PoseSequence
from skdpipe.speed import Timing
from skdpipe.video import Frame, write_video

LOW = OpenPifPafSettings("shufflenetv2x1", "actors-low", long_edge=97, every=2)
BOX = PluginSettings(BOX_PLUGIN)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty frames, four a second."""
    path = tmp_path_factory.mktemp("video") / "square.mp4"
    write_video(path, square_frames(), 4.0)
    return path


@contextmanager
def refused(kind: type[SkdpipeError], *parts: str) -> Iterator[None]:
    with pytest.raises(kind) as caught:
        yield
    text = str(caught.value)
    assert "\n" not in text
    assert all(part in text for part in parts), text


# Variants


def test_every_combination_once() -> None:
    extraction = Extraction(high=LOW, low=replace(LOW, every=1))
    found = list_variants(extraction, ("high", "low"), {"long_edge": (97, 161), "every": (1,), "runtime": ()})
    assert found == [
        Variant("high: actors-low 97px auto", replace(LOW, every=1)),
        Variant("high: actors-low 161px auto", replace(LOW, long_edge=161, every=1)),
    ]


def test_without_changes_they_are_those_of_the_config() -> None:
    extraction = Extraction(high=BOX, low=LOW)
    assert [each.settings for each in list_variants(extraction)] == [BOX, LOW]
    assert list_variants(extraction, ("low",))[0].name == "low: actors-low 97px auto 1/2"


@pytest.mark.parametrize(
    ("qualities", "changes", "parts"),
    [
        (("best",), {}, ("quality 'best'", "expected high or low")),
        (("high",), {"long_edge": (97,)}, ("of the kind plugin, which has no long_edge", "--long-edge")),
        (("low",), {"runtime": ("tensorrt",)}, ("runtime tensorrt", "torch")),
        (("low",), {"long_edge": (0,)}, ("long_edge 0",)),
    ],
)
def test_other_variants_are_refused(
    qualities: Sequence[str], changes: dict[str, Sequence[object]], parts: Sequence[str]
) -> None:
    with refused(ConfigError, *parts):
        list_variants(Extraction(high=BOX, low=LOW), qualities, changes)


@pytest.mark.parametrize(
    ("text", "seconds"), [("20ms", 0.02), ("20 ms", 0.02), ("20", 0.02), ("0.5s", 0.5), (" 1.5 ms ", 0.0015)]
)
def test_a_budget_is_a_duration(text: str, seconds: float) -> None:
    assert parse_budget(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "fast", "0ms", "-1ms", "nan", "infs", "20 fps", "ms", "s"])
def test_other_budgets_are_refused(text: str) -> None:
    with refused(ConfigError, f"--budget {text!r}", "for instance 20ms"):
        parse_budget(text)


# The clip


def test_the_rendered_clip_is_that_of_the_demonstration_and_does_not_stay() -> None:
    with open_clip(None) as clip:
        assert (len(clip.frames), clip.size, clip.fps, clip.seconds) == (24, (240, 180), 12, 2)
        assert clip.path.is_file()
    assert not clip.path.exists()


def test_a_long_video_is_refused(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("skdpipe.profile.clip._MOST_BYTES", 5 * 64 * 48 * 3)
    with refused(VideoError, "more than 5 frames of 64x48", "cut it"), open_clip(video):
        pass


# Stages


class StagedSquares(SquareFinder):
    """The frames as lists, then unchanged, then the people; two calls at once."""

    calls = 2

    def prepare(self, frames: Sequence[Frame]) -> list[Frame]:
        return list(frames)

    def run(self, images: list[Frame]) -> list[Frame]:
        return images

    def decode(self, fields: list[Frame]) -> list[Keypoints]:
        return [self._people(frame) for frame in fields]

    def __call__(self, frames: Sequence[Frame]) -> list[Keypoints]:
        return self.decode(self.run(self.prepare(frames)))


@pytest.mark.parametrize("every", [1, 3])
@pytest.mark.parametrize("kind", [SquareFinder, StagedSquares])
def test_the_stages_lead_to_the_poses_of_the_whole(video: Path, kind: type[SquareFinder], every: int) -> None:
    estimator = kind()
    with open_clip(video) as clip:
        staged = open_stages(estimator, every, clip, people=1, batch=8)
        parts = [PREPARATION, NETWORK, POSES] if kind is StagedSquares else [ESTIMATOR]
        assert list(staged.calls) == [DECODING, *parts, TRACKING, WHOLE]
        for call in staged.calls.values():
            call()
            call()  # a stage can be repeated
        tracked, whole = staged.calls[TRACKING](), staged.calls[WHOLE]()
    expected = estimate_video(
        video, [SampledEstimator(kind(), every)], Origin(str(video)), people=1, batch=8
    )[0]
    assert isinstance(tracked, PoseSequence)
    assert isinstance(whole, PoseSequence)
    assert staged.sequence.frame_index.tolist() == list(range(0, 20, every))
    for found in (tracked, whole, staged.sequence):
        np.testing.assert_array_equal(found.keypoints, expected.keypoints)


def test_an_estimator_with_all_three_parts_is_staged() -> None:
    assert isinstance(StagedSquares(), StagedEstimator)
    assert isinstance(load_estimator(replace(LOW, runtime="torch")), StagedEstimator)
    assert not isinstance(SquareFinder(), StagedEstimator)


# Cost


def test_multiply_adds_are_those_of_all_convolutions() -> None:
    from skdpipe.pose.openpifpaf import load_weights

    counted = 0

    def count(layer: torch.nn.Conv2d, _: Any, output: torch.Tensor) -> None:
        nonlocal counted
        counted += output.numel() * layer.weight[0].numel()

    module = load_weights(LOW.backbone, LOW.weights).module.eval()
    for layer in module.modules():
        if isinstance(layer, torch.nn.Conv2d):
            layer.register_forward_hook(count)
    with torch.no_grad():
        module(torch.zeros(1, 3, 81, 97))  # the letterbox of 240x180 at 97 pixels
    parameters = sum(each.numel() for each in module.parameters())
    assert count_cost(LOW, (240, 180)) == NetworkCost(parameters, counted)
    assert count_cost(BOX, (240, 180)) is None


HUNGRY = """
import numpy as np
from moving_body import BoxEstimator

class Hungry(BoxEstimator):
    def __call__(self, frames):
        np.ones(40_000_000)  # 320 MB
        return super().__call__(frames)

class Failing(BoxEstimator):
    def __call__(self, frames):
        raise RuntimeError("no frames today")
"""


def test_the_peak_memory_is_that_of_a_process_of_its_own(
    tmp_path: Path,
) -> None:
    (tmp_path / "plugin.py").write_text(HUNGRY)
    path = write_action_video(tmp_path / "video.mp4", ACTIONS[0])
    taken = bytearray(b"1") * 400_000_000  # of this process, which must not count
    with open_clip(path) as clip:
        plain, hungry = (
            measure_peak_memory(PluginSettings(plugin), clip, people=1, batch=8, device="cpu")
            for plugin in (BOX_PLUGIN, f"{tmp_path}/plugin.py:Hungry")
        )
        with refused(PoseError, "exit code 1", "no frames today"):
            failing = PluginSettings(f"{tmp_path}/plugin.py:Failing")
            measure_peak_memory(failing, clip, people=1, batch=8, device="cpu")
    del taken
    assert plain is not None
    assert hungry is not None
    assert 300e6 < hungry - plain < 360e6


# The Pareto front and budgets


def exactly(cost: float) -> Timing:
    return Timing((cost,))


@given(st.lists(st.tuples(st.integers(1, 6), st.integers(0, 6)), max_size=12))
def test_the_front_by_the_lowest_cost_of_each_accuracy(points: list[tuple[int, int]]) -> None:
    found = pareto_front([(exactly(cost), float(accuracy)) for cost, accuracy in points])
    for (cost, accuracy), on_front in zip(points, found, strict=True):
        as_good = [other for other, its in points if its >= accuracy]
        as_cheap = [its for other, its in points if other <= cost]
        assert on_front == (cost == min(as_good) and accuracy == max(as_cheap))


def test_costs_whose_ranges_overlap_are_equal() -> None:
    quick, same, slow = Timing((1.0, 1.2)), Timing((1.1, 1.4)), Timing((1.3, 1.5))
    assert pareto_front([(quick, 80.0), (same, 81.0)]) == [False, True]
    assert pareto_front([(quick, 80.0), (slow, 81.0)]) == [True, True]
    assert pareto_front([(quick, 80.0), (same, 80.0)]) == [True, True]
    assert pareto_front([(quick, 80.0), (slow, 80.0)]) == [True, False]


def a_network(name: str, top1: float, cost: float, test: str = "t", *, front: bool = False) -> NetworkProfile:
    interval = Interval(top1, top1 - 5, top1 + 5)
    return NetworkProfile(name, "box", test, interval, 7, 0.5, exactly(0.1), exactly(cost), front)


def test_the_most_accurate_within_a_budget() -> None:
    small, middle, large = a_network("s", 70, 1), a_network("m", 80, 2), a_network("l", 90, 4)
    alone = a_network("x", 50, 3, test="u")
    networks = [large, small, middle, alone]
    for budget, expected in ((4.0, [large, alone]), (3.9, [middle, alone]), (1.0, [small, None])):
        answers = answer_budget(networks, budget)
        assert [each.best for each in answers] == expected
        assert [each.cheapest for each in answers] == [small, alone]
    assert answer_budget([a_network("costly", 80, 2), a_network("cheap", 80, 1)], 5)[0].best == a_network(
        "cheap", 80, 1
    )
    assert answer_budget([], 1.0) == []


# The whole


def squares(name: str, **options: object) -> Variant:
    return Variant(name, PluginSettings(f"{Path(__file__).parent}/squares.py:SquareFinder", dict(options)))


def test_estimators_are_measured_in_turn(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("skdpipe.profile.measure.measure_peak_memory", lambda *_, **__: 123)
    variants = [squares("quick"), squares("slow", seconds=0.02), squares("again"), squares("none", nose=1)]
    found = profile_estimators(variants, video, rounds=3, batch=10)
    assert (found.frames, found.size, found.fps, found.rounds) == (20, (64, 48), 4, 3)
    quick, slow, _ = found.estimators
    assert [each.name for each in found.estimators] == ["quick", "slow", "again"]
    assert list(quick.stages) == [DECODING, ESTIMATOR, TRACKING]
    assert {len(time.seconds) for time in (*quick.stages.values(), quick.whole)} == {3}
    assert slow.stages[ESTIMATOR].median > 0.04  # two batches
    assert slow.whole.median > 0.04
    assert (quick.images, quick.people, quick.network, quick.peak_memory) == (20, 1, None, 123)
    assert found.real_time_factor(slow.whole) == pytest.approx(5 / slow.whole.median)
    assert list(found.left_out) == ["none"]
    assert "nose" in found.left_out["none"]


def test_without_any_estimator_the_reason_is_raised(video: Path) -> None:
    with refused(PoseError, "squares.py", "nose"):
        profile_estimators([squares("none", nose=1)], video)
    with refused(DataError, "no estimator to measure"):
        profile_estimators([], video)


# Files

ESTIMATOR_PROFILE = EstimatorProfile(
    "box",
    BOX,
    "box shake=0",
    "",
    {DECODING: Timing((0.2, 0.4, 0.3)), ESTIMATOR: Timing((1.0, 2.0, 3.0))},
    Timing((2.0, 4.0, 3.0)),
    10,
    None,
    None,
    1,
)
PROFILE = Profile(
    "a clip",
    20,
    (64, 48),
    4.0,
    "a machine",
    3,
    (ESTIMATOR_PROFILE, replace(ESTIMATOR_PROFILE, name="larger", network=NetworkCost(9, 99), peak_memory=7)),
    (a_network("run SKD", 90, 4.0, front=True), a_network("run LQS-S", 80, 5.0)),
    {"x": "missing"},
)


def test_the_file_has_all_measurements(tmp_path: Path) -> None:
    files = write_profile(PROFILE, tmp_path / "made", budget=0.2)
    assert [path.name for path in files] == ["profile.json", "profile.png"]
    assert files[1].read_bytes().startswith(b"\x89PNG")
    found = json.loads(files[0].read_text(encoding="utf-8"))
    assert found["format"] == "skdpipe-profile-1"
    assert found["clip"] == {"name": "a clip", "frames": 20, "size": [64, 48], "fps": 4}
    box, larger = found["estimators"]
    assert box["settings"]["plugin"] == BOX_PLUGIN
    assert box["stages"][DECODING] == {"median": 300, "lowest": 200, "highest": 400}
    assert box["real_time_factor"] == pytest.approx(5 / 3)
    assert (box["parameters"], box["multiply_adds"], box["peak_memory"]) == (None, None, None)
    assert (larger["parameters"], larger["multiply_adds"], larger["peak_memory"]) == (9, 99, 7)
    assert [each["on_front"] for each in found["networks"]] == [True, False]
    assert found["left_out"] == {"x": "missing"}
    best = {"name": "run SKD", "estimator": "box"}
    assert found["budget"]["answers"] == [{"test": "t", "best": best, "cheapest": best}]


def test_without_matplotlib_there_is_no_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("skdpipe.profile.write.find_spec", lambda name: None)
    assert [path.name for path in write_profile(PROFILE, tmp_path)] == ["profile.json"]
    assert [path.name for path in tmp_path.iterdir()] == ["profile.json"]


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "profile").write_text("mine")
    with refused(DataError, "is not a folder"):
        write_profile(PROFILE, tmp_path / "profile")


def test_the_picture_shows_medians_front_and_budget() -> None:
    stages, accuracy = draw_profile(PROFILE, budget=0.3).axes
    assert [bar.get_width() for bar in stages.patches] == pytest.approx([15, 15, 100, 100])  # ms a frame
    assert [bar.get_x() for bar in stages.patches] == pytest.approx([0, 0, 15, 15])
    lines = [(list(line.get_xdata()), list(line.get_ydata())) for line in accuracy.lines]
    for point in (([200], [90]), ([250], [80])):
        assert point in [(list(map(round, x)), y) for x, y in lines]
    front = next(line for line in accuracy.lines if line.get_label() == "Pareto front")
    assert list(front.get_ydata()) == [90]
    assert any(list(line.get_xdata()) == [300, 300] for line in accuracy.lines)


def test_a_profile_without_networks_has_the_stages_alone() -> None:
    assert len(draw_profile(replace(PROFILE, networks=())).axes) == 1
