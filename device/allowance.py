"""The allowance: the bytes that probes may take where a sample may take only so many.

A limit on a sample's mean bytes on the uplink is a data plan, and probes are on its bill. What
samples do not take is theirs, so that the mean over all samples keeps the limit, whatever their
rate. The row of probes at the start is paid for by the samples that follow it.
"""

from __future__ import annotations

import math

__all__ = ["Allowance"]


class Allowance:
    """What is left of ``each_bytes`` for each sample so far; without such a limit, no end.

    ``left_bytes`` is below 0 while more went out than was granted.
    """

    def __init__(self, each_bytes: float | None) -> None:
        self._each_bytes = math.inf if each_bytes is None else each_bytes
        self.left_bytes = math.inf if each_bytes is None else 0.0

    def grant(self) -> None:
        """Take in one more sample, be it sent or not."""
        self.left_bytes += self._each_bytes

    def spend(self, size_bytes: float) -> None:
        """Take in what goes out, or came back if it is below 0."""
        self.left_bytes -= size_bytes
