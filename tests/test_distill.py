"""Whole runs: files, interruption, given teachers, unpaired and unlabelled clips, metadata of bundles."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from distillation_setup import CPU, TINY, InterruptionError, equal_states, interrupt_at, state_of
from moving_body import ACTIONS, BOX_PLUGIN, a_sequence, blurred, fill, tiny_experiment
from recording_progress import RecordingProgress
from torch import Tensor

from skdpipe.bundle import Bundle, load_bundle
from skdpipe.cache import PoseCache
from skdpipe.config import (
    Augmentation,
    ClipFormat,
    Degradation,
    Distillation,
    Experiment,
    LabelShares,
    NetworkChoice,
    OpenPifPafSettings,
    PluginSettings,
    Recipe,
    to_plain,
)
from skdpipe.distill import METHODS, DistillationResult, distill_student, method_named
from skdpipe.distill.training_state import Curve
from skdpipe.errors import BundleError, ConfigError, DataError
from skdpipe.predict import load_predictor


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> PoseCache:
    return fill(PoseCache(tmp_path_factory.mktemp("cache")))


def trained(progress: RecordingProgress) -> list[str]:
    """The titles of the methods that were trained."""
    return [task.name.removeprefix("training ") for task in progress.tasks]


def interrupted(title: str, epoch: float) -> RecordingProgress:
    """A display that raises `InterruptionError` in the training of a method."""
    return RecordingProgress(interrupt_at(epoch, f"training {title}"))


def training_steps(progress: RecordingProgress) -> dict[str, int]:
    """The number of steps of each training."""
    trainings = [task for task in progress.tasks if task.name.startswith("training ")]
    return {task.name.removeprefix("training "): len(task.updates) for task in trainings}


NAMES = tuple(method.name for method in METHODS)
TITLES = [method.title for method in METHODS]
EXPERIMENT = tiny_experiment(methods=NAMES, recipe=Recipe(epochs=2, batch=4, augment=Augmentation()))


@pytest.fixture(scope="module")
def finished(cache: PoseCache, tmp_path_factory: pytest.TempPathFactory) -> DistillationResult:
    return distill_student(EXPERIMENT, cache, tmp_path_factory.mktemp("models"), device=CPU)


def weights_of(folder: Path, method: str) -> dict[str, Tensor]:
    return state_of(load_bundle(folder / f"{method}.safetensors").network)


def test_a_run_leaves_a_bundle_for_each_method_its_config_and_its_results(
    finished: DistillationResult,
) -> None:
    folder = finished.folder
    assert {path.name for path in folder.iterdir()} == {
        "config.yaml",
        "results.json",
        *(
            f"{method}{suffix}"
            for method in EXPERIMENT.methods
            for suffix in (".safetensors", ".predictions.json", ".card.md")
        ),
    }
    written = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    assert written["experiment"] == to_plain(EXPERIMENT)
    assert (written["data"]["training_clips"], written["data"]["test_clips"]) == (8, 4)
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    assert list(results) == list(finished.figures) == list(EXPERIMENT.methods)
    for method, figures in finished.figures.items():
        bundle = load_bundle(folder / f"{method}.safetensors")
        assert bundle.metadata.classes == ACTIONS
        assert results[method]["figures"] == bundle.metadata.run["figures"] == asdict(figures)
        assert results[method]["curves"] == bundle.metadata.run["curves"]
        assert len(bundle.metadata.run["curves"]) == 2
        assert bundle.metadata.run["versions"]["torch"] == torch.__version__
        assert bundle.metadata.run["experiment"] == to_plain(EXPERIMENT)
        assert bundle.metadata.fingerprint == ("eyes" if method == "teacher" else "squint")
        assert bundle.metadata.estimator is None  # imported
    assert results["student"]["curves"][0]["losses"].keys() == {"task", "kl", "node", "edge"}
    assert results["baseline"]["curves"][0]["losses"].keys() == {"task"}


def test_prediction_by_the_bundles_has_the_accuracy_of_the_run(
    finished: DistillationResult, cache: PoseCache
) -> None:
    """With smoothing and everything else from the bundle alone."""
    for method, figures in finished.figures.items():
        bundle = finished.folder / f"{method}.safetensors"
        predictor = load_predictor(bundle, estimator=PluginSettings(plugin=BOX_PLUGIN))
        test = finished.manifest.part(train=False)
        paths = [clip.high if method == "teacher" else clip.low for clip in test]
        correct = [
            predictor.predict(cache.load(path)).label == clip.label
            for path, clip in zip(paths, test, strict=True)
        ]
        assert 100 * np.mean(correct) == pytest.approx(figures.top1)


def test_bundles_smooth_as_in_training(finished: DistillationResult) -> None:
    windows = {m: load_bundle(finished.folder / f"{m}.safetensors").metadata.clip.smoothing for m in NAMES}
    assert windows == {
        "teacher": 1, "baseline": 1, "smoothed": 3, "student": 1, "student_smoothed": 3,
    }  # fmt: skip


def test_a_second_call_trains_nothing(finished: DistillationResult, cache: PoseCache) -> None:
    progress = RecordingProgress()
    before = {path: path.stat().st_mtime_ns for path in finished.folder.glob("*.safetensors")}
    again = distill_student(EXPERIMENT, cache, finished.folder.parent, device=CPU, progress=progress)
    assert trained(progress) == []
    assert again.figures == finished.figures
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_forests_are_tested_beside_the_networks(cache: PoseCache, tmp_path: Path) -> None:
    experiment = replace(EXPERIMENT, methods=("teacher",), classical=True)
    progress = RecordingProgress()
    result = distill_student(experiment, cache, tmp_path, device=CPU, progress=progress)
    assert list(result.results) == ["teacher", "forest_high", "forest_low"]
    assert list(result.figures) == ["teacher"]
    assert result.results["forest_high"].label == result.results["teacher"].label
    assert result.results["forest_high"].top1.estimate == 100
    assert "random forests" in [task.name.removeprefix("training ") for task in progress.tasks]
    again = RecordingProgress()
    assert distill_student(experiment, cache, tmp_path, device=CPU, progress=again).results == result.results
    assert again.tasks == []
    without = replace(experiment, classical=False)  # the same run
    assert list(distill_student(without, cache, tmp_path, device=CPU).results) == ["teacher"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"recipe": Recipe(epochs=9, batch=4, augment=Augmentation())},
            "experiment.recipe.epochs 2, expected 9",
        ),
        ({"seed": 5}, "experiment.seed 0, expected 5"),
        (
            {"derive_low": Degradation(every=2)},
            "experiment.derive_low None, expected {'noise': None, 'every': 2",
        ),
    ],
)
def test_a_folder_holds_one_run(
    finished: DistillationResult, cache: PoseCache, changes: dict[str, object], expected: str
) -> None:
    with pytest.raises(DataError) as caught:
        distill_student(replace(EXPERIMENT, **changes), cache, finished.folder.parent, device=CPU)
    assert str(caught.value).startswith(f"{finished.folder} contains a run with {expected}")
    assert "choose another name with --set name=NAME, or delete the folder" in str(caught.value)


def test_a_run_of_an_earlier_version_continues(
    finished: DistillationResult, cache: PoseCache, tmp_path: Path
) -> None:
    """New settings have their defaults, renamed ones are read; other values are another run."""
    folder = tmp_path / finished.folder.name
    shutil.copytree(finished.folder, folder)
    config = yaml.safe_load((folder / "config.yaml").read_text())
    del config["experiment"]["validation"], config["experiment"]["distillation"]["teacher_cache_megabytes"]
    config["experiment"]["distillation"]["revision"] = True
    config["experiment"]["clip"]["scale"] = "body"
    config["experiment"]["distillation"]["fresh_views"] = config["experiment"]["distillation"].pop(
        "resample_degradation"
    )
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    assert distill_student(EXPERIMENT, cache, tmp_path, device=CPU).figures == finished.figures
    other = replace(EXPERIMENT, distillation=replace(EXPERIMENT.distillation, teacher_cache_megabytes=5))
    with pytest.raises(
        DataError, match=r"contains a run with experiment\.\S+teacher_cache_megabytes 1000, expected 5"
    ):
        distill_student(other, cache, tmp_path, device=CPU)


def test_a_folder_holds_one_set_of_clips(finished: DistillationResult, tmp_path: Path) -> None:
    other = fill(PoseCache(tmp_path), of_each=9)
    with pytest.raises(DataError, match=r"contains a run with data\.training_clips 8, expected 12"):
        distill_student(EXPERIMENT, other, finished.folder.parent, device=CPU)


def test_settings_may_change_before_anything_is_trained(cache: PoseCache, tmp_path: Path) -> None:
    diverging = replace(
        EXPERIMENT, recipe=replace(EXPERIMENT.recipe, learning_rate=1e18), methods=("teacher",)
    )
    with pytest.raises(DataError, match="training diverged"):
        distill_student(diverging, cache, tmp_path, device=CPU)
    corrected = replace(EXPERIMENT, methods=("teacher",))
    assert list(distill_student(corrected, cache, tmp_path, device=CPU).figures) == ["teacher"]


@pytest.mark.parametrize(("method", "epoch"), [("teacher", 1.5), ("smoothed", 0.5), ("student", 1.5)])
def test_an_interrupted_run_gives_the_same_result(
    finished: DistillationResult, cache: PoseCache, tmp_path: Path, method: str, epoch: float
) -> None:
    with pytest.raises(InterruptionError):
        distill_student(
            EXPERIMENT, cache, tmp_path, device=CPU, progress=interrupted(method_named(method).title, epoch)
        )
    progress = RecordingProgress()
    resumed = distill_student(EXPERIMENT, cache, tmp_path, device=CPU, progress=progress)
    assert trained(progress) == TITLES[NAMES.index(method) :]
    for each in NAMES:
        assert equal_states(weights_of(resumed.folder, each), weights_of(finished.folder, each))
        curves = [
            [Curve(**curve) for curve in load_bundle(f / f"{each}.safetensors").metadata.run["curves"]]
            for f in (resumed.folder, finished.folder)
        ]
        assert curves[0] == curves[1]
    assert not list(resumed.folder.glob("*.state"))


def test_results_are_written_again_after_a_killed_process(
    finished: DistillationResult, cache: PoseCache
) -> None:
    """Killed after the bundle and before the results were written."""
    path = finished.folder / "results.json"
    whole = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({name: whole[name] for name in whole if name != "smoothed"}), encoding="utf-8")
    (finished.folder / "smoothed.state").write_bytes(b"left over")
    distill_student(EXPERIMENT, cache, finished.folder.parent, device=CPU)
    assert json.loads(path.read_text(encoding="utf-8")) == whole
    assert not (finished.folder / "smoothed.state").exists()


KILLED = """
import json, os, signal, sys, torch
from contextlib import contextmanager
from pathlib import Path
from skdpipe.cache import PoseCache
from skdpipe.config import Experiment, parse_config
from skdpipe.distill import distill_student
from skdpipe.progress import Progress, Task

