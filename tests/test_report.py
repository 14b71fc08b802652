"""A report: the numbers behind its figures, the page, and the command from a run's folder to a file."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from moving_body import ACTIONS, a_sequence, blurred, fill, tiny_experiment

from skdpipe.bundle import load_bundle
from skdpipe.cache import PoseCache
from skdpipe.cli import main
from skdpipe.config import Degradation, Experiment, Recipe, Report, Robustness
from skdpipe.dataset import PairedClips, build_manifest, load_views
from skdpipe.degradation.degrade import degrade
from skdpipe.distill import METHODS, distill_student
from skdpipe.distill.training_state import Curve
from skdpipe.errors import DataError
from skdpipe.progress import Progress
from skdpipe.report import write_report
from skdpipe.report.figures import (
    draw_accuracy_by_class,
    draw_conflicts,
    draw_confusion,
    draw_cost,
    draw_losses,
    draw_map,
)
from skdpipe.report.figures.accuracy import Point
from skdpipe.report.figures.style import look_number, to_svg
from skdpipe.report.gather import (
    Answers,
    Networks,
    UnseenClips,
    answer_clips,
    load_run,
    respond,
    telling_clips,
)
from skdpipe.report.measures import (
    accuracy_by_class,
    at_moments,
    by_gain,
    confusion_matrix,
    map_to_plane,
    response_magnitude,
    spread,
)
from skdpipe.report.robustness import (
    DegradationAxis,
    degradation_axes,
    evaluated_networks,
    lose_evenly,
    measure_robustness,
)
from skdpipe.skeleton import PoseSequence

NAMES = {method.name: method.title for method in METHODS}

CPU = torch.device("cpu")
QUIET = Progress(quiet=True)
BRIEF = Report(robustness=Robustness(occlusion=(0.5,), frame_loss=(0.5,), jitter=(0.1,)), moments=3)

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> PoseCache:
    """Twelve clips and, among the test clips, one more in which nobody is seen."""
    cache = fill(PoseCache(tmp_path_factory.mktemp("cache")))
    cache.save(nobody(a_sequence(ACTIONS[0], 99, split="test")), "high", "eyes-1")
    cache.save(nobody(blurred(a_sequence(ACTIONS[0], 99, split="test"))), "low", "squint-1")
    return cache


def nobody(sequence: PoseSequence) -> PoseSequence:
    unseen = np.array([np.nan, np.nan, 0], np.float32)
    return sequence.with_keypoints(np.broadcast_to(unseen, sequence.keypoints.shape).copy())


def a_run(cache: PoseCache, models: Path, **changes: object) -> Path:
    experiment: Experiment = tiny_experiment(**changes)
    return distill_student(experiment, cache, models, device=CPU).folder


@pytest.fixture(scope="module")
def run_folder(cache: PoseCache, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All methods, SKD* too."""
    return a_run(cache, tmp_path_factory.mktemp("models"), methods=tuple(NAMES))


# The numbers behind the figures


def test_a_confusion_matrix_by_hand() -> None:
    label = np.array([0, 0, 0, 0, 2])
    predicted = np.array([0, 0, 0, 1, 1])
    expected = np.array([[0.75, 0.25, 0], [np.nan] * 3, [0, 1, 0]])
    np.testing.assert_array_equal(confusion_matrix(label, predicted, 3), expected)


def test_accuracy_by_class_by_hand() -> None:
    label = np.array([0, 0, 0, 0, 2])
    predicted = np.array([0, 0, 0, 1, 1])
    np.testing.assert_array_equal(accuracy_by_class(label, predicted, 3), [75, np.nan, 0])


def test_classes_stand_in_the_order_of_the_gain_and_those_without_clips_last() -> None:
    baseline = np.array([50.0, np.nan, 50.0, 50.0])
    student = np.array([40.0, np.nan, 90.0, 60.0])
    assert by_gain(student, baseline).tolist() == [2, 3, 0, 1]


def test_the_response_is_the_norm_over_channels() -> None:
    features = np.zeros((2, 2, 3))  # two channels, two frames, three joints
    features[:, 0, 1] = 3, -4
    features[:, 1, 2] = 0, 2
    np.testing.assert_array_equal(response_magnitude(features), [[0, 5, 0], [0, 0, 2]])


