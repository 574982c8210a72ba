import tracemalloc
from itertools import islice, pairwise
from math import inf
from statistics import mean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.phases import Phases
from sim.rates import markov
from sim.rates.markov import LTE, MarkovRate, MarkovState, stays
from sim.rates.source import UNLIMITED, ConstantRate
from sim.rates.switched import SwitchedRate
from sim.rates.trace import RateTrace


def bursts() -> RateTrace:
    """1000 bytes in the first second, nothing in the next, 3000 in the third; again from 3 s."""
    return RateTrace([0, 1, 2, 3], [0, 1000, 1000, 4000])


TWO_STATES = [MarkovState(8e6, 2.0, (0, 1)), MarkovState(0, 1.0, (1, 0))]


def two_states(seed: str = "a") -> MarkovRate:
    return MarkovRate(TWO_STATES, seed)


def good_out_slow() -> SwitchedRate:
    phases = Phases([10, 5, 1])
    sources = [ConstantRate(8000), ConstantRate(8000), ConstantRate(80)]
    return SwitchedRate(phases, sources, [(), ((0.0, 5.0),), ()])


def cycle() -> SwitchedRate:
    sources = [ConstantRate(8000), bursts()]
    return SwitchedRate(Phases([2, 4], repeats=True), sources, [((0.5, 1.0),), ()])


SOURCES = {
    "constant": lambda: ConstantRate(1e6),
    "trace": bursts,
    "markov": two_states,
    "switched": good_out_slow,
    "cycle": cycle,
}


def test_a_constant_rate_serves_evenly():
    rate = ConstantRate(8000)
    assert rate.finish_s(2.0, 500) == 2.5
    assert rate.served_bytes(1.0, 4.0) == 3000


def test_a_rate_of_zero_never_serves_and_no_limit_serves_at_once():
    assert ConstantRate(0).finish_s(1.0, 1) == inf
    assert UNLIMITED.finish_s(1.0, 10**12) == 1.0
    assert UNLIMITED.served_bytes(1.0, 1.0) == 0.0


@pytest.mark.parametrize(
    ("start_s", "nbytes", "finish_s"),
    [
        (0.0, 500, 0.5),
        (0.0, 1000, 1.0),
        (0.0, 1001.5, 2.0005),
        (1.5, 1500, 2.5),
        (0.0, 4000, 3.0),
        (0.0, 4500, 3.5),
        (2.5, 1500 + 2 * 4000, 9.0),
    ],
)
def test_a_trace_is_integrated_exactly_and_repeats(start_s, nbytes, finish_s):
    assert bursts().finish_s(start_s, nbytes) == pytest.approx(finish_s, abs=1e-12)


def test_rounding_does_not_send_the_last_byte_through_a_gap():
    trace, now_s = RateTrace([0, 0.1, 50], [0, 1500, 1500]), 0.0
    for _ in range(15):
        now_s = trace.finish_s(now_s, 100)
    assert now_s == pytest.approx(0.1, abs=1e-6)


@pytest.mark.parametrize(
    ("start_s", "nbytes", "finish_s"),
    [
        (0.0, 10_000, 10.0),
        (9.0, 1000, 10.0),
        (9.0, 1010, 16.0),
        (12.0, 10, 16.0),
        (12.0, 0, 12.0),
    ],
)
def test_bytes_in_service_are_served_on_at_the_new_rate(start_s, nbytes, finish_s):
    assert good_out_slow().finish_s(start_s, nbytes) == pytest.approx(finish_s, abs=1e-12)


def test_a_source_begins_anew_with_its_phase():
    # A cycle of 6 s: 500 bytes by 0.5 s, 1000 more from 1 to 2 s, then the trace's 4000 and 1000.
    rate = cycle()
    assert rate.served_bytes(0.0, 6.0) == 6500
    assert rate.finish_s(0.0, 6500) == pytest.approx(6.0)
    assert rate.finish_s(0.0, 65_000 + 600) == pytest.approx(61.1)


def test_repeated_phases_without_a_rate_never_serve():
    rate = SwitchedRate(Phases([1, 1], repeats=True), [ConstantRate(0)] * 2, [(), ()])
    assert rate.finish_s(0.0, 1) == inf


@pytest.mark.parametrize("name", SOURCES)
@settings(max_examples=20, deadline=None)
@given(start_s=st.floats(0, 30), nbytes=st.floats(1, 5000))
def test_a_finish_time_is_where_the_integral_reaches_the_bytes(name, start_s, nbytes):
    source = SOURCES[name]()
    finish_s = source.finish_s(start_s, nbytes)
    assert source.served_bytes(start_s, finish_s) == pytest.approx(nbytes, abs=0.01)


