"""The server's life: loads bundles, listens, tells its health, and stops without losing work."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from edge_server.bundles.admin_service import AdminService
from edge_server.bundles.administration import Administration
from edge_server.bundles.holdings import Holdings
from edge_server.bundles.intake import Intake
from edge_server.bundles.librarian import Librarian
from edge_server.bundles.loading import Loader
from edge_server.engine import Engine
from edge_server.front import Front
from edge_server.processor import ProcessorMeter, memory_bytes
from edge_server.scheduling.sample import Room
from edge_server.security.access import Access
from edge_server.security.gate import CallLimits, Gate
from edge_server.seeing.diary import Diary
from edge_server.seeing.watching import Watcher
from edge_server.service import EdgeService
from edge_server.settings import ServerSettings
from edge_server.workers import WorkerPool
from offramp.address import Address
from offramp.bundle import Bundle
from offramp.errors import AddressError
from offramp.messages import Draining, Load
from offramp.network import Network
from offramp.tracing import Recorder, open_recorder
from protos.offramp.v1 import admin_pb2, admin_pb2_grpc, edge_pb2, edge_pb2_grpc

if TYPE_CHECKING:  # a server that shows no metrics needs none of it
    from offramp.exposition import MetricsEndpoint

__all__ = ["EdgeServer", "load_engine", "run_server"]

SERVICE: str = edge_pb2.DESCRIPTOR.services_by_name["Edge"].full_name
ADMIN: str = admin_pb2.DESCRIPTOR.services_by_name["Admin"].full_name
_LINGER_S = 0.5  # health watches never end by themselves; all else has ended before
_LAST_S = 0.05
_LEAVE_SHARE = 0.2  # of the grace, in which devices go elsewhere and still send here
_REFUSE_SHARE = 0.2  # of the grace at most, in which what could not be answered is refused
_SAMPLE_S = 1.0
_LEAST_PING_S = 5

_log = logging.getLogger(__name__)


def load_engine(settings: ServerSettings) -> Engine:
    """Open and load every bundle; raise `BundleError` or `ConfigError` if one cannot run."""
    holdings = Holdings(settings.memory_bytes or memory_bytes() // 2)
    loader = Loader(settings.backend, settings.threads, holdings.costs)
    holdings.fill(map(loader.read, settings.bundles), loader.load)
    return Engine((), settings.max_tensor_bytes, holdings=holdings)


async def run_server(
    settings: ServerSettings, engine: Engine, announce: Callable[[str], None]
) -> None:
    """Serve until SIGTERM or SIGINT; ``announce`` is told the address once it is listened on."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):  # first: gRPC does not unwind half made
        loop.add_signal_handler(number, stop.set)
    server = EdgeServer(settings, engine)
    loop.add_signal_handler(signal.SIGHUP, server.reload_asked.set)
    if _log.isEnabledFor(logging.DEBUG):
        server.watch(Diary())
    with ExitStack() as stack:
        if settings.metrics:
            stack.callback(_show_metrics(server, settings.metrics).close)
        if settings.traces:
            stack.callback(_trace(server, settings.traces).close)
        announce(await server.start())
        await stop.wait()
        await server.stop()


def _show_metrics(server: EdgeServer, listen: Address) -> MetricsEndpoint:
    from edge_server.seeing.metrics import ServerMetrics
    from offramp.exposition import MetricsEndpoint

    metrics = ServerMetrics(server)
    endpoint = MetricsEndpoint(listen, metrics.registry)
    server.watch(metrics)
    server.pool.engine.stepped = metrics.stepped
    _log.info("metrics on %s", endpoint.url)
    return endpoint


def _trace(server: EdgeServer, collector: str) -> Recorder:
    from edge_server.seeing.traces import ServerTraces

    recorder = open_recorder("offramp-server", collector)
    server.watch(ServerTraces(recorder))
    return recorder


