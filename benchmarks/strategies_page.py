"""The page and the figure that `benchmarks.strategies` writes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from benchmarks.strategies_cells import WARM_UP_S
from benchmarks.strategies_courses import OUTAGE_BPS, OUTAGE_PRONE, PLACES
from benchmarks.strategies_scores import AIM_TAIL_S, ORACLE, PUBLISHED, Comparison, Place
from benchmarks.strategies_tables import (
    AIM_GAIN,
    AIM_ORACLE,
    AIM_TRIVIAL,
    Table,
    cell_table,
    summary_table,
)
from device.hedge import HedgeSettings
from offramp.report.figure import new_figure, plot_style, to_svg

__all__ = ["ahead_of_oracle", "aims_table", "draw", "page"]

_HEAD = """\
# Strategies measured

Made by `python -m benchmarks.strategies --write docs/strategies-results.md` on {made}. Simulated
with the deployed decision code ([simulator.md](simulator.md)): nothing here was measured on a
board or over the air. [strategies.md](strategies.md) says what each strategy is and what of it
was reconstructed.

- *Devices* are this machine on one thread of ONNX Runtime, slowed by a stated factor, codecs and
  exits included; the *server* is this machine, not slowed, with a worker for each device, so that
  none waits for another.
- `fashion_mnist` and `cifar10` are the trained networks of `examples`. `resnet_50` has the size,
  not the skill: a random backbone with fitted exits and last layer (`benchmarks/large_bundle.py`).
  Its images are enlarged ones, which WebP packs into 2 kB; photographs of that size take several
  times as much, so it flatters whoever sends a compressed input.
- *Samples* are calibration samples, drawn at random and the same for all strategies. One comes
  every 1.5 times what the whole model takes on the device, from {places} places of each course;
  the first {warm_up:g} s count in no figure.
- Under every strategy alike, the accuracy may drop by 1 pp on the calibration samples, and a
  device answers by itself in time for the *deadline*, 5 times the whole model's time. *Missed*:
  later than 1.25 times that time; *overdue*: later than the deadline.
- *uplink*: the recorded uplink. *proxy*: a recorded download in its place, those of 4G and 5G as
  a tenth. *generated*: no recording. Round trips are stated where they were not recorded.
- *out*: the share of seconds in which a course carries less than {out:g} Mbit/s. From {prone:.0%}
  on it is *outage-prone*, marked `o`.
- *Energy* is what samples add to a Raspberry Pi 4 that is on anyway, with a phone's radio of
  2012: LTE, or Wi-Fi for Wi-Fi and lines ([boards.md](boards.md)). The power is that of a Pi, the
  times are those of the slowed machine.
- `offramp` may compute on while an answer is under way, on {hedge:.0%} of the processor's time, as
  by default; `offramp, no hedge` may not. `offramp, p99 kept` may, and has a limit in its
  objective: 99% of the samples within {tail:g} ms more than the whole model takes on the device.
  Its mean over the oracle's and its p99 are the last two columns.
- One seed. Over five seeds the ratio to the oracle varied by 0.01 to 0.04 where links are poor. The
  controller's constants were tried on these courses, so others may do a little worse.
- *p99 less*: `offramp`'s 99th percentile less that of `device_only`.
- *published*: the quickest of {published}
  whose accuracy is within 0.5 pp of `offramp`'s, above or below; *gain*: its mean latency over
  `offramp`'s; *room*: over the oracle's, which is about the most that there is to gain. Published
  rules run with Offramp's estimator, breaker and fallback, which their authors did not have.
- *trivial*: the quicker one of `device_only` and `server_only`. `!` marks what misses its aim."""


def page(places: Sequence[Place], made: str, figure: str) -> str:
    """Return the page; ``made`` says when and where, ``figure`` is the path of `draw`'s."""
    return "\n\n".join(_parts(places, made, figure)) + "\n"


def _parts(places: Sequence[Place], made: str, figure: str) -> Iterator[str]:
    yield _HEAD.format(
        made=made,
        places=PLACES,
        warm_up=WARM_UP_S,
        out=OUTAGE_BPS / 1e6,
        prone=OUTAGE_PRONE,
        hedge=HedgeSettings().max_cpu_share,
        tail=AIM_TAIL_S * 1e3,
        published=", ".join(f"`{name}`" for name in PUBLISHED),
    )
    yield f"## Aims\n\n{_markdown(aims_table(places))}"
    ahead = "".join(f"\n- {line}" for line in ahead_of_oracle(places)) or " none."
    yield f"Strategies that were quicker than the oracle and as accurate:\n{ahead}"
    yield f"![mean latency over the oracle's]({figure})"
    for name, mine in _by_task(places):
        task = mine[0].task
        rows = [(place.course.name, place.rates, place.comparison) for place in mine]
        yield (
            f"## {name}\n\nDevice {task.slowdown:.3g} times slower than what was measured: "
            f"the whole model takes {task.device_s * 1e3:g} ms; a sample every "
            f"{task.period_s * 1e3:g} ms, deadline {task.deadline_s:g} s. Times in ms.\n\n"
            + _markdown(summary_table(rows))
        )
    yield f"## Courses\n\n{_markdown(_courses_table(places))}"
    yield "## Every strategy\n\nPer request; times in ms, energy in mJ, the quickest first."
    for place in places:
        title = f"### {place.task.name}, {place.course.name}"
        yield f"{title}\n\n{_markdown(cell_table(place.scores))}"


