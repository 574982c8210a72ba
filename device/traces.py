"""Traces: which samples are traced, and the spans of those on the device."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from offramp.tracing import Recorder, Span, Trace

__all__ = ["TraceDraw", "TraceSink"]

_TOLD = ("status", "by", "later", "ensemble", "reason", "plan", "cut", "level", "sent_bytes")


@dataclass
class TraceDraw:
    """Draws the trace of each sample, for a ``share`` of them; empty for the others."""

    share: float
    random: Random

    def __call__(self) -> bytes:
        """Return the trace of the next sample."""
        return Trace.draw(self.random).to_bytes() if self.random.random() < self.share else b""


class TraceSink:
    """Records the spans of the samples that are traced; see `Sink`.

    The span ``link`` is the one below which the server has its own: from the end of the head until
    the answer, whoever gave it.
    """

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def write(self, line: dict[str, Any]) -> None:
        """Record a result, which has ended just now."""
        trace = Trace.from_bytes(bytes.fromhex(line.get("trace", "")))
        if trace is None:
            return
        end_s = time.time()
        begin_s = end_s - line["latency_s"]
        failure = line.get("reason", "") if line["status"] != "ok" else ""
        told = {f"offramp.{name}": line[name] for name in _TOLD if line.get(name) is not None}
        told["offramp.sample"] = line["id"]
        whole = Span("sample", begin_s, end_s, told, failure)
        self._recorder.begin_trace(trace, whole, list(_parts(line, trace, begin_s, end_s)))

    def close(self) -> None:
        """Export what is left."""
        self._recorder.close()


def _parts(line: Mapping[str, Any], trace: Trace, begin_s: float, end_s: float) -> Iterator[Span]:
    spans, at_s = line.get("spans", {}), begin_s
    for name in ("wait", "head", "encode"):
        spent_s = spans.get(f"{name}_s", 0.0)
        if spent_s:
            yield Span(name, at_s, at_s + spent_s)
        at_s += spent_s
    if line["sent_bytes"]:
        yield Span("link", min(at_s, end_s), end_s, id=trace.span)
    if spent_s := spans.get("fallback_s", 0.0):
        yield Span("fallback", end_s - spent_s, end_s)
