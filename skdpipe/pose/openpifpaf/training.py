"""Training of an OpenPifPaf network with OpenPifPaf's encoders and losses."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from skdpipe.config import PoseTraining
from skdpipe.errors import PoseError, require_extra
from skdpipe.pose.openpifpaf.letterbox import Letterbox
from skdpipe.pose.openpifpaf.networks import PoseNetwork, normalise, openpifpaf
from skdpipe.skeleton import Keypoints, is_seen
from skdpipe.tensor_file import NewerFormatError, write_tensors
from skdpipe.training_tensors import read_training, restore_training, training_tensors
from skdpipe.video import Frame

_FORMAT: Final = "skdpipe-pose-training-1"

PoseSample = tuple[NDArray[np.uint8], NDArray[np.float16], NDArray[np.float16]]
"""Input image, intensity fields and association fields of one frame."""
PoseBatch = tuple[Tensor, list[Tensor]]
"""Normalised images ``(batch, 3, height, width)`` and the targets of both heads."""


class Encoder:
    """Converts a frame with known people to the input image and the two target fields.

    Targets are in half precision: they are offsets of a few grid cells, for which three digits suffice.
    """

    def __init__(self, network: PoseNetwork, long_edge: int) -> None:
        cif, caf = network.head_metas
        self._encoders = (openpifpaf.encoder.Cif(cif, bmin=0.1), openpifpaf.encoder.Caf(caf, bmin=0.1))
        self._long_edge = long_edge

    def __call__(self, frame: Frame, people: Keypoints, visible: NDArray[np.bool_]) -> PoseSample:
        """Encode one frame.

        Args:
            frame: RGB ``(height, width, 3)`` uint8.
            people: ``(person, joint, 3)`` in pixels of the frame; unseen joints are NaN, NaN, 0.
            visible: ``(person, joint)``, False for occluded joints.

        Returns:
            The input image (uint8), the intensity fields and the association fields (float16).
        """
        box = Letterbox.fit((frame.shape[1], frame.shape[0]), self._long_edge)
        image = box.apply(frame)
        annotations = [
            _annotation(person, shown, box)
            for person, shown in zip(people, visible, strict=True)
            if is_seen(person).any()
        ]
        left, top = box.offset
        meta = {"valid_area": np.array((left, top, box.inner[0] - 1, box.inner[1] - 1), np.float64)}
        shape_only = np.empty((3, *image.shape[:2]), np.uint8)
        cif, caf = (encode(shape_only, annotations, meta).half().numpy() for encode in self._encoders)
        return image, cif, caf


def _annotation(person: Keypoints, visible: NDArray[np.bool_], box: Letterbox) -> dict[str, Any]:
    known = is_seen(person)
    keypoints = np.zeros((len(person), 3), np.float32)
    keypoints[known, :2] = box.to_input(person[known, :2])
    keypoints[known, 2] = np.where(visible[known], 2, 1)
    corner, far = keypoints[known, :2].min(axis=0), keypoints[known, :2].max(axis=0)
    return {"keypoints": keypoints, "bbox": np.concatenate([corner, far - corner]), "iscrowd": False}


def coco_batches(
    settings: PoseTraining, network: PoseNetwork, annotations: Path, images: Path
) -> Iterator[PoseBatch]:
    """Endless batches from a COCO keypoint file with OpenPifPaf's augmentation.

    Raises:
        PoseError: if the file or the folder cannot be read, or contains too few images of people.
        MissingDependencyError: if pycocotools is not installed.
    """
    require_extra("train-pose", "pycocotools")
    if not annotations.is_file() or not images.is_dir():
        raise PoseError(
            f"found no annotation file {annotations} or no image folder {images}; expected COCO keypoints"
        )
    data = openpifpaf.plugins.coco.CocoKp(
        train_annotations=str(annotations),
        train_image_dir=str(images),
        square_edge=settings.long_edge,
        upsample_stride=settings.upsample,
        batch_size=settings.batch,
        _loader_workers=settings.workers,  # the public attribute is read-only
    )
    data.head_metas = network.head_metas
    data.debug = data.pin_memory = False  # in OpenPifPaf 0.13.0, its command line alone sets them
    try:
        with redirect_stdout(io.StringIO()):  # pycocotools prints messages
            loader = data.train_loader()
    except (ValueError, KeyError, TypeError, AssertionError) as error:
        raise PoseError(
            f"{annotations} is not a COCO keypoint file ({type(error).__name__}: {error}); expected one"
        ) from error
    if not len(loader):
        raise PoseError(
            f"{annotations} has fewer images of people than one batch of {settings.batch}; reduce batch"
        )
    while True:
        try:
            for images_of_batch, targets, _ in loader:
                yield images_of_batch, list(targets)
        except OSError as error:
            reason = str(error).splitlines()[-1]
            raise PoseError(f"cannot read an image listed in {annotations} ({reason})") from error


def pool_batches(samples: Sequence[PoseSample], batch: int, seed: int, start: int) -> Iterator[PoseBatch]:
    """Endless batches from encoded samples, in a new order in each epoch, with photometric noise.

    The batch of a step depends only on seed and step, so training can be resumed at any step.

    Args:
        samples: encoded frames.
        batch: number of samples in a batch.
        seed: seed of order and noise.
        start: step of the first batch.

    Raises:
        PoseError: if there are fewer samples than a batch needs.
    """
    if len(samples) < batch:
        raise PoseError(
            f"{len(samples)} images are fewer than one batch of {batch}; render more or reduce batch"
        )
    per_epoch = len(samples) // batch
    step = start
    while True:
        order = np.random.default_rng([seed, step // per_epoch]).permutation(len(samples))
        for i in range(step % per_epoch, per_epoch):
            chosen = [samples[j] for j in order[i * batch : (i + 1) * batch]]
            images = normalise(torch.from_numpy(np.stack([image for image, _, _ in chosen])))
            rng = torch.Generator().manual_seed(seed * 1_000_003 + step)
            gain = torch.empty(batch, 3, 1, 1).normal_(1, 0.1, generator=rng)
            shift = torch.empty(batch, 3, 1, 1).normal_(0, 0.15, generator=rng)
            noise = torch.empty_like(images).normal_(0, 0.05, generator=rng)
            fields = (np.stack([cif for _, cif, _ in chosen]), np.stack([caf for _, _, caf in chosen]))
            targets = [torch.from_numpy(field).float() for field in fields]
            yield images * gain + shift + noise, targets
            step += 1


def train(
    network: PoseNetwork,
    batches: Callable[[int], Iterator[PoseBatch]],
    settings: PoseTraining,
    *,
    device: torch.device,
    state_file: Path,
    on_step: Callable[[int, float], None],
    save_every: int = 500,
) -> None:
    """Train a network in place with AdamW and a cosine schedule; resume from ``state_file`` if it exists.

    Args:
        network: the network.
        batches: returns endless batches from a given step on.
        settings: the recipe.
        device: device of the training.
        state_file: safetensors with the states of network and optimiser, written every ``save_every`` steps;
            the caller deletes it after the trained weights are saved.
        on_step: called after each step with the number of steps done and the loss.
        save_every: number of steps between two saved states.

    Raises:
        PoseError: if the state does not match the network, or the training diverges; the last state stays.
    """
    module = network.module.to(device).train()
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = settings.batch_norm_momentum
    loss_of = openpifpaf.network.losses.Factory().factory(network.head_metas)
    optimiser = torch.optim.AdamW(
        module.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    start = _load_state(module, optimiser, state_file) if state_file.exists() else 0
    source = batches(start)
    for step in range(start, settings.steps):
        for group in optimiser.param_groups:
            group["lr"] = settings.learning_rate * schedule(step, settings.warmup, settings.steps)
        images, targets = next(source)
        with torch.autocast(device.type, torch.bfloat16, enabled=settings.bfloat16):
            fields = module(images.to(device))
        loss, _ = loss_of([field.float() for field in fields], [target.to(device) for target in targets])
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(module.parameters(), 10.0)
        optimiser.step()
        value = float(loss.detach())
        is_last, saves = step + 1 == settings.steps, (step + 1) % save_every == 0
        if not math.isfinite(value) or ((is_last or saves) and not _is_finite(module)):
            raise PoseError(
                f"training diverged in step {step + 1}: found loss {value:g} or weights that are not finite; "
                "lower learning_rate or lengthen warmup"
            )
        on_step(step + 1, value)
        if saves:
            _save_state(module, optimiser, state_file, step + 1)
    module.cpu().eval()


def schedule(step: int, warmup: int, steps: int) -> float:
    """Factor of the learning rate: linear warm-up, then a cosine from 1 to 0."""
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def _is_finite(module: nn.Module) -> bool:
    """Whether all weights and running statistics are finite."""
    return all(bool(value.isfinite().all()) for value in module.state_dict().values())


def _save_state(module: nn.Module, optimiser: torch.optim.Optimizer, path: Path, step: int) -> None:
    tensors = {**training_tensors(module, optimiser), "step": np.array(step)}
    write_tensors(path, tensors, {"format": _FORMAT})


def _load_state(module: nn.Module, optimiser: torch.optim.Optimizer, path: Path) -> int:
    try:
        _, tensors = read_training(path, _FORMAT)
        step = tensors.pop("step", None)
        if step is None or step.shape != () or step.dtype != np.int64 or step < 0:
            raise ValueError("no number of steps")
        restore_training(module, optimiser, tensors)
    except NewerFormatError as error:
        raise PoseError(f"{path} has {error}; update skdpipe, or move the file away to restart") from error
    except ValueError as error:  # TensorFileError is one
        raise PoseError(
            f"{path} is not a state of this training ({error}); move it away to restart"
        ) from error
    return int(step)
