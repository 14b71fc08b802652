"""The report: measured quantities, figures, HTML page, and the command."""

from __future__ import annotations

import html
import importlib.util
import re
import subprocess
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
from skdpipe.check import check_data
from skdpipe.cli import main
from skdpipe.config import Degradation, Experiment, Recipe, Report, Robustness
from skdpipe.dataset import PairedClips, build_manifest, load_qualities
from skdpipe.degradation import degrade
from skdpipe.distill import distill_student
from skdpipe.distill.methods import METHODS
from skdpipe.distill.training_state import Curve
from skdpipe.errors import DataError, MissingDependencyError
from skdpipe.progress import Progress
from skdpipe.report import write_report
from skdpipe.report.figures import (
    CostPoint,
    draw_accuracy_by_class,
    draw_conflicts,
    draw_confusion,
    draw_cost,
    draw_losses,
    draw_map,
)
from skdpipe.report.figures.accuracy import pareto_front
from skdpipe.report.figures.style import as_text, describe, numbered_look, to_svg
from skdpipe.report.measures import (
    accuracy_by_class,
    confusion_matrix,
    evenly_spaced,
    feature_frames_at,
    map_to_plane,
    rank_by_gain,
    response_magnitude,
)
from skdpipe.report.predictions import DeployedNetworks, Predictions, predict_clips
from skdpipe.report.response import measure_response, select_example_clips
from skdpipe.report.robustness import (
    DegradationAxis,
    degradation_axes,
    drop_frames_evenly,
    evaluated_networks,
    measure_robustness,
)
from skdpipe.report.run_results import load_run
from skdpipe.report.test_clips import TestClips as ClipsOfRun  # pytest collects names that begin with Test
from skdpipe.skeleton import PoseSequence
from skdpipe.speed import Timing

CPU = torch.device("cpu")
QUIET = Progress(quiet=True)
BRIEF = Report(
    robustness=Robustness(occlusion=(0.5,), frame_loss=(0.5,), jitter=(0.1,), crop=(0.4,)), moments=3
)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> PoseCache:
    """Twelve clips, and one more test clip without people."""
    cache = fill(PoseCache(tmp_path_factory.mktemp("cache")))
    cache.save(without_people(a_sequence(ACTIONS[0], 99, split="test")), "high", "eyes-1")
    cache.save(without_people(blurred(a_sequence(ACTIONS[0], 99, split="test"))), "low", "squint-1")
    return cache


def without_people(sequence: PoseSequence) -> PoseSequence:
    unseen = np.array([np.nan, np.nan, 0], np.float32)
    return sequence.with_keypoints(np.broadcast_to(unseen, sequence.keypoints.shape).copy())


def train_run(cache: PoseCache, models: Path, **changes: object) -> Path:
    experiment: Experiment = tiny_experiment(**changes)
    return distill_student(experiment, cache, models, device=CPU).folder


