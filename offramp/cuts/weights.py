"""Graphs with other costs: of the samples still alive only, and with a price on each kind of cost.

What makes a cut dear is a sum over its operations and the values that cross. Any of its terms may
be multiplied by a number of 0 or more, and it is still a sum of that kind, so still a minimum cut:
by the share of samples that exits have left, by watts, by what a server's second costs.
"""

from __future__ import annotations

from dataclasses import dataclass

from offramp.cuts.dag import Dag, weigh
from offramp.tensors import Array

__all__ = ["LATENCY", "Prices", "alive", "energy", "priced"]


def alive(dag: Dag, shares: Array | float, sent: Array | float) -> Dag:
    """Return a graph that costs what a sample costs on average.

    ``shares``, float64 (n,), are the shares of samples that reach each operation, ``sent`` of those
    that would still need its value if it crossed. What is forbidden stays so.
    """
    return Dag(
        dag.reads,
        weigh(dag.device_s, shares),
        weigh(dag.server_s, shares),
        weigh(dag.out_bytes, sent),
    )


@dataclass(frozen=True)
class Prices:
    """What a sample costs: so much for a second of the device, of the server and of sending.

    ``byte`` is for each byte on the uplink, however fast. The unit is whatever they share: seconds,
    joules, or one of these with the others at a rate of exchange (a Lagrange multiplier).
    """

    device: float = 0.0
    server: float = 0.0
    sending: float = 0.0
    byte: float = 0.0

    def __add__(self, other: Prices) -> Prices:
        """Charge both."""
        return Prices(self.device + other.device, self.server + other.server,
                      self.sending + other.sending, self.byte + other.byte)  # fmt: skip

    def __mul__(self, factor: float) -> Prices:
        """Charge each ``factor`` times."""
        return Prices(*(factor * price for price in
                        (self.device, self.server, self.sending, self.byte)))  # fmt: skip

    def per_byte(self, s_per_byte: float) -> float:
        """Return what a byte costs at an inverse rate: `priced` graphs are cut at it."""
        return self.sending * s_per_byte + self.byte


LATENCY = Prices(device=1, server=1, sending=1)
"""A second is a second. The price of congestion, in seconds a server's second, adds to ``server``:
what one more second of service costs all other requests there (`docs/edge-server.md`)."""


def energy(compute_w: float, radio_w: float, waiting_w: float, radio_j_per_byte: float) -> Prices:
    """Return the device's joules: power of computing, of sending and of waiting for the server."""
    return Prices(compute_w, waiting_w, radio_w, radio_j_per_byte)


def priced(dag: Dag, prices: Prices) -> Dag:
    """Return a graph whose times are what they cost; bytes cost `Prices.per_byte` each."""
    return Dag(
        dag.reads,
        weigh(dag.device_s, prices.device),
        weigh(dag.server_s, prices.server),
        dag.out_bytes,
    )
