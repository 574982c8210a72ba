"""What if, in the terminal: regions as a table, two axes as a map of letters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from partitioner.plan import Plan
from partitioner.what_if import Axis, Region

__all__ = ["COLOURS", "legend", "map_text", "region_table"]

COLOURS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#bbbbbb", "#ee8866")
_MARKS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_OTHER = "."


def region_table(axis: Axis, regions: Sequence[Region]) -> Table:
    """Return which plan wins from where to where."""
    table = Table(title=Text(f"what if {axis.name} changes"))
    table.add_column(Text(f"{axis.name} ({axis.unit})"))
    table.add_column("plan")
    for region in regions:
        span = f"{axis.show(region.low)} to {axis.show(region.high)}"
        table.add_row(Text(span), Text(region.plan.describe()))
    return table


def legend(plans: Sequence[Sequence[Plan]]) -> dict[str, tuple[str, Plan]]:
    """Return a mark for each plan of a map, by its id: that which wins at most places first.

    Where there are more plans than marks, the rest has none.
    """
    counts = Counter(plan.id for row in plans for plan in row)
    by_id = {plan.id: plan for row in plans for plan in row}
    most = counts.most_common(len(_MARKS))
    return {name: (_MARKS[at], by_id[name]) for at, (name, _) in enumerate(most)}


def map_text(axes: tuple[Axis, Axis], plans: Sequence[Sequence[Plan]]) -> Text:
    """Return a map as text: the first axis to the right, the second upwards."""
    first, second = axes
    marks = legend(plans)
    text = Text()
    values = second.values(len(plans))
    for value, row in reversed(list(zip(values, plans, strict=True))):
        text.append(f"{second.show(value):>8} ")
        for plan in row:
            mark = marks.get(plan.id, (_OTHER, plan))[0]
            at = _MARKS.find(mark)
            text.append(mark, f"bold white on {COLOURS[at % len(COLOURS)]}" if at >= 0 else "")
        text.append("\n")
    width = len(plans[0])
    low, high = first.show(first.low), first.show(first.high)
    text.append(f"{second.unit:>8} {low}{high:>{max(width - len(low), 1)}}\n")
    text.append(f"to the right {first.name} ({first.unit}), upwards {second.name}\n")
    for mark, plan in marks.values():
        text.append(f"{mark}  {plan.describe()}\n")
    return text
