"""Unseen videos get their labels, and a bundle that does not fit is refused with the reason."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from moving_body import ACTIONS, BOX_PLUGIN, a_sequence, film, tiny_experiment

from skdpipe.bundle import Bundle, build_network, load_bundle, save_bundle
from skdpipe.cache import PoseCache
from skdpipe.config import (
    Augmentation,
    ClipFormat,
    Distillation,
    Estimator,
    Extraction,
    NetworkChoice,
    Recipe,
)
from skdpipe.distill import distill_student
from skdpipe.errors import BundleError, DataError, PoseError, VideoError
from skdpipe.extraction import extract_videos, open_sources
from skdpipe.extraction.video_list import find_videos
from skdpipe.inference import Predictor
from skdpipe.predict import newest_bundle
from skdpipe.skeleton import PENN_13, PoseSequence, map_layout

CPU = torch.device("cpu")
LOW = Estimator(plugin=BOX_PLUGIN, options={"shake": 1.0}, every=2)


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """From videos to a trained student, by the same steps as the commands."""
    folder = tmp_path_factory.mktemp("film")
    for split, numbers in (("train", range(4)), ("test", range(4, 6))):
        for action in ACTIONS:
            for number in numbers:
                film(folder / "videos" / split / action / f"{number}.mp4", action, number)
    cache = PoseCache(folder / "cache")
    sources = open_sources(Extraction(Estimator(plugin=BOX_PLUGIN), LOW), CPU)
    assert extract_videos(find_videos(folder / "videos"), sources, cache).done == 12
    network = NetworkChoice("st_2sgcn", width=8)
    recipe = Recipe(epochs=25, batch=4, learning_rate=0.1, warmup=1, augment=Augmentation())
    experiment = tiny_experiment(
        distillation=Distillation(node_variant="relative"),
        teacher=network,
        student=network,
        recipe=recipe,
        methods=("teacher", "student"),
    )
    result = distill_student(experiment, cache, folder / "models", device=CPU)
    return load_bundle(result.folder / "student.safetensors")


@pytest.fixture(scope="module")
def predictor(student: Bundle) -> Predictor:
    return Predictor(student, CPU, LOW)


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("number", [7, 8, 9])
def test_an_unseen_video_gets_its_label(
    predictor: Predictor, tmp_path: Path, action: str, number: int
) -> None:
    path = film(tmp_path / "clip.mp4", action, number)
    prediction = predictor.predict(path)
    assert prediction.label == action
    assert prediction.source == str(path)
    assert (prediction.people, prediction.frames) == (1, 6)  # every other of twelve
    labels, probabilities = zip(*prediction.probabilities, strict=True)
    assert sorted(labels) == sorted(ACTIONS)
    assert sum(probabilities) == pytest.approx(1, abs=1e-6)
    assert list(probabilities) == sorted(probabilities, reverse=True)


def test_seeing_and_classifying_is_predicting(predictor: Predictor, tmp_path: Path) -> None:
    path = film(tmp_path / "clip.mp4", ACTIONS[0], 7)
    seen = predictor.see(path, batch=5)
    assert seen.frame_index.tolist() == [0, 2, 4, 6, 8, 10]
    assert predictor.classify(seen) == predictor.predict(path)


def test_a_clip_without_people_gets_no_label(predictor: Predictor, tmp_path: Path) -> None:
    prediction = predictor.predict(film(tmp_path / "clip.mp4", ""))
    assert prediction.label is None
    assert prediction.probabilities == ()
    assert (prediction.people, prediction.frames) == (0, 6)


def test_smoothing_is_done_where_the_bundle_says_so(student: Bundle) -> None:
    """Smoothing by hand before an unsmoothing bundle gives what a smoothing bundle gives."""
    shaken = a_sequence(ACTIONS[0], 3)
    shaken.keypoints[5, 0, :, :2] += 9
    smoothing = Predictor(replace(student, clip=replace(student.clip, smoothing=3)), CPU, LOW)
    plain = Predictor(student, CPU, LOW)
    padded = np.pad(shaken.keypoints, ((1, 1), (0, 0), (0, 0), (0, 0)))
    seen = np.pad(np.ones(12), 1)
    total = sum(padded[shift : shift + 12] for shift in range(3))
    count = sum(seen[shift : shift + 12] for shift in range(3))
    by_hand = shaken.with_keypoints((total / count[:, None, None, None]).astype(np.float32))

    def log_odds(predictor: Predictor, sequence: PoseSequence) -> float:
        """Unlike probabilities they still move where the network is sure."""
        probability = dict(predictor.classify(sequence).probabilities)
        return float(np.log(probability[ACTIONS[0]] / probability[ACTIONS[1]]))

    assert log_odds(smoothing, shaken) == pytest.approx(log_odds(plain, by_hand), abs=1e-2)
    assert abs(log_odds(smoothing, shaken) - log_odds(plain, shaken)) > 0.1


def test_skeletons_of_another_layout_are_mapped_if_they_can_be(predictor: Predictor) -> None:
    with pytest.raises(DataError, match="layout penn-13 has no nose"):
        predictor.classify(map_layout(a_sequence(ACTIONS[0]), PENN_13))
    torch.manual_seed(0)
    choice = NetworkChoice("st_2sgcn", width=4)
    coarse = Bundle(
        build_network(choice, ClipFormat(layout="penn-13"), 2),
        choice,
        ACTIONS,
        ClipFormat(frames=8, layout="penn-13"),
        "",
    )
    by_name = Predictor(coarse, CPU, Estimator(plugin=BOX_PLUGIN))
    mapped = map_layout(a_sequence(ACTIONS[0]), PENN_13)
    assert by_name.classify(a_sequence(ACTIONS[0])) == by_name.classify(mapped)


# Refusals


def test_a_changed_estimator_is_refused(student: Bundle, tmp_path: Path) -> None:
    expected = (
        r"^the bundle was trained with 'older box', but the estimator found here is 'box shake=1\.0'; "
        r"put the right weights in place or train again$"
    )
    older = replace(student, fingerprint="older box")
    with pytest.raises(BundleError, match=expected):
        Predictor(older, CPU, LOW)
    another = Predictor(older, CPU, Estimator(plugin=BOX_PLUGIN))  # at one's own risk
    assert another.predict(film(tmp_path / "clip.mp4", ACTIONS[0], 8)).frames == 12


@pytest.mark.parametrize("pickled", [False, True])
def test_a_bundle_runs_no_code_by_itself(student: Bundle, tmp_path: Path, pickled: bool) -> None:
    weights = tmp_path / "weights.pkl"
    weights.write_bytes(b"")
    theirs = Estimator(backbone="resnet18", weights=str(weights)) if pickled else LOW
    expected = r"^the bundle's estimator is code outside skdpipe \(.*\).*name it with --estimator FILE$"
    with pytest.raises(BundleError, match=expected):
        Predictor(replace(student, estimator=theirs), CPU)


def test_a_bundle_of_imported_skeletons_needs_an_estimator(student: Bundle, tmp_path: Path) -> None:
    imported = replace(student, estimator=None, fingerprint="penn-action annotation")
    expected = r"imported \(penn-action annotation\) and names no estimator; .* with --estimator FILE$"
    with pytest.raises(BundleError, match=expected):
        Predictor(imported, CPU)
    prediction = Predictor(imported, CPU, Estimator(plugin=BOX_PLUGIN)).predict(
        film(tmp_path / "clip.mp4", ACTIONS[1], 7)
    )
    assert (prediction.label, prediction.frames) == (ACTIONS[1], 12)  # its own sampling


PENN_BOX = """
from moving_body import BoxEstimator
from skdpipe.skeleton import PENN_13
class PennBox(BoxEstimator):
    layout = PENN_13
