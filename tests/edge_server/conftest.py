"""A tiny bundle of three segments and servers that run it on a loopback socket."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge_server.engine import Engine
from edge_server.server import EdgeServer
from edge_server.settings import ServerSettings
from offramp import codecs
from offramp.bundle import Boundary, Bundle, SegmentSpec, open_bundle, write_bundle
from offramp.catalogue import Catalogue
from offramp.messages import Answer, Draining, Probe, ProbeReply, Request
from offramp.network import Network
from offramp.tensors import Array, TensorSpec
from protos.offramp.v1 import edge_pb2_grpc
from protos.offramp.v1 import inference_pb2 as pb

LIMIT_BYTES = 1 << 20
Play = Callable[..., None]
_TYPES = {"uint8": TensorProto.UINT8, "float32": TensorProto.FLOAT}

BOUNDARIES = (
    (TensorSpec("image", "uint8", (6, 6, 3)),),
    (TensorSpec("stem", "float32", (6, 6, 8)),),
    (TensorSpec("left", "float32", (6, 6, 4)), TensorSpec("right", "float32", (8,))),
    (TensorSpec("logits", "float32", (10,)),),
)
_NODES = (
    (("Cast", "image", "f", {"to": TensorProto.FLOAT}), ("MatMul", "f w0", "m", {}),
     ("Relu", "m", "stem", {})),
    (("MatMul", "stem w1", "left", {}), ("ReduceMean", "stem axes", "right", {"keepdims": 0})),
    (("ReduceMean", "left axes", "mean", {"keepdims": 0}), ("MatMul", "mean w2", "a", {}),
     ("MatMul", "right w3", "b", {}), ("Add", "a b", "logits", {})),
)  # fmt: skip
_SIDES = {"w0": (3, 8), "w1": (8, 4), "w2": (4, 10), "w3": (8, 10)}


def _segment(at: int, seed: int) -> bytes:
    random = np.random.default_rng(seed)
    weights: dict[str, Array] = {
        name: random.normal(size=sides).astype(np.float32) for name, sides in _SIDES.items()
    }
    weights["axes"] = np.array([1, 2], np.int64)
    nodes = [
        helper.make_node(kind, inputs.split(), [output], **options)
        for kind, inputs, output, options in _NODES[at]
    ]
    used = {name for node in nodes for name in node.input}
    ends = [
        [helper.make_tensor_value_info(s.name, _TYPES[s.dtype], ["batch", *s.shape]) for s in specs]
        for specs in BOUNDARIES[at : at + 2]
    ]
    stored = [numpy_helper.from_array(weights[name], name) for name in sorted(used & set(weights))]
    graph = helper.make_graph(nodes, f"segment{at}", *ends, stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _write(path: Path, name: str, seed: int, output: TensorSpec | None = None) -> Bundle:
    boundaries = (*BOUNDARIES[:-1], (output,)) if output else BOUNDARIES

    def names(specs: Sequence[TensorSpec]) -> tuple[str, ...]:
        return tuple(spec.name for spec in specs)

    fields = {
        "name": name,
        "boundaries": tuple(Boundary(tensors=specs) for specs in boundaries),
        "segments": tuple(
            SegmentSpec(folder=f"s{at}", macs=1, reads=names(boundaries[at]), makes=names(specs))
            for at, specs in enumerate(boundaries[1:])
        ),
    }
    write_bundle(path, fields, {f"s{at}/model.onnx": _segment(at, seed) for at in range(3)})
    return open_bundle(path)


class GatedNetwork(Network):
    """A network whose segments wait until the gate is open, and say that they wait."""

    def __init__(self, bundle: Bundle) -> None:
        super().__init__(bundle)
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Semaphore(0)
        self.ran: list[int] = []

    def run_segment(self, at: int, tensors: Sequence[Array]) -> list[Array]:
        if not self.gate.is_set():
            self.entered.release()
        assert self.gate.wait(10)
        self.ran.append(at)
        return super().run_segment(at, tensors)


@dataclass(frozen=True)
class Sample:
    """The tensors of one sample at every boundary, from the whole model."""

    digest: str
    tensors: tuple[tuple[Array, ...], ...]

    def request(self, cut: int = 0, number: int = 1, codec: str = "raw", **fields: Any) -> Request:
        frames = tuple(codecs.encode(codecs.get(codec), array) for array in self.tensors[cut])
        values = {"id": number, "digest": self.digest, "cut": cut, "frames": frames, **fields}
        return Request(**values)

    def check(self, answer: Answer) -> None:
        assert answer.failure is None
        (spec,) = BOUNDARIES[-1]
        (logits,) = (codecs.decode(o, spec, limit_bytes=LIMIT_BYTES) for o in answer.outputs)
        # in a batch, sums are made in another order
        np.testing.assert_allclose(logits, self.tensors[-1][0], rtol=1e-5, atol=1e-3)


class DeviceStream:
    """A device's end of a stream."""

    def __init__(self, call: Any) -> None:
        self.call = call
        self.catalogues: list[Catalogue] = []
        self.draining: list[Draining] = []

    async def send(self, *requests: Request | pb.InferRequest) -> None:
        for request in requests:
            message = request.to_proto() if isinstance(request, Request) else request
            await self.call.write(pb.StreamRequest(infer=message))

    async def probe(self, number: int, padding_bytes: int = 0) -> ProbeReply:
        message = Probe(number, padding_bytes).to_proto()
        await self.call.write(pb.StreamRequest(probe=message))
        return ProbeReply.from_proto((await self._read()).probe)

    async def receive(self) -> Answer:
        message = await self._read()
        assert message.WhichOneof("kind") == "infer"
        return Answer.from_proto(message.infer)

    async def ended(self) -> grpc.StatusCode:
        async with asyncio.timeout(10):
            with contextlib.suppress(grpc.aio.AioRpcError):
                while (message := await self.call.read()) is not grpc.aio.EOF:
                    assert message.WhichOneof("kind") in ("catalogue", "draining")
            code: grpc.StatusCode = await self.call.code()
        return code

    async def _read(self) -> pb.StreamResponse:
        message = await asyncio.wait_for(self.call.read(), 10)
        assert message is not grpc.aio.EOF
        if message.WhichOneof("kind") == "catalogue":
            self.catalogues.append(Catalogue.from_proto(message.catalogue))
            return await self._read()
        if message.WhichOneof("kind") == "draining":
            self.draining.append(Draining.from_proto(message.draining))
            return await self._read()
        return message

    async def told_to_leave(self) -> Draining:
        """Read the notice, which nothing else may come before."""
        message = await asyncio.wait_for(self.call.read(), 10)
        while message.WhichOneof("kind") == "catalogue":
            message = await asyncio.wait_for(self.call.read(), 10)
        assert message.WhichOneof("kind") == "draining"
        return Draining.from_proto(message.draining)


