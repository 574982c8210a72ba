"""Which codec levels of a cut are worth keeping: those that no other beats in every way.

How long codecs take hangs on the machine, and is not known where this is asked. So those that are
not quick (`offramp.codecs.Codec.quick`) compete with all, and quick ones with quick ones only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from offramp import codecs
from offramp.boundary_codec import LOSSLESS
from offramp.tensors import Array

__all__ = ["Recorded", "frontier_levels"]


@dataclass(frozen=True)
class Recorded:
    """What one level did to N samples: ``sizes`` (N,) in bytes, and what it ``lost`` in answers."""

    sizes: Array
    lost: float

    @property
    def _figures(self) -> tuple[float, float, float]:
        """What should be small: mean and 95th percentile of the bytes, and the loss."""
        return float(self.sizes.mean()), float(np.quantile(self.sizes, 0.95)), self.lost

    def beats(self, other: Recorded) -> bool:
        """Whether nothing here is worse, and something better."""
        pairs = list(zip(self._figures, other._figures, strict=True))
        return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)


def frontier_levels(recorded: Mapping[str, Recorded]) -> list[str]:
    """Return the levels that no level beats which is as quick; `LOSSLESS` stays in any case."""
    return [
        level
        for level, found in recorded.items()
        if level == LOSSLESS
        or not any(
            other.beats(found)
            for rival, other in recorded.items()
            if codecs.get(rival).quick or not codecs.get(level).quick
        )
    ]
