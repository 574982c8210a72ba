"""The courses of links on which strategies are compared: recorded, stand-ins, and generated.

Each is replayed from five places. Recordings of uplinks are used as they are. Where only downloads
were recorded they stand in for uplinks, those of 4G and 5G as a tenth, and are called proxies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.strategies_held_out import gophers, round_trips
from benchmarks.strategies_links import PLACES, RTT_S, Course, link, stated
from benchmarks.strategies_recordings import mahimahi, proxies, proxies_held_out, speed_tests
from examples.dataset import SHARED
from sim.model import build_link
from sim.world.link import VirtualLink
from sim.world.way import WaySettings

__all__ = ["OUTAGE_BPS", "OUTAGE_PRONE", "PLACES", "Course", "Rates", "build_courses", "rates_of"]

OUTAGE_BPS = 0.05e6
OUTAGE_PRONE = 0.02
"""A course is prone to outages if so large a share of its seconds carries less than that."""

_LONG_S = 1000.0


@dataclass(frozen=True)
class Rates:
    """What the uplink of a course carries in the seconds that are replayed."""

    mean_bps: float
    p5_bps: float
    outage_share: float

    @property
    def outage_prone(self) -> bool:
        """Whether outages are frequent."""
        return self.outage_share >= OUTAGE_PRONE


def build_courses(folder: Path, data: Path = SHARED) -> list[Course]:
    """Return every course whose recordings are in ``data``; scaled ones are written to ``folder``.

    Generated ones are always there; those that are held out come last.
    """
    makers: tuple[Callable[[], Iterator[Course]], ...] = (
        lambda: mahimahi(data / "mahimahi"),
        lambda: speed_tests(data / "lumos5g-abr" / "speedtest_ookla_up_down_rtt.csv.gz"),
        lambda: proxies(folder, data),
        _generated,
        lambda: proxies_held_out(folder, data),
        lambda: gophers(folder, data / "5gophers" / "5Gophers-v1.0.zip"),
        lambda: round_trips(data / "mecperf" / "active.tar.xz"),
    )
    found = [course for make in makers for course in make()]
    return sorted(found, key=lambda course: course.held_out)


def rates_of(course: Course, seconds: float) -> Rates:
    """Return what a course carries where it is replayed for so long from each place.

    Of a generated one, whose places have seeds of their own, it is what another seed carries.
    """
    if course.kind == "generated":
        seconds = max(seconds, _LONG_S)
    found = []
    for way, places in zip(course.ways, course.places, strict=True):
        settings = WaySettings.model_validate(way)
        model = build_link(settings.link())
        for place in range(places):
            up = VirtualLink(model, place * settings.offset_s).up
            found += [8 * up.served_bytes(at, at + 1) for at in range(round(seconds))]
    bps = np.array(found)
    return Rates(float(bps.mean()), float(np.quantile(bps, 0.05)), float((bps < OUTAGE_BPS).mean()))


def _generated() -> Iterator[Course]:
    rtt_s = RTT_S["lte"]
    kinds: dict[str, tuple[str, dict[str, Any]]] = {
        "steady": ("5 Mbit/s without end", {"bps": 5e6}),
        "chain": ("a Markov chain like LTE", {"markov": {}}),
        "outages": (
            "5 Mbit/s in the mean, a fifth of the time nothing, for 3 s in the mean",
            {"gilbert_elliott": {"mean_bps": 5e6, "bad_share": 0.2, "bad_s": 3.0}},
        ),
    }
    for name, (told, rate) in kinds.items():
        ways = ({"described": link(rate, rate, rtt_s)},)
        yield Course(name, "generated", stated("lte"), told, "rpi4-lte", ways)
