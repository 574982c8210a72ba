"""Running a scenario under one strategy and seed, and what comes of it as plain values."""

from __future__ import annotations

from typing import Any

from offramp import __version__
from sim.world.build import Watch, World, build_world
from sim.world.library import Library
from sim.world.scenario import Scenario
from sim.world.server import VirtualServer
from sim.world.tally import total

__all__ = ["simulate"]


def simulate(
    scenario: Scenario,
    strategy: str,
    seed: int,
    library: Library | None = None,
    watch: Watch | None = None,
) -> dict[str, Any]:
    """Return the figures of a run; the same arguments give the same figures, bit for bit.

    They are plain values as JSON has them: ``total`` and ``groups`` (`Tally.summary`), ``servers``,
    ``timelines``, and the seconds that were ``simulated_s``. A ``library`` may be shared by runs.
    """
    world = build_world(scenario, strategy, seed, library or Library(), watch)
    world.run()
    return _figures(world, scenario, strategy, seed)


def _figures(world: World, scenario: Scenario, strategy: str, seed: int) -> dict[str, Any]:
    ended_s = max((device.ended_s for device in world.devices), default=0.0)
    for device in world.devices:
        group, _, _ = device.name.rpartition("/")
        world.tallies[group].counted_s += max(device.ended_s - scenario.warm_up_s, 0.0)
    return {
        "offramp": __version__,
        "scenario": scenario.name,
        "strategy": strategy,
        "seed": seed,
        "devices": len(world.devices),
        "simulated_s": ended_s,
        "total": total(list(world.tallies.values())).summary(),
        "groups": {name: tally.summary() for name, tally in world.tallies.items()},
        "servers": {
            name: _server(one, ended_s, scenario.warm_up_s) for name, one in world.servers.items()
        },
        "timelines": [timeline.to_json() for timeline in world.timelines],
    }


def _server(server: VirtualServer, ended_s: float, from_s: float) -> dict[str, Any]:
    """Return a server's totals; ``batch_sizes`` counts its steps by how many samples they took."""
    totals = server.totals
    counted_s = max(ended_s, totals.until_s) - from_s
    return {
        "accepted": totals.accepted,
        "refused": totals.refused,
        "expired": totals.expired,
        "answered": totals.answered,
        "busy_s": totals.busy_s,
        "busy_share": totals.busy_s / (server.workers * counted_s) if counted_s > 0 else 0.0,
        "queue_mean_s": totals.queue_s / totals.answered if totals.answered else None,
        "batch_sizes": {str(size): count for size, count in sorted((+totals.batches).items())},
    }
