"""The sheet: where on the paper everything stands, in pixels."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from offramp.bundle import Manifest
from offramp.drawing.blocks import Block
from offramp.drawing.columns import arrange_columns
from offramp.drawing.labels import block_facts, block_label
from offramp.drawing.rows import Place, Rows

__all__ = ["BOX", "EXIT", "LEFT", "LINE", "LISTED", "Sheet"]

BOX = 36.0
"""The height of a box."""
LEFT = 150.0
"""The width of the column in which segments and cuts are named."""
LINE = 15.0
"""The height of a line of text."""
LISTED = 8
"""The most tensors of a boundary that are listed."""
EXIT = (140.0, 44.0)
"""The width of an exit's box, and the height from one exit to the next."""

_CHARACTER = 6.4
_HEADER, _LIST, _MARGIN = 56.0, 330.0, 12.0
_ROW, _PASSING, _ABOVE_CUT, _UPRIGHT = 58.0, 8.0, 24.0, 10.0


class Sheet:
    """The rows from top to bottom and the columns from left to right.

    ``centres`` and ``widths`` are the places' own; ``right`` is where the lists of tensors begin
    and ``exits`` where the exits do.
    """

    def __init__(self, blocks: Sequence[Block], rows: Rows, manifest: Manifest) -> None:
        self._manifest = manifest
        self._cut_rows = rows.cut_rows
        self._cut_of = {row: cut for cut, row in enumerate(rows.cut_rows)}
        heights = [self._height(row) for row in range(rows.cut_rows[-1] + 1)]
        self._tops = list(accumulate(heights, initial=_HEADER))
        self.widths = [_PASSING if p.passes else _width(blocks[p.block]) for p in rows.places]
        self.centres = [LEFT + centre for centre in arrange_columns(rows, self.widths)]
        ends = (centre + width / 2 for centre, width in zip(self.centres, self.widths, strict=True))
        self.right = max(ends, default=LEFT) + 2 * _MARGIN
        self.exits = self.right + _LIST
        self.size = (self.exits + EXIT[0] + _MARGIN, self._tops[-1] + _MARGIN)

    def cut_at(self, place: Place) -> int | None:
        """Return the cut in whose row a place is, if it is in one."""
        return self._cut_of.get(place.row)

    def cut_y(self, cut: int) -> float:
        """Return the height of a cut's line."""
        return self._tops[self._cut_rows[cut]] + _ABOVE_CUT

    def top(self, place: Place) -> float:
        """Return where a box, or the straight part of a line, begins."""
        cut = self.cut_at(place)
        if cut is not None:
            return self.cut_y(cut) - _UPRIGHT
        return self._tops[place.row] + (_ROW - BOX) / 2

    def bottom(self, place: Place) -> float:
        """Return where a box, or the straight part of a line, ends."""
        cut = self.cut_at(place)
        if cut is None:
            return self.top(place) + BOX
        return self.cut_y(cut) + (_UPRIGHT if place.row < self._cut_rows[-1] else 0.0)

    def _height(self, row: int) -> float:
        if row not in self._cut_of:
            return _ROW
        cut = self._cut_of[row]
        listed = min(len(self._manifest.boundaries[cut].tensors), LISTED + 1)
        exits = sum(spec.boundary == cut for spec in self._manifest.exits)
        return _ABOVE_CUT + max(_UPRIGHT + listed * LINE, exits * EXIT[1])


def _width(block: Block) -> float:
    longest = max(len(block_label(block)), len(block_facts(block)))
    return max(longest * _CHARACTER + 16, 80.0)
