"""End-to-end latency on loopback against the sum of its parts measured alone.

End to end: the device agent as it is (source, controller, head, codec, connection, sink), one
sample after the other, against ``offramp serve`` in a process of its own. Parts: head, encode,
decode and tail in this process, and a bare gRPC stream that echoes as many bytes from a process of
its own. Both are interleaved, a few samples of each in turn.
"""

from __future__ import annotations

import queue
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import grpc
import numpy as np

from benchmarks.harness import BUNDLE, finish, parse, spread, tabulate
from benchmarks.processes import OFFRAMP, listening
from device.agent import Agent
from device.controller import Controller
from device.head import Head
from device.settings import AgentSettings
from device.sources import Sample
from offramp.bundle import open_bundle
from offramp.calibration import load_calibration
from offramp.embedded.cluttered_digits import load
from offramp.exits.fitted import load_policy
from offramp.messages import Request
from offramp.network import Network
from partitioner.candidates import CLOSED, build_candidates
from partitioner.conditions import Conditions
from partitioner.measure import measure_profile
from partitioner.objective import Objective
from partitioner.plan import Plan
from partitioner.planner import Planner
from partitioner.strategies import Strategy

CHOICES = [(0, "jpeg90"), (2, "affine4"), (4, "affine4"), (6, "affine4")]
AIM = 1.10
ECHO = """
import grpc, sys
from concurrent import futures
def echo(requests, context):
    for request in requests:
        yield request[:160]
method = grpc.stream_stream_rpc_method_handler(echo)
server = grpc.server(futures.ThreadPoolExecutor(4))
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("echo.Echo", {"S": method}),))
port = server.add_insecure_port("127.0.0.1:0")
server.start()
print("listening on 127.0.0.1:%d" % port, flush=True)
server.wait_for_termination()
"""


def main() -> None:
    options = parse("overhead", __doc__)
    bundle = open_bundle(BUNDLE)
    profile = measure_profile(bundle)
    candidates = build_candidates(bundle, load_calibration(bundle), load_policy(bundle))
    planner = Planner(bundle, candidates, profile, profile)
    images, _ = load("test", 8)
    rounds = 12 if options.quick else 60
    serve = [OFFRAMP, "serve", str(BUNDLE), "--listen", "127.0.0.1:0", "--log-level", "error"]
    with listening(serve) as address, listening([ECHO]) as echo_address:
        cases = [_Case(planner, *choice, images) for choice in CHOICES]
        for case in cases:
            case.connect(address, echo_address)
        for _ in range(rounds):
            for case in cases:
                case.turn(5)
        for case in cases:
            case.close()
    rows, ratios = [], {}
    for (cut, level), case in zip(CHOICES, cases, strict=True):
        parts = {name: statistics.median(times) for name, times in case.parts.items()}
        latencies_s = case.results.latencies_s
        total_s = sum(parts.values())
        ratio = statistics.median(latencies_s) / total_s
        ratios[f"{cut}/{level}"] = ratio
        spans = [spread(case.parts[name]) for name in parts]
        ends = [f"{total_s * 1e3:.3g}", spread(latencies_s), f"{ratio:.3f}"]
        rows.append([f"cut {cut}, {level}", *spans, *ends])
    names = ["", *case.parts, "sum", "end to end", "ratio"]
    tabulate("ms: median (10th to 90th percentile)", names, rows)
    middle = statistics.median(ratios.values())
    finish(
        "overhead",
        f"{middle:.3f} times the sum of the parts, worst {max(ratios.values()):.3f} "
        f"(aim at most {AIM:.2f})",
        {"ratios": ratios, "median": middle},
        options,
    )


class _Fixed(Strategy):
    """One plan whatever happens."""

    name = "fixed"
    adapts = False

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    def decide(self, planner: Planner, objective: Objective, conditions: Conditions) -> Plan:
        return self._plan


class _Results:
    """A sink that keeps the latencies of what the server answered."""

    def __init__(self) -> None:
        self.latencies_s: list[float] = []

    def write(self, line: dict[str, Any]) -> None:
        if line["kind"] == "result":
            assert line["by"] == "server", line
            self.latencies_s.append(line["latency_s"])

    def close(self) -> None:
        pass


class _Samples:
    """A source of given images."""

    def __init__(self, images: list[np.ndarray]) -> None:
        self._images = images
        self.count = len(images)

    def __iter__(self) -> Iterator[Sample]:
        return iter(Sample((image,)) for image in self._images)


class _Case:
    """One cut and level, measured end to end and in parts on the same samples in turn."""

    def __init__(self, planner: Planner, cut: int, level: str, images: np.ndarray) -> None:
        bundle = planner.bundle
        self.planner, self.cut, self.images = planner, cut, images
        self.boundary = bundle.manifest.boundaries[cut]
        self.network = Network(bundle)
        closed = (CLOSED,) * bundle.manifest.exits_before(cut)
        self.plan = Plan(cut, level, "confidence", closed)
        self.results = _Results()
        self.parts: dict[str, list[float]] = {
            name: [] for name in ("head", "encode", "echo", "decode", "tail")
        }
        self._taken = 0

    def connect(self, address: str, echo_address: str) -> None:
        """Say where the server is, and open a stream to the echo."""
        self._settings = AgentSettings(
            server=address, slowdown=1, deadline_s=5.0, rate_hz=40, inbox=64, max_in_flight=64
        )
        self._echo = _Echo(echo_address)

    def turn(self, count: int) -> None:
        """Take ``count`` samples end to end, then the same in parts."""
        chosen = [self.images[(self._taken + at) % len(self.images)] for at in range(count)]
        self._taken += count
        controller = Controller(self.planner, Objective(), _Fixed(self.plan))
        head = Head([self.network] * (self.network.depth + 1), self.planner.device)
        Agent(head, controller, self._settings, [self.results]).run(_Samples(chosen))
        for image in chosen:
            self._in_parts(image[None])

    def close(self) -> None:
        """End the connection to the echo."""
        self._echo.close()

    def _in_parts(self, image: np.ndarray) -> None:
        def part(name: str, call: Callable[..., Any], *arguments: Any) -> Any:
            started = time.perf_counter()
            result = call(*arguments)
            self.parts[name].append(time.perf_counter() - started)
            return result

        values = part("head", self.network.run, 0, self.cut, [image])
        frames = part("encode", self.network.encode, self.cut, self.plan.level, values)
        request = Request(1, self.planner.bundle.digest, self.cut, frames, timeout_s=5.0)
        part("echo", self._echo.call, request.to_proto().SerializeToString())
        decode = partial(self.network.decode, limit_bytes=self.boundary.nbytes)
        received = part("decode", decode, self.cut, frames)
        part("tail", self.network.run, self.cut, self.network.depth, received)


class _Echo:
    """A bare gRPC stream of bytes."""

    def __init__(self, address: str) -> None:
        self._outbox: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._channel = grpc.insecure_channel(address)
        self._replies = self._channel.stream_stream("/echo.Echo/S")(iter(self._outbox.get, None))
        self.call(b"warm")

    def call(self, data: bytes) -> bytes:
        """Send bytes and wait for the answer."""
        self._outbox.put(data)
        return next(self._replies)

    def close(self) -> None:
        """End the stream."""
        self._outbox.put(None)
        self._channel.close()


if __name__ == "__main__":
    main()
