"""Exit policy `norm_change`: whether the features' size still changes.

    score = 1 - |r_e - r_(e-1)| / (r_e + r_(e-1)),  r = |h|_2 / sqrt(D),  0 at the first exit

After LAC (Shemiranifar, "Void in Language Models", arXiv 2505.14467): a layer that barely changes
the L2 norm did nothing. The root mean square compares stages of different widths.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from offramp.exits.evidence import Evidence
from offramp.exits.policy import ExitPolicy, Parameters

__all__ = ["NormChange"]


class NormChange(ExitPolicy):
    """One less the relative change of the states' root mean square."""

    name = "norm_change"
    reads = frozenset({"states"})
    looks_back = True

    def _score(self, evidence: Evidence, parameters: Parameters) -> NDArray[np.float64]:
        if evidence.exits == 1:
            return np.zeros(len(evidence))
        before, now = (
            np.sqrt(np.mean(np.square(state, dtype=np.float64), axis=1))
            for state in evidence.states[-2:]
        )
        return np.asarray(1 - np.abs(now - before) / np.maximum(now + before, 1e-12))
