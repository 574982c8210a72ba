"""The exit policies by name. Each is one file here and one line of the registry."""

from offramp.choices import choose
from offramp.exits.policies.budget import Budget
from offramp.exits.policies.confidence import Confidence
from offramp.exits.policies.entropy import Entropy
from offramp.exits.policies.learned_gate import LearnedGate
from offramp.exits.policies.margin import Margin
from offramp.exits.policies.norm_change import NormChange
from offramp.exits.policies.oracle import Oracle
from offramp.exits.policies.patience import Patience
from offramp.exits.policies.predicted_depth import PredictedDepth
from offramp.exits.policies.q_exit import QExit
from offramp.exits.policies.similarity import Similarity
from offramp.exits.policies.tail_fixes import TailFixes
from offramp.exits.policies.window import Window
from offramp.exits.policy import ExitPolicy

__all__ = ["POLICIES", "get"]

POLICIES: dict[str, ExitPolicy] = {
    policy.name: policy
    for policy in (
        Confidence(),
        Entropy(),
        Margin(),
        Patience(),
        QExit(),
        LearnedGate(),
        Budget(),
        Window(),
        Similarity(),
        NormChange(),
        PredictedDepth(),
        TailFixes(),
        Oracle(),
    )
}


def get(name: str) -> ExitPolicy:
    """Return an exit policy by name; raise `ConfigError` if it is unknown."""
    return choose("exit policy", name, POLICIES)
