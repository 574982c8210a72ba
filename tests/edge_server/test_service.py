"""The service over real loopback sockets."""

from __future__ import annotations

import asyncio
import logging
import random
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from edge_server.engine import Engine
from edge_server.server import SERVICE
from offramp import __version__, codecs
from offramp.bundle import Bundle
from offramp.messages import Request
from offramp.network import Network
from offramp.samples import LabelledSamples
from protos.offramp.v1 import edge_pb2_grpc
from protos.offramp.v1 import inference_pb2 as pb

Play = Callable[..., None]


@pytest.fixture(autouse=True)
def no_error_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    assert [r.getMessage() for r in caplog.records if r.levelno >= logging.ERROR] == []


def bad_requests(sample: Any) -> dict[str, tuple[Request | pb.InferRequest, str, str]]:
    """Requests that cannot be answered: status name and a part of the message."""
    raw = codecs.get("raw")
    good = sample.request(0)
    shape = codecs.encode(raw, np.zeros((6, 6, 4), np.uint8))
    dtype = codecs.encode(raw, np.zeros((6, 6, 3), np.float32))
    short = pb.InferRequest(id=1, bundle_digest=b"short", frames=good.frames)
    return {
        "digest": (replace(good, digest="00" * 32), "NOT_FOUND", "ask Describe"),
        "short digest": (short, "INVALID_ARGUMENT", "32 bytes"),
        "cut": (replace(good, cut=3), "INVALID_ARGUMENT", "cuts 0 to 2"),
        "garbage": (replace(good, frames=(b"garbage" * 9,)), "INVALID_ARGUMENT", "magic"),
        "shape": (replace(good, frames=(shape,)), "INVALID_ARGUMENT", "(6, 6, 4)"),
        "dtype": (replace(good, frames=(dtype,)), "INVALID_ARGUMENT", "float32"),
        "no frames": (replace(good, frames=()), "INVALID_ARGUMENT", "0 frames"),
        "frames": (replace(good, frames=good.frames * 99), "INVALID_ARGUMENT", "99 frames"),
        "too many": (replace(good, frames=(b"",) * 999), "INVALID_ARGUMENT", "999 frames"),
        "plan": (replace(good, plan_id="x" * 65), "INVALID_ARGUMENT", "plan_id"),
    }


def test_every_cut_of_every_bundle_over_both_calls(
    play: Play, engine: Engine, network: Network, other_network: Network, sample_of: Any
) -> None:
    async def story(served: Any) -> None:
        stream = served.stream()
        for each in (sample_of(network, 3), sample_of(other_network, 4)):
            for cut in range(3):
                each.check(await served.infer(each.request(cut)))
                await stream.send(each.request(cut, number=cut, codec="lossless"))
            for _ in range(3):
                each.check(await stream.receive())

    play(engine, story)


def test_answer_carries_id_plan_timeline_and_load(play: Play, engine: Engine, sample: Any) -> None:
    async def story(served: Any) -> None:
        stream = served.stream()
        request = sample.request(1, number=(1 << 64) - 1, plan_id="p-7")
        await stream.send(request)
        streamed = await stream.receive()
        single = await served.infer(request)
        for answer in (streamed, single):
            sample.check(answer)
            assert (answer.id, answer.plan_id) == (request.id, "p-7")
            spans = answer.timeline
            assert len(spans.segment_s) in (1, 2)  # one once the tail is fused
            parts_s = spans.queue_s + spans.decode_s + sum(spans.segment_s) + spans.encode_s
            assert spans.received_s > 0
            assert 0 < parts_s <= spans.total_s + 1e-5
            assert (answer.load.queued, answer.load.running) == (0, 0)
        size_bytes = request.to_proto().ByteSize()
        assert single.timeline.received_bytes == size_bytes
        message = pb.StreamRequest(infer=request.to_proto())
        assert streamed.timeline.received_bytes == message.ByteSize()

    play(engine, story)


