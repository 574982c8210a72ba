"""Figures of bytes against accuracy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from benchmarks.codec_tasks import Level, WithExits
from offramp import codecs
from offramp.report.figure import new_figure, plot_style, to_svg

__all__ = ["best", "by_kind", "draw_cuts", "draw_overview"]

LEAST_TAIL = 0.15
"""Of the multiply-adds: a cut behind which less is left has nothing to send for."""


def by_kind(levels: Sequence[Level]) -> dict[str, list[Level]]:
    """Return the levels of the input, of other cuts with a tail, of the last of these, learned."""
    behind = [level for level in levels if level.cut and level.tail >= LEAST_TAIL]
    learned = [level for level in behind if codecs.get(level.level).of_latents]
    plain = [level for level in behind if level not in learned]
    deepest = max((level.cut for level in plain), default=0)
    return {
        "input": [level for level in levels if level.cut == 0],
        "not learned": plain,
        "at the deepest cut": [level for level in plain if level.cut == deepest],
        "learned": learned,
    }


def best(levels: Sequence[Level]) -> list[Level]:
    """Return the levels that no other of the same cut equals in both bytes and answers."""
    return [
        level
        for level in levels
        if not any(
            other.cut == level.cut
            and (other.bytes, other.lost) != (level.bytes, level.lost)
            and other.bytes <= level.bytes
            and other.lost <= level.lost
            for other in levels
        )
    ]


def draw_cuts(name: str, levels: Sequence[Level]) -> str:
    """Return a figure of the bytes and the accuracy lost: what nothing beats is joined, by cut."""
    with plot_style():
        from matplotlib import colormaps

        figure = new_figure(5)
        axes = figure.subplots()
        cuts = sorted({level.cut for level in levels})
        for cut, learned in sorted({(e.cut, codecs.get(e.level).of_latents) for e in levels}):
            colour = "#111111" if cut == 0 else colormaps["viridis"](cut / (len(cuts) + 1))
            here = [
                level
                for level in levels
                if level.cut == cut and codecs.get(level.level).of_latents == learned
            ]
            label = ("input" if cut == 0 else f"cut {cut}") + (", learned" if learned else "")
            good = sorted(best(here), key=lambda level: level.bytes)
            points = [(level.bytes, -level.lost * 100) for level in good]
            axes.plot(
                *zip(*points, strict=True),
                "--s" if learned else "-o",
                color=colour,
                markersize=4,
                label=label,
            )
            others = [level for level in here if level not in good]
            if others:
                axes.plot(
                    [level.bytes for level in others],
                    [-level.lost * 100 for level in others],
                    "x",
                    color=colour,
                    markersize=4,
                    alpha=0.5,
                )
            for level in good:
                if level.limits:
                    axes.plot(level.limits.order_0, -level.lost * 100, "|", color=colour)
        axes.axhline(0, color="#999999", linewidth=0.8)
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.set_ylim(-6, 1.5)
        axes.set_xlabel("bytes sent for each sample")
        axes.set_ylabel("accuracy above the whole model's (pp)")
        axes.set_title(f"{name}: o best of its cut, x beaten, | order-0 entropy of the codes")
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=8)
        return to_svg(figure, f"codec {name}")


def draw_overview(
    name: str, levels: Sequence[Level], with_exits: Iterable[WithExits | None]
) -> str:
    """Return a figure for strangers: a line for each way to send, down and right of it is worse."""
    kinds = by_kind(levels)
    lines = {
        "the image, compressed": kinds["input"],
        "features, no training": kinds["not learned"],
        "features, learned bottleneck": kinds["learned"],
    }
    points = {
        label: [(level.bytes, -level.lost * 100) for level in _frontier(some)]
        for label, some in lines.items()
        if some
    }
    chosen = sorted((one.bytes, -one.lost * 100) for one in with_exits if one)
    if chosen:
        points["early exits answer most, the rest is sent"] = chosen
    with plot_style():
        figure = new_figure(4)
        axes = figure.subplots()
        for (label, line), colour in zip(points.items(), _COLOURS, strict=False):
            axes.plot(*zip(*line, strict=True), "-o", color=colour, label=label, markersize=4)
        axes.axhline(0, color="#999999", linewidth=0.8)
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.set_ylim(-3, 1)
        axes.set_xlabel("bytes sent for each image, on average (left is better)")
        axes.set_ylabel("accuracy against the whole\nnetwork's (percentage points)")
        axes.set_title(f"{name}: what must cross the network for an answer")
        axes.legend(loc="lower right", fontsize=8)
        return to_svg(figure, f"codec overview {name}")


_COLOURS = ("#111111", "#1f77b4", "#d62728", "#2ca02c")


def _frontier(levels: Sequence[Level]) -> list[Level]:
    """Return the levels, whatever their cut, that no other beats in bytes and answers."""
    ordered = sorted(levels, key=lambda level: (level.bytes, level.lost))
    least = np.minimum.accumulate([level.lost for level in ordered])
    before = [np.inf, *least[:-1]]
    return [level for level, lost in zip(ordered, before, strict=True) if level.lost < lost]
