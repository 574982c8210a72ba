"""End-to-end latency on loopback against the sum of its parts measured alone.

End to end: the agent's own connection and head against ``offramp serve`` in a process of its own.
Parts: head, encode, decode and tail in this process, and a bare gRPC stream that echoes the same
bytes from a process of its own. Both are interleaved, a few samples of each in turn.
"""

from __future__ import annotations

import queue
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import grpc
import numpy as np

from benchmarks.harness import BUNDLE, finish, parse, spread, tabulate
from device.remote import Remote
from offramp.boundary_codec import BoundaryCodec, decode_boundary
from offramp.bundle import Bundle, open_bundle
from offramp.embedded.cluttered_digits import load
from offramp.messages import Answer, Request
from offramp.network import Network

CHOICES = [(0, "jpeg90"), (2, "affine4"), (4, "affine4"), (6, "affine4")]
AIM = 1.10
ECHO = """
import grpc, sys
from concurrent import futures
def echo(requests, context):
    for request in requests:
        yield request[:100]
method = grpc.stream_stream_rpc_method_handler(echo)
server = grpc.server(futures.ThreadPoolExecutor(4))
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("echo.Echo", {"S": method}),))
port = server.add_insecure_port("127.0.0.1:0")
server.start()
print("listening on 127.0.0.1:%d" % port, flush=True)
server.wait_for_termination()
"""
SERVE = "from offramp.cli import main; main()"


def main() -> None:
    options = parse("overhead", __doc__)
    bundle = open_bundle(BUNDLE)
    images, _ = load("test", 8)
    rounds = 12 if options.quick else 60
    serve = [SERVE, "serve", str(BUNDLE), "--listen", "127.0.0.1:0"]
    with _process(serve) as address, _process([ECHO]) as echo_address:
        cases = [_Case(bundle, *choice, images) for choice in CHOICES]
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
        whole, total = statistics.median(case.whole), sum(parts.values())
        ratios[f"{cut}/{level}"] = whole / total
        spans = [spread(case.parts[name]) for name in parts]
        rows.append([f"cut {cut}, {level}", *spans, f"{total * 1e3:.3g}", spread(case.whole),
                     f"{whole / total:.3f}"])  # fmt: skip
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


class _Case:
    """One cut and level, measured end to end and in parts on the same samples in turn."""

    def __init__(self, bundle: Bundle, cut: int, level: str, images: np.ndarray) -> None:
        self.bundle, self.cut, self.level = bundle, cut, level
        self.boundary = bundle.manifest.boundaries[cut]
        self.network = Network(bundle)
        self.codec = BoundaryCodec(self.boundary, level)
        self.images = images
        self.whole: list[float] = []
        self.parts: dict[str, list[float]] = {
            name: [] for name in ("head", "encode", "echo", "decode", "tail")
        }
        self._answers: queue.SimpleQueue[object] = queue.SimpleQueue()
        self._next = 0

    def connect(self, address: str, echo_address: str) -> None:
        """Open a stream to the server and one to the echo."""
        up: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._remote = Remote(address, self._answers.put, lambda is_up, reason: up.put(is_up))
        self._remote.start()
        assert up.get(timeout=10), "the server does not answer"
        self._echo = _Echo(echo_address)

    def turn(self, count: int) -> None:
        """Take ``count`` samples end to end, then the same in parts."""
        chosen = [self.images[(self._next + at) % len(self.images)][None] for at in range(count)]
        self._next += count
        for image in chosen:
            self.whole.append(_timed(self._end_to_end, image)[0])
        for image in chosen:
            self._in_parts(image)

    def close(self) -> None:
        """End the connections."""
        self._remote.close()
        self._echo.close()

    def _encode(self, values: list[np.ndarray]) -> tuple[bytes, ...]:
        return self.codec.encode([array[0] for array in values])

    def _request(self, frames: tuple[bytes, ...]) -> Request:
        return Request(self._next, self.bundle.digest, self.cut, frames, timeout_s=5.0)

    def _end_to_end(self, image: np.ndarray) -> object:
        frames = self._encode(self.network.run(0, self.cut, [image]))
        self._remote.send(self._request(frames))
        answer = self._answers.get(timeout=10)
        assert isinstance(answer, Answer)
        assert answer.failure is None, answer.failure
        final = self.bundle.manifest.boundaries[-1]
        return decode_boundary(answer.outputs, final.tensors, limit_bytes=final.nbytes)

    def _in_parts(self, image: np.ndarray) -> None:
        def part(name: str, call: object, *arguments: object) -> object:
            seconds, result = _timed(call, *arguments)
            self.parts[name].append(seconds)
            return result

        values = part("head", self.network.run, 0, self.cut, [image])
        frames = part("encode", self._encode, values)
        part("echo", self._echo.call, self._request(frames).to_proto().SerializeToString())
        limit = self.boundary.nbytes
        decode = lambda: decode_boundary(frames, self.boundary.tensors, limit_bytes=limit)  # noqa: E731
        received = [array[None] for array in part("decode", decode)]
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


def _timed(call: object, *arguments: object) -> tuple[float, object]:
    started = time.perf_counter()
    result = call(*arguments)
    return time.perf_counter() - started, result


@contextmanager
def _process(arguments: list[str]) -> Iterator[str]:
    """Start Python code in a process of its own; yield the address that it says it listens on."""
    command = [sys.executable, "-c", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().split()[-1]
        finally:
            process.terminate()


if __name__ == "__main__":
    main()
