"""The cuts found are best at every rate: no closed set of a small graph is better anywhere."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given, settings

from offramp.cuts.dag import Dag
from offramp.cuts.envelope import Envelope
from offramp.cuts.parametric import best_cuts
from tests.offramp.cuts.dags import all_cuts, dags

RATES = (8 / 1e10, 8 / 1e4)


@settings(max_examples=60, deadline=None)
@given(dag=dags(most=8))
def test_the_best_cuts_are_best_at_every_rate(dag: Dag) -> None:
    found = best_cuts(dag, np.isinf(dag.server_s), np.ones(len(dag), bool), RATES)
    lines = [dag.line(cut) for cut in all_cuts(dag)]
    corners = Envelope(
        np.array([line.seconds for line in lines]), np.array([line.bytes for line in lines]), *RATES
    ).breaks
    for rate in (*RATES, *corners, *map(np.mean, itertools.pairwise((*corners, RATES[1])))):
        least = min(line.at(rate) for line in lines)
        assert min(dag.line(cut).at(rate) for cut in found) <= least * (1 + 1e-8) + 1e-12


def test_where_nothing_is_allowed_there_is_no_cut() -> None:
    dag = Dag(((), (0,)), np.array([0, np.inf]), np.array([np.inf, np.inf]), np.ones(2))
    assert best_cuts(dag, np.array([True, False]), np.ones(2, bool), RATES) == []
