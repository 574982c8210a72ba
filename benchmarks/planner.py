"""Whether plans are the best there are, and how long they take.

Exactness: random graphs of up to 14 operations against every closed set, for latency, energy, a
mixture of prices and with exits; graphs of 2,000 operations against networkx. Speed: a new plan of
such graphs at each of 40 bandwidths, times and transfers set anew, required within 10 ms (QDMP:
300 ms); and the best cuts for all bandwidths; a joint plan of cut, level and exits of 60 blocks,
required within 100 ms (PORTEND: 30 minutes), and decisions under new conditions, within 10 us, by
the planner alone and with all else that a device's controller does.
Throughput: what a mixture of plans brings over one where devices share a server.

Each part is a function of the options that prints its tables and returns its figures and what the
last line says of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.harness import Options, finish, parse
from benchmarks.planner_exactness import against_all_cuts, against_networkx
from benchmarks.planner_joint import TIMES, time_control, time_decisions, time_joint_plans
from benchmarks.planner_mixture import mix_chains, mix_embedded
from benchmarks.planner_speed import time_graphs

OPERATIONS = 2_000
REQUIRED = ("chain", "ResNet-like", "Inception-like", "DenseNet-like", "random skips")
"""What the requirement names; the other shapes are harder."""


def exactness(options: Options) -> tuple[dict[str, Any], str]:
    small = against_all_cuts(1_000 if options.quick else 5_000)
    large = against_networkx(OPERATIONS, 1 if options.quick else 5)
    wrong = sum(small["wrong"].values())
    difference = max(shape["largest_difference"] for shape in large["shapes"])
    line = (
        f"{wrong} of {4 * small['graphs']:,} small plans wrong, large ones within {difference:.0e}"
    )
    return {"small": small, "large": large}, line


def graphs(options: Options) -> tuple[dict[str, Any], str]:
    timed = time_graphs(OPERATIONS, 2 if options.quick else 10)
    worst = {
        named: max(f["p99_ms"] for f in timed["shapes"] if (f["shape"] in REQUIRED) == named)
        for named in (True, False)
    }
    line = f"{OPERATIONS:,} operations in {worst[True]:.2g} ms p99, harder ones {worst[False]:.2g}"
    return timed, line


def joint(options: Options) -> tuple[dict[str, Any], str]:
    planned, planner = time_joint_plans(5 if options.quick else 30)
    decided = time_decisions(planner, 2_000 if options.quick else 50_000)
    whole = time_control(planner, 2_000 if options.quick else 50_000)
    line = (
        f"a joint plan in {planned['p50_ms']:.0f} ms; decisions in us (p99, that of the least of "
        f"{TIMES} times): {_told(decided['no hedge'], 1)}, with a hedge "
        f"{_told(decided['hedge'], 1)}, for uneven samples "
        f"{_told(decided['hedge, uneven samples'], 1)}, with fewest late samples "
        f"{_told(decided['fewest late, link in doubt'])}; a controller's whole decision "
        f"{_told(whole['no hedge'])}, with a hedge {_told(whole['hedge'])}"
    )
    return {"planned": planned, "decided": decided, "whole": whole}, line


def _told(decision: dict[str, Any], digits: int = 0) -> str:
    p50, p99, least = (decision[f"{name}_us"] for name in ("p50", "p99", "least_p99"))
    return f"{p50:.{digits}f} ({p99:.{digits}f}, {least:.{digits}f})"


def mixture(options: Options) -> tuple[dict[str, Any], str]:
    chains = mix_chains(200 if options.quick else 5_000)
    embedded = mix_embedded(3 if options.quick else 30)
    gains = [c["mixture_hz"] / c["single_hz"] - 1 for c in embedded["cells"]]
    single, quickest = chains["over_single"], chains["over_quickest"]
    line = (
        f"mixtures over the best single plan {single['mean']:+.1%} in the mean on random chains "
        f"(most {single['most']:+.0%}), over that of least latency {quickest['mean']:+.0%} (most "
        f"{quickest['most']:+.0%}); embedded bundle {min(gains):+.0%} to {max(gains):+.0%}"
    )
    return {"chains": chains, "embedded": embedded}, line


PARTS: dict[str, Callable[[Options], tuple[dict[str, Any], str]]] = {
    "exactness": exactness,
    "graphs": graphs,
    "joint": joint,
    "mixture": mixture,
}


def main() -> None:
    options = parse("planner", __doc__)
    figures, lines = {}, []
    for name, part in PARTS.items():
        figures[name], line = part(options)
        lines.append(line)
    finish("planner", "; ".join(lines), figures, options)


if __name__ == "__main__":
    main()
