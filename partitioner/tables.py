"""Tables of profiles and plans for people."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from offramp.bundle import Bundle
from offramp.quantities import figure
from offramp.sheet import Column, Sheet
from partitioner.comparison import Compared
from partitioner.costs import FRAME_OVERHEAD_BYTES
from partitioner.measures import get_measure, say_amount
from partitioner.objective import Objective
from partitioner.plan import Plan, Prediction
from partitioner.profile import Profile, Runner, Timing

__all__ = ["plan_columns", "plan_table", "profile_table", "runner_table"]


def profile_table(bundle: Bundle, profile: Profile) -> Sheet:
    """Return head, exit and tail times for every cut, and the quickest codec level.

    Spreads are from the 10% to the 90% quantile; they are left out where there is no room.
    """
    machine, boundaries = profile.machine, bundle.manifest.boundaries
    title = f"{bundle.manifest.name}, {machine.processor}, {machine.cores} cores"
    if not profile.main.exact:
        title += f"; heads on {profile.main.backend}, tails on {profile.tail_runner.backend}"
    exits: list[list[Timing]] = [[] for _ in boundaries]
    for timing, spec in zip(profile.exits, bundle.manifest.exits, strict=True):
        exits[spec.boundary].append(timing)
    quickest = [_quickest(profile, at, [*b.levels]) for at, b in enumerate(boundaries)]
    columns = (
        Column("cut", tuple(map(str, range(len(boundaries))))),
        Column("boundary", tuple(f"{boundary.nbytes} B" for boundary in boundaries), whole=True),
        *_timing_columns("head", [[timing] for timing in profile.head], spare=2),
        *_timing_columns("exit", exits, spare=4),
        *_timing_columns("tail", [[timing] for timing in profile.tail], spare=3),
        Column("quickest encode ms", tuple(quickest), spare=1, whole=True),
    )
    return Sheet(title, columns)


def _quickest(profile: Profile, cut: int, levels: Sequence[str]) -> str:
    times_s = {at: profile.encode[f"{cut}/{at}"].median_s for at in levels if at != "raw"}
    if not times_s:
        return ""
    level = min(times_s, key=lambda at: times_s[at])
    return f"{times_s[level] * 1e3:.2f} ({level})"


def runner_table(profile: Profile) -> Sheet:
    """Return every cut's head time on each backend and thread count, the chosen one marked.

    Where not all fit, those go first that are chosen for the fewest cuts.
    """
    cuts = range(1, len(profile.head))

    def cell(runner: Runner, cut: int) -> str:
        mark = "*" if runner is profile.runner(cut) else ""
        return f"{mark}{runner.head[cut].median_s * 1e3:.2f}"

    columns = [Column("cut", tuple(map(str, cuts)))]
    for runner in profile.runners:
        cells = tuple(cell(runner, cut) for cut in cuts)
        chosen = sum(text.startswith("*") for text in cells)
        name = f"{runner.backend}/{runner.threads}"
        columns.append(Column(name, cells, spare=len(cuts) + 1 - chosen))
    return Sheet("head ms by backend and threads; * is what runs", columns)


def plan_table(bundle: Bundle, plans: Sequence[Compared], objective: Objective) -> Sheet:
    """Return plans with what is predicted of them and what they break, the chosen one first."""
    name = objective.minimise
    told = [(each, each.plan.prediction) for each in plans if each.plan.prediction]
    shown = [each for each in _FIGURES if each.name != "late" or objective.deadline_s]
    columns = [
        Column("", tuple("" if at else "*" for at in range(len(told))), words=True),
        *plan_columns([each.plan for each, _ in told]),
    ]
    if name not in [each.name for each in shown]:
        columns.append(_with_unit(name, [say_amount(name, each.target) for each, _ in told]))
    for each in shown:
        cells = tuple(each.cell(prediction) for _, prediction in told)
        columns.append(Column(each.head, cells, spare=each.spare * (each.name != name)))
    columns.append(Column("accuracy", tuple(f"{each.accuracy:.4f}" for each, _ in told), spare=1))
    broken = tuple(", ".join(b.briefly() for b in each.breaches) for each, _ in told)
    if any(broken):
        columns.append(Column("breaks", broken, words=True))
    by = get_measure(name).definition
    title = f"{bundle.manifest.name}: * is taken, then the best plan of each other cut by {by}"
    return Sheet(title, columns)


def _with_unit(name: str, amounts: Sequence[str]) -> Column:
    """Return a column of amounts, with their unit in its head if they have one in common."""
    parts = [amount.partition(" ") for amount in amounts]
    if len({unit for _, _, unit in parts}) > 1:
        return Column(name, tuple(amounts))
    return Column(f"{name} {parts[0][2]}".rstrip(), tuple(number for number, _, _ in parts))


@dataclass(frozen=True)
class _Figure:
    """Something predicted of a plan, its column's head, and how early it may be left out."""

    name: str
    head: str
    spare: int
    cell: Callable[[Prediction], str]


_FIGURES = (
    _Figure("mean", "mean ms", 5, lambda p: f"{p.mean_s * 1e3:.1f}"),
    _Figure("p95", "p95 ms", 4, lambda p: f"{p.p95_s * 1e3:.1f}"),
    _Figure("late", "late", 2, lambda p: f"{p.miss_share:.1%}"),
    _Figure("sent", "sent", 7, lambda p: f"{p.sent_share:.1%}"),
    _Figure("uplink", "uplink B", 6, lambda p: f"{_uplink_bytes(p):.0f}"),
)


def _uplink_bytes(prediction: Prediction) -> float:
    return prediction.bytes_mean + prediction.sent_share * FRAME_OVERHEAD_BYTES


def plan_columns(plans: Sequence[Plan]) -> tuple[Column, Column, Column]:
    """Return plans' cuts, codec levels and thresholds."""
    thresholds = (
        " ".join("closed" if t > 1 else figure(t) for t in plan.thresholds) for plan in plans
    )
    return (
        Column("cut", tuple(str(plan.cut) for plan in plans)),
        Column("sends", tuple(plan.level or "nothing" for plan in plans), words=True),
        Column("thresholds", tuple(thresholds), words=True, spare=3),
    )


def _timing_columns(name: str, cuts: Sequence[Sequence[Timing]], spare: int) -> list[Column]:
    """Return the medians at each cut, which stay, and their spreads, whose lines are not folded."""
    medians = ("\n".join(f"{each.median_s * 1e3:.2f}" for each in cut) for cut in cuts)
    spreads = ("\n".join(map(_spread, cut)) for cut in cuts)
    return [
        Column(f"{name} ms", tuple(medians)),
        Column(f"{name} spread", tuple(spreads), spare=spare, whole=True),
    ]


def _spread(timing: Timing) -> str:
    """Return from where to where, in milliseconds."""
    return f"{timing.p10_s * 1e3:.2f} to {timing.p90_s * 1e3:.2f}"
