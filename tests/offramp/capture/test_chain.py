"""A chain loses nothing of all cuts, or says what: brute force over small graphs says the same."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offramp.capture.chain import FASTEST_BPS, SLOWEST_BPS, build_chain, gap
from offramp.cuts.dag import Cut, Dag
from offramp.cuts.parametric import best_cuts
from tests.offramp.cuts.dags import all_cuts, dags

RATES_S = (8 / FASTEST_BPS, 8 / SLOWEST_BPS)


def _limits(dag: Dag) -> tuple[Cut, Cut]:
    return np.isinf(dag.server_s), np.ones(len(dag), bool)


@settings(max_examples=60, deadline=None)
@given(dag=dags(most=8, slowdown=8.0), most=st.integers(9, 12))
def test_with_a_device_slower_by_one_factor_a_chain_loses_nothing(dag: Dag, most: int) -> None:
    chain = build_chain(dag, [], most)
    assert chain.gap == 0
    assert gap(dag, chain.cuts, list(all_cuts(dag))) <= 1e-7
    for factor in (1.5, 3.0, 100.0):  # and so it does for every other factor
        other = Dag(dag.reads, factor * np.where(_limits(dag)[0], 0, dag.server_s),
                    dag.server_s, dag.out_bytes)  # fmt: skip
        assert gap(other, chain.cuts, list(all_cuts(other))) <= 1e-7


@settings(max_examples=60, deadline=None)
@given(dag=dags(most=8), most=st.integers(1, 12), data=st.data())
def test_a_chain_is_nested_closed_and_allowed(dag: Dag, most: int, data: st.DataObject) -> None:
    inner = data.draw(st.sampled_from(list(all_cuts(dag))))
    chain = build_chain(dag, [inner], most)
    inputs, whole = _limits(dag)
    assert (chain.cuts[0] == inputs).all()
    assert (chain.cuts[-1] == whole).all()
    assert any((cut == inner).all() for cut in chain.cuts)
    for low, high in itertools.pairwise(chain.cuts):
        assert (low <= high).all()
        assert (low != high).any()
    for cut in chain.cuts:
        assert dag.is_closed(cut)
        assert np.isfinite(dag.line(cut).bytes)
    assert len(chain.cuts) - 1 <= max(most, 2)
    assert gap(dag, chain.cuts, list(all_cuts(dag))) == pytest.approx(chain.gap, abs=1e-7)


def test_where_the_best_cuts_cross_each_other_the_chain_says_what_it_costs() -> None:
    # Two branches: one is slow on the device, the other on the server, so that the best cuts
    # at two rates hold one of them each.
    dag = Dag(
        reads=((), (0,), (0,), (1, 2)),
        device_s=np.array([0, 0.010, 0.100, 10.0]),
        server_s=np.array([np.inf, 0.080, 0.001, 0.001]),
        out_bytes=np.array([1000.0, 900, 10, 10]),
    )
    best = best_cuts(dag, *_limits(dag), RATES_S)
    chain = build_chain(dag, [], 8)
    nested = all((a <= b).all() or (b <= a).all() for a, b in itertools.combinations(best, 2))
    assert nested == (chain.gap == 0)


def test_the_rates_swept_are_those_of_real_links() -> None:
    assert SLOWEST_BPS <= 1e4
    assert FASTEST_BPS >= 1e10
