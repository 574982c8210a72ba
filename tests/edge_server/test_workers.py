from __future__ import annotations

import queue
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from edge_server.engine import Engine
from edge_server.scheduling.sample import Room
from edge_server.security.clients import Client
from edge_server.ticket import STOPPING, Ticket
from edge_server.workers import WorkerPool
from offramp.errors import EngineError
from offramp.messages import Answer, Request, Timeline

pytestmark = pytest.mark.timed

CLIENT = Client("board")


class Device:
    """Submits requests and keeps the answers in the order in which they came."""

    def __init__(self, pool: WorkerPool) -> None:
        self.pool = pool
        self.answers: queue.Queue[Answer] = queue.Queue()

    def submit(self, request: Request, age_s: float = 0.0) -> Any:
        timeline = Timeline(received_s=time.monotonic() - age_s, received_bytes=7)
        return self.pool.submit(Ticket(request, timeline, CLIENT, self, self.answers.put))

    def receive(self, count: int = 1) -> list[Answer]:
        return [self.answers.get(timeout=10) for _ in range(count)]


@pytest.fixture
def pool(gated_engine: Engine, gated: Any) -> Iterator[WorkerPool]:
    pool = WorkerPool(gated_engine, Room(1, 3), max_wait_s=5.0)
    yield pool
    gated.gate.set()
    pool.close(10)


@pytest.fixture
def device(pool: WorkerPool) -> Device:
    return Device(pool)


def test_earlier_deadlines_overtake_what_waits(device: Device, gated: Any, sample: Any) -> None:
    assert device.submit(sample.request(number=1)) is None
    assert gated.entered.acquire(timeout=10)
    for number, timeout_s in ((2, 4.0), (3, 2.0), (4, 0.0)):
        assert device.submit(sample.request(number=number, timeout_s=timeout_s)) is None
    time.sleep(0.05)
    gated.gate.set()
    answers = device.receive(4)
    assert [answer.id for answer in answers] == [3, 2, 1, 4]  # the first one between two segments
    for answer in answers:
        sample.check(answer)
    assert min(one.timeline.queue_s for one in answers if one.id != 1) > 0.05
    assert {answer.timeline.received_bytes for answer in answers} == {7}


def test_full_queue_refuses_with_the_time_to_retry(device: Device, gated: Any, sample: Any) -> None:
    device.submit(sample.request())
    assert gated.entered.acquire(timeout=10)
    refused = [device.submit(sample.request()) for _ in range(5)]
    assert refused[:3] == [None] * 3
    assert [failure.status for failure in refused[3:]] == ["RESOURCE_EXHAUSTED"] * 2
    assert refused[3].retry_after_s > 0
    load = device.pool.load()
    assert (load.queued, load.running) == (3, 1)


def test_samples_are_in_flight_from_their_coming_to_their_answer(
    device: Device, gated: Any, sample: Any
) -> None:
    pool, digest = device.pool, sample.digest
    device.submit(sample.request())
    assert gated.entered.acquire(timeout=10)
    for _ in range(4):  # of which one is refused
        device.submit(sample.request())
    device.submit(replace(sample.request(), digest="ab" * 32))
    assert (pool.in_flight(digest), pool.in_flight("ab" * 32)) == (4, 0)
    assert pool.withdraw(device) == 3
    assert pool.in_flight(digest) == 1
    gated.gate.set()
    device.receive()
    assert pool.drain(10)
    assert pool.in_flight(digest) == 0


def test_expired_work_never_runs(device: Device, gated: Any, sample: Any) -> None:
    device.submit(sample.request(2, number=1))
    assert gated.entered.acquire(timeout=10)
    device.submit(sample.request(2, number=2, timeout_s=0.01))
    device.submit(sample.request(2, number=3))
    time.sleep(0.02)
    gated.gate.set()
    answers = device.receive(3)
    assert [answer.id for answer in answers if not answer.failure] == [1, 3]
    (late,) = (answer for answer in answers if answer.failure)
    assert late.failure.status == "DEADLINE_EXCEEDED"
    assert late.timeline.queue_s >= 0.01
    assert gated.ran == [2, 2]


def test_deadlines_are_looked_at_before_each_segment(
    device: Device, gated: Any, sample: Any
) -> None:
    device.submit(sample.request(0, timeout_s=0.05))
    assert gated.entered.acquire(timeout=10)
    time.sleep(0.06)
    gated.gate.set()
    (late,) = device.receive()
    assert late.failure.status == "DEADLINE_EXCEEDED"
    assert "before segment 1; allow more time" in late.failure.message
    assert gated.ran == [0]