def test_a_feature_frame_stands_for_an_equal_share_of_the_clip() -> None:
    feature_frames = np.array([[0], [1]])  # of a clip of eight frames
    taken = at_moments(feature_frames, np.array([0, 3, 4, 7]), 8)
    assert taken.ravel().tolist() == [0, 0, 1, 1]


@given(count=st.integers(1, 300), most=st.integers(1, 300))
def test_spread_takes_as_many_as_asked_from_the_first_to_the_last(count: int, most: int) -> None:
    chosen = spread(count, most)
    assert len(chosen) == min(count, most)
    assert chosen[0] == 0
    assert most == 1 or chosen[-1] == count - 1
    assert np.ptp(np.diff(chosen)) <= 1 if len(chosen) > 2 else True


@pytest.mark.parametrize("clips", [1, 2, 3, 5, 40])
def test_few_clips_and_equal_logits_have_a_map(clips: int) -> None:
    logits = np.zeros((clips, 2), np.float32)
    places = map_to_plane(logits, 30, 0)
    assert places.shape == (clips, 2)
    assert np.isfinite(places).all()


def test_the_map_keeps_clusters_apart_and_is_the_same_for_the_same_seed() -> None:
    rng = np.random.default_rng(0)
    logits = np.repeat(np.eye(3) * 20, 12, axis=0) + rng.normal(size=(36, 3))
    places = map_to_plane(logits, 30, 1)
    np.testing.assert_array_equal(places, map_to_plane(logits, 30, 1))
    distance = np.linalg.norm(places[:, None] - places[None], axis=2)
    nearest = (distance + np.diag([np.inf] * 36)).argmin(axis=1)
    assert (nearest // 12 == np.arange(36) // 12).all()


def test_telling_clips_are_those_that_the_student_mends() -> None:
    label = np.array([0, 0, 1, 1, 1])
    said = {"baseline": [0, 1, 1, 0, 0], "student": [0, 0, 1, 1, 1]}
    logits = {method: np.eye(2, dtype=np.float32)[predicted] for method, predicted in said.items()}
    seen = np.array([1.0, 0.5, 1.0, 0.7, 0.9])
    answers = Answers(label, logits, np.array([0, 0, 0, 0, 0]), seen)
    assert telling_clips(answers, 5) == [4, 1, 3, 0, 2]  # the best seen of each class, then the rest
    hidden = replace(answers, shared=np.array([0, 0, 0, 0, -1]))
    assert telling_clips(hidden, 2) == [3, 1]


# What a run says


def test_networks_answer_as_they_did_at_the_end_of_their_training(run_folder: Path, cache: PoseCache) -> None:
    run = load_run(run_folder)
    clips = UnseenClips(run, cache)
    answers = answer_clips(run, clips, Networks(run, CPU), QUIET)
    assert len(clips) == 5
    for each in run.methods:
        right = answers.predicted[each.method] == answers.label
        assert 100 * right.mean() == pytest.approx(each.figures.top1)
    without_people = [clip.key for clip in clips.clips].index(a_sequence(ACTIONS[0], 99).origin.key)
    assert np.flatnonzero(answers.shared < 0).tolist() == [without_people]


def test_a_response_is_that_of_the_features_of_one_clip(run_folder: Path, cache: PoseCache) -> None:
    run = load_run(run_folder)
    clips, networks = UnseenClips(run, cache), Networks(run, CPU)
    response = respond(run, clips, networks, 0, 0, 4)
    assert response.moments.tolist() == [1, 3, 5, 7]
    experiment, manifest = run.experiment, build_manifest(cache, run.experiment)
    sample = PairedClips(
        cache, clips.clips, manifest.classes, experiment.clip, experiment.clip, None, experiment.seed
    )[0]
    student = load_bundle(run_folder / "student.safetensors").network
    with torch.inference_mode():
        features = student(sample.low[None], sample.low_mask[None]).features[0, 0]
    norm = features.square().sum(dim=0).sqrt().numpy()  # two feature frames for eight
    assert len(norm) == 2
    largest = norm.max()
    assert response.largest["student"] == pytest.approx(largest, rel=1e-4)
    np.testing.assert_allclose(response.magnitude["student"], norm[[0, 0, 1, 1]] / largest, atol=1e-5)
    np.testing.assert_array_equal(response.pose[2], sample.high[0, :2, 5].T.numpy())
    np.testing.assert_array_equal(response.hidden[2], sample.low[0, 2, 5].numpy() == 0)


def test_both_views_of_a_clip_where_low_quality_is_derived(cache: PoseCache) -> None:
    derive = Degradation(every=2, occlusion=0.5)
    clip = build_manifest(cache, tiny_experiment(derive_low=derive)).clips[0]
    high, low, same = load_views(cache, clip, 2, derive, 3)
    assert same == {0, 1}
    np.testing.assert_array_equal(low.keypoints, degrade(high, derive, 3).keypoints)


# Robustness


def vanish(sequence: PoseSequence, strength: float, _: np.random.Generator) -> PoseSequence:
    return nobody(sequence) if strength == 1 else sequence


def test_top1_under_a_degradation_is_that_of_the_spoilt_clips(run_folder: Path, cache: PoseCache) -> None:
    run = load_run(run_folder)
    clips, networks = UnseenClips(run, cache), Networks(run, CPU)
    way = DegradationAxis("vanishing", "share", (0.5, 1.0), vanish)
    endurance = measure_robustness(run, clips, networks, [way], 1000, 0, QUIET)[0]
    assert endurance.strengths == (0, 0.5, 1)
    answers = answer_clips(run, clips, networks, QUIET)
    without_people = int(np.flatnonzero(answers.shared < 0)[0])
    for network, (unspoilt, unchanged, vanished) in endurance.top1.items():
        if not network.smoothed_for_test:
            assert unspoilt == pytest.approx(run.method(network.method).figures.top1)  # type: ignore[union-attr]
        assert unchanged == unspoilt
        said = answers.predicted[network.method][without_people]  # as of any clip that shows nobody
        assert vanished == pytest.approx(100 * np.mean(answers.label == said))


def test_who_is_tried_with_and_without_smoothing(run_folder: Path) -> None:
    tried = {
        (each.method, each.clip.smoothing, each.smoothed_for_test)
        for each in evaluated_networks(load_run(run_folder))
    }
    assert tried == {
        ("baseline", 1, False), ("baseline", 3, True), ("student", 1, False), ("student", 3, True),
        ("smoothed", 3, False), ("student_smoothed", 3, False),
    }  # fmt: skip


@pytest.mark.parametrize(("share", "left"), [(0.0, 40), (0.5, 20), (0.75, 10), (0.9, 4)])
def test_frames_are_lost_evenly(share: float, left: int) -> None:
    sequence = a_sequence(ACTIONS[0], frames=40)
    kept = lose_evenly(sequence, share, np.random.default_rng(0)).frame_index
    assert len(kept) == left
    assert len(set(np.diff(kept).tolist())) == 1


@pytest.mark.parametrize("place", range(len(degradation_axes(Robustness()))))
def test_every_way_leaves_a_sequence_that_networks_can_see(place: int) -> None:
    way = degradation_axes(Robustness())[place]
    for sequence in (
        a_sequence(ACTIONS[0]),
        nobody(a_sequence(ACTIONS[0])),
        a_sequence(ACTIONS[0], frames=1),
    ):
        for strength in way.strengths:
            spoilt = way.spoil(sequence, strength, np.random.default_rng(0))
            assert len(spoilt.frame_index) >= 1
            assert spoilt.video_frames == sequence.video_frames


# The figures


def svg_of(figure: Figure) -> str:
    return to_svg(figure, "this")


def test_sixty_classes_look_different() -> None:
    assert len({look_number(index) for index in range(60)}) == 60


@pytest.mark.parametrize("count", [2, 61])
def test_figures_of_classes_name_them_as_they_are(count: int) -> None:
    classes = [f"_class ${index}$ & <co>" for index in range(count)]
    label = np.arange(count)
    matrix = confusion_matrix(label, label[::-1], count)
    accuracy = np.where(label == 1, np.nan, 50.0)
    drawn = [
        svg_of(draw_confusion({"HQS-T": matrix, "SKD": matrix}, classes)),
        svg_of(draw_accuracy_by_class({"teacher": accuracy}, NAMES, classes, [1] * count)),
        svg_of(draw_map({"HQS-T": np.zeros((count, 2))}, label, classes)),
    ]
    assert all("_class $0$ &amp; &lt;co&gt;" in svg for svg in drawn)


def test_the_gain_is_written_beside_each_class() -> None:
    accuracy = {"baseline": np.array([20.0, 60.0, np.nan]), "student": np.array([50.0, 40.0, np.nan])}
    svg = svg_of(draw_accuracy_by_class(accuracy, NAMES, ["a", "b", "c"], [10, 10, 0]))
    assert all(f">{said}<" in svg for said in ("+30", "-20", "no clip"))


def test_curves_are_drawn_as_they_are() -> None:
    curves = {
        "teacher": [Curve({"task": 2.0}), Curve({"task": 1.0})],
        "student": [
            Curve({"task": 3.0, "kl": 0.5}, {"kl": -0.25}, {"kl": 0.75}),
            Curve({"task": 1.5, "kl": 0.25}, {"kl": 0.5}, {"kl": 0.0}),
        ],
    }
    task, kl = draw_losses(curves, NAMES).axes
    assert [list(line.get_ydata()) for line in task.lines] == [[2, 1], [3, 1.5]]
    assert [list(line.get_ydata()) for line in kl.lines] == [[0.5, 0.25]]
    share, cosine = draw_conflicts({"student": curves["student"]}, NAMES).axes
    assert list(share.lines[0].get_ydata()) == [75, 0]
    assert [-0.25, 0.5] in [list(line.get_ydata()) for line in cosine.lines]


def test_networks_stand_at_their_cost() -> None:
    points = [
        Point("r", "teacher", "HQS-T", 90, 10**6, 2.0, 8.0),
        Point("q", "student", "SKD", 80, 10**5, 0.1, 3.0),
    ]
    gflops, milliseconds = draw_cost(points).axes
    for axes, expected in ((gflops, [(2, 90), (0.1, 80)]), (milliseconds, [(8, 90), (3, 80)])):
        assert [tuple(each.get_offsets()[0]) for each in axes.collections] == expected  # type: ignore[index]


# The page


class Reader(HTMLParser):
    """What a page refers to, and whether its elements are closed in order."""

    _VOID = frozenset({"meta", "input", "br", "hr", "img", "link"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.references: list[str] = []
        self.named: list[tuple[str, str]] = []
        self.headings: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.references += [
            value or "" for name, value in attrs if name in {"href", "src", "xlink:href", "srcset"}
        ]
        self.references += re.findall(r"url\(([^)]*)\)", " ".join(value or "" for _, value in attrs))
        self.named += [
            (value or "", f"{tag} {attrs}") for name, value in attrs if name == "id" and tag != "image"
        ]
        assert tag not in {"script", "link", "iframe", "object"}
        if tag not in self._VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self._VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] == ["h2"]:
            self.headings.append(data)


def read(path: Path) -> Reader:
    """Parse a page; it needs nothing but itself."""
    text = path.read_text(encoding="utf-8")
    reader = Reader()
    reader.feed(text)
    assert not reader.open
    assert len(set(reader.named)) == len({name for name, _ in reader.named})  # twice only if the same shape
    ids = {f"#{name}" for name, _ in reader.named}
    assert all(each in ids or each.startswith("data:image/png;base64,") for each in reader.references)
    assert "@import" not in text
    return reader


def write(folder: Path, cache: PoseCache, output: Path, **options: object) -> Reader:
    write_report(folder, cache, output, BRIEF, device=CPU, **options)  # type: ignore[arg-type]
    return read(output)


def test_a_whole_run_has_every_figure(run_folder: Path, cache: PoseCache, tmp_path: Path) -> None:
    output = tmp_path / "made" / "report.html"
    page = write(run_folder, cache, output, beside=[run_folder])
    assert page.headings == [
        "Summary", "Accuracy against cost", "Accuracy by class", "Confusion matrices", "t-SNE of the logits",
        "Response by joint", "Robustness", "Learning curves", "Gradients in conflict", "Settings",
    ]  # fmt: skip
    text = output.read_text(encoding="utf-8")
    assert text.count("<svg") == 7 + 2
    for each in load_run(run_folder).methods:
        assert f"{each.figures.parameters:,}" in text
        assert f">{each.figures.top1:.2f}</td>" in text
    assert [path.name for path in output.parent.iterdir()] == ["report.html"]


def test_the_same_run_gives_the_same_page(run_folder: Path, cache: PoseCache, tmp_path: Path) -> None:
    write(run_folder, cache, tmp_path / "one.html")
    write(run_folder, cache, tmp_path / "two.html")
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "two.html").read_bytes()


@pytest.mark.parametrize("method", ["teacher", "baseline"])
def test_one_method_is_enough(cache: PoseCache, tmp_path: Path, method: str) -> None:
    folder = a_run(cache, tmp_path, methods=(method,), recipe=Recipe(epochs=1, batch=4))
    write(folder, cache, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "No gradient was revised" in text
    assert ("no network that sees poor skeletons" in text) == (method == "teacher")


def test_a_run_that_only_ever_sees_nobody_in_the_test(tmp_path: Path) -> None:
    cache = PoseCache(tmp_path / "cache")
    for action in ACTIONS:
        for number in range(4):
            sequence = a_sequence(action, number, split="train" if number else "test")
            cache.save(sequence if number else nobody(sequence), "high", "eyes-1")
    folder = a_run(
        cache, tmp_path, methods=("baseline",), derive_low=Degradation(occlusion=0.3), recipe=Recipe(epochs=1)
    )
    write(folder, cache, tmp_path / "report.html")
    assert "No test clip shows one person" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_names_are_text_and_not_markup(cache: PoseCache, tmp_path: Path) -> None:
    folder = a_run(cache, tmp_path, name="<b>&run", methods=("baseline",), recipe=Recipe(epochs=1, batch=4))
    write(folder, cache, tmp_path / "report.html")
    assert "Report on the run &lt;b&gt;&amp;run" in (tmp_path / "report.html").read_text(encoding="utf-8")


# What goes wrong


def test_a_cache_that_is_gone_is_one_line(run_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no skeletons at .*nowhere; name the cache .* with --cache"):
        write(run_folder, PoseCache(tmp_path / "nowhere"), tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def test_another_cache_is_refused(run_folder: Path, tmp_path: Path) -> None:
    other = fill(PoseCache(tmp_path / "cache"), of_each=9)
    with pytest.raises(DataError, match=r"gives other clips .*8 for training, 5 for the test"):
        write(run_folder, other, tmp_path / "report.html")


@pytest.mark.parametrize(
    ("config", "complaint"),
    [
        (None, "no run at"),
        ("experiment: {}", "is not of a run"),
        ("- 1", "is not of a run"),
        ("experiment: {}\ndata: {high: '', low: ''}", "nothing in .* is trained"),
    ],
)
def test_a_folder_that_is_no_run_is_refused(tmp_path: Path, config: str | None, complaint: str) -> None:
    if config is not None:
        (tmp_path / "config.yaml").write_text(config, encoding="utf-8")
    with pytest.raises(DataError, match=complaint):
        load_run(tmp_path)


# The command

LoadedRun = Callable[..., tuple[object, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> LoadedRun:
    def run(*arguments: object) -> tuple[object, str, str]:
        monkeypatch.setattr(sys, "argv", ["skdpipe", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        return (end.value.code or 0, *capsys.readouterr())

    return run


def test_the_command_writes_into_the_runs_folder(run_folder: Path, cache: PoseCache, run: LoadedRun) -> None:
    brief = (
        "--set",
        "robustness={occlusion: [0.5], frame_loss: [0.5], jitter: []}",
        "--set",
        "response_clips=0",
    )
    code, out, _ = run("report", run_folder, "--cache", cache.root, "--device", "cpu", *brief)
    assert (code, out) == (0, f"{run_folder / 'report.html'}\n")
    read(run_folder / "report.html")


def test_the_command_says_what_is_missing_in_one_line(
    run_folder: Path, run: LoadedRun, tmp_path: Path
) -> None:
    code, out, complaint = run("report", run_folder, "--cache", tmp_path / "gone", "--device", "cpu")
    assert (code, out) == (1, "")
    assert len(complaint.splitlines()) == 1
