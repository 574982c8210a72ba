"""The path: what a sample that is sent takes beside computing and the link, measured live.

One live run over a link that does nothing, in which every sample is sent. Its results say where
each sample's time went; what is more than the profile's computing is the path's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from offramp.report.lines import ResultLine
from offramp.report.runs import Run
from partitioner.profile import Profile

__all__ = ["LivePath", "measure_path"]

_QUANTILES = 201
_AWAY = ("network_s", "queue_s", "decode_s", "tail_s")


@dataclass(frozen=True)
class LivePath:
    """What a scenario's ``rpc_s`` and ``handover_s`` are here.

    ``rpc_s`` are quantiles. What the server's computing took more than the profile says counts as
    well: between samples its caches grow cold, and other processes take turns with it.
    """

    rpc_s: tuple[float, ...]
    handover_s: float


def measure_path(runs: Sequence[Run], profile: Profile) -> LivePath:
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
    return LivePath(tuple(map(float, quantiles_s)), float(np.median(handover_s)))


def _away_s(result: ResultLine) -> float:
    """Return how long a sample was away: on the network and at the server."""
    return sum(
        result.spans.get(name, 0.0) for name in ("network_s", "queue_s", "decode_s", "tail_s")
    )
