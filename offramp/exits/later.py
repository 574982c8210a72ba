"""Later exits: where a sample that was sent is answered before the end, on the server.

A sample leaves at the first exit behind its cut of which the margin, the lead of the likeliest
class over the second in probabilities at the exit's temperature, reaches the exit's threshold.
Nothing else counts: no exit before the cut, and no other exit behind it. So what a tail answers is
a function of what crossed the cut, as it is without them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offramp.bundle import ExitSpec, Manifest
from offramp.exits.evidence import as_logits
from offramp.exits.temperature import softmax
from offramp.exits.uncertainty import margin
from offramp.tensors import Array

__all__ = ["LaterAnswers", "exits_to_run", "margin_of", "open_exits", "tail_macs", "tail_stops"]


def margin_of(spec: ExitSpec, logits: Array) -> NDArray[np.float64]:
    """Return by how much the likeliest class of an exit leads, (N,); NaN where logits are."""
    return margin(softmax(as_logits(logits, spec.temperature)))


def exits_to_run(manifest: Manifest, open_exits: Iterable[int]) -> tuple[int, ...]:
    """Return the exits that have to run so that some can answer, from shallow to deep."""
    wanted = tuple(open_exits)
    return tuple(sorted({*wanted, *(one for at in wanted for one in manifest.leading_to(at))}))


def open_exits(manifest: Manifest, cuts: Iterable[int]) -> tuple[int, ...]:
    """Return the exits at which samples from some cuts may leave on the server, at any level."""
    levels = [(cut, level) for cut in cuts for level in manifest.boundaries[cut].later or ()]
    return tuple(sorted({at for place in levels for at in manifest.later_at(*place)}))


def tail_stops(manifest: Manifest, cut: int) -> tuple[int, ...]:
    """Return the boundaries between which all samples of a tail go on: exits, cut and end."""
    running = exits_to_run(manifest, open_exits(manifest, (cut,)))
    between = {manifest.exits[at].boundary for at in running}
    return tuple(sorted({cut, *between, len(manifest.segments)}))


def tail_macs(manifest: Manifest, cut: int, open_exits: Iterable[int]) -> dict[int, int]:
    """Return the multiply-adds behind a cut of a sample that leaves at each exit there.

    That of one that goes to the end stands at the number of exits. Exit heads on the way count.
    """
    running, number = exits_to_run(manifest, open_exits), len(manifest.exits)
    stops = {at: manifest.exits[at].boundary for at in range(manifest.exits_before(cut), number)}
    stops[number] = len(manifest.segments)
    return {
        at: sum(segment.macs for segment in manifest.segments[cut:stop])
        + sum(manifest.exits[head].macs for head in running if head <= at)
        for at, stop in stops.items()
    }


@dataclass(frozen=True)
class LaterAnswers:
    """What the exits behind a cut say of N samples that crossed it, and what the end says.

    ``exits`` are their numbers; ``margins`` and ``classes`` (M, N) are theirs, ``end`` (N,) the
    end's classes.
    """

    exits: tuple[int, ...]
    margins: NDArray[np.float64]
    classes: Array
    end: Array

    def leaves(self, thresholds: Mapping[int, float]) -> NDArray[np.int64]:
        """Return the row of the exit at which each sample leaves, M where it goes to the end.

        An exit of which no threshold is given is closed.
        """
        if not self.exits:
            return np.zeros(len(self.end), np.int64)
        limits = np.array([thresholds.get(at, np.inf) for at in self.exits])
        sure = self.margins >= limits[:, None]
        return np.where(sure.any(axis=0), sure.argmax(axis=0), len(self.exits))

    def answers(self, leaves: NDArray[np.int64], end: Array) -> Array:
        """Return the classes that samples get which leave there, and at ``end`` (N,) otherwise."""
        return np.vstack([self.classes, end])[leaves, np.arange(len(end))]

    @staticmethod
    def none(end: Array) -> LaterAnswers:
        """Return what is said where no exit is behind the cut."""
        nothing = np.zeros((0, len(end)))
        return LaterAnswers((), nothing, nothing.astype(end.dtype), end)
