"""A server that means ill: what it says is checked, bounded, or can do no more than be silent."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import device.remote
from device.choice_of_server import ChoiceOfServer
from device.controller import Controller
from device.remote import Remote
from device.security import SecuritySettings
from device.tuning import Tuning
from offramp.address import Address
from offramp.messages import Answer, Load, ProbeReply, Timeline
from partitioner import strategies
from partitioner.objective import Objective
from partitioner.plan import Plan
from partitioner.planner import Planner
from protos.offramp.v1 import edge_pb2_grpc
from protos.offramp.v1 import inference_pb2 as pb

U32 = st.integers(0, (1 << 32) - 1)
U64 = st.integers(0, (1 << 64) - 1)
TIMELINES = st.builds(
    pb.Timeline,
    received_us=U64,
    queue_us=U32,
    decode_us=U32,
    segment_us=st.lists(U32, max_size=5),
    encode_us=U32,
    total_us=U32,
    received_bytes=U64,
)
LOADS = st.builds(
    pb.ServerLoad, queued=U32, running=U32, queue_us=U32, cpu_permille=U32, price_us=U32
)
MESSAGES = st.one_of(
    st.builds(
        pb.StreamResponse,
        infer=st.builds(
            pb.InferResponse,
            id=U64,
            status=st.builds(
                pb.Status, code=U32, message=st.text(max_size=900), retry_after_us=U32
            ),
            outputs=st.lists(st.binary(max_size=40), max_size=3),
            timeline=TIMELINES,
            load=LOADS,
            plan_id=st.text(max_size=90),
            kept=st.booleans(),
            exit=U32,
        ),
    ),
    st.builds(
        pb.StreamResponse, probe=st.builds(pb.ProbeResponse, id=U64, timeline=TIMELINES, load=LOADS)
    ),
    st.builds(
        pb.StreamResponse,
        catalogue=st.builds(
            pb.Catalogue,
            bundles=st.lists(
                st.builds(
                    pb.BundleDescription,
                    digest=st.binary(max_size=40),
                    name=st.text(max_size=20),
                    segments=U32,
                    manifest_bytes=U32,
                    superseded=st.booleans(),
                ),
                max_size=3,
            ),
        ),
    ),
    st.just(pb.StreamResponse()),
)


class Listener:
    """Takes everything."""

    def __init__(self) -> None:
        self.states: queue.SimpleQueue[tuple[bool, str]] = queue.SimpleQueue()
        self.messages: list[Answer | ProbeReply] = []

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("on_"):
            raise AttributeError(name)
        return lambda *told: self._take(name, told)

    def _take(self, name: str, told: tuple[Any, ...]) -> None:
        if name == "on_state":
            self.states.put(told[-2:])
        elif name == "on_message":
            self.messages.append(told[-1])


@settings(deadline=None)
@given(MESSAGES)
def test_whatever_it_says_is_read_or_left_aside(message: pb.StreamResponse) -> None:
    match message.WhichOneof("kind"):
        case "infer":
            answer = Answer.from_proto(message.infer)
            assert answer.failure is None or len(answer.failure.message) <= 500
            assert 0 <= answer.load.cpu_share <= 1
        case "probe":
            ProbeReply.from_proto(message.probe)


def test_a_timeline_without_end_is_cut_off() -> None:
    timeline = Timeline.from_proto(pb.Timeline(segment_us=[1] * 100_000))
    assert len(timeline.segment_s) == 4096


@settings(deadline=None)
@given(st.lists(st.tuples(TIMELINES, LOADS, st.floats(0, 10)), min_size=1, max_size=20))
def test_lies_about_times_and_load_leave_beliefs_finite_and_a_plan(
    planner: Planner, told: list[tuple[pb.Timeline, pb.ServerLoad, float]]
) -> None:
    objective = Objective(max_accuracy_drop=0.0, deadline_s=0.25)
    controller = Controller(planner, objective, strategies.get("offramp"), Tuning())
    now_s = 0.0
    for number, (timeline, load, later_s) in enumerate(told):
        sent = Plan(1, "raw", "confidence", (2.0,)) if number % 2 else None
        controller.sent(now_s, number, 1000, sent)
        now_s += later_s
        read = Timeline.from_proto(timeline), Load.from_proto(load)
        controller.answered(now_s, number, *read)
        controller.answered(now_s, number, *read)  # once more
        controller.answered(now_s, number + 1000, *read)  # nobody asked for it
        believed = controller.conditions(now_s)
        assert 0 < believed.bandwidth_bps < float("inf")
        assert 0 <= believed.rtt_s < float("inf")
        assert 0 <= believed.queue_s < 1e5
        assert planner.row_of(controller.likely_plan(now_s)) is not None


class Mean(edge_pb2_grpc.EdgeServicer):
    """Takes a stream and does with it what it likes."""

    def __init__(self, says: Any) -> None:
        self._says = says

    def Stream(self, request_iterator: Any, context: grpc.ServicerContext) -> Iterator[Any]:  # noqa: N802
        yield from self._says(request_iterator, context)


@pytest.fixture
def mean_server() -> Iterator[Any]:
    servers: list[grpc.Server] = []

    def start(says: Any) -> Address:
        server = grpc.server(ThreadPoolExecutor(2))
        edge_pb2_grpc.add_EdgeServicer_to_server(Mean(says), server)  # type: ignore[no-untyped-call]
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        servers.append(server)
        return Address("127.0.0.1", port)

    yield start
    for server in servers:
        server.stop(0)


def open_remote(address: Address) -> tuple[Remote, Listener]:
    listener = Listener()
    choice = ChoiceOfServer(1, 10.0, lambda: 0.0)
    remote = Remote([address], SecuritySettings(), choice, listener)
    remote.start()
    return remote, listener


def test_one_that_takes_the_connection_and_says_nothing_is_no_server(
    mean_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device.remote, "_OPEN_S", 0.5)

    def says(requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
        yield from (pb.StreamResponse() for _ in requests)

    remote, listener = open_remote(mean_server(says))
    try:
        up, reason = listener.states.get(timeout=10)
    finally:
        remote.close()
    assert not up
    assert "then said nothing" in reason


def test_one_that_refuses_is_asked_again_rarely(mean_server: Any) -> None:
    calls: list[int] = []

    def says(requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
        calls.append(1)
        context.abort(grpc.StatusCode.UNAUTHENTICATED, "go away")
        yield

    remote, listener = open_remote(mean_server(says))
    try:
        up, reason = listener.states.get(timeout=10)
        with pytest.raises(queue.Empty):
            listener.states.get(timeout=1.5)
    finally:
        remote.close()
    assert not up
    assert "go away" in reason
    assert len(calls) == 1
