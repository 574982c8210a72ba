"""Parts: what a virtual device is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from device.controller import Controller
from device.settings import AgentSettings
from device.work import Finish
from sim.world.course import LoadCourse
from sim.world.processor import Held, Processor
from sim.world.readiness import Readiness
from sim.world.tally import Tally

__all__ = ["Parts"]


@dataclass(frozen=True, slots=True)
class Parts:
    """What a device is made of; devices of one group share the processor, load and tally.

    ``handover_s`` passes between a sample's turn and its head: threads hand it over. Without
    ``readiness`` it can send by every codec level at once.
    """

    name: str
    settings: AgentSettings
    controller: Controller
    processor: Processor
    load: LoadCourse
    tally: Tally
    watch: Callable[[float, Finish, Held], None] | None = None
    handover_s: float = 0.0
    readiness: Readiness | None = None
