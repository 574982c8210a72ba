"""Time on the wire path of one sample, per stage, against bare echoes over gRPC and TCP.

Boundaries of 50 KB and 800 KB, in a frame that leaves them as they are (codec ``raw``) and in one
that compresses them (``lossless``). The model behind them takes a mean, so that nearly all the time
is the way to the engine. Server and echoes run in processes of their own, and each gets a few
samples in turn. Stages are measured in this process, one after the other, with the functions that
device and server call; encoding is not among them. Echoes get as many bytes as a message of ours
has, and answer with as many as an answer.
"""

from __future__ import annotations

import queue
import socket
import statistics
import struct
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import grpc
import numpy as np
from onnx import TensorProto, helper

from benchmarks.harness import finish, parse, spread, tabulate
from benchmarks.processes import OFFRAMP, listening
from benchmarks.wire_echoes import AIO_ECHO, ANSWER_BYTES, GRPC_ECHO, TCP_ECHO
from edge_server.engine import Engine
from offramp import codecs
from offramp.address import Address
from offramp.bundle import Boundary, Bundle, SegmentSpec, open_bundle, write_bundle
from offramp.messages import Request
from offramp.network import Network
from offramp.tensors import TensorSpec
from protos.offramp.v1 import inference_pb2 as pb
from protos.offramp.v1.edge_pb2_grpc import EdgeStub

SIZES = {"50 KB": 12_800, "800 KB": 204_800}  # elements of float32
CODECS = ("raw", "lossless")
ROUNDS, QUICK_ROUNDS, TURN = 80, 8, 5
STAGES = ("build", "serialise", "parse", "take out", "check", "decode")
WAYS = ("TCP", "gRPC stream", "asyncio stream", "Stream", "gRPC call", "asyncio call", "Infer")
_LIMIT_BYTES = 16 << 20
_CHANNEL = [
    ("grpc.max_send_message_length", _LIMIT_BYTES),
    ("grpc.use_local_subchannel_pool", 1),
]

Times = dict[str, list[float]]


def main() -> None:
    options = parse("wire", __doc__)
    rounds = QUICK_ROUNDS if options.quick else ROUNDS
    cases: dict[str, Times] = {}
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        files = {size: home / f"{elements}.offramp" for size, elements in SIZES.items()}
        bundles = {size: make_bundle(file, SIZES[size]) for size, file in files.items()}
        serve = [OFFRAMP, "serve", *map(str, files.values()), "--listen", "127.0.0.1:0"]
        serve += ["--log-level", "error"]
        server, *echoes = (
            stack.enter_context(listening(code))
            for code in (serve, [GRPC_ECHO], [AIO_ECHO], [TCP_ECHO])
        )
        for size, bundle in bundles.items():
            for codec in CODECS:
                case = Case(bundle, codec)
                cases[f"{size}, {codec}"] = measure(case, server, echoes, rounds)
    tell(cases)
    medians = {c: {n: statistics.median(t) for n, t in each.items()} for c, each in cases.items()}
    ratios = {case: each["Stream"] / each["gRPC stream"] for case, each in medians.items()}
    said = ", ".join(f"{case} {ratio:.2f}" for case, ratio in ratios.items())
    finish(
        "wire",
        f"our stream against a bare gRPC stream: {said}",
        {"medians_s": medians, "ratios": ratios},
        options,
    )


class Case:
    """One sample's request, and all that device and server do with it but to send it."""

    def __init__(self, bundle: Bundle, codec: str) -> None:
        self._engine = Engine([Network(bundle, "onnxruntime")], _LIMIT_BYTES)
        spec = bundle.manifest.boundaries[0].tensors[0]
        rng = np.random.default_rng(0)
        sample = np.maximum(rng.normal(size=spec.shape), 0).astype(spec.dtype)
        frame = codecs.encode(codecs.get(codec), sample)
        self._request = Request(1, bundle.digest, 0, (frame,), timeout_s=5.0, plan_id="plan")
        self.data = self.message().SerializeToString()

    def message(self) -> pb.StreamRequest:
        """Return the message that a device sends on its stream."""
        whole = pb.StreamRequest()
        self._request.write_into(whole.infer)
        return whole

    def plain(self) -> pb.InferRequest:
        """Return the message that is sent by itself."""
        return self._request.to_proto()

    def stages(self) -> Iterator[tuple[str, float]]:
        """Take the sample through every stage; yield the stage's name and its time in seconds."""
        began_s = time.perf_counter()

        def passed(name: str) -> tuple[str, float]:
            nonlocal began_s
            before_s, began_s = began_s, time.perf_counter()
            return name, began_s - before_s

        message = self.message()
        yield passed("build")
        data = message.SerializeToString()
        yield passed("serialise")
        arrived = pb.StreamRequest.FromString(data)
        yield passed("parse")
        request = Request.from_proto(arrived.infer)
        yield passed("take out")
        self._engine.check(request)
        self._engine.place_of(request)
        yield passed("check")
        self._engine.begin(request)
        yield passed("decode")


