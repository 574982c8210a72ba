"""A development authority: certificates for trying out encryption, made on one machine.

Needs the extra ``certs``. Keys are of the curve P-256; every certificate says what it is for, so
that a device's cannot stand for a server.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from offramp.errors import ConfigError
from offramp.files import read_file, unwritable

__all__ = ["Authority", "Signed", "make_authority", "open_authority"]

_SLACK = timedelta(days=1)  # clocks that are behind take a certificate all the same
_AUTHORITY_DAYS = 3650
_MAX_NAME = 64  # of a common name, by X.509


@dataclass(frozen=True)
class Signed:
    """A certificate and its key, both PEM."""

    certificate: bytes
    key: bytes

    def write(self, folder: Path, name: str) -> None:
        """Write NAME.pem and NAME-key.pem; raise `ConfigError` rather than replace a file."""
        _write_new(folder / f"{name}.pem", self.certificate, 0o644)
        _write_new(folder / f"{name}-key.pem", self.key, 0o600)


@dataclass(frozen=True)
class Authority:
    """Signs the certificates of servers and clients."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def signed(self) -> Signed:
        """Its own certificate and key."""
        return Signed(self.certificate.public_bytes(Encoding.PEM), _pem(self.key))

    def server(self, hosts: Sequence[str], begins: datetime, days: int) -> Signed:
        """Return a server's certificate for hosts, by name or number."""
        names = x509.SubjectAlternativeName([_host(host) for host in hosts])
        return self._sign(hosts[0], ExtendedKeyUsageOID.SERVER_AUTH, (begins, days), names)

    def client(self, name: str, begins: datetime, days: int) -> Signed:
        """Return the certificate of a client of that name."""
        return self._sign(name, ExtendedKeyUsageOID.CLIENT_AUTH, (begins, days))

    def _sign(
        self,
        name: str,
        purpose: x509.ObjectIdentifier,
        validity: tuple[datetime, int],
        *extensions: x509.ExtensionType,
    ) -> Signed:
        key = ec.generate_private_key(ec.SECP256R1())
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        builder = _builder(_name(name), key, validity).issuer_name(self.certificate.subject)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), False)
        for extension in (issuer, *extensions):
            builder = builder.add_extension(extension, False)
        signed = builder.sign(self.key, hashes.SHA256())
        return Signed(signed.public_bytes(Encoding.PEM), _pem(key))


def make_authority(begins: datetime | None = None) -> Authority:
    """Return a new authority, for ten years."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("Offramp development authority")
    builder = _builder(name, key, (begins or datetime.now(UTC), _AUTHORITY_DAYS))
    builder = builder.issuer_name(name)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
    usage = {"key_cert_sign": True, "crl_sign": True}
    builder = builder.add_extension(_usage(**usage), True)
    return Authority(builder.sign(key, hashes.SHA256()), key)


def open_authority(folder: Path) -> Authority:
    """Read the authority that was made in a folder; raise `ConfigError` if it is not one."""
    certificate, key = folder / "authority.pem", folder / "authority-key.pem"
    try:
        signed = x509.load_pem_x509_certificate(read_file(certificate))
        private = load_pem_private_key(read_file(key), None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(
            f"{certificate} and {key} are no authority of offramp certs ({error}); remove them, or "
            "name another folder with --out"
        ) from None
    if not isinstance(private, ec.EllipticCurvePrivateKey):
        raise ConfigError(f"{key} is no key of offramp certs; name another folder with --out")
    return Authority(signed, private)


def _builder(
    name: x509.Name, key: ec.EllipticCurvePrivateKey, validity: tuple[datetime, int]
) -> x509.CertificateBuilder:
    begins, days = validity
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    builder = x509.CertificateBuilder().subject_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(begins - _SLACK).not_valid_after(begins + timedelta(days))
    return builder.add_extension(identifier, False)


def _usage(*, key_cert_sign: bool, crl_sign: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )


def _name(name: str) -> x509.Name:
    if not 0 < len(name) <= _MAX_NAME or not name.isprintable():
        raise ConfigError(f"{name[:80]!r} is no name for a certificate: it takes 1 to {_MAX_NAME}")
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        pass
    try:
        return x509.DNSName(host)
    except ValueError:
        raise ConfigError(f"{host!r} is no host; write its name in ASCII or its number") from None


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _write_new(path: Path, data: bytes, mode: int) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
    except FileExistsError:
        raise ConfigError(
            f"{path} is there already; remove it, or name another folder with --out"
        ) from None
    except OSError as error:
        raise unwritable(path, error) from None
