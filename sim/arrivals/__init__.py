"""The arrival processes, by the name that a scenario gives them."""

from __future__ import annotations

from typing import Annotated

from pydantic import SerializeAsAny

from sim.arrivals.arrival import Arrivals, ArrivalSettings
from sim.arrivals.bursty import Bursty
from sim.arrivals.periodic import Periodic
from sim.arrivals.poisson import Poisson
from sim.arrivals.recorded import Recorded
from sim.kinds import of_kind

__all__ = ["ARRIVALS", "AnyArrivalSettings", "ArrivalSettings", "Arrivals", "build_arrivals"]

ARRIVALS: dict[str, type[Arrivals]] = {
    "bursty": Bursty,
    "periodic": Periodic,
    "poisson": Poisson,
    "recorded": Recorded,
}

AnyArrivalSettings = Annotated[
    SerializeAsAny[ArrivalSettings],
    of_kind(ArrivalSettings, {kind: member.Settings for kind, member in ARRIVALS.items()}),
]
"""The type of a settings field that holds arrivals of any kind."""


def build_arrivals(settings: ArrivalSettings) -> Arrivals:
    """The process that the settings describe; reads its recording if it has one."""
    return ARRIVALS[settings.kind](settings)
