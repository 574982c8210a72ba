"""The page: the report of `offramp simulate` as one HTML file, made from its results alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from offramp.files import write_file
from offramp.report.colours import Style, strategy_styles
from offramp.report.figure import plot_style, to_svg
from offramp.report.page import render_page
from sim.report.contenders import Contender, choose_subject, gather_contenders
from sim.report.courses import Course, read_course
from sim.report.headline import write_headline
from sim.report.metrics import COSTS, LATENCIES
from sim.report.tables import Table, build_table, server_table
from sim.report.words import describe_setup, say_emulation

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from sim.report.trade import Offer

__all__ = ["render_report", "write_report"]


@dataclass(frozen=True)
class _Plot:
    """A figure of the page; one that is ``folded`` is seen when its title is chosen."""

    title: str
    svg: str
    caption: str
    folded: bool = False


@dataclass(frozen=True)
class _Tables:
    """The tables of one group, or of all together where ``group`` is empty."""

    group: str
    latencies: Table
    costs: Table


def write_report(results: Mapping[str, Any], path: Path) -> None:
    """Write the report of results (`sim.world.results.gather_results`).

    Raises `ConfigError` if it cannot be written.
    """
    write_file(path, render_report(results).encode())


def render_report(results: Mapping[str, Any]) -> str:
    """Return the report as one HTML page, the same text for the same results."""
    contenders, setup = gather_contenders(results), results["scenario"]
    styles = strategy_styles([one.name for one in contenders])
    groups = [group["name"] for group in setup["groups"]]
    return render_page(
        "sim.report",
        "simulation.html",
        name=setup["name"],
        headline=write_headline(contenders),
        emulation=say_emulation(setup),
        tables=[_tables(contenders, name) for name in ("", *(groups if len(groups) > 1 else ()))],
        servers=[
            (server["name"], server_table(contenders, server["name"]))
            for server in setup["servers"]
        ],
        seeds=max(len(one.runs) for one in contenders),
        subject=choose_subject(contenders).name,
        keys={name: _key(style) for name, style in styles.items()},
        plots=list(_plots(contenders, setup)),
        setup=describe_setup(results, contenders),
    )


def _tables(contenders: Sequence[Contender], group: str) -> _Tables:
    latencies, costs = (build_table(contenders, m, group or None) for m in (LATENCIES, COSTS))
    return _Tables(group, latencies, costs)


def _key(style: Style) -> dict[str, Any]:
    """Return what a short line in a table's row needs, which looks as in the plots."""
    dashes = " ".join(f"{length * style.width:g}" for length in style.dashes)
    return {"colour": style.colour, "width": style.width, "dashes": dashes}


def _plots(contenders: Sequence[Contender], setup: Mapping[str, Any]) -> Iterator[_Plot]:
    from sim.report.latencies import draw_latencies
    from sim.report.trade import draw_trade, find_offers, spent_on

    with plot_style():
        deadlines_s = [group["deadline_s"] for group in setup["groups"]]
        offers = find_offers(contenders)
        if offers:
            yield _plot(
                "How long answers took",
                draw_latencies(contenders, deadlines_s),
                "Above: the further left and the higher a line, the better; one that ends below "
                "100% left requests without an answer. Below: the same on a scale on which the "
                "slowest can be seen; lower is better. All seeds together, the band spans the "
                "seeds. Times to 0.5%; of fewer than 1000 requests p99.9 is the slowest one.",
            )
            _, spent = spent_on(contenders)
            yield _plot(
                "Accuracy, latency, and what the device spends",
                draw_trade(offers, spent),
                _trade_caption(offers, spent),
            )
        yield from _timelines(contenders, setup)


def _trade_caption(offers: Sequence[Offer], spent: str) -> str:
    best = ", ".join(offer.name for offer in offers if offer.best)
    spots: dict[tuple[float, ...], list[str]] = {}
    for offer in offers:
        spots.setdefault(offer.point, []).append(offer.name)
    shared = [" and ".join(names) for names in spots.values() if len(names) > 1]
    same = f" On one spot: {'; '.join(shared)}." if shared else ""
    unknown = "" if "energy" in spent else " No board's power is known: seconds stand for energy."
    return (
        f"Filled: no other strategy is at least as good in all three ({best}). Hollow: one is. "
        "Lines join those that are best in a panel's two. What knows the future is on no "
        f"frontier. Bars span the seeds.{same}{unknown}"
    )


def _timelines(contenders: Sequence[Contender], setup: Mapping[str, Any]) -> Iterator[_Plot]:
    """Make the plots of each group's first watched device, with the first seed."""
    from sim.report.strips import draw_side_by_side

    for group in setup["groups"]:
        courses = {one.name: c for one in contenders if (c := _course(one, group["name"]))}
        if not courses:
            continue
        seed = contenders[0].runs[0]["seed"]
        device = next(iter(courses.values())).device
        yield _plot(
            f"Side by side over time: {device}",
            draw_side_by_side(courses, group["segments"]),
            f"Seed {seed}. Above: what the link truly served; grey where it served nothing. "
            "Middle: how much of the network ran on the device, from blue, nothing, to red, all. "
            "Below: latency, the darker the longer; white where no request ended.",
        )
        subject = choose_subject(contenders).name
        for name in sorted(courses, key=lambda name: name != subject):
            yield _one_timeline(name, courses[name], group, folded=name != subject)


def _one_timeline(name: str, course: Course, group: Mapping[str, Any], *, folded: bool) -> _Plot:
    from sim.report.timelines import draw_course

    return _plot(
        f"{name} over time: {course.device}",
        draw_course(course, group["segments"], group["deadline_s"]),
        "Top: what the link served and what the device believed of it. Middle: the plan in force, "
        "coloured by the codec's level. Bottom: mean and slowest latency of the requests that "
        "ended in each step; a red mark where one was late or had no answer.",
        folded=folded,
    )


def _course(one: Contender, group: str) -> Course | None:
    """Return the course of a group's first device that was watched, with the first seed."""
    courses = map(read_course, one.runs[0]["timelines"])
    return next((c for c in courses if c is not None and c.group == group), None)


def _plot(title: str, figure: Figure, caption: str, *, folded: bool = False) -> _Plot:
    return _Plot(title, to_svg(figure, title), caption, folded)
