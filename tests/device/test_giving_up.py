"""Giving up: until when an answer is waited for, and when it is counted on."""

import math
from types import SimpleNamespace

import pytest

from device.board import Board
from device.giving_up import MARGIN_S, GivingUp
from device.inflight import InFlight
from device.uplink import Expected
from device.work import Work
from partitioner.plan import Plan

SEND_INPUT = Plan(0, "raw", "confidence", ())
WHOLE_S = 0.02  # the model takes the device two segments of 10 ms, and 11 ms to its exit


@pytest.fixture
def note(planner):
    """Notes it of a sample that arrived at 0, is due at ``deadline_s`` and is sent at 0."""

    def note(gap_s, deadline_s=0.2, cautious_s=0.05, others=(), **given):
        expected = Expected(0.03, cautious_s, 2 * cautious_s)
        controller = SimpleNamespace(expect=lambda *_: expected)
        in_flight = InFlight()
        for other in others:
            in_flight.add(other)
        board = Board(planner.device, planner.bundle.manifest)
        work = Work(0, 0.0, deadline_s, SEND_INPUT, board=board)
        work.options = board.options(0, frozenset(), 1.0)
        GivingUp(controller, in_flight).note(0.0, work, 1.0, gap_s, **given)
        return work

    return note


def test_an_answer_is_waited_for_as_long_as_the_whole_model_still_fits(note):
    work = note(math.inf)
    assert (work.answer_s, work.expected_s) == (0.03, 0.1)
    assert not work.counted_on
    assert work.give_up_s == pytest.approx(0.2 - WHOLE_S - MARGIN_S)


def test_an_answer_is_counted_on_where_samples_come_faster_than_the_device_answers(note):
    assert note(WHOLE_S - 0.001, cautious_s=0.19).counted_on
    assert note(WHOLE_S - 0.001, cautious_s=0.19).give_up_s == pytest.approx(0.19)
    assert not note(WHOLE_S).counted_on


def test_an_answer_that_may_well_be_late_is_not_counted_on(note):
    assert note(0.01, deadline_s=0.2, cautious_s=0.2).counted_on
    assert not note(0.01, deadline_s=0.2, cautious_s=0.201).counted_on


def test_time_is_kept_for_the_others_that_wait(note):
    other = Work(1, 0.0, 0.5, options=note(math.inf).options)
    assert note(math.inf, others=[other]).give_up_s == pytest.approx(
        note(math.inf).give_up_s - other.quickest_s
    )
    other.counted_on = True
    assert note(math.inf, others=[other]).give_up_s == note(math.inf).give_up_s


def test_what_is_sent_later_is_answered_later(note):
    work = note(0.01, ahead_s=0.01)
    assert (work.answer_s, work.expected_s) == pytest.approx((0.04, 0.11))
    assert note(0.01, cautious_s=0.19, ahead_s=0.02).counted_on is False
