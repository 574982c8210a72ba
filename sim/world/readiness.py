"""Readiness: which codec levels a virtual device can send by at once, as `device.readiness` has it.

Levels that need compiled loops are loaded when they are first wanted, one at a time. The first one
brings what all of them share, so that the others take next to no time; still, the sample that is
the first to want one goes losslessly.
"""

from __future__ import annotations

from offramp.boundary_codec import LOSSLESS, codec_of
from offramp.bundle import Manifest
from partitioner.plan import Plan

__all__ = ["Readiness", "slow_levels"]

_PATIENCE_S = 2.0  # for so long an agent waits before its first sample
_SHORT_S = 0.002

Level = tuple[int, str]


def slow_levels(manifest: Manifest) -> frozenset[Level]:
    """Return the cuts and levels that have to be loaded; until then samples go losslessly."""
    return frozenset(
        (cut, level)
        for cut, boundary in enumerate(manifest.boundaries)
        for level in boundary.levels
        if LOSSLESS in boundary.levels
        and not all(codec_of(level, tensor, boundary).quick for tensor in boundary.tensors)
    )


class Readiness:
    """What one device has loaded; the first of the ``slow`` levels takes it ``load_s``."""

    __slots__ = ("_ends_s", "_load_s", "_loading", "_slow")

    def __init__(self, slow: frozenset[Level], load_s: float) -> None:
        self._slow, self._load_s = slow, load_s
        self._loading: Level | None = None
        self._ends_s = 0.0

    def expect(self, now_s: float, plan: Plan) -> float:
        """Begin to load what a plan sends by; return from when on the first sample may come."""
        if plan.level is None or self.level(now_s, plan.cut, plan.level) == plan.level:
            return now_s
        return min(self._ends_s, now_s + _PATIENCE_S)

    def level(self, now_s: float, cut: int, wanted: str) -> str:
        """Return the level to send at now: the one wanted, or losslessly until it is there."""
        self._note(now_s)
        if (cut, wanted) not in self._slow:
            return wanted
        if self._loading is None:
            self._loading, self._ends_s = (cut, wanted), now_s + self._load_s
            self._load_s = _SHORT_S
        return LOSSLESS

    def _note(self, now_s: float) -> None:
        """Take in what has been loaded by now."""
        if self._loading is not None and now_s >= self._ends_s:
            self._slow -= {self._loading}
            self._loading = None
