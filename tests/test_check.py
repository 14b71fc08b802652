"""`skdpipe check`: each fault of a data set is found, with its number and a remedy, and nothing else."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from moving_body import ACTIONS, a_sequence, blurred, tiny_experiment
from typer.main import get_command
from typer.testing import CliRunner

from skdpipe.cache import PoseCache
from skdpipe.check import Finding, check_data
from skdpipe.cli import main
from skdpipe.cli.commands import app
from skdpipe.config import (
    ClipFormat,
    Degradation,
    EstimatorNoise,
    Experiment,
    LabelShares,
    Recipe,
    Subset,
    load_config,
)
from skdpipe.dataset.subset import evenly_spread
from skdpipe.errors import DataError
from skdpipe.skeleton import UNSEEN, PoseSequence

OF_EACH = 18  # clips of each action; every third one is a test clip
TRAINED = tiny_experiment(recipe=Recipe(epochs=100, batch=8))
NAMES = [
    "classes", "test-clips", "left-out", "subjects", "detections-high", "detections-low", "loss",
    "left-right", "people", "motion", "lengths", "copies", "labels", "steps",
]  # fmt: skip


class Pair(NamedTuple):
    """A video in both qualities; a missing one is None."""

    high: PoseSequence | None
    low: PoseSequence | None

    def with_origin(self, **changes: str | None) -> Pair:
        """The same skeletons with another source or label."""
        return Pair(*(each and replace(each, origin=replace(each.origin, **changes)) for each in self))


def pair_of(sequence: PoseSequence) -> Pair:
    return Pair(sequence, blurred(sequence))


def good_pairs(of_each: int = OF_EACH) -> list[Pair]:
    """Distinct clips of two actions; the subjects of the training clips are in no test clip."""
    return [
        pair_of(a_sequence(action, number, split="train" if number % 3 else "test", subject=f"s{number % 6}"))
        for action in ACTIONS
        for number in range(of_each)
    ]


def save(root: Path, pairs: Sequence[Pair]) -> PoseCache:
    cache = PoseCache(root)
    for high, low in pairs:
        if high is not None:
            cache.save(high, "high", "eyes-1")
        if low is not None:
            cache.save(low, "low", "squint-1")
    return cache


def findings(cache: PoseCache, experiment: Experiment = TRAINED) -> dict[str, Finding]:
    report = check_data(cache, experiment)
    assert [finding.name for finding in report.findings] == NAMES
    for finding in report.findings:
        assert "\n" not in finding.text + finding.remedy
        assert bool(finding.remedy) == (finding.level != "fine")
        assert_exists(finding.remedy)
    return {finding.name: finding for finding in report.findings}


def assert_exists(remedy: str) -> None:
    """The commands and settings of a remedy exist."""
    for command in re.findall(r"`(skdpipe [^`]*)`", remedy):
        assert shlex.split(command)[1] in get_command(app).commands  # type: ignore[attr-defined]
    for setting in re.findall(r"--set (\S+=[^\s,;]+)", remedy):
        load_config(Experiment, "penn", [setting], section="experiment")


def not_fine(found: dict[str, Finding]) -> dict[str, str]:
    """Levels by name, without the warning that this small set has few test clips."""
    assert found["test-clips"].level == "warning"
    return {name: each.level for name, each in found.items() if each.level != "fine" and name != "test-clips"}


def number_of(pair: Pair) -> int:
    assert pair.high is not None
    return int(pair.high.origin.source.split()[-1].removesuffix(".mp4"))


def without_people(sequence: PoseSequence) -> PoseSequence:
    return sequence.with_keypoints(np.broadcast_to(UNSEEN, sequence.keypoints.shape).copy())


def test_good_data_are_fine(tmp_path: Path) -> None:
    found = findings(save(tmp_path, good_pairs()))
    assert not_fine(found) == {}
    assert found["classes"].text == "2 classes, each with 12 training clips"
    assert "12 test clips, 6 of each class, the most frequent 50%" in found["test-clips"].text
    assert found["left-out"].text == "every cached clip is used"
    assert found["subjects"].text == "subjects on both sides of the split: 0 of 6"
    assert "100% of the sampled frames (all) and 100% of their joints" in found["detections-high"].text
    assert "100% of the sampled frames (one in 2) and 7" in found["detections-low"].text
    assert re.search(r"0% of the people and (29|30|31)% of the joints", found["loss"].text)
    assert found["people"].text.startswith("0 of 36 people")
    assert found["motion"].text == "no joint moves in 0 of 36 clips"
    assert found["lengths"].text.startswith("clips have 12 to 12 frames (median 12, 1.0 s)")
    assert found["labels"].text.startswith("the labels of 100% of the clips are those of most")
    assert found["steps"].text.endswith("in batches of 8 for 100 epochs: 300 training steps")


def test_derived_low_quality_is_checked_like_cached(tmp_path: Path) -> None:
    cache = save(tmp_path, [Pair(each.high, None) for each in good_pairs()])
    derive = Degradation(every=3, noise=EstimatorNoise(jitter_default=0.1, misses_default=0.25))
    found = findings(cache, replace(TRAINED, derive_low=derive))
    assert not_fine(found) == {}
    assert "(one in 3)" in found["detections-low"].text
    lost, off = re.findall(r"([\d.]+)% of the", found["loss"].text)[1:]
    assert float(lost) == pytest.approx(25, abs=3)
    assert float(off) == pytest.approx(10, abs=1)


def test_remedies_for_derived_low_quality_name_its_settings(tmp_path: Path) -> None:
    cache = save(tmp_path, [Pair(each.high, None) for each in good_pairs()])
    derive = Degradation(noise=EstimatorNoise(misses_default=0.8))
    found = findings(cache, replace(TRAINED, derive_low=derive))
    assert found["loss"].level == "warning"
    assert found["loss"].remedy == "choose weaker settings of derive_low"


# Classes and sides


@pytest.mark.parametrize(("kept", "level"), [(2, "problem"), (8, "warning")])
def test_classes_with_few_clips(tmp_path: Path, kept: int, level: str) -> None:
    pairs = good_pairs()
    training = [each for each in pairs[OF_EACH:] if number_of(each) % 3]
    removed = {number_of(each) for each in training[kept:]}
    cache = save(
        tmp_path, pairs[:OF_EACH] + [each for each in pairs[OF_EACH:] if number_of(each) not in removed]
    )
    finding = findings(cache)["classes"]
    assert finding.level == level
    assert f"each with {kept} to 12 training clips" in finding.text
    assert finding.clips == (ACTIONS[1],)


def test_uneven_classes(tmp_path: Path) -> None:
    pairs = good_pairs(48)
    kept = [each for each in pairs[48:] if number_of(each) < 15]
    cache = save(tmp_path, pairs[:48] + kept)
    finding = findings(cache)["classes"]
    assert (finding.level, finding.remedy) == ("warning", "--set recipe.balanced=true")
    assert "10 to 32 training clips; the largest has 3.2 times as many as the smallest" in finding.text
    balanced = replace(TRAINED, recipe=replace(TRAINED.recipe, balanced=True))
    assert findings(cache, balanced)["classes"].level == "fine"


def test_few_labels_count_as_few_clips(tmp_path: Path) -> None:
    cache = save(tmp_path, good_pairs())
    found = findings(cache, replace(TRAINED, labels=LabelShares(low=0.1)))
    assert found["classes"].level == "problem"
    assert "each with 1 training clips" in found["classes"].text


def test_a_class_without_test_clips(tmp_path: Path) -> None:
    pairs = [*good_pairs(), *(pair_of(clip_of_third_class(number)) for number in range(12))]
    finding = findings(save(tmp_path, pairs))["test-clips"]
    assert "12 test clips, 0 to 6 of each class" in finding.text
    assert finding.clips == ("bow",)


def clip_of_third_class(number: int) -> PoseSequence:
    sequence = a_sequence(ACTIONS[0], number, split="train", subject="s1")
    keypoints = sequence.keypoints.copy()
    keypoints[..., 0] *= np.float32(0.2)
    origin = replace(sequence.origin, label="bow", key=f"ff{number:02x}", source=f"bow {number}.mp4")
    return replace(sequence.with_keypoints(keypoints), origin=origin)


def test_subjects_on_both_sides(tmp_path: Path) -> None:
    pairs = [
        each.with_origin(subject="anna" if number_of(each) in (3, 4) else f"s{number_of(each) % 6}")
        for each in good_pairs()
    ]
    finding = findings(save(tmp_path, pairs))["subjects"]
    assert (finding.level, finding.clips) == ("warning", ("anna",))
    assert finding.text == "subjects on both sides of the split: 1 of 7"


def test_few_steps(tmp_path: Path) -> None:
    cache = save(tmp_path, good_pairs())
    short = replace(TRAINED, recipe=Recipe(epochs=10, batch=8))
    finding = findings(cache, short)["steps"]
    assert (finding.level, finding.remedy) == ("warning", "--set recipe.steps=400")
    assert finding.text == "24 training clips in batches of 8 for 10 epochs: 30 training steps"
    assert findings(cache, replace(short, recipe=replace(short.recipe, steps=400)))["steps"].level == "fine"


# Detections


def test_clips_without_people_in_low_quality(tmp_path: Path) -> None:
    """Such training clips are left out, such test clips stay."""
    blind = {2, 3, 4, 6}  # a third of the test clips
    pairs = [
        Pair(each.high, without_people(each.low)) if each.low and number_of(each) in blind else each
        for each in good_pairs()
    ]
    cache = save(tmp_path, pairs)
    found = findings(cache)
    assert not_fine(found) == {"left-out": "warning", "detections-low": "warning", "people": "warning"}
    assert found["left-out"].text == (
        "4 of 36 cached clips are left out: 4 with no person detected (training clips)"
    )
    assert "4 of 32 clips are without people" in found["detections-low"].text
    assert sorted(found["detections-low"].clips) == [
        f"{action} {number}.mp4" for action in ACTIONS for number in (3, 6)
    ]
    assert found["left-out"].remedy.endswith("; or --set unpaired=true")
    unpaired = findings(cache, replace(TRAINED, unpaired=True))
    assert unpaired["left-out"].level == "fine"


def test_unpaired_and_unlabelled_clips(tmp_path: Path) -> None:
    pairs = good_pairs()
    for number in range(20, 26):
        more = pair_of(a_sequence(ACTIONS[0], number, split="train", subject="s1"))
        pairs.append(Pair(more.high, None) if number < 23 else more.with_origin(label=None))
    cache = save(tmp_path, pairs)
    found = findings(cache)
    assert found["left-out"].level == "warning"
    assert "6 of 42 cached clips are left out: 3 with no low-quality skeletons, 3 with no label" in (
        found["left-out"].text
    )
    found = findings(cache, replace(TRAINED, unpaired=True, unlabelled=True))
    assert not_fine(found) == {}
    assert found["classes"].text == "2 classes, each with 12 training clips; 3 clips without a label"
    assert found["steps"].text.startswith("30 training clips")
    assert found["people"].text.startswith("0 of 39 people")


def test_few_joints(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)

    def hide(sequence: PoseSequence | None) -> PoseSequence:
        assert sequence is not None
        keypoints = sequence.keypoints.copy()
        keypoints[rng.random(keypoints.shape[:-1]) < 0.7] = UNSEEN
        return sequence.with_keypoints(keypoints)

    found = findings(save(tmp_path, [Pair(each.high, hide(each.low)) for each in good_pairs()]))
    assert found["detections-low"].level == found["loss"].level == "warning"
    assert re.search(r"and 2\d% of their joints", found["detections-low"].text)
    assert "low-cost estimator's long_edge" in found["loss"].remedy
    assert found["detections-high"].level == "fine"


# Differences between the qualities


def test_left_and_right_exchanged(tmp_path: Path) -> None:
    def exchange(sequence: PoseSequence | None) -> PoseSequence:
        assert sequence is not None
        return sequence.with_keypoints(sequence.keypoints[:, :, list(sequence.layout.mirror)])

    pairs = [Pair(each.high, exchange(each.high)) for each in good_pairs()]
    found = findings(save(tmp_path / "all", pairs))
    assert not_fine(found) == {"left-right": "problem"}
    assert "in 100% of the frames" in found["left-right"].text
    some = [pairs[n] if n % 4 == 0 else each for n, each in enumerate(good_pairs())]
    found = findings(save(tmp_path / "some", some))
    assert not_fine(found) == {"left-right": "warning"}
    assert "in 40% of the frames" in found["left-right"].text  # 9 clips of 12 frames, 27 of 6


def test_low_quality_of_other_videos(tmp_path: Path) -> None:
    def move(sequence: PoseSequence | None) -> PoseSequence:
        assert sequence is not None
        return sequence.with_keypoints(sequence.keypoints + np.float32([200, 0, 0]))

    pairs = [Pair(each.high, move(each.low)) if number_of(each) % 3 == 1 else each for each in good_pairs()]
    found = findings(save(tmp_path / "some", pairs))
    assert not_fine(found) == {"people": "warning"}
    assert found["people"].text.startswith("12 of 36 people")
    assert len(found["people"].clips) == 12
    found = findings(save(tmp_path / "all", [Pair(each.high, move(each.low)) for each in pairs]))
    assert not_fine(found) == {"people": "problem", "loss": "problem"}


# Single clips


def test_copies(tmp_path: Path) -> None:
    """An exact copy within a side, and one on the other side that is moved and smaller."""
    pairs = good_pairs()
    within = pairs[1].with_origin(key="aa01", source="copy.mp4")
    found = findings(save(tmp_path / "within", [*pairs, within]))
    assert not_fine(found) == {"copies": "warning"}
    assert found["copies"].text == "2 clips have the same skeletons as another clip"
    assert set(found["copies"].clips) == {f"{ACTIONS[0]} 1.mp4", "copy.mp4"}

    high = pairs[2].high
    assert high is not None
    small = high.with_keypoints(high.keypoints * np.float32([0.5, 0.5, 1]) + np.float32([9, 3, 0]))
    small = replace(small, origin=replace(high.origin, split="test", key="aa02", source="small.mp4"))
    found = findings(save(tmp_path / "across", [*pairs, pair_of(small)]))
    assert found["copies"].level == "problem"
    assert found["copies"].text == (
        "2 clips have the same skeletons as another clip, 2 of them as one on the other side of the split"
    )
    other_label = pairs[1].with_origin(key="aa03", source="copy.mp4", label=ACTIONS[1])
    found = findings(save(tmp_path / "label", [*pairs, other_label]))
    assert found["copies"].level == "problem"
    assert "2 of them" not in found["copies"].text
    assert "2 as one with another label" in found["copies"].text


def test_clips_without_motion(tmp_path: Path) -> None:
    def freeze(sequence: PoseSequence) -> PoseSequence:
        """The first frame, from which a joint is missing now and then."""
        keypoints = np.repeat(sequence.keypoints[:1], len(sequence.keypoints), axis=0)
        keypoints[3, 0, 5] = UNSEEN
        return sequence.with_keypoints(keypoints)

    pairs = [
        Pair(freeze(each.high), each.low) if each.high and number_of(each) == 4 else each
        for each in good_pairs()
    ]
    finding = findings(save(tmp_path, pairs))["motion"]
    assert (finding.level, finding.text) == ("warning", "no joint moves in 2 of 36 clips")
    assert finding.clips == tuple(f"{action} 4.mp4" for action in ACTIONS)


def test_single_frames_and_long_clips(tmp_path: Path) -> None:
    single = [
        pair_of(a_sequence(ACTIONS[0], 30 + n, frames=1, split="train", subject="s1")) for n in range(2)
    ]
    found = findings(save(tmp_path / "single", good_pairs() + single))
    assert (found["lengths"].level, found["lengths"].clips) == (
        "warning",
        ("sideways 30.mp4", "sideways 31.mp4"),
    )
    assert "2 have a single frame" in found["lengths"].text
    assert found["motion"].level == "fine"

    long = [
        pair_of(a_sequence(action, 40 + n, frames=240, split="train")) for action in ACTIONS for n in range(4)
    ]
    cache = save(tmp_path / "long", [each.with_origin(subject=None) for each in good_pairs() + long])
    finding = findings(cache)["lengths"]
    assert finding.level == "warning"
    assert "12 to 240 frames (median 12" in finding.text
    assert "8 get fewer than 6 frames per second" in finding.text
    assert len(finding.clips) == 8
    assert finding.remedy.endswith("--set clip.frames=120")
    longer = replace(TRAINED, clip=ClipFormat(frames=120))
    assert "36 are stretched more than 4 times" in findings(cache, longer)["lengths"].text
    replayed = findings(cache, replace(TRAINED, clip=ClipFormat(frames=100, fill="replay")))["lengths"]
    assert (replayed.level, len(replayed.clips)) == ("warning", 8)


# Labels


def test_shuffled_labels(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pairs = good_pairs()
    labels = rng.permutation([each.high.origin.label for each in pairs if each.high])
    cache = save(
        tmp_path, [each.with_origin(label=str(label)) for each, label in zip(pairs, labels, strict=True)]
    )
    finding = findings(cache)["labels"]
    assert finding.level == "problem"
    assert "(chance 50 %)" in finding.text


def test_a_few_clips_prove_nothing_about_their_labels(tmp_path: Path) -> None:
    """In four training and two test clips of each action, similar phases are not always of one action."""
    finding = findings(save(tmp_path, good_pairs(6)))["labels"]
    assert finding.level != "problem"


def test_one_wrong_label(tmp_path: Path) -> None:
    pairs = good_pairs()
    pairs[4] = pairs[4].with_origin(label=ACTIONS[1])
    finding = findings(save(tmp_path, pairs))["labels"]
    assert finding.level == "warning"
    assert finding.clips == (f"{ACTIONS[0]} 4.mp4 ({ACTIONS[1]}, similar to {ACTIONS[0]})",)
    assert "for 1 clips, all 5 have the same other label" in finding.text


# Bounds and errors


@pytest.mark.parametrize(("count", "most", "kept"), [(0, 3, 0), (3, 3, 3), (4, 3, 2), (100, 7, 7)])
def test_a_sample_is_evenly_spread(count: int, most: int, kept: int) -> None:
    chosen = list(evenly_spread(range(count), most))
    assert len(chosen) == kept
    assert len(set(np.diff(chosen).tolist())) <= 1


def test_features_are_computed_for_a_sample_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = save(tmp_path, good_pairs())
    monkeypatch.setattr("skdpipe.check.inspect._CLIPS_WITH_FEATURES", 12)
    monkeypatch.setattr("skdpipe.check.inspect._PAIRS_WITH_NOISE", 5)
    assert not_fine(findings(cache)) == {}


def test_data_that_training_refuses_are_an_error(tmp_path: Path) -> None:
    cache = save(tmp_path, [each for each in good_pairs() if number_of(each) % 3])
    with pytest.raises(DataError, match="24 training and 0 test clips"):
        check_data(cache, TRAINED)


# The command


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(
        "experiment:\n  clip: {frames: 8}\n  recipe: {epochs: 100, batch: 8}\n"
        "  student: {name: st_2sgcn, width: 4}\n  teacher: {name: st_2sgcn, width: 4}\n"
    )
    return path


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["check", *map(str, arguments)])
    return result.exit_code, result.stdout


def test_the_command_prints_findings(tmp_path: Path, config: Path) -> None:
    cache = save(tmp_path / "cache", good_pairs())
    code, out = run("-c", config, "--cache", cache.root)
    assert code == 0
    assert out.splitlines()[-1] == "problems: 0, warnings: 1"
    for name in NAMES:
        assert f" {name} " in out


def test_the_command_prints_one_json_array(tmp_path: Path, config: Path) -> None:
    pairs = good_pairs()
    cache = save(
        tmp_path / "cache", [*pairs, pairs[1].with_origin(key="aa", split="test", source='a "[b]"\n.mp4')]
    )
    code, out = run("-c", config, "--cache", cache.root, "--json")
    assert code == 1  # a copy on the other side of the split
    printed = json.loads(out)
    assert [each["name"] for each in printed] == NAMES
    assert {frozenset(each) for each in printed} == {frozenset({"name", "level", "text", "remedy", "clips"})}
    assert 'a "[b]"\n.mp4' in {clip for each in printed for clip in each["clips"]}


def test_an_empty_cache_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["skdpipe", "check", "--cache", str(tmp_path)])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert len(printed.err.splitlines()) == 1


def test_clips_outside_a_subset_are_left_out_on_purpose(tmp_path: Path) -> None:
    found = findings(save(tmp_path, good_pairs()), replace(TRAINED, subset=Subset(train=4)))
    assert (found["left-out"].level, found["left-out"].text) == ("fine", "every cached clip is used")
