"""The path: what a sample that is sent takes beside computing and the link, measured live.

Live runs over a link that does nothing, in which every sample is sent. Their results say where each
sample's time went; what is more than the profile's computing is the path's.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from device.levels import slow_levels
from offramp.bundle import Bundle
from offramp.report.lines import ResultLine
from offramp.report.runs import Run
from partitioner.profile import Profile

__all__ = ["LivePath", "measure_loading_s", "measure_path"]

_QUANTILES = 201
_LOAD = """
import sys, time
from pathlib import Path
from offramp.bundle import open_bundle
from offramp.network import Network
network = Network(open_bundle(Path(sys.argv[1])), segments=range(0))
began_s = time.perf_counter()
network.prepare(int(sys.argv[2]), sys.argv[3], "encoder")
print(time.perf_counter() - began_s)
"""


@dataclass(frozen=True)
class LivePath:
    """What a scenario's ``rpc_s``, ``handover_s`` and ``load_s`` are here.

    ``rpc_s`` are quantiles. What the server's computing took more than the profile says counts as
    well: between samples its caches grow cold, and other processes take turns with it.
    """

    rpc_s: tuple[float, ...]
    handover_s: float
    load_s: float = 0.0


def measure_path(runs: Sequence[Run], profile: Profile, load_s: float) -> LivePath:
    """Return what the samples of some runs took, all sent under one plan of cut 0.

    ``profile`` is that of this machine, not slowed.
    """
    rpc_s, handover_s = [], []
    for run in runs:
        (plan,) = run.plans
        key = f"{plan.cut}/{plan.level}"
        away_s = profile.decode[key].median_s + profile.tail[plan.cut].median_s
        board = profile.slowed(run.opening.slowdown)
        here_s = board.head[plan.cut].median_s + board.encode[key].median_s
        for result in run.results:
            spent_s = _away_s(result)
            rpc_s.append(max(spent_s - away_s, 0.0))
            handover_s.append(max(result.latency_s - spent_s - here_s, 0.0))
    quantiles_s = np.quantile(rpc_s, np.linspace(0, 1, _QUANTILES))
    return LivePath(tuple(map(float, quantiles_s)), float(np.median(handover_s)), load_s)


def measure_loading_s(bundle: Bundle) -> float:
    """Return how long a new process takes to load a codec level with compiled loops.

    The best of two: the first process on a machine compiles them.
    """
    level = next(iter(sorted(slow_levels(bundle.manifest))), None)
    if level is None:
        return 0.0
    command = [sys.executable, "-c", _LOAD, str(bundle.folder), *map(str, level)]
    spent_s = [subprocess.run(command, capture_output=True, check=True).stdout for _ in range(2)]
    return min(map(float, spent_s))


def _away_s(result: ResultLine) -> float:
    """Return how long a sample was away: on the network and at the server."""
    return sum(
        result.spans.get(name, 0.0) for name in ("network_s", "queue_s", "decode_s", "tail_s")
    )