@pytest.fixture(scope="module")
def run_folder(cache: PoseCache, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with all methods."""
    methods = tuple(method.name for method in METHODS)
    return train_run(cache, tmp_path_factory.mktemp("models"), methods=methods)


# Measures


def test_a_confusion_matrix_by_hand() -> None:
    label = np.array([0, 0, 0, 0, 2])
    predicted = np.array([0, 0, 0, 1, 1])
    expected = np.array([[0.75, 0.25, 0], [np.nan] * 3, [0, 1, 0]])
    np.testing.assert_array_equal(confusion_matrix(label, predicted, 3), expected)


def test_clips_without_people_are_missing_in_the_rows_of_a_confusion_matrix() -> None:
    matrix = confusion_matrix(np.array([0, 0, 0, 0, 1]), np.array([0, 0, -1, 1, -1]), 2)
    np.testing.assert_array_equal(matrix, [[0.5, 0.25], [0, 0]])


def test_accuracy_by_class_by_hand() -> None:
    label = np.array([0, 0, 0, 0, 2])
    predicted = np.array([0, 0, 0, 1, 1])
    np.testing.assert_array_equal(accuracy_by_class(label, predicted, 3), [75, np.nan, 0])


def test_classes_are_ranked_by_gain_with_those_without_clips_last() -> None:
    baseline = np.array([50.0, np.nan, 50.0, 50.0])
    student = np.array([40.0, np.nan, 90.0, 60.0])
    assert rank_by_gain(student, baseline).tolist() == [2, 3, 0, 1]


def test_response_magnitude_is_the_norm_over_channels() -> None:
    features = np.zeros((2, 2, 3))  # two channels, two frames, three joints
    features[:, 0, 1] = 3, -4
    features[:, 1, 2] = 0, 2
    np.testing.assert_array_equal(response_magnitude(features), [[0, 5, 0], [0, 0, 2]])


def test_each_feature_frame_covers_an_equal_share_of_the_clip() -> None:
    feature_frames = np.array([[0], [1]])  # of a clip of eight frames
    values = feature_frames_at(feature_frames, np.array([0, 3, 4, 7]), 8)
    assert values.ravel().tolist() == [0, 0, 1, 1]


@given(count=st.integers(1, 300), most=st.integers(1, 300))
def test_evenly_spaced_indices_include_the_first_and_the_last(count: int, most: int) -> None:
    chosen = evenly_spaced(count, most)
    assert len(chosen) == min(count, most)
    assert chosen[0] == 0
    assert most == 1 or chosen[-1] == count - 1
    assert np.ptp(np.diff(chosen)) <= 1 if len(chosen) > 2 else True


@pytest.mark.parametrize("clips", [1, 2, 3, 5, 40])
def test_few_clips_with_equal_logits_can_be_mapped(clips: int) -> None:
    logits = np.zeros((clips, 2), np.float32)
    positions = map_to_plane(logits, 30, 0)
    assert positions.shape == (clips, 2)
    assert np.isfinite(positions).all()


def test_the_map_separates_clusters_and_depends_only_on_the_seed() -> None:
    rng = np.random.default_rng(0)
    logits = np.repeat(np.eye(3) * 20, 12, axis=0) + rng.normal(size=(36, 3))
    positions = map_to_plane(logits, 30, 1)
    np.testing.assert_array_equal(positions, map_to_plane(logits, 30, 1))
    distance = np.linalg.norm(positions[:, None] - positions[None], axis=2)
    nearest = (distance + np.diag([np.inf] * 36)).argmin(axis=1)
    assert (nearest // 12 == np.arange(36) // 12).all()


def test_example_clips_are_first_those_that_only_the_student_classifies_correctly() -> None:
    label = np.array([0, 0, 1, 1, 1])
    predicted = {"baseline": [0, 1, 1, 0, 0], "student": [0, 0, 1, 1, 1]}
    logits = {method: np.eye(2, dtype=np.float32)[classes] for method, classes in predicted.items()}
    visible = np.array([1.0, 0.5, 1.0, 0.7, 0.9])
    seen = dict.fromkeys(predicted, np.ones(5, bool))
    predictions = Predictions(label, logits, seen, np.array([0, 0, 0, 0, 0]), visible)
    # The clip with the most visible joints of each class, then the others.
    assert select_example_clips(predictions, 5) == [4, 1, 3, 0, 2]
    without_shared = replace(predictions, shared_person=np.array([0, 0, 0, 0, -1]))
    assert select_example_clips(without_shared, 2) == [3, 1]


# Results of a run


def test_networks_predict_as_at_the_end_of_their_training(run_folder: Path, cache: PoseCache) -> None:
    run = load_run(run_folder)
    clips = ClipsOfRun(run, cache)
    predictions = predict_clips(run, clips, DeployedNetworks(run, CPU), QUIET)
    assert len(clips) == 5
    for each in run.methods:
        correct = predictions.predicted[each.name] == predictions.label
        assert 100 * correct.mean() == pytest.approx(each.figures.top1)
    empty = [clip.key for clip in clips.clips].index(a_sequence(ACTIONS[0], 99).origin.key)
    assert np.flatnonzero(predictions.shared_person < 0).tolist() == [empty]


def test_the_joint_response_is_computed_from_the_features_of_one_clip(
    run_folder: Path, cache: PoseCache
) -> None:
    run = load_run(run_folder)
    clips, networks = ClipsOfRun(run, cache), DeployedNetworks(run, CPU)
    response = measure_response(run, clips, networks, 0, 0, 4)
    assert response.moments.tolist() == [1, 3, 5, 7]
    experiment, manifest = run.experiment, build_manifest(cache, run.experiment)
    sample = PairedClips(
        cache, clips.clips, manifest.classes, experiment.clip, experiment.clip, None, experiment.seed
    )[0]
    student = load_bundle(run_folder / "student.safetensors").network
    with torch.inference_mode():
        features = student(sample.low[None], sample.low_mask[None]).features[0, 0]
    norm = features.square().sum(dim=0).sqrt().numpy()  # two feature frames for eight frames
    assert len(norm) == 2
    largest = norm.max()
    assert response.largest["student"] == pytest.approx(largest, rel=1e-4)
    np.testing.assert_allclose(response.magnitude["student"], norm[[0, 0, 1, 1]] / largest, atol=1e-5)
    np.testing.assert_array_equal(response.pose[2], sample.high[0, :2, 5].T.numpy())
    np.testing.assert_array_equal(response.missing[2], sample.low[0, 2, 5].numpy() == 0)


def test_derived_low_quality_has_the_same_people(cache: PoseCache) -> None:
    derive = Degradation(every=2, occlusion=0.5)
    clip = build_manifest(cache, tiny_experiment(derive_low=derive)).clips[0]
    high, low, matched_people = load_qualities(cache, clip, 2, derive, 3)
    assert matched_people == {0, 1}
    np.testing.assert_array_equal(low.keypoints, degrade(high, derive, 3).keypoints)


# Robustness


def remove_people(sequence: PoseSequence, strength: float, _: np.random.Generator) -> PoseSequence:
    return without_people(sequence) if strength == 1 else sequence


def test_top1_under_a_degradation_is_the_accuracy_on_the_degraded_clips(
    run_folder: Path, cache: PoseCache
) -> None:
    run = load_run(run_folder)
    clips, networks = ClipsOfRun(run, cache), DeployedNetworks(run, CPU)
    axis = DegradationAxis("people removed", "share", (0.5, 1.0), remove_people)
    curve = measure_robustness(run, clips, networks, [axis], 1000, 0, QUIET)[0]
    assert curve.strengths == (0, 0.5, 1)
    predictions = predict_clips(run, clips, networks, QUIET)
    trained_top1 = {each.name: each.figures.top1 for each in run.methods}
    empty = int(np.flatnonzero(predictions.shared_person < 0)[0])
    for network, (undegraded, unchanged, removed) in curve.top1.items():
        if not network.smoothed_for_test:
            assert undegraded == pytest.approx(trained_top1[network.method])
        assert unchanged == undegraded
        predicted = predictions.predicted[network.method][empty]  # the prediction for any clip without people
        assert removed == pytest.approx(100 * np.mean(predictions.label == predicted))


def test_networks_are_evaluated_with_and_without_smoothing(run_folder: Path) -> None:
    evaluated = {
        (each.method, each.quality, each.clip.smoothing, each.smoothed_for_test)
        for each in evaluated_networks(load_run(run_folder))
    }
    assert evaluated == {
        ("teacher", "high", 1, False), ("baseline", "low", 1, False), ("baseline", "low", 3, True),
        ("student", "low", 1, False), ("student", "low", 3, True), ("smoothed", "low", 3, False),
        ("student_smoothed", "low", 3, False),
    }  # fmt: skip


@pytest.mark.parametrize(("share", "kept"), [(0.0, 40), (0.5, 20), (0.75, 10), (0.9, 4)])
def test_frames_are_dropped_evenly(share: float, kept: int) -> None:
    sequence = a_sequence(ACTIONS[0], frames=40)
    frames = drop_frames_evenly(sequence, share, np.random.default_rng(0)).frame_index
    assert len(frames) == kept
    assert len(set(np.diff(frames).tolist())) == 1


@pytest.mark.parametrize("index", range(len(degradation_axes(Robustness()))))
def test_every_degradation_leaves_a_valid_sequence(index: int) -> None:
    axis = degradation_axes(Robustness())[index]
    for sequence in (
        a_sequence(ACTIONS[0]),
        without_people(a_sequence(ACTIONS[0])),
        a_sequence(ACTIONS[0], frames=1),
    ):
        for strength in axis.strengths:
            degraded = axis.degrade(sequence, strength, np.random.default_rng(0))
            assert len(degraded.frame_index) >= 1
            assert degraded.video_frames == sequence.video_frames


# Figures


def svg_of(figure: Figure) -> str:
    return to_svg(figure, "this")


def test_sixty_classes_have_different_looks() -> None:
    assert len({numbered_look(index) for index in range(60)}) == 60


@pytest.mark.parametrize("count", [2, 61])
def test_figures_show_the_exact_class_names(count: int) -> None:
    classes = [f"_class ${index}$ & <co>" for index in range(count)]
    label = np.arange(count)
    matrix = confusion_matrix(label, label[::-1], count)
    accuracy = np.where(label == 1, np.nan, 50.0)
    drawn = [
        svg_of(draw_confusion({"teacher": matrix, "student": matrix}, classes)),
        svg_of(draw_accuracy_by_class({"teacher": accuracy}, classes, [1] * count)),
        svg_of(draw_map({"teacher": np.zeros((count, 2))}, label, classes)),
    ]
    assert all("_class $0$ &amp; &lt;co&gt;" in svg for svg in drawn)


def test_the_gain_is_shown_beside_each_class() -> None:
    accuracy = {"baseline": np.array([20.0, 60.0, np.nan]), "student": np.array([50.0, 40.0, np.nan])}
    svg = svg_of(draw_accuracy_by_class(accuracy, ["a", "b", "c"], [10, 10, 0]))
    assert all(f">{text}<" in svg for text in ("+30", "-20", "no clip"))


def test_curves_are_drawn_unchanged() -> None:
    curves = {
        "teacher": [Curve({"task": 2.0}), Curve({"task": 1.0})],
        "student": [
            Curve({"task": 3.0, "kl": 0.5}, {"kl": -0.25}, {"kl": 0.75}),
            Curve({"task": 1.5, "kl": 0.25}, {"kl": 0.5}, {"kl": 0.0}),
        ],
    }
    task, kl = draw_losses(curves).axes
    assert [list(line.get_ydata()) for line in task.lines] == [[2, 1], [3, 1.5]]
    assert [list(line.get_ydata()) for line in kl.lines] == [[0.5, 0.25]]
    share, cosine = draw_conflicts({"student": curves["student"]}).axes
    assert list(share.lines[0].get_ydata()) == [75, 0]
    assert [-0.25, 0.5] in [list(line.get_ydata()) for line in cosine.lines]


def test_networks_are_drawn_at_their_cost() -> None:
    points = [
        CostPoint("r", "teacher", 90, 10**6, 2.0, Timing((0.008, 0.009, 0.007))),
        CostPoint("q", "student", 80, 10**5, 0.1, Timing((0.003, 0.005, 0.002))),
    ]
    gflops, milliseconds = draw_cost(points).axes
    for axes, expected in ((gflops, [(2, 90), (0.1, 80)]), (milliseconds, [(8, 90), (3, 80)])):
        assert [tuple(each.get_offsets()[0]) for each in axes.collections] == expected  # type: ignore[index]
    front, *others = milliseconds.lines
    assert [list(line.get_xdata()) for line in others if len(line.get_xdata()) == 2] == [[7, 9], [2, 5]]
    assert [tuple(point) for point in front.get_xydata()] == [(3, 80), (8, 90)]


def test_the_pareto_front_is_more_accurate_than_all_that_is_cheaper() -> None:
    cost, top1 = [3, 1, 2, 2, 4, 1], [70, 50, 60, 65, 69, 40]
    assert pareto_front(cost, top1) == [1, 3, 0]


# The HTML page


class PageReader(HTMLParser):
    """Collects references, ids and headings of a page; checks that elements are closed in order."""

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


def read_page(path: Path) -> PageReader:
    """Parse a page and check that it is self-contained."""
    text = path.read_text(encoding="utf-8")
    reader = PageReader()
    reader.feed(text)
    assert not reader.open
    assert len(set(reader.named)) == len({name for name, _ in reader.named})  # repeated for equal shapes
    ids = {f"#{name}" for name, _ in reader.named}
    assert all(each in ids or each.startswith("data:image/png;base64,") for each in reader.references)
    assert "@import" not in text
    return reader


def write_and_read(folder: Path, cache: PoseCache, output: Path, **options: object) -> PageReader:
    write_report(folder, cache, output, BRIEF, device=CPU, **options)  # type: ignore[arg-type]
    return read_page(output)


def test_a_complete_run_has_every_figure(run_folder: Path, cache: PoseCache, tmp_path: Path) -> None:
    output = tmp_path / "made" / "report.html"
    page = write_and_read(run_folder, cache, output, beside=[run_folder])
    assert page.headings == [
        "Summary", "Data check", "Accuracy against cost", "Accuracy by class", "Wrong clips",
        "Confusion matrices", "Calibration", "t-SNE of the logits", "Response by joint", "Robustness",
        "Learning curves", "Gradient conflicts", "Settings",
    ]  # fmt: skip
    text = output.read_text(encoding="utf-8")
    run = load_run(run_folder)
    wrong = sum(not each for each in run.results["student"].correct.values()) - run.results["student"].unseen
    assert text.count("<svg") == 7 + 2 + 2 + 2 * wrong
    for each in run.methods:
        assert f"{each.figures.parameters:,}" in text
        assert f">{each.figures.top1:.2f}</td>" in text
    assert len(shown_times(text)) == 2 * len(run.methods)
    assert [path.name for path in output.parent.iterdir()] == ["report.html"]


def test_the_page_shows_the_findings_of_the_data_check(
    run_folder: Path, cache: PoseCache, tmp_path: Path
) -> None:
    write_and_read(run_folder, cache, tmp_path / "report.html")
    source = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<code>skdpipe " in source
    text = html.unescape(source).replace("<code>", "`").replace("</code>", "`")
    report = check_data(cache, load_run(run_folder).experiment)
    assert f"Problems: {report.count('problem')}, warnings: {report.count('warning')}." in text
    for finding in report.findings:
        row = f'<tr class="{finding.level}"><td>{finding.name}</td><td>{finding.level}</td><td>{finding.text}'
        assert row in text
        assert f"<td>{finding.remedy}</td></tr>" in text
    assert "1 of 13 clips are without people" in text
    assert f"<small>{ACTIONS[0]} 99.mp4" in text


def shown_times(page: str) -> list[tuple[float, float, float]]:
    """Median, lowest and highest of each time in the tables of a page."""
    return [
        (float(median), float(low), float(high))
        for median, low, high in re.findall(r">([\d.]+) \[([\d.]+), ([\d.]+)\]</td>", page)
    ]


def test_two_identical_networks_have_times_that_overlap(
    run_folder: Path, cache: PoseCache, tmp_path: Path
) -> None:
    write_and_read(run_folder, cache, tmp_path / "report.html", beside=[run_folder])
    times = shown_times((tmp_path / "report.html").read_text(encoding="utf-8"))
    count = len(load_run(run_folder).methods)
    for (median, low, high), (_, other_low, other_high) in zip(times[:count], times[count:], strict=True):
        assert 0 < low <= median <= high
        assert low <= other_high
        assert other_low <= high


def test_the_page_is_reproducible_except_for_times(
    run_folder: Path, cache: PoseCache, tmp_path: Path
) -> None:
    def without_times(path: Path) -> str:
        write_and_read(run_folder, cache, path)
        text = path.read_text(encoding="utf-8")
        assert shown_times(text)
        text = re.sub(r'<section id="cost">.*?</section>', "", text, flags=re.DOTALL)
        return re.sub(r">[\d.]+ \[[\d.]+, [\d.]+\]</td>", "", text)

    assert without_times(tmp_path / "one.html") == without_times(tmp_path / "two.html")


@pytest.mark.parametrize("method", ["teacher", "baseline"])
def test_one_method_is_enough(cache: PoseCache, tmp_path: Path, method: str) -> None:
    folder = train_run(cache, tmp_path, methods=(method,), recipe=Recipe(epochs=1, batch=4))
    write_and_read(folder, cache, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "No gradient was revised" in text


def test_test_clips_without_people(tmp_path: Path) -> None:
    cache = PoseCache(tmp_path / "cache")
    for action in ACTIONS:
        for number in range(4):
            sequence = a_sequence(action, number, split="train" if number else "test")
            cache.save(sequence if number else without_people(sequence), "high", "eyes-1")
    folder = train_run(
        cache, tmp_path, methods=("baseline",), derive_low=Degradation(occlusion=0.3), recipe=Recipe(epochs=1)
    )
    write_and_read(folder, cache, tmp_path / "report.html")
    assert "No test clip contains the same person" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_names_are_text_and_not_markup(tmp_path: Path) -> None:
    cache = PoseCache(tmp_path / "cache")
    for action, label in zip(ACTIONS, ("<i>\"wave\"</i>\n& 'bow'", "</pre>$x$"), strict=True):
        for number in range(4):
            sequence = a_sequence(action, number, split="train" if number else "test", label=label)
            cache.save(sequence, "high", "eyes-1")
    folder = train_run(
        cache, tmp_path, name='<b>&"run', methods=("baseline",), derive_low=Degradation(occlusion=0.3),
        recipe=Recipe(epochs=1),
    )  # fmt: skip
    write_and_read(folder, cache, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<title>Report on the run &lt;b&gt;&amp;&#34;run</title>" in text
    assert "&lt;i&gt;&#34;wave&#34;&lt;/i&gt;\\n&amp; &#39;bow&#39;" in text  # in the table
    assert "&lt;i&gt;\"wave\"&lt;/i&gt;\\n&amp; 'bow'" in text  # in the figures
    assert "&lt;/pre&gt;$x$" in text
    assert "<i>" not in text
    assert "<b>" not in text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\n b\t", r"a\n b\t"),
        ("x" * 31, "x" * 29 + "…"),
        ("_a_", " _a_"),
        ("5$ $x$", r"5\$ \$x\$"),
        ("", ""),
    ],
)
def test_names_in_figures_are_one_short_line(text: str, expected: str) -> None:
    assert as_text(text) == expected


# Imports


def test_importing_the_report_imports_none_of_its_optional_packages() -> None:
    packages = {"torch", "matplotlib", "sklearn", "jinja2"}
    code = f"import sys, skdpipe.report; print(*{packages} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_a_missing_package_is_an_error_that_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        "skdpipe.errors.find_spec", lambda name: None if name in {"matplotlib", "jinja2"} else find_spec(name)
    )
    message = r'matplotlib, jinja2 not found.*pip install "skdpipe\[report\]"'
    with pytest.raises(MissingDependencyError, match=message):
        write_report(tmp_path, PoseCache(tmp_path), tmp_path / "report.html", BRIEF, device=CPU)


# Errors


def test_a_missing_cache_is_an_error(run_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no pose cache at .*nowhere; .* specify it with --cache"):
        write_and_read(run_folder, PoseCache(tmp_path / "nowhere"), tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def test_another_cache_is_refused(run_folder: Path, tmp_path: Path) -> None:
    other = fill(PoseCache(tmp_path / "cache"), of_each=9)
    with pytest.raises(DataError, match=r"not contain the clips of .*; expected 8 training and 5 test clips"):
        write_and_read(run_folder, other, tmp_path / "report.html")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (None, "no run at"),
        ("experiment: {}", "is not the config of a run"),
        ("- 1", "is not the config of a run"),
        (
            "experiment: {}\ndata: {classes: [a], high: a, low: b, clips: c, training_clips: 1,"
            " test_clips: 1}",
            "no trained method in",
        ),
    ],
)
def test_other_folders_are_refused(tmp_path: Path, config: str | None, message: str) -> None:
    if config is not None:
        (tmp_path / "config.yaml").write_text(config, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        load_run(tmp_path)


# The command

RunCommand = Callable[..., tuple[object, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> RunCommand:
    def run(*arguments: object) -> tuple[object, str, str]:
        monkeypatch.setattr(sys, "argv", ["skdpipe", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        return (end.value.code or 0, *capsys.readouterr())

    return run


def test_the_command_writes_into_the_runs_folder(run_folder: Path, cache: PoseCache, run: RunCommand) -> None:
    settings = (
        "--set",
        "robustness={occlusion: [0.5], frame_loss: [0.5], jitter: []}",
        "--set",
        "response_clips=0",
    )
    code, out, _ = run("report", run_folder, "--cache", cache.root, "--device", "cpu", *settings)
    assert (code, out) == (0, f"{run_folder / 'report.html'}\n")
    read_page(run_folder / "report.html")


def test_the_command_reports_a_missing_cache_in_one_line(
    run_folder: Path, run: RunCommand, tmp_path: Path
) -> None:
    code, out, message = run("report", run_folder, "--cache", tmp_path / "gone", "--device", "cpu")
    assert (code, out) == (1, "")
    assert len(message.splitlines()) == 1
