"""Training of pose networks on synthetic images and on COCO files; interrupted trainings resume exactly."""

import hashlib
import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from conftest import SMALL_POSE_TRAINING, TrainedPoseNetwork
from recording_progress import RecordingProgress
from safetensors.torch import load_file, save_file

from skdpipe.config import Actors, CocoFile, PoseTraining, to_plain
from skdpipe.errors import PoseError
from skdpipe.pose.accuracy import pose_accuracy
from skdpipe.pose.openpifpaf import OpenPifPaf, TorchFields, build, load_weights
from skdpipe.pose.openpifpaf.training import Encoder, PoseSample, coco_batches, pool_batches, schedule, train
from skdpipe.pose_training import ActorImages, measure_pose, render_image, train_pose
from skdpipe.progress import Progress
from skdpipe.skeleton import COCO_17, PENN_13, Keypoints, is_seen

CPU = torch.device("cpu")
ACTORS = Actors(images=6, size=(96, 72), subjects=3)
TINY = PoseTraining(
    backbone="mobilenetv3small",
    long_edge=65,
    data=ACTORS,
    steps=9,
    batch=2,
    warmup=2,
    half_file=False,
    workers=0,
)


def updates_of(progress: RecordingProgress) -> list[tuple[str, float | None, float]]:
    return [(task.name, task.total, done) for task in progress.tasks for done, _ in task.updates]


def train_quietly(settings: PoseTraining, output: Path) -> dict[str, torch.Tensor]:
    train_pose(settings, output, device=CPU, progress=Progress(quiet=True))
    return load_file(output)


def samples(count: int = 6) -> list[PoseSample]:
    images = ActorImages(replace(ACTORS, images=count), Encoder(build(TINY.backbone), TINY.long_edge))
    return [images[index] for index in range(count)]


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


# Images ------------------------------------------------------------------------------------------


def test_an_image_depends_only_on_settings_and_index() -> None:
    first, again, next_frame, other_scene = (render_image(ACTORS, index) for index in (5, 5, 6, 9))
    for one, two in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, two)
    for other in (next_frame, other_scene):
        assert (other[0] != first[0]).any()
    other_seed = render_image(replace(ACTORS, seed=2), 5)
    assert (other_seed[0] != first[0]).any()
    frame, people, visible = first
    assert frame.shape == (72, 96, 3)
    assert people.shape[1:] == (17, 3)
    assert visible.shape == people.shape[:2]


def test_the_batch_of_a_step_depends_only_on_seed_and_step() -> None:
    pool = samples()
    from_start = pool_batches(pool, 2, seed=5, start=0)
    steps = [next(from_start) for _ in range(8)]  # two epochs and two steps
    for start in (1, 3, 5):
        late = pool_batches(pool, 2, seed=5, start=start)
        for images, targets in steps[start:]:
            late_images, late_targets = next(late)
            assert torch.equal(images, late_images)
            assert all(
                torch.equal(a.nan_to_num(7), b.nan_to_num(7))
                for a, b in zip(targets, late_targets, strict=True)
            )
    assert not torch.equal(steps[0][0], next(pool_batches(pool, 2, seed=6, start=0))[0])


def test_an_epoch_contains_every_image_once() -> None:
    pool = samples()
    for number, (image, _, _) in enumerate(pool):
        image[:] = 40 * number  # the noise is small compared with a difference of 40
    batches = pool_batches(pool, 2, seed=0, start=0)
    levels = [next(batches)[0].mean(dim=(1, 2, 3)) for _ in range(6)]
    for epoch in (levels[:3], levels[3:]):
        brightness = torch.cat(epoch).sort().values
        assert (brightness.diff() > 0.2).all()


def test_a_pool_that_is_smaller_than_a_batch_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PoseError, match="6 images are fewer than one batch of 7"):
        next(pool_batches(samples(), 7, seed=0, start=0))
    with pytest.raises(PoseError, match="6 images are fewer than one batch of 16"):
        train_quietly(replace(TINY, batch=16), tmp_path / "a.safetensors")


# Training on synthetic images --------------------------------------------------------------------


