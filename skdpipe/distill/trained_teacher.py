"""A teacher that was trained in another run."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

from skdpipe.bundle import Bundle, load_bundle, save_bundle
from skdpipe.distill.alignment import require_same_joints
from skdpipe.distill.initial_weights import initialise_from_teacher
from skdpipe.distill.method_training import (
    RunContext,
    evaluate_method,
    skeleton_source,
    untrained_network,
)
from skdpipe.distill.methods import STUDENT, TEACHER
from skdpipe.errors import BundleError
from skdpipe.inference.model_input import clip_shape


def load_teacher(run: RunContext, path: Path) -> Bundle:
    """Read a teacher that was trained for the run's classes, clip format and estimator.

    Raises:
        BundleError: if it cannot be read, or was trained for others.
    """
    bundle = load_bundle(path)
    for what, found, expected in (
        ("classes", ", ".join(bundle.metadata.classes), ", ".join(run.manifest.classes)),
        ("clips", bundle.metadata.clip, run.clip_format(TEACHER)),
        ("the skeletons of", bundle.metadata.fingerprint, skeleton_source(run, TEACHER)[0]),
    ):
        if found != expected:
            raise BundleError(f"{path} was trained for {what} {found}; expected {expected}")
    return bundle


def require_comparable(run: RunContext, teacher: Bundle | None) -> None:
    """Check before training that the student can be compared with the teacher.

    Node and edge loss compare feature maps, unless these are pooled, and a warm start copies the teacher's
    weights.

    Args:
        run: teacher and student are built by its settings.
        teacher: used instead of the settings' teacher if given.

    Raises:
        ConfigError: if the feature maps have different joints.
        DataError: if the student has weights that the teacher does not have.
    """
    settings = run.experiment.distillation
    compares_joints = bool(settings.node or settings.edge) and not settings.pooled
    if not (compares_joints or settings.warm_start):
        return
    network = teacher.network.to(run.device) if teacher else untrained_network(run, TEACHER)
    student = untrained_network(run, STUDENT)
    if settings.warm_start:
        initialise_from_teacher(student, network, same_input=run.manifest.same_coordinates)
    if compares_joints:
        clip, teacher_clip = run.clip_format(STUDENT), run.clip_format(TEACHER)
        require_same_joints(student, network.eval(), clip_shape(clip), teacher_clip.channels)


def adopt_teacher(run: RunContext, teacher: Bundle) -> None:
    """Save a trained teacher in the run's folder, with its figures on the run's test clips."""
    figures = evaluate_method(run, TEACHER, teacher.network)
    tested = {"figures": asdict(figures), "confusions": asdict(run.folder.read_confusions(TEACHER.name))}
    metadata = replace(teacher.metadata, run={**teacher.metadata.run, **tested})
    save_bundle(Bundle(teacher.network.cpu(), metadata), run.folder.bundle(TEACHER.name))
