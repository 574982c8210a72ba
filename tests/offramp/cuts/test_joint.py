"""Cut and exits together: sample by sample, no closed set of a small graph is better."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offramp.cuts.dag import Cut, Dag
from offramp.cuts.joint import Exit, JointCutter
from tests.offramp.cuts.dags import all_cuts, dags

MS = st.integers(0, 20).map(lambda ms: ms / 1000)


@st.composite
def _graphs(draw: st.DrawFn) -> tuple[Dag, list[Exit]]:
    """A graph of up to three parts with an exit behind each but the last."""
    dag = draw(dags(most=6))
    exits = []
    for _ in range(draw(st.integers(0, 2))):
        exits.append(Exit(len(dag), draw(MS), draw(MS)))
        dag = _then(dag, draw(dags(most=4)))
    return dag, exits


def _then(one: Dag, other: Dag) -> Dag:
    """Put a part behind another, and between them an operation that both pass through.

    What nobody reads goes into it; the other part's inputs read it, and the first's input again.
    """
    count = len(one)
    read = {maker for made in one.reads for maker in made}
    neck = tuple(at for at in range(count) if at not in read)
    reads = [tuple(at + count + 1 for at in made) or (count, 0) for made in other.reads]
    finite = np.where(np.isinf(other.server_s), 0.003, other.server_s)
    return Dag(
        (*one.reads, neck, *reads),
        np.concatenate([one.device_s, [0.002], other.device_s]),
        np.concatenate([one.server_s, [0.001], finite]),
        np.concatenate([one.out_bytes, [20_000.0], other.out_bytes]),
    )


def _mean_s(
    dag: Dag, exits: list[Exit], cut: Cut, left: list[float], link: tuple[float, float]
) -> float:
    """Follow the samples that leave at each exit, and those that none answers."""
    x, rtt_s = link
    here = sum(bool(cut[exit_.at]) for exit_ in exits)
    crossing = sum(dag.out_bytes[at] for at in dag.crossing(cut))
    mean = 0.0
    for leaves, share in enumerate(-np.diff([1.0, *left, 0.0])):
        runs = np.ones(len(dag), bool)
        if leaves < len(exits):
            runs = ~dag.after(exits[leaves].at)
        taken = dag.device_s[runs & cut].sum() + dag.server_s[runs & ~cut].sum()
        for exit_ in exits[: leaves + 1]:
            taken += exit_.device_s if cut[exit_.at] else exit_.server_s
        if leaves >= here and not cut.all():
            taken += rtt_s + crossing * x
        mean += share * taken
    return mean


@settings(max_examples=120, deadline=None)
@given(
    graph=_graphs(),
    shares=st.lists(st.floats(0, 1), min_size=2, max_size=2),
    x=st.floats(-9, -5).map(lambda power: 10**power),
    rtt_s=MS,
)
def test_no_split_is_better_sample_by_sample(
    graph: tuple[Dag, list[Exit]], shares: list[float], x: float, rtt_s: float
) -> None:
    dag, exits = graph
    left = sorted(shares, reverse=True)[: len(exits)]
    split = JointCutter(dag, exits).best(left, x, rtt_s)
    assert dag.is_closed(split.cut)
    found = _mean_s(dag, exits, split.cut, left, (x, rtt_s))
    assert split.line.at(x) == pytest.approx(found, rel=1e-9, abs=1e-12)
    least = min(_mean_s(dag, exits, cut, left, (x, rtt_s)) for cut in all_cuts(dag))
    assert found == pytest.approx(least, rel=1e-8, abs=1e-12)
    assert split.exits == sum(bool(split.cut[exit_.at]) for exit_ in exits)


CHAIN = Dag(
    reads=((), (0,), (1,), (2,)),
    device_s=np.array([0, 0.010, 0.010, 0.080]),
    server_s=np.array([np.inf, 0.001, 0.001, 0.008]),
    out_bytes=np.array([50_000.0, 10_000, 10_000, 10]),
)


def test_an_exit_that_most_take_makes_the_device_go_on_to_it() -> None:
    """The round trip is what the exit saves; it is paid by those alone who are sent on."""
    cutter = JointCutter(CHAIN, [Exit(2, 0.001, 0.0001)])
    few = cutter.best([1.0], 8 / 100e6, 0.005)
    assert (few.cut.tolist(), few.exits, few.sent) == ([True, False, False, False], 0, 1.0)
    many = cutter.best([0.1], 8 / 100e6, 0.050)
    assert (many.cut.tolist(), many.exits, many.sent) == ([True, True, True, False], 1, 0.1)
    assert many.line.seconds == pytest.approx(0.021 + 0.1 * (0.008 + 0.050))
    assert many.line.bytes == pytest.approx(1_000)


def test_where_nobody_is_left_the_device_is_alone() -> None:
    split = JointCutter(CHAIN, [Exit(2, 0.001, 0.0001)]).best([0.0], 8 / 1e6, 0.0)
    assert split.sent == 0.0
    assert split.cut.all()
    assert split.line.seconds == pytest.approx(0.021)


def test_an_exit_beside_which_something_runs_is_an_error() -> None:
    # input -> a, b -> c: whether samples that leave behind a have run b, nobody knows
    dag = Dag(((), (0,), (0,), (1, 2)), *np.ones((3, 4)))
    dag.server_s[0] = math.inf
    with pytest.raises(ValueError, match="operation 2 is neither before nor after"):
        JointCutter(dag, [Exit(1, 0.0, 0.0)])
    with pytest.raises(ValueError, match="not behind"):
        JointCutter(CHAIN, [Exit(2, 0.0, 0.0), Exit(1, 0.0, 0.0)])


@pytest.mark.parametrize("left", [[], [1.5], [-0.1], [math.nan], [0.5, 0.4]])
def test_shares_that_are_none_are_an_error(left: list[float]) -> None:
    with pytest.raises(ValueError, match="no falling shares"):
        JointCutter(CHAIN, [Exit(2, 0.0, 0.0)]).best(left, 1e-6, 0.0)


def test_shares_that_rise_are_an_error() -> None:
    with pytest.raises(ValueError, match="no falling shares"):
        JointCutter(CHAIN, [Exit(1, 0.0, 0.0), Exit(2, 0.0, 0.0)]).best([0.2, 0.3], 1e-6, 0.0)
