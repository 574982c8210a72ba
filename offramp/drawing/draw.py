"""A bundle as a picture: from the input at the top to the output, with a dashed line at each cut.

Boxes are blocks of operations, the darker the more they compute. Lines are values; one that crosses
a cut has the colour of its tensor in the list beside it. Exits stand at the right.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from offramp.bundle import Boundary, Bundle, ExitSpec, Manifest
from offramp.drawing.blocks import Block, collapse
from offramp.drawing.columns import arrange_columns
from offramp.drawing.outline import Operation, outline_of, outline_segments
from offramp.drawing.picture import CHARACTER_WIDTH, Picture, Point
from offramp.drawing.rows import Rows, arrange_rows

__all__ = ["draw_bundle", "draw_graph"]

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#B8860B", "#56B4E9", "#7A5195", "#666666")
_GREY, _SOFT, _INK, _EXIT = "#9AA0A6", "#5F6368", "#202124", "#00734C"
_HEADER, _LEFT, _LIST_WIDTH, _EXIT_WIDTH = 56.0, 150.0, 330.0, 140.0
_BOX, _ROW, _PASSING, _ABOVE_CUT, _UPRIGHT = 36.0, 58.0, 8.0, 24.0, 10.0
_LISTED, _LIST_LINE, _EXIT_STEP = 8, 15.0, 44.0
_LABEL_CHARACTERS, _HINTED = 34, 40


def draw_bundle(bundle: Bundle) -> str:
    """Return a bundle's graph as SVG; one too large to draw is drawn segment by segment."""
    return draw_graph(outline_of(bundle), bundle.manifest, bundle.digest)


def draw_graph(outline: Sequence[Operation], manifest: Manifest, digest: str) -> str:
    """Return an outline as SVG, with the cuts and exits that the manifest names."""
    depth = len(manifest.segments)
    crossing = {tensor.name for boundary in manifest.boundaries for tensor in boundary.tensors}
    outputs = {tensor.name for tensor in manifest.boundaries[-1].tensors}
    blocks = collapse(outline, crossing)
    rows = arrange_rows(blocks, depth, outputs)
    if rows is None:
        return draw_graph(outline_segments(manifest), manifest, digest)
    drawing = _Drawing(blocks, rows, manifest)
    drawing.head(digest, len(outline))
    drawing.bands()
    drawing.values()
    drawing.cuts()
    drawing.boxes()
    return drawing.picture.to_text()


