"""What later exits save on the server and cost in right answers, in words."""

from __future__ import annotations

from itertools import groupby

import numpy as np

from offramp.bundle.manifest import Manifest
from offramp.calibration import Calibration
from offramp.exits.later import tail_macs

__all__ = ["later_lines"]


def later_lines(manifest: Manifest, calibration: Calibration) -> list[str]:
    """Return a line for each cut behind which exits answer on the server, by what was recorded.

    Of several levels it says from what to what.
    """
    lines = []
    for cut, places in groupby(sorted(calibration.leaves), key=lambda place: place[0]):
        levels = [level for _, level in places]
        leaves = [calibration.leaves[cut, level] for level in levels]
        shares = [float(np.mean(left < len(manifest.exits))) for left in leaves]
        saved = [
            _saved_share(manifest, cut, level, left)
            for level, left in zip(levels, leaves, strict=True)
        ]
        fitted = list((manifest.boundaries[cut].later or {}).values())
        worse, better = ([getattr(f, name) for f in fitted] for name in ("worse", "better"))
        lines.append(
            f"cut {cut}: behind it exits answer {_span(shares, '.0%')} of the samples on the "
            f"server and save {_span(saved, '.0%')} of its multiply-adds, at "
            f"{len(levels)} codec levels; on the samples that chose when, {_span(worse, 'd')} "
            f"answers were worse than the end's and {_span(better, 'd')} better"
        )
    return lines


def _saved_share(manifest: Manifest, cut: int, level: str, leaves: np.ndarray) -> float:
    each = tail_macs(manifest, cut, manifest.later_at(cut, level))
    whole = sum(segment.macs for segment in manifest.segments[cut:])
    spent = np.mean([each[at] for at in leaves.tolist()])
    return 1 - float(spent) / max(whole, 1)


def _span(values: list[float] | list[int], form: str) -> str:
    least, most = format(min(values), form), format(max(values), form)
    return least if least == most else f"{least} to {most}"
