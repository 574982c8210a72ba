"""One device, its link and a server in virtual time: little stories with exact logs.

The model is that of conftest.py. The link is of 1 Mbit/s and 5 ms each way: 1000 bytes take it 8
ms. At time 0, when the link is known from a first row of probes, one more probe goes out.
"""

from random import Random

import pytest

from device.controller import Controller
from device.settings import AgentSettings
from edge_server.security.clients import Client
from partitioner.candidates import CLOSED
from partitioner.conditions import Conditions
from partitioner.objective import Objective
from partitioner.plan import Plan
from partitioner.strategies import Strategy
from sim.description import parse_link
from sim.model import build_link
from sim.world.clock import Clock
from sim.world.connection import Connection
from sim.world.course import LoadCourse
from sim.world.device import Parts, VirtualDevice
from sim.world.link import VirtualLink
from sim.world.processor import Processor
from sim.world.requests import Requests
from sim.world.server import Capacity, VirtualServer
from sim.world.spread import Draws
from sim.world.tail import Tail
from sim.world.tally import Tally

SEND_FEATURE = Plan(1, "raw", "confidence", (CLOSED,))
SEND_HARD = Plan(1, "raw", "confidence", (0.9,))
SEND_NOTHING = Plan(2, None, "confidence", (CLOSED,))
CALM = {"tuning": {"probe_s": 3600}}  # no probes but those of the start
LEAD_S = 0.214624  # from the first dial to the begin, with a row of eight probes between
STEADY = [{"kind": "rate", "bps": 1e6}, {"kind": "delay", "seconds": 0.005}]


class Fixed(Strategy):
    name, adapts = "fixed", False

    def __init__(self, plan):
        self._plan = plan

    def decide(self, planner, objective, conditions):
        return self._plan


class World:
    """One device with its link and server; ``log`` has (ms since the first sample, what)."""

    def __init__(self, planner, outcomes, plan, link=STEADY, server=True, **options):
        self.clock, self.tally, self.log, self.links = Clock(), Tally(), [], []
        server_options = options.pop("server_options", {})
        rpc_s, handover_s = options.pop("rpc_s", (0.0,)), options.pop("handover_s", 0.0)
        load = LoadCourse(**options.pop("load", {}))
        options = {"deadline_s": 0.2, **CALM, **options}
        if server:
            options["server"] = "edge:1"
        settings = AgentSettings(rate_hz=50, **options)
        strategy = plan if isinstance(plan, Strategy) else Fixed(plan)
        objective = Objective(max_accuracy_drop=0.0, deadline_s=settings.deadline_s)
        controller = Controller(planner, objective, strategy, settings.tuning)
        processor = Processor(planner, outcomes)
        self.parts = Parts(
            "a", settings, controller, processor, load, self.tally, self._note, handover_s
        )
        tail = Tail(planner.server, 0.5)
        digest = planner.bundle.digest
        self.server = VirtualServer(self.clock, {digest: tail}, Capacity(**server_options))
        model = build_link(parse_link({"up": link} if isinstance(link, list) else link, "link"))
        self.connection = None
        if server:
            self.connection = Connection(
                self.clock,
                VirtualLink(model),
                self.server,
                client=Client("board"),
                answer_bytes=8,
                rpc_s=Draws(rpc_s, "rpc"),
            )

    def run(self, *times_s, samples=None):
        chosen = iter(samples or range(len(times_s)))
        random = Random(0)
        random.randrange = lambda _: next(chosen)
        requests = Requests(iter(times_s), 100, random)
        self.device = VirtualDevice(self.clock, self.parts, requests, self.connection)
        self._tell_of_links()
        self.device.start()
        self.clock.run()
        assert self.device.done
        return self.log

    def _tell_of_links(self):
        """Log when connections open and end, in ms of the world's clock."""

        def logged(what, event):
            def tell(*details):
                self.links.append((round(self.clock.now_s * 1e3, 3), what))
                event(*details)

            return tell

        self.device.connected = logged("up", self.device.connected)
        self.device.disconnected = logged("down", self.device.disconnected)

    def _note(self, now_s, finish, held):
        work = finish.work
        exit_ = "" if held.exit is None else f" exit {held.exit}"
        ms = round((now_s - self.device.began_s) * 1e3, 3)
        self.log.append((ms, f"{finish.status} {work.id} {finish.by}{exit_}".rstrip()))