@pytest.mark.parametrize("name", SOURCES)
@settings(max_examples=20, deadline=None)
@given(cuts=st.lists(st.floats(0, 50), min_size=2, max_size=6))
def test_the_integral_adds_up(name, cuts):
    source, cuts = SOURCES[name](), sorted(cuts)
    parts = sum(source.served_bytes(a, b) for a, b in pairwise(cuts))
    assert source.served_bytes(cuts[0], cuts[-1]) == pytest.approx(parts, abs=0.01)


def test_a_markov_rate_dwells_and_moves_as_asked():
    rate, horizon_s = two_states(), 20_000
    # Two thirds of the time at 1e6 bytes per second, the rest at none.
    assert rate.served_bytes(0, horizon_s) / horizon_s == pytest.approx(1e6 * 2 / 3, rel=0.03)
    made = list(islice(stays(TWO_STATES, "a"), 14_000))
    assert [bytes_per_s for _, bytes_per_s in made] == [1e6, 0.0] * 7000
    stays_s = [stay_s for stay_s, _ in made]
    assert mean(stays_s[::2]) == pytest.approx(2.0, rel=0.05)
    assert mean(stays_s[1::2]) == pytest.approx(1.0, rel=0.05)


def test_a_markov_rate_is_its_stays_one_after_the_other():
    rate, now_s = two_states(), 0.0
    for stay_s, bytes_per_s in islice(stays(TWO_STATES, "a"), 500):
        served = rate.served_bytes(now_s, now_s + stay_s)
        assert served == pytest.approx(stay_s * bytes_per_s, rel=1e-6, abs=1e-3)
        now_s += stay_s


def test_a_markov_rate_draws_the_next_state_by_its_weights():
    states = [
        MarkovState(8, 1.0, (0, 3, 1)),
        MarkovState(16, 1.0, (1, 0, 0)),
        MarkovState(24, 1.0, (1, 0, 0)),
    ]
    levels = [bytes_per_s for _, bytes_per_s in islice(stays(states, "weights"), 20_000)]
    assert levels[levels[0] != 1 :: 2] == [1] * 10_000
    assert levels.count(2) / levels.count(3) == pytest.approx(3, rel=0.1)


def test_the_memory_of_a_markov_rate_does_not_grow_with_time():
    def held_bytes(until_s):
        tracemalloc.start()
        rate = MarkovRate(LTE, "long")
        for now_s in range(0, until_s, 5):
            rate.finish_s(now_s, 1000.0)
        held = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        return held

    held_bytes(10)  # what is kept of a chain once, for all of its rates
    assert held_bytes(200_000) < held_bytes(2_000) + 2_000


@settings(max_examples=30, deadline=None)
@given(asked=st.lists(st.tuples(st.floats(0, 3000), st.floats(0, 500)), min_size=1, max_size=8))
def test_a_markov_rate_answers_about_the_past_what_it_would_have_answered_then(asked):
    rate = two_states()
    for start_s, length_s in asked:
        expected = two_states().served_bytes(start_s, start_s + length_s)
        assert rate.served_bytes(start_s, start_s + length_s) == expected


def test_a_markov_rate_is_seldom_made_again_for_who_looks_back(monkeypatch):
    """Who asks again and again for a time that lies 400 stays behind is remembered."""
    begun = []
    monkeypatch.setattr(markov, "stays", lambda *given: begun.append(given) or stays(*given))
    rate = two_states()
    for now_s in range(0, 30_000, 300):
        rate.finish_s(now_s + 600.0, 1.0)
        rate.served_bytes(now_s, now_s + 300.0)
    assert len(begun) < 8


def test_a_markov_rate_follows_from_its_seed_and_not_from_the_questions():
    whole, parts = two_states(), two_states()
    parts.finish_s(3.0, 1e6)
    parts.served_bytes(0, 17)
    assert whole.finish_s(0.0, 1e8) == parts.finish_s(0.0, 1e8)
    assert whole.finish_s(0.0, 1e8) != two_states("b").finish_s(0.0, 1e8)


@pytest.mark.parametrize(
    ("states", "why"),
    [
        ([MarkovState(0, 1.0, (1,))], "above 0"),
        ([MarkovState(8, 1.0, (0, 1)), MarkovState(0, 1.0, (0, 1))], "state 1 must lead"),
        ([MarkovState(8, 1.0, (1, 2))], "1 weights"),
        ([MarkovState(8, 1.0, (-1,))], "none negative"),
        ([MarkovState(8, 1.0, (0,))], "not all 0"),
    ],
)
def test_a_markov_chain_that_would_stay_silent_is_refused(states, why):
    with pytest.raises(ValueError, match=why):
        MarkovRate(states, "1")
