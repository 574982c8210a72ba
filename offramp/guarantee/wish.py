"""Wishes: what calibration is to bring about, and where plans can keep to it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from offramp.bundle import Manifest
from offramp.bundle.allowed import Limits
from offramp.errors import ConfigError
from offramp.guarantee.budget import Budget, deepest_within
from offramp.guarantee.certificate import Promise
from offramp.guarantee.device_costs import DeviceCosts, Place, held_bytes

__all__ = ["Room", "Wish", "find_room"]


@dataclass(frozen=True)
class Wish:
    """What is to be promised, by which exit policy, within which limits; a seed parts the samples.

    A policy that is ``taught`` learns from other samples than those that calibrate. Limits of time
    need the ``device`` costs in seconds. Raises `ConfigError` without these, or if there is
    neither a promise nor a limit.
    """

    promise: Promise | None
    policy: str
    seed: int = 0
    limits: Limits | None = None
    device: DeviceCosts | None = None
    taught: bool = False

    def __post_init__(self) -> None:
        if self.promise is None and self.limits is None:
            raise ConfigError("nothing is asked for; give a largest drop in accuracy or a limit")
        timed = self.limits and (self.limits.mean_s or self.limits.peak_s)
        if timed and (self.device is None or self.device.unit != "s"):
            raise ConfigError("limits of time need the device's profile; give one with --profile")

    def budget(self, place: Place) -> Budget:
        """Return what the limits leave to the thresholds of a place."""
        limits = self.limits or Limits()
        mean_cost = math.inf if limits.mean_s is None else limits.mean_s
        most = limits.sent_share if place[1] is not None else None
        return Budget(mean_cost, 1.0 if most is None else most)


@dataclass(frozen=True)
class Room:
    """Where plans fit: ``places`` that send, and ``alone``, the deepest that sends nothing.

    ``alone`` ends at an exit if the whole model does not fit. ``reach`` is the deepest boundary
    whose segments fit into memory; None without such a limit.
    """

    places: frozenset[Place]
    alone: Place
    reach: int | None


def find_room(manifest: Manifest, wish: Wish) -> Room:
    """Return where plans keep to the limits of peak time and memory.

    A device must be able to answer by itself, so segments are loaded up to an exit, or all. Raises
    `PlanError` if not even the first exit fits.
    """
    limits, device = wish.limits or Limits(), wish.device
    ends = sorted({*(spec.boundary for spec in manifest.exits), max(manifest.cuts)})
    deepest, reach = len(ends) - 1, None
    if limits.memory_bytes is not None:
        held = [held_bytes(manifest, end) for end in ends]
        deepest = deepest_within(held, limits.memory_bytes, lambda b: f"{b / 1e6:.4g} MB")
        reach = ends[deepest]
    peak_s = math.inf
    if limits.peak_s is not None and device is not None:
        peak_s = limits.peak_s
        times = [float(device.at(manifest, (end, None))[-1]) for end in ends]
        deepest = min(deepest, deepest_within(times, peak_s, lambda s: f"{s * 1e3:.4g} ms"))
    # Where no exit comes before the cut, all samples are sent.
    all_sent = limits.sent_share in (None, 1.0)
    places = {
        (cut, level)
        for cut in range(ends[-1] if reach is None else min(reach + 1, ends[-1]))
        for level in manifest.boundaries[cut].levels
        if (device is None or device.at(manifest, (cut, level))[-1] <= peak_s)
        and (all_sent or manifest.exits_before(cut))
    }
    return Room(frozenset(places), (ends[deepest], None), reach)
