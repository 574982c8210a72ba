"""The vain share: how often the device itself answers what was sent because it looked quicker.

Both shares are of what is sent: a plan that sends a part of the samples has that part of them in
vain.
"""

from __future__ import annotations

import math

__all__ = ["VainShare"]

_WEIGHT = 0.1
_FORGET_S = 10.0
_TAIL_WEIGHT = 1 / 200  # of one sample in a hundred nothing less than some hundreds can tell
_PATIENCE = 50  # so many in a row that are not sent say nothing: most plans send more than that


class VainShare:
    """Exponentially weighted shares of what is sent: lately, and for longer.

    The former fades with time, the latter with samples once many in a row were not sent, for a plan
    that sends nothing would else never be given up.
    """

    def __init__(self) -> None:
        self._value = self._tail = 0.0
        self._now_s = -math.inf
        self._kept = 0

    def at(self, now_s: float) -> float:
        """Return the share of what is sent, as it is believed now."""
        if self._value == 0.0:
            return 0.0
        return self._value * math.exp(-max(now_s - self._now_s, 0.0) / _FORGET_S)

    @property
    def tail(self) -> float:
        """The share over some hundreds of samples that were sent."""
        return self._tail

    def observe(self, now_s: float, *, vain: bool) -> None:
        """Take in who answered a sample that was sent."""
        value = self.at(now_s)
        self._value = value + _WEIGHT * (vain - value)
        self._now_s = max(self._now_s, now_s)
        self._tail += _TAIL_WEIGHT * (vain - self._tail)
        self._kept = 0

    def kept_here(self) -> None:
        """Take in a sample that was not sent."""
        self._kept += 1
        if self._kept > _PATIENCE:
            self._tail -= _TAIL_WEIGHT * self._tail
