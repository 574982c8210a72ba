"""Reasons: why a plan was chosen, in words and numbers."""

from __future__ import annotations

from collections.abc import Sequence

from partitioner.conditions import Conditions
from partitioner.measures import get_measure
from partitioner.objective import Objective
from partitioner.plan import Plan, Prediction

__all__ = ["say_amount", "say_why"]


def say_why(
    chosen: Prediction,
    objective: Objective,
    conditions: Conditions,
    others: Sequence[Plan],
    missed_floor: float | None,
) -> str:
    """Return why a plan is the best now, and what comes next.

    ``missed_floor`` is the accuracy floor if no plan meets the objective.
    """
    link = (
        f"{conditions.bandwidth_bps / 1e6:.3g} Mbit/s and {conditions.rtt_s * 1e3:.3g} ms"
        if conditions.reachable
        else "no reachable server"
    )
    name = objective.minimise
    text = f"with {link}, {name} {say_amount(name, chosen.target)} is the least"
    if missed_floor is not None:
        kept = " and ".join(_limits(objective, missed_floor))
        late = f", {chosen.miss_share:.1%} late" if objective.deadline_s else ""
        text += (
            f"; no plan keeps {kept}, so this is the nearest (accuracy {chosen.accuracy:.4g}{late})"
        )
    for other in others:
        if other.prediction:
            text += f"; next: {other.describe()} at {say_amount(name, other.prediction.target)}"
    return text


def say_amount(name: str, amount: float) -> str:
    """Return an amount of a measure with its unit."""
    unit = get_measure(name).unit
    if unit == "s":
        return f"{amount * 1e3:.3g} ms"
    if unit == "bytes" and amount >= 1000:
        return f"{amount:,.0f} bytes"
    if unit == "j":
        return f"{amount:.4g} J"
    return f"{amount:.1%}" if unit == "share" else f"{amount:.4g} {unit}"


def _limits(objective: Objective, floor: float) -> list[str]:
    """Return everything that the objective asks for besides its target."""
    limits = [f"accuracy {floor:.4g}"]
    if objective.deadline_s is not None:
        limits.append(f"{say_amount('late', objective.max_miss_share)} late at most")
    given = objective.limits.given().items()
    return limits + [f"{name} {say_amount(name, most)}" for name, most in given]
