"""The least cut: of a bundle's boundaries, those that may leave the device."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from offramp.calibration import Calibration
from offramp.errors import PlanError

__all__ = ["sent_from"]


def sent_from(calibration: Calibration, min_cut: int) -> Calibration:
    """Return what was recorded of boundaries that are sent from a cut on, and of all else.

    No plan of any strategy can send what nothing was recorded of. Raises `PlanError` if nothing
    is left to send although the bundle sends something.
    """
    kept = [place for place in calibration.levels if place[0] >= min_cut]
    if calibration.levels and not kept:
        deepest = max(cut for cut, _ in calibration.levels)
        raise PlanError(
            f"no plan is left: nothing may be sent before cut {min_cut}, and the last one from "
            f"which the bundle sends is {deepest}; lower min_cut, or run without a server"
        )

    def of_these(arrays: Any) -> Any:
        return {place: array for place, array in arrays.items() if place in kept}

    return replace(
        calibration,
        answers=of_these(calibration.answers),
        sizes=of_these(calibration.sizes),
        together=of_these(calibration.together),
        leaves=of_these(calibration.leaves),
    )
