"""Train a student with your own distillation loss beside one of the paper's, with gradient revision.

    python examples/own_loss.py pose_cache models/run --config movenet

Continues examples/own_videos.py: the cache contains the skeletons, the run's folder teacher and student.
Writes ``attention.safetensors`` to that folder, for `skdpipe predict --bundle`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
import typer
from rich.console import Console
from torch import Tensor

from skdpipe.bundle import Bundle, build_network, load_bundle, save_bundle
from skdpipe.cache import PoseCache
from skdpipe.config import Experiment, config_path, load_config
from skdpipe.dataset import Batch, PairedClips, build_manifest
from skdpipe.distill.losses import cross_entropy, kl_divergence
from skdpipe.distill.training import Losses, Objective, train
from skdpipe.evaluate import Figures, evaluate
from skdpipe.inference import read_metadata
from skdpipe.networks import GraphNetwork
from skdpipe.progress import Progress


def attention_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Attention transfer (Zagoruyko and Komodakis, ICLR 2017) over frames and joints.

    ``|Q_s / |Q_s| - Q_t / |Q_t||²`` averaged over rows, ``Q = Σ_channel X²``.

    Args:
        student, teacher: ``(row, channel, frame, joint)``; channels may differ.
    """
    if len(student) == 0:
        return student.sum()
    own, target = (F.normalize(x.square().sum(dim=1).flatten(1)) for x in (student, teacher))
    return (own - target).square().sum(dim=1).mean()


def attention_objective(student: GraphNetwork, teacher: GraphNetwork, weight: float) -> Objective:
    """The objective for the training loop: task loss, KL, and attention."""

    def losses(batch: Batch) -> Losses:
        with torch.no_grad():
            target = teacher(batch.high, batch.high_mask)
        own = student(batch.low, batch.low_mask)
        attention = attention_loss(own.features[batch.paired], target.features[batch.paired])
        kl = kl_divergence(own.logits, target.logits, temperature=1.0)
        return Losses(cross_entropy(own.logits, batch.label), {"kl": kl, "attention": weight * attention})

    return losses


def train_student(experiment: Experiment, cache: PoseCache, run: Path, weight: float) -> Figures:
    """Train a student on the experiment's clips and test it.

    Raises:
        SkdpipeError: if clips are missing in the cache or bundles in the run's folder.
    """
    device, clip = torch.device("cpu"), experiment.clip
    manifest = build_manifest(cache, experiment)
    training, test = (
        PairedClips(cache, part, manifest.classes, clip, clip, experiment.derive_low, experiment.seed)
        for part in (manifest.part(train=True), manifest.part(train=False))
    )
    torch.manual_seed(experiment.seed)
    student = build_network(experiment.student, clip, len(manifest.classes))
    teacher = load_bundle(run / "teacher.safetensors").network.eval()
    with Progress().task("training", experiment.recipe.epochs, unit="epochs") as task:
        train(
            student,
            attention_objective(student, teacher, weight),
            training,
            experiment.recipe,
            seed=experiment.seed,
            device=device,
            revision="per_loss",
            augment=None,
            state_file=run / "attention.state",
            task=task,
        )
    figures, _ = evaluate(student, test, quality="low", batch=experiment.recipe.batch, device=device)
    trained = read_metadata(run / "student.safetensors")  # same clips, same estimator
    metadata = replace(trained, run={"method": "attention"})
    save_bundle(Bundle(student, metadata), run / "attention.safetensors")
    return figures


def main(cache: Path, run: Path, config: str = "published", weight: float = 1.0) -> None:
    """Train and print top-1."""
    experiment = load_config(Experiment, config_path(config), section="experiment")
    figures = train_student(experiment, PoseCache(cache), run, weight)
    Console().print(f"student with attention: top-1 {figures.top1:.1f}%")


if __name__ == "__main__":
    typer.run(main)
