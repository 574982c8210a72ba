import tracemalloc
from itertools import pairwise
from math import inf

import pytest

from sim.link import Chain, Course, steady
from sim.link.delay import Delay, DelaySettings
from sim.link.handover import Handover, HandoverSettings
from sim.link.jitter import Jitter, JitterSettings
from sim.link.loss import SEGMENT_BYTES, Loss, LossSettings
from sim.link.noop import Noop, NoopSettings
from sim.link.outage import Blackout, Outage, OutageSettings
from sim.link.rate import Rate, RateSettings
from sim.phases import Phases


def released(model, *entries):
    """When each (now_s, nbytes) leaves, rounded to the microsecond."""
    return [round(model.release_s(now_s, nbytes), 6) for now_s, nbytes in entries]


def rate(bps):
    return Rate(steady(RateSettings(bps=bps)), "seed")


def delay(seconds):
    return Delay(steady(DelaySettings(seconds=seconds)), "seed")


def outage(*windows):
    return Outage(steady(OutageSettings(windows_s=windows)), "seed")


def test_noop_lets_bytes_leave_when_they_enter():
    assert released(Noop(steady(NoopSettings()), ""), (0, 9), (1.5, 10**9)) == [0, 1.5]


def test_rate_serves_one_after_the_other():
    # 1000 bytes per second.
    entries = [(0, 500), (0, 500), (0.2, 1000), (5, 100), (5, 0)]
    assert released(rate(8000), *entries) == [0.5, 1.0, 2.0, 5.1, 5.1]


def test_rate_changes_exactly_at_a_phase():
    settings = (RateSettings(bps=8000), RateSettings(bps=80), None)
    model = Rate(Course(Phases([1, 10, 1]), settings, ((), (), ())), "seed")
    assert released(model, (0.5, 510), (3, 95), (3, 10**6)) == [2.0, 11.0, 11.0]


def test_rate_serves_nothing_in_an_outage_of_its_direction():
    model = Rate(Course(Phases([100]), (RateSettings(bps=8000),), (((1.0, 4.0),),)), "seed")
    assert released(model, (0, 500), (0, 1000), (2, 100)) == [0.5, 4.5, 4.6]


def test_delay_adds_its_seconds():
    assert released(delay(0.25), (0, 1), (0.1, 10**6)) == [0.25, 0.35]


def test_a_shorter_delay_does_not_overtake():
    settings = (DelaySettings(seconds=1.0), DelaySettings(seconds=0.1), None)
    model = Delay(Course(Phases([5, 5, 5]), settings, ((), (), ())), "seed")
    entries = [(4.9, 1), (5.0, 1), (6.0, 1), (9.95, 1), (10.0, 1), (10.2, 1)]
    assert released(model, *entries) == [5.9, 5.9, 6.1, 10.05, 10.05, 10.2]


@pytest.mark.parametrize("distribution", ["exponential", "uniform"])
def test_jitter_has_the_mean_it_is_asked_for(distribution):
    settings = JitterSettings(seconds=0.01, distribution=distribution)
    model = Jitter(steady(settings), "seed")
    # One entry a second: none waits for another.
    extra_s = [model.release_s(now_s, 1) - now_s for now_s in range(5000)]
    assert sum(extra_s) / len(extra_s) == pytest.approx(0.01, rel=0.05)
    assert (max(extra_s) > 0.02) == (distribution == "exponential")


def test_jitter_of_zero_is_none():
    assert released(Jitter(steady(JitterSettings(seconds=0)), "seed"), (0, 1), (1, 1)) == [0, 1]


def losing(**settings):
    return Loss(steady(LossSettings(**settings)), "seed")


def test_loss_of_none_lets_bytes_leave_when_they_enter():
    assert released(losing(share=0, rtt_s=1), (0, 9), (1.5, 10**9)) == [0, 1.5]


def test_a_lost_segment_comes_a_timeout_or_a_round_trip_late():
    # A message in one entry is a burst; which segment of it is lost follows from the seed.
    model, late_s = losing(share=0.01, rtt_s=0.05), []
    for second in range(3000):
        left_s = model.leave_s(10.0 * second, 10 * SEGMENT_BYTES)
        late_s.append(round(left_s - 10.0 * second, 6))
    # By the timer, for one of the first three; by fast retransmit; by either after a second loss.
    kinds = {0.0, 0.05, 0.25, 0.05 + 0.25, 0.25 + 0.5}
    assert set(late_s) <= kinds
    for value, share in ((0.0, 0.99**10), (0.25, 1 - 0.99**3), (0.05, 0.99**3 - 0.99**10)):
        assert late_s.count(value) / 3000 == pytest.approx(share, abs=0.015)


