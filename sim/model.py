"""The pure model of a link: its two directions, built from a description."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from offramp.errors import ConfigError
from sim.description import LinkSettings
from sim.link import CONDITIONS, Chain, ConditionSettings, Course
from sim.link.outage import Outage, OutageSettings
from sim.phases import ALWAYS, Phases
from sim.rates.switched import Window

__all__ = ["Link", "build_link"]

_Slot = tuple[str, int]
"""A condition's place in a direction: its kind, and how many of that kind stand before it."""


@dataclass(frozen=True)
class Link:
    """Both directions of a link, each a chain that all connections share, and its phases."""

    up: Chain
    down: Chain
    phases: Phases
    names: tuple[str, ...]
    buffer_bytes: int

    @property
    def outages(self) -> list[Outage]:
        """The outages of both directions."""
        both = (*self.up.conditions, *self.down.conditions)
        return [condition for condition in both if isinstance(condition, Outage)]


def build_link(settings: LinkSettings) -> Link:
    """The link that the settings describe; what is random in it follows from their seed."""
    if settings.up is not None:
        phases, ups = ALWAYS, [settings.up]
        downs = [settings.up if settings.down is None else settings.down]
    else:
        phases = Phases([phase.seconds or inf for phase in settings.phases], settings.repeat)
        ups = [phase.up for phase in settings.phases]
        downs = [phase.up if phase.down is None else phase.down for phase in settings.phases]
    return Link(
        _chain(phases, ups, f"{settings.seed}/up"),
        _chain(phases, downs, f"{settings.seed}/down"),
        phases,
        tuple(phase.name for phase in settings.phases),
        settings.buffer_bytes,
    )


def _chain(phases: Phases, chains: Sequence[Sequence[ConditionSettings]], seed: str) -> Chain:
    slotted = [_slotted(chain) for chain in chains]
    outages = tuple(
        _outages(chain, seconds) for chain, seconds in zip(chains, phases.seconds, strict=True)
    )
    return Chain(
        [
            CONDITIONS[slot[0]](
                Course(phases, tuple(chain.get(slot) for chain in slotted), outages),
                f"{seed}/{slot[0]}/{slot[1]}",
            )
            for slot in _order(slotted)
        ]
    )


def _slotted(chain: Sequence[ConditionSettings]) -> dict[_Slot, ConditionSettings]:
    seen: Counter[str] = Counter()
    slotted = {}
    for settings in chain:
        slotted[settings.kind, seen[settings.kind]] = settings
        seen[settings.kind] += 1
    return slotted


def _order(chains: Sequence[dict[_Slot, ConditionSettings]]) -> list[_Slot]:
    """The one order of conditions that every phase keeps, with the outages at the end."""
    slots = dict.fromkeys(slot for chain in chains for slot in chain)
    order = sorted(slots, key=lambda slot: slot[0] == "outage")
    for chain in chains:
        if [slot for slot in order if slot in chain] != list(chain):
            kinds = ", ".join(kind for kind, _ in chain)
            wanted = ", ".join(kind for kind, _ in order)
            raise ConfigError(
                f"the conditions {kinds} stand in another order than {wanted}: "
                "keep one order in all phases, outages last"
            )
    return order


def _outages(chain: Sequence[ConditionSettings], phase_s: float) -> tuple[Window, ...]:
    """When the direction is out in one phase: the union of its outages, sorted."""
    windows: list[Window] = []
    for settings in chain:
        if isinstance(settings, OutageSettings):
            try:
                windows.extend(settings.windows_in(phase_s))
            except ValueError as error:
                raise ConfigError(f"an outage does not fit its phase: {error}") from error
    merged: list[Window] = []
    for start_s, end_s in sorted(windows):
        if merged and start_s <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end_s, merged[-1][1]))
        else:
            merged.append((start_s, end_s))
    return tuple(merged)
