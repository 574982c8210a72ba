"""A development authority with a server's and a client's files, and clients that use them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc

from offramp.development_authority import Authority, make_authority

HOSTS = ("localhost", "127.0.0.1")


@dataclass(frozen=True)
class Pki:
    """A folder with the files of one authority."""

    folder: Path
    authority: Authority

    @classmethod
    def make(cls, folder: Path) -> Pki:
        folder.mkdir(exist_ok=True)
        pki = cls(folder, make_authority())
        pki.authority.signed.write(folder, "authority")
        pki.server()
        return pki

    def server(self, name: str = "server", begins_days: float = 0, days: int = 30) -> None:
        begins = datetime.now(UTC) + timedelta(begins_days)
        self.authority.server(HOSTS, begins, days).write(self.folder, name)

    def client(self, name: str, begins_days: float = 0, days: int = 30) -> None:
        begins = datetime.now(UTC) + timedelta(begins_days)
        self.authority.client(name, begins, days).write(self.folder, name)

    def path(self, name: str) -> Path:
        return self.folder / f"{name}.pem"

    def settings(self, *, mutual: bool = False, name: str = "server") -> dict[str, Any]:
        """The server's settings."""
        files = {"certificate": self.path(name), "key": self.path(f"{name}-key")}
        return {**files, "client_authority": self.path("authority")} if mutual else files

    def credentials(self, client: str | None = None) -> grpc.ChannelCredentials:
        """A client's, with the certificate of that name if there is one."""
        authority = self.path("authority").read_bytes()
        if client is None:
            return grpc.ssl_channel_credentials(authority)
        key, certificate = self.path(f"{client}-key"), self.path(client)
        return grpc.ssl_channel_credentials(authority, key.read_bytes(), certificate.read_bytes())
