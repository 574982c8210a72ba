"""The bytes of one connection that are under way in one direction."""

from __future__ import annotations

from collections import deque
from math import inf

from sim.link import Chain
from sim.link.condition import PACKET_BYTES

__all__ = ["PACKET_BYTES", "Line"]


class Line:
    """A queue whose packets leave when the direction's model says.

    Lines of the same direction share its model, so they share its rate. A line holds at most
    `buffer_bytes`; what is released and not yet `confirm`ed counts as held.
    """

    def __init__(self, model: Chain, buffer_bytes: int) -> None:
        self._model, self._buffer_bytes = model, buffer_bytes
        self._packets: deque[tuple[float, bytes]] = deque()
        self._end_s: float | None = None
        self.held_bytes = 0

    @property
    def room_bytes(self) -> int:
        """How many more bytes may enter."""
        return self._buffer_bytes - self.held_bytes

    @property
    def next_s(self) -> float:
        """When the next packet, or the end, is released; infinite if nothing is under way."""
        if self._packets:
            return self._packets[0][0]
        return inf if self._end_s is None else self._end_s

    def ended(self, now_s: float) -> bool:
        """Whether the end has been released, and with it everything before it."""
        return not self._packets and self._end_s is not None and self._end_s <= now_s

    def enter(self, now_s: float, content: bytes) -> None:
        """Put bytes on the line."""
        self.held_bytes += len(content)
        for start in range(0, len(content), PACKET_BYTES):
            packet = content[start : start + PACKET_BYTES]
            self._packets.append((self._model.release_s(now_s, len(packet)), packet))

    def end(self, now_s: float) -> None:
        """Put the end of the stream on the line, behind all its bytes."""
        self._end_s = self._model.release_s(now_s, 0)

    def leave(self, now_s: float) -> bytes:
        """Take every byte that is released by `now_s`, in order."""
        released = []
        while self._packets and self._packets[0][0] <= now_s:
            released.append(self._packets.popleft()[1])
        return b"".join(released)

    def confirm(self, nbytes: int) -> None:
        """Note that bytes which left have been delivered, and make room for as many."""
        self.held_bytes -= nbytes
