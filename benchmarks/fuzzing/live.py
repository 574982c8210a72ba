"""The live attack: a server in a process of its own, hostile connections, and one good client.

Hostile bytes come onto the bare port, as a sound connection's first bytes with some altered, and
as messages of any kind to any method over sound gRPC.
"""

from __future__ import annotations

import itertools
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from random import Random

import grpc
import psutil

from benchmarks.fuzzing.mutation import Mutator
from benchmarks.harness import BUNDLE
from benchmarks.processes import OFFRAMP
from offramp.address import Address
from offramp.bundle import open_bundle
from offramp.messages import Request
from offramp.network import Network
from protos.offramp.v1 import edge_pb2
from protos.offramp.v1 import inference_pb2 as pb
from protos.offramp.v1.edge_pb2_grpc import EdgeStub

__all__ = ["Siege", "besiege"]

_PATIENCE_S = 5.0
_CALL_S = 1.0
_SHORT_S = 0.02
_WARM = 0.3
_CUT = 7
_REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"

_CHANNEL = [
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
]

Way = Callable[[Random], None]


@dataclass
class Siege:
    """What a server went through, and what the good client got meanwhile.

    It asks ``again`` where its connection broke, as devices do.
    """

    connections: int = 0
    calls: int = 0
    good: int = 0
    again: int = 0
    slowest_s: float = 0.0
    warm_bytes: int = 0
    end_bytes: int = 0
    wrong: list[str] = field(default_factory=list)


def besiege(attacks: int, seed: int, report: Callable[[int], None]) -> Siege:
    """Attack a server so many times, connections and calls in turn; ``report`` hears how often."""
    siege, random, request = Siege(), Random(seed), _request()
    with _server() as (process, address), grpc.insecure_channel(str(address)) as channel:
        knock = _on_the_port(address, _first_bytes(address, request))
        ways = _to_each_method(channel, request)
        with _good_client(address, request, siege):
            for at in range(attacks):
                if siege.wrong:
                    break
                if at % 2:
                    random.choice(ways)(random)
                    siege.calls += 1
                else:
                    knock(random)
                    siege.connections += 1
                if at == int(attacks * _WARM):
                    siege.warm_bytes = process.memory_info().rss
                report(at + 1)
        siege.end_bytes = process.memory_info().rss
    return siege


def _request() -> pb.InferRequest:
    """Return a request that a server answers well."""
    network = Network(open_bundle(BUNDLE))
    tensors = network.run(0, _CUT, [network.bundle.examples[0][:1]])
    frames = network.encode(_CUT, "lossless", tensors).frames
    return Request(1, network.bundle.digest, _CUT, frames, timeout_s=_PATIENCE_S).to_proto()


@contextmanager
def _server() -> Iterator[tuple[psutil.Process, Address]]:
    serve = [OFFRAMP, "serve", str(BUNDLE), "--listen", "127.0.0.1:0", "--log-level", "error"]
    with subprocess.Popen(
        [sys.executable, "-c", *serve],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # gRPC tells of every connection that it refuses
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            address = Address.parse(process.stdout.readline().split()[-1])
            yield psutil.Process(process.pid), address
        finally:
            process.terminate()


@contextmanager
def _good_client(address: Address, request: pb.InferRequest, siege: Siege) -> Iterator[None]:
    """Ask one thing after the other and look at every answer, until the siege is over."""
    over = threading.Event()
    with grpc.insecure_channel(str(address), _CHANNEL) as channel:
        infer = EdgeStub(channel).Infer  # type: ignore[no-untyped-call]
        expected = infer(request, timeout=_PATIENCE_S).outputs

        def ask() -> None:
            began_s = time.monotonic()
            while not over.is_set() and not siege.wrong:
                try:
                    if infer(request, timeout=_PATIENCE_S).outputs != expected:
                        siege.wrong.append("the good client got another answer")
                    siege.good += 1
                    siege.slowest_s = max(siege.slowest_s, time.monotonic() - began_s)
                    began_s = time.monotonic() + _SHORT_S
                except grpc.RpcError as error:
                    siege.again += 1
                    if time.monotonic() - began_s > _PATIENCE_S:
                        siege.wrong.append(f"the good client got {error.code()} until now")
                over.wait(_SHORT_S)

        client = threading.Thread(target=ask, name="good client")
        client.start()
        try:
            yield
        finally:
            over.set()
            client.join()


def _on_the_port(address: Address, recorded: bytes) -> Way:
    """Return an attack on the bare port."""
    mutator = Mutator(
        (recorded, recorded[:24], b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"\x16\x03\x01")
    )

    def knock(random: Random) -> None:
        with suppress(OSError), socket.create_connection((address.host, address.port), 1) as one:
            one.sendall(mutator.any(random))
            one.settimeout(_SHORT_S)
            with suppress(TimeoutError):
                while one.recv(1 << 16):
                    pass

    return knock


def _to_each_method(channel: grpc.Channel, request: pb.InferRequest) -> Sequence[Way]:
    """Return an attack on every method of the server."""
    described = edge_pb2.DESCRIPTOR.services_by_name["Edge"]
    methods = [f"/{described.full_name}/{method.name}" for method in described.methods]
    samples = (
        request,
        pb.StreamRequest(infer=request),
        pb.StreamRequest(probe=pb.ProbeRequest(id=2, padding=bytes(200))),
        pb.ReadFileRequest(bundle_digest=request.bundle_digest, path="codecs.safetensors"),
    )
    mutator = Mutator([message.SerializeToString() for message in samples])

    def to(method: str) -> Way:
        call = channel.stream_stream(method)

        def attack(random: Random) -> None:
            messages = [mutator.any(random) for _ in range(random.randrange(1, 5))]
            answers = call(iter(messages), timeout=_CALL_S)
            with suppress(grpc.RpcError):
                for _ in itertools.islice(answers, 50):
                    pass
            answers.cancel()

        return attack

    return [to(method) for method in (*methods, "/grpc.health.v1.Health/Check", _REFLECTION)]


def _first_bytes(address: Address, request: pb.InferRequest) -> bytes:
    """Return what a client sends on its connection until it has an answer."""
    found = bytearray()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        between = Address("127.0.0.1", listening.getsockname()[1])

        def relay() -> None:
            down, _ = listening.accept()
            with down, socket.create_connection((address.host, address.port)) as up:
                back = threading.Thread(target=_pump, args=(up, down, bytearray()))
                back.start()
                _pump(down, up, found)
                back.join()

        thread = threading.Thread(target=relay)
        thread.start()
        with grpc.insecure_channel(str(between)) as channel:
            EdgeStub(channel).Infer(request, timeout=_PATIENCE_S)  # type: ignore[no-untyped-call]
        thread.join()
    return bytes(found)


def _pump(source: socket.socket, sink: socket.socket, copy: bytearray) -> None:
    with suppress(OSError):
        while data := source.recv(1 << 16):
            copy += data
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
