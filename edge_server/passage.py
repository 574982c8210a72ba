"""Passages: samples on their way through a network, step by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from offramp.exits.later import margin_of
from offramp.network import Codes, Network
from offramp.tensors import Array

__all__ = ["Passage", "Place", "advance"]


class Place(NamedTuple):
    """What comes next for a sample: the segment ``at`` of a bundle's network.

    Before it comes the bottleneck's decoder if its tensors are ``narrow``.
    """

    digest: str
    at: int
    narrow: bool


@dataclass(eq=False)
class Passage:
    """A sample whose ``tensors``, with a batch of 1, have reached a boundary of a network.

    ``later`` has the thresholds of the exits behind the cut at which it may leave, by number, and
    ``running`` the numbers of those that have to run for that. ``exit`` is the one at which it has
    left, whose logits the tensors are then; ``codes`` are what exits behind the cut handed on.
    ``segment_s`` holds what each step behind the cut took, of all samples that took it together;
    those that are fused are one. ``kept`` tells whether a later sample may refer to this one.
    """

    network: Network
    at: int
    tensors: list[Array]
    narrow: bool
    decode_s: float
    kept: bool = False
    later: Mapping[int, float] = field(default_factory=dict)
    running: tuple[int, ...] = ()
    exit: int | None = None
    codes: Codes = field(default_factory=dict)
    segment_s: list[float] = field(default_factory=list)

    @property
    def place(self) -> Place:
        """What comes next."""
        return Place(self.network.bundle.digest, self.at, self.narrow)

    @property
    def ended(self) -> bool:
        """Whether the tensors are the model's outputs, or stand for them."""
        return self.exit is not None or self.at == self.network.depth

    @property
    def to_come(self) -> list[int]:
        """The exits behind where it is that have to run for it."""
        exits = self.network.bundle.manifest.exits
        return [number for number in self.running if exits[number].boundary > self.at]


def advance(passages: Sequence[Passage]) -> None:
    """Take samples at one place one step on, as one batch; those that are sure enough leave."""
    first = passages[0]
    network, at = first.network, first.at
    tensors = _stack([one.tensors for one in passages])
    if first.narrow:
        _move(passages, at, network.widen(at, tensors))
        return
    exits = network.bundle.manifest.exits
    to_come = [one.to_come for one in passages]
    stops = [exits[number].boundary for numbers in to_come for number in numbers[:1]]
    at, tensors = network.step(at, min(stops, default=network.depth), tensors)
    asking = _Asking(network, passages, tensors)
    for number in sorted({n for numbers in to_come for n in numbers if exits[n].boundary == at}):
        asking.ask(number, [row for row, numbers in enumerate(to_come) if number in numbers])
    _move(passages, at, tensors)
    asking.let_go()


class _Asking:
    """Asks the exits at a boundary about samples that have come to it, one exit after the other."""

    def __init__(
        self, network: Network, passages: Sequence[Passage], tensors: Sequence[Array]
    ) -> None:
        self._network, self._passages, self._tensors = network, passages, tensors
        self._codes = [dict(one.codes) for one in passages]
        self._left: dict[int, tuple[int, Array]] = {}

    def ask(self, number: int, rows: Sequence[int]) -> None:
        """Run an exit on those of some samples that have not left; the sure ones leave."""
        rows = [row for row in rows if row not in self._left]
        if not rows:
            return
        manifest = self._network.bundle.manifest
        reads, makes = manifest.exit_reads(number)[1:], manifest.exit_makes(number)[1:]
        known = _stack([[self._codes[row][name] for name in reads] for row in rows])
        codes = dict(zip(reads, known, strict=True))
        alone = len(rows) < len(self._passages)
        given = [array[rows] for array in self._tensors] if alone else self._tensors
        logits = self._network.exit_logits(number, given, codes)
        margins = margin_of(manifest.exits[number], logits)
        for place, row in enumerate(rows):
            self._codes[row] |= {name: codes[name][place : place + 1] for name in makes}
            threshold = self._passages[row].later.get(number)
            if threshold is not None and margins[place] >= threshold:
                self._left[row] = number, logits[place : place + 1]

    def let_go(self) -> None:
        """Let those leave that are sure enough."""
        for row, passage in enumerate(self._passages):
            passage.codes = self._codes[row]
            if row in self._left:
                passage.exit, logits = self._left[row]
                passage.tensors = [logits]


def _stack(each: Sequence[list[Array]]) -> list[Array]:
    """Return the tensors of several samples as one batch."""
    if len(each) == 1:
        return each[0]
    return [np.concatenate(part) for part in zip(*each, strict=True)]


def _move(passages: Sequence[Passage], at: int, tensors: Sequence[Array]) -> None:
    for row, passage in enumerate(passages):
        passage.at, passage.narrow = at, False
        passage.tensors = [array[row : row + 1] for array in tensors]
