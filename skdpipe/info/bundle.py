"""Bundles: how a network was trained, from what, how good it is, and what it fits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from skdpipe.config import to_plain
from skdpipe.file_digest import sha256_of
from skdpipe.inference.metadata import BundleMetadata, read_metadata
from skdpipe.info.description import Description, Fact, commands_for, size_of
from skdpipe.info.tensors import check_tensors
from skdpipe.model_card import LICENCE
from skdpipe.skeleton import layout_named
from skdpipe.training_record import METHODS, TrainingRecord, read_record
from skdpipe.training_summary import describe_estimator, summarise_training

TEACHER: Final = "teacher"
_RETRAIN: Final = "copy it again, or train it again"


def describe_bundle(path: Path) -> Description:
    """Describe a bundle.

    Raises:
        BundleError: if its header cannot be read.
    """
    metadata = read_metadata(path)
    record = read_record(metadata)
    checked, problem = check_tensors(path, _RETRAIN)
    problems = [problem] if problem else []
    if record.unreadable:
        problems.append(
            f"{path}: its record of the training has parts that this version cannot read "
            f"({', '.join(record.unreadable)}); update skdpipe, or train it again"
        )
    facts = (
        *facts_of_network(metadata, record),
        commands_of(metadata, path),
        size_of([path]),
        Fact("sha256", sha256_of(path)),
        checked,
    )
    return Description(path, "bundle", title_of(metadata, record), facts, tuple(problems))


def title_of(metadata: BundleMetadata, record: TrainingRecord) -> str:
    """What a network is, in one line."""
    run = f" of run {record.experiment.name}" if record.experiment is not None else ""
    method = f"{record.method}{run}, " if record.method else ""
    return f"a trained network: {method}{metadata.choice.name} for {len(metadata.classes)} classes"


def facts_of_network(metadata: BundleMetadata, record: TrainingRecord) -> Iterator[Fact]:
    """What a bundle or an export states about its network."""
    yield Fact("classes", list(metadata.classes), ", ".join(metadata.classes))
    values = _values(metadata, record)
    for name, text in summarise_training(metadata, record).items():
        is_repeated = name == "skeletons" and record.skeletons  # they are those of one of the qualities
        yield Fact(name, values.get(name, text), () if is_repeated else text)
    yield from _figures(metadata, record)
    yield from _cost(record)
    yield _calibration(metadata, record)
    yield from _fits(metadata)
    if record.versions:
        yield Fact("versions", dict(record.versions), ", ".join(map(" ".join, record.versions.items())))
    yield Fact("licence", LICENCE, f"{LICENCE} (of skdpipe; that of the training videos is not recorded)")


def _values(metadata: BundleMetadata, record: TrainingRecord) -> dict[str, Any]:
    """The values of what `summarise_training` describes."""
    experiment, data = record.experiment, record.data
    values: dict[str, Any] = {
        "method": record.method,
        "network": to_plain(metadata.choice),
        "input": to_plain(metadata.clip),
        "skeletons": {
            "fingerprint": metadata.fingerprint,
            "estimator": to_plain(metadata.estimator) if metadata.estimator is not None else None,
        },
        **{f"{quality} quality": to_plain(each) for quality, each in record.skeletons.items()},
        "labelled training clips": dict(zip(metadata.classes, record.labelled, strict=False)),
        "losses of the last epoch": dict(record.losses),
    }
    if data is not None:
        values["clips"] = {
            "training": data.training_clips, "test": data.test_clips, "digest": data.clips,
            "teacher": data.teacher, "initial": data.initial,
        }  # fmt: skip
    if experiment is not None:
        values |= {
            "split": {
                "fold": to_plain(experiment.fold) if experiment.fold is not None else None,
                "validation": experiment.validation,
                "test_fraction": experiment.test_fraction,
            },
            "seed": experiment.seed,
            "recipe": to_plain(experiment.recipe),
            "losses": to_plain(experiment.distillation),
        }
    if metadata.training_clips is not None:
        values["training clips"] = asdict(metadata.training_clips)
    return values


def _figures(metadata: BundleMetadata, record: TrainingRecord) -> Iterator[Fact]:
    top1, figures, confusions = record.top1, record.figures, record.confusions
    if figures is None or top1 is None:
        return
    seed = f", seed {record.experiment.seed}" if record.experiment is not None else ""
    yield Fact(
        "top-1",
        {"percent": top1.estimate, "low": top1.low, "high": top1.high, "test_clips": record.test_clips},
        f"{top1.in_words('%')} on {record.test_clips:,} test clips{seed}",
    )
    if len(metadata.classes) > 5:
        yield Fact("top-5", figures.top5, f"{figures.top5:.1f} %")
    if figures.training_top1 is not None:
        yield Fact("top-1 of training clips", figures.training_top1, f"{figures.training_top1:.1f} %")
    if confusions is None:
        return
    by_class = [
        {
            "class": name,
            "test_clips": confusions.by_label[index],
            "correct": confusions.correct_by_label[index],
        }
        for index, name in enumerate(metadata.classes)
    ]
    tested = [index for index in range(len(metadata.classes)) if confusions.by_label[index]]
    recall = {
        index: 100 * confusions.correct_by_label[index] / confusions.by_label[index] for index in tested
    }
    lowest = sorted(tested, key=lambda index: recall[index])[:3]
    text = ", ".join(f"{metadata.classes[index]} {recall[index]:.0f} %" for index in lowest)
    yield Fact("figures by class", by_class, f"the lowest: {text}")


def _cost(record: TrainingRecord) -> Iterator[Fact]:
    figures = record.figures
    if figures is None:
        return
    values = {
        "parameters": figures.parameters,
        "gflops": figures.gflops,
        "milliseconds": figures.milliseconds,
    }
    yield Fact(
        "cost",
        values | {"training_seconds": record.seconds},
        f"{figures.parameters:,} parameters, {figures.gflops:.3g} GFLOPs a clip; {figures.milliseconds:.3g} "
        f"ms a clip, measured once on the machine of the training, which took {record.seconds:,.0f} s",
    )


def _calibration(metadata: BundleMetadata, record: TrainingRecord) -> Fact:
    calibration = record.calibration
    value = asdict(calibration) if calibration is not None else None
    if calibration is not None and (calibration.fit is None) == (metadata.temperature is None):
        text = calibration.in_words
    else:
        text = f"temperature {metadata.temperature:.2f}" if metadata.temperature is not None else "none"
    return Fact("calibration", {"temperature": metadata.temperature, "record": value}, text)


def _fits(metadata: BundleMetadata) -> Iterator[Fact]:
    """What the network can be used on."""
    clip, layout = metadata.clip, layout_named(metadata.clip.layout)
    rate = metadata.training_clips.pose_fps if metadata.training_clips is not None else None
    estimator = metadata.estimator
    value = {
        "layout": layout.name, "coordinates": clip.coordinates or 2, "pose_fps": rate,
        "estimator": to_plain(estimator) if estimator is not None else None,
    }  # fmt: skip
    text = (
        f"skeletons of {layout.name}, or of a layout with its joints, in {clip.coordinates or 2} coordinates"
    )
    text += f", at about {rate:.3g} poses a second" if rate is not None else ""
    if clip.coordinates == 3:
        text += "; no videos"
    elif estimator is None:
        text += f"; videos with an estimator like that of the training ({metadata.fingerprint})"
    else:
        text += f"; videos by {describe_estimator(estimator)}"
    yield Fact("fits", value, text)


def commands_of(metadata: BundleMetadata, path: Path) -> Fact:
    """The commands that use a bundle."""
    is_flat, is_teacher = metadata.clip.coordinates != 3, metadata.run.get("method") == TEACHER
    predict = "skdpipe predict VIDEO --bundle {}" if is_flat else "skdpipe predict SKELETONS --bundle {}"
    predict += " --estimator FILE" if is_flat and metadata.estimator is None else ""
    other = "skdpipe distill --teacher {}" if is_teacher else "skdpipe finetune {}"
    return commands_for(path, predict, "skdpipe evaluate {}", other)


def method_title(name: str) -> str:
    """The title of a method in tables."""
    return METHODS.get(name, name).split(",")[0]
