"""The live view: a growing run file, told as it grows."""

from __future__ import annotations

import json
from collections import deque
from pathlib import Path
from typing import Any

from offramp.progress import say_shares
from offramp.quantities import say_bandwidth, say_time

__all__ = ["Narrator", "Tail"]

_RECENT = 40


class Tail:
    """Reads what was added to a file of JSON lines since the last time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read_bytes = 0

    def read(self) -> list[dict[str, Any]]:
        """Return the lines that are complete by now and were not returned before."""
        if not self._path.exists():
            return []
        with self._path.open("rb") as stream:
            stream.seek(self._read_bytes)
            added = stream.read()
        complete = added[: added.rfind(b"\n") + 1]
        self._read_bytes += len(complete)
        return [json.loads(line) for line in complete.splitlines()]


class Narrator:
    """Turns a run's lines into what a person wants to hear. Pure: lines in, text out."""

    def __init__(self) -> None:
        self._coming: list[dict[str, Any]] = []
        self._recent: deque[dict[str, Any]] = deque(maxlen=_RECENT)
        self.results = 0

    def tell(self, line: dict[str, Any]) -> list[str]:
        """Take in one line; return the events that it brings, in words."""
        at_s = max(0.0, line.get("at_s", line.get("arrived_s", 0.0)))  # a link is up before time 0
        events = []
        while self._coming and self._coming[0]["start_s"] <= at_s:
            events.append(_describe_phase(self._coming.pop(0)))
        match line["kind"]:
            case "phases":
                self._coming = list(line["phases"])
            case "result":
                self.results += 1
                self._recent.append(line)
            case "plan":
                sends = f"sends {line['level']}" if line["level"] else "sends nothing"
                events.append(f"{at_s:6.1f} s  plan: cut {line['cut']}, {sends}; {line['reason']}")
            case "link" if not line["up"]:
                events.append(f"{at_s:6.1f} s  connection lost: {line['reason']}")
        return events

    def status(self) -> str:
        """Return the state of the latest samples in one short line."""
        if not self._recent:
            return "starting"
        latencies_s = sorted(line["latency_s"] for line in self._recent)
        shares = say_shares(line.get("by", "no answer") for line in self._recent)
        return f"p50 {say_time(latencies_s[len(latencies_s) // 2])}; {shares}"


def _describe_phase(phase: dict[str, Any]) -> str:
    rate_bps, delay = phase["bandwidth_bps"], say_time(phase["delay_s"])
    what = f"{say_bandwidth(rate_bps)}, {delay} each way" if rate_bps else "nothing is delivered"
    return f"{phase['start_s']:6.1f} s  link {phase['name']}: {what}"
