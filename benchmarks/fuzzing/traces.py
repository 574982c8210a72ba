"""Targets: recorded links and requests, in every format."""

from __future__ import annotations

import gzip
import io
import zipfile
from pathlib import Path

import numpy as np

from benchmarks.fuzzing.target import Attack, Target, of_file
from sim.traces import read_trace
from sim.traces.stamps import read_stamps

__all__ = ["targets"]

_PACKETS = b"# a drive\n0\n0\n3\n17\n17\n40\n"
_PLAIN = b"0 1.5\n1.0 2\n2.5 0\n4 12e-1\n"
_NAMED = b'"time_s",up_kbps,down_kbps\n0,100,200\n1,"150",90\n2,0,3\n'
_HEADED = b"Time_s down_bps\n0 100e3\n1.5 2e6\n"
_STAMPS = b"timestamp,size\n2026-11-24 10:00:00.5,3\n2026-11-24T11:00:01+01:00,4\n"


def targets() -> tuple[Target, ...]:
    """Return the targets of recordings."""
    lines = ("sim.traces", "sim.traces.lines")
    return (
        Target("link traces", lines, _texts, weight=13),
        Target("trace archives", ("sim.traces.archives",), _archives, weight=10),
        Target("trace sets", ("sim.traces.sets",), _sets, weight=10),
        Target("recorded requests", ("sim.traces.stamps",), _stamps, weight=20),
    )


def _texts(folder: Path) -> Attack:
    seeds = (_PACKETS, _PLAIN, _HEADED, gzip.compress(_PLAIN, mtime=0))
    return Attack(seeds, of_file(folder / "some.txt", read_trace))


def _archives(folder: Path) -> Attack:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("walks/a.csv"), _NAMED)
        archive.writestr(zipfile.ZipInfo("walks/b.csv"), gzip.compress(_PLAIN, mtime=0))

    def read(path: Path) -> None:
        read_trace(path / "a.csv" / "up_kbps")
        read_trace(path / "b.csv")

    return Attack((file.getvalue(),), of_file(folder / "some.zip", read))


def _sets(folder: Path) -> Attack:
    file = io.BytesIO()
    np.savez(
        file,
        names=np.array(["walks/a", "walks/b"]),
        offsets=np.array([0, 2, 5]),
        t=np.array([0.0, 1, 0, 1, 2]),
        mbps=np.array([1.0, 2, 3, 0, 5]),
    )

    def read(path: Path) -> None:
        read_trace(path / "a")
        read_trace(path / "walks/b")

    return Attack((file.getvalue(),), of_file(folder / "some.npz", read))


def _stamps(folder: Path) -> Attack:
    seeds = (_STAMPS, b"0.5\n1e3\n1000.25\n", gzip.compress(_STAMPS, mtime=0))
    return Attack(seeds, of_file(folder / "some.csv", read_stamps))
