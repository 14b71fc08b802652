from .accuracy import Budget, NetworkProfile, answer_budget
from .measure import EstimatorProfile, Profile, profile_estimators
from .variants import Variant, list_variants, parse_budget
from .write import profile_as_plain, write_profile

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
