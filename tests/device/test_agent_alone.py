"""The agent in this process, with a model that costs nothing and a connection that is none."""

import contextlib
import gc
import itertools
import threading
import time
import weakref
from dataclasses import replace

import numpy as np
import pytest

import device.journal
from device.agent import Agent
from device.cargo import Cargo
from device.controller import Controller
from device.deployment import Deployment
from device.head import Head
from device.settings import AgentSettings
from device.sources import Sample
from offramp.address import Address
from offramp.boundary_codec import BundleCodecs
from offramp.catalogue import Offer
from offramp.codecs import encode, get
from offramp.errors import InputError
from offramp.messages import Answer, Failure, Probe, ProbeReply
from partitioner import strategies
from partitioner.objective import Objective

pytestmark = pytest.mark.timed

IMAGE = np.full((50, 50, 1), 0.5, np.float32)
NAN = np.full((50, 50, 1), np.nan, np.float32)


class Model:
    """The synthetic model of conftest.py: the answer is 1 if the image is bright."""

    depth = 2

    def __init__(self, bundle):
        self.bundle = bundle
        self.codecs = BundleCodecs.of(bundle)

    def step(self, start, stop, tensors):
        if start == 0:
            return 1, [np.full((1, 250), tensors[0].max(), np.float32)]
        return 2, [self.exit_logits(0, tensors, {})]

    def released(self, start):
        return set()

    def prepare(self, cut, level, part):
        assert (level, part) == ("raw", "encoder")

    def encode(self, cut, level, tensors, references=()):
        return self.codecs.at(cut, level).encode([array[0] for array in tensors])

    def exit_logits(self, at, tensors, codes):
        level = tensors[0][0, 0]
        with np.errstate(over="ignore"):
            return np.array([[-level, level]], np.float32) * np.float32(1e30)


class Source(list):
    @property
    def count(self):
        return len(self)


class Sink(list):
    def write(self, line):
        self.append(line)

    def of(self, kind):
        return sorted((line for line in self if line["kind"] == kind), key=lambda r: r.get("id", 0))


class Wire:
    """Stands for `device.remote.Remote`: answers each request as ``reply`` says, soon."""

    reply = staticmethod(lambda request: None)

    refusal = None

    def __init__(self, addresses, security, choice, listener):
        (self.address,) = addresses
        self.listener = listener
        self.requests = []

    def start(self):
        self.listener.on_state(self.address, True, "")
        self.listener.on_ready()

    def send(self, message):
        if isinstance(message, Probe):
            answer = ProbeReply(message.id)
        else:
            self.requests.append(message.id)
            answer = self.reply(message)
        thread = threading.Timer(0.002, self._deliver, [answer])
        thread.start()

    def _deliver(self, answer):
        self.listener.on_ready()
        if answer is not None:
            self.listener.on_message(self.address, answer)

    def close(self):
        pass


@pytest.fixture
def start(planner, monkeypatch):
    """Return a function that makes an agent, its sink, and its wire if it has one."""

    def start(strategy="device_only", reply=None, sink=None, **options):
        monkeypatch.setattr("device.remote.Remote", Wire)
        monkeypatch.setattr(Wire, "reply", staticmethod(reply))
        settings = AgentSettings(server="edge:1" if reply else None, slowdown=1, **options)
        objective = Objective(max_accuracy_drop=0.0, deadline_s=settings.deadline_s)
        controller = Controller(planner, objective, strategies.get(strategy))
        sink = Sink() if sink is None else sink
        head = Head([Model(planner.bundle)] * 3, planner.device)
        return Agent(head, controller, settings, [sink]), sink

    return start


def logits(request, *values):
    return Answer(request.id, outputs=(encode(get("raw"), np.array(values, np.float32)),))


def test_a_sample_with_nan_fails_and_the_stream_goes_on(start):
    agent, sink = start()
    with pytest.raises(InputError, match=r"1 samples failed, .* 'image' holds NaN or infinity"):
        agent.run(Source([Sample((IMAGE,)), Sample((NAN,)), Sample((-IMAGE,))]))
    results = sink.of("result")
    assert [line["status"] for line in results] == ["ok", "failed", "ok"]
    assert [line.get("answer") for line in results] == [1, None, 0]


def test_a_sample_with_too_many_arrays_fails_and_says_so(start):
    agent, _ = start()
    with pytest.raises(InputError, match="there are 2 arrays for 1 input tensors"):
        agent.run(Source([Sample((IMAGE, IMAGE))]))


def test_a_model_that_answers_with_infinity_fails_on_that_sample(start):
    agent, sink = start()
    with pytest.raises(InputError, match="the answer of device holds NaN or infinity"):
        agent.run(Source([Sample((IMAGE * np.float32(1e30),)), Sample((IMAGE,))]))
    assert [line["status"] for line in sink.of("result")] == ["failed", "ok"]


