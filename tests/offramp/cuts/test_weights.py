"""Weights and prices change what a cut costs, term by term, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offramp.cuts.dag import Cut, Dag
from offramp.cuts.minimum_cut import minimum_cut
from offramp.cuts.weights import LATENCY, Prices, alive, energy, priced
from tests.offramp.cuts.dags import all_cuts, dags

FEW = st.floats(0, 10)
PRICES = st.builds(Prices, FEW, FEW, FEW, st.floats(0, 1e-3))


def _terms(dag: Dag, cut: Cut) -> tuple[float, float, float]:
    """Return what a cut takes: seconds of the device, of the server, and bytes."""
    crossing = sum(dag.out_bytes[maker] for maker in dag.crossing(cut))
    return float(dag.device_s[cut].sum()), float(dag.server_s[~cut].sum()), float(crossing)


@settings(max_examples=80, deadline=None)
@given(dag=dags(most=8), prices=PRICES, rate=st.floats(1e-9, 1e-4))
def test_a_priced_graph_is_cut_where_the_bill_is_least(
    dag: Dag, prices: Prices, rate: float
) -> None:
    def bill(cut: Cut) -> float:
        device_s, server_s, crossing = _terms(dag, cut)
        sending = prices.sending * crossing * rate + prices.byte * crossing
        return prices.device * device_s + prices.server * server_s + sending

    inputs, whole = np.isinf(dag.server_s), np.ones(len(dag), bool)
    cut = minimum_cut(priced(dag, prices), prices.per_byte(rate), inputs, whole)
    least = min(bill(other) for other in all_cuts(dag))
    assert bill(cut) == pytest.approx(least, rel=1e-8, abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(dag=dags(most=8), data=st.data(), rate=st.floats(1e-9, 1e-4))
def test_a_weighted_graph_is_cut_where_the_mean_is_least(
    dag: Dag, data: st.DataObject, rate: float
) -> None:
    share = st.floats(0, 1)
    reach, sent = (np.array([data.draw(share) for _ in range(len(dag))]) for _ in range(2))

    def mean(cut: Cut) -> float:
        on_server = sum(reach[at] * dag.server_s[at] for at in np.flatnonzero(~cut))
        crossing = sum(sent[at] * dag.out_bytes[at] for at in dag.crossing(cut))
        return float((reach * dag.device_s)[cut].sum() + on_server + crossing * rate)

    inputs, whole = np.isinf(dag.server_s), np.ones(len(dag), bool)
    cut = minimum_cut(alive(dag, reach, sent), rate, inputs, whole)
    least = min(mean(other) for other in all_cuts(dag))
    assert mean(cut) == pytest.approx(least, rel=1e-8, abs=1e-12)


def test_what_is_forbidden_stays_so_whatever_it_weighs() -> None:
    dag = Dag(((), (0,)), np.array([0, 1.0]), np.array([np.inf, 1.0]), np.array([np.inf, 5.0]))
    for other in (alive(dag, 0.0, 0.0), priced(dag, Prices())):
        assert other.server_s.tolist() == [np.inf, 0.0]
        assert other.out_bytes[0] == np.inf


def test_prices_add_up() -> None:
    """Two joules are worth a second; the radio stays on until the answer is there."""
    both = LATENCY + energy(3.0, 1.0, 0.5, 2e-6) * 0.5
    assert both == Prices(device=2.5, server=1.25, sending=1.5, byte=1e-6)
    assert both.per_byte(1e-6) == pytest.approx(2.5e-6)
