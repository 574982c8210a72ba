from itertools import islice, pairwise
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.phases import ALWAYS, Phases, Span


def test_the_last_phase_holds_for_ever():
    spans = list(Phases([10, 5, 3]).spans(0.0))
    assert spans == [Span(0, 0.0, 10.0), Span(1, 10.0, 15.0), Span(2, 15.0, inf)]


def test_a_phase_begins_exactly_at_its_time():
    phases = Phases([10, 5, 3])
    assert [phases.at(now).index for now in (0, 9.999, 10, 14.999, 15, 1e9)] == [0, 0, 1, 1, 2, 2]


def test_repeating_phases_begin_again():
    spans = islice(Phases([2, 1], repeats=True).spans(5.5), 3)
    assert list(spans) == [Span(1, 5.0, 6.0), Span(0, 6.0, 8.0), Span(1, 8.0, 9.0)]


def test_always_is_one_phase():
    assert list(ALWAYS.spans(3.0)) == [Span(0, 0.0, inf)]


@pytest.mark.parametrize("seconds", [[], [0.0, 1.0], [-1.0]])
def test_a_phase_lasts_some_time(seconds):
    with pytest.raises(ValueError, match="above 0"):
        Phases(seconds)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.floats(0.01, 100), min_size=1, max_size=5),
    st.booleans(),
    st.floats(0, 1e4),
)
def test_spans_hold_what_they_are_asked_for_and_leave_no_gap(seconds, repeats, now_s):
    spans = list(islice(Phases(seconds, repeats).spans(now_s), 12))
    assert spans[0].start_s <= now_s < spans[0].end_s
    assert all(one.end_s == other.start_s for one, other in pairwise(spans))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0.01, 10), min_size=1, max_size=5), st.integers(0, 500))
def test_a_boundary_belongs_to_the_span_that_begins(seconds, nth):
    phases = Phases(seconds, repeats=True)
    span = next(islice(phases.spans(0.0), nth, None))
    assert phases.at(span.start_s) == span
