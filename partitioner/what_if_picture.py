"""What if, as a picture: which plan wins at every pair of values of two axes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from offramp.errors import ConfigError
from partitioner.plan import Plan
from partitioner.what_if import Axis
from partitioner.what_if_view import COLOURS, legend

__all__ = ["save_map"]


def save_map(path: Path, axes: tuple[Axis, Axis], plans: Sequence[Sequence[Plan]]) -> None:
    """Write a map as a picture, SVG or PNG by the file's ending.

    Raises `ConfigError` if matplotlib is missing or the file cannot be written.
    """
    try:
        from matplotlib.colors import ListedColormap
        from matplotlib.figure import Figure
        from matplotlib.patches import Patch
    except ImportError:
        raise ConfigError(
            "a picture needs matplotlib; install it with: pip install 'offramp[demo]'"
        ) from None
    marks = list(legend(plans).values())[: len(COLOURS)]
    numbers = {plan.id: at for at, (_, plan) in enumerate(marks)}
    cells = np.array([[numbers.get(plan.id, len(COLOURS)) for plan in row] for row in plans])
    figure = Figure((9, 4.6), layout="constrained")
    board = figure.add_subplot()
    x, y = (
        np.array(axis.values(count)) / axis.per_unit
        for axis, count in zip(axes, (len(plans[0]), len(plans)), strict=True)
    )
    white = ListedColormap([*COLOURS, "#ffffff"])
    board.pcolormesh(x, y, cells, cmap=white, vmin=-0.5, vmax=len(COLOURS) + 0.5)
    first, second = axes
    board.set(
        xscale="log" if first.logarithmic else "linear",
        yscale="log" if second.logarithmic else "linear",
        xlabel=f"{first.name} ({first.unit})",
        ylabel=f"{second.name} ({second.unit})",
    )
    patches = [Patch(color=COLOURS[at], label=p.describe()) for at, (_, p) in enumerate(marks)]
    figure.legend(handles=patches, loc="outside lower left", ncols=2, fontsize=8)
    try:
        figure.savefig(path)
    except (OSError, ValueError) as error:
        raise ConfigError(f"the picture {path} cannot be written: {error}") from None