@pytest.mark.parametrize("longest", [0, 40, 80, 127, 128, 16_300, 16_384, 70_000])
def test_the_size_of_a_message_is_told_whatever_its_lengths_take(
    play: Play, engine: Engine, sample: Any, longest: int
) -> None:
    async def story(served: Any) -> None:
        message = sample.request(cut=2).to_proto()
        message.frames[:] = [bytes(longest), b"", bytes(3)]  # of which the boundary has two
        stream = served.stream()
        await stream.send(message)
        answer = await stream.receive()
        assert "3 frames" in answer.failure.message
        assert answer.timeline.received_bytes == pb.StreamRequest(infer=message).ByteSize()

    play(engine, story)


def test_answers_come_as_they_are_ready(
    play: Play, gated_engine: Engine, gated: Any, sample: Any
) -> None:
    async def story(served: Any) -> None:
        stream = served.stream()
        await stream.send(sample.request(number=1))
        assert await asyncio.to_thread(gated.entered.acquire, True, 10)
        await stream.send(
            sample.request(number=2, timeout_s=9.0), sample.request(number=3, timeout_s=5.0)
        )
        probe = await stream.probe(4, padding_bytes=500)
        assert probe.id == 4
        assert probe.timeline.received_bytes > 500
        assert (probe.load.queued, probe.load.running) == (2, 1)
        await stream.send(replace(sample.request(number=5), cut=77))
        assert (await stream.receive()).id == 5
        gated.gate.set()
        assert [(await stream.receive()).id for _ in range(3)] == [3, 2, 1]

    play(gated_engine, story)


def test_bad_sample_gets_its_own_status_and_the_stream_goes_on(
    play: Play, engine: Engine, sample: Any
) -> None:
    async def story(served: Any) -> None:
        stream = served.stream()
        for name, (request, status, part) in bad_requests(sample).items():
            await stream.send(request)
            answer = await stream.receive()
            assert answer.failure is not None, name
            assert (name, answer.failure.status) == (name, status)
            assert part in answer.failure.message, name
            assert (answer.id, answer.outputs) == (1, ())
            await stream.send(sample.request(2, number=9))
            sample.check(await stream.receive())
        await stream.call.write(pb.StreamRequest())  # of a kind that is not known: ignored
        assert (await stream.probe(1)).id == 1

    play(engine, story)


def test_changes_are_for_streams_that_keep_their_samples(
    play: Play, camera: Bundle, camera_samples: LabelledSamples
) -> None:
    network = Network(camera)
    cut, level = next(
        (cut, level)
        for cut in camera.cuts[1:-1]
        for level in network.codecs.levels(cut)
        if network.codecs.at(cut, level).writes_changes
    )
    rows = [camera_samples[at : at + 1].inputs for at in range(2)]
    features = [network.run(0, cut, row) for row in rows]
    first = network.encode(cut, level, features[0])
    second = network.encode(cut, level, features[1], first.references)
    assert second.holds_changes
    whole = Request(1, camera.digest, cut, first.frames)
    change = Request(4, camera.digest, cut, second.frames, reference=1)

    async def story(served: Any) -> None:
        stream, other = served.stream(), served.stream()
        for asked in (stream, other):
            await asked.send(change)
            refused = (await asked.receive()).failure
            assert refused.status == "FAILED_PRECONDITION"
            assert "send this one whole" in refused.message
        await stream.send(whole)
        assert (await stream.receive()).kept
        await stream.send(change, replace(change, id=5))
        answers = [await stream.receive() for _ in range(2)]
        assert [(one.failure, one.kept) for one in answers] == [(None, True)] * 2
        assert answers[0].outputs == answers[1].outputs
        await other.send(change)
        assert (await other.receive()).failure
        assert not (await served.infer(whole)).kept
        assert (await served.refusal(change)).code().name == "FAILED_PRECONDITION"

    play(Engine([network], 1 << 20), story)


def test_who_sends_more_than_it_may_is_refused_and_read_more_slowly(
    play: Play, engine: Engine, sample: Any
) -> None:
    async def story(served: Any) -> None:
        stream = served.stream()
        began_s = time.monotonic()
        await stream.send(*(sample.request(number=number) for number in range(40)))
        answers = [await stream.receive() for _ in range(40)]
        took_s = time.monotonic() - began_s
        refused = [answer.failure for answer in answers if answer.failure]
        assert {failure.status for failure in refused} == {"RESOURCE_EXHAUSTED"}
        assert all("sends more than it may" in failure.message for failure in refused)
        assert 0 < refused[0].retry_after_s <= 0.1
        # Twenty at once; behind one that is refused nothing is read until the next token.
        assert 20 <= 40 - len(refused) <= 20 + 20 * took_s
        error = await served.refusal(sample.request())
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED

    play(engine, story, max_rate_hz=20, max_in_flight=40)


