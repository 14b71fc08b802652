"""`skdpipe check`: what in the skeletons, labels and split may keep an experiment from learning."""

from skdpipe.check.finding import Finding, Level
from skdpipe.check.report import CheckReport, check_data

__all__ = ["CheckReport", "Finding", "Level", "check_data"]
