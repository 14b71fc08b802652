"""The model card of a trained network: a Markdown page that goes with it.

Its front matter is that of a model on Hugging Face. Everything in it follows from what is recorded at the
training. Names from data are escaped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

import yaml

from skdpipe.inference.metadata import BundleMetadata
from skdpipe.printable import printable
from skdpipe.training_record import METHODS, Calibration, Confusions, TrainingRecord, read_record
from skdpipe.training_summary import length_in_words, summarise_training

LICENCE: Final = "AGPL-3.0-or-later"
"""Of skdpipe, and so of what it writes, as far as it is not the user's."""

_CONFUSIONS: Final = 10
_LOW: Final = 50.0  # percent
_NAMED: Final = 10  # classes in a sentence
_LONGEST_TEXT: Final = 1000
_SPECIAL: Final = re.compile(r"[\\`*\[\]|~$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
_ENTITIES: Final = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    "://": "&#58;//",
    "www.": "www&#46;",
    "@": "&#64;",
}

_CITATION: Final = """\
```bibtex
@software{skdpipe,
  title = {skdpipe: action recognition from video with structural knowledge distillation},
  author = {{The skdpipe maintainers}}
}

@article{bian2021structural,
  title = {Structural Knowledge Distillation for Efficient Skeleton-Based Action Recognition},
  author = {Bian, Cunling and Feng, Wei and Wan, Liang and Wang, Song},
  journal = {IEEE Transactions on Image Processing},
  volume = {30},
  pages = {2963--2976},
  year = {2021},
  doi = {10.1109/TIP.2021.3056895}
}
```"""


def card_of(metadata: BundleMetadata, confusions: Confusions | None = None) -> str:
    """The model card of a bundle.

    Args:
        metadata: of the bundle.
        confusions: of its test clips, for bundles of earlier versions, which do not state them.
    """
    record = read_record(metadata)
    if record.confusions is None and confusions is not None:
        record = replace(record, confusions=confusions)
    sections = {
        "What it is": _what_it_is(metadata, record),
        "How to use it": _how_to_use(metadata, record),
        "Training data": _training_data(metadata, record),
        "Figures": _figures(metadata, record),
        "Probabilities": _probabilities(metadata, record.calibration),
        "Cost": _cost(record),
        "Limits": [f"- {line}" for line in _limits(metadata, record)],
        "Licence": _licence(),
        "How to cite": [_CITATION],
    }
    title = f"# {_text(_name(record))}"
    body = [title, *(f"## {name}\n\n" + "\n".join(lines) for name, lines in sections.items() if lines)]
    return f"---\n{_front_matter(metadata, record)}---\n\n" + "\n\n".join(body) + "\n"


def _front_matter(metadata: BundleMetadata, record: TrainingRecord) -> str:
    tags = ["action-recognition", "skeleton-based-action-recognition", metadata.choice.name]
    if record.method.startswith("student"):
        tags.insert(2, "knowledge-distillation")
    content: dict[str, object] = {
        "license": "agpl-3.0",
        "library_name": "skdpipe",
        "pipeline_tag": "video-classification",
        "tags": tags,
        "metrics": ["accuracy"],
    }
    if record.top1 is not None:
        digest = f", digest {record.data.clips}" if record.data is not None else ""
        result = {
            "task": {"type": "video-classification"},
            "dataset": {"type": "skeletons", "name": f"{record.test_clips} test clips{digest}"},
            "metrics": [
                {"type": "accuracy", "name": "top-1, percent", "value": round(record.top1.estimate, 2)}
            ],
        }
        content["model-index"] = [{"name": _name(record), "results": [result]}]
    return yaml.safe_dump(content, sort_keys=False, width=110)


def _name(record: TrainingRecord) -> str:
    run = record.experiment.name if record.experiment is not None else ""
    return " ".join(filter(None, (run, record.method))) or "A network of skdpipe"


def _what_it_is(metadata: BundleMetadata, record: TrainingRecord) -> list[str]:
    summary = summarise_training(metadata, record)
    shown = ("method", "network", "input", "skeletons")
    return [
        f"A network of skdpipe that gives a clip of skeletons one of {len(metadata.classes)} labels.",
        "",
        *_table(("", ""), [(name, _text(summary[name])) for name in shown if name in summary]),
        "",
        f"Classes: {_names(metadata.classes, len(metadata.classes))}.",
    ]