def test_the_first_three_segments_of_a_burst_have_none_to_tell_of_their_loss():
    model, timers, trips = losing(share=0.5, rtt_s=0.001, timeout_s=1.0), [], []
    for burst in range(400):
        begin_s = 1000.0 * burst
        for segment in range(6):
            now_s = begin_s + 0.3 * segment
            late_s = model.leave_s(now_s, SEGMENT_BYTES) - now_s
            (timers if segment < 3 else trips).append(round(late_s, 6))
    assert set(timers) >= {0, 1, 3, 7}
    assert all(late_s in (0, 1, 3, 7, 15, 31) or late_s > 31 for late_s in timers)
    assert set(trips) >= {0, 0.001, 1.001, 3.001}
    assert trips.count(0) / len(trips) == pytest.approx(0.5, abs=0.05)


def test_loss_counts_segments_and_not_entries():
    # 1500 bytes are a segment and a bit, and so is what comes after it.
    count = 30_000
    whole, parts = losing(share=0.01, rtt_s=1e-6), losing(share=0.01, rtt_s=1e-6)
    late = sum(parts.leave_s(n * 1e-4, 1500) > n * 1e-4 for n in range(count))
    assert late / (count * 1500 / SEGMENT_BYTES) == pytest.approx(0.01, rel=0.15)
    late = sum(whole.leave_s(n * 1e-4, SEGMENT_BYTES) > n * 1e-4 for n in range(count))
    assert late / count == pytest.approx(0.01, rel=0.15)


def test_what_follows_a_lost_segment_waits_for_it():
    model = losing(share=0.1, rtt_s=0.05)
    left_s = [model.release_s(n / 1000, SEGMENT_BYTES) for n in range(2000)]
    waited = [left - n / 1000 for n, left in enumerate(left_s)]
    # Most segments were not lost, and yet come late.
    assert sum(late > 1e-9 for late in waited) > 0.5 * len(waited)
    assert max(left_s[-20:]) < 2.0 + 120


def test_loss_begins_and_ends_with_its_phase():
    settings = (None, LossSettings(share=0.5, rtt_s=0.1), None)
    model = Loss(Course(Phases([10, 10, 1]), settings, ((), (), ())), "seed")
    assert model.leave_s(9.9, 10**5) == 9.9
    assert model.leave_s(10.0, 10**5) > 10.0
    assert model.leave_s(20.0, 10**5) == 20.0


def handover(**settings):
    return Handover(steady(HandoverSettings(**settings)), "seed")


def test_a_regular_handover_holds_bytes_until_its_end():
    entries = [(0, 1), (1.9, 1), (2, 1), (2.1, 1), (2.25, 1), (4.1, 1), (103.9, 1), (104.05, 1)]
    model = handover(seconds=0.2, interval_s=2, regular=True)
    assert released(model, *entries) == [0, 1.9, 2.2, 2.2, 2.25, 4.2, 103.9, 104.2]


def test_a_handover_leaves_an_extra_delay_that_decays():
    model = handover(seconds=0.2, interval_s=2, regular=True, extra_s=0.1, decay_s=0.5)
    entries = [(1.9, 1), (2.1, 1), (2.2, 1), (2.7, 1), (3.7, 1)]
    assert released(model, *entries) == [1.9, 2.3, 2.3, 2.736788, 3.704979]


def test_random_handovers_come_as_often_and_last_as_long_as_asked_on_average():
    windows = handover(seconds=0.1, interval_s=5)._course.settings[0].windows("seed")
    first = [next(windows) for _ in range(4000)]
    assert first[-1][0] / 4000 == pytest.approx(5, rel=0.05)
    assert sum(end - start for start, end in first) / 4000 == pytest.approx(0.1, rel=0.05)
    assert all(one[1] <= other[0] for one, other in pairwise(first))


