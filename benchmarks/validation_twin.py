"""The twin: a scenario simulated, request by request."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from benchmarks.validation_cases import Case
from benchmarks.validation_path import LivePath
from device.work import Finish
from sim.world.library import Library
from sim.world.processor import Held
from sim.world.run import simulate

__all__ = ["Simulated", "simulate_case"]


@dataclass(frozen=True)
class Simulated:
    """A simulated request: its sample, and who answered it after how long; by "" if nobody."""

    sample: int
    latency_s: float
    by: str


def simulate_case(
    case: Case, seed: int, library: Library, path: LivePath | None = None
) -> dict[str, list[Simulated]]:
    """Return the requests of each device, in the order in which they came.

    They are of the same samples whatever the ``path`` is.
    """
    scenario = case.scenario
    if path is not None:
        scenario = scenario.model_copy(update=asdict(path))
    found: dict[str, dict[int, Simulated]] = {}

    def watch(device: str, now_s: float, finish: Finish, held: Held) -> None:
        latency_s = now_s - finish.work.arrived_s
        requests = found.setdefault(device, {})
        requests[finish.work.id] = Simulated(held.sample, latency_s, finish.by)

    simulate(scenario, case.strategy, seed, library, watch)
    return {device: [each[at] for at in sorted(each)] for device, each in found.items()}
