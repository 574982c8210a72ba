"""The page that `benchmarks.strategies` writes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.strategies_aims import ahead_of_oracle, aims_table, by_task
from benchmarks.strategies_cells import WARM_UP_S
from benchmarks.strategies_contenders import TIGHT_SHARE, WAIT_S
from benchmarks.strategies_courses import OUTAGE_BPS, OUTAGE_PRONE, PLACES
from benchmarks.strategies_scores import AIM_TAIL_S, PUBLISHED, Place
from benchmarks.strategies_tables import (
    Table,
    cell_table,
    name_of,
    summary_table,
    tight_table,
    uneven_table,
)
from device.hedge import HedgeSettings

__all__ = ["Made", "page"]

_HEAD = """\
# Strategies measured

Made on {made}. Simulated with the
deployed decision code ([simulator.md](simulator.md)): nothing here was measured on a board or over
the air. [strategies.md](strategies.md) says what each strategy is and what of it
was reconstructed.

- *Devices* are this machine on one thread of ONNX Runtime, slowed by a stated factor, codecs and
  exits included; the *server* is this machine, not slowed, with a worker for each device, so that
  none waits for another.
- `fashion_mnist` and `cifar10` are the trained networks of `examples`. `resnet_50` has the size,
  not the skill: a random backbone with fitted exits and last layer (`benchmarks/large_bundle.py`).
  Its images are enlarged ones, of which JPEG makes 10 kB at quality 90; photographs of that size
  take several times as much, so it flatters whoever sends a compressed input. It was calibrated on
  1,000 images, of which 10 are 1 pp.
- *Samples* are calibration samples, drawn at random and the same for all strategies. One comes
  every 1.5 times what the whole model takes on the device, from {places} places of each course;
  the first {warm_up:g} s count in no figure.
- Under every strategy alike, the accuracy may drop by 1 pp on the calibration samples, and a
  device answers by itself in time for the *deadline*, 5 times the whole model's time. *Missed*:
  later than 1.25 times that time; *overdue*: later than the deadline, by which also those are
  judged that wait for longer; *never*, where there is any: not answered, which counts as wrong,
  missed and overdue, but in no latency.
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
- {seeds}
- Courses marked `h` are *held out*: no constant of the controller was ever tried on them. On the
  others they were, so these may look a little too good.
- *p99 less*: `offramp`'s 99th percentile less that of `device_only`. Percentiles are exact, one of
  the latencies; shares that *missed* come from a histogram with bins of half a per cent.
- *published*: the quickest of {published}
  whose accuracy is at most 0.5 pp below `offramp`'s; *gain*: its mean latency over
  `offramp`'s; *room*: over the oracle's, which is about the most that there is to gain. Published
  rules run with Offramp's estimator, breaker and fallback, which their authors did not have.
- *waiting*: the quickest of the rivals that wait for every answer, as accurate, over `offramp`.
  `neurosurgeon, waiting` and its like neither answer by themselves in time nor leave a silent
  server alone, as a plain call does, for up to {wait:g} s. Offramp's estimator still takes silence
  for a sign, so that samples which come meanwhile run on the device: that is more than they had.
  SPINN falls back to the device by its own paper, so it is not among them. Nor do they count as
  *published*. `dads`, `qdmp` and `edgent` would do here as `neurosurgeon` does.
- `dads` and `qdmp` differ from `neurosurgeon` where several tensors cross a cut that pays, or
  samples come faster than a cut can take them. Of these networks none has such a cut, and of the
  examples only the one for text, whose input is so small that sending it is best.
- *trivial*: the quicker one of `device_only` and `server_only`. `!` marks what misses its aim."""


@dataclass(frozen=True)
class Made:
    """How a page came to be: when and where, at which commit, and by which command."""

    where: str
    commit: str
    command: str

    @property
    def note(self) -> str:
        """What stands below every table."""
        return f"*`{self.command}`, commit {self.commit}*"


_TIGHT = """\
## A deadline that the device alone cannot keep

