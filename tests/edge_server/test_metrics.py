"""What a server shows to Prometheus, against what was asked of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from prometheus_client import CollectorRegistry

from edge_server.engine import Engine
from edge_server.passage import Place
from edge_server.seeing.metrics import ServerMetrics
from edge_server.seeing.watching import Asked
from offramp.bundle import Bundle
from offramp.errors import UnknownBundleError
from offramp.messages import Answer, Failure, Load, Timeline
from offramp.network import Network

Play = Callable[..., None]


def _watching(network: Network) -> Any:
    load = Load(queued=3, running=1, queue_s=0.25, cpu_share=0.5, price_s=0.125)
    networks = {network.bundle.digest: network}

    def bundle(digest: str) -> Bundle:
        if digest not in networks:
            raise UnknownBundleError(digest)
        return networks[digest].bundle

    return SimpleNamespace(networks=networks, bundle=bundle, streams=7, load=lambda: load)


@pytest.fixture
def watched(network: Network) -> Any:
    return _watching(network)


@pytest.fixture
def metrics(watched: Any) -> ServerMetrics:
    return ServerMetrics(watched)


def value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(f"offramp_server_{name}", labels)


def series(registry: CollectorRegistry, name: str) -> dict[tuple[str, ...], float]:
    return {
        tuple(sample.labels.values()): sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name == f"offramp_server_{name}"
    }


def test_an_answer_is_counted_with_where_its_time_went(
    metrics: ServerMetrics, network: Network
) -> None:
    timeline = Timeline(
        queue_s=0.003, decode_s=0.0004, segment_s=(0.01, 0.02), encode_s=0.0001, total_s=0.04,
        received_bytes=512,
    )  # fmt: skip
    asked = Asked(1, "here", 3, network.bundle.digest, 1)
    metrics.answered(asked, Answer(1, timeline=timeline), 96)
    found = metrics.registry
    assert series(found, "requests_total") == {("tiny", "1", "end", "OK"): 1}
    assert value(found, "received_bytes_total") == 512
    assert value(found, "sent_bytes_total") == 96
    for name, spent_s in [("queue", 0.003), ("decode", 0.0004), ("encode", 0.0001),
                          ("total", 0.04)]:  # fmt: skip
        assert value(found, f"{name}_seconds_sum", model="tiny") == spent_s
        assert value(found, f"{name}_seconds_count", model="tiny") == 1
    assert value(found, "queue_seconds_bucket", model="tiny", le="0.002") == 0
    assert value(found, "queue_seconds_bucket", model="tiny", le="0.005") == 1
    assert series(found, "refusals_total") == {}


def test_an_answer_is_counted_by_the_exit_that_gave_it(later: Bundle) -> None:
    network = Network(later)
    metrics = ServerMetrics(_watching(network))
    metrics.answered(Asked(1, "here", 0, later.digest, 0), Answer(1, exit=0), 9)
    metrics.answered(Asked(2, "here", 0, later.digest, 0), Answer(2), 9)
    name = later.manifest.exits[0].name
    counted = series(metrics.registry, "requests_total")
    assert counted == {("later", "0", name, "OK"): 1, ("later", "0", "end", "OK"): 1}


def test_a_refusal_counts_by_its_cause_and_takes_no_time(
    metrics: ServerMetrics, network: Network
) -> None:
    asked = Asked(1, "here", 3, network.bundle.digest, 0)
    for failure in (
        Failure("RESOURCE_EXHAUSTED", "full", 0.1, "queue_full"),
        Failure("INVALID_ARGUMENT", "wrong"),
        Failure("DEADLINE_EXCEEDED", "late"),
        Failure("CANCELLED", "gone"),
        Failure("INTERNAL", "broken"),
    ):
        metrics.answered(asked, Answer(1, failure=failure), 10)
    metrics.turned_away(Failure("RESOURCE_EXHAUSTED", "full", cause="too_many_streams"))
    assert series(metrics.registry, "refusals_total") == {
        ("queue_full",): 1,
        ("invalid_argument",): 1,
        ("too_many_streams",): 1,
    }
    assert series(metrics.registry, "total_seconds_count") == {}
    assert sum(series(metrics.registry, "requests_total").values()) == 5


def test_what_a_client_makes_up_never_becomes_a_series(
    metrics: ServerMetrics, network: Network
) -> None:
    for number in range(300):
        for digest in (f"{number:064x}", network.bundle.digest):
            asked = Asked(number, f"client {number}", 3, digest, number, f"plan {number}")
            metrics.answered(asked, Answer(number), 0)
    found = series(metrics.registry, "requests_total")
    assert found == {
        ("unknown", "unknown", "end", "OK"): 300,
        ("tiny", "unknown", "end", "OK"): 297,
        **{("tiny", str(cut), "end", "OK"): 1 for cut in range(3)},
    }


def test_steps_are_named_by_their_segments(metrics: ServerMetrics, network: Network) -> None:
    digest = network.bundle.digest
    metrics.stepped(Place(digest, 1, narrow=False), 2, 4, 0.01)
    metrics.stepped(Place(digest, 0, narrow=False), 3, 1, 0.02)
    metrics.stepped(Place(digest, 1, narrow=True), 1, 2, 0.03)
    metrics.stepped(Place("00" * 32, 1, narrow=False), 2, 1, 0.04)
    assert series(metrics.registry, "segment_seconds_sum") == {
        ("tiny", "1"): 0.01,
        ("tiny", "0-2"): 0.02,
        ("tiny", "decoder1"): 0.03,
        ("unknown", "1"): 0.04,
    }
    assert value(metrics.registry, "batch_samples_sum", model="tiny", segment="1") == 4


def test_the_state_is_read_when_it_is_asked_for(metrics: ServerMetrics, watched: Any) -> None:
    names = ("waiting_samples", "running_samples", "streams", "bundles", "wait_seconds",
             "price_seconds", "cpu_share")  # fmt: skip
    assert [value(metrics.registry, name) for name in names] == [3, 1, 7, 1, 0.25, 0.125, 0.5]
    watched.streams = 8
    assert value(metrics.registry, "streams") == 8


def test_a_server_counts_what_its_clients_get(play: Play, engine: Engine, sample: Any) -> None:
    async def story(served: Any) -> None:
        metrics = ServerMetrics(served.server)
        served.server.watch(metrics)
        served.server.pool.engine.stepped = metrics.stepped
        stream = served.stream()
        for number in range(9):
            await stream.send(sample.request(number % 3, number))
        for _ in range(9):
            sample.check(await stream.receive())
        await stream.send(replace(sample.request(0, 9), digest="ff" * 32))
        assert (await stream.receive()).failure.status == "NOT_FOUND"
        await served.refusal(replace(sample.request(0, 9), cut=9))
        await served.infer(sample.request(1))
        found = metrics.registry
        assert value(found, "streams") == 1
        assert series(found, "requests_total") == {
            ("tiny", "0", "end", "OK"): 3,
            ("tiny", "1", "end", "OK"): 4,
            ("tiny", "2", "end", "OK"): 3,
            ("unknown", "unknown", "none", "NOT_FOUND"): 1,
            ("tiny", "unknown", "none", "INVALID_ARGUMENT"): 1,
        }
        batches = series(found, "batch_samples_sum")
        assert sum(batches.values()) >= 10
        assert (value(found, "received_bytes_total") or 0) > 10 * 108
        assert value(found, "total_seconds_count", model="tiny") == 10

    try:
        play(engine, story)
    finally:
        engine.stepped = lambda *step: None


def test_what_a_device_does_not_wait_for_is_cancelled(
    play: Play, gated_engine: Engine, gated: Any, sample: Any
) -> None:
    async def story(served: Any) -> None:
        metrics = ServerMetrics(served.server)
        served.server.watch(metrics)
        stream = served.stream()
        await stream.send(sample.request(1))
        await served.busy(0)
        stream.call.cancel()
        async with asyncio.timeout(10):
            while not (found := series(metrics.registry, "requests_total")):
                await asyncio.sleep(0.001)
        assert found == {("tiny", "1", "none", "CANCELLED"): 1}
        gated.gate.set()

    play(gated_engine, story)


@pytest.mark.parametrize(
    ("limit", "reason"),
    [({"max_streams": 1}, "too_many_streams"), ({"max_client_calls": 1}, "resource_exhausted")],
)
def test_a_stream_or_call_too_many_is_a_refusal(
    play: Play, engine: Engine, limit: dict[str, int], reason: str
) -> None:
    async def story(served: Any) -> None:
        metrics = ServerMetrics(served.server)
        served.server.watch(metrics)
        first = served.stream()
        await first.probe(1)
        assert await served.stream().ended() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert series(metrics.registry, "refusals_total") == {(reason,): 1}

    play(engine, story, **limit)
