"""Security: how a device knows its server, and shows the server who it is itself."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import PlainSerializer, model_validator

from offramp.address import Address
from offramp.errors import ConfigError
from offramp.files import read_file
from offramp.settings import Settings

__all__ = ["Credentials", "SecuritySettings"]

_VARIABLE = "OFFRAMP_TOKEN"

_File = Annotated[Path, PlainSerializer(str)]  # as a run's first line has it


@dataclass(frozen=True)
class Credentials:
    """What a connection is opened with; without an ``authority`` it is not encrypted.

    ``pair`` is the device's own certificate and key. The server's certificate has to be for
    ``server_name``, if that is not None, and not for the address.
    """

    authority: bytes | None = None
    pair: tuple[bytes, bytes] | None = None
    token: str | None = None
    server_name: str | None = None


class SecuritySettings(Settings):
    """Files by which a connection is secured; they are read anew for each one.

    With an ``authority`` it is encrypted, and the server has to show a certificate of that
    authority. The device shows its ``certificate``, or a token: the first line of ``token_file``,
    or else what the environment has as OFFRAMP_TOKEN. A token is sent to this machine or over an
    encrypted connection alone, unless ``token_in_clear`` says otherwise.
    """

    authority: _File | None = None
    certificate: _File | None = None
    key: _File | None = None
    token_file: _File | None = None
    server_name: str | None = None
    token_in_clear: bool = False

    @model_validator(mode="after")
    def _goes_together(self) -> SecuritySettings:
        if (self.certificate is None) != (self.key is None):
            lacks = "key" if self.key is None else "certificate"
            raise ValueError(f"{lacks} is missing; certificate and key go together")
        for name in ("certificate", "server_name"):
            if getattr(self, name) is not None and self.authority is None:
                raise ValueError(
                    f"{name} has no meaning without an authority; name the one that signed the "
                    "server's certificate"
                )
        return self

    def credentials(self, address: Address) -> Credentials:
        """Read the files for a connection to an address; raise `ConfigError` if one is wrong.

        It is also raised if a token would be sent where anybody on the way could read it.
        """
        token = self._token()
        if token and not (self.authority or self.token_in_clear or address.is_loopback):
            raise ConfigError(
                f"the token would go to {address} unencrypted; name the server's --authority, or "
                "set security.token_in_clear where the network itself is to be trusted"
            )
        if self.authority is None:
            return Credentials(token=token)
        from offramp.pem import read_authority, read_pair  # TLS takes memory that most do without

        pair = read_pair(self.certificate, self.key) if self.certificate and self.key else None
        return Credentials(read_authority(self.authority), pair, token, self.server_name)

    def _token(self) -> str | None:
        if self.token_file is None:
            return _checked(os.environ.get(_VARIABLE, "").strip(), _VARIABLE) or None
        lines = read_file(self.token_file).decode("ascii", "replace").splitlines()
        token = _checked(lines[0].strip() if lines else "", str(self.token_file))
        if not token:
            raise ConfigError(f"{self.token_file} has no token in its first line; put it there")
        return token


def _checked(token: str, origin: str) -> str:
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise ConfigError(f"{origin} holds no token: it must be one word in ASCII")
    return token
