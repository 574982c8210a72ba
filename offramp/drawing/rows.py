"""Rows: at which height each block stands, and which values pass it there on their way down.

The first row holds the model's inputs. Then each segment has as many rows as its longest path, and
a row of its own for the cut before it and, at the very end, the one behind the last.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import accumulate

from offramp.drawing.blocks import Block

__all__ = ["Place", "Rows", "arrange_rows"]

MAX_PLACES = 40_000
"""The most places that are drawn; more are neither laid out in reasonable time nor readable."""


@dataclass(frozen=True)
class Place:
    """A block, or its value on its way down through a row; ``above`` are the places it hangs on."""

    block: int
    row: int
    above: tuple[int, ...] = ()
    passes: bool = False


@dataclass(frozen=True)
class Rows:
    """All places from top to bottom, and the rows of the cuts, 0 to K."""

    places: tuple[Place, ...]
    cut_rows: tuple[int, ...]

    def by_row(self) -> list[list[int]]:
        """Return the numbers of each row's places."""
        numbers: list[list[int]] = [[] for _ in range(self.cut_rows[-1] + 1)]
        for number, place in enumerate(self.places):
            numbers[place.row].append(number)
        return numbers


def arrange_rows(blocks: Sequence[Block], segments: int, outputs: Collection[str]) -> Rows | None:
    """Give each block a row, and each value that goes on a place in every row that it passes.

    A value is drawn once however many read it. ``outputs``, and what nobody reads, go on to the
    last cut. Returns None if that takes more than `MAX_PLACES`.
    """
    rows, cut_rows = _rows_of(blocks, segments)
    last = list(rows)  # the row down to which each block's value goes
    read_by_none = set(range(len(blocks))).difference(*(block.inputs for block in blocks))
    for at, block in enumerate(blocks):
        for read in block.inputs:
            last[read] = max(last[read], rows[at] - 1)
        if block.value.name in outputs or at in read_by_none:
            last[at] = cut_rows[-1]
    if sum(end - row + 1 for row, end in zip(rows, last, strict=True)) > MAX_PLACES:
        return None
    grouped: list[list[int]] = [[] for _ in range(cut_rows[-1] + 1)]
    for at, (row, end) in enumerate(zip(rows, last, strict=True)):
        for passed in range(row, end + 1):
            grouped[passed].append(at)
    places: list[Place] = []
    found: dict[tuple[int, int], int] = {}  # a block and a row in which its value has a place
    for row, here in enumerate(grouped):
        for at in here:
            found[at, row] = len(places)
            above = [at] if rows[at] < row else blocks[at].inputs
            hangs_on = tuple(found[read, row - 1] for read in above)
            places.append(Place(at, row, hangs_on, passes=rows[at] < row))
    return Rows(tuple(places), cut_rows)


def _rows_of(blocks: Sequence[Block], segments: int) -> tuple[list[int], tuple[int, ...]]:
    """Return each block's row, as high as it can stand in its segment, and the rows of the cuts."""
    depths: list[int] = []
    deepest = [0] * segments
    for block in blocks:
        inside = [
            depths[read] + 1 for read in block.inputs if blocks[read].segment == block.segment
        ]
        depths.append(max(inside, default=0))
        if block.segment >= 0:
            deepest[block.segment] = max(deepest[block.segment], depths[-1])
    cut_rows = tuple(accumulate((depth + 2 for depth in deepest), initial=1))
    rows = [
        0 if block.segment < 0 else cut_rows[block.segment] + 1 + depth
        for block, depth in zip(blocks, depths, strict=True)
    ]
    return _lowered(blocks, rows), cut_rows


def _lowered(blocks: Sequence[Block], rows: list[int]) -> list[int]:
    """Move blocks that read nothing down to just above their first reader in their segment."""
    below: dict[int, int] = {}
    for at, block in enumerate(blocks):
        for read in block.inputs:
            if blocks[read].segment == block.segment:
                below[read] = min(below.get(read, rows[at]), rows[at])
    return [
        below[at] - 1 if at in below and not block.inputs and block.segment >= 0 else rows[at]
        for at, block in enumerate(blocks)
    ]
