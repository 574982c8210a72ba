"""Courses of sets that no constant of the controller was ever tried on.

5Gophers are downloads of the first commercial 5G (2019), by carrier; MECPerf are round trips over
LTE to a server at the edge, which come in rows of 25 with a long first one, as the radio wakes up.
"""

from __future__ import annotations

import lzma
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.strategies_links import PLACES, RTT_S, Course, link, scaled, stated
from benchmarks.strategies_recordings import TENTH
from offramp.errors import InputError
from sim.traces import read_trace

__all__ = ["gophers", "round_trips", "round_trips_ms"]

_MOVING = "5Gophers-v1.0/All-Carriers/03-User-Mobility"
_DRIVES = (
    *(f"car-driving-trace-1.csv/{carrier}" for carrier in ("Sprint", "TMobile", "Verizon")),
    *(f"car-driving-trace-2.csv/{carrier}" for carrier in ("Sprint", "TMobile")),
)
_UP, _DOWN = {"bps": 5e6}, {"bps": 20e6}
_FILES = 24
_STEP_S = 1.0


def gophers(folder: Path, file: Path) -> Iterator[Course]:
    """Yield a course of drives and one of a walk between 4G and 5G."""
    if not file.is_file():
        return
    drives = [file / _MOVING / f"{drive}_throughput_mbps" for drive in _DRIVES]
    told = f"download x {TENTH:g}"
    yield _course("gophers-driving", f"{told}, 5 recordings, 3 carriers", _ways(folder, drives))
    walk = file / _MOVING / "walking-trace.csv" / "throughput_mbps"
    (way,) = _ways(folder, [walk])
    way["offset_s"] = read_trace(walk).period_s / PLACES
    yield _course("gophers-walking", f"{told}, 1 recording, 4G and 5G", (way,))


def _ways(folder: Path, paths: list[Path]) -> tuple[dict[str, Any], ...]:
    return tuple(
        {"described": link(scaled(folder, path, TENTH), {"trace": str(path)}, RTT_S["5g"])}
        for path in paths
    )


def _course(name: str, told: str, ways: tuple[dict[str, Any], ...]) -> Course:
    return Course(name, "proxy", stated("5g"), told, "rpi4-lte", ways, held_out=True)


def round_trips(file: Path) -> Iterator[Course]:
    """Yield a course of recorded round trips, each of which lasts a second, at a stated rate."""
    if not file.is_file():
        return
    phases = [
        {"name": f"round trip {at}", "seconds": _STEP_S, **link(_UP, _DOWN, found_ms / 1e3)}
        for at, found_ms in enumerate(round_trips_ms(file))
    ]
    described = {"phases": phases, "repeat": True}
    ways = ({"described": described, "offset_s": len(phases) * _STEP_S / PLACES},)
    told = f"{_UP['bps'] / 1e6:g} Mbit/s without end, {len(phases)} round trips of LTE to an edge"
    yield Course("mecperf-lte", "generated", "recorded", told, "rpi4-lte", ways, held_out=True)


def round_trips_ms(file: Path) -> list[float]:
    """Return the round trips of the first files of a set-up in MECPerf's archive, in their order.

    Each file is one line of ``time_milliseconds``, with commas between. Raises `InputError` if the
    archive holds something else.
    """
    found = []
    try:
        with lzma.open(file) as stream, tarfile.open(fileobj=stream) as archive:
            texts = {member.name: archive.extractfile(member) for member in _members(archive)}
            for name in sorted(texts, key=lambda name: int(name.split("trace")[-1][:-4]))[:_FILES]:
                text = texts[name]
                assert text is not None
                fields = text.read().decode().replace("\n", ",").split(",")
                found += [float(field.rpartition("_")[2]) for field in fields if field.strip()]
    except (OSError, ValueError, lzma.LZMAError, tarfile.TarError) as error:
        raise InputError(f"{file} is not an archive of MECPerf's round trips: {error}") from None
    return found


def _members(archive: tarfile.TarFile) -> list[tarfile.TarInfo]:
    wanted = "lte-TCPRTT-noise0M_Client_edge_trace"
    return [member for member in archive.getmembers() if wanted in member.name]
