"""Watching: what is told of a server's work while it goes on, and to whom.

A server that nobody watches notes nothing. Watchers are called on the event loop; they must neither
wait nor raise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from offramp.messages import Answer, Failure, Request

__all__ = ["Asked", "Ledger", "Watcher"]

_LEFT = Failure("CANCELLED", "the device left before the answer")


@dataclass(frozen=True)
class Asked:
    """What a request asked for, and who; of an unreadable one, only the id is known.

    ``stream`` is the number of the stream that it came by, 0 for a call by itself.
    """

    id: int
    client: str
    stream: int
    digest: str = ""
    cut: int = 0
    plan_id: str = ""
    trace: bytes = b""

    @classmethod
    def of(cls, request: Request, client: str, stream: int) -> Asked:
        """Return what a request asks for, without its frames."""
        what = request.digest, request.cut, request.plan_id, request.trace
        return cls(request.id, client, stream, *what)


class Watcher(Protocol):
    """Whoever is told what a server does."""

    def answered(self, asked: Asked, answer: Answer, sent_bytes: int) -> None:
        """Note that a sample's answer, or why it has none, left in a message of so many bytes."""

    def turned_away(self, failure: Failure) -> None:
        """Note that a stream or call was not served."""


class Ledger:
    """The samples of one stream or call that have no answer yet; each is told of once.

    The samples that are left when it is closed count as cancelled.
    """

    def __init__(self, client: str, stream: int, watchers: Sequence[Watcher]) -> None:
        self._from, self._watchers = (client, stream), watchers
        self._open: dict[int, Asked] = {}

    def came(self, request: Request) -> None:
        """Note that a sample came."""
        if self._watchers:
            self._open[request.id] = Asked.of(request, *self._from)

    def left(self, answer: Answer, size_bytes: Callable[[], int] = int) -> None:
        """Tell that an answer leaves, in a message whose size is asked for if anybody watches."""
        if self._watchers:
            sent_bytes = size_bytes()
            asked = self._open.pop(answer.id, None) or Asked(answer.id, *self._from)
            for watcher in self._watchers:
                watcher.answered(asked, answer, sent_bytes)

    def close(self) -> None:
        """Tell that the device has left, and what it does not wait for any more."""
        for number in list(self._open):
            self.left(Answer(number, failure=_LEFT))
