"""Trying: whether an engine that takes long to load is worth measuring.

Such an engine compiles what it loads, and a profile loads every head and tail anew. So it is
loaded once first, with the whole model as one program, and held against the engines that are ready
at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from offramp.bundle import Bundle
from offramp.network import Network
from partitioner.agreeing import agreeing
from partitioner.rounds import Rounds

__all__ = ["PROMISING", "promising"]

PROMISING = 1.25
"""How many times the fastest engine's time an engine may take that is measured nevertheless.

For the whole model, that is: at some cut it may be the faster one.
"""
_ROUNDS = 5


def promising(bundle: Bundle, report: Callable[[str], None]) -> Iterator[str]:
    """Yield the installed engines, not ready at once, that are fast and answer rightly.

    Times are of the whole model, one sample on one thread. ``report`` is told of each engine.
    """
    slow = [backend.name for backend in bundle.backends if not backend.ready_at_once]
    if not slow:
        return
    ready = [(b.name, 1) for b in bundle.backends if b.ready_at_once and b.exact]
    times_s = [_time_s(network) for _, network in agreeing(bundle, ready, _silent, _whole)]
    for name in slow:
        report(f"trying {name} on the whole model, which it compiles first")
        for _, network in agreeing(bundle, [(name, 1)], report, _whole):
            ratio = _time_s(network) / min(times_s, default=np.inf)
            said = f"{name} takes {ratio:.2f} times as long as the fastest other engine"
            if ratio > PROMISING:
                report(f"leaving it out: {said}; name it with --backend to measure it nevertheless")
            else:
                report(f"{said}; measuring all its parts takes minutes")
                yield name


def _whole(bundle: Bundle, name: str, threads: int = 1) -> Network:
    network = Network(bundle, name, threads, segments=range(0))
    network.fuse((0, network.depth))
    return network


def _time_s(network: Network) -> float:
    one = [array[:1] for array in network.bundle.examples]
    call = partial(network.run, 0, network.depth, one)
    (times,) = Rounds(_ROUNDS).time({("tail", 0): call}).values()
    return float(np.median(times))


def _silent(line: str) -> None:
    """Say nothing: what is ready at once is reported on where it is measured."""
