"""Fair shares: how much of the server each client has had lately, by its weight."""

from __future__ import annotations

import math

from edge_server.security.clients import Client

__all__ = ["TIME_CONSTANT_S", "FairShares"]

TIME_CONSTANT_S = 2.0
"""The age at which what a client has had counts 1/e as much as what it has now."""

_MOST_CLIENTS = 4096
_NOTHING_S = 1e-6


class FairShares:
    """The engine's time that each client has had, which fades.

    Whoever wants more than the others gets as much as they do where there is not enough for all,
    and what they leave where there is: those who are furthest ahead of the rest give way first
    (`Backlog`). That is max-min fairness, over a few time constants.
    """

    def __init__(self, time_constant_s: float = TIME_CONSTANT_S) -> None:
        self._time_constant_s = time_constant_s
        self._had: dict[str, tuple[float, float]] = {}  # seconds, as of when

    def charge(self, now_s: float, client: Client, time_s: float) -> None:
        """Note that a client takes ``time_s`` of the engine; less than 0 gives it back."""
        had_s = self._had_s(now_s, client.name) + time_s
        if len(self._had) >= _MOST_CLIENTS and client.name not in self._had:
            self._forget(now_s)
        self._had[client.name] = max(had_s, 0.0), now_s

    def had_s(self, now_s: float, client: Client) -> float:
        """Return what a client has had lately, over its weight."""
        return self._had_s(now_s, client.name) / client.weight

    def _had_s(self, now_s: float, name: str) -> float:
        had_s, at_s = self._had.get(name, (0.0, now_s))
        if now_s <= at_s:
            return had_s
        return had_s * math.exp((at_s - now_s) / self._time_constant_s)

    def _forget(self, now_s: float) -> None:
        """Drop the half of the clients that have had the least: nothing, as a rule."""
        had = {name: self._had_s(now_s, name) for name in self._had}
        most = sorted(had, key=lambda name: had[name])[len(had) // 2 :]
        self._had = {name: self._had[name] for name in most if had[name] > _NOTHING_S}
