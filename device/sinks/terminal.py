"""Sink `terminal`: what happens now, as a line for people."""

from __future__ import annotations

import collections
import sys
from typing import Any, TextIO

from offramp.names import printable
from offramp.quantities import figure, say_bandwidth, say_bytes, say_time

__all__ = ["TerminalSink"]

_RECENT = 50
_REASONS = 3


class TerminalSink:
    """Shows progress on a terminal, and only the plan changes elsewhere."""

    def __init__(self, count: int | None, stream: TextIO | None = None) -> None:
        from rich.console import Console  # not before: a device that shows nothing needs none of it

        from offramp.progress import sample_progress

        self._console = Console(file=stream or sys.stderr)
        self._recent: collections.deque[dict[str, Any]] = collections.deque(maxlen=_RECENT)
        self._tally: collections.Counter[str] = collections.Counter()
        self._reasons: collections.Counter[str] = collections.Counter()
        self._servers: collections.Counter[str] = collections.Counter()
        self._bandwidth = ""
        self._bar = sample_progress(self._console)
        self._task = self._bar.add_task("samples", total=count, status="starting")
        self._bar.start()

    def write(self, line: dict[str, Any]) -> None:
        """Show one line."""
        match line["kind"]:
            case "run":
                self._open(line)
            case "result":
                self._tally[line["status"]] += 1
                if server := line.get("server"):
                    self._servers[server] += 1
                if reason := line.get("reason"):
                    self._reasons[reason] += 1
                self._recent.append(line)
                self._bar.update(self._task, advance=1, status=self._now())
            case "load":
                there = line.get("reachable", True)
                self._bandwidth = say_bandwidth(line["bandwidth_bps"]) if there else ""
            case "plan":
                sends = line["level"] or "nothing"
                plan = f"plan {line['id']}: cut {line['cut']}, sends {sends}"
                self._say_at(line, f"{plan}; {line['reason']}")
            case "bundle":
                told = f"refused: {line['refused']}" if "refused" in line else "taken up"
                self._say_at(line, f"new bundle {line['digest'][:12]} {told}")
            case "drift":
                told = f"{line['name']} is {line['recent']:.3f} of late, in calibration it was "
                told += f"{line['low']:.3f} to {line['high']:.3f}"
                self._say_at(
                    line,
                    f"warning: the samples are no longer like those that the bundle's plans were "
                    f"tested on: {told}; calibrate it on samples like these",
                )
            case "link":
                self._say_at(line, _state(line))

    def close(self) -> None:
        """Leave the terminal as it was, with a last line that counts."""
        self._bar.stop()
        if self._recent:
            counts = ", ".join(f"{count} {status}" for status, count in self._tally.most_common())
            self._say(f"{self._tally.total()} samples: {counts}; the last ones: {self._now()}")
        for server, count in self._servers.most_common():
            self._say(f"{server} answered {count}")
        for reason, count in self._reasons.most_common(_REASONS):
            self._say(f"not as planned, {count} times: {reason}")

    def _say_at(self, line: dict[str, Any], text: str) -> None:
        # The connection may open before the run's time begins; to a reader that is the start.
        self._say(f"{max(0.0, line['at_s']):7.1f} s  {text}")

    def _open(self, line: dict[str, Any]) -> None:
        match line["bundle_origin"]:
            case "server" if not line["fetched_bytes"]:
                self._say(f"running {line['model']}, which the server has and is here already")
            case "server":
                size = f"{say_bytes(line['fetched_bytes'])} in {say_time(line['fetch_s'])}"
                self._say(f"fetched {line['model']}: {size}")
            case "cache":
                self._say(f"running {line['model']} as fetched earlier: {line['bundle_reason']}")
        if line["slowdown"] != 1:
            self._say(
                f"this machine stands for a board {figure(line['slowdown'])} times slower; "
                "--slowdown 1 uses it as it is"
            )

    def _say(self, text: str) -> None:
        from offramp.sheet import show

        show(printable(" ".join(text.splitlines())), self._console)

    def _now(self) -> str:
        from offramp.progress import say_shares

        shares = say_shares(line.get("by", line["status"]) for line in self._recent)
        latencies_s = sorted(line.get("latency_s", 0.0) for line in self._recent)
        median = f"p50 {say_time(latencies_s[len(latencies_s) // 2])}"
        return "; ".join(filter(None, (median, shares, self._bandwidth)))


def _state(line: dict[str, Any]) -> str:
    state = "connected" if line["up"] else "not connected"
    if "server" in line:
        state += f" to {line['server']}"
    return f"{state}: {line['reason']}" if line["reason"] else state
