"""Reasons: why a plan was chosen, in words and numbers.

A sentence claims only what the comparison with all other plans that could have been chosen bears
out: strategies whose rule is not the objective's are told by their rule.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Protocol

from offramp.quantities import figure, say_bandwidth, say_time
from partitioner.comparison import Compared, Comparison, Tie, asked_of
from partitioner.conditions import Conditions
from partitioner.measures import say_amount
from partitioner.objective import Objective
from partitioner.plan import Plan
from partitioner.planner import Planner

__all__ = ["Chooser", "explain"]

_EXACT = 1e-9
_NOTICED, _NOTICED_S = 0.1, 0.0005  # what differs by less from an idle machine is not told


class Chooser(Protocol):
    """What chose a plan: a strategy (`partitioner.strategies`), by its rule."""

    name: ClassVar[str]
    rule: ClassVar[str]
    steady: ClassVar[bool]

    def among(self, planner: Planner) -> Planner:
        """Return a planner for the plans that it chooses from."""


def explain(
    planner: Planner,
    plan: Plan,
    objective: Objective,
    conditions: Conditions,
    by: Chooser | None = None,
) -> Plan:
    """Return a plan with what it would do now and why it was chosen, ``by`` a strategy if any.

    Without one it is the planner's own choice.
    """
    among = planner if by is None else by.among(planner)
    prediction = among.predict(plan, objective, conditions)
    plan = replace(plan, prediction=prediction)
    rule = f"{by.name} takes {by.rule}" if by else "it was asked for"
    if prediction is None:
        return replace(plan, reason=rule)
    if plan.level is not None and not conditions.reachable:
        return replace(plan, reason=f"{rule}, and no server answers")
    comparison = Comparison(among, objective, conditions)
    it = comparison.of(plan)
    assert it is not None
    said = f"with {_situation(conditions)}, {_amount(objective.minimise, it)}"
    whose = f" of {by.name}" if by and among is not planner else ""
    if by is not None and not by.steady:
        text = f"{rule}: {said}{_broken(it)}"
    elif by is not None and len(among.candidates) == 1:
        text = f"{said}; {by.name} has no other plan{_broken(it)}"
    elif (tie := comparison.tie(plan)) is not None:
        text = f"{said} {_least(tie, whose)}{_next(it, comparison, objective)}"
    elif not it.meets and comparison.is_first(plan):
        asked = " and ".join(_asked(objective, conditions, among.accuracy_floor(objective)))
        text = f"{said}; no plan{whose} keeps {asked}, so this is the nearest{_broken(it)}"
    else:
        text = f"{rule}: {said}{_broken(it)}"
    return replace(plan, reason=text)


def _situation(now: Conditions) -> str:
    """Return the link, and what of the rest is not as if all were idle."""
    parts = ["no reachable server"]
    if now.reachable:
        parts = [f"{say_bandwidth(now.bandwidth_bps)} and {say_time(now.rtt_s)}"]
        if now.queue_s >= _NOTICED_S:
            parts.append(f"{say_time(now.queue_s)} of wait for the server")
        if abs(now.server_stretch - 1) >= _NOTICED:
            parts.append(f"a server that takes {figure(now.server_stretch)} times as long")
        if now.price_s >= _NOTICED_S:
            parts.append(f"a price of {say_time(now.price_s)}")
    if abs(now.device_stretch - 1) >= _NOTICED:
        parts.append(f"a device that takes {figure(now.device_stretch)} times as long")
    if now.rate_hz:
        uneven = " unevenly" if now.unevenness >= _NOTICED else ""
        parts.append(f"{figure(now.rate_hz)} samples a second{uneven}")
    return ", ".join(parts)


def _amount(name: str, it: Compared) -> str:
    """Return what is minimised, and what it is with all that counts, where that shows."""
    target, cost = say_amount(name, it.target), say_amount(name, it.cost)
    return f"{name} {target}" + _besides(target, cost)


def _besides(target: str, cost: str) -> str:
    return "" if target == cost else f" ({cost} with what sending costs besides)"


def _least(tie: Tie, whose: str) -> str:
    """Say that no other plan has less, and if some have as much, what tells them apart."""
    if not tie.others:
        return f"is the least{whose and f' of all{whose}'}"
    plans = "another plan" if tie.others == 1 else f"{tie.others} other plans"
    apart = "; nothing else tells them apart"
    if tie.leads:
        mean, cost = say_time(tie.mean_s), say_time(tie.cost_s)
        apart = f"; of these it has the least mean latency, {mean}{_besides(mean, cost)}"
    return f"ties with {plans}{whose} for the least{apart}"


def _next(it: Compared, comparison: Comparison, objective: Objective) -> str:
    """Say what is the best at another cut, if that meets the objective.

    That it is the lesser one is said if three digits do not show it.
    """
    name = objective.minimise
    for other in comparison.others(it.plan, count=1):
        if other.meets:
            text = f"; the best at another cut: {other.plan.describe()} at "
            text += _amount(name, other).removeprefix(f"{name} ")
            alike = say_amount(name, other.cost) == say_amount(name, it.cost)
            return f"{text}, hardly more" if alike and other.cost - it.cost > _EXACT else text
    return ""


def _broken(it: Compared) -> str:
    return "".join(f"; {breach.describe()}" for breach in it.breaches)


def _asked(objective: Objective, conditions: Conditions, floor: float) -> list[str]:
    """Return everything that is asked for besides the target."""
    most = asked_of(objective, conditions).items()
    return [f"accuracy {floor:.4g}", *(f"{name} {say_amount(name, value)}" for name, value in most)]
