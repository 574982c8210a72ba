"""The roster: the clients that a server knows, and which of them shows what a caller shows."""

from __future__ import annotations

import hmac
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Annotated, Any

from pydantic import AfterValidator, Field, field_validator, model_validator

from edge_server.security.clients import Client
from edge_server.security.tokens import token_hash
from offramp.errors import AuthenticationError
from offramp.names import check_name
from offramp.settings import Settings

__all__ = ["ClientEntry", "ClientsFile", "Credentials", "Roster", "TokenEntry"]

_Name = Annotated[str, AfterValidator(check_name)]
_START = 16  # digits of a hash by which the few that may be the same are found


class TokenEntry(Settings):
    """A token that a client may show, by its hash, until it ``expires``; None is never."""

    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    expires: datetime | None = None

    @field_validator("expires", mode="before")
    @classmethod
    def _has_a_zone(cls, expires: Any) -> Any:
        if isinstance(expires, datetime):
            if expires.tzinfo is None:
                raise ValueError(f"{expires} has no time zone; add Z for UTC")
            return expires
        if isinstance(expires, date):
            return datetime.combine(expires, time(), UTC)
        if expires is not None:
            raise ValueError(f"{expires!r} is no time; write 2030-12-31 or 2030-12-31T23:59:00Z")
        return None


class ClientEntry(Settings):
    """A client of the file: the tokens that name it, and what it may do, as `Client` has it.

    Without a token it is known by its certificate alone.
    """

    tokens: tuple[TokenEntry, ...] = ()
    models: tuple[_Name, ...] | None = None
    weight: Annotated[float, Field(gt=0, le=1000)] = 1.0
    rate_hz: Annotated[float, Field(gt=0, le=1e6)] | None = None
    may_administer: bool = False

    def client(self, name: str) -> Client:
        """Return the client of that name."""
        models = None if self.models is None else frozenset(self.models)
        return Client(name, self.weight, models, self.rate_hz, self.may_administer)


class ClientsFile(Settings):
    """The clients of a server by name."""

    clients: dict[_Name, ClientEntry]

    @model_validator(mode="after")
    def _no_token_is_of_two(self) -> ClientsFile:
        owners: dict[str, str] = {}
        for name, entry in self.clients.items():
            for token in entry.tokens:
                owner = owners.setdefault(token.sha256, name)
                if owner != name:
                    raise ValueError(
                        f"{owner!r} and {name!r} have the same token {token.sha256[:8]}...; make "
                        "one for each, with offramp token"
                    )
        return self


@dataclass(frozen=True)
class Credentials:
    """What a caller shows: where it calls from, its token, and the names in its certificate."""

    peer: str
    token: str | None = None
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Known:
    sha256: str
    expires_s: float | None
    client: Client


class Roster:
    """The clients of a file. It has no clock: the time, in seconds since 1970, is an argument."""

    def __init__(self, file: ClientsFile) -> None:
        self._clients = {name: entry.client(name) for name, entry in file.clients.items()}
        self._tokens: dict[str, list[_Known]] = {}
        for known in self._known(file):
            self._tokens.setdefault(known.sha256[:_START], []).append(known)

    def identify(self, shown: Credentials, now_s: float) -> Client:
        """Return the client that shows this: by its token, without one by its certificate.

        Raises `AuthenticationError` if it shows neither, or one that names no client here.
        """
        if shown.token is not None:
            return self._of_token(shown.token, now_s)
        for name in shown.names:
            if name in self._clients:
                return self._clients[name]
        if shown.names:
            raise AuthenticationError(
                f"the certificate names {shown.names[0]!r}, which is no client here; ask the "
                "server's operator to enter it"
            )
        raise AuthenticationError(
            "the token is missing; give the one that the server's operator made for this device"
        )

    def _of_token(self, token: str, now_s: float) -> Client:
        found, given = None, token_hash(token)
        for known in self._tokens.get(given[:_START], ()):
            if hmac.compare_digest(known.sha256, given):
                found = known
        if found is None:
            raise AuthenticationError(
                "the token is not known here; ask the server's operator for a new one"
            )
        if found.expires_s is not None and now_s >= found.expires_s:
            raise AuthenticationError(
                f"the token of {found.client.name!r} has expired; ask the server's operator for a "
                "new one"
            )
        return found.client

    def _known(self, file: ClientsFile) -> Iterator[_Known]:
        for name, entry in file.clients.items():
            for token in entry.tokens:
                expires_s = token.expires.timestamp() if token.expires else None
                yield _Known(token.sha256, expires_s, self._clients[name])
