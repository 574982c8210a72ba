"""What exits are worth and what may be promised of them: measures, frontiers, certificates, drift.

All of it is arithmetic on recorded arrays. `docs/guarantee.md` says what is promised of whom.
"""

from offramp.guarantee.adaptive import AdaptiveThresholds
from offramp.guarantee.beta_mixture import BetaMixture
from offramp.guarantee.budget import Budget, Spending, deepest_within, spend
from offramp.guarantee.certificate import (
    Certificate,
    Method,
    Promise,
    certify,
    certify_each,
    part_samples,
    samples_needed,
)
from offramp.guarantee.drift import DriftWatch, Expected, Moved, expect
from offramp.guarantee.frontier import Frontier, trace_frontier, trace_grid
from offramp.guarantee.measures import auroc, brier, calibration_error
from offramp.guarantee.outcomes import CLOSED, Outcomes
from offramp.guarantee.p_values import P_VALUES
from offramp.guarantee.path import PATHS
from offramp.guarantee.recorded import recorded_outcomes

__all__ = [
    "CLOSED",
    "P_VALUES",
    "PATHS",
    "AdaptiveThresholds",
    "BetaMixture",
    "Budget",
    "Certificate",
    "DriftWatch",
    "Expected",
    "Frontier",
    "Method",
    "Moved",
    "Outcomes",
    "Promise",
    "Spending",
    "auroc",
    "brier",
    "calibration_error",
    "certify",
    "certify_each",
    "deepest_within",
    "expect",
    "recorded_outcomes",
    "part_samples",
    "samples_needed",
    "spend",
    "trace_frontier",
    "trace_grid",
]
