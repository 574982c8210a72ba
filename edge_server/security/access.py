"""Access: who may connect to a server, from its settings' files, read again when they change."""

from __future__ import annotations

import logging
from pathlib import Path

from edge_server.security.certificates import CertificateFiles, Certificates
from edge_server.security.identity import Identity
from edge_server.security.roster import ClientsFile, Roster
from edge_server.settings import ServerSettings
from offramp.errors import ConfigError
from offramp.files import file_stamp
from offramp.settings import load_settings

__all__ = ["Access"]

_log = logging.getLogger(__name__)


class Access:
    """The certificates and the clients of a server; raises `ConfigError` if a file is wrong.

    ``certificates`` is None where connections are not encrypted.
    """

    def __init__(self, settings: ServerSettings) -> None:
        self._clients_file = settings.clients
        self._stamp = file_stamp(settings.clients) if settings.clients else None
        self.identity = Identity(_read(settings.clients) if settings.clients else None)
        self.certificates: Certificates | None = None
        if settings.certificate and settings.key:
            files = (settings.certificate, settings.key, settings.client_authority)
            self.certificates = Certificates(CertificateFiles(*files))
        _warn_of_dangers(settings)

    def refresh(self) -> None:
        """Read again what has changed; what cannot be read is logged and changes nothing."""
        if self.certificates:
            self.certificates.refresh()
        if self._clients_file is None or file_stamp(self._clients_file) == self._stamp:
            return
        self._stamp = file_stamp(self._clients_file)
        try:
            self.identity.roster = _read(self._clients_file)
        except ConfigError as error:
            _log.error("the clients stay as they are: %s", error)
        else:
            _log.info("%s is in force", self._clients_file)


def _read(path: Path) -> Roster:
    return Roster(load_settings(ClientsFile, path))


def _warn_of_dangers(settings: ServerSettings) -> None:
    if settings.listen.is_loopback:
        return
    if settings.certificate is None:
        _log.warning(
            "insecure: whoever is on the way to %s can read and change what is sent",
            settings.listen,
        )
    if settings.clients is None and settings.client_authority is None:
        _log.warning(
            "whoever reaches %s may use this server; give --clients or --client-authority",
            settings.listen,
        )
