"""Mixtures of all cuts of a graph: what `docs/design` says of them, tried on small ones."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from offramp.cuts.dag import Cut, Dag
from offramp.cuts.minimum_cut import minimum_cut
from offramp.cuts.parametric import best_cuts
from offramp.cuts.weights import Prices, priced
from offramp.tensors import Array
from partitioner.shares import Solution, solve
from tests.offramp.cuts.dags import all_cuts, dags

RATES = st.floats(1e-9, 1e-4)
DEVICES = st.integers(1, 7)
CORNERS = (1e-9, 10.0)
"""Beyond any rate at which two cuts of these graphs cost the same."""


def loads(dag: Dag, cuts: Sequence[Cut], rate: float, devices: int) -> Array:
    """Return the seconds of device, uplink and server that each cut takes, (C, 3)."""
    return np.array(
        [
            (
                dag.device_s[cut].sum(),
                dag.out_bytes[dag.crossing(cut)].sum() * rate,
                dag.server_s[~cut].sum() * devices,
            )
            for cut in cuts
        ]
    )


def mixed(loads_s: Array) -> tuple[Solution, float]:
    """Return the best shares and the least period."""
    scale_s = loads_s.max(axis=1).min()
    assume(scale_s > 0)
    found = solve(loads_s / scale_s, np.zeros((len(loads_s), 0)), np.zeros(0))
    assert found is not None
    return found, found.period * scale_s


@settings(max_examples=60, deadline=None)
@given(dag=dags(7), rate=RATES, devices=DEVICES)
def test_columns_priced_by_minimum_cuts_find_the_best_of_all_cuts(
    dag: Dag, rate: float, devices: int
) -> None:
    low = np.isinf(dag.server_s)
    high = ~np.isinf(dag.device_s)
    every = [cut for cut in all_cuts(dag) if np.isfinite(dag.line(cut).seconds)]
    _, least_s = mixed(loads(dag, every, rate, devices))
    known = [minimum_cut(dag, rate, low, high)]
    for _ in range(len(every)):
        found, period_s = mixed(loads(dag, known, rate, devices))
        device, uplink, server = found.resource_prices
        prices = Prices(device=device, sending=uplink, server=server * devices)
        new = minimum_cut(priced(dag, prices), prices.per_byte(rate), low, high)
        if loads(dag, [new], rate, devices)[0] @ found.resource_prices >= period_s * (1 - 1e-7):
            break
        known.append(new)
    assert period_s == pytest.approx(least_s, rel=1e-6)


@settings(max_examples=100, deadline=None)
@given(dag=dags(7, slowdown=8.0), rate=RATES, devices=DEVICES)
def test_where_the_device_is_slower_by_one_factor_two_neighbours_of_the_chain_suffice(
    dag: Dag, rate: float, devices: int
) -> None:
    low, everything = np.isinf(dag.server_s), np.ones(len(dag), bool)
    chain = best_cuts(dag, low, everything, CORNERS)
    if not chain[-1].all():  # where nothing need be sent, a device is never quickest alone
        chain.append(everything)
    _, least_s = mixed(loads(dag, list(all_cuts(dag)), rate, devices))
    pairs = [chain] if len(chain) == 1 else itertools.pairwise(chain)
    assert min(mixed(loads(dag, pair, rate, devices))[1] for pair in pairs) == pytest.approx(
        least_s, rel=1e-6
    )