_AIMS: tuple[tuple[str, Callable[[Comparison], float | None], float, bool], ...] = (
    ("mean over the oracle's", lambda c: c.to_oracle, AIM_ORACLE, False),
    ("p99 less the device's alone, ms", lambda c: _in_ms(c.tail_s), AIM_TAIL_S * 1e3, False),
    ("mean over the oracle's, p99 kept", lambda c: c.kept_to_oracle, AIM_ORACLE, False),
    (
        "p99 less the device's alone, p99 kept, ms",
        lambda c: _in_ms(c.kept_tail_s),
        AIM_TAIL_S * 1e3,
        False,
    ),
    ("mean over the better trivial one's", lambda c: c.to_trivial, AIM_TRIVIAL, False),
    ("best published over its mean, outage-prone", lambda c: c.gain, AIM_GAIN, True),
    ("best published over the oracle's, likewise", lambda c: c.room, AIM_GAIN, True),
)
"""What is aimed at: a figure, its limit, and whether at outage-prone courses, at least that."""


def aims_table(places: Sequence[Place]) -> Table:
    """Return a row for each aim and task: the limit, the median, the worst, and how many reach it.

    Where outages are frequent the published strategies are to be beaten by a factor.
    """
    rows = []
    for title, figure, limit, at_outages in _AIMS:
        for name, mine in _by_task(places):
            found = [
                (value, place.course.name)
                for place in mine
                if (place.rates.outage_prone or not at_outages)
                and place.comparison is not None
                and (value := figure(place.comparison)) is not None
            ]
            if found:
                rows.append([title, name, *_against(found, limit, least=at_outages)])
    return ["aim", "task", "limit", "median", "worst", "reached"], rows


def ahead_of_oracle(places: Sequence[Place]) -> list[str]:
    """Say where contenders were quicker than the oracle and as accurate, and how many.

    One that computes on while an answer is under way may be, and others by a few thousandths, as
    the oracle does not know how a sample will fare. More than that says that something is wrong
    with the oracle or with the accounts.
    """
    found = []
    for place in places:
        ahead = place.comparison.ahead if place.comparison else ()
        if ahead:
            first = min(ahead, key=lambda name: place.scores[name].mean_s)
            ratio = place.scores[first].mean_s / place.scores[ORACLE].mean_s
            where = f"{place.task.name}, {place.course.name}"
            found.append(f"{where}: {len(ahead)}, the quickest {first} at {ratio:.3f}")
    return found


def _against(found: Sequence[tuple[float, str]], limit: float, *, least: bool) -> list[str]:
    worst, where = min(found) if least else max(found)
    values = [value for value, _ in found]
    reached = sum(value >= limit if least else value <= limit for value in values)
    sign = ">=" if least else "<="
    return [
        f"{sign} {limit:g}",
        f"{np.median(values):.3g}",
        f"{worst:.3g} ({where})",
        f"{reached} of {len(values)}",
    ]


def draw(places: Sequence[Place]) -> str:
    """Return the figure: each strategy's mean latency over the oracle's, by course and task."""
    by_task = list(_by_task([place for place in places if place.scores]))
    names = list(dict.fromkeys(name for place in places for name in place.scores))
    with plot_style():
        figure = new_figure(1.2 + (1.6 + 0.26 * len(names)) * len(by_task))
        panels: Any = figure.subplots(len(by_task), 1, squeeze=False)
        for axes, (name, mine) in zip(panels[:, 0], by_task, strict=True):
            _panel(axes, name, mine, names)
        return to_svg(figure, "strategies")


def _panel(axes: Any, title: str, places: Sequence[Place], names: Sequence[str]) -> None:
    ratios = np.array([[_ratio(place, name) for place in places] for name in names])
    order = np.argsort([np.nanmean(row) if not np.isnan(row).all() else 99 for row in ratios])
    ratios = ratios[order]
    axes.imshow(np.log(ratios), cmap="viridis_r", vmin=0, vmax=np.log(4), aspect="auto")
    axes.grid(False)
    ticks = [place.course.name + (" o" if place.rates.outage_prone else "") for place in places]
    axes.set_xticks(range(len(places)), ticks, rotation=40, ha="right", fontsize=7)
    axes.set_yticks(range(len(names)), [names[at] for at in order], fontsize=8)
    axes.set_title(f"{title}: mean latency over the oracle's", fontsize=10)
    for (row, column), ratio in np.ndenumerate(ratios):
        if not np.isnan(ratio):
            ink = "white" if ratio > 2 else "#222222"
            size = {"ha": "center", "va": "center", "fontsize": 6}
            axes.text(column, row, f"{ratio:.2f}", color=ink, **size)


def _ratio(place: Place, name: str) -> float:
    """Return a mean over the oracle's, or over the quickest where the oracle did not run."""
    if name not in place.scores:
        return float("nan")
    least_s = min(score.mean_s for score in place.scores.values())
    oracle = place.scores.get(ORACLE)
    return place.scores[name].mean_s / (oracle.mean_s if oracle else least_s)


def _courses_table(places: Sequence[Place]) -> Table:
    seen = {place.course.name: place for place in places}
    rows = [
        [
            place.course.name + (" o" if place.rates.outage_prone else ""),
            place.course.kind,
            f"{place.rates.mean_bps / 1e6:.2f}",
            f"{place.rates.p5_bps / 1e6:.2f}",
            f"{place.rates.outage_share:.1%}",
            place.course.rtt,
            place.course.told,
        ]
        for place in seen.values()
    ]
    return ["", "uplink is", "mean Mbit/s", "p5", "out", "round trip", "what it is"], rows


def _by_task(places: Sequence[Place]) -> Iterator[tuple[str, list[Place]]]:
    for name in dict.fromkeys(place.task.name for place in places):
        yield name, [place for place in places if place.task.name == name]


def _in_ms(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1e3


def _markdown(table: Table) -> str:
    columns, rows = table
    lines = [columns, ["---", *["---:"] * (len(columns) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
