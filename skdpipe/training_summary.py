"""A training in a few lines: network, input, skeletons, recipe and losses, for people to read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from skdpipe.config import (
    ClipFormat,
    Estimator,
    Experiment,
    NetworkChoice,
    OpenPifPafSettings,
    PluginSettings,
    Recipe,
    RtmlibSettings,
    to_plain,
)
from skdpipe.inference.metadata import BundleMetadata, TrainingClips
from skdpipe.skeleton import layout_named
from skdpipe.training_record import METHODS, RunData, Skeletons, TrainingRecord

_SCALES: Final = {
    "body": "centred on the people and divided by their size",
    "image": "divided by the size of the frame",
    "root": "relative to the root joint",
}
_NOT_NAMED: Final = {"steps", "loader_workers", "memory_megabytes", "mixed_precision"}
_FILLS: Final = {"resample": "the whole clip resampled to", "replay": "the clip cut or replayed to"}


def summarise_training(metadata: BundleMetadata, record: TrainingRecord) -> dict[str, str]:
    """What is known about a training, by name; what a bundle does not state is left out."""
    lines = {
        "method": METHODS.get(record.method, record.method),
        "network": describe_network(metadata.choice),
        "input": describe_input(metadata.clip),
        "skeletons": _source(metadata.fingerprint, metadata.estimator),
        **{f"{quality} quality": _of_quality(each) for quality, each in record.skeletons.items()},
    }
    if record.data is not None:
        lines["clips"] = _clips(record.data)
    if record.labelled:
        lines["labelled training clips"] = f"{sum(record.labelled):,}"
    if record.experiment is not None:
        lines |= {
            "split": _split(record.experiment),
            "seed": str(record.experiment.seed),
            "recipe": _recipe(record.experiment.recipe, record.epochs),
            "losses": _objective(record),
        }
    if record.losses:
        ending = ", ".join(f"{name} {value:.3g}" for name, value in record.losses.items())
        lines["losses of the last epoch"] = ending
    if metadata.training_clips is not None:
        lines["training clips"] = describe_training_clips(metadata.training_clips)
    return {name: text for name, text in lines.items() if text}


def describe_network(choice: NetworkChoice) -> str:
    """A network by its name and the settings that are not the defaults."""
    return ", ".join([choice.name, *_changed(choice, leave_out={"name"})])


def describe_input(clip: ClipFormat) -> str:
    """What the network gets for a clip."""
    layout = layout_named(clip.layout)
    axes = "x, y, z" if clip.coordinates == 3 else "x, y"
    parts = [
        f"{clip.frames} frames, {clip.people} people, {len(layout)} joints ({layout.name}), {axes}",
        _SCALES[clip.scale],
        f"{_FILLS[clip.fill]} {clip.frames} frames",
    ]
    parts += ["unseen joints interpolated"] * (clip.missing == "interpolate")
    parts += [f"smoothed over {clip.smoothing} frames"] * (clip.smoothing > 1)
    parts += [f"stream {clip.stream}"] * (clip.stream != "joint")
    parts += ["bodies aligned"] * clip.align
    return "; ".join(parts)


def describe_training_clips(clips: TrainingClips) -> str:
    """Length, rate and people of the training clips."""
    people = f"at most {clips.people} people, several in {100 * clips.several:.0f} % of the clips"
    return (
        f"{length_in_words(clips)}; {clips.pose_fps:.3g} poses a second; {people}; the main person is seen "
        f"in {100 * clips.seen:.0f} % of the poses"
    )


def length_in_words(clips: TrainingClips) -> str:
    """How long the training clips are."""
    if clips.shortest == clips.longest:
        return f"{clips.longest:.3g} s"
    return f"{clips.shortest:.3g} to {clips.longest:.3g} s, median {clips.seconds:.3g} s"


def describe_estimator(settings: Estimator) -> str:
    """An estimator by its settings."""
    match settings:
        case OpenPifPafSettings():
            text = (
                f"OpenPifPaf {settings.backbone}, weights {settings.weights}, long edge {settings.long_edge}"
            )
        case RtmlibSettings():
            text = f"rtmlib {settings.model}, {settings.mode}, {settings.body}"
        case PluginSettings():
            text = f"plugin {settings.plugin}"
    return text + (f", one frame in {settings.every}" if settings.every > 1 else ", all frames")


def _of_quality(skeletons: Skeletons) -> str:
    origin = "derived from high quality; " if skeletons.derived else f"{skeletons.settings}: "
    return origin + _source(skeletons.fingerprint, skeletons.estimator)


def _source(fingerprint: str, estimator: Estimator | None) -> str:
    if estimator is None:
        return f"imported ({fingerprint})"
    return f"{describe_estimator(estimator)} ({fingerprint})"


def _clips(data: RunData) -> str:
    return (
        f"{data.training_clips:,} for training, {data.test_clips:,} for the test, {len(data.classes)} classes"
        f"; digest {data.clips}"
    )


def _split(experiment: Experiment) -> str:
    if experiment.fold is not None:
        return f"part {experiment.fold.number} of {experiment.fold.of} of a cross-validation is the test"
    if experiment.validation:
        return f"{100 * experiment.validation:g} % of the training clips are held out and tested"
    return f"as stored with the clips, otherwise {100 * experiment.test_fraction:g} % held out for the test"


def _recipe(recipe: Recipe, epochs: int) -> str:
    rate = (
        "cosine"
        if not recipe.milestones
        else f"times {recipe.decay:g} after epochs {list(recipe.milestones)}"
    )
    shown = {"epochs", "batch", "optimiser", "learning_rate", "milestones", "decay", "augment"}
    parts = [
        f"{epochs or recipe.epochs} epochs, batches of {recipe.batch}, {recipe.optimiser}",
        f"learning rate {recipe.learning_rate:g} ({rate})",
        *_changed(recipe, leave_out={*shown, *_NOT_NAMED}),
    ]
    if recipe.augment is not None:
        used = {name: value for name, value in to_plain(recipe.augment).items() if value}
        parts.append(f"augmentation: {_listed(used)}")
    return ", ".join(parts)


def _objective(record: TrainingRecord) -> str:
    """The losses with their factors, and the options of the distillation."""
    assert record.experiment is not None
    recipe, settings = record.experiment.recipe, record.experiment.distillation
    task = recipe.task_loss.replace("_", " ")
    if not record.method.startswith("student"):
        return task
    factors = {"task": settings.task, "kl": settings.kl, "node": settings.node, "edge": settings.edge}
    terms = " + ".join(f"{factor:g} {name}" for name, factor in factors.items() if factor)
    options = [f"task: {task}"]
    options += [f"node: {settings.node_variant}"] * bool(settings.node)
    options += [f"edge: {settings.edge_variant}"] * bool(settings.edge)
    options += [f"temperature {settings.temperature:g}"] * bool(settings.kl)
    options += ["pooled features"] * settings.pooled
    options += ["warm start from the teacher"] * settings.warm_start
    options += [f"distillation from epoch {settings.start + 1}"] * bool(settings.start)
    options += [f"gradient revision: {settings.revision.replace('_', ' ')}"] * settings.has_losses
    return f"{terms} ({', '.join(options)})"


def _changed(config: object, *, leave_out: set[str]) -> list[str]:
    """The settings that are not the defaults, each with its value."""
    plain = to_plain(config, only_changed=True)
    return [f"{_words(name)} {_plain(value)}" for name, value in plain.items() if name not in leave_out]


def _listed(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{_words(name)} {_plain(value)}" for name, value in values.items())


def _words(name: str) -> str:
    return name.replace("_", " ")


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) else str(value)
