"""Mixtures in the terminal: plans with their shares, what is busy, and what more would bring."""

from __future__ import annotations

from collections.abc import Iterator

from offramp.quantities import figure
from offramp.sheet import Column, Sheet
from partitioner.mixture import RESOURCES, Mixture, Part, Sharing
from partitioner.tables import plan_columns

__all__ = ["mixture_lines", "mixture_table"]

_SMALL = 0.005
"""Worths below are not told: half a hundredth of a percent for a percent."""

_LOOSER = {
    "accuracy": "an accuracy floor lower by 0.1% of the samples",
    "late": "0.1% of the samples more that may be late",
}
"""What is told instead of a limit higher by 1%."""


def mixture_table(mixture: Mixture, sharing: Sharing) -> Sheet:
    """Return what a sample takes under each plan and in the mean, and how busy that makes each."""
    per_device_hz = 1 / mixture.period_s
    title = f"{figure(per_device_hz)} samples a second on each device"
    if sharing.devices > 1:
        title += f", {figure(per_device_hz * sharing.devices)} on all {sharing.devices}"
    below = ("in the mean", "busy", "1% more adds")
    shares = tuple(f"{part.share:.1%}" for part in mixture.parts)
    cut, sends, thresholds = plan_columns([part.plan for part in mixture.parts])
    columns = [
        Column("share", (*shares, "", "", "")),
        Column(cut.name, (*cut.cells, "", "", "")),
        Column(sends.name, (*sends.cells, "", "", ""), words=True),
        Column(thresholds.name, (*thresholds.cells, *below), words=True),
    ]
    for at, name in enumerate(RESOURCES):
        takes = [part.takes_s[at] for part in mixture.parts] + [mixture.takes_s[at]]
        cells = [figure(takes_s * 1e3) for takes_s in takes]
        busy, worth = f"{mixture.busy[name]:.0%}", _percent(mixture.worth[name])
        columns.append(Column(f"{name} ms", (*cells, busy, worth)))
    accuracies = [f"{part.accuracy:.4f}" for part in mixture.parts]
    columns.append(Column("accuracy", (*accuracies, f"{mixture.accuracy:.4f}", "", "")))
    return Sheet(title, columns, above=len(mixture.parts))


def mixture_lines(mixture: Mixture, alone: Part | None, quickest: Part) -> Iterator[str]:
    """Say what holds the throughput back, what limits cost, and what single plans reach."""
    tight = sorted(RESOURCES, key=lambda name: -mixture.worth[name])
    tight = [name for name in tight if mixture.worth[name] > _SMALL]
    yield f"bottleneck: {', '.join(tight)}"
    for name, worth in mixture.worth_of_limits.items():
        if worth > _SMALL:
            looser = _LOOSER.get(name, f"a limit on {name} higher by 1%")
            yield f"{looser} brings {figure(worth)}% more"
    if alone is None:
        yield "no single plan keeps the limits"
    else:
        yield f"best single plan, {_compared(alone, mixture)}"
    yield f"plan of least mean latency, {_compared(quickest, mixture)}"


def _compared(part: Part, mixture: Mixture) -> str:
    more = part.period_s / mixture.period_s - 1
    text = f"{part.plan.describe()}: {figure(1 / part.period_s)} samples a second"
    return f"{text}; the mixture handles {more:.0%} more"


def _percent(worth: float) -> str:
    return f"{worth:.2f}%" if worth > _SMALL else "-"