class _Drawing:
    """The blocks in their rows and columns, drawn part by part from the back to the front."""

    def __init__(self, blocks: Sequence[Block], rows: Rows, manifest: Manifest) -> None:
        self._blocks, self._places, self._manifest = blocks, rows.places, manifest
        self._cut_of = {row: cut for cut, row in enumerate(rows.cut_rows)}
        heights = [self._height(row) for row in range(rows.cut_rows[-1] + 1)]
        self._tops = list(accumulate(heights, initial=_HEADER))
        self._widths = [_PASSING if p.passes else _width(blocks[p.block]) for p in rows.places]
        centres = arrange_columns(rows, self._widths)
        self._centres = [_LEFT + centre for centre in centres]
        ends = (
            centre + width / 2 for centre, width in zip(self._centres, self._widths, strict=True)
        )
        self._right = max(ends, default=_LEFT) + 24
        self.picture = Picture(self._right + _LIST_WIDTH + _EXIT_WIDTH + 12, self._tops[-1] + 12)

    def head(self, digest: str, operations: int) -> None:
        """Write what is drawn, and how to read it."""
        manifest = self._manifest
        macs = sum(segment.macs for segment in manifest.segments)
        self.picture.words(manifest.name, (12, 24), size=16, fill=_INK, font_weight="600")
        facts = (
            f"bundle {digest[:12]}, {len(manifest.segments)} segments, {_operations(operations)}, "
            f"{_macs(macs)}; a darker box computes more"
        )
        self.picture.words(facts, (12, 42), fill=_INK)

    def bands(self) -> None:
        """Draw each segment's background, and write what the segment is at its left."""
        width = self._right - 4
        for at, segment in enumerate(self._manifest.segments):
            top, bottom = self._line_y(at), self._line_y(at + 1)
            fill = "#F6F7F9" if at % 2 == 0 else "#FFFFFF"
            self.picture.box((4, top), (width, bottom - top), fill=fill)
            weights = self._manifest.files.get(f"{segment.folder}/weights.safetensors")
            operations = sum(len(b.operations) for b in self._blocks if b.segment == at)
            facts = [_operations(operations), _macs(segment.macs)]
            facts += [f"{_bytes(weights.bytes)} of weights"] if weights else []
            first = self._tops[self._row_of_cut(at) + 1] + 14
            self.picture.words(f"segment {at}", (12, first), fill=_INK, font_weight="600")
            for line, fact in enumerate(facts, 1):
                self.picture.words(fact, (12, first + line * _LIST_LINE), fill=_SOFT)

    def values(self) -> None:
        """Draw the lines from each block down to those that read it."""
        for at, place in enumerate(self._places):
            if place.passes:
                top, bottom = (
                    (self._centres[at], self._top(at)),
                    (self._centres[at], self._bottom(at)),
                )
                self._value(at, at, [top, bottom])
            for above in place.above:
                start = (self._centres[above], self._bottom(above))
                self._value(above, at, [start, (self._centres[at], self._top(at))])

    def cuts(self) -> None:
        """Draw each cut's line, its tensors with their sizes at the right, and its exits."""
        for cut, boundary in enumerate(self._manifest.boundaries):
            y = self._line_y(cut)
            self.picture.line(
                [(4, y), (self._right + _LIST_WIDTH, y)],
                stroke=_INK,
                stroke_width="1.2",
                stroke_dasharray="6 4",
            )
            self.picture.words(f"cut {cut}", (12, y - 5), fill=_INK, font_weight="600")
            size = _bytes(boundary.nbytes)
            self.picture.words(size, (_LEFT - 12, y - 5), fill=_SOFT, text_anchor="end")
            self._list_tensors(boundary, y)
            exits = [spec for spec in self._manifest.exits if spec.boundary == cut]
            for at, spec in enumerate(exits):
                self._exit(spec, y, y + at * _EXIT_STEP)
        for at, place in enumerate(self._places):
            if place.row in self._cut_of:
                name = self._blocks[place.block].value.name
                centre = (self._centres[at], self._line_y(self._cut_of[place.row]))
                self.picture.dot(centre, 4.0, fill=self._colour(at, at), hint=name)

    def boxes(self) -> None:
        """Draw the blocks."""
        most = max((block.macs for block in self._blocks), default=0)
        for at, place in enumerate(self._places):
            if not place.passes:
                block = self._blocks[place.block]
                corner = (self._centres[at] - self._widths[at] / 2, self._top(at))
                self._block(block, corner, (self._widths[at], _BOX), block.macs / (most or 1))

    def _block(self, block: Block, corner: Point, size: Point, share: float) -> None:
        middle, top = corner[0] + size[0] / 2, corner[1]
        listed = "\n".join(f"{one.name}: {one.op}" for one in block.operations[:_HINTED])
        fill = "#E8EAED" if block.segment < 0 else _shade(share)
        self.picture.box(corner, size, fill=fill, stroke=_GREY, rx="5", hint=listed)
        lines = [_label(block), *filter(None, [_facts(block)])]
        first = top + (16 if len(lines) == 2 else 22)
        for line, text in enumerate(lines):
            size_px, fill = (11, _INK) if line == 0 else (10, _SOFT)
            place = (middle, first + 14 * line)
            self.picture.words(text, place, size=size_px, fill=fill, text_anchor="middle")

    def _value(self, start: int, end: int, points: list[Point]) -> None:
        colour = self._colour(start, end)
        width = "1.1" if colour == _GREY else "2"
        self.picture.line(points, stroke=colour, stroke_width=width)

    def _colour(self, start: int, end: int) -> str:
        """Return the colour of a value between two places: its tensor's if it meets a cut there."""
        for row in (self._places[start].row, self._places[end].row):
            if row in self._cut_of:
                name = self._blocks[self._places[start].block].value.name
                tensors = self._manifest.boundaries[self._cut_of[row]].tensors
                for at, tensor in enumerate(tensors):
                    if tensor.name == name or len(tensors) == 1:
                        return _COLOURS[at % len(_COLOURS)]
        return _GREY

    def _list_tensors(self, boundary: Boundary, y: float) -> None:
        x = self._right
        for at, tensor in enumerate(boundary.tensors[:_LISTED]):
            base = y + (at + 1) * _LIST_LINE
            self.picture.box((x, base - 8), (9, 9), fill=_COLOURS[at % len(_COLOURS)])
            shape = "x".join(map(str, tensor.shape))
            text = f"{_short(tensor.name, 24)}  {tensor.dtype} {shape}  {_bytes(tensor.nbytes)}"
            self.picture.words(text, (x + 14, base), fill=_INK)
        hidden = len(boundary.tensors) - _LISTED
        if hidden > 0:
            base = y + (_LISTED + 1) * _LIST_LINE
            self.picture.words(f"and {hidden} more", (x + 14, base), fill=_SOFT)

    def _exit(self, spec: ExitSpec, cut_y: float, y: float) -> None:
        left = self._right + _LIST_WIDTH
        row = self._row_of_cut(spec.boundary)
        crossing = [
            x for x, place in zip(self._centres, self._places, strict=True) if place.row == row
        ]
        ends = [(max(crossing, default=_LEFT), cut_y), (left - 12, cut_y), (left, y)]
        self.picture.line(ends, stroke=_EXIT, stroke_width="1.6")
        corner, size = (left, y - _BOX / 2), (_EXIT_WIDTH, _BOX)
        self.picture.box(corner, size, fill="#E3F4EC", stroke=_EXIT, rx="5", hint=spec.name)
        middle = left + _EXIT_WIDTH / 2
        name, macs = f"exit {_short(spec.name, 18)}", _macs(spec.macs)
        self.picture.words(name, (middle, y - 3), fill=_EXIT, text_anchor="middle")
        self.picture.words(macs, (middle, y + 11), size=10, fill=_SOFT, text_anchor="middle")

    def _height(self, row: int) -> float:
        if row not in self._cut_of:
            return _ROW
        cut = self._cut_of[row]
        listed = min(len(self._manifest.boundaries[cut].tensors), _LISTED + 1)
        exits = sum(spec.boundary == cut for spec in self._manifest.exits)
        return _ABOVE_CUT + max(10 + listed * _LIST_LINE, exits * _EXIT_STEP)

    def _row_of_cut(self, cut: int) -> int:
        return next(row for row, found in self._cut_of.items() if found == cut)

    def _line_y(self, cut: int) -> float:
        return self._tops[self._row_of_cut(cut)] + _ABOVE_CUT

    def _top(self, at: int) -> float:
        place = self._places[at]
        if place.row in self._cut_of:
            return self._line_y(self._cut_of[place.row]) - _UPRIGHT
        return self._tops[place.row] + (_ROW - _BOX) / 2

    def _bottom(self, at: int) -> float:
        row = self._places[at].row
        if row not in self._cut_of:
            return self._top(at) + _BOX
        below = _UPRIGHT if row + 2 < len(self._tops) else 0.0
        return self._line_y(self._cut_of[row]) + below