def test_handovers_follow_from_the_seed_and_not_from_the_questions():
    often, seldom = (handover(seconds=0.5, interval_s=2) for _ in range(2))
    answers = {now_s: often.leave_s(now_s, 1) for now_s in (n / 20 for n in range(4000))}
    asked = list(answers)[::7]
    assert [seldom.leave_s(now_s, 1) for now_s in asked] == [answers[now_s] for now_s in asked]
    assert sum(left > now_s for now_s, left in answers.items()) / 4000 == pytest.approx(
        0.25, abs=0.08
    )


def test_what_is_expected_of_handovers_is_not_kept_for_ever():
    """It is made again where it is asked for once more; phases have hand-overs of their own."""
    always = handover(seconds=0.5, interval_s=2)
    course = Course(
        Phases([1, 1], repeats=True), (HandoverSettings(seconds=0.1, interval_s=0.3),) * 2, ((), ())
    )
    for model in (always, Handover(course, "seed")):
        first = [model.expect_s(0.1 * at, 1) for at in range(100)]
        tracemalloc.start()
        for at in range(20_000):
            model.expect_s(at, 1)
        grown_bytes, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert grown_bytes < 50_000
        assert [model.expect_s(0.1 * at, 1) for at in range(100)] == first


def test_a_handover_ends_with_its_phase():
    settings = (HandoverSettings(seconds=1, interval_s=4.5, regular=True), None)
    phases = Phases([5, 5], repeats=True)
    model = Handover(Course(phases, settings, ((), ())), "seed")
    entries = [(4.4, 1), (4.6, 1), (5.2, 1), (9.6, 1), (14.4, 1), (14.5, 1)]
    assert released(model, *entries) == [4.4, 5, 5.2, 9.6, 14.4, 15]


def test_a_handover_is_over_before_the_next():
    with pytest.raises(ValueError, match="interval_s must be above seconds 2, not 1"):
        HandoverSettings(seconds=2, interval_s=1)


def test_outage_holds_until_its_end():
    entries = [(0.9, 1), (1, 1), (1.5, 1), (2, 1), (4.5, 1)]
    assert released(outage((1, 2), (4, 5)), *entries) == [0.9, 2, 2, 2, 5]


def test_outage_without_windows_lasts_as_long_as_its_phase():
    settings = (None, OutageSettings(), None)
    model = Outage(Course(Phases([10, 5, 1]), settings, ((),) * 3), "seed")
    assert released(model, (9, 1), (10, 1), (14, 1), (15, 1)) == [9, 15, 15, 15]


def test_nothing_leaves_or_overtakes_an_outage_for_ever():
    for phases in (Phases([1]), Phases([1, 2], repeats=True)):
        settings = (OutageSettings(),) * len(phases)
        model = Outage(Course(phases, settings, ((),) * len(phases)), "seed")
        assert released(model, (0, 1), (50, 1)) == [inf, inf]


def test_outage_tells_when_connections_break():
    settings = (None, OutageSettings(windows_s=((1, 2),), reset=True))
    phases = Phases([10, 5], repeats=True)
    blackouts = Outage(Course(phases, settings, ((),) * 2), "seed").blackouts(11.5)
    assert [next(blackouts) for _ in range(2)] == [Blackout(11, 12, True), Blackout(26, 27, True)]


@pytest.mark.parametrize(
    ("windows", "why"),
    [
        (((2, 1),), "must start at 0 or later"),
        (((-1, 1),), "must start at 0 or later"),
        (((1, 1),), "must start at 0 or later"),
        (((3, 4), (1, 2)), "must not start earlier"),
    ],
)
def test_outage_windows_are_sorted(windows, why):
    with pytest.raises(ValueError, match=why):
        OutageSettings(windows_s=windows)


def test_a_chain_applies_its_conditions_in_order():
    entries = [(0, 1000), (0, 1000), (5, 1000)]
    assert released(Chain([rate(8000), delay(0.5)]), *entries) == [1.5, 2.5, 6.5]
    assert released(Chain([rate(8000), outage((1, 4))]), *entries) == [4, 4, 6]
    assert released(Chain([outage((0, 4)), rate(8000)]), *entries) == [5, 6, 7]
    assert released(Chain([rate(8000), delay(1), rate(4000)]), *entries) == [4, 6, 9]
    assert released(Chain([]), *entries) == [0, 0, 5]


def test_nothing_waits_for_what_is_forgotten():
    model = Chain([rate(8000), delay(0.5)])
    model.release_s(0, 100_000)
    model.forget(2.0)
    assert released(model, (2.0, 1000)) == [3.5]