def test_a_network_finds_the_people_of_its_training_images(trained_pose_network: TrainedPoseNetwork) -> None:
    assert len(trained_pose_network.losses) == SMALL_POSE_TRAINING.steps
    assert trained_pose_network.losses[-1] < 0.5 * trained_pose_network.losses[0]
    estimator = OpenPifPaf(
        TorchFields(load_weights(SMALL_POSE_TRAINING.backbone, str(trained_pose_network.path))),
        long_edge=SMALL_POSE_TRAINING.long_edge,
    )
    assert isinstance(SMALL_POSE_TRAINING.data, Actors)
    rendered = [
        render_image(SMALL_POSE_TRAINING.data, index) for index in range(SMALL_POSE_TRAINING.data.images)
    ]
    found = estimator([frame for frame, _, _ in rendered])
    pairs = [(truth, people) for (_, truth, _), people in zip(rendered, found, strict=True)]
    accuracy = pose_accuracy(pairs, COCO_17)
    assert (accuracy.found, accuracy.extra) == (1, 0)
    assert accuracy.oks > 0.8
    assert accuracy.pck > 0.5  # over several seeds it is 0.7 to 0.94: some joints are not found yet


def test_the_weights_contain_settings_loss_and_version(trained_pose_network: TrainedPoseNetwork) -> None:
    notes = load_weights(SMALL_POSE_TRAINING.backbone, str(trained_pose_network.path)).notes
    assert notes is not None
    assert notes["settings"]["backbone"] == SMALL_POSE_TRAINING.backbone
    assert notes["settings"]["data"] == {"images": 2, "size": [96, 72], "subjects": 5, "seed": 1}
    assert notes["loss"] == pytest.approx(trained_pose_network.losses[-1], abs=1e-3)
    assert notes["torch"] == torch.__version__
    assert [path.name for path in trained_pose_network.path.parent.iterdir()] == [
        trained_pose_network.path.name
    ]  # the state is deleted


def test_equal_seeds_give_equal_weights(tmp_path: Path) -> None:
    first, again, other = (
        train_quietly(replace(TINY, seed=seed), tmp_path / str(n) / "a.safetensors")
        for n, seed in enumerate((3, 3, 4))
    )
    assert same(first, again)
    assert not same(first, other)


def trained(settings: PoseTraining, state: Path, stop_at: int | None = None) -> tuple[Any, list[int]]:
    """Weights after a training with a state saved every four steps, and the steps that were run."""
    torch.manual_seed(settings.seed)
    network = build(settings.backbone, upsample=settings.upsample)
    steps: list[int] = []

    def on_step(step: int, loss: float) -> None:
        if step == stop_at:
            raise KeyboardInterrupt
        steps.append(step)

    train(
        network,
        lambda start: pool_batches(samples(), settings.batch, settings.seed, start),
        settings,
        device=CPU,
        state_file=state,
        on_step=on_step,
        save_every=4,
    )
    return network.module.state_dict(), steps


@pytest.mark.parametrize("bfloat16", [False, True])
def test_an_interrupted_training_ends_with_the_same_weights(tmp_path: Path, bfloat16: bool) -> None:
    settings = replace(TINY, bfloat16=bfloat16)
    complete, steps = trained(settings, tmp_path / "complete.state")
    assert steps == list(range(1, 10))
    with pytest.raises(KeyboardInterrupt):
        trained(settings, tmp_path / "part.state", stop_at=7)
    resumed, steps = trained(settings, tmp_path / "part.state")
    assert steps == [5, 6, 7, 8, 9]
    assert same(complete, resumed)


def test_the_state_is_deleted_after_the_weights_are_saved(tmp_path: Path) -> None:
    complete, _ = trained(TINY, tmp_path / "a.state")
    assert int(load_file(tmp_path / "a.state")["step"]) == 8
    # The file name that `train_pose` expects contains a digest of the settings.
    digest = hashlib.sha256(json.dumps(to_plain(TINY), sort_keys=True).encode()).hexdigest()[:8]
    (tmp_path / "a.state").rename(tmp_path / f"a.{digest}.state")
    progress = RecordingProgress()
    train_pose(TINY, tmp_path / "a.safetensors", device=CPU, progress=progress)
    assert updates_of(progress)[1:] == [("training", 9, 9)]
    assert same(load_file(tmp_path / "a.safetensors"), complete)
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]


