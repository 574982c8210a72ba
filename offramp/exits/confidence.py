"""Exit policy `confidence`: the probability of the likeliest class (maximum softmax)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from offramp.exits.policy import ExitPolicy
from offramp.exits.temperature import softmax
from offramp.tensors import Array

__all__ = ["ConfidencePolicy"]


class ConfidencePolicy(ExitPolicy):
    """Score ``max_c softmax(z / T)_c``, the baseline of Hendrycks and Gimpel (arXiv 1610.02136)."""

    name = "confidence"

    def score(self, logits: Sequence[Array], temperatures: Sequence[float]) -> NDArray[np.float64]:
        """Return the last exit's largest probability after temperature scaling."""
        return np.asarray(softmax(logits[-1], temperatures[-1]).max(axis=-1))
