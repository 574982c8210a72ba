"""Samples that run as one answer as they do alone."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from edge_server.engine import Engine
from edge_server.passage import Place
from edge_server.scheduling.sample import Room
from edge_server.scheduling.step_costs import Step
from edge_server.security.clients import Client
from edge_server.ticket import Ticket
from edge_server.workers import WorkerPool
from offramp.errors import EngineError
from offramp.messages import Answer, Request, Timeline

LIMIT_BYTES = 1 << 16
CLIENT = Client("board")


def test_samples_of_different_cuts_merge_and_answer_as_alone(
    engine: Engine, network: Any, sample_of: Callable[..., Any]
) -> None:
    each = [sample_of(network, seed) for seed in range(5)]
    cuts = (0, 1, 1, 2, 2)
    passages = [engine.begin(s.request(c)) for s, c in zip(each, cuts, strict=True)]
    for at in range(network.depth):
        here = [one for one in passages if one.at == at]
        engine.step(here)
        assert {one.at for one in here} == {at + 1}
    for one, sample, cut in zip(passages, each, cuts, strict=True):
        outcome = engine.finish(one)
        assert len(outcome.segment_s) == 3 - cut
        (logits,) = one.tensors
        np.testing.assert_allclose(logits[0], sample.tensors[-1][0], rtol=1e-5, atol=1e-3)


class Counting:
    """Notes the sizes of batches, and fails on what holds a number that is not finite."""

    def __init__(self, network: Any) -> None:
        self.run, self.sizes = network.run_segment, list[int]()

    def __call__(self, at: int, tensors: Any) -> Any:
        self.sizes.append(len(tensors[0]))
        if tensors[0].dtype == np.float32 and not np.isfinite(tensors[0]).all():
            raise EngineError("onnxruntime cannot run segment 1 on this sample")
        return self.run(at, tensors)


def submit_all(pool: WorkerPool, requests: list[Request]) -> dict[int, Answer]:
    answers: queue.Queue[Answer] = queue.Queue()
    for request in requests:
        timeline = Timeline(received_s=time.monotonic())
        assert pool.submit(Ticket(request, timeline, CLIENT, answers, answers.put)) is None
    found = [answers.get(timeout=10) for _ in requests]
    return {answer.id: answer for answer in found}


@pytest.fixture
def held(gated_engine: Engine, gated: Any) -> Any:
    """An engine that has learnt that batches pay, and its network behind a closed gate."""
    places = [Place(gated.bundle.digest, at, False) for at in range(gated.depth + 1)]
    for at in reversed(range(gated.depth)):
        for size in (1, 32):
            going = size * (at + 1 < gated.depth)
            gated_engine.costs.observe(Step(places[at], size, 0.001, places[at + 1], going))
    return gated_engine


def test_what_waits_while_the_engine_is_busy_runs_together(
    held: Engine, gated: Any, sample_of: Callable[..., Any]
) -> None:
    gated.run_segment = counting = Counting(gated)
    each = [sample_of(gated.__class__.__base__(gated.bundle), seed) for seed in range(9)]
    pool = WorkerPool(held, Room(1, 20), max_wait_s=20.0)
    threading.Timer(0.2, gated.gate.set).start()
    requests = [one.request(1 + at % 2, number=at) for at, one in enumerate(each)]
    answers = submit_all(pool, requests)
    for number, sample in enumerate(each):
        answer = answers[number]
        assert answer.failure is None
        assert len(answer.timeline.segment_s) == 2 - number % 2
        sample.check(answer)
    assert sum(counting.sizes) == 5 * 2 + 4
    assert len(counting.sizes) <= 5
    assert pool.load().running == 0
    pool.close(10)


def test_a_sample_that_fails_takes_no_other_with_it(
    held: Engine, gated: Any, sample_of: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    gated.run_segment = Counting(gated)
    network = gated.__class__.__base__(gated.bundle)
    each = [sample_of(network, seed) for seed in range(5)]
    broken = each[3].tensors[1]
    each[3] = type(each[3])(each[3].digest, (each[3].tensors[0], (broken[0] * np.nan,)))
    pool = WorkerPool(held, Room(1, 20), max_wait_s=20.0)
    threading.Timer(0.2, gated.gate.set).start()
    answers = submit_all(pool, [one.request(1, number=at) for at, one in enumerate(each)])
    assert [at for at, answer in sorted(answers.items()) if answer.failure] == [3]
    assert caplog.text.count("sample failed at cut 1") == 1
    pool.close(10)