def test_a_state_of_another_training_is_refused(tmp_path: Path) -> None:
    trained(TINY, tmp_path / "a.state")
    with pytest.raises(PoseError, match=r"a\.state is not a state of this training .*; move it away"):
        trained(replace(TINY, backbone="shufflenetv2x1"), tmp_path / "a.state")
    save_file({"weight": torch.ones(3)}, tmp_path / "foreign.state")
    (tmp_path / "text.state").write_text("no tensors")
    (tmp_path / "empty.state").touch()
    tensors = load_file(tmp_path / "a.state")
    save_file({name: tensors[name] for name in tensors if name != "step"}, tmp_path / "stepless.state")
    for name in ("foreign", "text", "empty", "stepless"):
        with pytest.raises(PoseError, match=rf"{name}\.state is not a state of this training") as caught:
            trained(TINY, tmp_path / f"{name}.state")
        assert "\n" not in str(caught.value)


def test_the_learning_rate_rises_and_falls() -> None:
    rates = [schedule(step, 4, 20) for step in range(20)]
    np.testing.assert_allclose(rates[:5], [0.25, 0.5, 0.75, 1, 1])
    assert rates[12] == pytest.approx(0.5)
    assert all(a > b for a, b in pairwise(rates[4:]))
    assert 0 < rates[-1] < 0.02
    assert [schedule(step, 0, 1) for step in range(1)] == [1]


def test_rendering_and_training_are_displayed(tmp_path: Path) -> None:
    progress = RecordingProgress()
    train_pose(replace(TINY, steps=3), tmp_path / "a.safetensors", device=CPU, progress=progress)
    assert updates_of(progress) == [
        ("rendering images", 6, 6),
        *(("training", 3, step) for step in (1, 2, 3)),
    ]


def test_only_safetensors_are_written(tmp_path: Path) -> None:
    for name in ("models", "a.pkl"):
        with pytest.raises(PoseError, match=r"expected a file name that ends in \.safetensors"):
            train_quietly(TINY, tmp_path / name)
    with pytest.raises(PoseError, match="no backbone 'resnet13'"):
        train_quietly(replace(TINY, backbone="resnet13"), tmp_path / "a.safetensors")


# Training on a COCO file -------------------------------------------------------------------------


def coco(folder: Path, count: int = 4) -> CocoFile:
    """Synthetic images as a COCO keypoint file."""
    (folder / "images").mkdir(parents=True)
    images, annotations = [], []
    for number in range(count):
        frame, people, visible = render_image(ACTORS, number)
        name = f"{number:012d}.png"
        cv2.imwrite(str(folder / "images" / name), frame[..., ::-1])
        images.append({"id": number, "file_name": name, "width": frame.shape[1], "height": frame.shape[0]})
        annotations += [
            {"id": len(annotations) + i, "image_id": number, **_annotation(person, seen)}
            for i, (person, seen) in enumerate(zip(people, visible, strict=True))
        ]
    categories = [{"id": 1, "name": "person", "keypoints": list(COCO_17.joints), "skeleton": []}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "people.json").write_text(json.dumps(content))
    return CocoFile(folder / "people.json", folder / "images")


def _annotation(person: Keypoints, visible: np.ndarray) -> dict[str, Any]:
    seen = is_seen(person)
    low, high = person[seen, :2].min(axis=0), person[seen, :2].max(axis=0)
    flags = np.where(seen, np.where(visible, 2, 1), 0)
    keypoints = np.column_stack([np.nan_to_num(person[:, :2]), flags]).ravel()
    box = [float(number) for number in (*low, *(high - low))]
    return {
        "category_id": 1, "iscrowd": 0, "bbox": box, "area": box[2] * box[3], "segmentation": [],
        "num_keypoints": int(seen.sum()), "keypoints": keypoints.tolist(),
    }  # fmt: skip


