"""Exposition: metrics over HTTP, in the text that Prometheus reads."""

from __future__ import annotations

import socket
import threading
from socketserver import TCPServer, ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry, disable_created_metrics, make_wsgi_app

from offramp.address import Address
from offramp.errors import AddressError

__all__ = ["MetricsEndpoint"]

_SILENCE_S = 5.0  # after which a reader that neither asks nor takes what it asked for is left
_POLL_S = 0.1
_CLOSE_S = 1.0


class MetricsEndpoint:
    """Answers `GET /metrics` with what a registry collects, on threads of its own.

    ``address`` has the port that was bound. Raises `AddressError` if it cannot be listened on.
    """

    def __init__(self, listen: Address, registry: CollectorRegistry) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # they double the series, and nobody reads them
        server = _server_class(listen)
        try:
            self._server = server((listen.host, listen.port), _Handler)
        except OSError as error:
            reason = error.strerror or str(error)
            raise AddressError(
                f"metrics cannot be shown on {listen}: {reason}; choose another address"
            ) from None
        self._server.set_app(make_wsgi_app(registry))
        self.address = Address(listen.host, self._server.server_port)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_POLL_S,), name="metrics", daemon=True
        )
        self._thread.start()

    @property
    def url(self) -> str:
        """Where the metrics are read."""
        return f"http://{self.address}/metrics"

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(_CLOSE_S)


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def server_bind(self) -> None:
        """Bind as TCP does: HTTP's own looks for the host's name, for seconds if none is known."""
        TCPServer.server_bind(self)
        host, self.server_port = self.server_address[:2]
        self.server_name = str(host)
        self.setup_environ()


class _Server6(_Server):
    address_family = socket.AF_INET6


class _Handler(WSGIRequestHandler):
    timeout = _SILENCE_S

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: a reader comes every few seconds."""


def _server_class(listen: Address) -> type[_Server]:
    return _Server6 if ":" in listen.host else _Server
