"""Pretraining of a small DD-Net on simulated skeletons; its weights come with skdpipe (`init: pretrained`).

python -m skdpipe.pretraining coco-17 models/pretrained-dd_net-16-coco-17.safetensors

Actors perform every action; each clip is degraded twice at random, by estimator errors and dropped frames.
The network classifies the actions of both views, and recognises which views show the same clip (NT-Xent:
Chen, Kornblith, Norouzi, Hinton, "A Simple Framework for Contrastive Learning of Visual Representations",
ICML 2020). The contrastive loss lets the features also represent what does not distinguish the actors' few
actions.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from rich.console import Console
from safetensors.torch import save
from torch import Tensor, nn

from skdpipe.atomic_file import write_bytes_atomically
from skdpipe.bundle import build_network
from skdpipe.cache import PoseCache, Quality
from skdpipe.config import Augmentation, ClipFormat, Degradation, EstimatorNoise, Recipe
from skdpipe.dataset import Batch, PairedClip, PairedClips, augment
from skdpipe.dataset.manifest import BOTH
from skdpipe.degradation import degrade
from skdpipe.distill.initial_weights import PRETRAINED_NETWORK, is_classifier
from skdpipe.distill.training import Losses, Objective, train
from skdpipe.errors import SkdpipeError
from skdpipe.evaluate import evaluate
from skdpipe.networks import GraphNetwork
from skdpipe.progress import Progress
from skdpipe.skeleton import Layout, Origin, layout_named, map_layout
from skdpipe.skeleton.sequence import clip_key
from skdpipe.synthetic import ACTIONS, exact_poses, make_scene

TRAIN_SUBJECTS: Final = 500
TEST_SUBJECTS: Final = 30
RECIPE: Final = Recipe(
    epochs=60,
    batch=64,
    optimiser="adamw",
    learning_rate=0.003,
    weight_decay=0.01,
    clip_gradients=1.0,
    warmup=2,
)
_LABEL_SMOOTHING: Final = 0.1
_AUGMENTATION: Final = Augmentation(rotation=15, scale=0.15, flip=0.5, crop=0.5, joint_dropout=0.05)
_TEMPERATURE: Final = 0.2
_PROJECTION: Final = 64  # dimensions of the compared vectors
_SEED: Final = 0
# Other people than those of the demonstration and of the pose networks.
_ACTORS_SEED: Final = 11
_FIRST_SUBJECT: Final = 30_000
# A view has one of these errors and keeps one of these shares of the frames.
_ERRORS: Final = (
    None,
    EstimatorNoise(jitter_default=0.03, misses_default=0.1, miss_frames=3),
    EstimatorNoise(jitter_default=0.06, misses_default=0.25, miss_frames=3),
)
_EVERY: Final = (1, 2, 4, 6)
_FRAMES: Final = (24, 97)
_FPS: Final = (12.0, 16.0, 24.0)
_SETTINGS: Final = "simulated"


def pretrain(
    layout: Layout,
    path: Path,
    progress: Progress,
    *,
    train_subjects: int = TRAIN_SUBJECTS,
    test_subjects: int = TEST_SUBJECTS,
    recipe: Recipe = RECIPE,
) -> float:
    """Train the network and write its weights without those of the classifier, as safetensors.

    Args:
        layout: joints of the input; COCO's 17 joints must map to it.
        path: the file.
        progress: shows clips and epochs.
        train_subjects, test_subjects: number of actors; each performs each action once.
        recipe: of the training.

    Returns:
        Top-1 in percent of the actions of the test actors.
    """
    clip = ClipFormat(frames=64, layout=layout.name, missing="interpolate")
    torch.manual_seed(_SEED)
    network = build_network(PRETRAINED_NETWORK, clip, len(ACTIONS))
    project = nn.Sequential(
        nn.Linear(network.feature_channels, network.feature_channels),
        nn.ReLU(),
        nn.Linear(network.feature_channels, _PROJECTION),
    )
    with TemporaryDirectory() as folder:
        cache = PoseCache(Path(folder) / "pose_cache")
        last = _FIRST_SUBJECT + train_subjects
        known, others = (
            PairedClips(
                cache, _write_views(cache, subjects, layout, progress), ACTIONS, clip, clip, None, _SEED
            )
            for subjects in (range(_FIRST_SUBJECT, last), range(last, last + test_subjects))
        )
        cpu = torch.device("cpu")
        with progress.task("pretraining", recipe.epochs, unit="epochs") as task:
            train(
                nn.ModuleDict({"network": network, "project": project}),
                _objective(network, project, layout),
                known,
                recipe,
                seed=_SEED,
                device=cpu,
                revision="none",
                augment=None,
                state_file=Path(folder) / "pretraining.state",
                task=task,
            )
        figures, _ = evaluate(network, others, quality="low", batch=recipe.batch, device=cpu)
    weights = {name: value for name, value in network.state_dict().items() if not is_classifier(name)}
    write_bytes_atomically(path, save(weights))
    return figures.top1


def _write_views(
    cache: PoseCache, subjects: Sequence[int], layout: Layout, progress: Progress
) -> list[PairedClip]:
    """Simulate each action of each subject, and write two degraded views of it as the two qualities."""
    clips = []
    with progress.task("simulating skeletons", len(subjects) * len(ACTIONS), unit="clips") as task:
        for subject in subjects:
            for number, action in enumerate(ACTIONS):
                rng = np.random.default_rng([_SEED, subject, number])
                name = f"{action}/subject{subject}"
                scene = make_scene(
                    action,
                    subject=subject,
                    take=0,
                    seed=_ACTORS_SEED,
                    frames=int(rng.integers(*_FRAMES)),
                    fps=float(rng.choice(_FPS)),
                )
                exact = map_layout(exact_poses(scene), layout)
                exact = replace(exact, origin=Origin(name, clip_key(name), "actors", label=action))
                views: dict[Quality, Path] = {}
                for draw, quality in enumerate(BOTH):
                    errors = Degradation(
                        noise=_ERRORS[rng.integers(len(_ERRORS))], every=int(rng.choice(_EVERY))
                    )
                    view = degrade(exact, errors, _SEED, draw)
                    views[quality] = cache.save(view, quality, _SETTINGS)
                clips.append(PairedClip(exact.origin.key, name, action, True, views["high"], views["low"]))
                task.advance_to(len(clips))
    return clips


def _objective(network: GraphNetwork, project: nn.Module, layout: Layout) -> Objective:
    """Classification of both views, and their contrastive loss; each view is augmented on its own."""
    rng = np.random.default_rng(_SEED)

    def augmented(batch: Batch) -> Batch:
        return augment(batch, rng, mirror=layout.mirror, settings=_AUGMENTATION)

    def objective(batch: Batch) -> Losses:
        outputs = [
            network(*augmented(batch).of_quality("high")),
            network(*augmented(batch).of_quality("low")),
        ]
        masks = (batch.high_mask, batch.low_mask)
        task = sum(
            F.cross_entropy(output.logits, batch.label, label_smoothing=_LABEL_SMOOTHING)
            for output in outputs
        )
        one, other = (
            project(_mean_over_people(output.features, mask))
            for output, mask in zip(outputs, masks, strict=True)
        )
        return Losses(torch.as_tensor(task), {"contrastive": contrastive_loss(one, other)})

    return objective


def contrastive_loss(one: Tensor, other: Tensor) -> Tensor:
    """NT-Xent between two views of the same clips, in both directions.

    Args:
        one, other: ``(clip, channel)``; row i of both is of the same clip, all other rows are of other clips.
    """
    similarity = F.normalize(one, dim=1) @ F.normalize(other, dim=1).T / _TEMPERATURE
    same = torch.arange(len(one), device=one.device)
    return (F.cross_entropy(similarity, same) + F.cross_entropy(similarity.T, same)) / 2


def _mean_over_people(features: Tensor, mask: Tensor) -> Tensor:
    """From ``(batch, person, channel, frame, joint)`` to ``(batch, channel)``, over the people seen."""
    weight = mask.to(features.dtype)[:, :, None]
    return (features.mean(dim=(3, 4)) * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)


if __name__ == "__main__":
    try:
        name, file = sys.argv[1:]
        top1 = pretrain(layout_named(name), Path(file), Progress(Console(stderr=True)))
        sys.stdout.write(f"{file}: {top1:.2f} % of the actions of other actors are right\n")
    except SkdpipeError as error:
        sys.exit(f"{error}")
    except ValueError:
        sys.exit("expected a layout and the file to write: python -m skdpipe.pretraining coco-17 FILE")
