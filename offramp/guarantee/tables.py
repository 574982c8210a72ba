"""What calibrating found, as tables."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from offramp.bundle import Manifest
from offramp.calibration import Calibration
from offramp.exits import softmax
from offramp.guarantee.calibrating import Recording
from offramp.guarantee.measures import auroc, brier, calibration_error

__all__ = ["exit_table", "plan_table"]


def exit_table(manifest: Manifest, recording: Recording) -> Table:
    """Return a table with a row for each exit: how often it is right, and how well it knows."""
    columns = ("exit", "accuracy", "ECE", "Brier", "AUROC")
    table = _table("exits, on all samples", columns)
    truth = recording.evidence.recorded
    for spec, logits in zip(manifest.exits, recording.evidence.logits, strict=True):
        p, right = softmax(logits), logits.argmax(axis=1) == truth.labels
        table.add_row(
            Text(spec.name),
            f"{right.mean():.2%}",
            f"{calibration_error(p.max(axis=1), right):.3f}",
            f"{brier(p.max(axis=1), right):.3f}",
            f"{auroc(p.max(axis=1), right):.3f}",
        )
    return table


def plan_table(manifest: Manifest, calibration: Calibration) -> Table:
    """Return a table with a row for each certified plan in which something is gained or lost."""
    guarantee = manifest.guarantee
    assert guarantee is not None
    table = _table(
        f"accuracy at most {guarantee.max_accuracy_drop:.2%} below {calibration.accuracy:.2%} with "
        f"confidence {guarantee.confidence:.3g}, tested on {guarantee.samples} samples; exit "
        f"policy {manifest.policy}",
        ("cut", "sends", "thresholds", "leave", "drop measured"),
    )
    for plan in guarantee.plans:
        if plan.left_share == 0 and plan.accuracy_drop == 0:
            continue  # what answers as the whole model does
        shown = " ".join("closed" if t > 1 else f"{t:.5f}" for t in plan.thresholds)
        table.add_row(
            str(plan.cut),
            plan.level or "nothing",
            shown,
            f"{plan.left_share:.1%}",
            f"{plan.accuracy_drop:+.2%}",
        )
    return table


def _table(title: str, columns: tuple[str, ...]) -> Table:
    table = Table(title=Text(title), title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for at, name in enumerate(columns):
        table.add_column(name, justify="right" if at else "left")
    return table
