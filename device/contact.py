"""The contact: whether the server may be counted on, by what became of the last messages."""

from __future__ import annotations

from device.awaited import LOST_S
from device.breaker import Breaker

__all__ = ["Contact"]


class Contact:
    """A breaker, an answer that is late, and a server that does not hold the bundle."""

    def __init__(self, breaker: Breaker) -> None:
        self.breaker = breaker
        self._unserved = self._overdue = False

    def is_there(self, silent_s: float, *, patient: bool) -> bool:
        """Tell whether answers may be counted on; of a link silent for long nothing is known.

        Unless ``patient``, one answer that is late is enough to count on none: either the link has
        become slow, or it is gone, and one message is enough to find out which.
        """
        late = self._overdue and not patient
        return self.breaker.closed and not (self._unserved or late or silent_s > LOST_S)

    def heard(self) -> None:
        """Take in that the server is well."""
        self.breaker.succeed()
        self._overdue = False

    def overdue(self) -> None:
        """Take in that an answer is late."""
        self._overdue = True

    def failed(self, now_s: float) -> None:
        """Take in that a message was answered with a failure, or not at all."""
        self.breaker.fail(now_s)

    def unserved(self) -> None:
        """Take in that the server does not hold the bundle, so there is none on this connection."""
        self._unserved = True

    def renewed(self) -> None:
        """Take in that it is another bundle from now on, or that the server holds it again."""
        self._unserved = False

    def moved(self) -> None:
        """Take in that it is another server from now on, which is well."""
        self._unserved = False
        self.heard()

    def broke(self, now_s: float) -> None:
        """Take in that the connection is gone."""
        self._unserved = self._overdue = False
        self.breaker.trip(now_s)