@pytest.fixture
def world(planner, outcomes):
    return lambda plan, **options: World(planner, outcomes, plan, **options)


def test_a_sample_goes_up_and_its_answer_comes_down(world):
    """10 ms head, 8 ms + 5 ms up, 1 ms tail, 1.344 ms + 5 ms down: an answer has 168 bytes."""
    story = world(SEND_FEATURE)
    assert story.run(0.1, 0.2) == [(130.344, "ok 0 server"), (230.344, "ok 1 server")]
    tally = story.tally.summary()
    assert tally["requests"] == tally["sent"] == 2
    assert tally["up_bytes"] == 2000
    assert tally["device_s"] == pytest.approx(0.02)
    assert tally["server_s"] == pytest.approx(0.002)
    assert tally["waiting_s"] == pytest.approx(2 * 0.020344)
    assert tally["accuracy"] == 1.0


def test_what_goes_out_is_samples_and_probes(world):
    """A probe's reply has 160 bytes, and both have 5 ms of delay besides."""
    story = world(SEND_FEATURE, tuning={"probe_s": 0.05})
    story.run(0.1, 0.2)
    tally = story.tally.summary()
    assert tally["probes"] > 5
    assert tally["probe_bytes"] >= 110 * tally["probes"]
    assert tally["uplink_bytes"] == tally["up_bytes"] + tally["probe_bytes"]
    assert tally["sending_s"] == pytest.approx(8e-6 * tally["uplink_bytes"])
    replies_s = 0.010 + 8e-6 * 160
    waited_s = 8e-6 * tally["probe_bytes"] + replies_s * tally["probes"]
    assert tally["probe_waiting_s"] == pytest.approx(waited_s)


def test_hand_overs_come_before_the_head_and_calls_on_both_ways(world):
    """3 ms and 2 ms for each sample; the processor is not free for others meanwhile."""
    story = world(SEND_FEATURE, handover_s=0.003, rpc_s=(0.002,))
    assert story.run(0.1, 0.105) == [(135.344, "ok 0 server"), (148.344, "ok 1 server")]
    assert story.tally.summary()["device_s"] == pytest.approx(0.02)


def test_what_a_call_costs_is_drawn_but_answers_keep_their_order(world):
    story = world(SEND_FEATURE, rpc_s=(0.0, 0.004), max_in_flight=16, inbox=16)
    log = story.run(*(0.1 + 0.011 * n for n in range(40)), samples=[0] * 40)
    spent_ms = [ms - 100 - 11 * n - 30.344 for n, (ms, _) in enumerate(log)]
    assert [what for _, what in log] == [f"ok {n} server" for n in range(40)]
    assert 0 <= min(spent_ms) < 0.5
    assert 3.5 < max(spent_ms) <= 4.0


def test_the_next_ones_head_runs_while_one_is_on_its_way(world):
    story = world(SEND_FEATURE)
    assert story.run(0.1, 0.105) == [(130.344, "ok 0 server"), (140.344, "ok 1 server")]


def test_what_is_easy_leaves_at_its_exit_and_the_rest_goes_on(world):
    story = world(SEND_HARD)
    assert story.run(0.1, 0.2, samples=[0, 60]) == [
        (111.0, "ok 0 device exit 0"),
        (231.344, "ok 1 server"),
    ]
    assert story.tally.summary()["answers"] == {"exit 0": 1, "server": 1}


def test_without_a_server_the_device_answers_alone(world):
    story = world(SEND_NOTHING, server=False)
    assert story.run(0.0, 0.005) == [(20.0, "ok 0 device"), (40.0, "ok 1 device")]
    assert story.tally.summary()["sent"] == 0


def test_a_device_that_throttles_takes_longer(world):
    story = world(SEND_NOTHING, server=False, load={"steps": [{"from_s": 0, "stretch": 2}]})
    assert story.run(0.0) == [(40.0, "ok 0 device")]


HEDGE = {"hedge": {"max_cpu_share": 1}}


