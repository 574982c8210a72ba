"""A bundle as a picture: from the input at the top to the output, with a dashed line at each cut.

Boxes are blocks of operations, the darker the more they compute. Lines are values; one that crosses
a cut has the colour of its tensor in the list beside it. Exits stand at the right.
"""

from __future__ import annotations

from collections.abc import Sequence

from offramp.bundle import Boundary, Bundle, ExitSpec, Manifest
from offramp.drawing.blocks import Block, collapse
from offramp.drawing.labels import (
    block_facts,
    block_label,
    count_operations,
    in_bytes,
    in_macs,
    shorten,
)
from offramp.drawing.outline import Operation, outline_of, outline_segments
from offramp.drawing.picture import Picture, Point
from offramp.drawing.rows import Rows, arrange_rows
from offramp.drawing.sheet import BOX, EXIT, LEFT, LINE, LISTED, Sheet

__all__ = ["draw_bundle", "draw_graph"]

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#B8860B", "#56B4E9", "#7A5195", "#666666")
_GREY, _SOFT, _INK, _EXIT = "#9AA0A6", "#5F6368", "#202124", "#00734C"
_HINTED = 40


def draw_bundle(bundle: Bundle) -> str:
    """Return a bundle's graph as SVG; one too large to draw is drawn segment by segment."""
    return draw_graph(outline_of(bundle), bundle.manifest, bundle.digest)


def draw_graph(outline: Sequence[Operation], manifest: Manifest, digest: str) -> str:
    """Return an outline as SVG, with the cuts and exits that the manifest names."""
    crossing = {tensor.name for boundary in manifest.boundaries for tensor in boundary.tensors}
    blocks = collapse(outline, crossing)
    rows = arrange_rows(blocks, len(manifest.segments), manifest.boundaries[-1].names)
    if rows is None:
        return draw_graph(outline_segments(manifest), manifest, digest)
    drawing = _Drawing(blocks, rows, manifest)
    drawing.head(digest, len(outline))
    drawing.segments()
    drawing.values()
    drawing.cuts()
    drawing.boxes()
    return drawing.picture.to_text()


