"""The effect of coding: what a tail makes of a tensor that is not quite what it was.

Lossy codecs that are calibrated by it spend their bits where the tail's answers hang on them, not
where numbers are large.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from offramp.tensors import Array

__all__ = ["Effect", "square_error"]


@dataclass(frozen=True)
class Effect:
    """What a change of a tensor does to answers.

    ``samples`` float32 (N, *shape) are what was; ``change`` takes as many or fewer, as they come
    back from a codec, and returns the mean change of the answers, 0 for none: the Kullback-Leibler
    divergence in nats for classes, the squared relative distance for answers that are tensors.
    ``count`` samples are enough for one look. ``share`` is the part of what a level may change
    that this tensor is allowed, by its part of the boundary's elements.
    """

    samples: Array
    change: Callable[[Array], float]
    count: int
    share: float = 1.0
    _memory: dict[object, Array] = field(default_factory=dict, repr=False, compare=False)

    def of(self, through: Callable[[Array], Array]) -> float:
        """Return the change if ``through``, which takes and gives (n, *shape), comes between."""
        return self.change(through(self.samples[: self.count]))

    def remember(self, key: object, find: Callable[[], Array]) -> Array:
        """Return what ``find`` finds; several codecs that ask for the same share it."""
        if key not in self._memory:
            self._memory[key] = find()
        return self._memory[key]


def square_error(samples: Array) -> Effect:
    """Return an effect for want of a tail: the mean square error over the mean square."""
    wide = samples.astype(np.float64)
    power = max(float(np.square(wide).mean()), 1e-30)

    def change(changed: Array) -> float:
        return float(np.square(changed - wide[: len(changed)]).mean()) / power

    return Effect(samples, change, min(len(samples), 32))