def test_failures_of_single_calls_are_their_status(play: Play, engine: Engine, sample: Any) -> None:
    async def story(served: Any) -> None:
        for name, (request, status, part) in bad_requests(sample).items():
            error = await served.refusal(request)
            assert (name, error.code().name) == (name, status)
            assert part in error.details(), name
        sample.check(await served.infer(sample.request()))

    play(engine, story)


def test_full_queue_and_deadlines_of_single_calls(
    play: Play, gated_engine: Engine, gated: Any, sample: Any
) -> None:
    async def story(served: Any) -> None:
        running = asyncio.create_task(served.infer(sample.request()))
        assert await asyncio.to_thread(gated.entered.acquire, True, 10)
        late = await served.refusal(sample.request(timeout_s=0.05))
        assert late.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        waiting = asyncio.create_task(served.infer(sample.request()))
        await served.busy(queued=1)
        full = await served.refusal(sample.request())
        assert full.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert int(dict(full.trailing_metadata())["grpc-retry-pushback-ms"]) >= 1
        gated.gate.set()
        sample.check(await running)
        sample.check(await waiting)

    play(gated_engine, story, queue_length=1)


def test_cancelled_call_and_stream_drop_their_work(
    play: Play, gated_engine: Engine, gated: Any, sample: Any
) -> None:
    async def story(served: Any) -> None:
        pool, stream = served.server.pool, served.stream()
        await stream.send(*(sample.request(2, number=number) for number in range(4)))
        call = served.stub.Infer(sample.request(2).to_proto(), timeout=10)
        await served.busy(queued=4)
        stream.call.cancel()
        call.cancel()
        await served.busy(queued=0)
        gated.gate.set()
        assert await asyncio.to_thread(pool.drain, 10)
        assert gated.ran == [2]

    play(gated_engine, story)


def test_stream_is_read_no_further_than_its_bound(
    play: Play, gated_engine: Engine, gated: Any, sample: Any
) -> None:
    async def story(served: Any) -> None:
        stream, pool = served.stream(), served.server.pool
        await stream.send(*(sample.request(number=number) for number in range(12)))
        await stream.call.done_writing()
        await asyncio.sleep(0.1)
        assert (pool.load().queued, pool.load().running) == (2, 1)
        gated.gate.set()
        assert [(await stream.receive()).id for _ in range(12)] == list(range(12))
        assert await stream.ended() is grpc.StatusCode.OK

    play(gated_engine, story, max_in_flight=3)


def test_message_over_the_limit_ends_its_stream_only(
    play: Play, engine: Engine, sample: Any
) -> None:
    async def story(served: Any) -> None:
        stream, other = served.stream(), served.stream()
        assert (await other.probe(1)).id == 1
        big = replace(sample.request(), frames=(bytes(70_000),))
        await stream.send(big)
        assert await stream.ended() is grpc.StatusCode.RESOURCE_EXHAUSTED
        refused = await served.refusal(big)
        assert refused.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        await other.send(sample.request())
        sample.check(await other.receive())
        sample.check(await served.infer(sample.request()))

    play(engine, story, max_message_bytes=65_536)


def test_whatever_bytes_arrive_the_stream_goes_on(play: Play, engine: Engine, sample: Any) -> None:
    async def story(served: Any) -> None:
        source, stream = random.Random(5), served.stream()
        good = sample.request(1)
        for number in range(200):
            frame = bytearray(good.frames[0])
            for _ in range(source.randint(1, 4)):
                frame[source.randrange(min(len(frame), 24))] = source.randrange(256)
            await stream.send(replace(good, id=number, frames=(bytes(frame),)))
            answer = await stream.receive()
            assert answer.id == number
            assert answer.failure is None or answer.failure.status == "INVALID_ARGUMENT"
        await stream.send(good)
        sample.check(await stream.receive())

    play(engine, story)


