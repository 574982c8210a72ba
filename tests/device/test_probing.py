"""Probing by itself: when the next probe is due and how long it is, in exact virtual time."""

import math
from dataclasses import replace

import pytest

from device.allowance import Allowance
from device.awaited import LOST_S, AwaitedMessage
from device.breaker import Breaker
from device.probing import Probing
from partitioner.conditions import Conditions
from partitioner.costs import FRAME_OVERHEAD_BYTES
from partitioner.plan import Plan

SENDS = Plan(1, "raw", "confidence", ())
ALONE = Plan(2, None, "confidence", ())
FAST_BPS = 1e9
NOW = Conditions(bandwidth_bps=1e6, rtt_s=0.05, queue_s=0.3, server_stretch=4.0, reachable=False)


@pytest.fixture
def probing():
    return Probing(0.5, Breaker(2, 0.5), Allowance(None))


def run(probing, end_s, bandwidth_bps=8e6):
    """Send each probe that is due; return (ms, padding) of all."""
    now_s, sent = 0.0, []
    while now_s < end_s:
        sent.append((round(now_s * 1e3), probing.take(now_s, bandwidth_bps)))
        now_s = probing.next_s(now_s, None, FAST_BPS)
    return sent


def test_without_traffic_short_and_long_ones_go_out_in_turn(probing):
    assert run(probing, 2.0) == [(0, 5000), (500, 0), (1000, 5000), (1500, 0)]


@pytest.mark.parametrize(("bps", "padding"), [(1e3, 1500), (8e6, 5000), (1e9, 32_000)])
def test_a_long_one_stands_out_from_the_noise_within_limits(probing, bps, padding):
    assert [probing.take_next(bps) for _ in range(3)] == [padding, 0, padding]


def test_all_are_short_while_no_server_answers(probing):
    assert [probing.take_next(None) for _ in range(3)] == [0, 0, 0]
    assert probing.take_next(8e6) == 5000


def test_beside_traffic_they_are_short_and_four_times_as_rare(probing):
    probing.suit(SENDS, NOW, best=None)
    probing.sample_sent(0.0)
    assert probing.take(0.1, 8e6) == probing.take(0.4, 8e6) == 0
    assert probing.next_s(0.4, None, FAST_BPS) == pytest.approx(2.4)
    assert probing.take(0.6, 8e6) == 5000  # no sample went out for long


@pytest.mark.parametrize(("better", "rest"), [(SENDS, 1), (ALONE, 16)])
def test_alone_they_are_rare_where_even_a_much_better_link_would_not_be_used(probing, better, rest):
    asked = []
    probing.suit(ALONE, NOW, lambda conditions: asked.append(conditions) or better)
    probing.take(0.0, 8e6)
    assert probing.next_s(0.0, None, FAST_BPS) == 0.5 * rest
    assert asked == [Conditions(bandwidth_bps=1e8, rtt_s=0.0005)]


def test_a_price_a_queue_and_doubt_of_long_ago_do_not_keep_probes_rare(probing):
    """Nothing but a probe could tell that they are over."""
    asked = []
    bad = replace(
        NOW,
        queue_s=9.0,
        price_s=9.0,
        server_stretch=20.0,
        s_per_bit_sigma=1.0,
        rtt_sigma_s=9.0,
        vain_share=1.0,
        tail_vain_share=1.0,
        reachable=False,
    )
    probing.suit(ALONE, bad, lambda conditions: asked.append(conditions) or SENDS)
    assert asked == [Conditions(bandwidth_bps=1e8, rtt_s=0.0005)]


def test_some_follow_each_other_in_haste_and_those_are_of_both_kinds(probing):
    probing.suit(SENDS, NOW, best=None)
    probing.sample_sent(0.0)
    probing.hurry(2)
    probing.hurry(4)
    probing.hurry(2)
    sent = run(probing, 2.0)
    assert sent == [(0, 5000), (50, 0), (100, 5000), (150, 0)]
    assert probing.next_s(0.15, None, FAST_BPS) == pytest.approx(2.15)


def test_none_goes_out_while_an_answer_is_missing_unless_it_is_lost(probing):
    probing.take(0.0, 8e6)
    missing = AwaitedMessage(1.0, 800, 800, 0.0, expected_s=1.1, plan=None)
    assert probing.next_s(1.05, missing, FAST_BPS) == 0.5  # it is not late yet
    assert probing.next_s(1.2, missing, FAST_BPS) == 1.0 + LOST_S
    probing.take(6.0, 8e6)
    assert probing.next_s(6.0, missing, FAST_BPS) == 6.0 + LOST_S


def test_while_the_breaker_is_open_one_goes_out_at_each_of_its_intervals():
    breaker = Breaker(2, 0.7)
    probing = Probing(0.5, breaker, Allowance(None))
    probing.hurry(4)
    breaker.trip(1.0)
    assert probing.next_s(1.0, None, FAST_BPS) == 1.7
    assert probing.take(1.2, None) is None
    assert probing.take(1.7, None) == 0
    assert probing.next_s(1.7, None, FAST_BPS) == pytest.approx(2.4)


def test_no_more_bytes_go_out_than_are_left():
    allowance = Allowance(1000.0)
    probing = Probing(0.5, Breaker(2, 0.5), allowance)
    assert probing.next_s(0.0, None, FAST_BPS) == math.inf
    allowance.grant()
    assert probing.next_s(0.0, None, FAST_BPS) < 0
    assert probing.take(0.0, 8e6) == 1000 - FRAME_OVERHEAD_BYTES


def test_the_first_is_due_at_once(probing):
    assert probing.next_s(3.0, None, FAST_BPS) == -math.inf


def test_a_slow_uplink_is_left_to_others_for_three_quarters_of_the_time(probing):
    assert probing.take(0.6, 1e5) == 1500
    sending_s = 8 * (1500 + FRAME_OVERHEAD_BYTES) / 1e4
    assert probing.next_s(0.7, None, 1e4) == pytest.approx(0.6 + 4 * sending_s)
    assert probing.next_s(0.7, None, 1e6) == pytest.approx(0.6 + 0.5)  # it was found to be quicker
