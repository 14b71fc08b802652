"""Train a student with a distillation loss of your own beside the paper's, its gradient revised like theirs.

    python examples/own_loss.py pose_cache models/run --config movenet

Goes on from examples/own_videos.py: the skeletons are in the cache, teacher and student in the run's folder.
Writes ``attention.safetensors`` there, for `skdpipe predict --bundle`.
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
    """How differently student and teacher spread their attention over frames and joints.

    ``|Q_s / |Q_s| - Q_t / |Q_t||²`` averaged over rows, ``Q = Σ_channel X²``: attention transfer
    (Zagoruyko and Komodakis, ICLR 2017).

    Args:
        student, teacher: ``(row, channel, frame, joint)``; channels may differ.
    """
    if len(student) == 0:
        return student.sum()
    own, wanted = (F.normalize(x.square().sum(dim=1).flatten(1)) for x in (student, teacher))
    return (own - wanted).square().sum(dim=1).mean()


def learn_with_attention(student: GraphNetwork, teacher: GraphNetwork, weight: float) -> Objective:
    """An objective for the training loop: task loss, soft labels, and attention."""

    def losses(batch: Batch) -> Losses:
        with torch.no_grad():
            known = teacher(batch.high, batch.high_mask)
        own = student(batch.low, batch.low_mask)
        attention = attention_loss(own.features[batch.paired], known.features[batch.paired])
        soft_labels = kl_divergence(own.logits, known.logits, temperature=1.0)
        return Losses(
            cross_entropy(own.logits, batch.label), {"kl": soft_labels, "attention": weight * attention}
        )

    return losses


def train_student(experiment: Experiment, cache: PoseCache, run: Path, weight: float) -> Figures:
    """Train a student on the experiment's clips and test it.

    Raises:
        SkdpipeError: if the cache or the run's bundles do not give what is needed.
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
            learn_with_attention(student, teacher, weight),
            training,
            experiment.recipe,
            seed=experiment.seed,
            device=device,
            revision=True,
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
