"""Guarantees: what a bundle promises of its accuracy, and of which plans."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Certified", "Guarantee", "guarantee_lines"]

Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(gt=0, lt=1)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Certified(_Model):
    """Plans of which a guarantee holds: thresholds for the exits up to a cut, and a codec level.

    ``level`` is None at the last cut, where nothing is sent. ``accuracy_drop`` is what was measured
    on the samples that tested, and ``left_share`` how many of them left at an exit.
    """

    cut: Count
    thresholds: tuple[Annotated[float, Field(ge=0, le=2)], ...]
    level: str | None = None
    accuracy_drop: Annotated[float, Field(ge=-1, le=1)]
    left_share: Annotated[float, Field(ge=0, le=1)]


class Guarantee(_Model):
    """The accuracy of the plans drops by at most this much, with this probability, all at once.

    The drop is against the whole model on the device, as a share of all samples; the probability is
    over the choice of the ``samples`` that tested. `docs/guarantee.md` says what it rests on.
    """

    max_accuracy_drop: Share
    confidence: Share
    samples: Annotated[int, Field(ge=1)]
    plans: Annotated[tuple[Certified, ...], Field(min_length=1)]

    def thresholds(self, cut: int, level: str | None) -> list[tuple[float, ...]]:
        """Return the certified threshold vectors of a cut and codec level."""
        return [p.thresholds for p in self.plans if (p.cut, p.level) == (cut, level)]


def guarantee_lines(guarantee: Guarantee) -> list[str]:
    """Say in lines what is promised."""
    cuts = sorted({plan.cut for plan in guarantee.plans})
    return [
        f"accuracy at most {guarantee.max_accuracy_drop:.2%} below the whole model's, with "
        f"confidence {guarantee.confidence:.3g}, tested on {guarantee.samples} samples",
        f"certified: {len(guarantee.plans)} plans at the cuts {', '.join(map(str, cuts))}",
    ]
