"""Clients: who a request comes from, what that one may do, and how much of the server is theirs."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote

__all__ = ["Client", "peer_client"]


@dataclass(frozen=True)
class Client:
    """Who sends requests, by name, with a ``weight`` in the sharing of the server.

    ``models`` are the names of those that it may use, all if None. It may send ``rate_hz`` messages
    a second, as many as others if None. ``may_administer`` lets it load and unload bundles.
    """

    name: str
    weight: float = 1.0
    models: frozenset[str] | None = None
    rate_hz: float | None = None
    may_administer: bool = False

    def may_use(self, model: str) -> bool:
        """Tell whether the client may use a model."""
        return self.models is None or model in self.models


def peer_client(peer: str) -> Client:
    """Return the client of a connection without a name: that of its host.

    ``peer`` is as gRPC writes it, such as ``ipv4:127.0.0.1:40312``; all processes of one host
    share what one client gets.
    """
    kind, _, rest = unquote(peer).partition(":")
    host = rest.rpartition(":")[0] if kind in ("ipv4", "ipv6") else rest
    return Client(f"{kind}:{host}")
