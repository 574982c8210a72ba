"""Awaited messages: which one tells of a silence, and for how long it has lasted."""

import pytest

from device.awaited import Awaited, AwaitedMessage
from partitioner.plan import Plan


def message(at_s, plan=None):
    return AwaitedMessage(at_s, 800, 800, 0.0, at_s + 0.1, plan)


@pytest.fixture
def awaited():
    awaited = Awaited()
    for number, at_s in enumerate((1.0, 1.2, 1.4)):
        awaited.add(number, message(at_s))
    return awaited


def test_the_silence_counts_from_when_the_first_answer_should_have_come(awaited):
    assert awaited.silent_s(1.05) == 0.0
    assert awaited.silent_s(2.0) == pytest.approx(0.9)
    assert Awaited().silent_s(2.0) == 0.0


def test_an_answer_to_a_later_message_counts_for_those_before_it(awaited):
    awaited.heard_of(awaited.pop(1))
    assert awaited.unheard is awaited.find(2)
    assert awaited.find(0) is not None  # it may come yet
    awaited.heard_of(awaited.pop(0))
    assert awaited.unheard is awaited.find(2)
    awaited.heard_of(awaited.pop(2))
    assert awaited.unheard is None


def test_after_a_minute_nothing_is_awaited_any_more(awaited):
    awaited.add(3, message(61.3))
    assert [awaited.find(number) is not None for number in range(4)] == [False, False, True, True]


def test_a_new_connection_answers_nothing_of_the_old_one(awaited):
    awaited.clear()
    assert awaited.unheard is None
    assert awaited.pop(0) is None


def test_another_bundle_has_no_part_in_what_was_sent_before(awaited):
    awaited.add(3, message(1.5, Plan(1, "raw", "confidence", ())))
    awaited.forget_plans()
    assert awaited.find(3).plan is None
