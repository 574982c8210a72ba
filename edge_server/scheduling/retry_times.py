"""Retry times: when those who are refused may come again, without all meeting anew."""

from __future__ import annotations

from edge_server.security.clients import Client

__all__ = ["LONGEST_S", "RetryTimes"]

LONGEST_S = 2.0
"""The longest that anybody is told to stay away, unless its turn is later by itself."""

_SHORTEST_S = 0.001  # a server that refuses is never worth asking again at once
_MOST_CLIENTS = 4096


class RetryTimes:
    """Hands out, for each client, places in a queue of those who stay away, a service time each.

    Told the same time, all devices of a client that were refused would come back together, and
    most be refused again. One that does not heed what it is told makes nobody else wait.
    """

    def __init__(self) -> None:
        self._next_s: dict[str, float] = {}

    def next_s(self, now_s: float, client: Client, earliest_s: float, each_s: float) -> float:
        """Return how long to stay away, at least ``earliest_s``, if a sample takes ``each_s``."""
        earliest_s = now_s + max(earliest_s, each_s, _SHORTEST_S)
        at_s = max(self._next_s.get(client.name, 0.0), earliest_s)
        if at_s > now_s + LONGEST_S:
            at_s = earliest_s
        if len(self._next_s) >= _MOST_CLIENTS:
            self._next_s = {name: next_s for name, next_s in self._next_s.items() if next_s > now_s}
        self._next_s[client.name] = at_s + each_s
        return at_s - now_s
