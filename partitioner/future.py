"""The future: what clairvoyant strategies are told, and no device can know."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Future"]


class Future(Protocol):
    """What will happen to one sample, from when its head begins."""

    @property
    def device_stretch(self) -> float:
        """How many times longer than its profile says the device takes."""

    @property
    def reachable(self) -> bool:
        """Whether there is a connection."""

    @property
    def gap_s(self) -> float:
        """How long after its begin the next sample comes; infinite if that waits for the device."""

    def away_s(self, after_s: float, size_bytes: float, server_s: float) -> float:
        """Return how long an answer takes to what is sent ``after_s`` seconds after the begin.

        That is so many bytes with the request's own, and takes an idle server so long by its
        profile. Infinite if no answer ever comes. What is sent later, is longer or takes longer is
        never answered earlier.
        """
