"""Estimates of the bytes that extraction writes, and of those that a training keeps in memory."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    import torch

    from skdpipe.config import ClipFormat, Estimator, Experiment, Recipe
    from skdpipe.networks import GraphNetwork

BYTES_OF_TORCH: Final = 700_000_000
"""Main memory of a process that has imported what a training needs (torch 2.12 for CUDA 13)."""

_FLOAT: Final = 4
_HEADER: Final = 1200  # bytes, of a sequence file; longer with a layout that is not built in
_BLOCK: Final = 4096  # a file takes whole blocks
_CLIPS: Final = 2  # of the forward pass that is measured
_COCO_JOINTS: Final = 17
_BACKWARD: Final = 1.25  # of the activations: gradients with respect to those of a few layers


def bytes_on_disk(frames: int, settings: Estimator, people: int) -> int:
    """Bytes that the skeletons of a video of one quality take on the disk.

    For each frame on which the estimator runs, x, y and confidence of each joint of ``people`` people, its
    number and perhaps its time; then a header, and the rest of the last block.
    """
    rows = math.ceil(frames / settings.every)
    content = rows * (people * joints_of(settings) * 3 * _FLOAT + 4 + 8) + _HEADER
    return math.ceil(content / _BLOCK) * _BLOCK


def joints_of(settings: Estimator) -> int:
    """The number of joints of an estimator; those of COCO for a plugin, which is not loaded."""
    return int(settings.body.rpartition("-")[2]) if settings.kind == "rtmlib" else _COCO_JOINTS


def bytes_of_clip(clip: ClipFormat) -> int:
    """Bytes of a prepared clip in memory, both qualities."""
    from skdpipe.inference.model_input import bytes_of_clip as bytes_of_input

    return 2 * bytes_of_input(clip)


def bytes_of_training(experiment: Experiment, clips: int) -> int:
    """Bytes that a training takes at most, beside those of the process before it.

    The activations that a forward pass of two clips keeps for the backward pass are counted and scaled to the
    batch. To them come weights, gradients and moments of the optimiser, those of the teacher, the outputs of
    the teacher that are kept, and the clips that stay in memory. Gradient revision and the parts of an edge
    loss are not counted.

    Args:
        experiment: clip format, networks, recipe; ``auto`` networks are those for ``clips`` clips.
        clips: number of clips.
    """
    from skdpipe.bundle import build_network
    from skdpipe.distill.auto import AUTO, network_for

    recipe, choices = experiment.recipe, []
    for choice in (experiment.teacher, experiment.student):
        chosen = network_for(clips) if choice.name == AUTO else choice
        choices += [chosen] if chosen not in choices else []
    networks = [build_network(choice, experiment.clip, classes=10) for choice in choices]
    steps = [_bytes_of_step(network, experiment.clip, recipe) for network in networks]
    weights = sum(map(_bytes_of_weights, networks))
    outputs = clips * steps[0].output_of_clip
    most = 1_000_000 * experiment.distillation.teacher_cache_megabytes
    kept = outputs if recipe.augment is None and outputs <= most else 0
    in_memory = min(clips * bytes_of_clip(experiment.clip), 1_000_000 * recipe.memory_megabytes)
    return max(each.memory for each in steps) + weights + kept + in_memory


class _Step(NamedTuple):
    """Bytes of gradients, moments and activations of a training step, and those of the outputs of a clip."""

    memory: int
    output_of_clip: int


def _bytes_of_weights(network: GraphNetwork) -> int:
    return sum(each.numel() * each.element_size() for each in network.parameters())


def _bytes_of_step(network: GraphNetwork, clip: ClipFormat, recipe: Recipe) -> _Step:
    import torch

    from skdpipe.inference.model_input import clip_shape

    moments = 2 if recipe.optimiser == "adamw" else int(recipe.momentum > 0)
    own = {each.untyped_storage().data_ptr() for each in network.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    shape = (_CLIPS, *clip_shape(clip))
    x, mask = torch.randn(shape), torch.ones(shape[:2], dtype=torch.bool)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        output = network.train()(x, mask)
        loss = output.logits.square().sum() + output.features.square().sum()
    activations = sum(kept.values()) * recipe.batch / _CLIPS
    memory = round(_BACKWARD * activations) + (1 + moments) * _bytes_of_weights(network)
    del loss
    return _Step(memory, _FLOAT * (output.logits.numel() + output.features.numel()) // _CLIPS)
