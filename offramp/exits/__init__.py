"""Early exits: the policies that decide which samples leave, and their calibration."""

from offramp.exits.evidence import Evidence, Truth
from offramp.exits.policies import POLICIES, get
from offramp.exits.policy import ExitPolicy, FittedPolicy, first_exit
from offramp.exits.temperature import fit_temperature, softmax

__all__ = [
    "POLICIES",
    "Evidence",
    "ExitPolicy",
    "FittedPolicy",
    "Truth",
    "first_exit",
    "fit_temperature",
    "get",
    "softmax",
]
