"""The demonstration: its clips, the simulated skeletons, and the words about the outcome."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from recording_progress import RecordingProgress

from skdpipe.cache import PoseCache
from skdpipe.cache.video_index import VideoIndex
from skdpipe.config import Degradation, Demonstration, EstimatorNoise
from skdpipe.degradation import degrade
from skdpipe.demo import Outcome
from skdpipe.demo.clips import render_videos, rendered_clips, simulated_clips, video_path
from skdpipe.demo.outcome import conclude
from skdpipe.demo.simulation import simulate_clips
from skdpipe.extraction import Source
from skdpipe.skeleton import COCO_17, Origin, PoseSequence
from skdpipe.synthetic import ACTIONS, exact_poses

SETTINGS = Demonstration(
    train_subjects=2,
    test_subjects=1,
    takes=1,
    simulated_train_subjects=2,
    simulated_test_subjects=3,
    frames=12,
    size=(64, 48),
)


def outcome(
    *, teacher: float = 0.9, student: float, baseline: float, clips: int = 1000, runs: int = 3
) -> Outcome:
    """Each method is correct on the first clips of each run; the last 10 clips are extracted ones."""
    keys = [f"{number:04d}" for number in range(clips)]
    shares = {"teacher": teacher, "baseline": baseline, "student": student}
    correct = {
        method: [{key: number < share * clips for number, key in enumerate(keys)}] * runs
        for method, share in shares.items()
    }
    return Outcome(correct, frozenset(keys[:-10]))  # type: ignore[arg-type]


def test_a_lead_beyond_chance_is_stated_with_its_interval() -> None:
    text = conclude(outcome(student=0.83, baseline=0.80))
    assert text.startswith("SKD is ahead of LQS-S by 3.0 points [1.9, 4.1] on 1,000 test clips")
    assert "(10 extracted, 990 simulated), 3 seeds" in text
    assert "HQS-T by 10.0 points [" in text
    assert "not the benefit" not in text


@pytest.mark.parametrize(
    ("student", "start"),
    [
        (0.802, "No difference between SKD and LQS-S beyond chance: 0.2 points [-"),
        (0.800, "No difference between SKD and LQS-S beyond chance: 0.0 points [-"),
        (0.770, "SKD is behind LQS-S: -3.0 points [-"),
    ],
)
def test_without_a_lead_the_demonstration_shows_the_pipeline_only(student: float, start: str) -> None:
    text = conclude(outcome(student=student, baseline=0.80))
    assert text.startswith(start)
    assert text.endswith("This demonstration shows the pipeline, not the benefit of distillation.")


def test_more_test_clips_make_a_small_lead_certain() -> None:
    few, many = (conclude(outcome(student=0.83, baseline=0.80, clips=clips)) for clips in (100, 3000))
    assert few.startswith("No difference")
    assert many.startswith("SKD is ahead")


def test_accuracies_are_those_of_each_group_and_run() -> None:
    found = Outcome(
        {"student": [{"a": True, "b": False, "c": True}, {"a": False, "b": False, "c": True}]},
        frozenset("ab"),
    )
    assert found.top1("student", found.extracted) == [100, 100]
    assert found.top1("student", found.simulated) == [50, 0]
    assert found.top1("student", found.clips) == pytest.approx([200 / 3, 100 / 3])


def test_no_person_is_on_both_sides_or_both_rendered_and_simulated() -> None:
    largest = Demonstration(
        train_subjects=1000, test_subjects=1000, takes=1,
        simulated_train_subjects=10_000, simulated_test_subjects=10_000,
    )  # fmt: skip
    rendered, simulated = rendered_clips(largest), simulated_clips(largest)
    groups = [
        {clip.subject for clip in clips if clip.split == split and clip.action == ACTIONS[0]}
        for clips in (rendered, simulated)
        for split in ("train", "test")
    ]
    assert [len(group) for group in groups] == [1000, 1000, 10_000, 10_000]
    assert len(set.union(*groups)) == 22_000
    assert len({clip.name for clip in [*rendered, *simulated]}) == 22_000 * len(ACTIONS)


class NamedEstimator:
    """An estimator that only has a name; it is never run."""

    layout = COCO_17

    def __init__(self, fingerprint: str) -> None:
        self.fingerprint = fingerprint

    def __call__(self, frames: object) -> list[object]:
        raise AssertionError(frames)


NOISE = {
    "high": EstimatorNoise(jitter_default=0.01, confidence=0.9, confidence_spread=0.05),
    "low": EstimatorNoise(jitter_default=0.04, misses_default=0.2, confidence=0.6, confidence_spread=0.05),
}


@pytest.fixture
def sources() -> list[Source]:
    return [Source("high", NamedEstimator("good")), Source("low", NamedEstimator("fast"), every=2)]  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    render_videos(SETTINGS, folder, RecordingProgress())
    return folder


@pytest.fixture
def extracted(videos: Path, tmp_path: Path, sources: list[Source]) -> PoseCache:
    """A cache that contains, as extracted skeletons of the videos, exact poses with known errors."""
    cache = PoseCache(tmp_path / "cache")
    index = VideoIndex(cache.root)
    for clip in rendered_clips(SETTINGS):
        path = video_path(videos, clip)
        origin = Origin(str(path), index.key_of(path), "", clip.action, clip.split)
        exact = replace(exact_poses(clip.scene(SETTINGS)), origin=origin)
        for source in sources:
            errors = Degradation(noise=NOISE[source.quality], every=source.every)
            cache.save(degrade(exact, errors, seed=5), source.quality, source.settings)
    return cache


def simulated_in(cache: PoseCache, source: Source) -> dict[str, PoseSequence]:
    """The simulated sequences of an estimator by the names of their clips."""
    return {
        entry.origin.source.removeprefix("simulated/"): cache.load(entry.path)
        for entry in cache.entries(source.quality, source.settings)
        if entry.origin.source.startswith("simulated/")
    }


def test_simulated_skeletons_have_the_errors_of_the_extracted_ones(
    videos: Path, extracted: PoseCache, sources: list[Source], tmp_path: Path
) -> None:
    progress = RecordingProgress()
    result = simulate_clips(SETTINGS, videos, sources, extracted, tmp_path, progress)
    assert (result.fitted, result.done, result.skipped) == (20, 50, 0)
    assert [task.name for task in progress.tasks] == [
        "measuring errors of high quality", "measuring errors of low quality", "simulating skeletons",
    ]  # fmt: skip
    assert all(task.updates[-1][0] == task.total for task in progress.tasks)
    offsets = []
    for source in sources:
        fitted, given = result.noise[source.quality], NOISE[source.quality]
        assert np.mean(list(fitted.jitter.values())) == pytest.approx(given.jitter_default, rel=0.15)
        assert np.mean(list(fitted.misses.values())) == pytest.approx(given.misses_default, abs=0.03)
        found = simulated_in(extracted, source)
        assert {len(sequence.frame_index) for sequence in found.values()} == {12 // source.every}
        step = 2 // source.every
        offsets.append(
            [
                found[clip.name].keypoints[::step, ..., :2]
                - exact_poses(clip.scene(SETTINGS)).keypoints[::2, ..., :2]
                for clip in simulated_clips(SETTINGS)
            ]
        )
    high, low = (np.concatenate([each.ravel() for each in of_quality]) for of_quality in offsets)
    both = np.isfinite(high) & np.isfinite(low)
    assert both.sum() > 1000
    assert low[both].std() > 2 * high[both].std()
    assert abs(np.corrcoef(high[both], low[both])[0, 1]) < 0.1  # the errors are independent


def test_only_missing_sequences_are_simulated_and_they_are_the_same_again(
    videos: Path, extracted: PoseCache, sources: list[Source], tmp_path: Path
) -> None:
    simulate_clips(SETTINGS, videos, sources, extracted, tmp_path, RecordingProgress())
    sequence = min(simulated_in(extracted, sources[1]).items())[1]
    path = extracted.path_of("low", sources[1].settings, sequence.origin.key)
    content = path.read_bytes()
    path.unlink()
    result = simulate_clips(SETTINGS, videos, sources, extracted, tmp_path, RecordingProgress())
    assert (result.done, result.skipped) == (1, 49)
    assert path.read_bytes() == content
