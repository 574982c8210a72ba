"""Exit policy `margin`: by how much the likeliest class leads.

    score = p_(1) - p_(2),  p = softmax(z) in descending order

The "softmax" score of CALM (Schuster et al., arXiv 2207.07061).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from offramp.exits.evidence import Evidence
from offramp.exits.policy import ExitPolicy, Parameters
from offramp.exits.temperature import softmax
from offramp.exits.uncertainty import margin

__all__ = ["Margin"]


class Margin(ExitPolicy):
    """The lead of the likeliest class over the second."""

    name = "margin"

    def _score(self, evidence: Evidence, parameters: Parameters) -> NDArray[np.float64]:
        return margin(softmax(evidence.logits[-1]))
