"""Training of pose networks on a COCO file or on synthetic images, and measurement of pose estimators."""

from __future__ import annotations

import hashlib
import json
import platform
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from skdpipe.atomic_file import remove_leftovers
from skdpipe.config import Actors, CocoFile, PoseTraining, to_plain
from skdpipe.errors import PoseError
from skdpipe.pose import PoseEstimator
from skdpipe.pose.accuracy import PoseAccuracy, pose_accuracy
from skdpipe.pose.openpifpaf.networks import PoseNetwork, build, save_weights
from skdpipe.pose.openpifpaf.training import Encoder, PoseBatch, PoseSample, coco_batches, pool_batches, train
from skdpipe.progress import Progress
from skdpipe.skeleton import COCO_17, Keypoints
from skdpipe.synthetic import ACTIONS, make_scene, render_frame
from skdpipe.video import Frame

_IMAGES_PER_SCENE = 4
_SCENE_FRAMES = 32


def render_image(actors: Actors, index: int) -> tuple[Frame, Keypoints, NDArray[np.bool_]]:
    """Render the synthetic image of an index, which depends only on the settings and the index.

    Returns:
        The frame, keypoints ``(person, 17, 3)``, and visibility ``(person, 17)``; see `render_frame`.
    """
    take, number = divmod(index, _IMAGES_PER_SCENE)
    rng = np.random.default_rng([actors.seed, take])
    action = ACTIONS[int(rng.integers(len(ACTIONS)))]
    subject = int(rng.integers(actors.subjects))
    scene = make_scene(
        action, subject=subject, take=take, seed=actors.seed, size=actors.size, frames=_SCENE_FRAMES
    )
    first = int(rng.integers(_SCENE_FRAMES // _IMAGES_PER_SCENE))
    return render_frame(scene, first + number * (_SCENE_FRAMES // _IMAGES_PER_SCENE))


class ActorImages(Dataset[PoseSample]):
    """Encoded synthetic images as a torch data set; an item depends only on the settings and its index."""

    def __init__(self, actors: Actors, encoder: Encoder) -> None:
        self._actors, self._encoder = actors, encoder

    def __len__(self) -> int:
        return self._actors.images

    def __getitem__(self, index: int) -> PoseSample:
        return self._encoder(*render_image(self._actors, index))


def train_pose(
    settings: PoseTraining, output: Path, *, device: torch.device, progress: Progress
) -> PoseNetwork:
    """Train a pose network and write its weights; another call resumes an interrupted training.

    Args:
        settings: backbone, data and recipe.
        output: safetensors file for the weights; during the training its folder also contains the state.
        device: device of the training.
        progress: displays the progress.

    Returns:
        The trained network.

    Raises:
        PoseError: if the backbone is unknown, the data cannot be read, or the output is not a .safetensors
            file.
    """
    if output.suffix != ".safetensors":
        raise PoseError(f"cannot write weights to {output}; expected a file name that ends in .safetensors")
    if output.exists() and not output.is_file():
        raise PoseError(f"{output} is not a file; move it away, because the weights are written there")
    output.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(output.parent)
    torch.manual_seed(settings.seed)
    network = build(settings.backbone, upsample=settings.upsample)
    digest = hashlib.sha256(json.dumps(to_plain(settings), sort_keys=True).encode()).hexdigest()[:8]
    state_file = output.with_suffix(f".{digest}.state")
    losses: list[float] = []
    if isinstance(settings.data, CocoFile):
        coco = settings.data

        def batches(start: int) -> Iterator[PoseBatch]:
            return coco_batches(settings, network, coco.annotations, coco.images)
    else:
        pool = _render_pool(settings.data, settings, network, progress)

        def batches(start: int) -> Iterator[PoseBatch]:
            return pool_batches(pool, settings.batch, settings.seed, start)

    with progress.task("training", settings.steps, unit="steps") as task:

        def on_step(step: int, loss: float) -> None:
            losses.append(loss)
            task.advance_to(step, f"loss {np.mean(losses[-100:]):.3f}")

        train(network, batches, settings, device=device, state_file=state_file, on_step=on_step)
    notes = {
        "settings": to_plain(settings),
        "loss": float(np.mean(losses[-100:])) if losses else None,
        "torch": torch.__version__,
        "machine": platform.machine(),
    }
    save_weights(network, output, notes=notes, half=settings.half_file)
    state_file.unlink(missing_ok=True)
    return network


def _render_pool(
    actors: Actors, settings: PoseTraining, network: PoseNetwork, progress: Progress
) -> list[PoseSample]:
    images = ActorImages(actors, Encoder(network, settings.long_edge))
    loader = DataLoader(images, batch_size=32, num_workers=settings.workers, collate_fn=list)
    pool: list[PoseSample] = []
    with progress.task("rendering images", len(images), unit="images") as task:
        for samples in loader:
            pool.extend(samples)
            task.advance_to(len(pool))
    return pool


def measure_pose(
    estimator: PoseEstimator, *, images: int, seed: int, batch: int
) -> tuple[PoseAccuracy, float]:
    """Compare an estimator with the exact joints of synthetic images.

    Args:
        estimator: the estimator, with the layout COCO-17.
        images: number of images.
        seed: seed of the images; it should differ from that of the training.
        batch: number of images in one call of the estimator.

    Returns:
        The accuracy over all joints inside the image, including occluded ones, and the rate in frames per
        second.

    Raises:
        PoseError: if the estimator has another layout.
    """
    if estimator.layout.joints != COCO_17.joints:
        raise PoseError(f"the estimator has the layout {estimator.layout.name}; expected {COCO_17.name}")
    actors = Actors(images=images, seed=seed)
    pairs: list[tuple[Keypoints, Keypoints]] = []
    spent = 0.0
    for first in range(0, images, batch):
        rendered = [render_image(actors, index) for index in range(first, min(first + batch, images))]
        start = time.perf_counter()
        found = estimator([frame for frame, _, _ in rendered])
        spent += time.perf_counter() - start
        pairs.extend((truth, people) for (_, truth, _), people in zip(rendered, found, strict=True))
    return pose_accuracy(pairs, estimator.layout), images / max(spent, 1e-9)
