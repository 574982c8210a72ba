"""PEM files: certificates, their keys and authorities, checked before gRPC takes them.

gRPC fails each connection with what cannot be used, and does not say why.
"""

from __future__ import annotations

import ssl
from pathlib import Path

from offramp.errors import ConfigError
from offramp.files import open_file, read_file

__all__ = ["read_authority", "read_pair"]


def read_pair(certificate: Path, key: Path) -> tuple[bytes, bytes]:
    """Return a certificate and its key; raise `ConfigError` unless they belong together."""
    for path in (certificate, key):
        open_file(path).close()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key, password=lambda: "")
    except (ssl.SSLError, OSError, ValueError) as error:
        raise ConfigError(
            f"{certificate} and {key} are no certificate and its key in PEM, without a password "
            f"({_said(error)}); name a pair that offramp certs or your authority made"
        ) from None
    return read_file(certificate), read_file(key)


def read_authority(path: Path) -> bytes:
    """Return an authority's certificate; raise `ConfigError` if there is none in the file."""
    read = read_file(path)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=read.decode("ascii"))
    except (ssl.SSLError, ValueError) as error:
        raise ConfigError(
            f"{path} holds no certificate of an authority in PEM ({_said(error)}); name the one "
            "that signed the peer's certificate"
        ) from None
    return read


def _said(error: Exception) -> str:
    return getattr(error, "reason", None) or str(error)
