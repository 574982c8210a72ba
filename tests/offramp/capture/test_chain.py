"""The cuts proposed are the best of all cuts: brute force over small graphs says the same."""

from __future__ import annotations

import itertools

import networkx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offramp.capture.chain import FASTEST_BPS, SLOWEST_BPS, best_cuts, build_chain, gap
from offramp.capture.dag import Cut, Dag
from offramp.capture.minimum_cut import minimum_cut
from tests.offramp.capture.dags import all_cuts, dags

RATES = st.floats(4, 10).map(lambda power: 8 / 10**power)


def _limits(dag: Dag) -> tuple[Cut, Cut]:
    return np.isinf(dag.server_s), np.ones(len(dag), bool)


@settings(max_examples=150, deadline=None)
@given(dag=dags(), rate=RATES)
def test_a_minimum_cut_is_the_best_of_all_cuts(dag: Dag, rate: float) -> None:
    cut = minimum_cut(dag, rate, *_limits(dag))
    assert dag.is_closed(cut)
    best = min(dag.line(other).at(rate) for other in all_cuts(dag))
    assert dag.line(cut).at(rate) == pytest.approx(best, rel=1e-6, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(dag=dags(most=8))
def test_the_best_cuts_are_best_at_every_rate(dag: Dag) -> None:
    assert gap(dag, best_cuts(dag, *_limits(dag)), list(all_cuts(dag))) <= 1e-4


@settings(max_examples=60, deadline=None)
@given(dag=dags(most=8, slowdown=8.0), most=st.integers(9, 12))
def test_with_a_device_slower_by_one_factor_a_chain_loses_nothing(dag: Dag, most: int) -> None:
    chain = build_chain(dag, [], most)
    assert chain.gap == 0
    assert gap(dag, chain.cuts, list(all_cuts(dag))) <= 1e-4
    for factor in (1.5, 3.0, 100.0):  # and so it does for every other factor
        other = Dag(dag.reads, factor * np.where(_limits(dag)[0], 0, dag.server_s),
                    dag.server_s, dag.out_bytes)  # fmt: skip
        assert gap(other, chain.cuts, list(all_cuts(other))) <= 1e-4


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
    assert gap(dag, chain.cuts, list(all_cuts(dag))) == pytest.approx(chain.gap, abs=2e-4)


def test_a_value_with_many_readers_is_sent_once() -> None:
    #   input -> a -> b, c, d -> e
    dag = Dag(
        reads=((), (0,), (1,), (1,), (1,), (2, 3, 4)),
        device_s=np.array([0, 0.001, 1, 1, 1, 1.0]),
        server_s=np.array([np.inf, 0.0, 0.1, 0.1, 0.1, 0.1]),
        out_bytes=np.array([1000.0, 100, 50, 50, 50, 10]),
    )
    cut = minimum_cut(dag, 0.01, *_limits(dag))
    assert cut.tolist() == [True, True, False, False, False, False]
    assert dag.line(cut).bytes == 100


def test_an_operation_without_cost_stays_with_its_maker() -> None:
    # input -> convolution -> activation -> convolution
    dag = Dag(
        reads=((), (0,), (1,), (2,)),
        device_s=np.array([0, 0.1, 0, 5.0]),
        server_s=np.array([np.inf, 0.01, 0, 0.5]),
        out_bytes=np.array([1000.0, 10, 10, 1]),
    )
    assert minimum_cut(dag, 0.01, *_limits(dag)).tolist() == [True, True, True, False]


def test_where_the_best_cuts_cross_each_other_the_chain_says_what_it_costs() -> None:
    # Two branches: one is slow on the device, the other on the server, so that the best cuts
    # at two rates hold one of them each.
    dag = Dag(
        reads=((), (0,), (0,), (1, 2)),
        device_s=np.array([0, 0.010, 0.100, 10.0]),
        server_s=np.array([np.inf, 0.080, 0.001, 0.001]),
        out_bytes=np.array([1000.0, 900, 10, 10]),
    )
    best = best_cuts(dag, *_limits(dag))
    chain = build_chain(dag, [], 8)
    nested = all((a <= b).all() or (b <= a).all() for a, b in itertools.combinations(best, 2))
    assert nested == (chain.gap == 0)


@pytest.mark.parametrize("seed", range(3))
def test_on_large_graphs_networkx_finds_the_same_value(seed: int) -> None:
    dice = np.random.default_rng(seed)
    count = 400
    reads = [()] + [
        tuple({at - 1, *dice.integers(max(0, at - 9), at, 2).tolist()}) for at in range(1, count)
    ]
    server_s = dice.integers(1, 100, count) / 1e4
    dag = Dag(
        tuple(reads),
        np.where(np.arange(count) == 0, 0, 8 * server_s),
        np.where(np.arange(count) == 0, np.inf, server_s),
        dice.integers(100, 100_000, count).astype(float),
    )
    rate = 8 / 2e6
    graph = networkx.DiGraph()
    for at in range(count):
        graph.add_edge("device", at, **({"capacity": dag.server_s[at]} if at else {}))
        graph.add_edge(at, "server", capacity=dag.device_s[at])
        graph.add_edge(at, ("value", at), capacity=dag.out_bytes[at] * rate)
        for maker in dag.reads[at]:
            graph.add_edge(("value", maker), at)
            graph.add_edge(at, maker)
    expected = networkx.minimum_cut_value(graph, "device", "server")
    found = dag.line(minimum_cut(dag, rate, *_limits(dag))).at(rate)
    assert found == pytest.approx(expected, rel=1e-5)


def test_the_rates_swept_are_those_of_real_links() -> None:
    assert SLOWEST_BPS <= 1e4
    assert FASTEST_BPS >= 1e10
