"""Engines: what runs many jobs, in processes of this machine or on a cluster."""

from skdpipe.engines.jobs import Ended, Engine, OpenWork, Report, Work, Worker, reason_of_failure
from skdpipe.engines.local import LocalEngine

__all__ = [
    "Ended",
    "Engine",
    "LocalEngine",
    "OpenWork",
    "Report",
    "Work",
    "Worker",
    "reason_of_failure",
]
