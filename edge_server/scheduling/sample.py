"""Samples as the backlog sees them, and what becomes of them there."""

from __future__ import annotations

from typing import Generic, NamedTuple, Protocol, TypeVar

from edge_server.passage import Place
from edge_server.scheduling.schedule import Entry
from edge_server.security.clients import Client
from offramp.messages import Failure

__all__ = ["Admission", "Room", "Sample", "Taken", "Turned"]


class Sample(Protocol):
    """A sample on its way through a server."""

    @property
    def client(self) -> Client:
        """Who sent it."""

    @property
    def size_bytes(self) -> int:
        """How much memory it takes while it waits."""

    @property
    def received_s(self) -> float:
        """When it came."""

    @property
    def begun(self) -> bool:
        """Whether its frames are decoded."""

    @property
    def place(self) -> Place:
        """What comes next for it."""

    @property
    def spent_s(self) -> float:
        """Its share of the engine's time."""

    @property
    def ended(self) -> bool:
        """Whether nothing comes any more, for it is answered."""


S = TypeVar("S", bound=Sample)


class Room(NamedTuple):
    """How many samples run at once, and how many and how large ones may be in the server."""

    workers: int = 1
    queue_length: int = 256
    queue_bytes: int = 1 << 28


class Turned(NamedTuple, Generic[S]):
    """A sample that was turned away after all, and why."""

    sample: S
    failure: Failure


class Admission(NamedTuple, Generic[S]):
    """Why a sample was refused, None if it was let in, and those that were turned away by then."""

    refusal: Failure | None
    turned: list[Turned[S]]


class Taken(NamedTuple, Generic[S]):
    """What a worker runs next as one, nothing if nothing waits, and those that were turned away."""

    batch: list[Entry[S]]
    turned: list[Turned[S]]