class Killing(Task):
    def advance_to(self, done, note=""):
        if done >= 1.5:
            os.kill(os.getpid(), signal.SIGKILL)

class KillingProgress(Progress):
    @contextmanager
    def task(self, name, total=None, *, unit=""):
        yield Killing() if name == "training SKD" else Task()

torch.set_num_threads(int(sys.argv[4]))  # sums in the same order
experiment = parse_config(Experiment, json.loads(sys.argv[3]), "test")
cache, models = PoseCache(Path(sys.argv[1])), Path(sys.argv[2])
distill_student(experiment, cache, models, device=torch.device("cpu"), progress=KillingProgress(quiet=True))
"""


def test_a_killed_run_continues(finished: DistillationResult, cache: PoseCache, tmp_path: Path) -> None:
    settings, threads = json.dumps(to_plain(EXPERIMENT)), str(torch.get_num_threads())
    command = [sys.executable, "-c", KILLED, str(cache.root), str(tmp_path), settings, threads]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    progress = RecordingProgress()
    resumed = distill_student(EXPERIMENT, cache, tmp_path, device=CPU, progress=progress)
    assert trained(progress) == ["SKD", "SKD*"]
    for method in NAMES:
        assert equal_states(weights_of(resumed.folder, method), weights_of(finished.folder, method))


# Given teachers, and parts of a run


def test_a_trained_teacher_can_be_given(
    finished: DistillationResult, cache: PoseCache, tmp_path: Path
) -> None:
    given = finished.folder / "teacher.safetensors"
    progress = RecordingProgress()
    result = distill_student(EXPERIMENT, cache, tmp_path, device=CPU, teacher=given, progress=progress)
    assert trained(progress) == ["LQS-S", "LQS-SWA-S", "SKD", "SKD*"]
    assert equal_states(weights_of(result.folder, "teacher"), weights_of(finished.folder, "teacher"))
    assert equal_states(weights_of(result.folder, "student"), weights_of(finished.folder, "student"))
    assert result.figures["teacher"].top1 == finished.figures["teacher"].top1
    assert "teacher" in json.loads((result.folder / "results.json").read_text(encoding="utf-8"))
    distill_student(
        EXPERIMENT, cache, tmp_path, device=CPU, teacher=given, progress=(again := RecordingProgress())
    )
    assert trained(again) == []
    with pytest.raises(DataError, match=r"contains a run with data\.teacher \w+, expected None"):
        distill_student(EXPERIMENT, cache, tmp_path, device=CPU)


@pytest.mark.parametrize(
    ("method", "changes", "expected"),
    [
        ("student", {}, "was trained for the skeletons of squint; expected eyes"),
        ("teacher", {"clip": ClipFormat(frames=9)}, r"was trained for clips ClipFormat\(frames=8.*frames=9"),
    ],
)
def test_a_teacher_that_does_not_fit_is_rejected(
    finished: DistillationResult,
    cache: PoseCache,
    tmp_path: Path,
    method: str,
    changes: dict[str, object],
    expected: str,
) -> None:
    given = finished.folder / f"{method}.safetensors"
    with pytest.raises(BundleError, match=expected):
        distill_student(replace(EXPERIMENT, **changes), cache, tmp_path, device=CPU, teacher=given)
    assert not list(tmp_path.iterdir())


def test_a_teacher_of_other_classes_is_rejected(finished: DistillationResult, tmp_path: Path) -> None:
    cache = fill(PoseCache(tmp_path / "cache"))
    for number, split in enumerate(("train", "test")):
        clip = a_sequence("sideways", 90 + number, split=split, label="turn")
        cache.save(clip, "high", "eyes-1")
        cache.save(clip, "low", "squint-1")
    with pytest.raises(
        BundleError, match="classes sideways, up and down; expected sideways, turn, up and down"
    ):
        distill_student(
            EXPERIMENT, cache, tmp_path, device=CPU, teacher=finished.folder / "teacher.safetensors"
        )


def test_a_student_needs_a_teacher(cache: PoseCache, tmp_path: Path) -> None:
    alone = replace(EXPERIMENT, methods=("baseline", "student"))
    expected = "^methods baseline, student train a student without a teacher; add teacher to the methods, or"
    with pytest.raises(DataError, match=expected):
        distill_student(alone, cache, tmp_path, device=CPU)
    assert not list(tmp_path.iterdir())


def test_methods_may_be_trained_in_several_runs_and_any_order(
    finished: DistillationResult, cache: PoseCache, tmp_path: Path
) -> None:
    first = distill_student(replace(EXPERIMENT, methods=("student", "teacher")), cache, tmp_path, device=CPU)
    assert list(first.figures) == ["teacher", "student"]
    assert first.recovered_gap is None
    later = distill_student(replace(EXPERIMENT, methods=("baseline",)), cache, tmp_path, device=CPU)
    assert list(later.figures) == ["baseline"]
    results = json.loads((first.folder / "results.json").read_text(encoding="utf-8"))
    assert set(results) == {"teacher", "baseline", "student"}
    for method in results:
        assert equal_states(weights_of(first.folder, method), weights_of(finished.folder, method))


@pytest.mark.parametrize("name", ["st_sgcn", "st_2sgcn"])
def test_a_smaller_student_of_another_width(cache: PoseCache, tmp_path: Path, name: str) -> None:
    small = replace(
        EXPERIMENT,
        teacher=NetworkChoice("st_gcn", width=6),
        student=NetworkChoice(name, width=4),
        distillation=Distillation(adaptation=False),  # used nevertheless: 16 channels are not 24
        methods=("teacher", "student"),
    )
    result = distill_student(small, cache, tmp_path, device=CPU)
    student = load_bundle(result.folder / "student.safetensors")
    assert (student.metadata.choice.name, student.metadata.choice.width) == (name, 4)
    assert len(student.network.blocks) == {"st_sgcn": 7, "st_2sgcn": 4}[name]
    assert not any(key.startswith("adaptation") for key in student.network.state_dict())
    assert result.figures["student"].parameters < result.figures["teacher"].parameters


def test_without_adaptation_networks_of_equal_width_are_compared_directly(
    cache: PoseCache, tmp_path: Path
) -> None:
    plain = replace(EXPERIMENT, distillation=Distillation(adaptation=False), methods=("teacher", "student"))
    assert set(distill_student(plain, cache, tmp_path, device=CPU).figures) == {"teacher", "student"}


def test_unpaired_clips_train_the_methods_of_their_quality(tmp_path: Path) -> None:
    cache = fill(PoseCache(tmp_path / "cache"))
    for number in range(60, 72):  # three times as many batches of low quality only as of pairs
        for action in ACTIONS:
            cache.save(blurred(a_sequence(action, number, split="train")), "low", "squint-1")
    for number in (90, 91):
        cache.save(a_sequence("sideways", number, split="train"), "high", "eyes-1")
    steps = {}
    for unpaired in (False, True):
        experiment = replace(EXPERIMENT, name=f"unpaired {unpaired}", unpaired=unpaired)
        progress = RecordingProgress()
        result = distill_student(experiment, cache, tmp_path, device=CPU, progress=progress)
        steps[unpaired] = training_steps(progress)
        assert len(result.figures) == len(METHODS)
        written = yaml.safe_load((result.folder / "config.yaml").read_text())["data"]
        assert (written["training_clips"], written["test_clips"]) == (8 + 26 * unpaired, 4)
    assert steps[False] == dict.fromkeys(TITLES, 4)  # two epochs of 8 / 4
    assert steps[True] == {**dict.fromkeys(TITLES, 16), "HQS-T": 6}  # of 10 / 4 and 32 / 4


def test_each_method_trains_on_the_clips_that_it_can_use(tmp_path: Path) -> None:
    cache = fill(PoseCache(tmp_path / "cache"), of_each=18)  # 24 training clips: six batches of four
    for number in range(50, 58):
        unlabelled = a_sequence("sideways", number, label=None)
        cache.save(unlabelled, "high", "eyes-1")
        cache.save(blurred(unlabelled), "low", "squint-1")
    labels = LabelShares(high=0.5, low=0.34)
    experiment = replace(EXPERIMENT, unlabelled=True, labels=labels)
    progress, without_losses = RecordingProgress(), RecordingProgress()
    distill_student(experiment, cache, tmp_path, device=CPU, progress=progress)
    assert training_steps(progress) == {
        "HQS-T": 6,
        "LQS-S": 4,
        "LQS-SWA-S": 4,
        "SKD": 16,
        "SKD*": 16,
    }  # of 12, 8 and 32
    no_losses = replace(
        experiment,
        name="no losses",
        methods=("teacher", "student"),
        distillation=Distillation(kl=0, node=0, edge=0),
    )
    distill_student(no_losses, cache, tmp_path, device=CPU, progress=without_losses)
    assert training_steps(without_losses) == {"HQS-T": 6, "SKD": 4}


def test_an_unknown_layout_is_rejected_before_anything_is_written(cache: PoseCache, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no layout 'coco-18'"):
        distill_student(replace(EXPERIMENT, clip=ClipFormat(layout="coco-18")), cache, tmp_path, device=CPU)
    assert not list(tmp_path.iterdir())


# Metadata for prediction


def extracted(cache: PoseCache, every: int) -> PoseCache:
    """Skeletons with the settings of the estimator, as written by `extract`."""
    fill(cache)
    settings = to_plain(OpenPifPafSettings(backbone="resnet18", weights="somewhere", every=every))
    (cache.root / "high/eyes-1/estimator.yaml").write_text(yaml.safe_dump(settings))
    return cache


def bundles(result: DistillationResult) -> dict[str, Bundle]:
    return {method: load_bundle(result.folder / f"{method}.safetensors") for method in result.figures}


def test_a_bundle_contains_its_estimator(tmp_path: Path) -> None:
    cache = extracted(PoseCache(tmp_path / "cache"), every=1)
    by = bundles(distill_student(EXPERIMENT, cache, tmp_path, device=CPU))
    assert by["teacher"].metadata.estimator == OpenPifPafSettings(backbone="resnet18", weights="somewhere")
    assert by["student"].metadata.estimator is None


def test_frames_dropped_in_training_are_dropped_in_prediction(tmp_path: Path) -> None:
    cache = extracted(PoseCache(tmp_path / "cache"), every=2)
    derived = replace(EXPERIMENT, derive_low=Degradation(every=3, occlusion=0.1))
    by = bundles(distill_student(derived, cache, tmp_path, device=CPU))
    assert {
        method: bundle.metadata.estimator.every for method, bundle in by.items() if bundle.metadata.estimator
    } == {
        "teacher": 2,
        "baseline": 6,
        "smoothed": 6,
        "student": 6,
        "student_smoothed": 6,
    }
    assert {bundle.metadata.fingerprint for bundle in by.values()} == {"eyes"}


def test_a_run_may_have_any_folder_name(cache: PoseCache, tmp_path: Path) -> None:
    named: Experiment = replace(EXPERIMENT, name="été [2024] :car:", methods=("baseline",))
    assert distill_student(named, cache, tmp_path, device=CPU).folder == tmp_path / "été [2024] :car:"


def test_a_warm_start_copies_the_teachers_weights(cache: PoseCache, tmp_path: Path) -> None:
    recipe = Recipe(epochs=1, batch=4, learning_rate=1e-9, momentum=0, weight_decay=0)
    warm = tiny_experiment(recipe=recipe, distillation=Distillation(warm_start=True))
    folder = distill_student(
        replace(warm, methods=("teacher", "student")), cache, tmp_path, device=CPU
    ).folder
    teacher, student = (weights_of(folder, method) for method in ("teacher", "student"))
    for name, value in student.items():
        if "running" not in name and "tracked" not in name:
            torch.testing.assert_close(value, teacher[name], rtol=0, atol=1e-5)


def test_a_warm_start_needs_weights_that_the_teacher_has(cache: PoseCache, tmp_path: Path) -> None:
    other = tiny_experiment(distillation=Distillation(warm_start=True), student=replace(TINY, width=6))
    with pytest.raises(DataError, match=r"the teacher has no weight blocks\.1\S+ of the student's shape"):
        distill_student(other, cache, tmp_path, device=CPU)
    assert not list(tmp_path.iterdir())  # before the teacher is trained


def test_a_warm_start_of_a_smaller_network(cache: PoseCache, tmp_path: Path) -> None:
    still = Recipe(epochs=1, batch=4, learning_rate=1e-9, momentum=0, weight_decay=0)
    warm = tiny_experiment(
        recipe=still,
        teacher=replace(TINY, name="st_gcn"),
        distillation=Distillation(warm_start=True),
        methods=("teacher", "student"),
    )
    folder = distill_student(warm, cache, tmp_path, device=CPU).folder
    teacher, student = (weights_of(folder, method) for method in ("teacher", "student"))
    torch.testing.assert_close(
        student["blocks.8.temporal.2.weight"], teacher["blocks.8.temporal.2.weight"], rtol=0, atol=1e-5
    )


def test_networks_with_different_joints_are_compared_by_pooled_features(
    cache: PoseCache, tmp_path: Path
) -> None:
    recipe, student = Recipe(epochs=1, batch=4), NetworkChoice("dd_net", width=4)
    with pytest.raises(ConfigError, match="features have 1 joints, the teacher's 17"):
        distill_student(
            tiny_experiment(recipe=recipe, student=student), cache, tmp_path / "vertices", device=CPU
        )
    assert not list(tmp_path.rglob("*.safetensors"))
    settings = Distillation(pooled=True)
    experiment = tiny_experiment(recipe=recipe, student=student, distillation=settings)
    folder = distill_student(experiment, cache, tmp_path / "pooled", device=CPU).folder
    (curve,) = load_bundle(folder / "student.safetensors").metadata.run["curves"]
    assert curve["losses"].keys() == {"task", "kl", "node", "edge"}
    assert min(curve["losses"].values()) > 0


def test_a_dd_net_is_distilled_from_a_wider_one(cache: PoseCache, tmp_path: Path) -> None:
    experiment = tiny_experiment(
        teacher=NetworkChoice("dd_net", width=6),
        student=NetworkChoice("dd_net", width=4, dropout=0.1),
        clip=ClipFormat(frames=16),
        recipe=Recipe(epochs=2, batch=4, optimiser="adamw", learning_rate=0.002, clip_gradients=1.0),
        distillation=Distillation(node_variant="relative"),
    )
    folder = distill_student(experiment, cache, tmp_path, device=CPU).folder
    curves = load_bundle(folder / "student.safetensors").metadata.run["curves"]
    assert [curve["losses"].keys() for curve in curves] == [{"task", "kl", "node", "edge"}] * 2
    assert all(curve["losses"]["edge"] > 0 for curve in curves)
