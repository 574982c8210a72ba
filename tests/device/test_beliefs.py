"""What a controller comes to believe of links and servers that are not as it expects."""

import heapq

import pytest

from device.controller import Controller
from device.tuning import Tuning
from offramp.messages import Load, Timeline
from partitioner import strategies
from partitioner.costs import FRAME_OVERHEAD_BYTES
from partitioner.objective import Objective
from partitioner.plan import Plan

SENT = Plan(1, "channel3", "confidence", ())
STEP_S = 0.005


class Road:
    """A link with one queue, whose rate and server's time may change; probes go as they are due."""

    def __init__(self, planner, bandwidth_bps, rtt_s, tail_s=0.001):
        objective = Objective(max_accuracy_drop=0.0, deadline_s=0.25)
        strategy = strategies.get("offramp")
        self.controller = Controller(planner, objective, strategy, Tuning())
        self.controller.hedged = True
        self.bandwidth_bps, self.rtt_s, self.tail_s = bandwidth_bps, rtt_s, tail_s
        self.now_s, self.free_s, self.sent_bytes = 0.0, 0.0, 0
        self._numbers, self._coming = iter(range(10**6)), []

    def send(self, size_bytes, plan=SENT):
        """Let a message go out; return its number."""
        number, whole_bytes = next(self._numbers), size_bytes + FRAME_OVERHEAD_BYTES
        self.controller.sent(self.now_s, number, size_bytes, plan)
        self.sent_bytes += whole_bytes
        self.free_s = max(self.free_s, self.now_s) + 8 * whole_bytes / self.bandwidth_bps
        tail_s = self.tail_s if plan else 0.0
        timeline = Timeline(segment_s=(tail_s,) if plan else (), total_s=tail_s)
        back_s = self.free_s + self.rtt_s + tail_s
        heapq.heappush(self._coming, (back_s, number, timeline))
        return number

    def drive(self, until_s, size_bytes=0, every_s=1e9):
        """Let time pass with probes, and samples of a size every so often; return the answers."""
        answers, next_s = {}, self.now_s
        while self.now_s < until_s:
            while self._coming and self._coming[0][0] <= self.now_s:
                back_s, number, timeline = heapq.heappop(self._coming)
                answers[number] = back_s
                self.controller.answered(back_s, number, timeline, Load())
            self.controller.plan(self.now_s)
            if size_bytes and self.now_s >= next_s:
                self.send(size_bytes)
                next_s += every_s
            if (padding_bytes := self.controller.probe_bytes(self.now_s)) is not None:
                self.send(padding_bytes, plan=None)
            self.now_s += STEP_S
        return answers

    @property
    def believed(self):
        return self.controller.conditions(self.now_s)


@pytest.mark.parametrize(
    ("bandwidth_bps", "share"), [(10e3, 0.6), (20e3, 0.26), (30e3, 0.26), (100e3, 0.26)]
)
def test_probes_find_out_that_a_link_is_very_slow_and_leave_room_on_it(
    planner, bandwidth_bps, share
):
    road = Road(planner, bandwidth_bps, 0.05)
    road.drive(30.0)
    sent_bytes = road.sent_bytes
    road.drive(90.0)
    assert road.believed.bandwidth_bps == pytest.approx(bandwidth_bps, rel=0.6)
    assert 8 * (road.sent_bytes - sent_bytes) < share * 60 * bandwidth_bps


def test_a_slow_server_is_not_taken_for_a_slow_link(planner):
    road = Road(planner, 40e6, 0.004, tail_s=0.08)
    road.drive(10.0, 1000, 0.2)
    assert road.believed.rtt_s == pytest.approx(0.004, abs=0.002)
    road.tail_s = 0.5
    number = road.send(1000)
    road.controller.overdue(road.now_s + 0.3, number)
    assert road.controller.conditions(road.now_s + 0.3).rtt_s < 0.05
    road.drive(11.0)
    assert road.believed.rtt_s == pytest.approx(0.004, abs=0.004)


def test_what_a_device_itself_heaps_up_on_a_slow_uplink_is_no_round_trip(planner):
    road = Road(planner, 10e6, 0.02)
    road.drive(10.0, 2000, 0.1)
    road.bandwidth_bps = 0.1e6
    road.drive(14.0, 2000, 0.1)
    assert road.believed.bandwidth_bps == pytest.approx(0.1e6, rel=0.3)
    assert road.believed.rtt_s < 0.1
    road.bandwidth_bps, road.free_s = 10e6, road.now_s
    highest_bps = 0.0
    for _ in range(200):
        road.drive(road.now_s + 0.02, 2000, 0.1)
        highest_bps = max(highest_bps, road.believed.bandwidth_bps)
    assert highest_bps < 1e9  # what takes a millisecond less than the noise is that quick
    assert road.believed.bandwidth_bps == pytest.approx(10e6, rel=0.5)


def test_an_answer_is_expected_after_those_to_what_lies_before_it_on_the_uplink(planner):
    road = Road(planner, 0.1e6, 0.02)
    road.drive(20.0, 1000, 0.5)
    begun_s, told = road.now_s, {}
    for _ in range(4):
        expected = road.controller.expect(begun_s, 1000, SENT.cut)
        told[road.send(1000)] = expected
    answers = road.drive(begun_s + 2.0)
    for number, (likely_s, cautious_s, latest_s) in told.items():
        took_s = answers[number] - begun_s
        assert likely_s == pytest.approx(took_s, rel=0.25)
        assert likely_s < cautious_s < latest_s
        assert took_s < latest_s
