"""Congestion: how long requests wait for an engine, and what one more of them costs the others.

The formulas are those of a queue in its steady state: they hold the better, the more its devices
come and go by themselves.
"""

from __future__ import annotations

import math
from typing import NamedTuple

__all__ = ["MOST_UTILISATION", "Traffic"]

MOST_UTILISATION = 0.95
"""The share of its time that an engine is taken to be busy at most.

Nearer to one, a queue takes thousands of service times to come to its steady state, and readings
of a few seconds say nothing about it: waits and prices stay what they are here, and so finite.
"""


class Traffic(NamedTuple):
    """Requests that come ``rate_hz`` times a second and take one of ``workers`` ``service_s`` each.

    ``arrival_scv`` and ``service_scv`` are the squared coefficients of variation of the times
    between arrivals and of the service times: 0 if all are equal, 1 for a Poisson stream. Of
    requests that ran as one batch each takes its share of the batch's time. None is negative.
    """

    rate_hz: float
    service_s: float
    service_scv: float = 0.0
    arrival_scv: float = 1.0
    workers: int = 1

    @property
    def utilisation(self) -> float:
        """The share of their time that the workers are busy, 0 to `MOST_UTILISATION`."""
        return min(self.rate_hz * self.service_s / self.workers, MOST_UTILISATION)

    @property
    def wait_s(self) -> float:
        """The mean wait before service.

        ``(ca2 + cs2) / 2 * s * rho^k / (c * (1 - rho))``, ``k = sqrt(2 (c + 1)) - 1``: Kingman's
        formula for one worker, which is Pollaczek and Khinchine's, and exact, if arrivals are
        Poisson's; Sakasegawa's approximation (1977) for ``c`` of them.
        """
        busy = self.utilisation
        return self._wait_s(busy, self._bend)

    @property
    def price_s(self) -> float:
        """The waiting that one more request adds to all others together.

        With the rate ``l`` and the wait ``W``, ``d(l W)/dl = W + l W'``. The request waits ``W``
        itself; this is ``l W' = W (k + rho / (1 - rho))``, for one worker ``W / (1 - rho)``.
        """
        busy, bend = self.utilisation, self._bend
        return self._wait_s(busy, bend) * (bend + busy / (1 - busy))

    def _wait_s(self, busy: float, bend: float) -> float:
        spread = (self.arrival_scv + self.service_scv) / 2
        free = self.workers * (1 - busy)
        return spread * self.service_s * math.pow(busy, bend) / free

    @property
    def _bend(self) -> float:
        return math.sqrt(2 * (self.workers + 1)) - 1
