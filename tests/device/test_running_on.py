"""Running on by itself: which sample an idle processor goes on with, and from when."""

import math
from types import SimpleNamespace

import pytest

from device.fallback import Option
from device.hedge import Hedge, patience_s
from device.inflight import InFlight
from device.rhythm import Rhythm
from device.running_on import RunningOn
from device.work import Work

STEP_S, DEPTH = 0.01, 4


def board(holds_all=True):
    return SimpleNamespace(
        depth=DEPTH,
        holds_all=holds_all,
        step_s=lambda at: STEP_S,
        options=lambda at, exits, stretch: [Option(None, DEPTH, (DEPTH - at) * STEP_S * stretch)],
    )


def make(rate_hz=None, share=0.5, times_s=()):
    rhythm, in_flight = Rhythm(rate_hz), InFlight()
    for time_s in times_s:
        rhythm.arrived(time_s)
    return RunningOn(Hedge(share), in_flight, rhythm, rate_hz), in_flight


def send(running_on, in_flight, number=1, holds_all=True, deadline_s=1.0, at=1, stretch=1.0):
    work = Work(number, 0.0, deadline_s, board=board(holds_all), answer_s=0.1)
    running_on.come_to(work, at, stretch)
    in_flight.add(work)
    return work


def test_where_it_is_known_when_samples_come_it_pays_at_once():
    running_on, in_flight = make()
    work = send(running_on, in_flight)
    assert running_on.choose(0.0) is work
    assert work.options == [Option(None, DEPTH, 3 * STEP_S)]
    assert running_on.next_s(0.0) == math.inf  # nothing but time is in the way


def test_the_sample_that_is_needed_first_is_gone_on_with_first():
    running_on, in_flight = make()
    send(running_on, in_flight, 1, deadline_s=2.0)
    urgent = send(running_on, in_flight, 2, deadline_s=1.0)
    assert running_on.choose(0.0) is urgent


def test_with_what_is_computed_to_its_end_or_not_all_here_it_never_pays():
    running_on, in_flight = make()
    assert send(running_on, in_flight, at=DEPTH).pays_s == math.inf
    in_flight.pop(1)
    assert send(running_on, in_flight, holds_all=False).pays_s == math.inf
    assert running_on.choose(100.0) is None


@pytest.mark.parametrize("stretch", [1.0, 3.0])
def test_where_samples_come_at_any_time_an_answer_has_to_be_late(stretch):
    running_on, in_flight = make(5.0, times_s=(0.0, 0.01, 0.9, 0.95, 1.7))
    work = send(running_on, in_flight, stretch=stretch)
    late_s = patience_s(STEP_S * stretch, 3 * STEP_S * stretch, 5.0)
    assert work.pays_s == pytest.approx(0.1 + late_s)
    assert running_on.choose(work.pays_s - 1e-6) is None
    assert running_on.next_s(0.1) == work.pays_s
    assert running_on.choose(work.pays_s) is work


def test_a_segment_that_ends_after_the_next_sample_comes_does_not_fit():
    running_on, _ = make(10.0, times_s=(0.0, 0.1, 0.2))
    assert running_on.fits(0.25, 0.29)
    assert not running_on.fits(0.25, 0.31)
    assert running_on.fits(0.31, 0.35)  # it should have come


def test_a_spent_budget_is_waited_for():
    running_on, in_flight = make(share=0.1)
    work = send(running_on, in_flight)
    assert running_on.is_open(0.0)
    work.step_begun_s = 0.0
    running_on.spend(work, 0.6)  # of 0.5 s
    assert work.hedge_s == 0.6
    assert running_on.choose(0.6) is None
    opens_s = running_on.next_s(0.6)
    assert 0.6 < opens_s < 5.0
    assert running_on.choose(opens_s) is work