def hedged(plan):
    strategy = Fixed(plan)
    strategy.hedges = True
    return strategy


def test_the_device_computes_on_while_an_answer_is_under_way_and_the_first_one_counts(world):
    """The rest of the model takes 10 ms here, the way over the server 20.344."""
    story = world(hedged(SEND_FEATURE), **HEDGE)
    assert story.run(0.1, 0.2) == [(120.0, "ok 0 device"), (220.0, "ok 1 device")]
    tally = story.tally.summary()
    assert (tally["sent"], tally["hedge_s"]) == (2, pytest.approx(0.02))
    assert tally["device_s"] == pytest.approx(0.04)


@pytest.mark.parametrize("vain", [0.0, 1.0])
def test_a_device_is_busy_for_as_long_as_its_plan_is_said_to_take(world, planner, vain):
    """Over the slow link it answers all itself; over one of 10 Mbit/s and no delay, nothing."""
    link = STEADY if vain else [{"kind": "rate", "bps": 1e7}]
    story = world(hedged(SEND_FEATURE), link=link, **{**HEDGE, "hedge": {"max_cpu_share": vain}})
    story.run(0.1, 0.2)
    tally = story.tally.summary()
    forecast = planner.forecast(Conditions(1e7, 1e-4, hedged=True, vain_share=vain))
    told_s = forecast.period_s[planner.row_of(SEND_FEATURE)]
    assert tally["device_s"] / 2 == pytest.approx(told_s)


def test_what_is_begun_while_an_answer_comes_is_ended_in_vain(world):
    """Three times as slow as the device believes, it would answer at 160 ms."""
    story = world(hedged(SEND_FEATURE), load={"steps": [{"from_s": 0, "stretch": 3}]}, **HEDGE)
    assert story.run(0.1) == [(150.344, "ok 0 server")]
    assert story.tally.summary()["device_s"] == pytest.approx(0.06)


def outage(start_s, end_s, **options):
    return [*STEADY, {"kind": "outage", "windows_s": [[start_s, end_s]], **options}]


def test_a_reset_forsakes_what_is_in_flight_and_a_new_connection_follows(world):
    """Two round trips of 11.6 ms open a connection; the link is out from 400 to 2000 ms.

    The next dial, at 500 ms, is refused, and so is another at 1500, until the attempt ends at 2500;
    200 ms later comes the next one. The sample in flight had been sent at 389.
    """
    story = world(SEND_FEATURE, link=outage(0.4, 2.0, reset=True))
    log = story.run(0.38 - LEAD_S, 0.5, 3.0)
    lost_ms = round((0.4 + 0.01 - LEAD_S) * 1e3, 3)
    assert log == [
        (lost_ms, "degraded 0 device"),
        (520.0, "degraded 1 device"),
        (3030.344, "ok 2 server"),
    ]
    assert story.links == [(23.2, "up"), (400.0, "down"), (2500.0, "down"), (2723.2, "up")]


def test_a_reset_breaks_a_dial_that_is_under_way(world):
    """It would be open at 23.2 ms; a second after the refusal comes the next one."""
    story = world(SEND_FEATURE, link=outage(0.01, 0.5, reset=True))
    story.run(1.0)
    assert story.links == [(1033.2, "up")]


def test_what_is_on_its_way_in_an_outage_arrives_at_its_end(world):
    """By then the device has long answered, with its exit: 50 samples a second might come."""
    story = world(SEND_FEATURE, link=outage(0.4, 1.0))
    log = story.run(0.395 - LEAD_S, 0.6, 2.0)
    assert [what for _, what in log] == [
        "degraded 0 device exit 0",
        "degraded 1 device exit 0",
        "ok 2 server",
    ]
    assert story.links == [(23.2, "up")]


def test_after_twenty_seconds_of_silence_the_connection_is_given_up(world):
    story = world(SEND_FEATURE, link=outage(0.4, 40.0), tuning={"probe_s": 1})
    story.run(0.4, 50.0)
    (_, *changes) = story.links
    assert [what for _, what in changes] == ["down"] * (len(changes) - 1) + ["up"]
    assert 20_000 < changes[0][0] < 21_600
    assert 40_000 < changes[-1][0] < 43_500
