"""The stored frontier: the plans that no other beats, as a bundle keeps them to be looked at."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from offramp.bundle.archive import Bundle
from offramp.errors import BundleError, ConfigError
from offramp.names import printable
from offramp.settings import describe_error

__all__ = [
    "FILE",
    "MOST_PLANS",
    "FrontierPlan",
    "PlanFrontier",
    "encode_frontier",
    "frontier_of",
    "frontier_table",
    "in_unit",
]

FILE = "frontier.json"
"""The file of a bundle that holds its frontier."""

MOST_PLANS = 100
"""The most plans that are kept: more tell nobody anything."""

_MAX_FILE_BYTES = 1 << 20

_Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_Share = Annotated[float, Field(ge=0, le=1)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FrontierPlan(_Model):
    """A plan and what it does on the samples: ``device`` work and ``bytes_mean`` are of all."""

    cut: Annotated[int, Field(ge=0)]
    level: str | None = None
    thresholds: tuple[Annotated[float, Field(ge=0, le=2)], ...]
    accuracy: _Share
    device: _Amount
    bytes_mean: _Amount
    sent_share: _Share


class PlanFrontier(_Model):
    """Plans by falling accuracy; no other is as accurate with no more device work and bytes sent.

    Device work is in ``unit``: seconds on a ``machine``, or multiply-adds. What is said of the
    plans was seen on the ``samples`` that chose them, and is promised of none.
    """

    unit: Literal["s", "macs"]
    machine: Annotated[str, Field(max_length=200)] | None = None
    samples: Annotated[int, Field(ge=1)]
    plans: Annotated[tuple[FrontierPlan, ...], Field(min_length=1, max_length=MOST_PLANS)]


def encode_frontier(frontier: PlanFrontier) -> bytes:
    """Return what `FILE` holds."""
    return frontier.model_dump_json(exclude_none=True).encode()


def frontier_of(bundle: Bundle) -> PlanFrontier:
    """Return a bundle's frontier.

    Raises `ConfigError` if it stores none, and `BundleError` if that is of no such model.
    """
    manifest = bundle.manifest
    if FILE not in manifest.files:
        raise ConfigError(
            f"bundle {manifest.name!r} stores no frontier; write one with: offramp calibrate"
        )
    path = bundle.path(FILE)
    if path.stat().st_size > _MAX_FILE_BYTES:
        raise BundleError(f"{path}: {path.stat().st_size} bytes are too many for a frontier")
    try:
        found = PlanFrontier.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise BundleError(f"{FILE}: {describe_error(error)}; get the bundle again") from None
    for plan in found.plans:
        if not manifest.has(plan.cut, plan.level, plan.thresholds):
            raise BundleError(f"{FILE}: {plan!r} is no plan of this model; get the bundle again")
    return found


def frontier_table(frontier: PlanFrontier) -> Table:
    """Return a table with a row for each plan."""
    where = f" on {printable(frontier.machine)}" if frontier.machine else ""
    table = Table(
        title=Text(
            f"plans that no other beats in accuracy, device work{where} and bytes sent, as seen "
            f"on the {frontier.samples} samples that chose them"
        ),
        title_justify="left",
        box=SIMPLE_HEAD,
        pad_edge=False,
    )
    unit = "device ms" if frontier.unit == "s" else "device MMAC"
    for name in ("accuracy", unit, "B/sample", "sent", "cut"):
        table.add_column(name, justify="right")
    for name in ("sends", "thresholds"):
        table.add_column(name, overflow="fold")
    for plan in frontier.plans:
        table.add_row(
            f"{plan.accuracy:.2%}",
            f"{in_unit(frontier, plan):.2f}",
            f"{plan.bytes_mean:.0f}",
            f"{plan.sent_share:.1%}",
            str(plan.cut),
            Text(plan.level or "nothing"),
            " ".join("closed" if t > 1 else f"{t:.3f}" for t in plan.thresholds),
        )
    return table


def in_unit(frontier: PlanFrontier, plan: FrontierPlan) -> float:
    """Return a plan's device work in ms, or in millions of multiply-adds."""
    return plan.device * 1e3 if frontier.unit == "s" else plan.device / 1e6
