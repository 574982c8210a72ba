"""The uplink: what answers tell of the link where messages wait for each other on their way."""

import pytest

from device.allowance import Allowance
from device.awaited import Awaited
from device.estimator import LinkEstimator
from device.uplink import Passage, Uplink
from partitioner.costs import FRAME_OVERHEAD_BYTES

RTT_S, BANDWIDTH_BPS = 0.02, 1e6
SIZE_BYTES = 1250 - FRAME_OVERHEAD_BYTES
BITS = 8 * 1250  # 10 ms


class Road:
    """An uplink that believes what is true, but for its bandwidth."""

    def __init__(self, believed_bps=BANDWIDTH_BPS):
        self.estimator, self.awaited = LinkEstimator(believed_bps, RTT_S), Awaited()
        self.allowance = Allowance(None)
        self.uplink = Uplink(self.estimator, self.awaited, self.allowance)

    def send(self, now_s, message):
        self.uplink.send(now_s, message, SIZE_BYTES, 0.0, None)

    def answered(self, now_s, message, server_s=0.0):
        return self.uplink.answered(now_s, self.awaited.pop(message), server_s)


def test_what_goes_out_alone_takes_its_bits_and_a_round_trip():
    road = Road()
    road.send(0.0, 1)
    assert road.answered(0.05, 1, server_s=0.02) == Passage(BITS, pytest.approx(0.03), 1)
    road.send(1.0, 2)
    assert road.answered(1.03, 2) == Passage(BITS, pytest.approx(0.03), 1)


@pytest.mark.parametrize("believed_bps", [BANDWIDTH_BPS, 1e9])
def test_what_waited_for_the_one_before_it_takes_its_bits_alone(believed_bps):
    """Whether the device knew that it would wait or not."""
    road = Road(believed_bps)
    road.send(0.0, 1)
    road.send(0.001, 2)
    road.answered(0.03, 1)
    assert road.answered(0.04, 2) == Passage(BITS, pytest.approx(0.01), 0)


def test_who_is_answered_before_the_one_ahead_of_it_takes_what_was_thought_to_lie_before_it():
    road = Road()
    road.send(0.0, 1)
    road.send(0.001, 2)
    assert road.answered(0.041, 2) == Passage(pytest.approx(1.9 * BITS), pytest.approx(0.04), 1)
    assert road.answered(0.05, 1) == Passage(BITS, pytest.approx(0.05), 1)


def test_what_lies_on_the_uplink_is_counted_until_it_has_had_time_to_leave():
    road = Road()
    alone_s = road.uplink.expect(0.0, SIZE_BYTES, 0.0).likely_s
    assert alone_s == pytest.approx(RTT_S + 0.01)
    road.send(0.0, 1)
    assert road.uplink.expect(0.0, SIZE_BYTES, 0.0).likely_s == pytest.approx(alone_s + 0.01)
    assert road.uplink.expect(0.004, SIZE_BYTES, 0.0).likely_s == pytest.approx(alone_s + 0.006)
    assert road.uplink.expect(0.011, SIZE_BYTES, 0.0).likely_s == pytest.approx(alone_s)
    assert road.uplink.expect(0.0, SIZE_BYTES, 0.0).latest_s > 2 * (alone_s + 0.01)


def test_what_did_not_go_out_after_all_lies_before_nothing_and_costs_nothing():
    road = Road()
    road.allowance = Allowance(1000.0)
    road.uplink = Uplink(road.estimator, road.awaited, road.allowance)
    left_bytes = road.allowance.left_bytes
    road.send(0.0, 1)
    assert road.allowance.left_bytes == left_bytes - 1250
    road.uplink.withdraw(1)
    assert road.allowance.left_bytes == left_bytes
    assert road.uplink.expect(0.0, SIZE_BYTES, 0.0).likely_s == pytest.approx(RTT_S + 0.01)
    assert road.awaited.find(1) is None
