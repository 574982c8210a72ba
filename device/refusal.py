"""Refusals: what a failed call says of the server, as errors that say what to do."""

from __future__ import annotations

import re

import grpc

from offramp.address import Address
from offramp.errors import AuthenticationError, LinkError, OfframpError, RightsError
from protos.offramp.v1 import inference_pb2 as pb
from protos.offramp.v1.edge_pb2_grpc import EdgeStub

__all__ = ["refusal_of", "why_closed"]

_ASK_S = 0.3
_DISTRUST = re.compile(
    r"CERTIFICATE_VERIFY_FAILED: ([^:;]+)|(No match found for server name[^:;]*)"
    r"|(Hostname Verification Check failed[^:;]*)"
)
_NO_TLS = "WRONG_VERSION_NUMBER"


def refusal_of(address: Address, error: grpc.RpcError) -> AuthenticationError | None:
    """Return why two do not trust each other, None if a call failed for another reason."""
    if not isinstance(error, grpc.Call):
        return None
    name, details = error.code().name, error.details() or ""
    if name == AuthenticationError.status:
        return AuthenticationError(f"{address}: {details}")
    if name == RightsError.status:
        return RightsError(f"{address}: {details}")
    if found := _DISTRUST.search(details):
        reason = next(filter(None, found.groups())).strip()
        return AuthenticationError(
            f"{address}: its certificate is not trusted ({reason}); check --authority, "
            "--server-name, the certificate's dates and this machine's clock"
        )
    if _NO_TLS in details:
        return AuthenticationError(
            f"{address}: the server does not encrypt; run it with a certificate, or the device "
            "without --authority"
        )
    return None


def why_closed(address: Address, channel: grpc.Channel) -> OfframpError:
    """Return why a channel did not open: a call on it tells what the channel itself does not."""
    stub = EdgeStub(channel)  # type: ignore[no-untyped-call]
    try:
        stub.Describe(pb.DescribeRequest(), timeout=_ASK_S)
    except grpc.RpcError as error:
        if refusal := refusal_of(address, error):
            return refusal
    return LinkError(f"{address} does not answer; is the server running?")
