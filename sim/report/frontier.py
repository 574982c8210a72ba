"""The frontier: the strategies that no other one beats in everything."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["dominates", "frontier"]

Point = Sequence[float]


def dominates(one: Point, other: Point) -> bool:
    """Tell whether one point is nowhere worse than another and somewhere better; less is better."""
    pairs = list(zip(one, other, strict=True))
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)


def frontier(points: Sequence[Point]) -> list[int]:
    """Return the places of the points that none dominates, by their first coordinate."""
    found = [
        place
        for place, point in enumerate(points)
        if not any(dominates(other, point) for other in points)
    ]
    return sorted(found, key=lambda place: (tuple(points[place]), place))
