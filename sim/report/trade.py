"""The plot of what is traded: accuracy, latency and energy, and the frontier between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from offramp.report.colours import strategy_styles
from offramp.report.figure import fit_scale, new_figure
from sim.report.contenders import Contender, Figures, OverSeeds, Value
from sim.report.frontier import frontier
from sim.report.metrics import each

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Offer", "draw_trade", "find_offers", "spent_on"]

_LINE = "#8A8A8A"


@dataclass(frozen=True)
class Offer:
    """What a strategy came to in the mean; ``best`` if no live one beats it in all three."""

    name: str
    latency: OverSeeds
    accuracy: OverSeeds
    spent: OverSeeds
    best: bool
    live: bool

    @property
    def point(self) -> tuple[float, float, float]:
        """Latency, inaccuracy and what was spent: less is better."""
        return _point(self.latency, self.accuracy, self.spent)


@dataclass(frozen=True)
class _Side:
    """One axis of a panel: what it shows of an offer, in which unit."""

    label: str
    place: int
    factor: float
    logarithmic: bool = True

    def read(self, offer: Offer) -> OverSeeds:
        return (offer.latency, offer.accuracy, offer.spent)[self.place]


def spent_on(contenders: Sequence[Contender]) -> tuple[Value, str]:
    """Return how to read what a request costs the device, and what that is called.

    It is energy where the power of all boards is known, else seconds of processor and radio.
    """
    known = all(one["energy_j"] is not None for c in contenders for one in c.figures())
    if known:
        return each("energy_j"), "energy (mJ a request)"
    return _seconds, "processor and radio (ms a request)"


def find_offers(contenders: Sequence[Contender]) -> list[Offer]:
    """Return what each strategy with any answer came to."""
    read, _ = spent_on(contenders)
    found = [
        (one, latency, accuracy, spent)
        for one in contenders
        if (latency := one.over_seeds(lambda f: f["mean_s"]))
        and (accuracy := one.over_seeds(lambda f: f["accuracy"]))
        and (spent := one.over_seeds(read))
    ]
    live = [place for place, (one, *_) in enumerate(found) if not one.clairvoyant]
    points = [_point(*found[place][1:]) for place in live]
    best = {live[place] for place in frontier(points)}
    return [
        Offer(one.name, latency, accuracy, spent, place in best, place in live)
        for place, (one, latency, accuracy, spent) in enumerate(found)
    ]


def draw_trade(offers: Sequence[Offer], spent: str) -> Figure:
    """Draw each pair of the three, with the frontier of the strategies that are live.

    Filled marks are on the frontier of all three, hollow ones are beaten in all by another.
    """
    latency = _Side("mean latency (ms)", 0, 1e3)
    accuracy = _Side("accuracy (%)", 1, 100, logarithmic=False)
    cost = _Side(spent, 2, 1e3)
    figure = new_figure(4.9)
    panels = figure.subplots(1, 3)
    for axes, (x, y) in zip(
        panels, ((latency, accuracy), (cost, accuracy), (cost, latency)), strict=True
    ):
        _draw_panel(axes, offers, x, y)
    _legend(figure, offers)
    return figure


def _point(latency: OverSeeds, accuracy: OverSeeds, spent: OverSeeds) -> tuple[float, float, float]:
    return latency.mean, -accuracy.mean, spent.mean


def _seconds(figures: Figures) -> float | None:
    requests = figures["requests"]
    return (figures["device_s"] + figures["sending_s"]) / requests if requests else None


def _draw_panel(axes: Any, offers: Sequence[Offer], x: _Side, y: _Side) -> None:
    styles = strategy_styles([offer.name for offer in offers])
    for offer in offers:
        style, across, up = styles[offer.name], x.read(offer), y.read(offer)
        axes.errorbar(
            across.mean * x.factor,
            up.mean * y.factor,
            _error(up, y.factor),
            _error(across, x.factor),
            linestyle="none",
            marker=style.marker,
            color=style.colour,
            markerfacecolor=style.colour if offer.best else "none",
            markersize=11 if style.width > 2.5 else 8,
            elinewidth=1,
            zorder=3,
        )
    if x.logarithmic:
        fit_scale(axes, "x", [x.read(offer).mean for offer in offers])
    if y.logarithmic:
        fit_scale(axes, "y", [y.read(offer).mean for offer in offers])
    axes.set(xlabel=x.label, ylabel=y.label)
    _draw_frontier(axes, [offer for offer in offers if offer.live], x, y)


def _error(spread: OverSeeds, factor: float) -> Any:
    low, high = spread.mean - spread.least, spread.most - spread.mean
    return None if low == high == 0 else [[low * factor], [high * factor]]


def _draw_frontier(axes: Any, offers: Sequence[Offer], x: _Side, y: _Side) -> None:
    """Draw the line that no offer lies beyond, to the edges of the panel."""
    points = [(offer.point[x.place], offer.point[y.place]) for offer in offers]
    best = [offers[place] for place in frontier(points)]
    if not best:
        return
    (_, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    across = [x.read(offer).mean * x.factor for offer in best]
    up = [y.read(offer).mean * y.factor for offer in best]
    axes.step(
        [across[0], *across, right],
        [bottom if y.place == 1 else top, *up, up[-1]],
        where="post",
        color=_LINE,
        linewidth=1.2,
        zorder=1,
        scalex=False,
        scaley=False,
    )


def _legend(figure: Any, offers: Sequence[Offer]) -> None:
    from matplotlib.lines import Line2D

    styles = strategy_styles([offer.name for offer in offers])
    keys = [
        Line2D(
            [],
            [],
            color=styles[offer.name].colour,
            marker=styles[offer.name].marker,
            markerfacecolor=styles[offer.name].colour if offer.best else "none",
            linestyle="none",
            markersize=8,
            label=f" {offer.name}" + ("" if offer.live else " (knows the future)"),
        )
        for offer in offers
    ]
    keys.append(Line2D([], [], color=_LINE, linewidth=1.2, label="frontier of each pair"))
    figure.legend(handles=keys, loc="outside lower center", ncols=4, fontsize=9)
