"""Random graphs of operations, and every cut of a small one."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
from hypothesis import strategies as st

from offramp.cuts.dag import Cut, Dag

__all__ = ["all_cuts", "dags"]


@st.composite
def dags(draw: st.DrawFn, most: int = 9, slowdown: float | None = None) -> Dag:
    """A graph with one or two inputs; ``slowdown`` is the device's, None for any at each place."""
    count, inputs = draw(st.integers(3, most)), draw(st.integers(1, 2))
    reads = [()] * inputs + [
        tuple(draw(st.sets(st.integers(0, at - 1), min_size=1, max_size=3)))
        for at in range(inputs, count)
    ]
    times = st.integers(0, 50).map(lambda ms: ms / 1000)
    server_s = np.array([draw(times) for _ in range(count)])
    device_s = (
        np.array([draw(times) for _ in range(count)]) if slowdown is None else slowdown * server_s
    )
    sizes = st.one_of(st.integers(0, 100_000).map(float), st.just(np.inf))
    out_bytes = np.array([draw(sizes) for _ in range(count)])
    server_s[:inputs], device_s[:inputs] = np.inf, 0.0
    out_bytes[:inputs] = [draw(st.integers(1, 100_000)) for _ in range(inputs)]
    return Dag(tuple(map(tuple, reads)), device_s, server_s, out_bytes)


def all_cuts(dag: Dag) -> Iterator[Cut]:
    """Yield every cut that keeps the inputs on the device and is allowed."""
    for bits in itertools.product([False, True], repeat=len(dag)):
        cut = np.array(bits)
        held = cut[np.isinf(dag.server_s)].all() and dag.is_closed(cut)
        if held and np.isfinite(dag.line(cut).bytes):
            yield cut