class EdgeServer:
    """An edge server in this process, on the running event loop.

    While it listens, setting ``reload_asked`` makes it load the bundles' files again.
    """

    def __init__(self, settings: ServerSettings, engine: Engine) -> None:
        self._settings = settings
        self._access = Access(settings)
        room = Room(settings.workers, settings.queue_length, settings.queue_bytes)
        self.pool = WorkerPool(engine, room, settings.max_wait_s)
        self._service = EdgeService(self.pool, settings, self._access.identity)
        self._gate = Gate(self._access.identity, _call_limits(settings))
        loader = Loader(settings.backend, settings.threads, engine.costs)
        self.librarian = Librarian(
            engine.holdings, loader, self.pool.in_flight, self._service.announce
        )
        self._intake = Intake(self.librarian, settings.bundles, settings.watch)
        self.reload_asked = self._intake.asked
        self._health = health.aio.HealthServicer()  # type: ignore[attr-defined]
        folders = [folder for folder in (settings.admin_folder, settings.watch) if folder]
        administration = Administration(self.librarian, self.pool.in_flight, folders)
        self._admin = AdminService(administration, self._access.identity)
        self._front = Front(self._make_server, self._bind)

    def watch(self, watcher: Watcher) -> None:
        """Tell ``watcher`` of every sample that leaves, and of what is turned away."""
        for told in (self._service.watchers, self._gate.watchers):
            told.append(watcher)

    @property
    def networks(self) -> Mapping[str, Network]:
        """What is in memory, by digest."""
        return self.pool.engine.networks

    def bundle(self, digest: str) -> Bundle:
        """Return a bundle that is known, in memory or not; raise `UnknownBundleError` if none."""
        return self.pool.engine.holdings.bundle(digest)

    @property
    def streams(self) -> int:
        """How many streams are open."""
        return self._service.streams

    def load(self) -> Load:
        """Return how busy it is now."""
        return self.pool.load()

    async def start(self) -> str:
        """Listen, and return the address with the port that was bound."""
        listen = self._settings.listen
        try:
            port = self._front.bind(str(listen))
        except RuntimeError:
            port = 0
        if not port:
            self.pool.close(_LINGER_S)
            raise AddressError(f"cannot listen on {listen}: {_reason(listen)}; choose another one")
        self._tasks = [
            asyncio.create_task(self._sample_processor()),
            asyncio.create_task(self.librarian.run()),
            asyncio.create_task(self._refresh_access()),
        ]
        self.librarian.tell()
        await self._intake.begin()
        self._tasks.append(asyncio.create_task(self._intake.run()))
        for name in ("", SERVICE):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        await self._front.start()
        address = str(replace(listen, port=port))
        self._tasks.append(asyncio.create_task(self._front.run(address)))
        return address

    async def stop(self) -> None:
        """Send devices elsewhere, answer or refuse what waits, end the streams.

        That takes ``grace_s`` at most, and a moment.
        """
        grace_s = self._settings.grace_s
        end_s = time.monotonic() + grace_s
        answered_by_s = end_s - min(_REFUSE_SHARE * grace_s, _LINGER_S)
        _log.info("stopping: %d samples wait", self.pool.load().queued)
        with contextlib.suppress(TimeoutError):  # a watcher that does not read may hold it up
            await asyncio.wait_for(self._health.enter_graceful_shutdown(), _LINGER_S)
        leave_s = _LEAVE_SHARE * grace_s
        self._service.drain(Draining(leave_s, answered_by_s - time.monotonic()))
        await self._service.wait_for_streams(leave_s)
        left_s = max(answered_by_s - time.monotonic(), 0.0)
        if not await asyncio.to_thread(self.pool.drain, left_s):
            _log.warning("samples were still due near the end of %g s of grace", grace_s)
            self.pool.give_up()
            await asyncio.to_thread(self.pool.drain, max(end_s - time.monotonic(), 0.0))
        self._service.drained.set()
        await self._service.wait_for_streams(_until(end_s))
        await self._front.stop(min(_until(end_s), _LINGER_S))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.to_thread(self.pool.close, min(_until(end_s), _LINGER_S))
        _log.info("stopped")

    def _make_server(self) -> grpc.aio.Server:
        settings = self._settings
        server = grpc.aio.server(
            interceptors=[self._gate],
            options=_options(settings),
            maximum_concurrent_rpcs=settings.max_calls,
        )
        edge_pb2_grpc.add_EdgeServicer_to_server(  # type: ignore[no-untyped-call]
            self._service, server
        )
        admin_pb2_grpc.add_AdminServicer_to_server(  # type: ignore[no-untyped-call]
            self._admin, server
        )
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        if not settings.clients:  # else strangers learn nothing of what is here
            names = (SERVICE, ADMIN, health.SERVICE_NAME, reflection.SERVICE_NAME)
            reflection.enable_server_reflection(names, server)
        return server

    def _bind(self, server: grpc.aio.Server, listen: str) -> int:
        certificates = self._access.certificates
        if certificates is None:
            return server.add_insecure_port(listen)
        return server.add_secure_port(listen, certificates.credentials())

    async def _refresh_access(self) -> None:
        """Look at once a second whether certificates or clients have changed, or tokens expired."""
        while True:
            await asyncio.sleep(_SAMPLE_S)
            try:
                await asyncio.to_thread(self._access.refresh)
            except Exception as error:  # whatever is wrong with a file, calls are looked at
                _log.error("the files of --certificate and --clients cannot be read: %r", error)
            self._gate.recheck()

    async def _sample_processor(self) -> None:
        meter = ProcessorMeter()
        while True:
            await asyncio.sleep(_SAMPLE_S)
            self.pool.cpu_share = meter.share()


def _until(end_s: float) -> float:
    """Return how long it is until then, and a moment at least."""
    return max(end_s - time.monotonic(), _LAST_S)


def _call_limits(settings: ServerSettings) -> CallLimits:
    limits = settings.max_client_calls, settings.first_message_s, settings.stalled_s
    return CallLimits(*limits)


def _options(settings: ServerSettings) -> list[tuple[str, int]]:
    keepalive_ms = round(settings.keepalive_s * 1e3)
    return [
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", settings.max_message_bytes),
        ("grpc.max_send_message_length", settings.max_message_bytes),
        ("grpc.max_metadata_size", settings.max_header_bytes),
        ("grpc.absolute_max_metadata_size", settings.max_header_bytes),
        ("grpc.max_allowed_incoming_connections", settings.max_connections),
        ("grpc.server_handshake_timeout_ms", round(settings.handshake_s * 1e3)),
        ("grpc.max_connection_idle_ms", round(settings.idle_connection_s * 1e3)),
        ("grpc.keepalive_time_ms", keepalive_ms),
        ("grpc.http2.ping_timeout_ms", keepalive_ms),  # keepalive_timeout_ms is not heeded
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.http2.min_ping_interval_without_data_ms", _LEAST_PING_S * 1000),
    ]


def _reason(listen: Address) -> str:
    """Ask the system why an address cannot be listened on; gRPC does not pass it on."""
    try:
        family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((listen.host, listen.port))
            probe.listen()
    except OSError as error:
        return error.strerror or str(error)
    return "gRPC refuses it"