def _how_to_use(metadata: BundleMetadata, record: TrainingRecord) -> list[str]:
    file = f"{record.method if record.method in METHODS else 'student'}.safetensors"
    video = metadata.clip.coordinates != 3
    option = "" if metadata.estimator is not None else " --estimator ESTIMATOR.yaml"
    commands = [f"skdpipe predict VIDEO.mp4 --bundle {file}{option}"] * video
    commands += [f"skdpipe predict SKELETONS --bundle {file}", f"skdpipe info {file}"]
    lines = ["```sh", *commands, "```"]
    if video and metadata.estimator is None:
        lines += [
            "",
            "It was trained on imported skeletons and names no estimator: ESTIMATOR.yaml states one.",
        ]
    if not video:
        lines += ["", "It needs skeletons in three dimensions: estimators find two coordinates in a video."]
    return [
        *lines,
        "",
        "If the network was exported, the folder of the export takes the place of the bundle.",
    ]


def _training_data(metadata: BundleMetadata, record: TrainingRecord) -> list[str]:
    summary = summarise_training(metadata, record)
    shown = (
        "clips", "labelled training clips", "training clips", "split", "high quality", "low quality", "seed",
        "recipe", "losses", "losses of the last epoch",
    )  # fmt: skip
    rows = [(name, _text(summary[name])) for name in shown if name in summary]
    rows += [
        ("trained with", _text(", ".join(f"{name} {each}" for name, each in record.versions.items())))
    ] * (bool(record.versions))
    return _table(("", ""), rows) if rows else ["The bundle does not state them."]


def _figures(metadata: BundleMetadata, record: TrainingRecord) -> list[str]:
    top1, confusions = record.top1, record.confusions
    if record.figures is None or top1 is None:
        return ["The bundle does not state them."]
    rows = [("top-1", f"{top1.estimate:.1f} %, 95 % interval {top1.low:.1f} to {top1.high:.1f} %")]
    rows += [("top-5", f"{record.figures.top5:.1f} %")] * (len(metadata.classes) > 5)
    if record.figures.training_top1 is not None:
        rows.append(("top-1 on the training clips", f"{record.figures.training_top1:.1f} %"))
    if confusions is None:
        return [*_table(("", ""), rows), "", "The bundle states no figures by class."]
    rows += [("chance level", f"{confusions.chance:.1f} %"), ("test clips", f"{confusions.clips:,}")]
    rows += [("test clips in which nobody was detected", f"{confusions.nobody:,}")] * bool(confusions.nobody)
    lines = [*_table(("", ""), rows), "", *_by_class(metadata.classes, record, confusions)]
    if wrong := confusions.largest(_CONFUSIONS):
        named = metadata.classes
        cells = [(_label(named[a]), _label(named[b]), f"{clips:,}") for a, b, clips in wrong]
        lines += [
            "",
            "The most frequent confusions:",
            "",
            *_table(("class", "label given", "test clips"), cells),
        ]
    return lines


def _by_class(classes: Sequence[str], record: TrainingRecord, confusions: Confusions) -> list[str]:
    rows = []
    for index, name in enumerate(classes):
        clips, given = confusions.by_label[index], confusions.by_prediction[index]
        correct = confusions.correct_by_label[index]
        trained = [f"{record.labelled[index]:,}"] if record.labelled else []
        rows.append([_label(name), *trained, f"{clips:,}", _share(correct, clips), _share(correct, given)])
    trained = ["training clips"] if record.labelled else []
    headings = ["class", *trained, "test clips", "recall %", "precision %"]
    return [
        "Recall is the share of the test clips of a class that get its label, precision the share of those "
        "with its label that are of the class.",
        "",
        *_table(headings, rows),
    ]


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f}" if whole else "none"


def _probabilities(metadata: BundleMetadata, calibration: Calibration | None) -> list[str]:
    if metadata.temperature is None:
        reason = calibration.reason if calibration is not None else ""
        why = f": {_text(reason)}" if reason else ""
        return [f"They are not calibrated{why}. They are the softmax of the network's outputs."]
    lines = [f"They are calibrated: the outputs are divided by the temperature {metadata.temperature:.3f}."]
    if calibration is None or calibration.fit is None:
        return lines
    fit = calibration.fit
    rows = [
        ("expected calibration error", f"{fit.error_before:.3f}", f"{fit.error_after:.3f}"),
        ("negative log likelihood", f"{fit.loss_before:.3f}", f"{fit.loss_after:.3f}"),
    ]
    lines[0] += f" It was fitted on {calibration.clips:,} training clips that another training left out."
    return [*lines, "", *_table(("on these clips", "without it", "with it"), rows)]


