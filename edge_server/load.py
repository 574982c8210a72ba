"""Load: moving averages of what the server's queue and engine did lately.

It holds no clock: the time is an argument.
"""

from __future__ import annotations

import math

from offramp.messages import Load

__all__ = ["LoadMeter", "RecentMean"]

TIME_CONSTANT_S = 2.0
"""The age at which a reading counts 1/e as much as a new one."""


class RecentMean:
    """A mean in which each reading's weight decays exponentially with its age."""

    def __init__(self, time_constant_s: float = TIME_CONSTANT_S) -> None:
        self._time_constant_s = time_constant_s
        self._sum = self._weight = 0.0
        self._at_s = -math.inf

    def add(self, reading: float, now_s: float) -> None:
        """Take a reading."""
        decay = self._decay(now_s)
        self._sum = self._sum * decay + reading
        self._weight = self._weight * decay + 1.0
        self._at_s = now_s

    @property
    def value(self) -> float:
        """The mean as of the last reading; zero before the first."""
        return self._sum / self._weight if self._weight else 0.0

    def faded(self, now_s: float) -> float:
        """Return the mean with silence counted as readings of zero.

        Once the weight of what was read has decayed below that of one reading, zeros make up
        for the rest: a server that nobody uses reports no waiting.
        """
        decay = self._decay(now_s)
        return self._sum * decay / max(self._weight * decay, 1.0)

    def _decay(self, now_s: float) -> float:
        return math.exp(-max(now_s - self._at_s, 0.0) / self._time_constant_s)


class LoadMeter:
    """The recent queue delay and service time of an engine."""

    def __init__(self, time_constant_s: float = TIME_CONSTANT_S) -> None:
        self._queue = RecentMean(time_constant_s)
        self._service = RecentMean(time_constant_s)

    def started(self, queue_s: float, now_s: float) -> None:
        """Note that a request which waited ``queue_s`` has reached the engine."""
        self._queue.add(queue_s, now_s)

    def finished(self, service_s: float, now_s: float) -> None:
        """Note that the engine spent ``service_s`` on a request."""
        self._service.add(service_s, now_s)

    @property
    def service_s(self) -> float:
        """The recent mean time that the engine spends on a request; zero before the first."""
        return self._service.value

    def load(self, queued: int, running: int, cpu_share: float, now_s: float) -> Load:
        """Return what an answer that leaves now tells its device."""
        return Load(queued, running, self._queue.faded(now_s), cpu_share)
