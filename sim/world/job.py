"""Jobs: samples on their way through a virtual server, and who is told what became of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from edge_server.passage import Place
from edge_server.security.clients import Client
from offramp.messages import Failure, Load, Timeline

__all__ = ["Job", "Sender"]

_NOWHERE = Place("", 0, False)


class Sender(Protocol):
    """Who sent a job, on whom its end is called at the server's end of the link."""

    def served(self, job: Job, timeline: Timeline, load: Load) -> None:
        """Take an answer on its way back."""

    def turned_away(self, job: Job, failure: Failure) -> None:
        """Take a failure on its way back."""


@dataclass(eq=False, slots=True)
class Job:
    """A sample that its ``sender`` sent over its ``stream``-th stream, as `Backlog` wants one.

    It leaves at boundary ``end``, None for the model's; on its way exits are asked, each behind its
    boundary (``asks``). What is below that is the server's. A bottleneck's decoder counts as
    decoding, so a place is never narrow.
    """

    sender: Sender
    client: Client
    stream: int
    id: int
    digest: str
    cut: int
    level: str
    timeout_s: float
    size_bytes: int
    end: int | None = None
    asks: tuple[tuple[int, int], ...] = ()
    received_s: float = 0.0
    place: Place = _NOWHERE
    begun: bool = False
    ended: bool = False
    decode_s: float = 0.0
    segment_s: list[float] = field(default_factory=list)
    spent_s: float = 0.0
