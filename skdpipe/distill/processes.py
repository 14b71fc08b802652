"""The processes that train together, as `torchrun` starts them; the only module that uses torch.distributed.

Each process computes the losses of its part of every mini-batch. A loss of a process is its share: the shares
add up to the loss of the whole mini-batch, and so do their gradients. Gradient revision needs the gradient
of each loss of the whole mini-batch by itself. So gradients are added up here, one vector for each loss,
before they are revised. `DistributedDataParallel` adds up the gradients of one backward pass, in which all
losses are summed already.

All processes call the same operations in the same order. Process 0 alone reads and writes the run's folder,
tests networks and fits forests; `Processes.of_first` gives its results to the others.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, TypeVar

import torch
from torch import Tensor
from torch import distributed as dist

from skdpipe.errors import ConfigError, ProcessError, in_one_line
from skdpipe.launched import launched_processes, reported_once

T = TypeVar("T")

_LONGEST_WAIT: Final = timedelta(days=7)  # process 0 tests networks and fits forests alone


@dataclass(frozen=True)
class Processes:
    """The processes that train together; with one process, every operation returns what it is given.

    Attributes:
        index: number of this process, from 0.
        count: number of processes.
    """

    index: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this is process 0, the one that reads and writes files."""
        return self.index == 0

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum of a tensor over all processes; no gradient flows through it.

        Raises:
            ProcessError: if another process has ended.
        """
        return tensor if self.count == 1 else _summed(tensor.detach().clone())

    def sum_vector(self, vector: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """The sum of tensors of one type over all processes, in one exchange; errors as for `sum`."""
        if self.count == 1:
            return tuple(vector)
        total = _summed(torch.cat([each.flatten() for each in vector]))
        parts = torch.split(total, [each.numel() for each in vector])
        return tuple(part.view(each.shape) for part, each in zip(parts, vector, strict=True))

    def sum_numbers(self, numbers: Sequence[float]) -> list[float]:
        """The sum of each number over all processes; errors as for `sum`."""
        if self.count == 1:
            return [*numbers]
        totals: list[float] = _summed(torch.tensor(numbers, dtype=torch.float64)).tolist()
        return totals

    def count_rows(self, *rows: int) -> list[int]:
        """The sum of each number of rows over all processes; errors as for `sum`."""
        return [int(total) for total in self.sum_numbers(rows)]

    def with_rows_of_others(self, rows: Tensor) -> Tensor:
        """The rows of all processes in the order of the processes; gradients flow to those of this process.

        Args:
            rows: ``(row, ...)``; processes may have different numbers of rows.
        """
        if self.count == 1:
            return rows
        counts = self.count_rows(*(len(rows) * (each == self.index) for each in range(self.count)))
        start, end = sum(counts[: self.index]), sum(counts[: self.index + 1])
        everything = rows.new_zeros(sum(counts), *rows.shape[1:])
        everything[start:end] = rows.detach()
        _summed(everything)
        return torch.cat([everything[:start], rows, everything[end:]])

    def of_first(self, compute: Callable[[], T]) -> T:
        """What process 0 computes; the others wait for it and get a copy, with tensors on the CPU.

        Raises:
            ProcessError: in the other processes, if process 0 raises an error.
        """
        if self.count == 1:
            return compute()
        if not self.is_first:
            failure, result = _broadcast(None)
            if failure is not None:
                raise ProcessError(failure, reported=True)
            return result  # type: ignore[no-any-return]
        try:
            result = compute()
        except Exception as error:
            _broadcast((f"process 0 failed: {in_one_line(error)}", None))
            raise
        _broadcast((None, result))
        return result

    def error_in_all(self, error: Exception) -> Exception:
        """What to raise for an error that all processes find: process 0 reports it."""
        return error if self.is_first else ProcessError(in_one_line(error), reported=True)


ALONE: Final = Processes()


@contextmanager
def joined_processes(device: torch.device) -> Iterator[Processes]:
    """Join the other processes that `torchrun` started, during the ``with`` block::

        device = torch.device(device_of_process("cuda"))
        with joined_processes(device) as processes:
            distill_student(experiment, cache, models, device=device, processes=processes)

    Args:
        device: of this process, from `device_of_process`; tensors are exchanged with NCCL between GPUs,
            otherwise with Gloo.

    Raises:
        ConfigError: if the other processes cannot be reached.
    """
    index, count = launched_processes()
    if count == 1:
        yield ALONE
        return
    backend = "gloo"
    if device.type == "cuda":
        torch.cuda.set_device(device)
        backend = "cpu:gloo,cuda:nccl"
    try:
        dist.init_process_group(backend, timeout=_LONGEST_WAIT)
    except (RuntimeError, ValueError) as error:
        raise ConfigError(
            f"process {index} cannot reach the other {count - 1} ({in_one_line(error)}); start all of them "
            "with `torchrun`"
        ) from error
    try:
        yield Processes(index, count)
    finally:
        dist.destroy_process_group()


def device_of_process(name: str) -> str:
    """The name of the device of this process: of several processes, each has the GPU of its number.

    Args:
        name: ``cpu``, ``cuda``, or empty for a GPU if there is one.

    Raises:
        ConfigError: if it names one GPU for several processes.
    """
    index, count = launched_processes()
    if count == 1 or name == "cpu" or not (name or torch.cuda.is_available()):
        return name
    if name not in ("", "cuda"):
        error = ConfigError(
            f"device '{name:.40}' for {count} processes; expected cpu, or cuda, of which each process takes "
            "the GPU of its number"
        )
        raise reported_once(error)
    return f"cuda:{os.environ.get('LOCAL_RANK', index)}"


def _summed(tensor: Tensor) -> Tensor:
    """The tensor, which now has the sum over all processes."""
    with _noticing_lost_processes():
        dist.all_reduce(tensor)
    return tensor


def _broadcast(value: Any) -> Any:
    """The value of process 0."""
    content = io.BytesIO()
    torch.save(value, content)
    received = [content.getvalue()]
    with _noticing_lost_processes():
        dist.broadcast_object_list(received, device=torch.device("cpu"))
    return torch.load(io.BytesIO(received[0]), map_location="cpu", weights_only=False)


@contextmanager
def _noticing_lost_processes() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise ProcessError(
            f"another process of the training has ended ({in_one_line(error)}); its last lines state why, "
            "and the same command continues where it stopped"
        ) from error
