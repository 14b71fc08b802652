"""The test clips of a run, read from the pose cache."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from skdpipe.cache import PoseCache, Quality
from skdpipe.dataset import PairedClip, build_manifest, load_qualities
from skdpipe.distill.results import require_test_clips
from skdpipe.errors import DataError
from skdpipe.report.run_results import LoadedRun
from skdpipe.skeleton import PoseSequence
from skdpipe.storage import is_folder

_BATCH: Final = 64


class ClipPair(NamedTuple):
    """A clip in both qualities.

    Attributes:
        high, low: the sequences, with the same number of person indices.
        matched_people: person indices that are the same person in both.
    """

    high: PoseSequence
    low: PoseSequence
    matched_people: set[int]

    def of_quality(self, quality: Quality) -> PoseSequence:
        """The sequence of one quality."""
        return self.high if quality == "high" else self.low


class TestClips:
    """The test clips of a run; sequences are read from the cache on access.

    Attributes:
        clips: in the order of the manifest.
        labels: ``(clip,)`` class indices.

    Raises:
        DataError: if the cache does not exist, or its clips are not those of the run or of its predictions.
    """

    def __init__(self, run: LoadedRun, cache: PoseCache) -> None:
        self._cache, self._experiment = cache, run.experiment
        if not is_folder(cache.root):
            raise DataError(
                f"no pose cache at {cache.root}; expected the cache that {run.folder} was trained on: "
                "specify it with --cache"
            )
        manifest = build_manifest(cache, run.experiment)
        if manifest.digest != run.data.clips:
            raise DataError(
                f"{cache.root} does not contain the clips of {run.folder}; expected "
                f"{run.data.training_clips} training and {run.data.test_clips} test clips, digest "
                f"{run.data.clips}: specify the cache of the run with --cache"
            )
        require_test_clips(run.results, manifest, run.folder)
        self.clips: tuple[PairedClip, ...] = manifest.part(train=False)
        index_of = {label: index for index, label in enumerate(manifest.classes)}
        self.labels: NDArray[np.intp] = np.array([index_of[clip.label] for clip in self.clips])

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> ClipPair:
        experiment, clip = self._experiment, self.clips[index]
        high, low, matched_people = load_qualities(
            self._cache, clip, experiment.clip.people, experiment.derive_low, experiment.seed
        )
        assert high is not None
        assert low is not None  # every test clip has both qualities
        return ClipPair(high, low, matched_people)

    def batches(self, indices: Sequence[int]) -> Iterator[tuple[list[int], list[ClipPair]]]:
        """The clips with these indices, in batches of at most 64: their indices, their sequences."""
        for start in range(0, len(indices), _BATCH):
            batch = list(indices[start : start + _BATCH])
            yield batch, [self[index] for index in batch]
