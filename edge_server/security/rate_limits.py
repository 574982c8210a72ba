"""Rate limits: how many messages a client may send a second, by token buckets."""

from __future__ import annotations

from edge_server.security.clients import Client

__all__ = ["BURST_S", "RateLimits"]

BURST_S = 1.0
"""The time whose messages a client that was silent may send at once."""

_MOST_CLIENTS = 4096


class RateLimits:
    """A token bucket for each client, filled at its ``rate_hz``, or at ``usual_hz`` without one.

    A bucket holds the tokens of `BURST_S`, one at least. It is kept as the time until which it has
    been spent ahead, so that one which is full need not be kept.
    """

    def __init__(self, usual_hz: float) -> None:
        self._usual_hz = usual_hz
        self._spent_until_s: dict[str, float] = {}

    def take(self, now_s: float, client: Client) -> float:
        """Take a token for a message and return 0, or how long until there is one."""
        each_s = 1 / (client.rate_hz or self._usual_hz)
        burst_s = max(BURST_S, each_s)
        spent_s = max(self._spent_until_s.get(client.name, now_s), now_s)
        wait_s = spent_s + each_s - burst_s - now_s
        if wait_s > 1e-9:
            return wait_s
        if len(self._spent_until_s) >= _MOST_CLIENTS:
            self._spent_until_s = {n: s for n, s in self._spent_until_s.items() if s > now_s}
        self._spent_until_s[client.name] = spent_s + each_s
        return 0.0