The deadline is {share:g} times the whole model's time on the device, told to all; elsewhere
deadlines are loose. With one of at least that time `edgent` is `neurosurgeon`, as the whole model
on the device always keeps it. *overdue*: later, or never, the fewest first. *hurried*: answered on
the device by an earlier exit than planned. Offramp's agent does that in time under every strategy,
so that hardly anything is overdue and accuracy is what differs. Often it must begin with that
before the server's answer can come, which counts all the same if it is first. Times in ms."""


_UNEVEN = """\
## Samples that come unevenly

Everywhere else samples come evenly. Here they come by chance (Poisson), as many in the mean: often
one comes while the device is busy with the one before, so that `device_only` would wait for about
as long as it computes. The oracle knows when the next one comes. One seed. Times in ms."""


def page(places: Sequence[Place], made: Made, figure: str) -> str:
    """Return the page; ``figure`` is the path of `draw`'s."""
    return "\n\n".join(_parts(places, made, figure)) + "\n"


def _parts(places: Sequence[Place], made: Made, figure: str) -> Iterator[str]:
    yield _HEAD.format(
        made=made.where,
        seeds=_seeds(places),
        wait=WAIT_S,
        places=PLACES,
        warm_up=WARM_UP_S,
        out=OUTAGE_BPS / 1e6,
        prone=OUTAGE_PRONE,
        hedge=HedgeSettings().max_cpu_share,
        tail=AIM_TAIL_S * 1e3,
        published=", ".join(f"`{name}`" for name in PUBLISHED),
    )
    yield f"## Aims\n\n{_markdown(aims_table(places))}\n\n{made.note}"
    ahead = "".join(f"\n- {line}" for line in ahead_of_oracle(places)) or " none."
    yield f"Strategies that were quicker than the oracle and as accurate:\n{ahead}"
    yield f"![mean latency over the oracle's]({figure})"
    for name, mine in by_task(places):
        task = mine[0].task
        yield (
            f"## {name}\n\nDevice {task.slowdown:.3g} times slower than what was measured: "
            f"the whole model takes {task.device_s * 1e3:g} ms; a sample every "
            f"{task.period_s * 1e3:g} ms, deadline {task.deadline_s:g} s. Times in ms.\n\n"
            f"{_markdown(summary_table(mine))}\n\n{made.note}"
        )
    yield from _tight(places, made)
    if any(place.uneven for place in places):
        yield f"{_UNEVEN}\n\n{_markdown(uneven_table(places))}\n\n{made.note}"
    yield f"## Courses\n\n{_markdown(_courses_table(places))}"
    yield "## Every strategy\n\nPer request; times in ms, energy in mJ, the quickest first. " + (
        f"The first seed.\n\n{made.note}"
    )
    for place in places:
        title = f"### {place.task.name}, {place.course.name}"
        yield f"{title}\n\n{_markdown(cell_table(place.scores))}"


def _seeds(places: Sequence[Place]) -> str:
    """Say under how many seeds what ran."""
    most = max((place.seeds for place in places), default=1)
    if most <= 1:
        return "One seed. Over five the ratio to the oracle varied by 0.01 to 0.04 on poor links."
    return (
        f"{most} seeds: a figure is the median over them, its range in brackets. All that is "
        "compared ran with all:\n  under each seed the quickest rival is found anew, and the one "
        "that is named is the first seed's."
    )


def _tight(places: Sequence[Place], made: Made) -> Iterator[str]:
    """Yield what came of a deadline that binds, where it ran."""
    tried = [place for place in places if place.tight]
    if tried:
        yield _TIGHT.format(share=TIGHT_SHARE) + f"\n\n{made.note}"
    for place in tried:
        title = f"### Tight: {place.task.name}, {place.course.name}"
        yield f"{title}\n\n{_markdown(tight_table(place.tight))}"


def _courses_table(places: Sequence[Place]) -> Table:
    seen = {place.course.name: place for place in places}
    rows = [
        [
            name_of(place),
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


def _markdown(table: Table) -> str:
    columns, rows = table
    lines = [columns, ["---", *["---:"] * (len(columns) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