def _width(block: Block) -> float:
    longest = max(len(_label(block)), len(_facts(block)))
    return max(longest * CHARACTER_WIDTH + 16, 80.0)


def _facts(block: Block) -> str:
    facts = [_operations(len(block.operations))] if len(block.operations) > 1 else []
    return ", ".join(facts + ([_macs(block.macs)] if block.macs else []))


def _label(block: Block) -> str:
    """Return a block's operations, each named once, as far as there is room."""
    if block.segment < 0:
        return _short(block.value.name, _LABEL_CHARACTERS)
    names = list(dict.fromkeys(one.op.partition(".")[0].strip("_") for one in block.operations))
    return _short(", ".join(names), _LABEL_CHARACTERS)


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _shade(share: float) -> str:
    """Return a colour from white to orange; shares are spread by their square root."""
    deep, amount = (0xF2, 0xA2, 0x5C), min(share, 1.0) ** 0.5
    return "#" + "".join(f"{round(255 + (tone - 255) * amount):02X}" for tone in deep)


def _operations(count: int) -> str:
    return f"{count} operation{'s' if count != 1 else ''}"


def _macs(macs: int) -> str:
    return _scaled(macs, "MAC")


def _bytes(size: int) -> str:
    return _scaled(size, "B")


def _scaled(amount: int, unit: str) -> str:
    for scale, prefix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if amount >= scale:
            return f"{amount / scale:.3g} {prefix}{unit}"
    return f"{amount} {unit}"
