"""The options of commands whose work an engine spreads over workers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from skdpipe.errors import ConfigError

if TYPE_CHECKING:
    from skdpipe.engines import RayEngine

EngineName = Annotated[
    str,
    typer.Option(
        "--engine",
        help="local: processes on this machine. ray: the Ray cluster of this machine or in RAY_ADDRESS. "
        "ray://HOST:PORT: another one.",
    ),
]
Cpus = Annotated[
    float | None, typer.Option("--cpus-per-worker", help="CPUs of each worker on Ray; 1 by default.")
]
Gpus = Annotated[
    float | None,
    typer.Option("--gpus-per-worker", help="GPUs of each worker on Ray, for example 0.25; 0 by default."),
]


def ray_engine(
    name: str, workers: int, cpus: float | None, gpus: float | None, *, only_local: bool
) -> RayEngine | None:
    """The engine on Ray, connected to its cluster; None for the engine of this machine.

    Args:
        name: as for `EngineName`.
        workers, cpus, gpus: of `RayEngine`.
        only_local: whether options were stated that only the engine of this machine has.

    Raises:
        ConfigError: if there is no such engine or cluster, or options belong to the other engine.
    """
    if name == "local":
        if cpus is not None or gpus is not None:
            raise ConfigError(
                "--cpus-per-worker and --gpus-per-worker are for workers on Ray; leave them out, or add "
                "--engine ray"
            )
        return None
    if name != "ray" and not name.startswith("ray://"):
        raise ConfigError(f"no engine named '{name:.100}'; expected local, ray or ray://HOST:PORT")
    if only_local:
        raise ConfigError(
            "the devices of workers on Ray follow from --cpus-per-worker and --gpus-per-worker, their number "
            "from --workers; leave --device and --processes out"
        )
    from skdpipe import RayEngine

    engine = RayEngine(name.removeprefix("ray") and name, workers, 1.0 if cpus is None else cpus, gpus or 0.0)
    engine.connect()
    return engine