"""


def test_an_estimator_whose_joints_do_not_fit_is_refused_at_once(student: Bundle, tmp_path: Path) -> None:
    (tmp_path / "penn_box.py").write_text(PENN_BOX)
    expected = "^the estimator's skeletons do not fit the bundle: layout penn-13 has no nose, left_eye"
    with pytest.raises(BundleError, match=expected):
        Predictor(student, CPU, Estimator(plugin=f"{tmp_path}/penn_box.py:PennBox"))


def test_an_estimator_that_cannot_be_had_is_named(student: Bundle) -> None:
    with pytest.raises(PoseError, match=r"cannot load the estimator plugin 'nowhere\.py:Box'"):
        Predictor(student, CPU, Estimator(plugin="nowhere.py:Box"))


def test_a_broken_video_is_named(predictor: Predictor, tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    with pytest.raises(VideoError, match=r"broken\.mp4"):
        predictor.predict(tmp_path / "broken.mp4")
    with pytest.raises(VideoError, match=r"gone\.mp4: no such file"):
        predictor.predict(tmp_path / "gone.mp4")


# The newest bundle


def test_the_newest_student_is_taken(student: Bundle, tmp_path: Path) -> None:
    for age, name in enumerate(("new", "old", "older")):
        path = tmp_path / name / "student.safetensors"
        save_bundle(student, path)
        os.utime(path, (1e9 - age, 1e9 - age))
    save_bundle(student, tmp_path / "teachers" / "teacher.safetensors")
    assert newest_bundle(tmp_path) == tmp_path / "new" / "student.safetensors"


def test_without_a_student_there_is_nothing_to_predict_with(tmp_path: Path) -> None:
    expected = f"^no trained student under {tmp_path}; run `skdpipe distill` or name one with --bundle$"
    with pytest.raises(BundleError, match=expected):
        newest_bundle(tmp_path)


def test_a_clip_format_of_more_people_follows_more(student: Bundle, tmp_path: Path) -> None:
    three = replace(student, clip=ClipFormat(frames=8, people=3))
    assert Predictor(three, CPU, LOW).see(film(tmp_path / "clip.mp4", ACTIONS[0])).people == 3
