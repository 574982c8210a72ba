"""How often a promised accuracy is broken, and what keeping it costs, over random calibrations.

Each calibration set is drawn, sample by sample, from a population whose mean is the true risk: one
of 10,000 synthetic samples on three exits, another with exits that often mend the model, and the
embedded bundle's 1,000. Beside what a device
could be told, "ideal" is the cheapest vector of the population itself that keeps to the drop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness import BUNDLE, finish, parse, tabulate
from offramp.bundle import open_bundle
from offramp.calibration import load_calibration, score_exits
from offramp.errors import InputError
from offramp.exits.fitted import load_policy
from offramp.guarantee import (
    CLOSED,
    PATHS,
    Method,
    Outcomes,
    Promise,
    certify,
    recorded_outcomes,
    trace_frontier,
    trace_grid,
)

CONFIDENCES = (0.95, 0.9)
ALL = [Promise(drop, sure) for drop in (0.005, 0.01, 0.02) for sure in CONFIDENCES]
FEW = [Promise(0.01), Promise(0.02)]
VECTORS = 3_000
COLUMNS = ("drop, delta", "method", "broken", "mean drop", "mean cost", "ideal")

Floats = NDArray[np.float64]
Chooser = Callable[[Outcomes, Promise, np.random.Generator], Floats]


def naive(calibration: Outcomes, promise: Promise, dice: np.random.Generator) -> Floats:
    """Return the cheapest thresholds that keep to the drop on the calibration samples."""
    frontier = trace_grid(calibration, most_vectors=VECTORS)
    drops = calibration.whole_right.mean() - frontier.accuracy
    within = np.flatnonzero(drops <= promise.max_accuracy_drop)
    return np.asarray(frontier.thresholds[within[0]])


def conformal(calibration: Outcomes, promise: Promise, dice: np.random.Generator) -> Floats:
    """Return what conformal risk control chooses of a ray: the mean of the drops is bounded."""
    order = dice.permutation(calibration.samples)
    cut = int(0.3 * len(order))
    chosen, tested = calibration.select(order[:cut]), calibration.select(order[cut:])
    path = PATHS["ray"](chosen, promise.max_accuracy_drop, 1.0)
    risks = (tested.losses(path).sum(axis=1) + 1) / (tested.samples + 1)
    failed = np.flatnonzero(risks > promise.max_accuracy_drop)
    passed = failed[0] if failed.size else len(path)
    return np.asarray(path[passed - 1]) if passed else np.full(calibration.exits, CLOSED)


def through(p_value: str, path: str = "ray") -> Chooser:
    """Return what Learn-then-Test chooses with a p-value along a path; closed exits if nothing."""

    def choose(calibration: Outcomes, promise: Promise, dice: np.random.Generator) -> Floats:
        found = certify(calibration, promise, dice, Method(p_value, path))
        return found.thresholds if found else np.full(calibration.exits, CLOSED)

    return choose


METHODS: dict[str, Chooser] = {
    "naive threshold": naive,
    "conformal risk control": conformal,
    "LTT, Hoeffding-Bentkus": through("hoeffding_bentkus"),
    "LTT, binomial": through("binomial"),
    "LTT, betting": through("betting"),
    "LTT, either": through("either"),
    "LTT, either, along the frontier": through("either", "frontier"),
}
DEFAULT = "LTT, either"
TESTS = [name for name in METHODS if name.startswith("LTT")]


def main() -> None:
    options = parse("guarantee", __doc__)
    splits = 20 if options.quick else 200
    asked = FEW if options.quick else ALL
    bundle = open_bundle(BUNDLE)
    calibration, policy = load_calibration(bundle), load_policy(bundle)
    scores = score_exits(bundle.manifest, calibration, policy)
    embedded = recorded_outcomes(bundle.manifest, calibration, scores)
    sets = [("embedded", embedded, 1_000, asked), ("synthetic", draw_synthetic(), 1_000, asked)]
    if not options.quick:
        sets.append(("synthetic", draw_synthetic(), 5_000, FEW[:1]))
        sets.append(("mending", draw_synthetic(own_luck=0.6), 5_000, FEW[:1]))
    figures: dict[str, list[dict[str, Any]]] = {}
    for name, population, samples, promises in sets:
        rows = measure(population, samples, splits, promises)
        tabulate(f"{name}, {samples} calibration samples, {splits} draws", COLUMNS, _cells(rows))
        figures[f"{name} {samples}"] = rows
    ours = [row for rows in figures.values() for row in rows if row["method"] == DEFAULT]
    worst = max(row["broken"] - row["delta"] for row in ours if row["splits"])
    finish(
        "guarantee",
        f"promises broken by Learn-then-Test: at worst {worst:+.1%} of draws against delta",
        figures,
        options,
    )


def measure(
    population: Outcomes, samples: int, splits: int, promises: Sequence[Promise]
) -> list[dict[str, Any]]:
    """Return a row for each promise and method; confidence means nothing to the first two."""
    frontier, rows = trace_frontier(population, most_vectors=100_000), []
    for promise in promises:
        drop = promise.max_accuracy_drop
        within = np.flatnonzero(population.whole_right.mean() - frontier.accuracy <= drop)
        for method in METHODS if promise.confidence == CONFIDENCES[0] else TESTS:
            drops, costs = _repeat(population, samples, splits, (method, promise))
            rows.append(
                {
                    "drop": drop,
                    "delta": round(1 - promise.confidence, 6),
                    "method": method,
                    "splits": len(drops),
                    "broken": float(np.mean(drops > drop)) if len(drops) else 0.0,
                    "mean_drop": float(np.mean(drops)) if len(drops) else 0.0,
                    "mean_cost": float(np.mean(costs)) if len(drops) else 1.0,
                    "ideal": float(frontier.mean_cost[within[0]] / population.costs[-1]),
                }
            )
    return rows


def _repeat(
    population: Outcomes, samples: int, splits: int, asked: tuple[str, Promise]
) -> tuple[Floats, Floats]:
    """Return the true drop and cost, as a share of the whole model's, of each draw's thresholds."""
    method, promise = asked
    chosen = []
    for seed in range(splits):
        dice = np.random.default_rng(seed)
        drawn = population.select(dice.integers(0, population.samples, samples))
        try:
            chosen.append(METHODS[method](drawn, promise, dice))
        except InputError:
            return np.array([]), np.array([])
    rows = np.stack(chosen)
    costs = np.array([population.mean_cost(row) for row in rows]) / population.costs[-1]
    return np.array([population.losses(row).mean() for row in rows]), costs


def _cells(rows: list[dict[str, Any]]) -> list[list[str]]:
    return [
        [
            f"{row['drop']:.1%}, {row['delta']}",
            row["method"],
            *(
                [f"{row['broken']:.1%}", f"{row['mean_drop']:.2%}", f"{row['mean_cost']:.3f}"]
                if row["splits"]
                else ["too few samples", "", ""]
            ),
            f"{row['ideal']:.3f}",
        ]
        for row in rows
    ]


def draw_synthetic(own_luck: float = 0.25) -> Outcomes:
    """Return 10,000 samples on three exits that know roughly how hard each is.

    With more luck of its own, an exit is right where the model is wrong more often.
    """
    dice, exit_count, samples = np.random.default_rng(0), 3, 10_000
    hard, luck = dice.beta(0.6, 1.6, samples), dice.random(samples)
    right = np.stack(
        [
            (1 - own_luck) * luck + own_luck * dice.random(samples)
            < 1 - 0.6 * hard ** (1.3 + 0.6 * at)
            for at in range(exit_count + 1)
        ]
    )
    scores = np.clip(1 - hard + dice.normal(0, 0.12, (exit_count, samples)), 0, 1)
    return Outcomes(scores, right[:-1], right[-1], np.arange(exit_count + 1) + 1.0, right[-1])


if __name__ == "__main__":
    main()
