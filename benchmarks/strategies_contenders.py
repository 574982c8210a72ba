"""Contenders: every strategy, and the manners in which it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks.strategies_scores import (
    AIM_TAIL_S,
    ORACLE,
    OWN,
    PUBLISHED,
    TAIL_KEPT,
    TIGHT,
    UNEVEN,
    WAITING,
)
from benchmarks.strategies_tasks import Task
from partitioner import strategies

__all__ = [
    "DROP",
    "MANNERS",
    "TIGHT_SHARE",
    "WAIT_S",
    "Contender",
    "contenders",
    "tight_contenders",
    "uneven_contenders",
]

DROP = 0.01
"""Of the accuracy on the calibration samples: what every strategy may lose."""

WAIT_S = 30.0
"""How long a rival that waits does so: longer than a connection stays open in silence."""

TIGHT_SHARE = 0.8
"""A tight deadline, as a share of what the whole model takes on the device."""

_WAITING = ("neurosurgeon", "portend", "ans")
"""Who also runs without answering by itself; `dads`, `qdmp` and `edgent` do as `neurosurgeon` here.

The cuts of these networks are the same to all four, and no deadline of so long a wait binds.
"""

MANNERS: dict[str, Callable[[Task], dict[str, Any]]] = {
    "waits": lambda task: {"hedge": {"max_cpu_share": 0.0}},
    "hedges": lambda task: {},
    "keeps-p99": lambda task: {
        "objective": {"max_accuracy_drop": DROP, "limits": {"p99_s": task.device_s + AIM_TAIL_S}},
    },
    "blocks": lambda task: {"deadline_s": WAIT_S, "tuning": {"breaker_failures": 1000}},
    "tight": lambda task: {"deadline_s": TIGHT_SHARE * task.device_s},
    "uneven-waits": lambda task: {"hedge": {"max_cpu_share": 0.0}},
    "uneven-hedges": lambda task: {},
}
"""How strategies may run, by name: settings of the agent.

One that ``blocks`` waits for an answer like a plain call: it neither answers by itself in time nor
opens its breaker, unless the connection breaks. ``uneven`` ones have samples that come by chance.
"""


@dataclass(frozen=True)
class Contender:
    """A strategy in one of the `MANNERS`."""

    name: str
    strategy: str
    manner: str


def contenders() -> list[Contender]:
    """Return every registered strategy; those that may compute on, also without doing so.

    And those with a limit of what of the samples are the slowest, too; and rivals that wait.
    """
    found = []
    for name in strategies.STRATEGIES:
        found.append(Contender(name, name, _manner(name)))
        if _manner(name) == "hedges":
            found.append(Contender(name + TAIL_KEPT, name, "keeps-p99"))
            found.append(Contender(f"{name}, no hedge", name, "waits"))
    return found + [Contender(name + WAITING, name, "blocks") for name in _WAITING]


def _manner(name: str) -> str:
    return "hedges" if strategies.STRATEGIES[name]().hedges else "waits"


def tight_contenders() -> list[Contender]:
    """Return every strategy that a device could run, with a deadline that it cannot keep alone."""
    live = [name for name, one in strategies.STRATEGIES.items() if not one.clairvoyant]
    return [Contender(name + TIGHT, name, "tight") for name in live]


def uneven_contenders() -> list[Contender]:
    """Return Offramp's own strategy, the oracle and the published ones with uneven samples."""
    return [
        Contender(name + UNEVEN, name, f"uneven-{_manner(name)}")
        for name in (OWN, ORACLE, *PUBLISHED)
    ]
