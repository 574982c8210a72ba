"""The hedge of a run: how much the device computed on while answers were under way, and gained."""

from __future__ import annotations

from dataclasses import dataclass

from offramp.report.lines import ResultLine
from offramp.report.runs import Run

__all__ = ["Hedging", "summarise_hedging"]


@dataclass(frozen=True)
class Hedging:
    """What computing on came to in a run.

    ``first`` samples the device answered so before the server did. It took ``computed_s`` seconds:
    that is ``time_share`` of the run's time and ``work_share`` of all that the device computed, so
    of the energy that computing took, too: ``energy_j`` in joules, None if the board's power is not
    known. A step that an answer broke into is not counted.
    """

    first: int
    computed_s: float
    time_share: float
    work_share: float
    energy_j: float | None


def summarise_hedging(run: Run) -> Hedging | None:
    """Return what computing on came to; None if the device never did."""
    computed_s = sum(result.hedge_s for result in run.results)
    if computed_s == 0:
        return None
    compute_w = run.opening.compute_w
    return Hedging(
        first=sum(_was_first(result) for result in run.results),
        computed_s=computed_s,
        time_share=computed_s / max(run.end_s, computed_s),
        work_share=computed_s / max(sum(map(_work_s, run.results)), computed_s),
        energy_j=None if compute_w is None else computed_s * compute_w,
    )


def _was_first(result: ResultLine) -> bool:
    return result.hedge_s > 0 and result.by == "device" and result.status == "ok"


def _work_s(result: ResultLine) -> float:
    """Return how long the device computed; what the server answered says nothing of the hedge."""
    own_s = sum(result.spans.get(name, 0.0) for name in ("head_s", "encode_s", "fallback_s"))
    return own_s + result.hedge_s if result.by == "server" else own_s
