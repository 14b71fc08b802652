"""Limits that a container or a batch system sets by control groups of Linux, versions 1 and 2."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

_ROOT: Final = Path("/sys/fs/cgroup")
_OWN: Final = Path("/proc/self/cgroup")
_UNLIMITED: Final = 2**60  # version 1 writes almost 2^63


def processor_limit(root: Path = _ROOT, own: Path = _OWN) -> float | None:
    """The number of cores whose time this process may use; None without a limit."""
    limits = []
    for group in _groups(root, own):
        quota, _, period = _read(group / "cpu.max").partition(" ")
        if not quota:
            quota, period = _read(group / "cpu.cfs_quota_us"), _read(group / "cpu.cfs_period_us")
        if quota.isdigit() and period.isdigit():  # "max" and -1: no limit
            limits.append(int(quota) / int(period))
    return min(limits, default=None)


def memory_left(root: Path = _ROOT, own: Path = _OWN) -> int | None:
    """Bytes that the processes of this group can still get; None without a limit.

    Cached files are counted as used by the system, but not here, because it drops them.
    """
    left = []
    for group in _groups(root, own):
        limit, used, inactive = (
            _read(group / name) for name in ("memory.max", "memory.current", "memory.stat")
        )
        if not limit:
            limit, used = _read(group / "memory.limit_in_bytes"), _read(group / "memory.usage_in_bytes")
        if limit.isdigit() and used.isdigit() and int(limit) < _UNLIMITED:
            left.append(max(0, int(limit) - int(used) + _inactive_files(inactive)))
    return min(left, default=None)


def _inactive_files(statistics: str) -> int:
    for line in statistics.splitlines():
        name, _, number = line.partition(" ")
        if name in {"inactive_file", "total_inactive_file"} and number.isdigit():
            return int(number)
    return 0


def _groups(root: Path, own: Path) -> Iterator[Path]:
    """The folders of the groups of this process and of those that contain them, of each controller."""
    for line in _read(own).splitlines():
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        for controller in controllers.split(",") if controllers else [""]:
            top = root / controller
            group = top / path.lstrip("/")
            while True:
                if group.is_dir():
                    yield group
                if group == top or top not in group.parents:
                    break
                group = group.parent


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""
