"""The classical baselines of a run."""

from __future__ import annotations

import numpy as np

from skdpipe.classical import forest_probabilities
from skdpipe.dataset import PairedClips
from skdpipe.distill.method_training import RunContext, clips_of
from skdpipe.distill.methods import BASELINE, FORESTS, Forest
from skdpipe.distill.records import MethodRecord
from skdpipe.evaluate import NOBODY


def evaluate_forests(run: RunContext) -> None:
    """Train and test the forest of each quality, and write its results, unless that is done."""
    results = run.folder.read_results()
    missing = [
        forest
        for forest in FORESTS
        if forest.name not in results or not run.folder.predictions(forest.name).is_file()
    ]
    if not missing:
        return
    test = clips_of(run, BASELINE, run.manifest.part(train=False))
    with run.progress.task("training random forests", len(missing), unit="forests") as task:
        for done, forest in enumerate(missing, 1):
            _evaluate_forest(run, forest, test)
            task.advance_to(done)


def _evaluate_forest(run: RunContext, forest: Forest, test: PairedClips) -> None:
    train = clips_of(run, BASELINE, run.manifest.part(train=True, quality=forest.quality, labelled=True))
    probabilities = forest_probabilities(train, test, forest.quality, run.experiment.seed)
    seen = [bool(test[index].of_quality(forest.quality)[1].any()) for index in range(len(test))]
    predicted = np.where(seen, probabilities.argmax(axis=1), NOBODY).tolist()
    run.folder.write_predictions(forest.name, run.manifest, predicted)
    run.folder.write_results(forest.name, MethodRecord())
