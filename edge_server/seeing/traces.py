"""Traces: the spans of samples on the server, below those of their devices."""

from __future__ import annotations

import time
from collections.abc import Iterator

from edge_server.seeing.watching import Asked
from offramp.messages import Answer, Failure, Timeline
from offramp.tracing import Recorder, Span, Trace

__all__ = ["ServerTraces"]


class ServerTraces:
    """Records the spans of samples that are traced, a `Watcher`.

    They are laid end to end from the reception on, as they are summed up: a sample that waits
    between two segments has all its waiting in the span ``queue``.
    """

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def answered(self, asked: Asked, answer: Answer, sent_bytes: int) -> None:
        """Record a sample that has left just now."""
        trace = Trace.from_bytes(asked.trace)
        if trace is None:
            return
        end_s = time.time()
        begin_s = end_s - answer.timeline.total_s
        told: dict[str, str | int | float] = {
            "offramp.client": asked.client,
            "offramp.sample": asked.id,
            "offramp.bundle": asked.digest,
            "offramp.cut": asked.cut,
            "offramp.plan": asked.plan_id,
            "offramp.sent_bytes": sent_bytes,
        }
        failure = f"{answer.failure.status}: {answer.failure.message}" if answer.failure else ""
        whole = Span("serve", begin_s, end_s, told, failure)
        self._recorder.join_trace(trace, whole, list(_parts(answer.timeline, begin_s)))

    def turned_away(self, failure: Failure) -> None:
        """Do nothing: it is about no sample."""


def _parts(timeline: Timeline, begin_s: float) -> Iterator[Span]:
    steps = [(f"step {at}", spent_s) for at, spent_s in enumerate(timeline.segment_s, 1)]
    at_s = begin_s
    for name, spent_s in (
        ("queue", timeline.queue_s),
        ("decode", timeline.decode_s),
        *steps,
        ("encode", timeline.encode_s),
    ):
        if spent_s:
            yield Span(name, at_s, at_s + spent_s)
        at_s += spent_s