def _cost(record: TrainingRecord) -> list[str]:
    if record.figures is None:
        return []
    figures = record.figures
    rows = [
        ("parameters", f"{figures.parameters:,}"),
        ("operations for one clip", f"{figures.gflops:.3g} GFLOPs"),
    ]
    rows += [("training", f"{record.seconds:,.0f} s")] * bool(record.seconds)
    return _table(("", ""), rows)


def _limits(metadata: BundleMetadata, record: TrainingRecord) -> Iterator[str]:
    """What the network was not trained or tested for, as far as it is recorded."""
    classes, clip, clips = metadata.classes, metadata.clip, metadata.training_clips
    yield (
        f"Every clip in which somebody is seen gets one of the {len(classes)} labels, also if it shows none "
        "of these actions."
    )
    if record.labelled:
        least = min(record.labelled)
        few = [name for name, count in zip(classes, record.labelled, strict=True) if count == least]
        yield _fewest("labelled training clips", least, few, len(classes))
    if record.confusions is not None:
        yield from _limits_of_test(classes, record.confusions)
    if clips is not None:
        yield (
            f"The training clips last {length_in_words(clips)}. Longer videos are labelled in windows of "
            f"about {clips.window:.3g} s."
        )
        yield (
            f"The training clips have {clips.pose_fps:.3g} poses a second and show at most {clips.people} "
            "people."
        )
    yield f"At most {clip.people} people of a clip are in the input, those of the highest confidence."
    axes = "three dimensions" if clip.coordinates == 3 else "the image"
    yield f"The joints are those of {_text(_layout_name(metadata))}, with coordinates in {axes}."
    if metadata.temperature is None:
        yield "Its probabilities are not calibrated."


def _limits_of_test(classes: Sequence[str], confusions: Confusions) -> Iterator[str]:
    tested = {index: clips for index, clips in confusions.by_label.items() if clips}
    recall = {index: 100 * confusions.correct_by_label[index] / clips for index, clips in tested.items()}
    low = sorted(
        (index for index in recall if recall[index] < _LOW), key=lambda index: (recall[index], index)
    )
    if low:
        named = _names([classes[index] for index in low], _NAMED)
        yield f"Classes with a recall below {_LOW:g} %, the lowest first: {named}."
    if untested := [name for index, name in enumerate(classes) if index not in tested]:
        yield f"There are no test clips of {_names(untested, _NAMED)}."
    few = [classes[index] for index in sorted(tested) if tested[index] == min(tested.values())]
    yield _fewest("test clips", min(tested.values()), few, len(tested))
    if confusions.nobody:
        yield f"Test clips in which nobody was detected: {confusions.nobody:,}. They count as wrong."


def _fewest(what: str, count: int, classes: Sequence[str], among: int) -> str:
    if len(classes) == among:
        return f"Each class has {count:,} {what}."
    return f"The fewest {what} of a class are {count:,}: {_names(classes, _NAMED)}."


def _layout_name(metadata: BundleMetadata) -> str:
    layout = metadata.clip.layout
    return layout if isinstance(layout, str) else layout.name


def _licence() -> list[str]:
    return [
        f"skdpipe is licensed under {LICENCE}; no other licence is recorded for this network. The licences "
        "of the training videos are not known to skdpipe: state them here."
    ]


def _names(names: Sequence[str], most: int) -> str:
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(_label, names[:most])) + rest


def _label(name: str) -> str:
    """The name of a class in Markdown, quoted if there is nothing to see."""
    return text if (text := _text(name)).strip() else f"'{text}'"


def _text(text: str) -> str:
    """Text from data as one line of Markdown that contains neither markup nor HTML nor links."""
    line = printable(text, most=_LONGEST_TEXT)
    for found, entity in _ENTITIES.items():
        line = line.replace(found, entity)
    return _SPECIAL.sub(r"\\\g<0>", line)


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [headings, ["---"] * len(headings), *rows]
    return [f"| {' | '.join(line)} |" for line in lines]