def make_bundle(path: Path, elements: int) -> Bundle:
    """Write a model of one segment that takes the mean of so many numbers."""
    given, made = TensorSpec("x", "float32", (elements,)), TensorSpec("mean", "float32", (1,))
    ends = [
        [helper.make_tensor_value_info(s.name, TensorProto.FLOAT, ["batch", *s.shape])]
        for s in (given, made)
    ]
    axes = helper.make_tensor("axes", TensorProto.INT64, [1], [1])
    node = helper.make_node("ReduceMean", ["x", "axes"], ["mean"], keepdims=1)
    graph = helper.make_graph([node], "mean", *ends, [axes])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    fields = {
        "name": f"mean of {elements}",
        "boundaries": (Boundary(tensors=(given,)), Boundary(tensors=(made,))),
        "segments": (SegmentSpec(folder="s0", macs=1, reads=("x",), makes=("mean",)),),
        "answer": "tensor",
    }
    write_bundle(path, fields, {"s0/model.onnx": model.SerializeToString()})
    return open_bundle(path)


def measure(case: Case, server: str, echoes: list[str], rounds: int) -> Times:
    """Return the times of a case's stages, of every way to carry it, and what the server says."""
    times: Times = {}
    bare, aio, tcp = echoes
    with ExitStack() as stack:
        ways = dict(
            zip(
                WAYS,
                map(
                    stack.enter_context,
                    (
                        _tcp(tcp, case.data),
                        _stream(bare, lambda: case.data),
                        _stream(aio, lambda: case.data),
                        _our_stream(server, case, times),
                        _call(bare, case.data),
                        _call(aio, case.data),
                        _our_call(server, case),
                    ),
                ),
                strict=True,
            )
        )
        for way in ways.values():
            way()
        for _ in range(rounds):
            for name, way in ways.items():
                for _ in range(TURN):
                    began_s = time.perf_counter()
                    way()
                    times.setdefault(name, []).append(time.perf_counter() - began_s)
            for _ in range(TURN):
                for name, took_s in case.stages():
                    times.setdefault(name, []).append(took_s)
    return times


@contextmanager
def _tcp(address: str, data: bytes) -> Iterator[Callable[[], None]]:
    place = Address.parse(address)
    with socket.create_connection((place.host, place.port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        head = struct.pack("<I", len(data))

        def send() -> None:
            connection.sendmsg([head, data])
            assert len(connection.recv(ANSWER_BYTES, socket.MSG_WAITALL)) == ANSWER_BYTES

        # A message that is longer than the socket's buffer goes in several calls.
        yield send if len(data) < 1 << 16 else lambda: _send_all(connection, head, data)


def _send_all(connection: socket.socket, head: bytes, data: bytes) -> None:
    connection.sendall(head)
    connection.sendall(data)
    assert len(connection.recv(ANSWER_BYTES, socket.MSG_WAITALL)) == ANSWER_BYTES


@contextmanager
def _stream(address: str, make: Callable[[], bytes]) -> Iterator[Callable[[], None]]:
    outbox: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    with grpc.insecure_channel(address, _CHANNEL) as channel:
        replies = channel.stream_stream("/echo.Echo/S")(iter(outbox.get, None))

        def send() -> None:
            outbox.put(make())
            next(replies)

        yield send
        outbox.put(None)


@contextmanager
def _call(address: str, data: bytes) -> Iterator[Callable[[], None]]:
    with grpc.insecure_channel(address, _CHANNEL) as channel:
        yield partial(channel.unary_unary("/echo.Echo/C"), data)


@contextmanager
def _our_stream(address: str, case: Case, times: Times) -> Iterator[Callable[[], None]]:
    """Send as a device does; keep what the answer says of the server."""
    outbox: queue.SimpleQueue[pb.StreamRequest | None] = queue.SimpleQueue()
    with grpc.insecure_channel(address, _CHANNEL) as channel:
        replies = EdgeStub(channel).Stream(iter(outbox.get, None))  # type: ignore[no-untyped-call]
        next(replies)  # the catalogue

        def send() -> None:
            outbox.put(case.message())
            answer = next(replies).infer
            assert not answer.status.code, answer.status.message
            spans = answer.timeline
            for name in ("queue", "decode", "total"):
                span_s = getattr(spans, f"{name}_us") / 1e6
                times.setdefault(f"server: {name}", []).append(span_s)
            times.setdefault("server: tail", []).append(sum(spans.segment_us) / 1e6)

        yield send
        outbox.put(None)


@contextmanager
def _our_call(address: str, case: Case) -> Iterator[Callable[[], None]]:
    with grpc.insecure_channel(address, _CHANNEL) as channel:
        infer = EdgeStub(channel).Infer  # type: ignore[no-untyped-call]
        yield lambda: infer(case.plain())


def tell(cases: dict[str, Times]) -> None:
    """Print the tables."""
    tabulate(
        "stages, microseconds: median (10th to 90th percentile)",
        ["", *STAGES],
        [(case, *(spread(times[stage], 1e6) for stage in STAGES)) for case, times in cases.items()],
    )
    server = ("queue", "decode", "tail", "total")
    tabulate(
        "what the server says of a sample on a stream, microseconds",
        ["", *server],
        [
            (case, *(spread(times[f"server: {name}"], 1e6) for name in server))
            for case, times in cases.items()
        ],
    )
    tabulate(
        "there and back, milliseconds: median (10th to 90th percentile)",
        ["", *cases],
        [(way, *(spread(times[way]) for times in cases.values())) for way in WAYS],
    )


if __name__ == "__main__":
    main()
