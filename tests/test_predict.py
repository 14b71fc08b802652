"""Prediction: labels of new videos, frames and pose sequences, and bundles that are refused."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch
from moving_body import ACTIONS, BOX_PLUGIN, a_sequence, tiny_experiment, write_action_video

from skdpipe.bundle import Bundle, build_network, load_bundle, save_bundle
from skdpipe.cache import PoseCache
from skdpipe.config import (
    Augmentation,
    ClipFormat,
    Distillation,
    Extraction,
    NetworkChoice,
    OpenPifPafSettings,
    PluginSettings,
    Recipe,
)
from skdpipe.distill import distill_student
from skdpipe.errors import BundleError, DataError, PoseError, VideoError
from skdpipe.extraction import extract_videos, open_sources
from skdpipe.extraction.video_list import find_videos
from skdpipe.inference import BundleMetadata, Predictor
from skdpipe.predict import load_predictor, newest_bundle
from skdpipe.skeleton import PENN_13, PoseSequence, map_layout
from skdpipe.video import read_frames

CPU = torch.device("cpu")
LOW = PluginSettings(plugin=BOX_PLUGIN, options={"shake": 1.0}, every=2)


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """From videos to a trained student, by the same steps as the commands."""
    folder = tmp_path_factory.mktemp("videos")
    for split, numbers in (("train", range(4)), ("test", range(4, 6))):
        for action in ACTIONS:
            for number in numbers:
                write_action_video(folder / "videos" / split / action / f"{number}.mp4", action, number)
    cache = PoseCache(folder / "cache")
    sources = open_sources(Extraction(PluginSettings(plugin=BOX_PLUGIN), LOW), CPU)
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


def changed(bundle: Bundle, **changes: object) -> Bundle:
    """The bundle with other metadata."""
    return replace(bundle, metadata=replace(bundle.metadata, **changes))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def predictor(student: Bundle) -> Predictor:
    return load_predictor(student, estimator=LOW)


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("number", [7, 8, 9])
def test_an_unseen_video_gets_its_label(
    predictor: Predictor, tmp_path: Path, action: str, number: int
) -> None:
    path = write_action_video(tmp_path / "clip.mp4", action, number)
    prediction = predictor.predict(path)
    assert prediction.label == action
    assert prediction.source == str(path)
    assert (prediction.people, prediction.frames) == (1, 6)  # every other of twelve
    labels, probabilities = zip(*prediction.probabilities, strict=True)
    assert sorted(labels) == sorted(ACTIONS)
    assert sum(probabilities) == pytest.approx(1, abs=1e-6)
    assert list(probabilities) == sorted(probabilities, reverse=True)


def test_poses_can_be_estimated_and_labelled_in_two_steps(predictor: Predictor, tmp_path: Path) -> None:
    path = write_action_video(tmp_path / "clip.mp4", ACTIONS[0], 7)
    seen = predictor.estimate_poses(path)
    assert seen.frame_index.tolist() == [0, 2, 4, 6, 8, 10]
    assert predictor.predict(seen) == predictor.predict(path)


def test_a_clip_without_people_gets_no_label(predictor: Predictor, tmp_path: Path) -> None:
    prediction = predictor.predict(write_action_video(tmp_path / "clip.mp4", ""))
    assert prediction.label is None
    assert prediction.probabilities == ()
    assert (prediction.people, prediction.frames) == (0, 6)


def test_a_bundle_trained_on_smoothed_clips_smooths(student: Bundle) -> None:
    """Smoothing by hand before an unsmoothing bundle gives what a smoothing bundle gives."""
    noisy = a_sequence(ACTIONS[0], 3)
    noisy.keypoints[5, 0, :, :2] += 9
    smoothing = load_predictor(
        changed(student, clip=replace(student.metadata.clip, smoothing=3)), estimator=LOW
    )
    plain = load_predictor(student, estimator=LOW)
    padded = np.pad(noisy.keypoints, ((1, 1), (0, 0), (0, 0), (0, 0)))
    seen = np.pad(np.ones(12), 1)
    total = sum(padded[shift : shift + 12] for shift in range(3))
    count = sum(seen[shift : shift + 12] for shift in range(3))
    by_hand = noisy.with_keypoints((total / count[:, None, None, None]).astype(np.float32))

    def log_odds(predictor: Predictor, sequence: PoseSequence) -> float:
        """Unlike probabilities they do not saturate."""
        probability = dict(predictor.predict(sequence).probabilities)
        return float(np.log(probability[ACTIONS[0]] / probability[ACTIONS[1]]))

    assert log_odds(smoothing, noisy) == pytest.approx(log_odds(plain, by_hand), abs=1e-2)
    assert abs(log_odds(smoothing, noisy) - log_odds(plain, noisy)) > 0.1


def test_skeletons_of_another_layout_are_mapped_if_they_can_be(predictor: Predictor) -> None:
    with pytest.raises(DataError, match="layout penn-13 has no nose"):
        predictor.predict(map_layout(a_sequence(ACTIONS[0]), PENN_13))
    torch.manual_seed(0)
    choice = NetworkChoice("st_2sgcn", width=4)
    metadata = BundleMetadata(choice, ACTIONS, ClipFormat(frames=8, layout="penn-13"), "")
    coarse = Bundle(build_network(choice, metadata.clip, 2), metadata)
    by_name = load_predictor(coarse, estimator=PluginSettings(plugin=BOX_PLUGIN))
    mapped = map_layout(a_sequence(ACTIONS[0]), PENN_13)
    assert by_name.predict(a_sequence(ACTIONS[0])) == by_name.predict(mapped)


def test_a_video_of_a_varying_rate_is_resampled(predictor: Predictor, tmp_path: Path) -> None:
    """A clip is sampled evenly in time: frames that stand for little time weigh little."""
    folder, times = tmp_path / "frames", [*range(0, 12 * 5, 5), *range(60, 120)]
    write_action_video(tmp_path / "clip.mp4", ACTIONS[0], 7, frames=12)
    images = list(read_frames(tmp_path / "clip.mp4"))
    with av.open(str(tmp_path / "varying.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=60)
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for number, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(images[min(number, 11)], format="rgb24")
            frame.pts = time
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    seen = predictor.estimate_poses(tmp_path / "varying.mp4")
    assert seen.times is not None
    assert seen.frame_index[:6].tolist() == [0, 1, 2, 3, 4, 5]  # rarer than every other frame on average
    assert predictor.predict(tmp_path / "varying.mp4").label == ACTIONS[0]
    folder.mkdir()
    for number, image in enumerate(images):
        cv2.imwrite(str(folder / f"{number:03d}.bmp"), image)
    assert predictor.predict(folder).label == predictor.predict(folder / "%03d.bmp").label == ACTIONS[0]


# Refusals


def test_a_changed_estimator_is_refused(student: Bundle, tmp_path: Path) -> None:
    expected = (
        r"^the bundle was trained with 'older box', but the estimator found here is 'box shake=1\.0'; "
        r"install the same weights or train again$"
    )
    older = changed(student, fingerprint="older box")
    with pytest.raises(BundleError, match=expected):
        load_predictor(older, estimator=LOW)
    another = load_predictor(older, estimator=PluginSettings(plugin=BOX_PLUGIN))  # at the caller's risk
    assert another.predict(write_action_video(tmp_path / "clip.mp4", ACTIONS[0], 8)).frames == 12


@pytest.mark.parametrize("pickled", [False, True])
def test_a_bundle_runs_no_code_by_itself(student: Bundle, tmp_path: Path, pickled: bool) -> None:
    weights = tmp_path / "weights.pkl"
    weights.write_bytes(b"")
    theirs = OpenPifPafSettings(backbone="resnet18", weights=str(weights)) if pickled else LOW
    expected = r"^the bundle's estimator is code outside skdpipe \(.*\).*name it with --estimator FILE$"
    with pytest.raises(BundleError, match=expected):
        load_predictor(changed(student, estimator=theirs))


def test_a_bundle_of_imported_skeletons_needs_an_estimator(student: Bundle, tmp_path: Path) -> None:
    imported = changed(student, estimator=None, fingerprint="penn-action annotation")
    expected = (
        r"imported skeletons \(penn-action annotation\) and names no estimator; .* with --estimator FILE$"
    )
    with pytest.raises(BundleError, match=expected):
        load_predictor(imported)
    prediction = load_predictor(imported, estimator=PluginSettings(plugin=BOX_PLUGIN)).predict(
        write_action_video(tmp_path / "clip.mp4", ACTIONS[1], 7)
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
        load_predictor(student, estimator=PluginSettings(plugin=f"{tmp_path}/penn_box.py:PennBox"))


def test_a_missing_estimator_is_named(student: Bundle) -> None:
    with pytest.raises(PoseError, match=r"cannot load the estimator plugin 'nowhere\.py:Box'"):
        load_predictor(student, estimator=PluginSettings(plugin="nowhere.py:Box"))


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


def test_without_a_student_prediction_is_refused(tmp_path: Path) -> None:
    expected = f"^no trained student under {tmp_path}; run `skdpipe distill` or name one with --bundle$"
    with pytest.raises(BundleError, match=expected):
        newest_bundle(tmp_path)


def test_the_clip_format_sets_the_number_of_people(student: Bundle, tmp_path: Path) -> None:
    three = changed(student, clip=ClipFormat(frames=8, people=3))
    assert (
        load_predictor(three, estimator=LOW)
        .estimate_poses(write_action_video(tmp_path / "clip.mp4", ACTIONS[0]))
        .people
        == 3
    )


# Frames and pose sequences


def test_frames_get_the_label_of_their_video(predictor: Predictor, tmp_path: Path) -> None:
    path = write_action_video(tmp_path / "clip.mp4", ACTIONS[0], 7)
    frames = np.stack(list(read_frames(path)))
    from_frames = predictor.predict(frames, fps=12.0)
    assert from_frames.source == "frames"
    assert replace(from_frames, source=str(path)) == predictor.predict(path) == predictor.predict(str(path))


@pytest.mark.parametrize("fps", [None, 0.0])
def test_frames_need_a_frame_rate(predictor: Predictor, fps: float | None) -> None:
    with pytest.raises(
        DataError, match=r"expected RGB frames \(frame, height, width, 3\) uint8 and their frames"
    ):
        predictor.predict(np.zeros((2, 48, 64, 3), np.uint8), fps)


def test_a_predictor_without_estimator_labels_pose_sequences_only(
    predictor: Predictor, tmp_path: Path
) -> None:
    poses_only = Predictor(predictor.metadata, predictor.runtime)
    sequence = a_sequence(ACTIONS[1], 3)
    assert poses_only.predict(sequence) == predictor.predict(sequence)
    with pytest.raises(BundleError, match="has no estimator and labels pose sequences only"):
        poses_only.predict(tmp_path / "clip.mp4")
