"""Engines: what runs many jobs, in processes of this machine or on a cluster."""

from skdpipe.engines.jobs import Ended, Engine, OpenWork, Report, Work, Worker, reason_of_failure
from skdpipe.engines.local import LocalEngine
from skdpipe.engines.ray import RayEngine

__all__ = [
    "Ended",
    "Engine",
    "LocalEngine",
    "OpenWork",
    "RayEngine",
    "Report",
    "Work",
    "Worker",
    "reason_of_failure",
]
