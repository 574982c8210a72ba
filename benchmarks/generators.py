"""How near generated rates come to the recordings that they are fitted to.

For each recording: the mean, the coefficient of variation and the correlation at one second of its
means over seconds, and the share of half seconds below 2 % of the mean. Beside them the same of
the chain that `fit_markov` makes of it, and of the one that `chain_of` makes of its three figures,
in shares of the recording's, over a long time. `--lte` prints the chain that is shipped as `LTE`:
the one fitted to all the recordings together.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import Options, build_parser, finish, tabulate
from sim.rates.fitted import fit_markov
from sim.rates.given import chain_of
from sim.rates.markov import MarkovRate, MarkovState
from sim.rates.statistics import Rates, RateStatistics, rate_statistics, window_rates
from sim.rates.trace import RateTrace
from sim.traces import read_trace

LONG_S = 50_000
QUICK_S = 5_000
OUT = 0.02
COLUMNS = ("", "mean Mbit/s", "cov", "lag 1 s", "out")


def main() -> None:
    parser = build_parser("generators", __doc__)
    parser.add_argument("traces", nargs="+", type=Path, help="recordings, such as mahimahi's")
    parser.add_argument("--lte", action="store_true", help="print the chain fitted to all")
    given = parser.parse_args()
    options = Options(given.quick, given.json)
    traces = {path.name: read_trace(path) for path in given.traces}
    if given.lte:
        print(written(fit_markov(list(traces.values()))))
    seconds = QUICK_S if given.quick else LONG_S
    rows = [row for name, trace in traces.items() for row in compared(name, [trace], seconds)]
    if len(traces) > 1:
        rows += compared("all", list(traces.values()), seconds)
    tabulate("Recordings, and chains in shares of them", COLUMNS, [cells(row) for row in rows])
    fitted = [row for row in rows if row["what"] == "fitted"]
    worst = {key: max(abs(row[key] - 1) for row in fitted) for key in ("mean", "cov", "lag1")}
    line = ", ".join(f"{key} within {100 * off:.1f} %" for key, off in worst.items())
    finish("generators", f"fitted chains: {line}", {"rows": rows}, options)


def compared(name: str, traces: Sequence[RateTrace], seconds: float) -> list[dict[str, Any]]:
    """The recordings' statistics, and those of the chains over so many seconds in shares."""
    recorded, out = measured([trace.period_s for trace in traces], traces)
    rows = [figures(name, recorded, out)]
    for what, chain in (("fitted", fit_markov(traces)), ("given", chain_of(recorded))):
        seen, out = measured([seconds], [MarkovRate(chain, "benchmark")])
        shares = RateStatistics(
            seen.mean_bps / recorded.mean_bps, seen.cov / recorded.cov, seen.lag1 / recorded.lag1
        )
        rows.append(figures(what, shares, out))
    return rows


def measured(
    seconds: Sequence[float], sources: Sequence[RateTrace | MarkovRate]
) -> tuple[RateStatistics, float]:
    """The statistics, every source weighing the same, and the share of half seconds that is out."""

    def runs(window_s: float) -> list[Rates]:
        pairs = zip(sources, seconds, strict=True)
        return [window_rates(source, until_s, window_s) for source, until_s in pairs]

    statistics = rate_statistics(runs(1.0))
    out = [np.mean(run < OUT * statistics.mean_bps) for run in runs(0.5)]
    return statistics, float(np.mean(out))


def figures(what: str, statistics: RateStatistics, out: float) -> dict[str, Any]:
    return {
        "what": what,
        "mean": statistics.mean_bps,
        "cov": statistics.cov,
        "lag1": statistics.lag1,
        "out": out,
    }


def cells(row: dict[str, Any]) -> tuple[str, ...]:
    mean = row["mean"] / 1e6 if row["what"] not in ("fitted", "given") else row["mean"]
    return (
        row["what"],
        f"{mean:.3f}",
        f"{row['cov']:.3f}",
        f"{row['lag1']:.3f}",
        f"{row['out']:.3f}",
    )


def written(chain: Sequence[MarkovState]) -> str:
    """The chain as `sim/rates/markov.py` holds it, with two or three digits."""
    lines = []
    for state in chain:
        weights = ", ".join(f"{weight:.3f}".rstrip("0").rstrip(".") for weight in state.next)
        mbps = f"{state.bps / 1e6:.3g}e6"
        lines.append(f"    MarkovState({mbps}, {state.dwell_s:.3g}, ({weights})),")
    return "\n".join(["LTE = (", *lines, ")"])


if __name__ == "__main__":
    main()
