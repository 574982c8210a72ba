"""Early exits: the policies that decide which samples leave, and their calibration."""

from offramp.choices import choose
from offramp.exits.confidence import ConfidencePolicy
from offramp.exits.policy import ExitPolicy, first_exit
from offramp.exits.temperature import fit_temperature, softmax

__all__ = ["POLICIES", "ExitPolicy", "first_exit", "fit_temperature", "get", "softmax"]

POLICIES: dict[str, ExitPolicy] = {policy.name: policy for policy in (ConfidencePolicy(),)}


def get(name: str) -> ExitPolicy:
    """Return an exit policy by name; raise `ConfigError` if it is unknown."""
    return choose("exit policy", name, POLICIES)
