"""Quantised heads: what a bundle says of their backend, and of what they cost and gain."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from offramp.names import check_name

__all__ = ["Accuracy", "Quantised", "cost_lines", "cost_rows"]

Count = Annotated[int, Field(ge=1)]
Name = Annotated[str, AfterValidator(check_name)]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Difference = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Accuracy(_Model):
    """The share of samples that an exit or the whole model answers rightly, both ways."""

    name: Name
    exact: Share
    quantised: Share

    @property
    def cost_points(self) -> float:
        """What quantising costs, in percentage points; below 0 it gains."""
        return 100 * (self.exact - self.quantised)


class Quantised(_Model):
    """The device's head is quantised: ``backend`` runs it, and all of the model left to the device.

    ``range_samples`` set the ranges; all else is of ``samples`` others. ``accuracies`` has each
    exit, then the whole model. ``same_share`` is how often the whole model answers the same both
    ways; the differences of its first output are shares of that one's largest magnitude. The bytes
    are of all programs with their weights; the times, of the whole model on one sample and one
    thread, were measured where the bundle was compiled.
    """

    backend: Name
    range_samples: Count
    samples: Count
    accuracies: Annotated[tuple[Accuracy, ...], Field(min_length=1)]
    same_share: Share
    max_relative_difference: Difference
    mean_relative_difference: Difference
    exact_bytes: Count
    quantised_bytes: Count
    exact_s: Positive
    quantised_s: Positive


def cost_rows(quantised: Quantised) -> list[tuple[str, str, str, str]]:
    """Return what is measured, for the exact model and the quantised one, and what that costs."""
    names = [*(f"exit {one.name}" for one in quantised.accuracies[:-1]), "whole model"]
    rows = [
        (f"accuracy, {name}", f"{one.exact:.1%}", f"{one.quantised:.1%}", _points(one))
        for name, one in zip(names, quantised.accuracies, strict=True)
    ]
    size = [n / 1e6 for n in (quantised.exact_bytes, quantised.quantised_bytes)]
    time = [s * 1e3 for s in (quantised.exact_s, quantised.quantised_s)]
    for name, (exact, ours), unit in (("programs", size, "MB"), ("time of the whole", time, "ms")):
        change = f"x {ours / exact:.2f}"
        rows.append((name, f"{exact:.2f} {unit}", f"{ours:.2f} {unit}", change))
    return rows


def cost_lines(quantised: Quantised) -> list[str]:
    """Return in words what a table of `cost_rows` leaves open."""
    return [
        f"heads run on {quantised.backend}, tails do not; its ranges are from "
        f"{quantised.range_samples} samples, the figures from {quantised.samples} others",
        f"the whole model answers {quantised.same_share:.1%} of them as before; its outputs differ "
        f"by {quantised.max_relative_difference:.2g} of the largest at most, "
        f"{quantised.mean_relative_difference:.2g} on average",
    ]


def _points(one: Accuracy) -> str:
    return f"{0 - one.cost_points:+.1f} points"
