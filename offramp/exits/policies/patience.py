"""Exit policy `patience`: how many exits in a row agree.

    count_e = count_(e-1) + 1 if argmax z_e = argmax z_(e-1) else 0,  count_0 = 0
    score = count / (count + 1)

PABEE (Zhou et al., arXiv 2006.04152) leaves when the count reaches a patience of t: here a
threshold of t / (t + 1).
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from offramp.exits.evidence import Evidence
from offramp.exits.policy import ExitPolicy, Parameters

__all__ = ["Patience"]


class Patience(ExitPolicy):
    """The length of the run of agreeing exits."""

    name = "patience"
    looks_back = True

    def _score(self, evidence: Evidence, parameters: Parameters) -> NDArray[np.float64]:
        answers = [logits.argmax(axis=-1) for logits in evidence.logits]
        count = np.zeros(len(evidence))
        for before, now in pairwise(answers):
            count = np.where(before == now, count + 1, 0)
        return count / (count + 1)
