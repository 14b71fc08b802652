"""`skdpipe check`: faults in skeletons, labels and split that make an experiment fail.

`inspect` reads each clip once, `skeletons`, `split` and `neighbours` contain the checks, `check_data` runs
them.
"""

from skdpipe.check.check_data import CheckReport, check_data
from skdpipe.finding import Finding, Level

__all__ = ["CheckReport", "Finding", "Level", "check_data"]
