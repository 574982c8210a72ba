"""Tickets: samples on their way through the server, and why one may leave without an answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from edge_server.history import History
from edge_server.security.clients import Client
from offramp.messages import Answer, Failure, Request, Timeline

__all__ = [
    "DEADLINE_PASSED",
    "STOPPING",
    "Ticket",
    "deadline_s",
    "expired_in_queue",
    "expired_on_the_way",
    "gave_way",
    "queue_full",
    "too_late",
    "too_often",
]

STOPPING = Failure(
    "UNAVAILABLE",
    "the server is stopping; send to another one or run the sample on the device",
    cause="stopping",
)
DEADLINE_PASSED = Failure(
    "DEADLINE_EXCEEDED", "the deadline passed before the answer; allow more time or send less"
)


@dataclass(frozen=True, eq=False)
class Ticket:
    """A sample on its way through the server.

    ``timeline`` holds when it was received and its size. ``owner`` is who may withdraw it.
    ``deliver`` is called once, from any thread, unless the ticket is refused or withdrawn; it
    must neither wait nor raise. ``history`` is that of its stream, None for a call by itself.
    """

    request: Request
    timeline: Timeline
    client: Client
    owner: object
    deliver: Callable[[Answer], None]
    history: History | None = None

    def deadline_s(self, longest_s: float) -> float:
        """Return when the answer is of no use any more, at most ``longest_s`` from reception."""
        return deadline_s(self.timeline.received_s, self.request.timeout_s, longest_s)

    @property
    def ids(self) -> dict[str, object]:
        """What a line of the log that is about it names (`offramp.logs`)."""
        request, client = self.request, self.client.name
        plan, bundle = request.plan_id, request.digest
        return {"client": client, "sample": request.id, "plan": plan, "bundle": bundle}

    def failed(self, failure: Failure, queue_s: float = 0.0) -> Answer:
        """Return the answer that says why there is none."""
        timeline = replace(self.timeline, queue_s=queue_s)
        return Answer(
            self.request.id, failure=failure, timeline=timeline, plan_id=self.request.plan_id
        )


def deadline_s(received_s: float, timeout_s: float, longest_s: float) -> float:
    """Return until when a sample may take whose device waits ``timeout_s``, 0 for any time."""
    return received_s + min(timeout_s or longest_s, longest_s)


def queue_full(retry_after_s: float) -> Failure:
    """Return why a sample is refused when as many wait as may."""
    return _refused("queue_full", "the server's queue is full", retry_after_s)


def too_late(late_s: float, retry_after_s: float) -> Failure:
    """Return why a sample is refused whose answer, or another one for its sake, would be late."""
    why = f"the server is too busy to keep its deadlines by {late_s * 1e3:.1f} ms"
    return _refused("too_late", why, retry_after_s)


def gave_way(retry_after_s: float) -> Failure:
    """Return why a sample that waited is refused after all."""
    why = "the server is full and others have had less of it of late"
    return _refused("gave_way", why, retry_after_s)


def too_often(client: str, retry_after_s: float) -> Failure:
    """Return why a sample is refused whose client sends more than it may."""
    return _refused("too_often", f"client {client!r} sends more than it may", retry_after_s)


def _refused(cause: str, why: str, retry_after_s: float) -> Failure:
    return Failure(
        "RESOURCE_EXHAUSTED",
        f"{why}; try again in {retry_after_s * 1e3:.0f} ms or run the sample on the device",
        retry_after_s,
        cause=cause,
    )


def expired_in_queue(queue_s: float) -> Failure:
    """Return why a sample that waited ``queue_s`` is dropped."""
    return Failure(
        "DEADLINE_EXCEEDED",
        f"there was no time left for it after {queue_s * 1e3:.0f} ms in the queue; allow more "
        "time or send less while the server is busy",
    )


def expired_on_the_way(at: int) -> Failure:
    """Return why a sample that has come to segment ``at`` is dropped there."""
    return Failure(
        "DEADLINE_EXCEEDED",
        f"there was no time left for it before segment {at}; allow more time or send a later cut",
    )