def test_a_coco_file_is_read_by_openpifpafs_pipeline(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = replace(TINY, data=coco(tmp_path), steps=3)
    network = build(settings.backbone)
    assert isinstance(settings.data, CocoFile)
    images, targets = next(coco_batches(settings, network, settings.data.annotations, settings.data.images))
    assert images.shape == (2, 3, 65, 65)
    assert [tuple(target.shape) for target in targets] == [(2, 17, 5, 5, 5), (2, 19, 9, 5, 5)]
    tensors = train_quietly(settings, tmp_path / "a.safetensors")
    assert all(torch.isfinite(tensor.float()).all() for tensor in tensors.values())
    loaded = load_weights(settings.backbone, str(tmp_path / "a.safetensors"))
    assert loaded.notes is not None
    assert loaded.notes["settings"]["data"]["annotations"] == str(tmp_path / "people.json")
    assert capfd.readouterr().out == ""


def test_a_coco_file_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    def refusal(annotations: Path, images: Path, **changes: Any) -> str:
        with pytest.raises(PoseError) as caught:
            train_quietly(
                replace(TINY, data=CocoFile(annotations, images), **changes), tmp_path / "a.safetensors"
            )
        assert "\n" not in str(caught.value)
        return str(caught.value)

    good = coco(tmp_path)
    assert "found no annotation file" in refusal(tmp_path / "none.json", good.images)
    assert "or no image folder" in refusal(good.annotations, tmp_path / "none")
    assert "fewer images of people than one batch of 5" in refusal(good.annotations, good.images, batch=5)
    for name, text in (("text", "no JSON"), ("list", "[1, 2]"), ("other", '{"images": [{"name": 3}]}')):
        (tmp_path / f"{name}.json").write_text(text)
        assert "is not a COCO keypoint file" in refusal(tmp_path / f"{name}.json", good.images)
    for path in list(good.images.iterdir())[:3]:
        path.unlink()
    for workers in (0, 1):
        assert "cannot read an image listed in" in refusal(good.annotations, good.images, workers=workers)


# Measuring ---------------------------------------------------------------------------------------


class PerfectEstimator:
    """Returns the true keypoints of synthetic images, optionally shifted."""

    fingerprint = "perfect"

    def __init__(self, actors: Actors, shift: float = 0.0) -> None:
        self.layout = COCO_17
        rendered = [render_image(actors, index) for index in range(actors.images)]
        self._people = {frame.tobytes(): people + np.float32(shift) for frame, people, _ in rendered}
        self.calls: list[int] = []

    def __call__(self, frames: Any) -> list[Keypoints]:
        self.calls.append(len(frames))
        return [self._people[frame.tobytes()] for frame in frames]


def test_true_keypoints_have_perfect_accuracy() -> None:
    estimator = PerfectEstimator(Actors(images=7, seed=99))
    accuracy, rate = measure_pose(estimator, images=7, seed=99, batch=3)
    assert (accuracy.pck, accuracy.found, accuracy.extra, accuracy.frames) == (1, 1, 0, 7)
    assert accuracy.oks == pytest.approx(1)
    assert estimator.calls == [3, 3, 1]
    assert rate > 0


def test_a_trained_network_can_be_measured(trained_pose_network: TrainedPoseNetwork) -> None:
    estimator = OpenPifPaf(
        TorchFields(load_weights(SMALL_POSE_TRAINING.backbone, str(trained_pose_network.path))),
        long_edge=SMALL_POSE_TRAINING.long_edge,
    )
    accuracy, rate = measure_pose(estimator, images=3, seed=99, batch=2)
    assert (accuracy.frames, accuracy.people >= 3) == (3, True)
    assert rate > 0


def test_an_estimator_with_another_layout_cannot_be_measured() -> None:
    estimator = PerfectEstimator(Actors(images=1, seed=99))
    estimator.layout = PENN_13
    with pytest.raises(PoseError, match="has the layout penn-13; expected coco-17"):
        measure_pose(estimator, images=1, seed=99, batch=1)
