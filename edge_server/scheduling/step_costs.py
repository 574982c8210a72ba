"""Step costs: what each step takes, where it leads, and what is left from there to the end.

All of it is learnt from the steps themselves, those that are measured when a bundle is loaded and
those that run: it hangs on the engine, the machine and its load.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field

from edge_server.scheduling.cost_curve import CostCurve, Parts

__all__ = ["Step", "StepCosts"]

_NEW = 0.1  # what a reading counts for among those before it
_NOTHING = Parts(0.0, 0.0)


@dataclass(frozen=True)
class Step:
    """That ``size`` samples at ``place`` took ``time_s`` as one batch.

    ``going`` of them have come to the place ``onward`` thereby; the others have ended there.
    """

    place: Hashable
    size: int
    time_s: float
    onward: Hashable
    going: int


@dataclass
class _Known:
    """What is known of a place: its step, what follows, and what else a sample costs there.

    Segments that run as one by now are another step than the first of them alone, ``curves`` has
    one for each place that was come to; ``onward`` is the last.
    """

    curve: CostCurve = field(default_factory=CostCurve)
    curves: dict[Hashable, CostCurve] = field(default_factory=dict)
    onward: Hashable = None
    going_share: float = 0.0
    to_end: Parts = _NOTHING
    beside_s: float | None = None


class StepCosts:
    """What is known of each place at which samples wait.

    Of two readings that threads take at the same moment one may be lost; none is wrong for long.
    """

    def __init__(self) -> None:
        self._known: dict[Hashable, _Known] = {}

    def observe(self, step: Step) -> None:
        """Take in a step."""
        known = self._at(step.place)
        if step.onward != known.onward:
            fresh = CostCurve(known.curve.fixed_share)
            known.curve = known.curves.setdefault(step.onward, fresh)
            known.onward, known.going_share = step.onward, step.going / step.size
        known.going_share = _blend(known.going_share, step.going / step.size)
        known.curve.observe(step.size, step.time_s)
        own, after = known.curve.parts, self._to_end(known.onward)
        # A launch behind an exit is due if any sample of the batch goes on: taken as always.
        fixed_s = own.fixed_s + (after.fixed_s if known.going_share else 0.0)
        known.to_end = Parts(fixed_s, own.each_s + known.going_share * after.each_s)

    def observe_beside(self, place: Hashable, time_s: float) -> None:
        """Note what a sample that began at a place cost beside its steps: decoding, encoding."""
        known = self._at(place)
        known.beside_s = time_s if known.beside_s is None else _blend(known.beside_s, time_s)

    def step(self, place: Hashable) -> Parts:
        """Return what the next step takes; nothing where none has been seen."""
        known = self._known.get(place)
        return known.curve.parts if known else _NOTHING

    def to_end(self, place: Hashable, *, begun: bool = True) -> Parts:
        """Return what the rest of the way takes, with what a sample costs that has not begun."""
        known = self._known.get(place)
        if known is None:
            return _NOTHING
        if begun or not known.beside_s:
            return known.to_end
        return Parts(known.to_end.fixed_s, known.to_end.each_s + known.beside_s)

    def onward(self, place: Hashable) -> Iterator[Hashable]:
        """Yield the places to which samples come from a place, the next one first."""
        while (known := self._known.get(place)) and known.going_share and known.onward is not None:
            place = known.onward
            yield place

    def most(self, place: Hashable, patience_s: float) -> int:
        """Return how many samples are worth running as one where others wait ``patience_s``.

        As `CostCurve.best_size`, but no more than go through the rest of the way in half of that:
        no step is interrupted. Nobody is so impatient that more than half of that time is the
        fixed cost, and so half of what the engine can do is lost.
        """
        known = self._known.get(place)
        if known is None:
            return 1
        room_s = max(patience_s / 2, 2 * known.to_end.fixed_s)
        return known.to_end.fitting(known.curve.best_size(), room_s)

    def keep(self, wanted: Callable[[Hashable], bool]) -> None:
        """Forget all places but those that are wanted."""
        known = list(self._known.items())  # at once: workers add to it meanwhile
        self._known = {place: one for place, one in known if wanted(place)}

    def knows(self, place: Hashable) -> bool:
        """Tell whether a step at a place has been seen."""
        return place in self._known

    def _at(self, place: Hashable) -> _Known:
        known = self._known.get(place)
        if known is None:
            known = self._known[place] = _Known()
        return known

    def _to_end(self, place: Hashable) -> Parts:
        known = self._known.get(place)
        return known.to_end if known else _NOTHING


def _blend(before: float, reading: float) -> float:
    return before + _NEW * (reading - before)
