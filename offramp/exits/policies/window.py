"""Exit policy `window`: how far the confidence is from the point that decides.

    score = |r - o| / max(o, 1 - o),  r: calibration rank of max_c softmax(z)_c,  o = 0.2

Where the task is to answer the surest 80% and to reject the rest, only samples near that limit
gain by going on: the clearly sure and the clearly unsure leave. Xia and Bouganis, "Window-Based
Early-Exit Cascades" (arXiv 2303.08010): go on only if w0 <= confidence <= w1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from offramp.exits.evidence import Evidence
from offramp.exits.policy import ExitPolicy, Parameters
from offramp.exits.uncertainty import fit_ranks, rank

__all__ = ["Window"]

OPERATING_POINT = 0.2
"""The share of samples that the task rejects."""


class Window(ExitPolicy):
    """The distance from the operating point, in ranks."""

    name = "window"
    min_samples = 20

    def _fit(self, evidence: Evidence) -> Parameters:
        return {f"{at}/ranks": fit_ranks(z) for at, z in enumerate(evidence.logits)}

    def _score(self, evidence: Evidence, parameters: Parameters) -> NDArray[np.float64]:
        place = rank(evidence.logits[-1], parameters[f"{evidence.exits - 1}/ranks"])
        distance = np.abs(place - OPERATING_POINT)
        return np.asarray(distance / max(OPERATING_POINT, 1 - OPERATING_POINT))
