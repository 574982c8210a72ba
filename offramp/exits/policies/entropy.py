"""Exit policy `entropy`: how far the probabilities are from even.

    score = 1 - H(p) / log C,  p = softmax(z)

BranchyNet (Teerapittayanon et al., arXiv 1709.01686) leaves where the entropy H is small.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from offramp.exits.evidence import Evidence
from offramp.exits.policy import ExitPolicy, Parameters
from offramp.exits.temperature import softmax
from offramp.exits.uncertainty import normalised_entropy

__all__ = ["Entropy"]


class Entropy(ExitPolicy):
    """One less the normalised entropy."""

    name = "entropy"

    def _score(self, evidence: Evidence, parameters: Parameters) -> NDArray[np.float64]:
        return 1 - normalised_entropy(softmax(evidence.logits[-1]))
