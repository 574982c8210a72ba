"""Channels: how the device connects to a server."""

from __future__ import annotations

import grpc

from device.reconnect import KEEPALIVE_S
from offramp.address import Address

__all__ = ["open_channel"]

_MAX_MESSAGE_BYTES = 16 << 20


def open_channel(address: Address) -> grpc.Channel:
    """Return a channel on a connection of its own, which is tested while calls are open."""
    keepalive_ms = round(KEEPALIVE_S * 1e3)
    options = [
        ("grpc.max_send_message_length", _MAX_MESSAGE_BYTES),
        ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.enable_retries", 0),
        ("grpc.keepalive_time_ms", keepalive_ms),
        ("grpc.http2.ping_timeout_ms", keepalive_ms),  # keepalive_timeout_ms is not heeded
        ("grpc.http2.max_pings_without_data", 0),
    ]
    return grpc.insecure_channel(str(address), options)