def test_a_sample_that_the_engine_cannot_compute_fails_and_the_stream_goes_on(start, monkeypatch):
    def step(self, at, stop, tensors):
        if tensors[0].max() > 0.7:
            raise InputError("onnxruntime cannot run segments 0 to 0 on this sample (out of range)")
        return run(self, at, stop, tensors)

    run = Model.step
    monkeypatch.setattr(Model, "step", step)
    agent, sink = start()
    with pytest.raises(InputError, match=r"1 samples failed, .* cannot run segments 0 to 0"):
        agent.run(Source([Sample((IMAGE,)), Sample((2 * IMAGE,)), Sample((IMAGE,))]))
    assert [line["status"] for line in sink.of("result")] == ["ok", "failed", "ok"]


def test_a_sample_that_neither_end_can_compute_fails_and_the_stream_goes_on(start, monkeypatch):
    def step(self, at, stop, tensors):
        raise InputError("out of range")

    monkeypatch.setattr(Model, "step", step)
    refuse = lambda request: Answer(  # noqa: E731
        request.id, failure=Failure("INVALID_ARGUMENT", "out of range")
    )
    agent, sink = start("server_only", refuse, deadline_s=5.0)
    with pytest.raises(InputError, match="2 samples failed"):
        agent.run(Source([Sample((IMAGE,))] * 2))
    assert [line["status"] for line in sink.of("result")] == ["failed", "failed"]


def test_what_the_server_says_is_the_answer(start):
    agent, sink = start("server_only", lambda request: logits(request, 3.0, 1.0), deadline_s=5.0)
    agent.run(Source([Sample((IMAGE,))] * 3))
    assert [(line["by"], line["answer"]) for line in sink.of("result")] == [("server", 0)] * 3


def test_an_answer_that_cannot_be_read_is_replaced_by_the_devices(start):
    noise = lambda request: Answer(request.id, outputs=(b"noise",))  # noqa: E731
    agent, sink = start("server_only", noise, deadline_s=5.0)
    agent.run(Source([Sample((IMAGE,))]))
    (line,) = sink.of("result")
    assert (line["status"], line["answer"]) == ("degraded", 1)
    assert line["reason"].startswith("INVALID_ARGUMENT: the server's answer cannot be read")


def test_a_server_that_is_full_is_left_alone_for_as_long_as_it_says(start):
    def refuse(request):
        asked_s.append(time.perf_counter())
        return Answer(request.id, failure=Failure("RESOURCE_EXHAUSTED", "full", 0.2))

    asked_s = []
    agent, sink = start("server_only", refuse, rate_hz=20, deadline_s=5.0)
    agent.run(Source([Sample((IMAGE,))] * 16))
    assert "server" not in {line["by"] for line in sink.of("result")}
    assert 2 <= len(asked_s) <= 5
    assert min(later - earlier for earlier, later in itertools.pairwise(asked_s)) > 0.19


def test_sinks_are_written_and_the_load_is_read_without_the_lock(start, monkeypatch):
    def free():
        def take():
            with contextlib.suppress(RuntimeError):
                taken.append(lock.acquire(timeout=2))
                lock.release()

        taken = []
        thread = threading.Thread(target=take)
        thread.start()
        thread.join()
        return taken[0]

    class Watching(Sink):
        def write(self, line):
            self.append({**line, "free": free()})

    agent, sink = start("offramp", lambda request: logits(request, 3, 1), Watching(), rate_hz=50)
    lock = agent._changed
    monkeypatch.setattr(device.journal, "read_load", lambda: {"read_free": free()})
    agent.run(Source([Sample((IMAGE,))] * 4))
    assert {line["kind"] for line in sink} == {"link", "plan", "load", "result"}
    assert all(line["free"] for line in sink)
    assert all(line["read_free"] for line in sink.of("load"))


def test_a_sink_that_cannot_be_written_ends_the_run_with_its_reason(start):
    class Full(Sink):
        def write(self, line):
            if line["kind"] == "result":
                raise OSError("no space left")

    agent, _ = start("server_only", lambda request: logits(request, 3, 1), Full())
    with pytest.raises(OSError, match="no space left"):
        agent.run(Source([Sample((IMAGE,))] * 100))


def test_each_request_names_the_bundle_that_began_its_sample(start, successor):
    new = [Deployment(Head([Model(successor.bundle)] * 3, successor.device), successor)]
    digests = {}

    def reply(request):
        digests[request.id] = request.digest
        if request.id == 3 and new:
            agent.on_deployed(new.pop())
        return logits(request, 0.0, 5.0)

    agent, sink = start("server_only", reply, deadline_s=5.0)
    old = weakref.ref(agent._head)
    agent.run(Source([Sample((IMAGE,))] * 12))
    gc.collect()
    assert old() is None
    assert [line["status"] for line in sink.of("result")] == ["ok"] * 12
    assert [line["digest"] for line in sink.of("bundle")] == ["2" * 64]
    told = [digests[sample] for sample in range(12)]
    assert told == sorted(told)
    assert (told[3], told[-1]) == ("1" * 64, "2" * 64)


