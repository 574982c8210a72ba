"""Recorded courses: uplinks as they are, and downloads in their place, called proxies.

Of each set some recordings are used to try the controller's constants on; others are held out.
"""

from __future__ import annotations

import csv
import gzip
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.strategies_links import (
    PLACES,
    RTT_S,
    Course,
    link,
    others,
    scaled,
    spread,
    stated,
)
from sim.traces import read_trace

__all__ = ["TENTH", "board_of", "mahimahi", "proxies", "proxies_held_out", "speed_tests"]

TENTH = 0.1
"""What of a download of 4G or 5G stands for an uplink."""

_TESTS, _TEST_S = 60, 10.0
_HELD_OUT_RADIO = "4G-LTE"  # those of 5G are so quick that every strategy does the same


def mahimahi(folder: Path) -> Iterator[Course]:
    """Yield a course for each recording of an uplink in the folder."""
    for up in sorted(folder.glob("*.up.gz")):
        name = up.name.removesuffix(".up.gz")
        net = "3g" if any(old in name for old in ("EVDO", "UMTS")) else "lte"
        down = folder / f"{name}.down.gz"
        described = link({"trace": str(up)}, {"trace": str(down)}, RTT_S[net])
        ways = ({"described": described, "offset_s": read_trace(up).period_s / PLACES},)
        told = "mahimahi, both directions recorded"
        yield Course(name, "uplink", stated(net), told, "rpi4-lte", ways)


def speed_tests(file: Path) -> Iterator[Course]:
    """Yield a course for each radio: its tests, each of which lasts, one after the other.

    And one of the slowest radio's tests that are left.
    """
    if not file.is_file():
        return
    with gzip.open(file, "rt", newline="") as stream:
        rows = sorted(csv.DictReader(stream), key=_tested_at)
    for radio in sorted({row["radio_type"] for row in rows}):
        mine = [row for row in rows if row["radio_type"] == radio]
        yield _tested(f"speedtest-{radio}", spread(mine, _TESTS))
        if radio == _HELD_OUT_RADIO and (left := others(mine, _TESTS)):
            yield replace(_tested(f"speedtest-{radio}-others", left), held_out=True)


def _tested(name: str, tests: Sequence[dict[str, str]]) -> Course:
    described = {"phases": [_phase(at, row) for at, row in enumerate(tests)], "repeat": True}
    ways = ({"described": described, "offset_s": len(tests) * _TEST_S / PLACES},)
    told = f"{len(tests)} Ookla speed tests in order of date, {_TEST_S:g} s each"
    return Course(name, "uplink", "recorded", told, "rpi4-lte", ways)


def _tested_at(row: dict[str, str]) -> datetime:
    return datetime.strptime(row["Date"], "%m/%d/%Y, %I:%M %p")


def _phase(at: int, row: dict[str, str]) -> dict[str, Any]:
    up, down = ({"bps": float(row[f"{way}link_Mbps"]) * 1e6} for way in ("up", "down"))
    described = link(up, down, float(row["latency_ms"]) / 1e3)
    return {"name": f"test {at}", "seconds": _TEST_S, **described}


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
_TEST_SET = "pensieve/pensieve_test_fcc_hsdpa.npz"
_TRAIN_SET = "pensieve/pensieve_train_fcc_hsdpa.npz"
_PARTS = (
    _Part("lumos-5g-walking", "lumos5g-abr/lumos5g_5g.npz", "walking", "5g", TENTH, _DOWN),
    _Part("lumos-5g-driving", "lumos5g-abr/lumos5g_5g.npz", "driving", "5g", TENTH, _DOWN),
    _Part("lumos-4g-walking", "lumos5g-abr/lumos5g_4g.npz", "walking", "lte", TENTH, _DOWN),
    _Part("lumos-4g-driving", "lumos5g-abr/lumos5g_4g.npz", "driving", "lte", TENTH, _DOWN),
    _Part("sbu-cellular", _SBU[0], "_cellular", "lte", TENTH, _UNKNOWN, _SBU[1]),
    _Part("sbu-wifi", _SBU[0], "_wifi", "wifi", 1.0, _UNKNOWN, _SBU[1]),
    _Part("hsdpa-bus", _TEST_SET, "norway_bus", "3g", 1.0, _DOWN),
    _Part("hsdpa-train", _TEST_SET, "norway_train", "3g", 1.0, _DOWN),
    _Part("fcc", _TRAIN_SET, "/trace_", "line", 1.0, _DOWN),
)
_OTHERS = ("lumos-5g-driving", "lumos-4g-driving", "sbu-cellular", "sbu-wifi")
"""Parts of which recordings are left that no constant was tried on."""

_HELD_OUT = (
    _Part("hsdpa-tram", _TRAIN_SET, "/tram.", "3g", 1.0, _DOWN),
    _Part("hsdpa-ferry", _TRAIN_SET, "/ferry.", "3g", 1.0, _DOWN),
)


def proxies(folder: Path, data: Path) -> Iterator[Course]:
    """Yield a course for each part of the sets of downloads: five recordings, or what there is."""
    for part in _PARTS:
        yield from _recorded(folder, data, part, spread)


def proxies_held_out(folder: Path, data: Path) -> Iterator[Course]:
    """Yield courses of recordings that are not those of `proxies`."""
    for part in (*(part for part in _PARTS if part.name in _OTHERS), *_HELD_OUT):
        chosen = others if part.name in _OTHERS else spread
        for course in _recorded(folder, data, part, chosen):
            name = f"{part.name}-others" if part.name in _OTHERS else part.name
            yield replace(course, name=name, held_out=True)


def _recorded(
    folder: Path, data: Path, part: _Part, choose: Callable[[list[str], int], list[str]]
) -> Iterator[Course]:
    """Yield the course of the recordings of a part that are chosen, if there are any."""
    home = data / part.file
    names = _names(home, part.pattern) if home.is_file() else []
    chosen = choose(names, PLACES)
    if not chosen:
        return
    paths = [home / name / part.column for name in chosen]
    ways = tuple(
        {
            "described": link(scaled(folder, path, part.factor), _down(path), RTT_S[part.net]),
            "offset_s": read_trace(path).period_s / PLACES,
        }
        for path in paths
    )
    share = "" if part.factor == 1 else f" x {part.factor:g}"
    told = f"{part.told}{share}, {len(paths)} recording{'s' * (len(paths) > 1)}"
    yield Course(part.name, "proxy", stated(part.net), told, board_of(part.net), ways)


def board_of(net: str) -> str:
    """Return the board that a device on such a network is taken to be."""
    return "rpi4-wifi" if net in ("wifi", "line") else "rpi4-lte"


def _names(home: Path, pattern: str) -> list[str]:
    if home.suffix == ".zip":
        with zipfile.ZipFile(home) as archive:
            names = sorted(archive.namelist())
    else:
        with np.load(home, allow_pickle=False) as arrays:
            names = sorted(str(name) for name in arrays["names"])
    return [name for name in names if pattern in name]


def _down(path: Path) -> dict[str, Any]:
    return {"trace": str(path)}
