"""The record of a target's run: what goes on is seen from outside, even if the process ends."""

from __future__ import annotations

import gc
import json
import mmap
import resource
import struct
import time
from pathlib import Path

from benchmarks.fuzzing.target import Attack
from benchmarks.fuzzing.trial import Tally, attempt
from offramp.memory import return_unused_memory

__all__ = ["Record", "last_input", "read_figures", "tried"]

_COUNTS = struct.Struct("<QQ")  # inputs so far, and how long the present one is
_ROOM_BYTES = 8 << 20
_STATE, _FIGURES = "state", "figures.json"
_WARM = 0.3
"""The share of inputs until which a process has loaded what it needs, and its pools are full."""


class Record:
    """Takes a target's inputs and writes what became of them to a folder.

    The present input lies in a file that outlives the process: what ends it is found there.
    """

    def __init__(self, folder: Path, attack: Attack, wanted: int) -> None:
        self.folder, self.wanted = folder, wanted
        self._attack, self._tally = attack, Tally()
        with (folder / _STATE).open("w+b") as file:
            file.truncate(_ROOM_BYTES)
            self._state = mmap.mmap(file.fileno(), _ROOM_BYTES)
        self._warm_bytes = 0
        self._began_s = time.monotonic()

    @property
    def done(self) -> bool:
        """Whether all inputs were tried, or enough is wrong."""
        return self._tally.inputs >= self.wanted or self._tally.enough

    def take(self, data: bytes) -> None:
        """Try an input, unless all were."""
        if self.done:
            return
        _COUNTS.pack_into(self._state, 0, self._tally.inputs, len(data))
        self._state[_COUNTS.size : _COUNTS.size + len(data)] = data
        attempt(self._attack, data, self._tally)
        if self._tally.inputs == max(int(self.wanted * _WARM), 1):
            self._warm_bytes = _resident_bytes()
        if self.done:
            self._finish()

    def _finish(self) -> None:
        tally = self._tally
        _COUNTS.pack_into(self._state, 0, tally.inputs, 0)
        for number, finding in enumerate(tally.findings.values()):
            (self.folder / f"finding-{number}").write_bytes(finding.data)
        figures = {
            "inputs": tally.inputs,
            "accepted": tally.accepted,
            "longest_s": tally.longest_s,
            "seconds": time.monotonic() - self._began_s,
            "findings": [finding.said for finding in tally.findings.values()],
            "warm_bytes": self._warm_bytes,
            "end_bytes": _resident_bytes(),
        }
        (self.folder / _FIGURES).write_text(json.dumps(figures))


def read_figures(folder: Path) -> dict[str, object] | None:
    """Return what became of the inputs, None if the process ended before it could say."""
    path = folder / _FIGURES
    return dict(json.loads(path.read_text())) if path.exists() else None


def tried(folder: Path) -> int:
    """Return how many inputs have been tried so far."""
    state = folder / _STATE
    if not state.exists() or state.stat().st_size < _COUNTS.size:
        return 0
    with state.open("rb") as file:
        return int(_COUNTS.unpack(file.read(_COUNTS.size))[0])


def last_input(folder: Path) -> bytes:
    """Return the input that was being tried."""
    with (folder / _STATE).open("rb") as file:
        _, length = _COUNTS.unpack(file.read(_COUNTS.size))
        return file.read(length)


def _resident_bytes() -> int:
    """Return the memory that the process holds, once it has given back what it does not use."""
    gc.collect()
    return_unused_memory()
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
