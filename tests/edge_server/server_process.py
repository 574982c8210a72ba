"""A server in a process of its own, and devices that send it samples without a pause."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import grpc

from offramp.catalogue import Catalogue
from offramp.messages import Answer
from protos.offramp.v1 import edge_pb2_grpc
from protos.offramp.v1 import inference_pb2 as pb

_MAIN = "from offramp.cli import main; main()"
_LIMIT_S = 20.0


class ServerProcess:
    """``offramp serve`` as it runs; what it logs is in a file, and ``token`` is what it wants."""

    def __init__(self, process: subprocess.Popen[str], log: Path, token: str | None) -> None:
        self.process, self._log = process, log
        self.metadata = (("authorization", f"Bearer {token}"),) if token else ()
        assert process.stdout is not None
        words = process.stdout.readline().split()
        assert words[:2] == ["listening", "on"], self.log
        self.address = words[2]

    @property
    def log(self) -> str:
        return self._log.read_text()

    @property
    def channel(self) -> grpc.aio.Channel:
        return grpc.aio.insecure_channel(self.address)

    async def held(self) -> dict[str, bool]:
        """Return the digests that it describes, and which of them are superseded."""
        async with self.channel as channel:
            stub: Any = edge_pb2_grpc.EdgeStub(channel)  # type: ignore[no-untyped-call]
            request, metadata = pb.DescribeRequest(), self.metadata
            described = await stub.Describe(request, timeout=10, metadata=metadata)
        found = Catalogue.from_proto(described)
        return {offer.digest: offer.superseded for offer in found.offers}

    async def until_it_holds(self, expected: dict[str, bool]) -> None:
        await until(lambda: self._holds(expected))

    async def until_it_logs(self, text: str) -> None:
        async def logged() -> bool:
            return text in self.log

        await until(logged)

    async def _holds(self, expected: dict[str, bool]) -> bool:
        return await self.held() == expected


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(_LIMIT_S):
        while not await holds():
            await asyncio.sleep(0.05)


@contextlib.contextmanager
def serving(folder: Path, *arguments: object, token: str | None = None) -> Iterator[ServerProcess]:
    """Run a server that logs into a folder; it has to end well when it is told to."""
    log = folder / "server.log"
    with log.open("w") as stream:
        process = subprocess.Popen(
            [sys.executable, "-c", _MAIN, "serve", "--listen", "127.0.0.1:0", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=stream,
            text=True,
        )
    try:
        yield ServerProcess(process, log, token)
        process.terminate()
        assert process.wait(15) == 0
    finally:
        process.kill()
        process.communicate()


class Device:
    """Sends one sample after the other, four at a time, and checks every answer."""

    def __init__(self, sample: Any, cuts: tuple[int, ...] = (0, 1, 2)) -> None:
        self.outcomes: Counter[str] = Counter()
        self.waits_s: list[float] = []
        self._sample, self._cuts = sample, cuts

    @contextlib.asynccontextmanager
    async def sending(self, server: ServerProcess) -> AsyncIterator[Device]:
        """Send until the end of the block; then nothing may be missing."""
        leaving = asyncio.Event()
        task = asyncio.create_task(self._send(server, leaving))
        try:
            yield self
        finally:
            leaving.set()
            sent = await asyncio.wait_for(task, _LIMIT_S)
            assert self.outcomes.total() == sent

    async def until_it_has(self, outcome: str, more: int = 20) -> None:
        """Wait until so many more of the answers had an outcome."""
        enough = self.outcomes[outcome] + more

        async def had() -> bool:
            return self.outcomes[outcome] >= enough

        await until(had)

    async def _send(self, server: ServerProcess, leaving: asyncio.Event) -> int:
        sent = 0
        places = asyncio.Semaphore(4)
        async with server.channel as channel:
            stub: Any = edge_pb2_grpc.EdgeStub(channel)  # type: ignore[no-untyped-call]
            call = stub.Stream(metadata=server.metadata)
            answers = asyncio.create_task(self._receive(call, places))
            while not leaving.is_set():
                await places.acquire()
                sent += 1
                request = self._sample.request(self._cuts[sent % len(self._cuts)], number=sent)
                await call.write(pb.StreamRequest(infer=request.to_proto()))
                await asyncio.sleep(0.002)
            await call.done_writing()
            await answers
        return sent

    async def _receive(self, call: Any, places: asyncio.Semaphore) -> None:
        async for message in call:
            if message.WhichOneof("kind") != "infer":
                continue
            answer = Answer.from_proto(message.infer)
            if answer.failure:
                self.outcomes[answer.failure.status] += 1
                self.waits_s.append(answer.failure.retry_after_s)
            else:
                self._sample.check(answer)
                self.outcomes["OK"] += 1
            places.release()
