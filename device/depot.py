"""The depot: what an edge server has for devices to fetch, over gRPC."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc

from device.channel import open_channel
from device.refusal import refusal_of
from device.security import SecuritySettings
from offramp.address import Address
from offramp.catalogue import Catalogue, FileRequest
from offramp.errors import BundleError, LinkError, OfframpError, UnknownBundleError
from protos.offramp.v1 import inference_pb2 as pb
from protos.offramp.v1.edge_pb2_grpc import EdgeStub

__all__ = ["Depot"]

_CALL_S = 30.0  # a call that takes longer is made again, from where it got to
_SILENT = ("UNAVAILABLE", "DEADLINE_EXCEEDED")
_PASSING = ("RESOURCE_EXHAUSTED", "CANCELLED", "INTERNAL")


class Depot:
    """The bundles of the server at an address, on a connection of their own.

    An answer to a sample never waits behind a file in this connection's buffers.
    """

    def __init__(self, address: Address, security: SecuritySettings) -> None:
        self._address = address
        self._channel = open_channel(address, security)
        self._stub: Any = EdgeStub(self._channel)  # type: ignore[no-untyped-call]

    def catalogue(self, limit_s: float, *, patient: bool) -> Catalogue:
        """Ask what the server holds; raise `LinkError` if it has not answered in ``limit_s``.

        Raises `AuthenticationError` if the two do not trust each other. Unless ``patient``, it is
        given up as soon as the first attempt to connect fails.
        """
        request = pb.DescribeRequest()
        try:
            described = self._stub.Describe(request, timeout=limit_s, wait_for_ready=patient)
        except grpc.RpcError as error:
            raise self._translated(error) from None
        return Catalogue.from_proto(described)

    def read(self, request: FileRequest) -> Iterator[bytes]:
        """Yield the bytes that are asked for, as they come.

        Raises `LinkError` if the connection breaks, stalls or is slow; those that came until then
        count. Raises `BundleError` if the server does not have them.
        """
        call = self._stub.ReadFile(request.to_proto(), timeout=_CALL_S)
        try:
            for chunk in call:
                yield chunk.data
        except grpc.RpcError as error:
            raise self._translated(error) from None
        finally:
            call.cancel()

    def close(self) -> None:
        """End the connection."""
        self._channel.close()

    def _translated(self, error: grpc.RpcError) -> OfframpError:
        if not isinstance(error, grpc.Call):
            return LinkError(f"{self._address}: {error}")
        if refusal := refusal_of(self._address, error):
            return refusal
        name, details = error.code().name, error.details()
        if name in _SILENT:
            return LinkError(f"{self._address} does not answer; is the server running? ({details})")
        if name in _PASSING:
            return LinkError(f"{self._address}: {name}, {details}")
        if name == "NOT_FOUND":
            return UnknownBundleError(f"{self._address}: {details}")
        if name == "UNIMPLEMENTED":
            return BundleError(
                f"{self._address}: the server gives no bundles away; name a bundle file, or "
                "install a newer Offramp there"
            )
        return BundleError(f"{self._address}: {name}, {details}")
