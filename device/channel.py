"""Channels: how the device connects to a server."""

from __future__ import annotations

import grpc

from offramp.address import Address

__all__ = ["open_channel"]

_MAX_MESSAGE_BYTES = 16 << 20
_KEEPALIVE_MS = 10_000  # the server allows a ping each 5 s


def open_channel(address: Address) -> grpc.Channel:
    """Return a channel on a connection of its own, which is tested while calls are open."""
    options = [
        ("grpc.max_send_message_length", _MAX_MESSAGE_BYTES),
        ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.enable_retries", 0),
        ("grpc.keepalive_time_ms", _KEEPALIVE_MS),
        ("grpc.http2.ping_timeout_ms", _KEEPALIVE_MS),  # keepalive_timeout_ms is not heeded
        ("grpc.http2.max_pings_without_data", 0),
    ]
    return grpc.insecure_channel(str(address), options)