def test_streams_over_the_limit_are_refused(play: Play, engine: Engine) -> None:
    async def story(served: Any) -> None:
        first = served.stream()
        assert (await first.probe(1)).id == 1
        second = served.stream()
        assert await second.ended() is grpc.StatusCode.RESOURCE_EXHAUSTED
        await first.call.done_writing()
        assert await first.ended() is grpc.StatusCode.OK
        assert (await served.stream().probe(1)).id == 1

    play(engine, story, max_streams=1)


def test_calls_over_the_limit_are_refused(play: Play, engine: Engine, sample: Any) -> None:
    async def story(served: Any) -> None:
        stream = served.stream()
        assert (await stream.probe(1)).id == 1
        refused = await served.refusal(sample.request())
        assert refused.code() is grpc.StatusCode.RESOURCE_EXHAUSTED

    play(engine, story, max_calls=1)


def test_describe(play: Play, engine: Engine, network: Network, other_network: Network) -> None:
    async def story(served: Any) -> None:
        said = await served.stub.Describe(pb.DescribeRequest(), timeout=10)
        assert (said.version, said.max_message_bytes) == (__version__, 16 << 20)
        assert [(b.digest.hex(), b.name, b.segments, b.backend) for b in said.bundles] == [
            (network.bundle.digest, "tiny", 3, "onnxruntime"),
            (other_network.bundle.digest, "other", 3, "onnxruntime"),
        ]

    play(engine, story)


@pytest.mark.parametrize("name", ["", SERVICE])
def test_health(play: Play, engine: Engine, name: str) -> None:
    async def story(served: Any) -> None:
        stub = health_pb2_grpc.HealthStub(served.channel)
        request = health_pb2.HealthCheckRequest(service=name)
        assert (await stub.Check(request, timeout=10)).status == 1

    play(engine, story)


def test_reflection_lists_the_service_and_its_file(play: Play, engine: Engine) -> None:
    async def story(served: Any) -> None:
        stub = reflection_pb2_grpc.ServerReflectionStub(served.channel)
        asked = [
            reflection_pb2.ServerReflectionRequest(list_services=""),
            reflection_pb2.ServerReflectionRequest(file_containing_symbol="offramp.v1.Edge"),
        ]
        listed, file = [r async for r in stub.ServerReflectionInfo(iter(asked), timeout=10)]
        names = {service.name for service in listed.list_services_response.service}
        assert {"offramp.v1.Edge", "grpc.health.v1.Health"} <= names
        assert b"StreamRequest" in file.file_descriptor_response.file_descriptor_proto[0]

    assert SERVICE == "offramp.v1.Edge"
    play(engine, story)


def test_stop_finishes_what_waits_and_refuses_the_rest(
    play: Play, gated_engine: Engine, gated: Any, sample: Any
) -> None:
    async def story(served: Any) -> None:
        stream, stub = served.stream(), health_pb2_grpc.HealthStub(served.channel)
        watch = stub.Watch(health_pb2.HealthCheckRequest(service=SERVICE), timeout=20)
        assert (await watch.read()).status == 1
        await stream.send(sample.request(number=1), sample.request(number=2))
        single = asyncio.create_task(served.infer(sample.request(number=3)))
        await served.busy(queued=2)
        stopping = asyncio.create_task(served.server.stop())
        assert (await asyncio.wait_for(watch.read(), 10)).status == 2
        while not served.server.pool._stopping:
            await asyncio.sleep(0.01)
        await stream.send(sample.request(number=4))
        refused = await stream.receive()
        assert (refused.id, refused.failure.status) == (4, "UNAVAILABLE")
        gated.gate.set()
        for number in (1, 2):
            answer = await stream.receive()
            sample.check(answer)
            assert answer.id == number
        sample.check(await single)
        assert await stream.ended() is grpc.StatusCode.UNAVAILABLE
        await asyncio.wait_for(stopping, 10)

    play(gated_engine, story, grace_s=2)


