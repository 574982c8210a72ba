"""Exit policy `confidence`: the probability of the likeliest class.

    score = max_c softmax(z)_c

The baseline of Hendrycks and Gimpel (arXiv 1610.02136).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from offramp.exits.evidence import Evidence
from offramp.exits.policy import ExitPolicy, Parameters
from offramp.exits.temperature import softmax

__all__ = ["Confidence"]


class Confidence(ExitPolicy):
    """Maximum softmax probability."""

    name = "confidence"

    def _score(self, evidence: Evidence, parameters: Parameters) -> NDArray[np.float64]:
        return np.asarray(softmax(evidence.logits[-1]).max(axis=-1))
