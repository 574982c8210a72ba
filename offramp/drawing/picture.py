"""A picture in SVG: boxes, lines and words at places in pixels, from the top left."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree

from offramp.names import printable

__all__ = ["Picture", "Point"]

_NAMESPACE = "http://www.w3.org/2000/svg"
_FONT = "ui-sans-serif, system-ui, 'Segoe UI', 'DejaVu Sans', Helvetica, Arial, sans-serif"

Point = tuple[float, float]
"""Pixels from the left and from the top."""


class Picture:
    """Elements are drawn in the order in which they are added, the later over the earlier."""

    def __init__(self, width: float, height: float) -> None:
        self._root = ElementTree.Element(
            "svg",
            xmlns=_NAMESPACE,
            width=_number(width),
            height=_number(height),
            viewBox=f"0 0 {_number(width)} {_number(height)}",
        )
        self._root.set("font-family", _FONT)
        self.box((0, 0), (width, height), fill="#FFFFFF")

    def box(self, corner: Point, size: Point, *, hint: str = "", **style: str) -> None:
        """Add a box; ``hint`` is shown when the pointer rests on it."""
        (x, y), (width, height) = corner, size
        self._add("rect", hint, style, x=x, y=y, width=width, height=height)

    def line(self, points: Sequence[Point], **style: str) -> None:
        """Add a line that leaves each point downwards and reaches the next one from above."""
        (x, y), *others = points
        course = [f"M{_number(x)} {_number(y)}"]
        for to_x, to_y in others:
            if abs(to_x - x) < 0.5 or to_y == y:
                course.append(f"L{_number(to_x)} {_number(to_y)}")
            else:
                middle = _number((y + to_y) / 2)
                course.append(
                    f"C{_number(x)} {middle} {_number(to_x)} {middle} "
                    f"{_number(to_x)} {_number(to_y)}"
                )
            x, y = to_x, to_y
        self._add("path", "", {"fill": "none", **style, "d": "".join(course)})

    def dot(self, centre: Point, radius: float, *, hint: str = "", **style: str) -> None:
        """Add a filled circle."""
        self._add("circle", hint, style, cx=centre[0], cy=centre[1], r=radius)

    def words(self, text: str, place: Point, *, size: int = 11, **style: str) -> None:
        """Add a line of text that begins at ``place``, or as ``text_anchor`` says."""
        element = self._add("text", "", style, x=place[0], y=place[1], font_size=size)
        element.text = printable(text)

    def to_text(self) -> str:
        """Return the SVG file's content."""
        ElementTree.indent(self._root, " ")
        return ElementTree.tostring(self._root, encoding="unicode") + "\n"

    def _add(
        self, tag: str, hint: str, style: dict[str, str], **numbers: float
    ) -> ElementTree.Element:
        attributes = {key: _number(value) for key, value in numbers.items()} | style
        attributes = {key.replace("_", "-"): value for key, value in attributes.items()}
        element = ElementTree.SubElement(self._root, tag, attributes)
        if hint:
            ElementTree.SubElement(element, "title").text = printable(hint)
        return element


def _number(value: float) -> str:
    return f"{value:.1f}".rstrip("0").rstrip(".")
