"""The sockets and the event loop of the relay."""

from __future__ import annotations

import asyncio
import socket
import struct
from selectors import SelectSelector

from offramp.address import Address
from offramp.errors import AddressError

__all__ = ["dial", "listen", "local_address", "precise_loop", "reset"]

_RECEIVE_BUFFER_BYTES = 64 * 1024
"""What the kernel may hold before the relay reads: small, so that it does not hide the link."""

_DIAL_TIMEOUT_S = 5.0


def precise_loop() -> asyncio.AbstractEventLoop:
    """An event loop whose timers are exact to some 0.1 ms, where epoll rounds up to 1 ms."""
    return asyncio.SelectorEventLoop(SelectSelector())


def listen(address: Address) -> socket.socket:
    """A socket that listens on the address; port 0 takes a free one."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        place = (address.host, address.port)
        listener = socket.create_server(place, family=family, backlog=128)
    except OSError as error:
        raise AddressError(
            f"cannot listen on {address} ({error.strerror}): choose another address or port"
        ) from error
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
    listener.setblocking(False)
    return listener


def local_address(listener: socket.socket) -> Address:
    """The address that a socket listens on."""
    return Address(*listener.getsockname()[:2])


async def dial(address: Address) -> socket.socket:
    """A connection to the address; raises OSError if there is none within 5 seconds."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(_DIAL_TIMEOUT_S):
        found = await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
        error: OSError = ConnectionError("no such host")
        for family, kind, protocol, _, place in found:
            sock = socket.socket(family, kind, protocol)
            try:
                sock.setblocking(False)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                await loop.sock_connect(sock, place)
            except OSError as refused:
                sock.close()
                error = refused
            except BaseException:
                sock.close()
                raise
            else:
                return sock
        raise error


def reset(sock: socket.socket) -> None:
    """Close a connection so that its peer sees it broken."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
