"""The codec levels of a bundle as a table: what they take, and what is answered behind them."""

from __future__ import annotations

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.table import Table

from offramp.boundary_codec import BundleCodecs
from offramp.bundle.archive import Bundle
from offramp.calibration import load_calibration

__all__ = ["level_table"]


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
