"""Planned cuts against all closed sets of small graphs, and against another solver on large ones.

Neither shares code with the planner: closed sets are tried one and all and their bills written from
the definition, sample by sample where there are exits; networkx (preflow-push) cuts a graph built
here arc by arc.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import networkx
import numpy as np

from benchmarks.harness import tabulate
from benchmarks.planner_graphs import SHAPES, random_graph, shaped_graph
from offramp.cuts.dag import Cut, Dag
from offramp.cuts.joint import Exit, JointCutter
from offramp.cuts.minimum_cut import minimum_cut
from offramp.cuts.weights import LATENCY, Prices, alive, energy, priced
from offramp.tensors import Array

__all__ = ["against_all_cuts", "against_networkx"]

SAME = 1e-8
Link = tuple[float, float]
"""Seconds per byte and seconds of a round trip."""


def against_all_cuts(graphs: int) -> dict[str, Any]:
    """Plan each random graph for latency, energy, a mixture of prices, and with its exits."""
    dice = np.random.default_rng(11)
    wrong = dict.fromkeys(("latency", "energy", "priced", "exit-weighted"), 0)
    with_exits = 0
    for _ in range(graphs):
        dag, exits = random_graph(14, dice)
        sets = closed_sets(dag)
        link = float(10 ** dice.uniform(-9.5, -3)), float(dice.integers(0, 100) / 1000)
        joules = energy(*dice.uniform(0, 5, 3), float(dice.choice([0, 1e-6])))
        mixture = LATENCY + joules * float(dice.uniform(0, 1)) + Prices(server=dice.uniform(0, 20))
        for name, prices in (("latency", LATENCY), ("energy", joules), ("priced", mixture)):
            wrong[name] += not _is_least(dag, sets, prices, link[0])
        left = sorted(dice.random(len(exits)), reverse=True)
        with_exits += bool(exits)
        wrong["exit-weighted"] += not _is_best_split(dag, exits, sets, left, link)
    rows = [(name, f"{graphs:,}", count) for name, count in wrong.items()]
    tabulate("Against all closed sets, up to 14 operations", ("costs", "graphs", "wrong"), rows)
    return {"graphs": graphs, "with_exits": with_exits, "wrong": wrong}


def against_networkx(count: int, rates: int) -> dict[str, Any]:
    """Compare values for each shape, each kind of cost and several rates."""
    rows, figures = [], []
    for shape in SHAPES:
        dice = np.random.default_rng(3)
        plain = shaped_graph(shape, count, dice, uneven=True)
        share = np.minimum.accumulate(np.repeat(dice.uniform(0.5, 1, 40), count // 40 + 1))[:count]
        joules = energy(4.0, 1.0, 0.5, 1e-7)
        kinds = {
            "latency": (plain, LATENCY),
            "energy": (priced(plain, joules), joules),
            "priced": (priced(plain, LATENCY + joules), LATENCY + joules),
            "exit-weighted": (alive(plain, share, share), LATENCY),
        }
        worst = 0.0
        for dag, prices in kinds.values():
            for rate in 8 / np.logspace(5, 9, rates):
                worst = max(worst, _difference(dag, prices.per_byte(rate)))
        solved = len(kinds) * rates
        rows.append((shape, solved, f"{worst:.0e}"))
        figures.append({"shape": shape, "solved": solved, "largest_difference": worst})
    columns = ("shape", "solved", "largest difference")
    tabulate(f"Against networkx, {count:,} operations", columns, rows)
    return {"operations": count, "shapes": figures}


def closed_sets(dag: Dag) -> Array:
    """Return every set closed under what it reads that holds the inputs: bool (sets, n)."""
    free = np.flatnonzero(~_inputs(dag))
    sets = np.ones((1 << len(free), len(dag)), bool)
    sets[:, free] = np.arange(1 << len(free))[:, None] >> np.arange(len(free)) & 1
    for reader, made in enumerate(dag.reads):
        sets = sets[~sets[:, reader] | sets[:, list(made)].all(axis=1)]
    return sets


def _is_least(dag: Dag, sets: Array, prices: Prices, s_per_byte: float) -> bool:
    """Tell whether no closed set costs less than the cut planned."""
    bills = (
        _total(sets, dag.device_s, prices.device)
        + _total(~sets, dag.server_s, prices.server)
        + _crossing(dag, sets) * (prices.sending * s_per_byte + prices.byte)
    )
    try:
        cut = minimum_cut(priced(dag, prices), prices.per_byte(s_per_byte), *_limits(dag))
    except ValueError:
        return bool(np.isinf(bills).all())
    return _among_least(sets, bills, cut)


def _is_best_split(
    dag: Dag, exits: Sequence[Exit], sets: Array, left: Sequence[float], link: Link
) -> bool:
    """Tell whether no closed set has a smaller mean latency, over samples by where they leave."""
    s_per_byte, rtt_s = link
    here = sets[:, [exit_.at for exit_ in exits]].sum(axis=1)
    sent = rtt_s + _crossing(dag, sets) * s_per_byte
    means = np.zeros(len(sets))
    for leaves, share in enumerate(-np.diff([1.0, *left, 0.0])):
        runs = ~dag.after(exits[leaves].at) if leaves < len(exits) else np.ones(len(dag), bool)
        taken = _total(sets & runs, dag.device_s, 1) + _total(~sets & runs, dag.server_s, 1)
        for exit_ in exits[: leaves + 1]:
            taken = taken + np.where(sets[:, exit_.at], exit_.device_s, exit_.server_s)
        taken = taken + np.where((leaves >= here) & ~sets.all(axis=1), sent, 0)
        means += np.where(np.isinf(taken), np.inf, np.where(np.isinf(taken), 0, taken) * share)
    try:
        split = JointCutter(dag, exits).best(left, *link)
    except ValueError:
        return bool(np.isinf(means).all())
    told = np.isclose(split.line.at(s_per_byte), means.min(), SAME, 1e-12)
    return bool(told) and _among_least(sets, means, split.cut)


def _among_least(sets: Array, bills: Array, cut: Cut) -> bool:
    row = np.flatnonzero((sets == cut).all(axis=1))
    return len(row) == 1 and bool(bills[row[0]] <= bills.min() * (1 + SAME) + 1e-12)


def _total(held: Array, costs: Array, price: float) -> Array:
    """Return what the operations held in each set cost, (sets,); infinite ones whatever they do."""
    finite = np.where(np.isinf(costs), 0, costs)
    return np.where((held & np.isinf(costs)).any(axis=1), np.inf, held @ finite * price)


def _crossing(dag: Dag, sets: Array) -> Array:
    """Return the bytes that each set sends, (sets,)."""
    crosses = np.zeros_like(sets)
    for reader, made in enumerate(dag.reads):
        for maker in made:
            crosses[:, maker] |= sets[:, maker] & ~sets[:, reader]
    return _total(crosses, dag.out_bytes, 1)


def _difference(dag: Dag, per_byte: float) -> float:
    """Return by what share the cut planned costs more or less than networkx's."""
    graph = networkx.DiGraph()
    for at, made in enumerate(dag.reads):
        graph.add_edge("device", at, **({} if at == 0 else {"capacity": dag.server_s[at]}))
        graph.add_edge(at, "server", capacity=dag.device_s[at])
        graph.add_edge(at, ("value", at), capacity=dag.out_bytes[at] * per_byte)
        for maker in made:
            graph.add_edge(("value", maker), at)
            graph.add_edge(at, maker)
    solver = networkx.algorithms.flow.preflow_push
    expected = networkx.minimum_cut_value(graph, "device", "server", flow_func=solver)
    cut = minimum_cut(dag, per_byte, *_limits(dag))
    if not dag.is_closed(cut):
        return np.inf
    return abs(float(dag.line(cut).at(per_byte)) / float(expected) - 1)


def _inputs(dag: Dag) -> Cut:
    return np.isinf(dag.server_s) & np.array([not made for made in dag.reads])


def _limits(dag: Dag) -> tuple[Cut, Cut]:
    return _inputs(dag), np.ones(len(dag), bool)
