"""Model cards: the card of a tiny bundle, what hostile names become, and cards beside bundles."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from distillation_setup import CPU
from hypothesis import example, given
from hypothesis import strategies as st
from moving_body import fill, tiny_experiment

from skdpipe.bundle import load_bundle, save_bundle
from skdpipe.cache import PoseCache
from skdpipe.config import ClipFormat, Degradation, NetworkChoice, OpenPifPafSettings, to_plain
from skdpipe.distill import METHODS, distill_student
from skdpipe.errors import DataError
from skdpipe.inference.metadata import BundleMetadata, TrainingClips, read_metadata
from skdpipe.model_card import card_of
from skdpipe.training_record import METHODS as DESCRIBED
from skdpipe.training_record import Confusions, confusions_of, read_record

EXPERIMENT = tiny_experiment()
RUN: dict[str, Any] = {
    "method": "student",
    "experiment": to_plain(EXPERIMENT),
    "data": {
        "classes": ["run", "sit", "wave"], "high": "a-1", "low": "b-2", "training_clips": 12, "test_clips": 8,
        "clips": "00112233aabbccdd",
    },
    "figures": {"top1": 62.5, "top5": 100.0, "parameters": 1234, "gflops": 0.25, "milliseconds": 3.5,
                "training_top1": 75.0},
    "curves": [{"losses": {"task": 2.0}, "seconds": 1.5},
               {"losses": {"task": 0.5, "kl": 0.25}, "seconds": 1.0}],
    "versions": {"skdpipe": "0.1.0", "machine": "x86_64, 2 CPUs"},
    "calibration": {
        "clips": 40,
        "fit": {"temperature": 1.5, "error_before": 0.2, "error_after": 0.1, "loss_before": 0.9,
                "loss_after": 0.8},
        "reason": "",
    },
    "confusions": {"counts": [[0, 0, 3], [0, 2, 1], [1, -1, 1], [1, 0, 1], [2, 2, 2]]},
    "labelled": [4, 5, 3],
    "skeletons": {
        "high": {"settings": "a-1", "fingerprint": "eyes", "estimator": None, "derived": False},
        "low": {"settings": "b-2", "fingerprint": "squint", "estimator": None, "derived": False},
    },
}  # fmt: skip
CLIPS = TrainingClips(2.5, 1.0, 5.0, 2.5, 12.0, 2, several=0.5, seen=0.9, least_seen=0.4)


def a_network(classes: tuple[str, ...] = ("run", "sit", "wave"), **run: object) -> BundleMetadata:
    clip, choice = ClipFormat(frames=8, coordinates=2), NetworkChoice("st_2sgcn", width=4)
    return BundleMetadata(choice, classes, clip, "squint", None, {**RUN, **run}, 1.5, CLIPS)


CARD = (Path(__file__).parent / "fixtures/model_card.md").read_text(encoding="utf-8")


def test_the_card_of_a_tiny_bundle() -> None:
    assert card_of(a_network()) == CARD


def front_matter(card: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(card.split("---\n")[1])
    return found


def table_under(card: str, first_cell: str) -> list[list[str]]:
    """The cells of the table whose first heading is given; cells are split at bars that are not escaped."""
    lines = card.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"| {first_cell} |"))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    return rows


def test_every_method_is_described_with_its_title() -> None:
    assert {name: text.split(",")[0] for name, text in DESCRIBED.items()} == {
        method.name: method.title for method in METHODS
    }


@given(st.text(max_size=30))
@example("a|b`c*d_ _e_ [f](http://g) <script>alert(1)</script> &amp; \\| ~~h~~ $x$ www.i.org")
@example("line\nbreak\r| x | \u2028 y\x1b[31m \u202e")
@example("")
def test_the_name_of_a_class_is_one_cell_without_markup(name: str) -> None:
    card = card_of(a_network((name, f"{name}.", f"{name}..")))
    rows = table_under(card, "class")
    assert [len(row) for row in rows] == [5, 5, 5]
    assert not re.search(r"(?<!\\)[`*\[\]|~$]", rows[0][0])
    assert not {"<", ">", "\x1b", "\u202e"} & set(rows[0][0])
    assert "://" not in rows[0][0]
    assert "www." not in rows[0][0]
    assert card.splitlines() == card.rstrip("\n").split("\n")  # no other line breaks
    assert [line for line in card.splitlines() if line.startswith("#")] == [
        line for line in CARD.splitlines() if line.startswith("#")
    ]


def test_a_method_of_another_program_is_no_markup() -> None:
    card = card_of(a_network(method="x\n```\n# y <b>"))
    assert "student.safetensors" in card
    assert [line for line in card.splitlines() if line.startswith("```")] == [
        "```sh",
        "```",
        "```bibtex",
        "```",
    ]
    assert "<b>" not in card.partition("---\n\n")[2]


def test_long_names_and_many_classes_are_bounded() -> None:
    many = tuple(f"action {number}" for number in range(2000))
    card = card_of(a_network(many, confusions=None, labelled=[1] * 1999 + [2]))
    assert "The fewest labelled training clips of a class are 1: action 0, " in card
    assert "action 9 and 1989 more." in card
    assert len(card_of(a_network(("x" * 100_000, "y", "z")))) < 20_000


def test_bundles_of_earlier_versions_have_a_card_without_figures_by_class() -> None:
    early = a_network(confusions=None, labelled=None, skeletons=None, calibration=None)
    card = card_of(early)
    assert "The bundle states no figures by class." in card
    assert "| top-1 | 62.5 %, 95 % interval 30.6 to 86.3 % |" in card  # Wilson's of 5 of 8
    confusions = Confusions(tuple(map(tuple, RUN["confusions"]["counts"])))  # type: ignore[arg-type]
    assert table_under(card_of(early, confusions), "class") == [
        ["run", "4", "75.0", "75.0"], ["sit", "2", "0.0", "none"], ["wave", "2", "100.0", "66.7"],
    ]  # fmt: skip


def test_a_bundle_without_a_record_has_a_card() -> None:
    clip = ClipFormat(frames=8, coordinates=3)
    card = card_of(BundleMetadata(NetworkChoice("st_2sgcn", width=4), ("a", "b"), clip, "kinect"))
    assert card.count("The bundle does not state them.") == 2
    assert "skdpipe predict VIDEO" not in card  # estimators find two coordinates
    assert "It needs skeletons in three dimensions" in card
    assert front_matter(card)["license"] == "agpl-3.0"
    assert "model-index" not in front_matter(card)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("figures", {"top1": "high"}),
        ("figures", {**RUN["figures"], "top1": float("nan")}),
        ("curves", [{"losses": {"task": "a"}}]),
        ("confusions", {"counts": [[0, 3, 8]]}),
        ("confusions", {"counts": [[0, 0, 3], [0, 0, 5]]}),
        ("confusions", {"counts": [[0, 0, 8]]}),  # another accuracy than that of the figures
        ("confusions", {"counts": []}),
        ("labelled", [1, 2]),
        ("labelled", [1, 2, -3]),
        ("skeletons", {"high": 3}),
        ("versions", ["torch"]),
        ("calibration", {"clips": "many"}),
        ("experiment", {"name": "tiny", "speed": 3}),
        ("experiment", 3),
        ("data", {}),
        ("method", 7),
    ],
)
def test_a_part_that_is_not_valid_is_named_and_does_not_hide_the_others(name: str, found: object) -> None:
    metadata = a_network(**{name: found})
    record, whole = read_record(metadata), read_record(a_network())
    lost = {name} | ({"confusions"} if name == "figures" else set())
    assert set(record.unreadable) == lost
    kept = {
        each: getattr(whole, each) for each in ("method", "data", "figures", "versions") if each not in lost
    }
    assert {each: getattr(record, each) for each in kept} == kept
    assert card_of(metadata).startswith("---\nlicense")


def test_confusions_count_pairs() -> None:
    confusions = confusions_of([0, 0, 1, 1, 0], [0, 1, 1, -1, 1])
    assert confusions.counts == ((0, 0, 1), (0, 1, 2), (1, -1, 1), (1, 1, 1))
    assert (confusions.clips, confusions.nobody, confusions.chance) == (5, 1, 60)
    assert confusions.largest(3) == [(0, 1, 2)]
    assert confusions.top1.estimate == 40


# Beside bundles


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> PoseCache:
    return fill(PoseCache(tmp_path_factory.mktemp("cache")))


def test_a_training_records_what_its_card_states(cache: PoseCache, tmp_path: Path) -> None:
    experiment = tiny_experiment(methods=("teacher", "baseline"))
    folder = distill_student(experiment, cache, tmp_path, device=CPU).folder
    bundle = folder / "baseline.safetensors"
    record = read_record(read_metadata(bundle))
    assert record.unreadable == ()
    assert record.labelled == (4, 4)
    assert record.confusions is not None
    assert (record.confusions.clips, dict(record.confusions.by_label)) == (4, {0: 2, 1: 2})
    assert record.skeletons["low"].fingerprint == "squint"
    assert record.skeletons["high"].settings == "eyes-1"
    card, before = folder / "baseline.card.md", bundle.read_bytes()
    text = card.read_text(encoding="utf-8")
    assert text == card_of(read_metadata(bundle))
    card.unlink()
    (folder / "teacher.card.md").write_text("mine")
    distill_student(experiment, cache, tmp_path, device=CPU)
    assert card.read_text(encoding="utf-8") == text
    assert (folder / "teacher.card.md").read_text() == "mine"
    assert bundle.read_bytes() == before


def test_the_card_of_a_bundle_that_is_trained_again_is_new(cache: PoseCache, tmp_path: Path) -> None:
    experiment = tiny_experiment(methods=("baseline",))
    folder = distill_student(experiment, cache, tmp_path, device=CPU).folder
    (folder / "baseline.safetensors").unlink()
    (folder / "baseline.card.md").write_text("of another network")
    distill_student(experiment, cache, tmp_path, device=CPU)
    assert (folder / "baseline.card.md").read_text(encoding="utf-8").startswith("---\nlicense")


def test_a_complete_run_of_an_earlier_version_gets_cards_with_figures_by_class(
    cache: PoseCache, tmp_path: Path
) -> None:
    experiment = tiny_experiment(methods=("baseline",))
    folder = distill_student(experiment, cache, tmp_path, device=CPU).folder
    path = folder / "baseline.safetensors"
    bundle = load_bundle(path)
    new = ("confusions", "labelled", "skeletons")
    early = {name: each for name, each in bundle.metadata.run.items() if name not in new}
    save_bundle(replace(bundle, metadata=replace(bundle.metadata, run=early)), path)
    (folder / "baseline.card.md").unlink()
    distill_student(experiment, cache, tmp_path, device=CPU)
    rows = table_under((folder / "baseline.card.md").read_text(encoding="utf-8"), "class")
    assert [row[:2] for row in rows] == [["sideways", "2"], ["up and down", "2"]]


def test_predictions_of_other_classes_are_refused(cache: PoseCache, tmp_path: Path) -> None:
    experiment = tiny_experiment(methods=("baseline",))
    folder = distill_student(experiment, cache, tmp_path, device=CPU).folder
    path = folder / "baseline.predictions.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "predicted": [7] * 4}))
    (folder / "baseline.card.md").unlink()
    with pytest.raises(DataError, match=r"baseline\.predictions\.json has other classes"):
        distill_student(experiment, cache, tmp_path, device=CPU)


def test_derived_low_quality_and_an_adopted_teacher(cache: PoseCache, tmp_path: Path) -> None:
    experiment = tiny_experiment(methods=("teacher", "student"), derive_low=Degradation(every=2))
    first = distill_student(experiment, cache, tmp_path / "one", device=CPU).folder
    assert read_record(read_metadata(first / "student.safetensors")).skeletons["low"].derived
    adopted = distill_student(
        replace(experiment, methods=("student",)),
        cache,
        tmp_path / "two",
        device=CPU,
        teacher=first / "teacher.safetensors",
    ).folder
    record = read_record(read_metadata(adopted / "teacher.safetensors"))
    assert (record.unreadable, record.test_clips) == ((), 4)
    assert "derived from high quality" in (adopted / "student.card.md").read_text(encoding="utf-8")


def test_the_citation_is_that_of_the_project() -> None:
    cited = yaml.safe_load((Path(__file__).parents[1] / "CITATION.cff").read_text(encoding="utf-8"))
    card, paper = card_of(a_network()), cited["references"][0]
    for text in (cited["title"], paper["title"], paper["journal"], paper["doi"], str(paper["year"])):
        assert text in card
    assert f"{paper['start']}--{paper['end']}" in card
    assert cited["license"] in card
    assert all(author["family-names"] in card for author in paper["authors"])


def test_the_estimator_is_stated() -> None:
    settings = OpenPifPafSettings(backbone="resnet18", weights="actors-high", every=2)
    card = card_of(replace(a_network(), estimator=settings))
    assert "OpenPifPaf resnet18, weights actors-high, long edge 321, one frame in 2 (squint)" in card
    assert "--estimator" not in card
