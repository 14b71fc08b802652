"""Epochs of batches."""

from __future__ import annotations

import gc
import math
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import chain, repeat
from multiprocessing import get_context
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from skdpipe.config import Augmentation
from skdpipe.dataset.batch import Batch
from skdpipe.dataset.clips import PairedClips, Request
from skdpipe.engines.local import depend_on_parent, without_ctrl_c
from skdpipe.errors import ProcessError
from skdpipe.runtimes import available_cores

_MOST_WORKERS: Final = 8
_DATA: Final[list[PairedClips]] = []
"""The clips of a worker process, which is started with them; empty in other processes."""


@dataclass(frozen=True)
class BatchPart:
    """One process's part of each batch: every ``count``-th clip, from that with number ``index`` on.

    A batch of fewer clips than parts has parts without a clip.
    """

    index: int = 0
    count: int = 1

    @property
    def clips(self) -> slice:
        """The clips of the part among those of the batch."""
        return slice(self.index, None, self.count)


WHOLE: Final = BatchPart()


class Loader:
    """Prepares batches of clips, in this process or in worker processes that stay from epoch to epoch.

    The batches do not depend on the number of workers. At most two batches of each worker wait to be used.

    Args:
        data: the clips.
        size: number of clips in a batch.
        workers: number of processes; 0 chooses none if all clips fit into the memory of the data, and
            otherwise a number by that of the cores.
        part: of each batch that is prepared here.
    """

    def __init__(self, data: PairedClips, size: int, *, workers: int = 0, part: BatchPart = WHOLE) -> None:
        self._data, self._size, self._part = data, size, part
        self.workers = workers or _workers_for(data, part)
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Loader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the workers."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def epoch(
        self,
        epoch: int = 0,
        *,
        shuffle: np.random.Generator | None = None,
        balanced: bool = False,
        augment: Augmentation | None = None,
        noise: np.random.Generator | None = None,
    ) -> Iterator[Batch]:
        """One epoch of batches as inputs of the networks, in order or shuffled.

        A shuffled epoch leaves out a last batch of a single clip, for which batch normalisation is not
        defined.

        Args:
            epoch: its number from 0.
            shuffle: random numbers of the order; the data's order if not given.
            balanced: a shuffled epoch has the same number of clips of each class.
            augment: random transformations of the joints, before they are converted to the formats' streams.
            noise: random numbers of the augmentation, which are drawn for whole batches.

        Raises:
            CacheError: if a clip cannot be read.
            ProcessError: if a worker ends.
        """
        torch.empty((), dtype=torch.int64).random_()  # earlier versions drew it too: dropout stays the same
        requests = self._requests(epoch, shuffle, balanced, augment, noise)
        if not self.workers:
            return map(self._data.prepare, requests)
        self._pool = self._pool or _start_workers(self._data, self.workers)
        return self._prepared_by(self._pool, requests)

    def _requests(
        self,
        epoch: int,
        shuffle: np.random.Generator | None,
        balanced: bool,
        augment: Augmentation | None,
        noise: np.random.Generator | None,
    ) -> Iterator[Request]:
        if shuffle is None:
            order = np.arange(len(self._data))
        elif balanced:
            order = balanced_order(self._data.labels, shuffle)
        else:
            order = shuffle.permutation(len(self._data))
        steps = math.ceil(len(order) / self._size)
        if shuffle is not None:
            steps = steps_per_epoch(len(order), self._size)
        for step in range(steps):
            clips = order[step * self._size : (step + 1) * self._size]
            drawn = None
            if augment is not None:
                assert noise is not None
                drawn = self._data.draw(len(clips), augment, noise).of_clips(self._part.clips)
            yield Request(epoch, clips[self._part.clips], drawn)

    def _prepared_by(self, pool: ProcessPoolExecutor, requests: Iterator[Request]) -> Iterator[Batch]:
        pending: deque[Future[_Arrays]] = deque()
        try:
            for request in chain(requests, repeat(None)):
                if request is not None:
                    pending.append(pool.submit(_prepare, request))
                if request is None or len(pending) > 2 * self.workers:
                    if not pending:
                        return
                    yield Batch(*map(torch.from_numpy, pending.popleft().result()))
        except BrokenProcessPool as error:
            raise ProcessError(
                f"a process that reads clips has ended, one of {self.workers}; expected it to stay: if "
                "memory is short, set recipe.loader_workers or recipe.memory_megabytes to a smaller number"
            ) from error
        finally:
            for each in pending:
                each.cancel()


_Arrays = tuple[NDArray[Any], ...]


def _workers_for(data: PairedClips, part: BatchPart) -> int:
    if data.fit_into_memory:
        return 0
    return max(1, min(_MOST_WORKERS, available_cores() // part.count - 1))


def _start_workers(data: PairedClips, count: int) -> ProcessPoolExecutor:
    pool = ProcessPoolExecutor(count, get_context(), _open, (data, count))
    with without_ctrl_c():
        pool.submit(int).result()
    return pool


def _open(data: PairedClips, workers: int) -> None:
    """Make a process a worker."""
    depend_on_parent()
    gc.freeze()  # a collection would copy the memory that is shared with the parent
    torch.set_num_threads(1)
    data.limit_memory(1 / workers)
    _DATA.append(data)


def _prepare(request: Request) -> _Arrays:
    return tuple(each.numpy() for each in _DATA[0].prepare(request))


def batches(
    data: PairedClips,
    size: int,
    *,
    workers: int = 0,
    shuffle: np.random.Generator | None = None,
    balanced: bool = False,
    augment: Augmentation | None = None,
    noise: np.random.Generator | None = None,
    part: BatchPart = WHOLE,
) -> Iterator[Batch]:
    """The batches of a single epoch; the arguments are those of `Loader` and of :meth:`Loader.epoch`."""
    with Loader(data, size, workers=workers, part=part) as loader:
        yield from loader.epoch(shuffle=shuffle, balanced=balanced, augment=augment, noise=noise)


def steps_per_epoch(clips: int, size: int) -> int:
    """Number of batches of a shuffled epoch: a last batch of a single clip is left out.

    Args:
        clips: number of clips of the epoch, at least one.
        size: of a batch.
    """
    return math.ceil(clips / size) - int(clips > size and clips % size == 1 % size)


def clips_per_epoch(labels: Sequence[int], *, balanced: bool) -> int:
    """Number of clips of a shuffled epoch; the labels are those of :func:`balanced_order`."""
    if not balanced:
        return len(labels)
    label = np.asarray(labels)
    labelled = label[label >= 0]
    return len(label) - len(labelled) + len(np.unique(labelled)) * _clips_per_class(labelled)


def _clips_per_class(labelled: NDArray[np.int64]) -> int:
    """The mean over the classes, rounded up; 0 without labelled clips."""
    return math.ceil(len(labelled) / max(1, len(np.unique(labelled))))


def balanced_order(labels: Sequence[int], random: np.random.Generator) -> NDArray[np.int64]:
    """Indices of clips in random order, with the same number of each class: the mean, rounded up.

    Every clip of a class is used before one is repeated. Clips without a label (-1) are used once.
    """
    label = np.asarray(labels)
    share = _clips_per_class(label[label >= 0])
    chosen = [np.flatnonzero(label < 0)]
    for each in np.unique(label[label >= 0]):
        members = np.flatnonzero(label == each)
        rounds = [random.permutation(members) for _ in range(math.ceil(share / len(members)))]
        chosen.append(np.concatenate(rounds)[:share])
    return random.permutation(np.concatenate(chosen))
