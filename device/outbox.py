"""The outbox: messages that the stream has not taken yet."""

from __future__ import annotations

from collections import deque

from device.work import Work
from offramp.messages import Probe

__all__ = ["Outbox"]


class Outbox:
    """A queue in front of a stream that takes one message whenever it is ``ready``.

    A stream that stalls takes none, so each message has a time from which on it is of no use.
    """

    def __init__(self) -> None:
        self._entries: deque[tuple[Work | Probe, float]] = deque()
        self.ready = False

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, message: Work | Probe, expires_s: float) -> None:
        """Append a message that is of no use from ``expires_s`` on."""
        self._entries.append((message, expires_s))

    def take(self, now_s: float) -> Work | Probe | None:
        """Return the next message if the stream can take one, which it then no longer can."""
        self.expire(now_s)
        if not self.ready or not self._entries:
            return None
        self.ready = False
        return self._entries.popleft()[0]

    def expire(self, now_s: float) -> None:
        """Remove what is of no use any more."""
        if self._entries:
            self._entries = deque(entry for entry in self._entries if entry[1] > now_s)

    def clear(self) -> None:
        """Begin anew: the stream is gone."""
        self._entries.clear()
        self.ready = False
