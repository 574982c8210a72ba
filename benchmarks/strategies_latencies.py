"""Latencies one by one: what is aimed at within 5 ms is told exactly, not to a histogram's bin."""

from __future__ import annotations

import math

from device.work import Finish
from sim.world.processor import Held

__all__ = ["Latencies"]

_QUANTILES = {"p50_s": 0.5, "p95_s": 0.95, "p99_s": 0.99}


class Latencies:
    """The latencies of what came after the warm-up and was answered, as `sim.world.tally` counts.

    Histograms, which long runs need, know quantiles to a quarter of a percent.
    """

    def __init__(self, warm_up_s: float) -> None:
        self._from_s = warm_up_s
        self._found_s: list[float] = []

    def watch(self, device: str, now_s: float, finish: Finish, held: Held) -> None:
        """Take in a request that ends: a `sim.world.build.Watch`."""
        if finish.by and finish.work.arrived_s >= self._from_s:
            self._found_s.append(now_s - finish.work.arrived_s)

    def quantiles_s(self) -> dict[str, float | None]:
        """Return by name the least latency that a share of the answers does not exceed.

        That is one of them, exactly; None if there was none.
        """
        ranked = sorted(self._found_s)
        return {
            name: ranked[max(math.ceil(q * len(ranked)), 1) - 1] if ranked else None
            for name, q in _QUANTILES.items()
        }
