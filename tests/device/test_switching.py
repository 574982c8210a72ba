"""Switching: a gain counts as far as it exceeds what is in doubt."""

from dataclasses import replace

import pytest

from device.switching import is_better
from partitioner.conditions import Conditions
from partitioner.planner import Standing

NOW = Conditions(bandwidth_bps=10e6, rtt_s=0.010)


def plan(fixed_s, bits, meets=True):
    """A plan that takes so long, and sends so many bits and no more."""
    sends = bool(bits)
    return lambda c: Standing(fixed_s + bits / c.bandwidth_bps + sends * c.rtt_s, meets)


def doubted(s_per_bit_sigma=0.0, rtt_sigma_s=0.0):
    return replace(NOW, s_per_bit_sigma=s_per_bit_sigma, rtt_sigma_s=rtt_sigma_s)


@pytest.mark.parametrize(("sigmas", "better"), [(0.0, True), (0.49, True), (0.51, False)])
def test_a_doubt_about_the_bandwidth_counts_by_how_much_more_the_new_one_sends(sigmas, better):
    """The new one takes 21 ms and the old one 26; a deviation is 1e5 bits times 1e-7 s."""
    old, new = plan(0.026, 0), plan(0.001, 100_000)
    assert is_better(old, new, doubted(s_per_bit_sigma=1e-7), sigmas) is better


@pytest.mark.parametrize(("sigmas", "better"), [(0.9, True), (1.1, False)])
def test_a_doubt_about_the_round_trip_counts_for_who_sends(sigmas, better):
    old, new = plan(0.026, 0), plan(0.001, 100_000)
    assert is_better(old, new, doubted(rtt_sigma_s=0.005), sigmas) is better


def test_what_both_send_is_in_no_doubt():
    old, new = plan(0.0021, 100_000), plan(0.002, 100_000)
    assert is_better(old, new, doubted(1e-6, 0.1), 10.0)
    assert not is_better(new, old, doubted(), 0.0)


def test_what_does_not_meet_the_objective_or_is_unknown_is_given_up_for_any_other():
    late, worse = plan(0.001, 0, meets=False), plan(9.0, 0)
    assert is_better(late, worse, doubted(), 1.0)
    assert is_better(lambda c: None, worse, doubted(), 1.0)
