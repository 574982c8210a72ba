"""Certificates: what the server shows of itself, and whom it lets vouch for clients."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import grpc

from offramp.errors import ConfigError
from offramp.files import FileStamp, file_stamp, warn_if_open
from offramp.pem import read_authority, read_pair

__all__ = ["CertificateFiles", "Certificates"]

_log = logging.getLogger(__name__)


class CertificateFiles(NamedTuple):
    """PEM files: the server's certificate, its key, and the authority of clients' certificates.

    With an ``authority`` every client has to show a certificate.
    """

    certificate: Path
    key: Path
    authority: Path | None = None

    @property
    def stamps(self) -> tuple[FileStamp, ...]:
        """What changes when one of the files does."""
        return tuple(file_stamp(path) for path in self if path is not None)

    def read(self) -> grpc.ServerCertificateConfiguration:
        """Read the files; raise `ConfigError` unless they are what they should be."""
        certificate, key = read_pair(self.certificate, self.key)
        authority = read_authority(self.authority) if self.authority else None
        return grpc.ssl_server_certificate_configuration([(key, certificate)], authority)


class Certificates:
    """The certificates that new connections are met with; `refresh` reads changed files again."""

    def __init__(self, files: CertificateFiles) -> None:
        self._files = files
        self._stamps = files.stamps
        self._now = files.read()
        self._next: grpc.ServerCertificateConfiguration | None = None
        self._lock = threading.Lock()
        warn_if_open(files.key)

    def credentials(self) -> grpc.ServerCredentials:
        """Return the credentials to listen with."""
        required = self._files.authority is not None
        # The stubs do not know that None means no change.
        take: Callable[[], Any] = self._take
        return grpc.dynamic_ssl_server_credentials(self._now, take, required)

    def refresh(self) -> None:
        """Read the files again if they have changed; wrong ones are logged and change nothing."""
        stamps = self._files.stamps
        if stamps == self._stamps:
            return
        self._stamps = stamps
        try:
            fresh = self._files.read()
        except ConfigError as error:
            _log.error("the certificate stays as it is: %s", error)
        else:
            with self._lock:
                self._now = self._next = fresh
            _log.info("%s is in force for new connections", self._files.certificate)

    def _take(self) -> grpc.ServerCertificateConfiguration | None:
        """Return what is new, for gRPC, which asks on its own threads at each connection."""
        with self._lock:
            fresh, self._next = self._next, None
        return fresh