def test_a_device_is_told_to_leave_and_what_it_sends_until_it_has_is_answered(
    play: Play, gated_engine: Engine, gated: Any, sample: Any
) -> None:
    async def story(served: Any) -> None:
        stream = served.stream()
        await stream.send(sample.request(number=1))
        await served.busy(queued=0)
        stopping = asyncio.create_task(served.server.stop())
        told = await stream.told_to_leave()
        assert told.accepts_s == pytest.approx(6.0)
        assert told.answers_s == pytest.approx(29.5, abs=0.2)
        refused = await served.refusal(sample.request())
        assert refused.code() is grpc.StatusCode.UNAVAILABLE
        assert await served.stream().ended() is grpc.StatusCode.UNAVAILABLE
        await stream.send(sample.request(number=2))
        await stream.call.done_writing()
        gated.gate.set()
        for number in (1, 2):
            assert (await stream.receive()).id == number
        assert await stream.ended() is grpc.StatusCode.OK
        await asyncio.wait_for(stopping, 3)  # it did not wait for as long as it might

    play(gated_engine, story, grace_s=30)


def test_a_long_queue_is_answered_or_refused_within_the_grace(
    play: Play, gated_engine: Engine, gated: Any, sample: Any
) -> None:
    """Each sample takes the engine 40 ms: 30 of them are more than a second has room for."""
    gated.gate.set()
    run_segment = gated.run_segment

    def slow(at: int, tensors: Any) -> Any:
        time.sleep(0.04 / gated.depth * len(tensors[0]))
        return run_segment(at, tensors)

    gated.run_segment = slow

    async def story(served: Any) -> None:
        stream, clock = served.stream(), asyncio.get_running_loop().time
        await stream.send(*(sample.request(number=number) for number in range(30)))
        await stream.receive()
        began_s = clock()
        stopping = asyncio.create_task(served.server.stop())
        answers = [await stream.receive() for _ in range(29)]
        assert await stream.ended() is grpc.StatusCode.UNAVAILABLE
        await stopping
        assert clock() - began_s < 1 + 0.2
        statuses = {answer.failure.status for answer in answers if answer.failure}
        assert statuses == {"UNAVAILABLE"}
        assert any(answer.failure is None for answer in answers)

    play(gated_engine, story, grace_s=1, max_in_flight=64, queue_length=64)


def test_stop_gives_up_after_its_grace(
    play: Play, gated_engine: Engine, gated: Any, sample: Any
) -> None:
    async def story(served: Any) -> None:
        stream = served.stream()
        await stream.send(sample.request(number=1), sample.request(number=2))
        await served.busy(1)
        await asyncio.wait_for(served.server.stop(), 5)
        refused = await stream.receive()
        assert (refused.id, refused.failure.status) == (2, "UNAVAILABLE")
        assert await stream.ended() is grpc.StatusCode.UNAVAILABLE
        gated.gate.set()

    play(gated_engine, story, grace_s=0.1)


def test_device_that_reads_nothing_is_not_read_from_and_holds_nobody_up(
    play: Play, engine: Engine, sample: Any
) -> None:
    async def story(served: Any) -> None:
        small_window = [("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 1024)]
        async with grpc.aio.insecure_channel(served.address, small_window) as channel:
            call = edge_pb2_grpc.EdgeStub(channel).Stream(timeout=20)
            message = pb.StreamRequest(infer=sample.request(2, plan_id="x" * 64).to_proto())

            async def flood() -> None:
                for _ in range(100_000):
                    await asyncio.wait_for(call.write(message), 0.3)

            with pytest.raises(TimeoutError):
                await flood()
            sample.check(await served.infer(sample.request()))
            await asyncio.wait_for(served.server.stop(), 3)

    play(engine, story, grace_s=0.1)


def test_processor_share_reaches_the_load(
    play: Play, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_server.server._SAMPLE_S", 0.01)
    monkeypatch.setattr("edge_server.processor.ProcessorMeter.share", lambda meter: 0.25)

    async def story(served: Any) -> None:
        await asyncio.sleep(0.05)
        assert (await served.stream().probe(1)).load.cpu_share == 0.25

    play(engine, story)


def test_round_trip_is_a_matter_of_milliseconds(play: Play, engine: Engine, sample: Any) -> None:
    async def story(served: Any) -> None:
        stream, clock = served.stream(), asyncio.get_running_loop().time
        spans_s = []
        for number in range(50):
            start_s = clock()
            await stream.send(sample.request(2, number=number))
            await stream.receive()
            spans_s.append(clock() - start_s)
        assert statistics.median(spans_s) < 0.1

    play(engine, story)
