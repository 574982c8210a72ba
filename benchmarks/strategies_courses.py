"""The courses of links on which strategies are compared: recorded, stand-ins, and generated.

Each is replayed from five places. Recordings of uplinks are used as they are. Where only downloads
were recorded they stand in for uplinks, those of 4G and 5G as a tenth, and are called proxies.
"""

from __future__ import annotations

import csv
import gzip
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from examples.dataset import SHARED
from offramp.files import write_file
from sim.model import build_link
from sim.rates.trace import RateTrace
from sim.traces import read_trace
from sim.world.link import VirtualLink
from sim.world.way import WaySettings

__all__ = [
    "OUTAGE_BPS",
    "OUTAGE_PRONE",
    "PLACES",
    "Course",
    "Rates",
    "build_courses",
    "rates_of",
    "scaled_text",
]

PLACES = 5
OUTAGE_BPS = 0.05e6
OUTAGE_PRONE = 0.02
"""A course is prone to outages if so large a share of its seconds carries less than that."""

_TESTS, _TEST_S = 60, 10.0
_TENTH = 0.1
_LONG_S = 1000.0
_RTT_S = {"lte": 0.05, "5g": 0.03, "3g": 0.1, "wifi": 0.01, "line": 0.02}


@dataclass(frozen=True)
class Course:
    """Links that devices replay, as many places in each as make `PLACES` in all.

    ``kind`` is ``uplink``, ``proxy`` or ``generated``; ``rtt`` and ``told`` say what the round trip
    and the rates are; ``board`` names what a device draws (`partitioner.boards`). ``ways`` are
    settings of `sim.world.way.WaySettings`, with their places ``offset_s`` apart.
    """

    name: str
    kind: str
    rtt: str
    told: str
    board: str
    ways: tuple[dict[str, Any], ...]

    @property
    def places_each(self) -> int:
        """How many places there are in each of the links."""
        return PLACES // len(self.ways)


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

    Generated ones are always there.
    """
    makers: tuple[Callable[[], Iterator[Course]], ...] = (
        lambda: _mahimahi(data / "mahimahi"),
        lambda: _speed_tests(data / "lumos5g-abr" / "speedtest_ookla_up_down_rtt.csv.gz"),
        lambda: _sets(folder, data),
        _generated,
    )
    return [course for make in makers for course in make()]


def rates_of(course: Course, seconds: float) -> Rates:
    """Return what a course carries where it is replayed for so long from each place.

    Of a generated one, whose places have seeds of their own, it is what another seed carries.
    """
    if course.kind == "generated":
        seconds = max(seconds, _LONG_S)
    found = []
    for way in course.ways:
        settings = WaySettings.model_validate(way)
        model = build_link(settings.link())
        for place in range(course.places_each):
            up = VirtualLink(model, place * settings.offset_s).up
            found += [8 * up.served_bytes(at, at + 1) for at in range(round(seconds))]
    bps = np.array(found)
    return Rates(float(bps.mean()), float(np.quantile(bps, 0.05)), float((bps < OUTAGE_BPS).mean()))


def _link(up: dict[str, Any], down: dict[str, Any], rtt_s: float) -> dict[str, Any]:
    delay = {"kind": "delay", "seconds": rtt_s / 2}
    return {
        "up": [{"kind": "rate", **up}, delay],
        "down": [{"kind": "rate", **down}, delay],
    }


def _stated(net: str) -> str:
    return f"{_RTT_S[net] * 1e3:g} ms, stated"


def _mahimahi(folder: Path) -> Iterator[Course]:
    for up in sorted(folder.glob("*.up.gz")):
        name = up.name.removesuffix(".up.gz")
        net = "3g" if any(old in name for old in ("EVDO", "UMTS")) else "lte"
        down = folder / f"{name}.down.gz"
        link = _link({"trace": str(up)}, {"trace": str(down)}, _RTT_S[net])
        ways = ({"described": link, "offset_s": read_trace(up).period_s / PLACES},)
        told = "mahimahi, both directions recorded"
        yield Course(name, "uplink", _stated(net), told, "rpi4-lte", ways)


def _speed_tests(file: Path) -> Iterator[Course]:
    """Yield a course for each radio: its tests, each of which lasts, one after the other."""
    if not file.is_file():
        return
    with gzip.open(file, "rt", newline="") as stream:
        rows = sorted(csv.DictReader(stream), key=_tested_at)
    for radio in sorted({row["radio_type"] for row in rows}):
        tests = _spread([row for row in rows if row["radio_type"] == radio], _TESTS)
        link = {"phases": [_phase(at, row) for at, row in enumerate(tests)], "repeat": True}
        ways = ({"described": link, "offset_s": len(tests) * _TEST_S / PLACES},)
        told = f"{len(tests)} Ookla speed tests in order of date, {_TEST_S:g} s each"
        yield Course(f"speedtest-{radio}", "uplink", "recorded", told, "rpi4-lte", ways)


def _tested_at(row: dict[str, str]) -> datetime:
    return datetime.strptime(row["Date"], "%m/%d/%Y, %I:%M %p")


def _phase(at: int, row: dict[str, str]) -> dict[str, Any]:
    up, down = ({"bps": float(row[f"{way}link_Mbps"]) * 1e6} for way in ("up", "down"))
    link = _link(up, down, float(row["latency_ms"]) / 1e3)
    return {"name": f"test {at}", "seconds": _TEST_S, **link}


def _sets(folder: Path, data: Path) -> Iterator[Course]:
    """Yield a course for each part of the sets of downloads: five recordings of it."""
    for part in _PARTS:
        home = data / part.file
        if not home.is_file():
            continue
        names = [name for name in _names(home) if part.pattern in name]
        paths = [home / name / part.column for name in _spread(names, PLACES)]
        ways = tuple(
            {"described": _link(_up(folder, path, part.factor), _down(path), _RTT_S[part.net])}
            for path in paths
        )
        share = "" if part.factor == 1 else f" x {part.factor:g}"
        told = f"{part.told}{share}, {PLACES} recordings"
        board = "rpi4-wifi" if part.net in ("wifi", "line") else "rpi4-lte"
        yield Course(part.name, "proxy", _stated(part.net), told, board, ways)


@dataclass(frozen=True)
class _Part:
    """Recordings of a set whose names hold a pattern; ``factor`` makes uplinks of downloads."""

    name: str
    file: str
    pattern: str
    net: str
    factor: float
    told: str
    column: str = ""


_SBU = ("sbu-wifi-cell/traces.zip", "bytes_per_second")
_DOWN, _UNKNOWN = "download", "direction not stated, taken as download"
_PARTS = (
    _Part("lumos-5g-walking", "lumos5g-abr/lumos5g_5g.npz", "walking", "5g", _TENTH, _DOWN),
    _Part("lumos-5g-driving", "lumos5g-abr/lumos5g_5g.npz", "driving", "5g", _TENTH, _DOWN),
    _Part("lumos-4g-walking", "lumos5g-abr/lumos5g_4g.npz", "walking", "lte", _TENTH, _DOWN),
    _Part("lumos-4g-driving", "lumos5g-abr/lumos5g_4g.npz", "driving", "lte", _TENTH, _DOWN),
    _Part("sbu-cellular", _SBU[0], "_cellular", "lte", _TENTH, _UNKNOWN, _SBU[1]),
    _Part("sbu-wifi", _SBU[0], "_wifi", "wifi", 1.0, _UNKNOWN, _SBU[1]),
    _Part("hsdpa-bus", "pensieve/pensieve_test_fcc_hsdpa.npz", "norway_bus", "3g", 1.0, _DOWN),
    _Part("hsdpa-train", "pensieve/pensieve_test_fcc_hsdpa.npz", "norway_train", "3g", 1.0, _DOWN),
    _Part("fcc", "pensieve/pensieve_train_fcc_hsdpa.npz", "/trace_", "line", 1.0, _DOWN),
)


def _names(home: Path) -> list[str]:
    if home.suffix == ".zip":
        with zipfile.ZipFile(home) as archive:
            return sorted(archive.namelist())
    with np.load(home, allow_pickle=False) as arrays:
        return sorted(str(name) for name in arrays["names"])


def _down(path: Path) -> dict[str, Any]:
    return {"trace": str(path)}


def _up(folder: Path, path: Path, factor: float) -> dict[str, Any]:
    """Return the settings of a rate that is a recorded one times a factor."""
    if factor == 1:
        return {"trace": str(path)}
    name = "-".join(path.parts[-3:]).replace("/", "-")
    folder.mkdir(parents=True, exist_ok=True)
    scaled = folder / f"{name}-x{factor:g}.csv"
    write_file(scaled, scaled_text(read_trace(path), factor).encode())
    return {"trace": str(scaled)}


def scaled_text(trace: RateTrace, factor: float) -> str:
    """Return a trace times a factor as columns, if its last step is as long as that before."""
    rows = [
        f"{at_s!r},{factor * 8 * (after - before) / (until_s - at_s)!r}"
        for (at_s, before), (until_s, after) in pairwise(trace.knots)
    ]
    return "\n".join(["seconds,bps", *rows]) + "\n"


def _spread(members: Sequence[Any], count: int) -> list[Any]:
    """Return so many members, evenly spread from first to last; all if there are not more."""
    if len(members) <= count:
        return list(members)
    return [members[at] for at in np.linspace(0, len(members) - 1, count).round().astype(int)]


def _generated() -> Iterator[Course]:
    rtt_s = _RTT_S["lte"]
    kinds: dict[str, tuple[str, dict[str, Any]]] = {
        "steady": ("5 Mbit/s without end", {"bps": 5e6}),
        "chain": ("a Markov chain like LTE", {"markov": {}}),
        "outages": (
            "5 Mbit/s in the mean, a fifth of the time nothing, for 3 s in the mean",
            {"gilbert_elliott": {"mean_bps": 5e6, "bad_share": 0.2, "bad_s": 3.0}},
        ),
    }
    for name, (told, rate) in kinds.items():
        ways = ({"described": _link(rate, rate, rtt_s)},)
        yield Course(name, "generated", _stated("lte"), told, "rpi4-lte", ways)
