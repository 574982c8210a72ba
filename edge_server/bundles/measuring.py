"""Measuring: what each step of a network takes here, before the first sample comes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edge_server.passage import Place
from edge_server.scheduling.cost_curve import SIZES
from edge_server.scheduling.step_costs import Step, StepCosts
from offramp.network import Network
from offramp.tensors import Array

__all__ = ["LIMIT_S", "measure_steps"]

LIMIT_S = 2.0
"""How long a bundle is measured; larger batches are left out if they would take longer."""

_RUNS = 2  # of which the faster one counts: the first one with a size is slower
_GROWTH = 2.5  # how much longer the next size takes, at most, as a rule


def measure_steps(network: Network, costs: StepCosts, clock: Callable[[], float]) -> None:
    """Run every segment of a network on zeros, in batches of `SIZES`, and tell what they took."""
    began_s = clock()
    for size in SIZES:
        round_s = clock()
        steps = [_step(network, at, size, clock) for at in reversed(range(network.depth))]
        for step in steps:  # the last segment first: what is left behind a step is known then
            costs.observe(step)
        now_s = clock()
        if now_s - began_s + _GROWTH * (now_s - round_s) > LIMIT_S:
            return


def _step(network: Network, at: int, size: int, clock: Callable[[], float]) -> Step:
    """Return what a segment takes over so many samples."""
    manifest = network.bundle.manifest
    tensors: list[Array] = [
        np.zeros((size, *spec.shape), spec.dtype) for spec in manifest.boundaries[at].tensors
    ]
    times_s = []
    for _ in range(_RUNS):
        began_s = clock()
        network.step(at, at + 1, tensors)
        times_s.append(clock() - began_s)
    here, onward = (Place(network.bundle.digest, place, narrow=False) for place in (at, at + 1))
    return Step(here, size, min(times_s), onward, size * (at + 1 < network.depth))