@dataclass
class Served:
    """A server under test and a client's channel to it."""

    server: EdgeServer
    address: str
    channel: grpc.aio.Channel

    @property
    def stub(self) -> Any:
        return edge_pb2_grpc.EdgeStub(self.channel)

    def stream(self) -> DeviceStream:
        return DeviceStream(self.stub.Stream(timeout=20))

    async def busy(self, queued: int) -> None:
        """Wait until one sample runs and ``queued`` wait."""
        async with asyncio.timeout(10):
            while (load := self.server.pool.load()).queued != queued or load.running != 1:
                await asyncio.sleep(0.001)

    async def infer(self, request: Request) -> Answer:
        return Answer.from_proto(await self.stub.Infer(request.to_proto(), timeout=10))

    async def refusal(self, request: Request | pb.InferRequest) -> grpc.aio.AioRpcError:
        message = request.to_proto() if isinstance(request, Request) else request
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await self.stub.Infer(message, timeout=10)
        return caught.value


@pytest.fixture(scope="session")
def bundle_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("served") / "tiny.offramp"


@pytest.fixture(scope="session")
def bundle(bundle_file: Path) -> Bundle:
    return _write(bundle_file, "tiny", seed=1)


@pytest.fixture(scope="session")
def other_bundle(bundle_file: Path) -> Bundle:
    return _write(bundle_file.with_name("other.offramp"), "other", seed=2)


@pytest.fixture(scope="session")
def network(bundle: Bundle) -> Network:
    return Network(bundle)


@pytest.fixture(scope="session")
def other_network(other_bundle: Bundle) -> Network:
    return Network(other_bundle)


@pytest.fixture(scope="session")
def engine(network: Network, other_network: Network) -> Engine:
    return Engine([network, other_network], LIMIT_BYTES)


@pytest.fixture
def gated(bundle: Bundle) -> GatedNetwork:
    return GatedNetwork(bundle)


@pytest.fixture
def gated_engine(gated: GatedNetwork) -> Engine:
    engine = Engine([gated], LIMIT_BYTES)
    gated.ran.clear()
    gated.gate.clear()
    return engine


@pytest.fixture(scope="session")
def sample_of() -> Callable[[Network, int], Sample]:
    def make(network: Network, seed: int = 0) -> Sample:
        image = np.random.default_rng(seed).integers(0, 256, (1, 6, 6, 3), np.uint8)
        values: list[list[Array]] = [[image]]
        for at in range(network.depth):
            values.append(network.run_segment(at, values[-1]))
        return Sample(network.bundle.digest, tuple(tuple(a[0] for a in each) for each in values))

    return make


@pytest.fixture(scope="session")
def sample(network: Network, sample_of: Callable[..., Sample]) -> Sample:
    return sample_of(network)


@pytest.fixture
def serve(bundle_file: Path) -> Callable[..., contextlib.AbstractAsyncContextManager[Served]]:
    @contextlib.asynccontextmanager
    async def start(engine: Engine, **values: Any) -> AsyncIterator[Served]:
        given = {"bundles": (bundle_file,), "listen": "127.0.0.1:0", "grace_s": 5, **values}
        server = EdgeServer(ServerSettings(**given), engine)
        address = await server.start()
        try:
            async with grpc.aio.insecure_channel(address) as channel:
                yield Served(server, address, channel)
        finally:
            await server.stop()

    return start


@pytest.fixture
def play(serve: Any) -> Play:
    """Run a story against a server of its own."""

    def run(engine: Engine, story: Callable[[Any], Awaitable[None]], **settings: Any) -> None:
        async def stage() -> None:
            async with serve(engine, **settings) as served:
                await story(served)

        asyncio.run(stage())

    return run


@pytest.fixture(scope="session")
def write_tiny() -> Callable[..., Bundle]:
    return _write
