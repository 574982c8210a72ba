"""Situations: what a plan is chosen for."""

from __future__ import annotations

from dataclasses import dataclass

from partitioner.conditions import Conditions
from partitioner.objective import Objective

__all__ = ["Situation"]


@dataclass(frozen=True)
class Situation:
    """What a plan is chosen for: the objective and the conditions."""

    objective: Objective
    conditions: Conditions
