from math import inf

import pytest

from sim.link import Chain, Course, steady
from sim.link.delay import Delay, DelaySettings
from sim.link.jitter import Jitter, JitterSettings
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
