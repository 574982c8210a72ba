"""Channels: how the device connects to a server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import grpc

from device.reconnect import KEEPALIVE_S
from device.security import Credentials, SecuritySettings
from offramp.address import Address

__all__ = ["open_channel"]

_MAX_MESSAGE_BYTES = 16 << 20
_UNSECURED = SecuritySettings()


def open_channel(address: Address, security: SecuritySettings = _UNSECURED) -> grpc.Channel:
    """Return a channel on a connection of its own, which is tested while calls are open.

    Raises `ConfigError` if a file of ``security`` is wrong. Every call carries its token.
    """
    shown = security.credentials(address)
    options = _options(shown)
    if shown.authority is None:
        channel = grpc.insecure_channel(str(address), options)
    else:
        certificate, key = shown.pair or (None, None)
        tls = grpc.ssl_channel_credentials(shown.authority, key, certificate)
        channel = grpc.secure_channel(str(address), tls, options)
    return grpc.intercept_channel(channel, _Bearer(shown.token)) if shown.token else channel


def _options(shown: Credentials) -> list[tuple[str, Any]]:
    keepalive_ms = round(KEEPALIVE_S * 1e3)
    options: list[tuple[str, Any]] = [
        ("grpc.max_send_message_length", _MAX_MESSAGE_BYTES),
        ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.enable_retries", 0),
        ("grpc.keepalive_time_ms", keepalive_ms),
        ("grpc.http2.ping_timeout_ms", keepalive_ms),  # keepalive_timeout_ms is not heeded
        ("grpc.http2.max_pings_without_data", 0),
    ]
    if shown.server_name is not None:
        options.append(("grpc.ssl_target_name_override", shown.server_name))
    return options


class _Details(NamedTuple):
    """A call's details, as gRPC's own have them."""

    method: str
    timeout: float | None
    metadata: Any
    credentials: Any
    wait_for_ready: bool | None
    compression: Any


class _Bearer(
    grpc.UnaryUnaryClientInterceptor,  # type: ignore[type-arg]  # they are no generics
    grpc.UnaryStreamClientInterceptor,  # type: ignore[type-arg]
    grpc.StreamStreamClientInterceptor,  # type: ignore[type-arg]
):
    """Adds a token to every call; gRPC's own way to do so wants encryption on loopback too."""

    def __init__(self, token: str) -> None:
        self._header = ("authorization", f"Bearer {token}")

    def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        return self._with_token(continuation, details, request)

    def intercept_unary_stream(self, continuation: Any, details: Any, request: Any) -> Any:
        return self._with_token(continuation, details, request)

    def intercept_stream_stream(self, continuation: Any, details: Any, requests: Any) -> Any:
        return self._with_token(continuation, details, requests)

    def _with_token(self, continuation: Callable[[Any, Any], Any], call: Any, given: Any) -> Any:
        metadata = (*(call.metadata or ()), self._header)
        shown = _Details(
            call.method,
            call.timeout,
            metadata,
            call.credentials,
            call.wait_for_ready,
            call.compression,
        )
        return continuation(shown, given)