def test_a_bundle_that_is_refused_is_written_and_the_run_goes_on(start):
    agent, sink = start("device_only")
    agent.on_refused(Offer("ab" * 32, "synthetic"), "it takes other inputs")
    agent.run(Source([Sample((IMAGE,))]))
    (line,) = sink.of("bundle")
    assert (line["digest"], line["refused"]) == ("ab" * 32, "it takes other inputs")
    assert [line["status"] for line in sink.of("result")] == ["ok"]


REFUSALS = ("FAILED_PRECONDITION", "RESOURCE_EXHAUSTED", "INTERNAL", "DEADLINE_EXCEEDED")


@pytest.mark.parametrize("status", REFUSALS)
def test_what_the_server_keeps_is_forgotten_only_if_it_says_so(start, status):
    replies = {1: lambda request: Answer(request.id, failure=Failure(status, "no"))}

    def reply(request):
        kept = replace(logits(request, 0, 1), kept=request.id == 0)
        return replies.get(request.id, lambda request: kept)(request)

    agent, sink = start("server_only", reply, deadline_s=2.0)
    agent.run(Source([Sample((IMAGE,))] * 2))
    assert [line["status"] for line in sink.of("result")] == ["ok", "degraded"]
    latest = agent._head.latest.at(0, 2)
    assert (latest is None) == (status == "FAILED_PRECONDITION")
    assert latest is None or latest.id == 0


def test_a_missing_reference_is_no_sign_of_a_failing_server(start):
    refuse = Failure("FAILED_PRECONDITION", "send this one whole")
    failing = [2, 3, 4, 5]

    def reply(request):
        if request.id in failing:
            return Answer(request.id, failure=refuse)
        return replace(logits(request, 0, 1), kept=True)

    agent, sink = start("server_only", reply, deadline_s=2.0)
    agent.run(Source([Sample((IMAGE,))] * 12))
    by = [line["by"] for line in sink.of("result")]
    assert by == ["server"] * 2 + ["device"] * 4 + ["server"] * 6


def test_a_lost_connection_forgets_what_was_kept(start):
    agent, _ = start(
        "server_only", lambda request: replace(logits(request, 0, 1), kept=True), deadline_s=2.0
    )
    agent.run(Source([Sample((IMAGE,))]))
    assert agent._head.latest.at(0, 1).id == 0
    agent.on_state(Address("edge", 1), False, "gone")
    assert agent._head.latest.at(0, 1) is None


def nan(request):
    return logits(request, np.nan, 1)


def too_many(request):
    return replace(logits(request, 0, 1), outputs=logits(request, 0, 1).outputs * 2)


def of_another_shape(request):
    return logits(request, 0, 1, 2)


def nonsense(request):
    return Answer(request.id, outputs=(b"nonsense",))


@pytest.mark.parametrize("reply", [nan, too_many, of_another_shape, nonsense])
def test_an_answer_that_is_none_is_the_devices_to_give(start, reply):
    agent, sink = start("server_only", reply, deadline_s=2.0)
    agent.run(Source([Sample((IMAGE,))] * 3))
    lines = sink.of("result")
    assert [line["status"] for line in lines] == ["degraded"] * 3
    assert {line["by"] for line in lines} == {"device"}
    assert "cannot be read" in lines[0]["reason"]


def test_second_answers_and_those_to_no_sample_change_nothing(start):
    agent, sink = start("server_only", lambda request: logits(request, 0, 1), deadline_s=2.0)
    deliver = Wire._deliver

    def deliver_more(wire, answer):
        deliver(wire, answer)
        if isinstance(answer, Answer):
            for number in (answer.id, answer.id + 1000):
                wire.listener.on_message(
                    wire.address, replace(logits(answer, 1, 0), id=number, kept=True)
                )

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Wire, "_deliver", deliver_more)
        agent.run(Source([Sample((IMAGE,))] * 8))
    lines = sink.of("result")
    assert [(line["status"], line["by"], line["answer"]) for line in lines] == [
        ("ok", "server", 1)
    ] * 8


def test_an_answer_to_a_sample_that_was_not_sent_yet_is_left_aside(start):
    """Numbers of samples can be guessed."""
    agent, sink = start("server_only", lambda request: logits(request, 0, 1), deadline_s=2.0)
    waiting = agent._cargo[7] = Cargo.of(Sample((IMAGE,)))
    agent.on_message(Address("edge", 1), logits(Answer(7), 1, 0))
    assert waiting.served is None
    agent.run(Source([Sample((IMAGE,))]))
    assert [line["answer"] for line in sink.of("result")] == [1]
