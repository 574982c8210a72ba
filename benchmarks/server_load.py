"""A load of devices on a server, in a process of its own: what `benchmarks.server` measures with.

Reads a `Load` as JSON on standard input and prints what became of it as JSON. Each device has a
connection and a stream of its own, and sends at random times. A device that is refused sends
nothing until it may try again, as Offramp's own do.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import time
from collections import defaultdict
from dataclasses import dataclass, field
from random import Random
from typing import Any

import grpc

from protos.offramp.v1 import inference_pb2 as pb
from protos.offramp.v1.edge_pb2_grpc import EdgeStub

__all__ = ["Load", "Outcome", "run"]

_CHANNEL = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_send_message_length", 16 << 20)]
_PATIENCE_S = 5.0
_END = grpc.aio.EOF  # type: ignore[attr-defined]  # missing in the stubs


@dataclass(frozen=True)
class Load:
    """What is sent: ``rate_hz`` samples a second from all devices, for ``seconds``.

    Device ``d`` sends ``requests[d % len(requests)]`` one after the other: serialised requests, as
    base64, of one cut. They have ``deadline_s``. With a ``whole`` method the server is a plain one
    that takes an input's bytes by calls.
    """

    address: str
    devices: int
    rate_hz: float
    seconds: float
    deadline_s: float
    requests: tuple[tuple[str, ...], ...]
    whole: str = ""
    seed: int = 0


@dataclass
class Outcome:
    """What became of the samples: ``latencies_s`` of those answered, ``statuses`` of the others.

    ``kept`` were not sent, since their device had been told to stay away.
    """

    latencies_s: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    kept: int = 0
    lost: int = 0


class _Device:
    def __init__(self, load: Load, number: int, outcome: Outcome) -> None:
        self._load, self._outcome = load, outcome
        texts = load.requests[number % len(load.requests)]
        self._requests = [base64.b64decode(text) for text in texts]
        self._dice = Random(load.seed * 100_003 + number)
        self._due: dict[int, float] = {}
        self._quiet_until_s = 0.0

    async def run(self, began_s: float) -> None:
        async with grpc.aio.insecure_channel(self._load.address, _CHANNEL) as channel:
            send, reading = await self._connect(channel)
            at_s, number = began_s, 0
            while True:
                at_s += self._dice.expovariate(self._load.rate_hz / self._load.devices)
                if at_s > began_s + self._load.seconds:
                    break
                await asyncio.sleep(max(at_s - time.monotonic(), 0.0))
                number += 1
                if time.monotonic() < self._quiet_until_s:
                    self._outcome.kept += 1
                else:
                    await send(number)
            end_s = time.monotonic() + _PATIENCE_S
            while self._due and time.monotonic() < end_s:
                await asyncio.sleep(0.01)
            self._outcome.lost += len(self._due)
            reading.cancel()

    async def _connect(self, channel: grpc.aio.Channel) -> Any:
        if self._load.whole:
            call = channel.unary_unary(self._load.whole)
            tasks: set[asyncio.Task[None]] = set()

            async def ask(number: int) -> None:
                task = asyncio.create_task(self._ask(call, number))
                tasks.add(task)
                task.add_done_callback(tasks.discard)

            return ask, asyncio.create_task(asyncio.sleep(3600))
        stream = EdgeStub(channel).Stream()  # type: ignore[no-untyped-call]
        await stream.read()  # the catalogue

        async def send(number: int) -> None:
            message = pb.StreamRequest()
            message.infer.ParseFromString(self._requests[number % len(self._requests)])
            message.infer.id = number
            message.infer.timeout_us = round(self._load.deadline_s * 1e6)
            self._due[number] = time.monotonic()
            await stream.write(message)

        return send, asyncio.create_task(self._read(stream))

    async def _ask(self, call: Any, number: int) -> None:
        self._due[number] = time.monotonic()
        try:
            await call(self._requests[number % len(self._requests)], timeout=_PATIENCE_S)
            self._answered(number)
        except grpc.RpcError as error:
            self._due.pop(number)
            self._outcome.statuses[error.code().value[0]] += 1

    async def _read(self, stream: Any) -> None:
        while (message := await stream.read()) is not _END:
            answer = message.infer
            if not message.HasField("infer") or answer.id not in self._due:
                continue
            if answer.status.code:
                self._due.pop(answer.id)
                self._outcome.statuses[answer.status.code] += 1
                retry_s = answer.status.retry_after_us / 1e6
                self._quiet_until_s = max(self._quiet_until_s, time.monotonic() + retry_s)
            else:
                self._answered(answer.id)

    def _answered(self, number: int) -> None:
        self._outcome.latencies_s.append(time.monotonic() - self._due.pop(number))


async def run(load: Load) -> Outcome:
    """Put a load on a server and return what became of it."""
    outcome, began_s = Outcome(), time.monotonic() + 1.0
    devices = [_Device(load, number, outcome).run(began_s) for number in range(load.devices)]
    await asyncio.gather(*devices)
    return outcome


if __name__ == "__main__":
    print(json.dumps(vars(asyncio.run(run(Load(**json.load(sys.stdin)))))))
