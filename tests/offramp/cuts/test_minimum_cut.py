"""A minimum cut is the best of all closed sets, and the largest of the best: brute force agrees."""

from __future__ import annotations

import networkx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offramp.cuts.dag import Cut, Dag
from offramp.cuts.minimum_cut import Cutter, minimum_cut
from tests.offramp.cuts.dags import all_cuts, dags

RATES = st.floats(4, 10).map(lambda power: 8 / 10**power)


def _limits(dag: Dag) -> tuple[Cut, Cut]:
    return np.isinf(dag.server_s), np.ones(len(dag), bool)


@settings(max_examples=150, deadline=None)
@given(dag=dags(), rate=RATES)
def test_a_minimum_cut_is_the_best_of_all_cuts(dag: Dag, rate: float) -> None:
    cut = minimum_cut(dag, rate, *_limits(dag))
    assert dag.is_closed(cut)
    best = min(dag.line(other).at(rate) for other in all_cuts(dag))
    assert dag.line(cut).at(rate) == pytest.approx(best, rel=1e-9, abs=1e-12)


@settings(max_examples=100, deadline=None)
@given(dag=dags(most=7), data=st.data())
def test_between_two_cuts_it_is_the_largest_of_the_best(dag: Dag, data: st.DataObject) -> None:
    """With costs of a few whole numbers many cuts are equal."""
    few = st.integers(0, 3).map(float)
    costs = [np.array([data.draw(few) for _ in range(len(dag))]) for _ in range(3)]
    some = st.lists(st.booleans(), min_size=len(dag), max_size=len(dag)).map(np.array)
    one, other = (dag.close(data.draw(some)) for _ in range(2))
    low, high = one & other, one | other
    plain = Dag(dag.reads, *costs)
    cuts = [cut for cut in _closed_sets(plain) if (low <= cut).all() and (cut <= high).all()]
    values = [plain.line(cut).at(1.0) for cut in cuts]
    best = [cut for cut, value in zip(cuts, values, strict=True) if value == min(values)]
    assert (Cutter(plain, low, high).cut(*costs) == np.logical_or.reduce(best)).all()


def _closed_sets(dag: Dag) -> list[Cut]:
    return list(all_cuts(Dag(dag.reads, dag.device_s, dag.device_s, dag.out_bytes)))


@settings(max_examples=40, deadline=None)
@given(dag=dags(most=8), other=dags(most=8), rate=RATES)
def test_a_cutter_serves_any_costs(dag: Dag, other: Dag, rate: float) -> None:
    """What was asked before leaves nothing behind."""
    cutter, costs = Cutter(dag, *_limits(dag)), (dag.device_s, dag.server_s, dag.out_bytes * rate)
    first = cutter.cut(*costs)
    cutter.cut(np.ones(len(dag)), np.full(len(dag), 0.5), np.full(len(dag), 0.1))
    assert (cutter.cut(*costs) == first).all()


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


def test_nothing_runs_on_the_device_that_reads_what_the_server_makes() -> None:
    """The counterexample of the design note: free of reverse arcs, the cut is one second cheaper.

    b is slow on the device, c on the server. The device would have to read what the server made.
    """
    # input -> b -> c
    dag = Dag(
        reads=((), (0,), (1,)),
        device_s=np.array([0, 10.0, 1.0]),
        server_s=np.array([np.inf, 1.0, 5.0]),
        out_bytes=np.array([1.0, 4.0, 1.0]),
    )
    cut = minimum_cut(dag, 1.0, *_limits(dag))
    assert cut.tolist() == [True, False, False]
    assert dag.line(cut).at(1.0) == 7.0
    graph = networkx.DiGraph()
    for at in range(3):
        if at:
            graph.add_edge("device", at, capacity=dag.server_s[at])
        graph.add_edge(at, "server", capacity=dag.device_s[at])
    graph.add_edge("device", 0)
    graph.add_edge(0, 1, capacity=1.0)
    graph.add_edge(1, 2, capacity=4.0)
    value, (device, _) = networkx.minimum_cut(graph, "device", "server")
    assert value == 3.0
    assert device == {"device", 0, 2}


def test_where_the_two_outer_cuts_are_forbidden_another_is_found() -> None:
    # input -> a, b -> c: only with a on the device and b on the server is nothing infinite
    dag = Dag(
        reads=((), (0,), (0,), (1, 2)),
        device_s=np.array([0, 1.0, np.inf, 1.0]),
        server_s=np.array([np.inf, np.inf, 1.0, 1.0]),
        out_bytes=np.array([5.0, 1.0, 2.0, 1.0]),
    )
    assert minimum_cut(dag, 1e-6, *_limits(dag)).tolist() == [True, True, False, False]
    assert minimum_cut(dag, 0.0, *_limits(dag)).tolist() == [True, True, False, False]


def test_where_every_cut_is_forbidden_there_is_an_error() -> None:
    dag = Dag(((), (0,)), np.array([0, np.inf]), np.array([np.inf, np.inf]), np.ones(2))
    with pytest.raises(ValueError, match="no cut between the two is allowed"):
        minimum_cut(dag, 1.0, *_limits(dag))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("nearest", [1, 3])
def test_on_large_graphs_networkx_finds_the_same_value(seed: int, nearest: int) -> None:
    """With every operation reading its neighbour all are pivots; else there are hardly any."""
    dice = np.random.default_rng(seed)
    count = 400
    reads = [()] + [
        tuple({max(at - nearest, 0), *dice.integers(max(0, at - 9), at, 2).tolist()})
        for at in range(1, count)
    ]
    server_s = dice.integers(1, 100, count) / 1e4
    dag = Dag(
        tuple(reads),
        np.where(np.arange(count) == 0, 0, dice.choice([0.5, 4, 20], count) * server_s),
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
    assert found == pytest.approx(expected, rel=1e-9)
