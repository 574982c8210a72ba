"""What if, in the terminal: regions as a table, two axes as a map of letters."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from offramp.sheet import Column, Sheet
from partitioner.measures import say_amount
from partitioner.plan import Plan
from partitioner.situation import Situation
from partitioner.what_if import Region
from partitioner.what_if_axes import Axis
from partitioner.what_if_legend import COLOURS, UNMET, Legend, Places, make_legend

__all__ = ["MARGIN", "map_text", "region_table"]

_MARKS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_OTHER, _UNMET, _HERE = ".", "-", "+"
_TICKS = 4

MARGIN = 9
"""Characters of each line of a map before its places."""


def region_table(axis: Axis, regions: Sequence[Region], at: Situation) -> Sheet:
    """Return which plan wins from where to where, and how good it is at both ends."""
    name, given = at.objective.minimise, axis.get(at)
    title = f"what if {axis.name} changes"
    if given or axis.place(given, 2) is not None:  # without a rate, there is none now
        title += f"; now {axis.show(given)} {axis.unit}"
    spans = tuple(f"{axis.show(region.low)} to {axis.show(region.high)}" for region in regions)
    plans = tuple(region.plan.describe() if region.plan else UNMET for region in regions)
    targets = tuple(_targets(name, region) for region in regions)
    columns = (
        Column(f"{axis.name} ({axis.unit})", spans, words=True),
        Column("plan", plans, words=True),
        Column(name, targets),
    )
    return Sheet(title, columns)


def _targets(name: str, region: Region) -> str:
    if region.plan is None:
        return ""
    low, high = (say_amount(name, target) for target in region.targets)
    return low if low == high else f"{low} to {high}"


def map_text(axes: tuple[Axis, Axis], places: Places, at: Situation) -> Text:
    """Return a map as text: the first axis to the right, the second upwards."""
    (first, second), legend = axes, make_legend(places)
    height, width = len(places), len(places[0])
    here = second.place(second.get(at), height), first.place(first.get(at), width)
    marks = [[_mark(legend, plan) for plan in row] for row in places]
    text = Text(f"{second.name} ({second.unit})\n")
    for y, value in reversed(list(enumerate(second.values(height)))):
        text.append(f"{second.show(value):>8} ")
        for x, (mark, style) in enumerate(marks[y]):
            text.append(_HERE if (y, x) == here else mark, style)
        text.append("\n")
    text.append(f"{' ' * MARGIN}{_scale(first, width)}\n")
    text.append(f"{first.name} ({first.unit})\n".rjust(MARGIN + width + 1))
    for mark, line in zip(_MARKS, legend.texts, strict=False):
        text.append(f"{mark}  {line}\n")
    shown = {mark for row in marks for mark, _ in row}
    others = {_OTHER: "other plans", _UNMET: UNMET}
    text.append("".join(f"{mark}  {what}\n" for mark, what in others.items() if mark in shown))
    if None not in here:
        now = ", ".join(f"{axis.name} {axis.show(axis.get(at))} {axis.unit}" for axis in axes)
        text.append(f"{_HERE}  now: {now}\n")
    return text


def _mark(legend: Legend, plan: Plan | None) -> tuple[str, str]:
    """Return the letter of a plan and its style."""
    if plan is None:
        return _UNMET, ""
    number = legend.numbers[plan.id]
    if number >= len(_MARKS):
        return _OTHER, ""
    return _MARKS[number], f"bold white on {COLOURS[number % len(COLOURS)]}"


def _scale(axis: Axis, width: int) -> str:
    """Return some of an axis's values, each below its place."""
    line = ""
    for tick, value in enumerate(axis.values(_TICKS + 1)):
        shown, at = axis.show(value), tick * (width - 1) // _TICKS
        line = line.ljust(min(at, width - len(shown))) + shown
    return line
