"""Results: what became of each sample, with where the time went."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

__all__ = ["Result", "Spans", "Status"]

Status = Literal["ok", "degraded", "dropped", "failed"]
"""``ok``: answered as planned. ``degraded``: the server's answer did not come in time and the
device answered instead. ``dropped``: not started, for want of time or room. ``failed``: the sample
is not what the model takes."""


@dataclass(frozen=True)
class Spans:
    """Where a sample's time went, in seconds; 0 where it did not go.

    ``wait_s`` before the head began, ``head_s`` in head and exits, ``encode_s`` in the codec,
    ``network_s`` on the network in both directions, ``queue_s``, ``decode_s`` and ``tail_s`` at the
    server, ``fallback_s`` in finishing on the device after all; if the server's answer came first
    for all that, it ran beside the network and the server.
    """

    wait_s: float = 0.0
    head_s: float = 0.0
    encode_s: float = 0.0
    network_s: float = 0.0
    queue_s: float = 0.0
    decode_s: float = 0.0
    tail_s: float = 0.0
    fallback_s: float = 0.0


@dataclass(frozen=True)
class Result:
    """The answer to one sample.

    ``by`` names who answered: ``exit NAME``, ``device`` (the whole model here) or ``server``.
    ``answer`` is a class's number, or the tensor as nested lists if the model gives no classes.
    ``ensemble`` names the exit whose logits were added to theirs (`offramp.exits.ensemble`),
    ``later`` the exit behind the cut at which the server answered (`offramp.exits.later`).
    ``level`` is that at which it was sent, or would have been; ``reference`` the id of the sample
    from which its change was sent. ``sentinel`` names the exit that was sure, of a sample that was
    drawn to go on all the same.
    ``hedge_s`` is how long the device computed on while the answer was under way. ``server`` names
    the one that answered, if there are several.
    ``trace`` is that of its request, in hexadecimal (`offramp.tracing`).
    Times count from the run's start (``arrived_s``) and from arrival (``latency_s``,
    ``deadline_s``).
    """

    id: int
    status: Status
    by: str = ""
    answer: int | list[Any] | None = None
    confidence: float | None = None
    label: int | None = None
    reason: str = ""
    arrived_s: float = 0.0
    latency_s: float = 0.0
    deadline_s: float | None = None
    sent_bytes: int = 0
    plan: str = ""
    cut: int | None = None
    level: str | None = None
    reference: int | None = None
    ensemble: str = ""
    later: str = ""
    sentinel: str = ""
    hedge_s: float = 0.0
    spans: Spans = Spans()
    name: str = ""
    trace: str = ""
    server: str = ""

    @property
    def late(self) -> bool:
        """Whether the answer came after the deadline, or never."""
        return self.answer is None or (
            self.deadline_s is not None and self.latency_s > self.deadline_s
        )

    def to_json(self) -> dict[str, Any]:
        """Return the line that sinks write, without what does not apply."""
        plain: dict[str, Any] = {"kind": "result", **asdict(self), "late": self.late}
        if self.label is not None:
            plain["correct"] = self.answer == self.label
        plain["hedge_s"] = round(self.hedge_s, 6) or None
        plain["spans"] = {name: round(span, 6) for name, span in plain["spans"].items() if span}
        for name in ("arrived_s", "latency_s"):
            plain[name] = round(plain[name], 6)
        if self.confidence is not None:
            plain["confidence"] = round(self.confidence, 4)
        return {key: value for key, value in plain.items() if value not in (None, "", {})}
