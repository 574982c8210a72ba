"""Load: moving averages of what the server's queue and engine did lately.

It holds no clock: the time is an argument, and never goes back.
"""

from __future__ import annotations

import math

from edge_server.scheduling.congestion import Traffic
from offramp.messages import Load

__all__ = ["Arrivals", "LoadMeter", "RecentLevel", "RecentSpread"]

TIME_CONSTANT_S = 2.0
"""The age at which a reading counts 1/e as much as a new one."""

_PAUSE = 2.0  # time constants: as part of a mean, a longer silence would hide that it is over


def _decay(age_s: float, time_constant_s: float) -> float:
    """Return what a reading of an age counts for."""
    return math.exp(-age_s / time_constant_s) if age_s > 0 else 1.0


class RecentLevel:
    """A mean over time of what holds until it changes, in which old times count less.

    If nothing happens any more it comes to the last level by a factor e in each time constant.
    """

    def __init__(self, time_constant_s: float = TIME_CONSTANT_S) -> None:
        self._time_constant_s = time_constant_s
        self._mean = self._level = 0.0
        self._at_s = -math.inf

    def set(self, level: float, now_s: float) -> None:
        """Take a level that holds from now on."""
        self._mean = self.mean(now_s)
        self._level, self._at_s = level, now_s

    @property
    def level(self) -> float:
        """The level that holds; zero before the first one."""
        return self._level

    def mean(self, now_s: float) -> float:
        """Return the mean; zero before the first level."""
        if self._mean == self._level:  # as with a queue that has long been empty
            return self._level
        decay = _decay(now_s - self._at_s, self._time_constant_s)
        return self._level + (self._mean - self._level) * decay


class RecentSpread:
    """Mean and spread of readings, each of which counts 1/e as much after a time constant."""

    def __init__(self, time_constant_s: float = TIME_CONSTANT_S) -> None:
        self._time_constant_s = time_constant_s
        self._sum = self._square = self._weight = 0.0
        self._at_s = -math.inf

    def add(self, reading: float, now_s: float) -> None:
        """Take a reading."""
        decay = self._decay(now_s)
        self._sum = self._sum * decay + reading
        self._square = self._square * decay + reading * reading
        self._weight = self._weight * decay + 1.0
        self._at_s = now_s

    @property
    def mean(self) -> float:
        """The mean as of the last reading; zero before the first."""
        return self._sum / self._weight if self._weight else 0.0

    @property
    def scv(self) -> float:
        """The squared coefficient of variation; zero before the second reading."""
        if not self._weight:
            return 0.0
        mean = self._sum / self._weight
        square = mean * mean
        return max(self._square / self._weight / square - 1, 0.0) if square else 0.0

    def weight(self, now_s: float) -> float:
        """Return how many new readings those that there were count as."""
        return self._weight * self._decay(now_s)

    def _decay(self, now_s: float) -> float:
        return _decay(now_s - self._at_s, self._time_constant_s)


class Arrivals:
    """How many requests come a second, and how evenly, since the last pause."""

    def __init__(self, time_constant_s: float = TIME_CONSTANT_S) -> None:
        self._time_constant_s = time_constant_s
        self._gaps = RecentSpread(time_constant_s)
        self._last_s: float | None = None

    def add(self, now_s: float) -> None:
        """Note that a request has come."""
        gap_s = math.inf if self._last_s is None else now_s - self._last_s
        if gap_s <= _PAUSE * self._time_constant_s:
            self._gaps.add(gap_s, now_s)
        else:
            self._gaps = RecentSpread(self._time_constant_s)
        self._last_s = now_s

    def rate_hz(self, now_s: float) -> float:
        """Return the rate: the arrivals over the time that they and the silence since cover.

        That is one time constant at least, so that two requests that come at once after a pause
        are no flood.
        """
        if self._last_s is None:
            return 0.0
        count = self._gaps.weight(now_s)
        covered_s = count * self._gaps.mean + (now_s - self._last_s)
        return count / max(covered_s, self._time_constant_s)

    @property
    def scv(self) -> float:
        """The squared coefficient of variation of the times between arrivals, at most 1.

        That is a Poisson stream's: in a few seconds bursts cannot be told from a beginning. A
        device that sends one sample after the other, evenly, comes near 0: it is in nobody's way.
        """
        return min(self._gaps.scv, 1.0)


class LoadMeter:
    """How long a request would wait for an engine's ``workers``, and what came to it lately.

    The wait that is told is a mean over time, not over requests: once nobody waits it is forgotten
    within seconds, however many have waited. It is that of somebody else: who keeps the server busy
    alone waits for nobody.
    """

    def __init__(self, workers: int = 1, time_constant_s: float = TIME_CONSTANT_S) -> None:
        self._workers = workers
        self._arrivals = Arrivals(time_constant_s)
        self._wait = RecentLevel(time_constant_s)
        self._service = RecentSpread(time_constant_s)

    def arrived(self, now_s: float) -> None:
        """Note that a request has been accepted."""
        self._arrivals.add(now_s)

    def finished(self, service_s: float, now_s: float) -> None:
        """Note that a request took ``service_s`` of a worker: of a batch's time, its share."""
        self._service.add(service_s, now_s)

    def changed(self, queued: int, running: int, now_s: float) -> None:
        """Note how many requests wait and run from now on."""
        ahead, begun = 0.0, running + 1 - self._workers
        if queued + begun > 0:
            # Of what runs (1 + scv) / 2 is left in the mean: the mean residual life of renewals.
            ahead = queued + max(begun, 0) * (1 + self._service.scv) / 2
        self._wait.set(ahead * self.service_s / self._workers, now_s)

    @property
    def wait_s(self) -> float:
        """How long a request that came now would wait: as long as those ahead of it take."""
        return self._wait.level

    @property
    def service_s(self) -> float:
        """The recent mean time that the engine spends on a request; zero before the first."""
        return self._service.mean

    def traffic(self, now_s: float) -> Traffic:
        """Return what comes, and what it takes."""
        return Traffic(
            rate_hz=self._arrivals.rate_hz(now_s),
            service_s=self._service.mean,
            service_scv=self._service.scv,
            arrival_scv=self._arrivals.scv,
            workers=self._workers,
        )

    def load(self, queued: int, running: int, cpu_share: float, now_s: float) -> Load:
        """Return what an answer that leaves now tells its device."""
        queue_s, price_s = self._wait.mean(now_s), self.traffic(now_s).price_s
        return Load(queued, running, queue_s, cpu_share, price_s)
