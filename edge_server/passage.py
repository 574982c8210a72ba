"""Passages: samples on their way through a network, step by step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from offramp.network import Network
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

    ``segment_s`` holds what each step behind the cut took, of all samples that took it together;
    those that are fused are one. ``kept`` tells whether a later sample may refer to this one.
    """

    network: Network
    at: int
    tensors: list[Array]
    narrow: bool
    decode_s: float
    kept: bool = False
    segment_s: list[float] = field(default_factory=list)

    @property
    def place(self) -> Place:
        """What comes next."""
        return Place(self.network.bundle.digest, self.at, self.narrow)

    @property
    def ended(self) -> bool:
        """Whether the tensors are the model's outputs."""
        return self.at == self.network.depth


def advance(passages: Sequence[Passage]) -> None:
    """Take samples at one place one step on, as one batch."""
    first = passages[0]
    network, parts = first.network, zip(*(one.tensors for one in passages), strict=True)
    tensors = first.tensors
    if len(passages) > 1:
        tensors = [np.concatenate(part) for part in parts]
    if first.narrow:
        at, found = first.at, network.widen(first.at, tensors)
    else:
        at, found = network.step(first.at, network.depth, tensors)
    for row, passage in enumerate(passages):
        passage.at, passage.narrow = at, False
        passage.tensors = [array[row : row + 1] for array in found]
