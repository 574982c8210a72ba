import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device.estimator import LinkEstimator


def feed(estimator, start_s, bandwidth_bps, rtt_s, sizes, gap_s=0.1):
    """Send messages over a perfect link, one after the other; return when the last came back."""
    now_s = start_s
    for size in sizes:
        bits = estimator.sent(now_s, size) + 8 * size
        elapsed_s = rtt_s + bits / bandwidth_bps
        estimator.observe(now_s + elapsed_s, bits, elapsed_s)
        now_s += elapsed_s + gap_s
    return now_s


@pytest.mark.parametrize("bandwidth_bps", [0.5e6, 5e6, 50e6])
@pytest.mark.parametrize("rtt_s", [0.004, 0.04, 0.12])
def test_two_sizes_tell_bandwidth_from_round_trip(bandwidth_bps, rtt_s):
    estimator = LinkEstimator()
    feed(estimator, 0.0, bandwidth_bps, rtt_s, [100, 6000] * 10)
    link = estimator.estimate(0.0)
    predicted = link.rtt_s + 8 * 6000 / link.bandwidth_bps
    assert predicted == pytest.approx(rtt_s + 48_000 / bandwidth_bps, rel=0.05)
    assert link.rtt_s == pytest.approx(rtt_s, rel=0.15, abs=0.0015)


def test_a_link_that_collapses_is_believed_after_three_messages():
    estimator = LinkEstimator()
    now_s = feed(estimator, 0.0, 40e6, 0.006, [110, 3000] * 10)
    feed(estimator, now_s, 0.8e6, 0.08, [3000, 3000, 3000])
    link = estimator.estimate(0.0)
    predicted = link.rtt_s + 24_000 / link.bandwidth_bps
    assert predicted == pytest.approx(0.08 + 24_000 / 0.8e6, rel=0.25)


def test_one_stray_delay_changes_little():
    estimator = LinkEstimator()
    now_s = feed(estimator, 0.0, 40e6, 0.006, [110, 3000] * 10)
    estimator.observe(now_s, 24_000, 0.06)
    link = estimator.estimate(0.0)
    assert link.rtt_s + 24_000 / link.bandwidth_bps < 0.02


def test_a_link_that_recovers_is_believed_after_four_messages():
    estimator = LinkEstimator()
    now_s = feed(estimator, 0.0, 0.8e6, 0.08, [110, 3000] * 10)
    feed(estimator, now_s, 40e6, 0.006, [110, 6000, 110, 6000])
    link = estimator.estimate(0.0)
    assert link.rtt_s + 24_000 / link.bandwidth_bps < 0.03


def test_a_rate_once_taken_for_infinite_comes_back():
    estimator = LinkEstimator(bandwidth_bps=10e9, rtt_s=0.006)
    feed(estimator, 0.0, 40e6, 0.006, [110, 27_000] * 5)
    assert 20e6 < estimator.estimate(0.0).bandwidth_bps < 80e6


def test_silence_beyond_what_was_expected_lowers_the_estimate_and_less_does_not():
    estimator = LinkEstimator()
    feed(estimator, 0.0, 40e6, 0.006, [110, 3000] * 5)
    before = estimator.estimate(0.0)
    estimator.observe_silence(10.0, 24_000, 0.001)
    assert estimator.estimate(0.0).rtt_s == before.rtt_s
    estimator.observe_silence(10.1, 24_000, 0.5)
    estimator.observe_silence(10.2, 24_000, 0.5)
    after = estimator.estimate(0.0)
    assert after.rtt_s + 24_000 / after.bandwidth_bps > 0.1


def test_messages_on_their_way_count_as_backlog_until_the_uplink_is_free():
    estimator = LinkEstimator(bandwidth_bps=8e6)
    assert estimator.sent(0.0, 1000) == 0
    assert estimator.sent(0.0, 1000) == pytest.approx(8000)
    assert estimator.sent(0.001, 1000) == pytest.approx(8000)
    assert estimator.sent(1.0, 1000) == 0
    estimator.forget_backlog(1.0)
    assert estimator.sent(1.0, 1000) == 0


def test_what_lies_on_the_uplink_does_not_grow_where_the_link_is_found_to_be_quicker():
    estimator = LinkEstimator(bandwidth_bps=1e5)
    for _ in range(10):
        estimator.sent(0.0, 1000)
    for at in range(8):
        estimator.observe(0.01 * (at + 1), 8000.0, 0.021)
    assert estimator.estimate(0.1).bandwidth_bps > 1e6
    assert estimator.sent(0.1, 1000) <= 80_000


def test_what_is_withdrawn_leaves_nothing_behind_whatever_became_known_meanwhile():
    estimator = LinkEstimator(bandwidth_bps=1e5)
    estimator.sent(0.0, 1000)
    estimator.observe(0.0, 8000.0, 3.0)
    estimator.withdrawn(8000)
    assert estimator.sent(0.0, 1000) == 0.0


def test_uncertainty_grows_with_a_noisy_link_and_is_reported():
    calm, noisy = LinkEstimator(), LinkEstimator()
    feed(calm, 0.0, 5e6, 0.02, [110, 6000] * 10)
    rng = np.random.default_rng(0)
    now_s = 0.0
    for size in [110, 6000] * 10:
        elapsed_s = rng.uniform(0.02, 0.4) + 8 * size / 5e6
        noisy.observe(now_s + elapsed_s, 8 * size, elapsed_s)
        now_s += elapsed_s + 0.1
    assert noisy.estimate(0.0).rtt_sigma_s > calm.estimate(0.0).rtt_sigma_s
    link = noisy.estimate(0.0)
    assert link.cautious_bps < link.bandwidth_bps


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.tuples(st.floats(0, 5), st.integers(0, 10**7), st.floats(1e-5, 100)), max_size=40)
)
def test_whatever_is_observed_the_estimate_stays_a_link(steps):
    estimator, now_s = LinkEstimator(), 0.0
    for gap_s, size, elapsed_s in steps:
        now_s += gap_s
        bits = estimator.sent(now_s, size) + 8 * size
        estimator.observe(now_s, bits, elapsed_s)
        link = estimator.estimate(0.0)
        assert 1e3 <= link.bandwidth_bps <= 1.0001e10
        assert 0 < link.rtt_s < 1e4
        assert 0 < link.cautious_bps < link.bandwidth_bps
        assert np.isfinite(link.rtt_sigma_s)
