"""What calibrating found, as tables."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from offramp.bundle import Manifest
from offramp.bundle.allowed import AllowedPlan, allowed_lines
from offramp.exits import softmax
from offramp.exits.policy import CLOSED
from offramp.guarantee.calibrating import Recording
from offramp.guarantee.measures import auroc, brier, calibration_error, share_interval

__all__ = ["exit_table", "plan_table"]


def exit_table(manifest: Manifest, recording: Recording) -> Table:
    """Return a table with a row for each exit and the whole model: how often it is right.

    And how well it knows, by its largest probability.
    """
    columns = ("exit", "accuracy", "ECE", "Brier", "AUROC")
    table = _table("exits, on all samples", columns)
    truth = recording.evidence.recorded
    names = [*(spec.name for spec in manifest.exits), "whole model"]
    every = (*recording.evidence.logits, truth.final_logits)
    for name, logits in zip(names, every, strict=True):
        p, right = softmax(logits), logits.argmax(axis=1) == truth.labels
        table.add_row(
            Text(name),
            f"{right.mean():.2%}",
            f"{calibration_error(p.max(axis=1), right):.3f}",
            f"{brier(p.max(axis=1), right):.3f}",
            f"{auroc(p.max(axis=1), right):.3f}",
        )
    return table


def plan_table(manifest: Manifest) -> Table:
    """Return a table with a row for each allowed plan in which something is gained or lost."""
    allowed = manifest.allowed
    assert allowed is not None
    timed = any(plan.mean_s is not None for plan in allowed.plans)
    columns = ("cut", "sends", "thresholds", "leave", "sent (95%)", "drop measured (95%)")
    as_whole = sum(map(_answers_as_whole, allowed.plans))
    lines = [*allowed_lines(allowed), f"exit policy {manifest.policy}"]
    if as_whole:
        lines.append(
            f"besides these plans, {as_whole} close all exits and answer as the whole model does"
        )
    title = "\n".join(lines)
    table = _table(title, (*columns, "device ms") if timed else columns)
    for plan in allowed.plans:
        if _answers_as_whole(plan):
            continue
        shown = " ".join(map(_threshold, plan.thresholds))
        table.add_row(
            str(plan.cut),
            plan.level or "nothing",
            shown,
            f"{plan.left_share:.1%}",
            _sent(plan, allowed.samples),
            f"{plan.accuracy_drop:+.2%}{_between(plan.drop_interval)}",
            *([f"{plan.mean_s * 1e3:.2f}"] if plan.mean_s is not None else []),
        )
    return table


def _answers_as_whole(plan: AllowedPlan) -> bool:
    """Tell whether it is sure to: such a plan has no interval, as nothing was measured."""
    return plan.drop_interval is None


def _threshold(threshold: float) -> str:
    if threshold <= 1:
        return f"{threshold:.5f}"
    return "closed" if threshold >= CLOSED else "watched"


def _sent(plan: AllowedPlan, samples: int) -> str:
    if plan.level is None:
        return "none"
    count = round((1 - plan.left_share) * samples)
    return f"{count / samples:.1%}{_between(share_interval(count, samples))}"


def _between(interval: tuple[float, float] | None) -> str:
    return f" ({interval[0]:.1%} to {interval[1]:.1%})" if interval else ""


def _table(title: str, columns: tuple[str, ...]) -> Table:
    table = Table(title=Text(title), title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for at, name in enumerate(columns):
        table.add_column(name, justify="right" if at else "left")
    return table
