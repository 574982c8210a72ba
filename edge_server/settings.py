"""Settings of an edge server; docs/edge-server.md explains each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from offramp.address import Address, ListenAddress
from offramp.settings import Settings
from offramp.tracing import CollectorUrl

__all__ = ["ServerSettings"]

Count = Annotated[int, Field(ge=1, le=65_536)]
Bytes = Annotated[int, Field(ge=1024, le=1 << 30)]
Seconds = Annotated[float, Field(gt=0, le=3600)]


class ServerSettings(Settings):
    """What an edge server runs, where it listens and what it allows.

    The folder ``watch`` is followed: what lies in it is served. From it and from ``admin_folder``
    clients that may administer the server have it load bundles. They take ``memory_bytes`` at most,
    half of the memory there is if None. Without ``backend``, each bundle runs on the first that can
    run it here. ``history_bytes`` of each stream's samples are kept, for later ones that go as
    their change; 0 keeps none. At the address ``metrics``, if one is given, metrics are shown to
    Prometheus; to the collector ``traces`` goes what traced samples did. Nothing is encrypted
    without a ``certificate`` and ``key``: beyond this machine that takes ``insecure``.
    """

    bundles: tuple[Path, ...] = ()
    watch: Path | None = None
    admin_folder: Path | None = None
    listen: ListenAddress = Address("127.0.0.1", 50051)
    metrics: ListenAddress | None = None
    traces: CollectorUrl | None = None
    backend: str | None = None
    threads: Annotated[int, Field(ge=1, le=256)] = 1
    workers: Annotated[int, Field(ge=1, le=256)] = 1
    queue_length: Count = 256
    queue_bytes: Annotated[int, Field(ge=1 << 20, le=1 << 40)] = 1 << 28
    max_wait_s: Seconds = 10.0
    max_in_flight: Count = 16
    max_rate_hz: Annotated[float, Field(gt=0, le=1e6)] = 5000.0
    max_streams: Count = 256
    history_bytes: Annotated[int, Field(ge=0, le=1 << 30)] = 9 << 18
    max_calls: Count = 1024
    max_client_calls: Count = 128
    max_connections: Count = 512
    max_message_bytes: Bytes = 16 << 20
    max_tensor_bytes: Bytes = 64 << 20
    memory_bytes: Annotated[int, Field(ge=1024, le=1 << 50)] | None = None
    max_header_bytes: Annotated[int, Field(ge=1024, le=1 << 20)] = 8192
    handshake_s: Seconds = 20.0
    first_message_s: Seconds = 30.0
    stalled_s: Seconds = 60.0
    idle_connection_s: Seconds = 300.0
    keepalive_s: Annotated[float, Field(ge=1, le=3600)] = 20.0
    grace_s: Seconds = 10.0
    certificate: Path | None = None
    key: Path | None = None
    client_authority: Path | None = None
    clients: Path | None = None
    insecure: bool = False

    @model_validator(mode="after")
    def _serves_something(self) -> ServerSettings:
        if not (self.bundles or self.watch or self.admin_folder):
            raise ValueError(
                "there is nothing to serve; name bundles, or a folder of them to watch"
            )
        for name in ("watch", "admin_folder"):
            folder = getattr(self, name)
            if folder and not folder.is_dir():
                raise ValueError(f"{name}: {folder} is no folder; make it, or name another one")
        return self

    @model_validator(mode="after")
    def _is_safe(self) -> ServerSettings:
        if (self.certificate is None) != (self.key is None):
            lacks = "key" if self.key is None else "certificate"
            raise ValueError(f"{lacks} is missing; certificate and key go together")
        if self.client_authority and self.certificate is None:
            raise ValueError(
                "client_authority needs a certificate and key of the server's own; add them"
            )
        if self.insecure and self.certificate:
            raise ValueError("insecure contradicts the certificate; leave one of them out")
        if not (self.certificate or self.insecure or self.listen.is_loopback):
            raise ValueError(
                f"listen: {self.listen} is not this machine alone, and nothing would be encrypted; "
                "give a certificate and key (offramp certs makes them), or insecure where the "
                "network itself is to be trusted"
            )
        return self
