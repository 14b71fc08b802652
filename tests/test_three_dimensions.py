"""Skeletons in three dimensions, from synthetic actors in the space of their camera."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from moving_body import tiny_experiment
from scipy.spatial.transform import Rotation

from skdpipe.bundle import build_network, load_bundle
from skdpipe.cache import PoseCache
from skdpipe.check import check_data
from skdpipe.classical import summary_features
from skdpipe.config import (
    Augmentation,
    ClipFormat,
    Degradation,
    EstimatorNoise,
    Experiment,
    NetworkChoice,
    Recipe,
)
from skdpipe.dataset import PairedClips, augment, batches, build_manifest
from skdpipe.degradation import degrade, fit_noise, jitter
from skdpipe.distill import distill_student, finetune_student
from skdpipe.distill.initial_weights import initialise_from_teacher
from skdpipe.ensemble import evaluate_bundles
from skdpipe.errors import BundleError, DataError
from skdpipe.inference import batch_input
from skdpipe.inference.model_input import joint_input
from skdpipe.networks import NETWORKS, count_parameters, deployed
from skdpipe.predict import load_predictor
from skdpipe.skeleton import COCO_17, NTU_25, PENN_13, PoseSequence, hide, map_layout
from skdpipe.skeleton.people import body_area, body_size, match_people
from skdpipe.skeleton.transforms import (
    align_body,
    centre_on_root,
    interpolate_missing,
    normalise_by_image,
    scale,
    smooth,
)
from skdpipe.synthetic.scene import Scene, exact_poses, make_scene

ACTIONS = ("wave", "squat")


def scene_of(action: str = "wave", subject: int = 0, take: int = 0) -> Scene:
    return make_scene(action, subject=subject, take=take, seed=3, size=(240, 180), frames=10, fps=12.0)


def in_space(scene: Scene) -> PoseSequence:
    """The poses of a scene in metres in the space of the camera, y up, with the key of `exact_poses`."""
    flat = exact_poses(scene)
    seen = np.stack([scene.camera.see(figure.joints()) for figure in scene.figures], axis=1)
    keypoints = np.concatenate([seen * (1, -1, 1), np.ones_like(seen[..., :1])], axis=-1)
    origin = replace(flat.origin, estimator="kinect")
    return replace(flat, keypoints=keypoints.astype(np.float32), size=(0, 0), origin=origin)


def fill(cache: PoseCache, low: str) -> PoseCache:
    """Three-dimensional high quality of two actions, and low quality in the image or in space."""
    for action in ACTIONS:
        for subject in range(6):
            scene = scene_of(action, subject)
            split = "test" if subject % 3 == 0 else "train"
            deep = in_space(scene)
            deep = replace(deep, origin=replace(deep.origin, split=split))
            flat = replace(exact_poses(scene), origin=replace(deep.origin, estimator="webcam"))
            cache.save(deep, "high", "kinect")
            cache.save(flat if low == "image" else jitter(deep, 0.05, np.random.default_rng(0)), "low", low)
    return cache


def experiment_in(coordinates: int | None = None, **changes: object) -> Experiment:
    clip = ClipFormat(frames=8, people=1, scale="root", coordinates=coordinates, align=True)  # type: ignore[arg-type]
    return tiny_experiment(clip=clip, **changes)


# Transforms ------------------------------------------------------------------------------------


def test_centring_on_the_root_puts_it_into_the_origin_of_the_first_frame() -> None:
    keypoints = in_space(scene_of()).keypoints
    root = COCO_17.index("nose")
    centred = centre_on_root(keypoints, root)
    np.testing.assert_allclose(centred[0, 0, root], [0, 0, 0, 1], atol=1e-6)
    np.testing.assert_allclose(centred[3, 0, 5, :3], keypoints[3, 0, 5, :3] - keypoints[0, 0, root, :3])
    hidden = np.zeros(keypoints.shape[:3], bool)
    hidden[0, 0, root] = True
    np.testing.assert_allclose(centre_on_root(hide(keypoints, hidden), root)[1, 0, root, :3], 0, atol=1e-6)


def test_alignment_points_the_spine_up_and_does_not_depend_on_the_camera() -> None:
    keypoints = in_space(scene_of()).keypoints
    aligned = align_body(keypoints, COCO_17)
    left, right, left_hip, right_hip = aligned[0, 0, [5, 6, 11, 12], :3]
    spine, shoulders = left + right - left_hip - right_hip, left - right
    np.testing.assert_allclose(spine / np.linalg.norm(spine), [0, 1, 0], atol=1e-5)
    assert shoulders[0] > 0
    assert abs(shoulders[2]) < 1e-5
    turned = keypoints.copy()
    turned[..., :3] = keypoints[..., :3] @ Rotation.from_euler("xyz", (0.4, -1.9, 2.2)).as_matrix().T
    np.testing.assert_allclose(align_body(turned, COCO_17), aligned, atol=1e-4)


def test_alignment_and_image_scale_refuse_what_they_cannot_do() -> None:
    flat, deep = exact_poses(scene_of()).keypoints, in_space(scene_of()).keypoints
    with pytest.raises(DataError, match=r"body axes of two coordinates cannot be aligned"):
        align_body(flat, COCO_17)
    with pytest.raises(DataError, match=r"scale image needs x and y in an image; for three coordinates use"):
        normalise_by_image(deep, (240, 180))


def test_gaps_are_filled_and_smoothed_along_all_three_axes() -> None:
    keypoints = np.ones((3, 1, 1, 4), np.float32)
    keypoints[:, 0, 0, :3] = [(0, 0, 1), (9, 9, 9), (2, 4, 3)]
    hidden = np.array([False, True, False])[:, None, None]
    np.testing.assert_allclose(
        interpolate_missing(np.concatenate([hide(keypoints, hidden), keypoints], axis=2))[1, 0, 0],
        [1, 2, 2, 0.1],
    )
    np.testing.assert_allclose(smooth(hide(keypoints, hidden), 3)[1, 0, 0], [1, 2, 2, 1])


def test_joints_are_mapped_by_name_and_sizes_are_in_metres() -> None:
    sequence = in_space(scene_of())
    mapped = map_layout(sequence, PENN_13)
    np.testing.assert_array_equal(mapped.keypoints[:, :, 1], sequence.keypoints[:, :, 5])
    assert mapped.coordinates == 3
    assert 1.2 < body_size(sequence.keypoints)[0] < 2.4
    assert (body_area(sequence.keypoints) < 4).all()
    np.testing.assert_allclose(
        body_area(scale(sequence.keypoints, 10))[0, 0],
        100 * np.prod(np.sort(np.ptp(sequence.keypoints[0, 0, :, :3].astype(float), axis=0))[1:]),
        rtol=1e-5,
    )


# People ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", ["push", "handshake"])
def test_people_in_space_are_matched_with_people_in_the_image(action: str) -> None:
    scene = scene_of(action)
    deep, flat = in_space(scene), exact_poses(scene)
    swapped = flat.with_keypoints(flat.keypoints[:, ::-1])
    matched, report = match_people(deep, swapped)
    assert report.pairs == ((0, 1), (1, 0))
    np.testing.assert_array_equal(matched.keypoints, flat.keypoints)
    assert report.oks > 0.9


def test_a_body_of_another_movement_is_not_matched() -> None:
    deep, flat = in_space(scene_of("squat")), exact_poses(scene_of("wave", 4, 1))
    noise = np.random.default_rng(0).normal(0, 60, (*flat.keypoints.shape[:3], 2))
    flat.keypoints[..., :2] += noise.astype(np.float32)
    assert match_people(deep, flat, least=0.5)[1].matched == 0


# Degradation -----------------------------------------------------------------------------------


def test_degradations_and_the_fit_of_noise_take_three_coordinates() -> None:
    noise = EstimatorNoise(jitter_default=0.02, misses_default=0.2, swaps=0.1, lost=0.05)
    clips = [in_space(scene_of(action, subject)) for action in ACTIONS for subject in range(4)]
    settings = Degradation(noise=noise, occlusion=0.1, every=2)
    low = [degrade(clip, settings, seed=0) for clip in clips]
    assert all(each.coordinates == 3 and each.keypoints.shape[0] == 5 for each in low)
    assert np.isnan(low[0].keypoints[~low[0].seen][:, :3]).all()
    fitted = fit_noise(zip(clips, low, strict=True), COCO_17)
    assert np.mean(list(fitted.jitter.values())) == pytest.approx(0.02, rel=0.25)
    with pytest.raises(DataError, match=r"3 coordinates in high and 2 in low quality"):
        fit_noise([(clips[0], exact_poses(scene_of()))], COCO_17)


# Network input ---------------------------------------------------------------------------------


def test_the_network_input_has_three_coordinates_and_the_confidence() -> None:
    sequence = in_space(scene_of())
    clip = ClipFormat(frames=8, people=2, scale="root", coordinates=3)
    joints, mask = joint_input(sequence, clip)
    assert joints.shape == (2, clip.channels, 8, 17) == (2, 4, 8, 17)
    assert mask.tolist() == [True, False]
    assert joints[0, 3].min() == 1
    np.testing.assert_allclose(joints[0, :3, 0, 0], 0, atol=1e-6)
    bones = batch_input([sequence], replace(clip, stream="bone"))[0]
    np.testing.assert_allclose(
        bones[0, 0, :, :, 7], joints[0, :, :, 7] - joints[0, :, :, 5] + [[0], [0], [0], [1]]
    )
    with pytest.raises(DataError, match=r"have 2 coordinates, but the network was trained on 3"):
        joint_input(exact_poses(scene_of()), clip)


def test_features_of_the_forest_are_three_more_for_each_joint() -> None:
    counts = [
        len(summary_features(*joint_input(sequence, ClipFormat(frames=8, people=1))))
        for sequence in (exact_poses(scene_of()), in_space(scene_of()))
    ]
    assert counts == [10 * 17 + 17 * 16, 13 * 17 + 17 * 16]


def a_batch(tmp_path: Path, low: str, **changes: object) -> tuple[PairedClips, object]:
    cache = fill(PoseCache(tmp_path), low)
    experiment = experiment_in(**changes)  # type: ignore[arg-type]
    manifest = build_manifest(cache, experiment)
    formats = [manifest.clip_format(experiment.clip, quality) for quality in ("high", "low")]  # type: ignore[arg-type]
    clips = PairedClips(cache, manifest.clips, manifest.classes, *formats, None, 0)
    return clips, next(iter(batches(clips, 4)))


def test_rotation_keeps_heights_and_tilt_keeps_only_distances(tmp_path: Path) -> None:
    _, batch = a_batch(tmp_path, "space")
    still = {"scale": 0.0, "flip": 0.0, "crop": 1.0}

    def moved(**settings: float) -> np.ndarray:
        out = augment(
            batch,
            np.random.default_rng(0),
            mirror=COCO_17.mirror,
            settings=Augmentation(**(still | settings)),
        )
        return out.high.numpy()

    before, turned, tilted = batch.high.numpy(), moved(rotation=90), moved(rotation=0, tilt=40)
    np.testing.assert_allclose(turned[:, :, 1], before[:, :, 1], atol=1e-5)
    assert np.abs(turned[:, :, 0] - before[:, :, 0]).max() > 0.1
    assert np.abs(tilted[:, :, 1] - before[:, :, 1]).max() > 0.05
    for rotated in (turned, tilted):
        np.testing.assert_allclose(
            np.linalg.norm(rotated[:, :, :3], axis=2), np.linalg.norm(before[:, :, :3], axis=2), atol=1e-5
        )
        np.testing.assert_array_equal(rotated[:, :, 3], before[:, :, 3])
    sheared = moved(rotation=0, shear=0.3)
    assert np.abs(sheared - before).max() > 0.01


def test_both_qualities_of_a_mixed_pair_are_mirrored_together(tmp_path: Path) -> None:
    _, batch = a_batch(tmp_path, "image")
    assert (batch.high.shape[2], batch.low.shape[2]) == (4, 3)
    settings = Augmentation(rotation=0, scale=0, flip=1, crop=1)
    out = augment(batch, np.random.default_rng(0), mirror=COCO_17.mirror, settings=settings)
    mirror = list(COCO_17.mirror)
    for before, after in ((batch.high, out.high), (batch.low, out.low)):
        torch.testing.assert_close(after[:, :, 0], -before[:, :, 0][..., mirror])
        torch.testing.assert_close(after[:, :, 1:], before[:, :, 1:][..., mirror])


# Networks --------------------------------------------------------------------------------------


@pytest.mark.parametrize("confidence", [True, False])
@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_takes_three_coordinates(name: str, confidence: bool) -> None:
    torch.manual_seed(0)
    clip = ClipFormat(frames=16, people=2, coordinates=3, layout="ntu-25")
    network = build_network(NetworkChoice(name, width=12, confidence=confidence), clip, 5).eval()  # type: ignore[arg-type]
    x, mask = torch.randn(2, 2, 4, 16, 25), torch.tensor([[True, True], [True, False]])
    x[:, :, 3] = 1
    logits = network(x, mask).logits
    torch.testing.assert_close(deployed(network)(x, mask).logits, logits, rtol=1e-3, atol=1e-4)
    x[:, :, 3] = 0.5
    uses_it = confidence and name != "dd_net"  # which only leaves out unseen joints
    assert torch.allclose(network(x, mask).logits, logits, atol=1e-5) is not uses_it


def test_without_the_confidence_st_gcn_has_the_published_number_of_parameters() -> None:
    choice = NetworkChoice("st_gcn", partitioning="distance", confidence=False)
    network = build_network(choice, ClipFormat(coordinates=3, layout=NTU_25.name), 60)
    assert count_parameters(network) == 2_873_894


# Experiments -----------------------------------------------------------------------------------


def test_teacher_and_student_in_space(tmp_path: Path) -> None:
    cache = fill(PoseCache(tmp_path / "cache"), "space")
    experiment = experiment_in(recipe=Recipe(epochs=1, batch=4, augment=Augmentation(tilt=10)))
    result = distill_student(experiment, cache, tmp_path / "models", device=torch.device("cpu"))
    student = load_bundle(result.folder / "student.safetensors")
    assert student.metadata.clip.coordinates == 3
    with pytest.raises(BundleError, match=r"^the student was trained on three coordinates \(x, y, z\)"):
        load_predictor(result.folder / "student.safetensors")


def test_a_teacher_in_space_distils_a_student_in_the_image(tmp_path: Path) -> None:
    cache = fill(PoseCache(tmp_path / "cache"), "image")
    experiment = experiment_in(classical=True)
    result = distill_student(experiment, cache, tmp_path / "models", device=torch.device("cpu"))
    paths = {name: result.folder / f"{name}.safetensors" for name in ("teacher", "student")}
    coordinates = {name: load_bundle(path).metadata.clip.coordinates for name, path in paths.items()}
    assert coordinates == {"teacher": 3, "student": 2}
    ensemble = evaluate_bundles(list(paths.values()), cache, device=torch.device("cpu"))
    assert [figures.top1 for figures in ensemble.figures] == [result.figures[name].top1 for name in paths]
    findings = {each.name: each for each in check_data(cache, experiment).findings}
    assert findings["loss"].text == (
        "positions are not compared: high quality has 3 coordinates, low quality 2"
    )
    assert findings["people"].level == "fine"


@pytest.mark.parametrize("name", ["dd_net", "st_2sgcn"])
def test_a_warm_start_copies_all_but_the_first_layers(name: str) -> None:
    teacher, student = (
        build_network(NetworkChoice(name, width=8), ClipFormat(coordinates=coordinates), 2)  # type: ignore[arg-type]
        for coordinates in (3, 2)
    )
    before = {key: value.clone() for key, value in student.state_dict().items()}
    with pytest.raises(DataError, match="a warm start needs the same network and width for both"):
        initialise_from_teacher(student, teacher)
    initialise_from_teacher(student, teacher, same_input=False)
    after, source = student.state_dict(), teacher.state_dict()
    kept = [key for key, value in after.items() if source[key].shape != value.shape]
    assert 0 < len(kept) < len(after) / 3
    assert all(torch.equal(after[key], before[key] if key in kept else source[key]) for key in after)
    wider = build_network(NetworkChoice(name, width=16), ClipFormat(), 2)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="a warm start needs the same network"):
        initialise_from_teacher(wider, teacher, same_input=False)
    if name == "st_2sgcn":
        larger = build_network(NetworkChoice("st_gcn", width=8), ClipFormat(), 2)
        with pytest.raises(DataError, match="a warm start needs the same network"):
            initialise_from_teacher(larger, teacher, same_input=False)


def test_a_student_of_a_mixed_pair_is_finetuned_and_one_in_space_is_refused(tmp_path: Path) -> None:
    for low in ("image", "space"):
        cache = fill(PoseCache(tmp_path / low), low)
        experiment = experiment_in(methods=("teacher", "baseline"))
        distill_student(experiment, cache, tmp_path / f"{low}-models", device=torch.device("cpu"))
    cache = PoseCache(tmp_path / "image")
    flat, deep = (tmp_path / f"{low}-models" / "tiny" / "baseline.safetensors" for low in ("image", "space"))
    tuned = finetune_student(flat, experiment, cache, tmp_path / "tuned", device=torch.device("cpu"))
    assert load_bundle(tuned.folder / "baseline.safetensors").metadata.clip.coordinates == 2
    with pytest.raises(DataError, match=r"low quality have 2 coordinates, and clip.coordinates is 3"):
        finetune_student(deep, experiment, cache, tmp_path / "refused", device=torch.device("cpu"))


def test_coordinates_that_the_skeletons_do_not_have_are_refused(tmp_path: Path) -> None:
    cache = fill(PoseCache(tmp_path / "cache"), "image")
    with pytest.raises(
        DataError, match=r"skeletons of low quality have 2 coordinates, and clip.coordinates is 3"
    ):
        distill_student(experiment_in(3), cache, tmp_path / "models", device=torch.device("cpu"))
    scene = scene_of("wave", 11)
    cache.save(exact_poses(scene), "high", "kinect")
    with pytest.raises(DataError, match=r"high/kinect has skeletons of 2 and of 3 coordinates"):
        build_manifest(cache, experiment_in())
