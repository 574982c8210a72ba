"""What if, as a picture: which plan wins at every pair of values of two axes."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from offramp.errors import ConfigError
from offramp.extras import require_extra
from offramp.files import check_writable, write_file
from partitioner.measures import get_measure
from partitioner.situation import Situation
from partitioner.what_if_axes import Axis
from partitioner.what_if_legend import COLOURS, UNMET, Legend, Places, make_legend

__all__ = ["check_picture", "save_map"]

_ENDINGS = (".svg", ".png")
_OTHER, _UNMET = "#444444", "#ffffff"


def check_picture(path: Path) -> None:
    """Raise `ConfigError` now if `save_map` could not write there after long work.

    It cannot if matplotlib is missing, or the file has another ending or no place.
    """
    if path.suffix.lower() not in _ENDINGS:
        raise ConfigError(f"the picture {path} cannot be written: name a file .svg or .png")
    require_extra("demo", "matplotlib")
    check_writable(path)


def save_map(path: Path, axes: tuple[Axis, Axis], places: Places, at: Situation) -> None:
    """Write a map as a picture, SVG or PNG by the file's ending; same map, same bytes.

    Raises `ConfigError` if it cannot be written.
    """
    from offramp.report.figure import new_figure, to_svg

    figure = new_figure(5)
    _draw(figure, axes, places, at)
    if path.suffix.lower() == ".svg":
        write_file(path, to_svg(figure, "map").encode())
        return
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    write_file(path, buffer.getvalue())


def _draw(figure: Any, axes: tuple[Axis, Axis], places: Places, at: Situation) -> None:
    board = figure.add_subplot()
    legend, (first, second) = make_legend(places), axes
    _paint(board, axes, places, legend)
    title = f"which plan has the least {get_measure(at.objective.minimise).definition}"
    if all(axis.place(axis.get(at), 2) is not None for axis in axes):
        here = [axis.get(at) / axis.per_unit for axis in axes]
        board.plot(*here, "k+", markersize=14, markeredgewidth=2, scalex=False, scaley=False)
        now = ", ".join(f"{axis.name} {axis.show(axis.get(at))} {axis.unit}" for axis in axes)
        title += f"; now (+) {now}"
    board.set(
        title=title,
        xlabel=f"{first.name} ({first.unit})",
        ylabel=f"{second.name} ({second.unit})",
    )
    board.set_xscale(**_scale(first))
    board.set_yscale(**_scale(second))
    for scale in (board.xaxis, board.yaxis):
        scale.set_major_formatter("{x:g}")
    figure.legend(handles=_patches(places, legend), loc="outside lower left", ncols=2, fontsize=8)


def _scale(axis: Axis) -> dict[str, Any]:
    """Return how far apart values stand; 0 stands a little below the least ratio."""
    if not axis.logarithmic:
        return {"value": "linear"}
    if not axis.zero:
        return {"value": "log"}
    return {"value": "symlog", "linthresh": axis.low / axis.per_unit, "linscale": 0.2}


def _paint(board: Any, axes: tuple[Axis, Axis], places: Places, legend: Legend) -> None:
    """Fill the places of a map, each with its plan's colour."""
    from matplotlib.colors import ListedColormap

    other, unmet = len(COLOURS), len(COLOURS) + 1
    cells = [
        [unmet if plan is None else min(legend.numbers[plan.id], other) for plan in row]
        for row in places
    ]
    x, y = (
        np.array(axis.values(count)) / axis.per_unit
        for axis, count in zip(axes, (len(places[0]), len(places)), strict=True)
    )
    colours = ListedColormap([*COLOURS, _OTHER, _UNMET])
    board.pcolormesh(
        x, y, np.array(cells), cmap=colours, vmin=-0.5, vmax=unmet + 0.5, rasterized=True
    )


def _patches(places: Places, legend: Legend) -> list[Any]:
    """Return what each colour stands for."""
    from matplotlib.patches import Patch

    named = zip(COLOURS, legend.texts, strict=False)
    patches = [Patch(color=colour, label=text) for colour, text in named]
    if len(legend.texts) > len(COLOURS):
        patches.append(Patch(color=_OTHER, label="other plans"))
    if any(plan is None for row in places for plan in row):
        patches.append(Patch(facecolor=_UNMET, edgecolor="black", label=UNMET))
    return patches
