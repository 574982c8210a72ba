"""Samples in flight: whose answers are due when, and whose answers are counted on."""

import math

import pytest

from device.fallback import Option
from device.inflight import InFlight
from device.work import Work


def work(number, expected_s=0.1, give_up_s=0.2, quickest_s=0.02, **fields):
    options = [Option(None, 2, quickest_s)]
    return Work(
        number, 0.0, 0.25, expected_s=expected_s, give_up_s=give_up_s, options=options, **fields
    )


def test_an_answer_becomes_overdue_once_while_it_is_waited_for():
    in_flight, late, later = InFlight(), work(0), work(1, expected_s=0.15)
    in_flight.add(late)
    in_flight.add(later)
    assert in_flight.next_expected_s() == 0.1
    assert in_flight.pass_expected(0.1) == [late]
    assert in_flight.pass_expected(0.1) == []
    assert in_flight.next_expected_s() == 0.15
    assert in_flight.pass_expected(0.2) == [later]
    assert in_flight.next_expected_s() == math.inf


def test_an_answer_becomes_overdue_while_its_sample_falls_back_too():
    """It was given up before it was due: it tells of the link all the same."""
    in_flight, behind = InFlight(), work(0, expected_s=0.3, give_up_s=0.2)
    in_flight.add(behind)
    assert in_flight.pop_due(0.2) is behind
    assert in_flight.next_expected_s() == 0.3
    assert in_flight.pass_expected(0.3) == [behind]
    assert in_flight.next_expected_s() == math.inf


def test_what_has_fallen_back_is_not_overdue_any_more():
    in_flight, behind = InFlight(), work(0, expected_s=0.3, give_up_s=0.2)
    in_flight.add(behind)
    in_flight.pop_due(0.2)
    in_flight.remove(behind)
    assert in_flight.next_expected_s() == math.inf
    assert in_flight.pass_expected(0.3) == []


@pytest.mark.parametrize(("counted_on", "quickest_s"), [(False, 0.05), (True, 0.03)])
def test_time_is_kept_for_those_whose_answers_are_not_counted_on(counted_on, quickest_s):
    in_flight = InFlight()
    in_flight.add(work(0, quickest_s=0.02, counted_on=counted_on))
    in_flight.add(work(1, quickest_s=0.03))
    assert in_flight.quickest_s() == pytest.approx(quickest_s)
    assert in_flight.latest_start_s() == pytest.approx(0.25 - quickest_s)


def test_one_that_was_counted_on_needs_time_once_it_is_forsaken():
    in_flight, counted = InFlight(), work(0, counted_on=True)
    in_flight.add(counted)
    assert in_flight.quickest_s() == 0.0
    assert in_flight.latest_start_s() == math.inf
    in_flight.forsake(counted, "no connection")
    assert in_flight.quickest_s() == pytest.approx(0.02)
    assert in_flight.latest_start_s() == pytest.approx(0.23)
