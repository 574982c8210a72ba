"""The administrator: lists, loads and unloads the bundles of a server, over gRPC."""

from __future__ import annotations

from typing import Any

import grpc

from device.channel import open_channel
from device.refusal import refusal_of
from device.security import SecuritySettings
from offramp.address import Address
from offramp.administration import HeldBundle, read_list
from offramp.errors import (
    BundleError,
    ConfigError,
    LinkError,
    OfframpError,
    OverloadError,
    UnknownBundleError,
)
from protos.offramp.v1 import admin_pb2 as pb
from protos.offramp.v1.admin_pb2_grpc import AdminStub

__all__ = ["Administrator"]

_KINDS: dict[str, type[OfframpError]] = {
    "INVALID_ARGUMENT": ConfigError,
    "NOT_FOUND": UnknownBundleError,
    "RESOURCE_EXHAUSTED": OverloadError,
    "DATA_LOSS": BundleError,
}


class Administrator:
    """Whoever may administer the server at an address; a call takes ``limit_s`` at most.

    Raises `LinkError` if the server does not answer in that time, `AuthenticationError` if it does
    not trust the caller, and else what the server says is wrong.
    """

    def __init__(self, address: Address, security: SecuritySettings, limit_s: float) -> None:
        self._address, self._limit_s = address, limit_s
        self._channel = open_channel(address, security)
        self._stub: Any = AdminStub(self._channel)  # type: ignore[no-untyped-call]

    def list(self) -> list[HeldBundle]:
        """Return what the server knows."""
        return read_list(self._call(self._stub.List, pb.ListBundlesRequest()))

    def load(self, path: str) -> HeldBundle:
        """Have the server take in a bundle that lies on it, and return it once it is served."""
        loaded = self._call(self._stub.Load, pb.LoadBundleRequest(path=path))
        return HeldBundle.from_proto(loaded.bundle)

    def unload(self, digest: str) -> bool:
        """Take a bundle away, and tell whether the server knew it."""
        request = pb.UnloadBundleRequest(bundle_digest=bytes.fromhex(digest))
        return bool(self._call(self._stub.Unload, request).was_known)

    def close(self) -> None:
        """End the connection."""
        self._channel.close()

    def _call(self, method: Any, request: Any) -> Any:
        try:
            return method(request, timeout=self._limit_s)
        except grpc.RpcError as error:
            raise self._translated(error) from None

    def _translated(self, error: grpc.RpcError) -> OfframpError:
        if refusal := refusal_of(self._address, error):
            return refusal
        if not isinstance(error, grpc.Call):
            return LinkError(f"{self._address}: {error}")
        name, details = error.code().name, error.details()
        if name == "DEADLINE_EXCEEDED":
            return LinkError(
                f"{self._address} has not answered within {self._limit_s:g} s; it may still be "
                "loading: look with offramp bundles list, or allow more with --timeout"
            )
        if name == "UNAVAILABLE":
            return LinkError(f"{self._address} does not answer; is the server running? ({details})")
        if name == "UNIMPLEMENTED":
            return LinkError(
                f"{self._address} has no administration; install a newer Offramp there"
            )
        return _KINDS.get(name, OfframpError)(f"{self._address}: {details}")
