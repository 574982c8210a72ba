"""Addresses: a host and a port, written HOST:PORT."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Annotated, Any

from pydantic import PlainSerializer, PlainValidator

from offramp.errors import ConfigError

__all__ = ["Address", "ListenAddress", "PeerAddress", "PeerAddresses"]

_FORM = re.compile(r"(?:\[(?P<bracketed>[^\]]*)\]|(?P<name>[^\s:/@\[\]]+)):(?P<port>[0-9]{1,5})")


@dataclass(frozen=True)
class Address:
    """A host, by name or number, and a port from 0 to 65535; 0 stands for any that is free."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read HOST:PORT, an IPv6 host in brackets; raise `ConfigError` if it is not that."""
        found = _FORM.fullmatch(text)
        if not found or int(found["port"]) > 65_535:
            raise _no_address(text)
        if found["bracketed"] is None:
            return cls(found["name"], int(found["port"]))
        try:
            return cls(str(IPv6Address(found["bracketed"])), int(found["port"]))
        except ValueError:
            raise _no_address(text) from None

    @classmethod
    def parse_peer(cls, text: str) -> Address:
        """Read the address of a peer: like `parse`, but its port cannot be 0."""
        address = cls.parse(text)
        if address.port == 0:
            raise ConfigError(f"{text!r} names no port; give the one that the peer listens on")
        return address

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine is reached there: a number of loopback, or ``localhost``."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host.lower() == "localhost"

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def _no_address(text: str) -> ConfigError:
    return ConfigError(
        f"{text!r} is not HOST:PORT; write for example 127.0.0.1:50051, or [::1]:50051 for IPv6"
    )


def _listen(value: Any) -> Address:
    return value if isinstance(value, Address) else Address.parse(str(value))


def _peer(value: Any) -> Address:
    return Address.parse_peer(str(value))


def _peers(value: Any) -> tuple[Address, ...]:
    given = value if isinstance(value, list | tuple) else () if value is None else (value,)
    peers = tuple(_peer(each) for each in given)
    for number, peer in enumerate(peers):
        if peer in peers[:number]:
            raise ConfigError(f"{peer} is named twice; name each server once")
    return peers


def _say_peers(peers: tuple[Address, ...]) -> str | list[str] | None:
    said = [str(peer) for peer in peers]
    return said if len(said) > 1 else said[0] if said else None


ListenAddress = Annotated[Address, PlainValidator(_listen), PlainSerializer(str)]
"""A setting that says where to listen; port 0 takes a free one."""

PeerAddress = Annotated[Address, PlainValidator(_peer), PlainSerializer(str)]
"""A setting that names a peer to connect to."""

PeerAddresses = Annotated[tuple[Address, ...], PlainValidator(_peers), PlainSerializer(_say_peers)]
"""A setting that names peers, the best first: one address, a list of several, or none."""
