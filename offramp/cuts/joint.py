"""The best cut of a graph with exits, their thresholds fixed: one minimum cut between two exits.

Between exits the share of samples still alive is one number, so latency on average is a sum over
operations and values, each weighted by the share that reaches it: a minimum cut. The round trip is
paid once by every sample that is sent on, not once a tensor, so it lies on no arc; but all cuts
between two exits send the same share of samples, so it is added to the best of them. With E exits
that is E + 1 cuts, and the device alone. PORTEND (ICPADS 2023) tries every combination instead.
`docs/design/2026-11-23-planning.md` has the proof.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from offramp.cuts.dag import Cut, Dag, Line
from offramp.cuts.minimum_cut import PRECISION, Cutter
from offramp.cuts.weights import alive
from offramp.tensors import Array

__all__ = ["Exit", "JointCutter", "Split"]


@dataclass(frozen=True)
class Exit:
    """An exit head that reads the value of operation ``at``, and its time on either side.

    It runs where that operation runs: were it elsewhere, each sample would have to be sent before
    it is known whether it leaves.
    """

    at: int
    device_s: float
    server_s: float


@dataclass(frozen=True)
class Split:
    """A cut, how many exits the device runs, and the mean latency over the inverse rate.

    ``line.seconds`` holds the round trip of the share of samples that is sent on, ``sent``.
    """

    cut: Cut
    exits: int
    sent: float
    line: Line


class JointCutter:
    """Finds the best cuts of a graph with exits, for any thresholds, rates and round trips."""

    def __init__(self, dag: Dag, exits: Sequence[Exit]) -> None:
        """Lay out the intervals between exits.

        ``exits`` come in the graph's order. ValueError if an operation runs neither before nor
        after one of them, so that nobody knows which samples reach it; the model's inputs, which
        read nothing and are kept off the server, may come whenever.
        """
        inputs = np.isinf(dag.server_s) & np.array([not made for made in dag.reads])
        lows, highs = [inputs], []
        for exit_ in exits:
            before, after = dag.close(np.arange(len(dag)) == exit_.at), dag.after(exit_.at)
            beside = np.flatnonzero(~(before | after | inputs))
            if len(beside):
                raise ValueError(f"operation {beside[0]} is neither before nor after {exit_}")
            if lows[-1][exit_.at]:
                raise ValueError(f"{exit_} is not behind the exits before it")
            lows.append(before | inputs)
            behind = after.copy()
            behind[exit_.at] = True
            highs.append(~behind)
        highs.append(np.ones(len(dag), bool))
        self._dag, self._exits = _with_heads(dag, exits), list(exits)
        self._cutters = [Cutter(dag, *ends) for ends in zip(lows, highs, strict=True)]
        self._passed = np.array([~low for low in lows], int).sum(axis=0) - ~inputs

    def best(self, left: Sequence[float], s_per_byte: float, rtt_s: float) -> Split:
        """Return the split of least mean latency at an inverse rate and a round trip.

        ``left`` are the shares of samples still alive after each exit, each no larger than the one
        before. Of equal ones it is that with the most on the device. ValueError if no cut is
        allowed.
        """
        shares = np.array([1.0, *left])
        if len(left) != len(self._exits) or not (shares >= 0).all() or (np.diff(shares) > 0).any():
            raise ValueError(f"{list(left)} are no falling shares, one for each exit")
        found = [self._alone(shares), *self._between(shares, s_per_byte, rtt_s)]
        costs = [split.line.at(s_per_byte) for split in found]
        best = next(at for at, cost in enumerate(costs) if cost <= min(costs) * (1 + PRECISION))
        if not np.isfinite(costs[best]):
            raise ValueError("no cut of the graph is allowed")
        return found[best]

    def _alone(self, shares: Array) -> Split:
        """Return the device alone."""
        seconds = float((self._dag.device_s * shares[self._passed]).sum())
        return Split(np.ones(len(self._dag), bool), len(self._exits), 0.0, Line(seconds, 0.0))

    def _between(self, shares: Array, s_per_byte: float, rtt_s: float) -> Iterator[Split]:
        """Yield the best split behind each exit, the last one first."""
        for exits in reversed(range(len(shares))):
            sent = float(shares[exits])
            costs = alive(self._dag, shares[self._passed], sent)
            try:
                cut = self._cutters[exits].cut(
                    costs.device_s, costs.server_s, costs.sent_s(s_per_byte)
                )
            except ValueError:  # nothing may cross there
                continue
            line = costs.line(cut)
            yield Split(cut, exits, sent, Line(line.seconds + sent * rtt_s, line.bytes))


def _with_heads(dag: Dag, exits: Sequence[Exit]) -> Dag:
    """Return the graph with the exits' times added to those of the operations that they read."""
    device_s, server_s = dag.device_s.copy(), dag.server_s.copy()
    for exit_ in exits:
        device_s[exit_.at] += exit_.device_s
        server_s[exit_.at] += exit_.server_s
    return Dag(dag.reads, device_s, server_s, dag.out_bytes)
