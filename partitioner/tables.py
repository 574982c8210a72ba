"""Tables of profiles and plans for people."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Literal

from rich import box
from rich.table import Table
from rich.text import Text

from offramp.bundle import Bundle
from partitioner.measures import get_measure, say_amount
from partitioner.objective import Objective
from partitioner.plan import Plan
from partitioner.profile import Profile, Timing

__all__ = ["plain_table", "plan_cells", "plan_table", "profile_table", "runner_table"]


def profile_table(bundle: Bundle, profile: Profile) -> Table:
    """Return head, exit and tail times for every cut, and the quickest codec level."""
    machine = profile.machine
    title = f"{bundle.manifest.name}, {machine.processor}, {machine.cores} cores"
    if not profile.main.exact:
        title += f"; heads on {profile.main.backend}, tails on {profile.tail_runner.backend}"
    table = plain_table(
        title, ("cut", "boundary", "head ms", "exit ms", "tail ms", "quickest encode ms")
    )
    for cut, boundary in enumerate(bundle.manifest.boundaries):
        encodes = {
            level: profile.encode[f"{cut}/{level}"].median_s
            for level in boundary.levels
            if level != "raw"
        }
        quickest = min(encodes, key=lambda level: encodes[level], default=None)
        table.add_row(
            str(cut),
            f"{boundary.nbytes} B",
            _milliseconds(profile.head[cut]),
            "\n".join(
                _milliseconds(timing)
                for timing, spec in zip(profile.exits, bundle.manifest.exits, strict=True)
                if spec.boundary == cut
            ),
            _milliseconds(profile.tail[cut]),
            Text(f"{encodes[quickest] * 1e3:.2f} ({quickest})" if quickest else ""),
        )
    return table


def runner_table(profile: Profile) -> Table:
    """Return every cut's head time on each backend and thread count, the chosen one marked."""
    names = (f"{runner.backend}/{runner.threads}" for runner in profile.runners)
    table = plain_table("head ms by backend and threads; * is what runs", ("cut", *names))
    for cut in range(1, len(profile.head)):
        marks = ["*" if runner is profile.runner(cut) else "" for runner in profile.runners]
        times = [f"{runner.head[cut].median_s * 1e3:.2f}" for runner in profile.runners]
        table.add_row(str(cut), *(mark + time for mark, time in zip(marks, times, strict=True)))
    return table


def plan_table(bundle: Bundle, chosen: Plan, others: Sequence[Plan], objective: Objective) -> Table:
    """Return the chosen plan and others with what is predicted of them."""
    name, late = objective.minimise, objective.deadline_s is not None
    extra = [] if name in ("mean", "p95", "late") else [name]
    columns = ["", "cut", "sends", "thresholds", *extra, "mean ms", "p95 ms", *["late"] * late]
    table = plain_table(
        f"plans for {bundle.manifest.name}, least {get_measure(name).definition} first",
        (*columns, "accuracy", "sent", "bytes"),
        words=("", "sends", "thresholds"),
    )
    for mark, plan in [("*", chosen), *(("", other) for other in others)]:
        prediction = plan.prediction
        if prediction is None:
            continue
        table.add_row(
            mark,
            *plan_cells(plan),
            *[say_amount(name, prediction.target)] * len(extra),
            f"{prediction.mean_s * 1e3:.1f}",
            f"{prediction.p95_s * 1e3:.1f}",
            *[f"{prediction.miss_share:.1%}"] * late,
            f"{prediction.accuracy:.4f}",
            f"{prediction.sent_share:.1%}",
            f"{prediction.bytes_mean:.0f}",
        )
    return table


def plan_cells(plan: Plan) -> tuple[str, Text, str]:
    """Return a plan's cut, codec level and thresholds, as they stand in a table."""
    thresholds = " ".join("closed" if t > 1 else f"{t:.3g}" for t in plan.thresholds)
    return str(plan.cut), Text(plan.level or "nothing"), thresholds


def plain_table(title: str, columns: Iterable[str], words: Collection[str] = ()) -> Table:
    """Return an empty table; what it is told is shown as it is, never read as markup."""
    table = Table(
        title=Text(title),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    for name in columns:
        justify: Literal["left", "right"] = "left" if name in words else "right"
        table.add_column(Text(name), justify=justify, overflow="fold")
    return table


def _milliseconds(timing: Timing) -> str:
    return f"{timing.median_s * 1e3:.2f} ({timing.p10_s * 1e3:.2f} to {timing.p90_s * 1e3:.2f})"
