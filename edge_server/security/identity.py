"""Identity: which client a call is from, by what gRPC knows of the call."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from edge_server.security.clients import Client, peer_client
from edge_server.security.roster import Credentials, Roster

__all__ = ["Caller", "Identity"]

_HEADER, _SCHEME = "authorization", "bearer"
_NAMES = ("x509_common_name", "x509_subject_alternative_name")


class Caller(Protocol):
    """The context of a call, as gRPC gives it to a handler."""

    def peer(self) -> str:
        """Where the call comes from."""

    def invocation_metadata(self) -> Iterable[tuple[str, str | bytes]] | None:
        """What came with it."""

    def auth_context(self) -> Mapping[str, Iterable[bytes]]:
        """What its certificate says, if the connection has one."""


class Identity:
    """Says which client a call is from; ``roster`` is None where every one who calls is served.

    There a caller goes by the first name of its certificate, without one by its host. The roster
    may be replaced at any time.
    """

    def __init__(self, roster: Roster | None, clock: Callable[[], float] = time.time) -> None:
        self.roster = roster
        self._clock = clock

    def client_of(self, caller: Caller) -> Client:
        """Return the client of a call; raise `AuthenticationError` if it is none that is known."""
        shown = _shown(caller)
        if self.roster is not None:
            return self.roster.identify(shown, self._clock())
        return Client(shown.names[0]) if shown.names else peer_client(shown.peer)


def _shown(caller: Caller) -> Credentials:
    found = caller.auth_context()
    names = [name.decode("utf-8", "replace") for key in _NAMES for name in found.get(key, ())]
    return Credentials(caller.peer(), _token(caller), tuple(names))


def _token(caller: Caller) -> str | None:
    for key, value in caller.invocation_metadata() or ():
        if key == _HEADER:
            scheme, _, token = str(value).partition(" ")
            return token.strip() if scheme.lower() == _SCHEME else str(value)
    return None