def test_expired_work_gives_its_place_to_the_next(device: Device, gated: Any, sample: Any) -> None:
    device.submit(sample.request(number=1))
    assert gated.entered.acquire(timeout=10)
    for number in (2, 3, 4):
        device.submit(sample.request(number=number, timeout_s=0.01))
    time.sleep(0.02)
    assert device.submit(sample.request(number=5)) is None
    assert [answer.id for answer in device.receive(3)] == [2, 3, 4]
    assert device.pool.load().queued == 1


def test_waiting_has_the_servers_own_limit(device: Device, gated: Any, sample: Any) -> None:
    gated.gate.set()
    device.submit(sample.request(timeout_s=60.0), age_s=5.1)
    assert device.receive()[0].failure.status == "DEADLINE_EXCEEDED"
    assert gated.ran == []


def test_withdraw_drops_one_owners_waiting_work(device: Device, gated: Any, sample: Any) -> None:
    other = Device(device.pool)
    device.submit(sample.request(number=1))
    assert gated.entered.acquire(timeout=10)
    device.submit(sample.request(number=2))
    other.submit(sample.request(number=3))
    assert device.pool.withdraw(device) == 1
    gated.gate.set()
    assert [answer.id for answer in device.receive() + other.receive()] == [1, 3]
    assert device.pool.drain(10)
    assert device.answers.empty()


def test_failing_sample_is_logged_and_the_next_is_served(
    device: Device, gated: Any, sample: Any, caplog: pytest.LogCaptureFixture
) -> None:
    gated.gate.set()
    run, gated.run_segment = gated.run_segment, None
    device.submit(sample.request(number=1))
    (failed,) = device.receive()
    gated.run_segment = run
    device.submit(sample.request(number=2))
    sample.check(device.receive()[0])
    assert failed.failure.status == "INTERNAL"
    assert "NoneType" not in failed.failure.message
    assert "sample failed at cut 0" in caplog.text


def test_damaged_sample_says_so(device: Device, gated: Any, sample: Any) -> None:
    gated.gate.set()
    device.submit(replace(sample.request(), frames=(b"garbage that is no frame",)))
    (answer,) = device.receive()
    assert answer.failure.status == "INVALID_ARGUMENT"
    assert answer.outputs == ()


def test_drain_refuses_new_work_and_finishes_the_rest(
    device: Device, gated: Any, sample: Any
) -> None:
    for number in (1, 2, 3):
        device.submit(sample.request(number=number))
    assert not device.pool.drain(0.01)
    assert device.submit(sample.request()) == STOPPING
    gated.gate.set()
    assert device.pool.drain(10)
    assert device.answers.qsize() == 3
    assert device.pool.load().queued == device.pool.load().running == 0


def test_close_fails_what_still_waits(device: Device, gated: Any, sample: Any) -> None:
    device.submit(sample.request(number=1))
    assert gated.entered.acquire(timeout=10)
    device.submit(sample.request(number=2))
    device.pool.close(0.01)
    assert [(a.id, a.failure) for a in device.receive()] == [(2, STOPPING)]
    gated.gate.set()
    sample.check(device.receive()[0])


def test_two_workers_run_two_samples_at_once(gated_engine: Engine, gated: Any, sample: Any) -> None:
    pool = WorkerPool(gated_engine, Room(2, 3), max_wait_s=5.0)
    device = Device(pool)
    for number in (1, 2, 3):
        device.submit(sample.request(number=number))
    assert gated.entered.acquire(timeout=10)
    assert gated.entered.acquire(timeout=10)
    assert (pool.load().queued, pool.load().running) == (1, 2)
    gated.gate.set()
    assert sorted(answer.id for answer in device.receive(3)) == [1, 2, 3]
    pool.close(10)


def test_what_the_engine_cannot_compute_is_logged_and_answered(
    device: Device, gated: Any, sample: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(at: int, tensors: Any) -> None:
        raise EngineError("onnxruntime cannot run segments 0 to 0 on this sample")

    gated.gate.set()
    gated.run_segment = fail
    device.submit(sample.request())
    (failed,) = device.receive()
    assert failed.failure.status == "INVALID_ARGUMENT"
    assert "sample failed at cut 0" in caplog.text


def test_load_tells_the_price_of_what_came(device: Device, gated: Any, sample: Any) -> None:
    gated.gate.set()
    assert device.pool.load().price_s == 0.0
    for number in range(3):
        device.submit(sample.request(number=number))
    device.receive(3)
    assert device.pool.load().price_s > 0.0
