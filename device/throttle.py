"""The throttle: how a fetch in the background leaves the link to the samples.

One piece is asked for at a time, and only while no sample waits for its answer, or the last piece
was long ago. A piece is as large as the link carries in a moment, so an answer is never behind
much. What the link carries is estimated from the pieces themselves, as it is for samples.
"""

from __future__ import annotations

from device.estimator import LinkEstimator

__all__ = ["Throttle"]

_MOMENT_S = 0.03
_LONGEST_S = 4 * _MOMENT_S  # so long samples may hold up the next piece
_SIZES_BYTES = (1 << 10, 1 << 20)


class Throttle:
    """Decides for one fetch. While samples wait, it takes a quarter of the link's time at most."""

    def __init__(self) -> None:
        self._asked_s: float | None = None
        self._link = LinkEstimator()
        self._large = False

    def may_ask(self, now_s: float, *, busy: bool) -> bool:
        """Tell whether to ask for a piece now; ``busy`` if a sample waits for the server."""
        if self._asked_s is None:
            self._asked_s = now_s
        return not busy or now_s - self._asked_s >= _LONGEST_S

    @property
    def piece_bytes(self) -> int:
        """The most that the next piece may hold; every other is small, to tell rate from delay."""
        smallest, largest = _SIZES_BYTES
        link = self._link.estimate(self._asked_s or 0.0)
        whole = min(link.cautious_bps * _MOMENT_S / 8, largest)
        return max(round(whole if self._large else whole / 4), smallest)

    def came(self, now_s: float, size_bytes: int, took_s: float) -> None:
        """Take in that a piece came, and how long that took."""
        self._asked_s = now_s
        self._large = not self._large
        self._link.observe(now_s, 8 * size_bytes, took_s)
