"""Exit policy `oracle`: what is best in hindsight, to measure the others against.

    score = 1 if the exit is right and the whole model wrong, 0 if the other way round, else 1/2

With a threshold of 1/2 exactly those samples go on that the whole model puts right. It reads the
truth, which no device has. The idea of an oracle for regret: Duo-LLM (arXiv 2410.10846).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from offramp.exits.evidence import Evidence
from offramp.exits.policy import ExitPolicy, Parameters

__all__ = ["Oracle"]


class Oracle(ExitPolicy):
    """Perfect knowledge of what going on gains."""

    name = "oracle"
    reads = frozenset({"logits", "truth"})

    def _score(self, evidence: Evidence, parameters: Parameters) -> NDArray[np.float64]:
        here, whole = Evidence(evidence.logits[-1:], truth=evidence.truth).right.astype(float)
        return np.asarray((1 + here - whole) / 2)
