"""How long a new plan of a large graph takes, and the plans for all bandwidths at once."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from benchmarks.harness import tabulate
from benchmarks.planner_graphs import SHAPES, shaped_graph
from offramp.cuts.blocks import Blocks
from offramp.cuts.dag import Dag
from offramp.cuts.minimum_cut import Cutter
from offramp.cuts.parametric import best_cuts

__all__ = ["time_graphs"]

BANDWIDTHS_BPS = np.logspace(5, 9, 40)
COLUMNS = ("shape, device", "readings", "largest block", "laid out", "p50", "p99", "most",
           "all bandwidths", "best cuts")  # fmt: skip


def time_graphs(count: int, rounds: int) -> dict[str, Any]:
    """Plan each shape ``rounds`` times at 40 bandwidths, the device's times stretched each time."""
    figures = []
    _timed(shaped_graph("four lanes", 50, np.random.default_rng(3), uneven=True), 1)  # compiles
    for shape in SHAPES:
        for uneven in (False, True):
            dag = shaped_graph(shape, count, np.random.default_rng(3), uneven=uneven)
            name = f"{shape}, {'0.5 to 20' if uneven else '8'}"
            figures.append({"shape": shape, "uneven": uneven, "name": name, **_timed(dag, rounds)})
    rows = [
        (f["name"], f"{f['readings']:,}", f"{f['largest_block']:,}",
         *(f"{f[key]:.2f}" for key in ("laid_out_ms", "p50_ms", "p99_ms", "most_ms", "all_ms")),
         f["best_cuts"])
        for f in figures
    ]  # fmt: skip
    tabulate(f"Plans of {count:,} operations, ms", COLUMNS, rows)
    return {"operations": count, "bandwidths": len(BANDWIDTHS_BPS), "shapes": figures}


def _timed(dag: Dag, rounds: int) -> dict[str, float]:
    low, high = np.isinf(dag.server_s), np.ones(len(dag), bool)
    readings = len(dag.arcs[0])
    start = time.perf_counter()
    cutter = Cutter(dag, low, high)
    laid_out_s = time.perf_counter() - start
    taken_s = []
    for stretch in np.linspace(1, 3, rounds):
        for bps in BANDWIDTHS_BPS:
            start = time.perf_counter()
            cutter.cut(dag.device_s * stretch, dag.server_s, dag.sent_s(8 / bps))
            taken_s.append(time.perf_counter() - start)
    start = time.perf_counter()
    found = best_cuts(dag, low, high, (8 / 1e10, 8 / 1e4))
    all_s = time.perf_counter() - start
    blocks = Blocks(dag, low, high)
    p50, p99 = np.quantile(taken_s, [0.5, 0.99]) * 1e3
    return {
        "readings": readings,
        "largest_block": int(max(blocks.ends - blocks.starts - 1, default=0)),
        "laid_out_ms": laid_out_s * 1e3,
        "p50_ms": float(p50),
        "p99_ms": float(p99),
        "most_ms": max(taken_s) * 1e3,
        "all_ms": all_s * 1e3,
        "best_cuts": len(found),
    }
