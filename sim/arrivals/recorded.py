"""Requests as they were recorded."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator
from itertools import count
from random import Random
from typing import Literal

from sim.arrivals.arrival import Arrivals, ArrivalSettings, RateHz
from sim.beside import FileBeside
from sim.traces.stamps import read_stamps

__all__ = ["Recorded", "RecordedSettings"]


class RecordedSettings(ArrivalSettings):
    """The file of the recorded times, and the mean rate to which they are stretched, if any.

    A device starts `anywhere` in the recording, as its seed says, or at its `begin`.
    """

    kind: Literal["recorded"] = "recorded"
    file: FileBeside
    rate_hz: RateHz | None = None
    start: Literal["anywhere", "begin"] = "anywhere"


class Recorded(Arrivals):
    """A recording, held once for all devices, which repeats a mean gap after its last request."""

    Settings = RecordedSettings

    def __init__(self, settings: RecordedSettings) -> None:
        stamps_s = read_stamps(settings.file)
        mean_gap_s = stamps_s[-1] / (len(stamps_s) - 1)
        stretch = 1 / (settings.rate_hz * mean_gap_s) if settings.rate_hz else 1.0
        self._times_s = array("d", (stretch * stamp_s for stamp_s in stamps_s))
        self.period_s = stretch * mean_gap_s * len(stamps_s)
        self.mean_rate_hz = settings.rate_hz or len(stamps_s) / self.period_s
        self._starts_anywhere = settings.start == "anywhere"

    def times_s(self, seed: str) -> Iterator[float]:
        """The times of all requests in seconds from a start at 0: endless, and never falling."""
        start_s = Random(seed).random() * self.period_s if self._starts_anywhere else 0.0
        first = bisect_left(self._times_s, start_s)
        for cycle in count():
            since_s = cycle * self.period_s - start_s
            for number in range(first, len(self._times_s)):
                yield since_s + self._times_s[number]
            first = 0