class _Drawing:
    """A picture that is drawn part by part, from the back to the front."""

    def __init__(self, blocks: Sequence[Block], rows: Rows, manifest: Manifest) -> None:
        self._blocks, self._places, self._manifest = blocks, rows.places, manifest
        self._sheet = Sheet(blocks, rows, manifest)
        self.picture = Picture(*self._sheet.size)

    def head(self, digest: str, operations: int) -> None:
        """Write what is drawn, and how to read it."""
        manifest = self._manifest
        macs = sum(segment.macs for segment in manifest.segments)
        self.picture.words(manifest.name, (12, 24), size=16, fill=_INK, font_weight="600")
        facts = (
            f"bundle {digest[:12]}, {len(manifest.segments)} segments, "
            f"{count_operations(operations)}, {in_macs(macs)}; a darker box computes more"
        )
        self.picture.words(facts, (12, 42), fill=_INK)

    def segments(self) -> None:
        """Draw each segment's background, and write what the segment is at its left."""
        for at, segment in enumerate(self._manifest.segments):
            top, bottom = self._sheet.cut_y(at), self._sheet.cut_y(at + 1)
            fill = "#F6F7F9" if at % 2 == 0 else "#FFFFFF"
            self.picture.box((4, top), (self._sheet.right - 4, bottom - top), fill=fill)
            weights = self._manifest.files.get(f"{segment.folder}/weights.safetensors")
            operations = sum(len(b.operations) for b in self._blocks if b.segment == at)
            facts = [count_operations(operations), in_macs(segment.macs)]
            facts += [f"{in_bytes(weights.bytes)} of weights"] if weights else []
            self.picture.words(f"segment {at}", (12, top + 36), fill=_INK, font_weight="600")
            for line, fact in enumerate(facts, 1):
                self.picture.words(fact, (12, top + 36 + line * LINE), fill=_SOFT)

    def values(self) -> None:
        """Draw the lines from each block down to those that read it."""
        for at, place in enumerate(self._places):
            head = (self._sheet.centres[at], self._sheet.top(place))
            if place.passes:
                self._value(at, at, [head, (head[0], self._sheet.bottom(place))])
            for above in place.above:
                foot = self._sheet.bottom(self._places[above])
                self._value(above, at, [(self._sheet.centres[above], foot), head])

    def cuts(self) -> None:
        """Draw each cut's line, its tensors with their sizes at the right, and its exits."""
        for cut, boundary in enumerate(self._manifest.boundaries):
            y = self._sheet.cut_y(cut)
            dashes = {"stroke_width": "1.2", "stroke_dasharray": "6 4"}
            self.picture.line([(4, y), (self._sheet.exits, y)], stroke=_INK, **dashes)
            self.picture.words(f"cut {cut}", (12, y - 5), fill=_INK, font_weight="600")
            size = in_bytes(boundary.nbytes)
            self.picture.words(size, (LEFT - 12, y - 5), fill=_SOFT, text_anchor="end")
            self._list(boundary, (self._sheet.right, y))
            for at, spec in enumerate(e for e in self._manifest.exits if e.boundary == cut):
                self._exit(spec, y + at * EXIT[1])
        for at, place in enumerate(self._places):
            here = self._sheet.cut_at(place)
            if here is not None:
                centre = (self._sheet.centres[at], self._sheet.cut_y(here))
                name = self._blocks[place.block].value.name
                self.picture.dot(centre, 4.0, fill=self._colour(at, at), hint=name)

    def boxes(self) -> None:
        """Draw the blocks."""
        most = max((block.macs for block in self._blocks), default=0) or 1
        for at, place in enumerate(self._places):
            if not place.passes:
                block, width = self._blocks[place.block], self._sheet.widths[at]
                corner = (self._sheet.centres[at] - width / 2, self._sheet.top(place))
                fill = "#E8EAED" if block.segment < 0 else _shade(block.macs / most)
                hint = "\n".join(f"{one.name}: {one.op}" for one in block.operations[:_HINTED])
                size = (width, BOX)
                self.picture.box(corner, size, fill=fill, stroke=_GREY, rx="5", hint=hint)
                self._words_in_box(block_label(block), block_facts(block), corner, width)

    def _words_in_box(self, label: str, facts: str, corner: Point, width: float) -> None:
        middle, top = corner[0] + width / 2, corner[1]
        first = (middle, top + (16 if facts else 22))
        self.picture.words(label, first, fill=_INK, text_anchor="middle")
        if facts:
            place = (middle, top + 30)
            self.picture.words(facts, place, size=10, fill=_SOFT, text_anchor="middle")

    def _value(self, start: int, end: int, points: list[Point]) -> None:
        colour = self._colour(start, end)
        self.picture.line(points, stroke=colour, stroke_width="1.1" if colour == _GREY else "2")

    def _colour(self, start: int, end: int) -> str:
        """Return the colour of a value between two places: its tensor's if it meets a cut there."""
        name = self._blocks[self._places[start].block].value.name
        for place in (self._places[start], self._places[end]):
            cut = self._sheet.cut_at(place)
            if cut is not None:
                for at, tensor in enumerate(self._manifest.boundaries[cut].tensors):
                    if tensor.name == name:
                        return _COLOURS[at % len(_COLOURS)]
        return _GREY

    def _list(self, boundary: Boundary, corner: Point) -> None:
        x, y = corner
        for at, tensor in enumerate(boundary.tensors[:LISTED]):
            base = y + (at + 1) * LINE
            self.picture.box((x, base - 8), (9, 9), fill=_COLOURS[at % len(_COLOURS)])
            shape = "x".join(map(str, tensor.shape))
            facts = f"{tensor.dtype} {shape}, {in_bytes(tensor.nbytes)}"
            text = f"{shorten(tensor.name, 24)}: {facts}"
            self.picture.words(text, (x + 14, base), fill=_INK)
        hidden = len(boundary.tensors) - LISTED
        if hidden > 0:
            place = (x + 14, y + (LISTED + 1) * LINE)
            self.picture.words(f"and {hidden} more", place, fill=_SOFT)

    def _exit(self, spec: ExitSpec, y: float) -> None:
        left, cut_y = self._sheet.exits, self._sheet.cut_y(spec.boundary)
        read = [
            centre
            for centre, place in zip(self._sheet.centres, self._places, strict=True)
            if self._sheet.cut_at(place) == spec.boundary
            and self._blocks[place.block].value.name == spec.tensor
        ]
        course = [(max(read, default=LEFT), cut_y), (left - 12, cut_y), (left, y)]
        self.picture.line(course, stroke=_EXIT, stroke_width="1.6")
        corner = (left, y - BOX / 2)
        style = {"fill": "#E3F4EC", "stroke": _EXIT, "rx": "5"}
        self.picture.box(corner, (EXIT[0], BOX), hint=spec.name, **style)
        self._words_in_box(f"exit {shorten(spec.name, 16)}", in_macs(spec.macs), corner, EXIT[0])


def _shade(share: float) -> str:
    """Return a colour from white to orange; shares are spread by their square root."""
    deep, amount = (0xF2, 0xA2, 0x5C), min(share, 1.0) ** 0.5
    return "#" + "".join(f"{round(255 + (tone - 255) * amount):02X}" for tone in deep)
