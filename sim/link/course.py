"""How the settings of a link's conditions run over its phases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from sim.phases import ALWAYS, Phases
from sim.rates.switched import Window

__all__ = ["Course", "steady"]

S = TypeVar("S")


@dataclass(frozen=True)
class Course(Generic[S]):
    """The settings of one condition in every phase, and the phases' outages.

    `settings` holds None where a phase does without the condition. `outages` holds, for each
    phase, the sorted windows counted from its begin in which the direction is out.
    """

    phases: Phases
    settings: tuple[S | None, ...]
    outages: tuple[tuple[Window, ...], ...]

    @property
    def only(self) -> S | None:
        """The settings that always hold; None if there are several, or none."""
        return self.settings[0] if len(self.settings) == 1 else None

    def at(self, now_s: float) -> S | None:
        """The settings that hold at `now_s`."""
        if len(self.settings) == 1:  # as with most links, whose messages ask for it one by one
            return self.settings[0]
        return self.settings[self.phases.at(now_s).index]


def steady(settings: S) -> Course[S]:
    """The course of settings that never change, on a link without outages."""
    return Course(ALWAYS, (settings,), ((),))
