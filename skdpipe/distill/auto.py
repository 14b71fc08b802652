"""The choice of ``name: auto``: networks that suit the number of training clips."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from skdpipe.config import Experiment, NetworkChoice
from skdpipe.dataset import Manifest
from skdpipe.distill.training import planned_epochs

AUTO: Final = "auto"

# From which number of training clips a network is used. DD-Net is still ahead with 1,257 clips
# (configs/RESULTS.md); larger sets were not measured.
_CHOICES: Final = (
    (3000, NetworkChoice("st_gcn", width=32)),
    (0, NetworkChoice("dd_net", width=16, dropout=0.1)),
)


def resolve_networks(
    experiment: Experiment, manifest: Manifest, teacher: NetworkChoice | None = None
) -> Experiment:
    """The experiment with networks in place of ``auto``.

    Args:
        experiment: settings of teacher and student.
        manifest: its clips.
        teacher: the network of a trained teacher, used instead of the experiment's teacher.

    Returns:
        The settings: ``auto`` is the choice for the number of training clips, and for the student the
        teacher's network, so that features can be compared and weights copied.
    """
    chosen = network_for(len(manifest.part(train=True)))
    if experiment.teacher.name == AUTO:
        experiment = replace(experiment, teacher=teacher or chosen)
    if experiment.student.name == AUTO:
        experiment = replace(experiment, student=teacher or experiment.teacher)
    return experiment


def network_for(clips: int) -> NetworkChoice:
    """The network for a number of training clips."""
    return next(choice for least, choice in _CHOICES if clips >= least)


def describe_choice(settings: Experiment, resolved: Experiment, manifest: Manifest) -> str:
    """The automatic choices in one line: networks and number of steps; empty if there are none.

    Args:
        settings: with ``auto``.
        resolved: by :func:`resolve_networks`.
        manifest: the clips.
    """
    clips, recipe = len(manifest.part(train=True)), resolved.recipe
    parts = [
        f"{role} {now.name} (width {now.width}, dropout {now.dropout:g})"
        for role, before, now in (
            ("teacher", settings.teacher, resolved.teacher),
            ("student", settings.student, resolved.student),
        )
        if before.name == AUTO
    ]
    epochs = planned_epochs(recipe, clips)
    if epochs > recipe.epochs:
        parts.append(f"{epochs} instead of {recipe.epochs} epochs, for at least {recipe.steps} steps")
    return f"chosen for {clips} training clips: {', '.join(parts)}" if parts else ""
