"""Trained networks beside their cost: which are on the Pareto front, and which fit a budget."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from skdpipe.distill.methods import METHODS
from skdpipe.distill.records import read_config_file, record_of_bundle
from skdpipe.distill.run_folder import RunFolder
from skdpipe.errors import SkdpipeError
from skdpipe.evaluate import Figures
from skdpipe.inference import BundleMetadata, read_metadata
from skdpipe.significance import Interval, accuracy_interval
from skdpipe.speed import Timing


@dataclass(frozen=True)
class TrainedNetwork:
    """The bundle of a run.

    Attributes:
        path: of the bundle.
        run: name of the run.
        title: of the method.
        metadata: of the bundle.
        figures: of its training.
        test: digest of the clips; networks with another one cannot be compared in accuracy.
        clips: number of test clips.
    """

    path: Path
    run: str
    title: str
    metadata: BundleMetadata
    figures: Figures
    test: str
    clips: int

    @property
    def name(self) -> str:
        """Run and method."""
        return f"{self.run} {self.title}"

    @property
    def top1(self) -> Interval:
        """Accuracy in percent on the test clips, with its 95 % interval."""
        return accuracy_interval(round(self.figures.top1 * self.clips / 100), self.clips)


def find_networks(models: Path) -> Iterator[TrainedNetwork | tuple[str, str]]:
    """The bundles of the runs in a folder; instead of one that is damaged, its path and what is wrong."""
    for config in sorted(models.glob("*/config.yaml")):
        folder = RunFolder(config.parent)
        for method in METHODS:
            path = folder.bundle(method.name)
            if not path.is_file():
                continue
            try:
                data, metadata = read_config_file(config).data, read_metadata(path)
                figures = record_of_bundle(metadata, path).figures
            except SkdpipeError as error:
                yield str(path), str(error)
                continue
            assert figures is not None
            if not data.test_clips:
                yield str(path), "its run has no test clips, so that its accuracy is unknown"
                continue
            name = config.parent.name
            yield TrainedNetwork(path, name, method.title, metadata, figures, data.clips, data.test_clips)


@dataclass(frozen=True)
class NetworkProfile:
    """A trained network with an estimator that finds the skeletons it was trained on.

    Attributes:
        network: name of run and method.
        estimator: name of the variant.
        test: digest of the clips on which it was trained and tested.
        top1: accuracy in percent on its test clips, with its 95 % interval.
        parameters, gflops: of the network alone.
        student: time of the network alone for one clip.
        cost: time of one clip from the video to the label.
        on_front: whether it is on the Pareto front of its test (see `pareto_front`).
    """

    network: str
    estimator: str
    test: str
    top1: Interval
    parameters: int
    gflops: float
    student: Timing
    cost: Timing
    on_front: bool = False


def pareto_front(points: Sequence[tuple[Timing, float]]) -> list[bool]:
    """Which of the points (cost, accuracy) are not dominated.

    A point dominates another one if it is no worse in cost and accuracy and better in one of them. Costs
    whose ranges overlap count as equal.
    """
    return [not any(_dominates(other, own) for other in points) for own in points]


def _dominates(one: tuple[Timing, float], other: tuple[Timing, float]) -> bool:
    (cost, accuracy), (other_cost, other_accuracy) = one, other
    if cost.highest < other_cost.lowest:
        return accuracy >= other_accuracy
    return cost.lowest <= other_cost.highest and accuracy > other_accuracy


@dataclass(frozen=True)
class Budget:
    """The answer to a budget, among the networks of one test.

    Attributes:
        test: digest of the clips.
        best: the most accurate network that costs at most the budget, of several the cheapest; None if all
            cost more.
        cheapest: of all networks.
    """

    test: str
    best: NetworkProfile | None
    cheapest: NetworkProfile


def answer_budget(networks: Sequence[NetworkProfile], seconds: float) -> list[Budget]:
    """The best network of each test within a budget.

    Args:
        networks: trained and measured.
        seconds: the highest median time of one clip.
    """
    answers = []
    for test in dict.fromkeys(each.test for each in networks):
        here = sorted((each for each in networks if each.test == test), key=lambda each: each.cost.median)
        within = [each for each in here if each.cost.median <= seconds]
        best = max(within, key=lambda each: each.top1.estimate, default=None)
        answers.append(Budget(test, best, here[0]))
    return answers
