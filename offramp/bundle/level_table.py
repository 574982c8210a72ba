"""The codec levels of a bundle as a table: what they take, and what is answered behind them."""

from __future__ import annotations

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.table import Table

from offramp.boundary_codec import BundleCodecs
from offramp.bundle.archive import Bundle
from offramp.calibration import load_calibration
from offramp.codecs import get

__all__ = ["cheapest_lines", "level_table"]

_SLACK = 0.005  # of right answers, that the cheapest levels may lose
_TAIL = 0.05  # of the multiply-adds, without which behind it a cut saves nothing


def level_table(bundle: Bundle) -> Table:
    """Return a row for each cut and level, on the bundle's calibration samples.

    Raises `BundleError` for a bundle without them.
    """
    calibration, known = load_calibration(bundle), BundleCodecs.of(bundle)
    table = Table(
        title=f"codec levels on {len(calibration.labels)} held-out samples\n"
        f"the whole model is right on {calibration.accuracy:.1%}",
        title_justify="left",
        box=SIMPLE_HEAD,
        pad_edge=False,
    )
    for name in ("cut", "level", "mean bytes", "p95 bytes", "right", "changes"):
        table.add_column(name, justify="left" if name in ("level", "changes") else "right")
    last = None
    for cut, level in sorted(
        calibration.levels, key=lambda at: (at[0], calibration.sizes[at].mean())
    ):
        sizes = calibration.sizes[cut, level]
        right = np.mean(calibration.answers[cut, level] == calibration.labels)
        table.add_row(
            "" if cut == last else str(cut),
            level,
            f"{sizes.mean():.0f}",
            f"{np.quantile(sizes, 0.95):.0f}",
            f"{right:.1%}",
            "learnt" if known.at(cut, level).writes_changes else "",
        )
        last = cut
    return table


def cheapest_lines(bundle: Bundle) -> list[str]:
    """Say what takes fewest bytes as input, as features and by each bottleneck at no great loss.

    Of cuts with little behind them nothing is said. Raises `BundleError` for a bundle without
    calibration samples.
    """
    calibration, manifest = load_calibration(bundle), bundle.manifest
    macs = np.cumsum([0, *(segment.macs for segment in manifest.segments)])
    shares = macs / max(macs[-1], 1)
    groups: dict[str, list[tuple[float, str]]] = {"the compressed input": [], "features": []}
    groups |= {f"the bottleneck at cut {cut}": [] for cut in manifest.bottlenecks}
    for cut, level in calibration.levels:
        right = np.mean(calibration.answers[cut, level] == calibration.labels)
        group = "features" if cut else "the compressed input"
        if get(level).of_latents:
            group = f"the bottleneck at cut {cut}"
        if right >= calibration.accuracy - _SLACK and shares[cut] <= 1 - _TAIL:
            size = float(calibration.sizes[cut, level].mean())
            behind = f", behind {shares[cut]:.0%} of the work" if cut else ""
            groups[group].append((size, f"{size:.0f} B ({level} at cut {cut}{behind})"))
    told = "; ".join(
        f"{group} {min(found)[1] if found else 'at no level'}" for group, found in groups.items()
    )
    return [f"fewest bytes at {_SLACK:.1%} fewer right answers at most, without exits: {told}"]
