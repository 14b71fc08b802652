"""`skdpipe profile`: what estimators and trained networks cost on this machine, and how accurate they are.

`variants` lists the estimators to measure, `clip` is the video, `stages` are the steps from the video to the
label as calls that `measure` times in turn, `memory` runs one estimator in a fresh process; `accuracy` puts
the trained networks beside their cost, `figure` draws, and `write` makes the files.
"""

from skdpipe.profile.accuracy import Budget, NetworkProfile, answer_budget
from skdpipe.profile.measure import EstimatorProfile, Profile, profile_estimators
from skdpipe.profile.variants import Variant, list_variants, parse_budget
from skdpipe.profile.write import profile_as_plain, write_profile

__all__ = [
    "Budget",
    "EstimatorProfile",
    "NetworkProfile",
    "Profile",
    "Variant",
    "answer_budget",
    "list_variants",
    "parse_budget",
    "profile_as_plain",
    "profile_estimators",
    "write_profile",
]
