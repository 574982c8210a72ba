"""The frontier as a picture: accuracy over device work, with the bytes sent as colours."""

from __future__ import annotations

import math
from itertools import pairwise

from offramp.bundle.frontier import FrontierPlan, PlanFrontier, in_unit
from offramp.drawing.picture import Picture, Point

__all__ = ["draw_frontier"]

_WIDTH, _HEIGHT = 880.0, 480.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 70.0, 690.0, 60.0, 420.0
_GREY, _SOFT, _INK = "#DADCE0", "#5F6368", "#202124"
_SIZES = (
    (0.0, "#00734C", "sends nothing"),
    (1e3, "#56B4E9", "up to 1 kB a sample"),
    (1e4, "#0072B2", "up to 10 kB"),
    (math.inf, "#D55E00", "more"),
)


def draw_frontier(frontier: PlanFrontier, name: str) -> str:
    """Return the plans of a frontier as SVG; resting the pointer on one says what it does."""
    picture = Picture(_WIDTH, _HEIGHT)
    picture.words(f"{name}: plans that no other beats", (_LEFT, 26), size=16, fill=_INK)
    where = f" on {frontier.machine}" if frontier.machine else ""
    seen = f"as seen on the {frontier.samples} samples that chose them; device work{where}"
    picture.words(seen, (_LEFT, 44), fill=_SOFT)
    paper = _Paper(frontier)
    paper.axes(picture)
    alone = [paper.place(plan) for plan in frontier.plans if not plan.bytes_mean]
    _stairs(picture, sorted(alone))
    for plan in reversed(frontier.plans):
        colour = next(colour for most, colour, _ in _SIZES if plan.bytes_mean <= most)
        picture.dot(paper.place(plan), 4.5, hint=_hint(frontier, plan), fill=colour)
    for row, (_, colour, words) in enumerate(_SIZES):
        picture.dot((_RIGHT + 30, _TOP + 10 + row * 20), 4.5, fill=colour)
        picture.words(words, (_RIGHT + 42, _TOP + 14 + row * 20), fill=_INK)
    return picture.to_text()


class _Paper:
    """Where on the picture a plan stands."""

    def __init__(self, frontier: PlanFrontier) -> None:
        self._frontier = frontier
        work = [in_unit(frontier, plan) for plan in frontier.plans]
        shares = [plan.accuracy for plan in frontier.plans]
        self._step = _round_step(max(work) / 6)
        self._most = max(math.ceil(max(work) / self._step), 1) * self._step
        self._rise = _round_step(max(max(shares) - min(shares), 0.01) / 6)
        self._high = math.ceil(max(shares) / self._rise) * self._rise
        lowest = math.floor(min(shares) / self._rise) * self._rise
        self._low = min(lowest, self._high - self._rise)

    def place(self, plan: FrontierPlan) -> Point:
        return self._at(in_unit(self._frontier, plan), plan.accuracy)

    def axes(self, picture: Picture) -> None:
        """Draw both axes with their lines and numbers."""
        unit = "ms" if self._frontier.unit == "s" else "million multiply-adds"
        for at in range(round(self._most / self._step) + 1):
            x, _ = self._at(at * self._step, self._low)
            picture.line([(x, _TOP), (x, _BOTTOM)], stroke=_GREY)
            number = f"{at * self._step:g}"
            picture.words(number, (x, _BOTTOM + 18), text_anchor="middle", fill=_SOFT)
        for at in range(round((self._high - self._low) / self._rise) + 1):
            share = self._low + at * self._rise
            _, y = self._at(0, share)
            picture.line([(_LEFT, y), (_RIGHT, y)], stroke=_GREY)
            number = f"{share * 100:.4g}%"
            picture.words(number, (_LEFT - 8, y + 4), text_anchor="end", fill=_SOFT)
        label = f"device work of a sample, mean ({unit})"
        middle = (_LEFT + _RIGHT) / 2
        picture.words(label, (middle, _BOTTOM + 40), text_anchor="middle", fill=_INK)
        picture.words("accuracy", (_LEFT - 8, _TOP - 8), text_anchor="end", fill=_INK)

    def _at(self, work: float, share: float) -> Point:
        height = (share - self._low) / (self._high - self._low)
        return (
            _LEFT + work / self._most * (_RIGHT - _LEFT),
            _BOTTOM - height * (_BOTTOM - _TOP),
        )


def _stairs(picture: Picture, places: list[Point]) -> None:
    """Join what a device can do alone: more work, then more accuracy."""
    for (x, y), (next_x, next_y) in pairwise(places):
        picture.line([(x, y), (next_x, y)], stroke=_SIZES[0][1], stroke_opacity="0.5")
        picture.line([(next_x, y), (next_x, next_y)], stroke=_SIZES[0][1], stroke_opacity="0.5")


def _round_step(least: float) -> float:
    """Return the next 1, 2 or 5 times a power of ten."""
    if least <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(least))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= least * (1 - 1e-9))


def _hint(frontier: PlanFrontier, plan: FrontierPlan) -> str:
    unit = "ms" if frontier.unit == "s" else "MMAC"
    thresholds = " ".join("closed" if t > 1 else f"{t:.3f}" for t in plan.thresholds)
    return (
        f"{plan.accuracy:.2%}, {in_unit(frontier, plan):.2f} {unit}, {plan.bytes_mean:.0f} B; "
        f"cut {plan.cut}, sends {plan.level or 'nothing'}, thresholds {thresholds or 'none'}"
    )
