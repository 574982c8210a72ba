"""The choice of server in virtual time: little stories with exact logs, and what always holds."""

import heapq
import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.choice_of_server import Check, ChoiceOfServer, Connect
from device.reconnect import pause_s

STEP_S = 0.25  # so long takes a step that succeeds, or that is refused
SILENT_S = 2.0  # and so long one that nobody answers


class Story:
    """A choice, servers that are well or not, and a log of (s, what).

    ``courses`` has for each server the (from, how) it is: ``well``, ``gone`` (refuses), ``silent``,
    ``bare`` (without the bundle). A stream breaks with its server, but on ``bare``.
    """

    def __init__(self, *courses, return_s=10.0, draw=lambda: 0.5):
        self.choice = ChoiceOfServer(len(courses), return_s, draw)
        self.courses = [
            [(0.0, course)] if isinstance(course, str) else course for course in courses
        ]
        self.log, self.steps, self._events, self._order = [], [], [], itertools.count()
        for course in self.courses:
            for time_s, how in course:
                if how in ("gone", "silent"):
                    self.at(time_s, self._break, course)

    def at(self, time_s, event, *details):
        heapq.heappush(self._events, (time_s, next(self._order), event, details))
        return self

    def how(self, number, now_s):
        return [how for from_s, how in self.courses[number] if from_s <= now_s][-1]

    def run(self, until_s):
        now_s = 0.0
        while now_s < until_s:
            if step := self.choice.next(now_s):
                self._take(now_s, step)
            wake_s = self.choice.wake_s()
            if self._events and self._events[0][0] <= max(wake_s, now_s):
                now_s, _, event, details = heapq.heappop(self._events)
                event(now_s, *details)
            elif wake_s == math.inf:
                break
            else:
                now_s = max(wake_s, now_s)
        return self.log

    def leave(self, now_s):
        self.choice.leave()

    def _take(self, now_s, step):
        how = self.how(step.server, now_s)
        name = f"{'connect' if isinstance(step, Connect) else 'check'} {step.server}"
        self.log.append((now_s, name))
        end_s = now_s + (SILENT_S if how == "silent" else STEP_S)
        self.steps.append((step, now_s, end_s))
        self.at(end_s, self._end, step, how)

    def _end(self, now_s, step, how):
        if isinstance(step, Check):
            self.choice.checked(now_s, step.server, well=how in ("well", "bare"))
        elif how == "well":
            self.choice.opened(now_s, step.server)
            self.log.append((now_s, f"use {step.server}"))
        else:
            self.choice.failed(now_s, step.server, held=how != "bare")

    def _break(self, now_s, course):
        number = next(at for at, each in enumerate(self.courses) if each is course)
        if number == self.choice.current:
            self.log.append((now_s, f"lost {number}"))
            self.choice.lost(now_s)


def test_the_first_server_that_is_well_is_used_and_nothing_more_is_done():
    story = Story("well", "well")
    assert story.run(100.0) == [(0, "connect 0"), (0.25, "use 0")]


def test_one_that_is_gone_is_passed_over_and_returned_to_once_it_has_been_well_for_a_while():
    """It is found well at 4.25; with a draw of a half that has to last for 15 s."""
    story = Story([(0.0, "gone"), (4.0, "well")], "well")
    log = story.run(40.0)
    assert log[:6] == [
        (0, "connect 0"),
        (0.25, "connect 1"),
        (0.5, "use 1"),
        (0.5, "check 0"),  # its pause of 0.2 s is over
        (1.75, "check 0"),
        (4.0, "check 0"),
    ]
    checks = [time_s for time_s, what in log if what == "check 0"]
    assert checks[2:] == [4.0 + 1.25 * at for at in range(len(checks) - 2)]
    assert checks[-1] == 19.0
    assert log[-2:] == [(19.25, "connect 0"), (19.5, "use 0")]


def test_when_the_one_in_use_breaks_the_next_is_connected_to_at_once():
    story = Story([(0.0, "well"), (5.0, "gone")], "well")
    assert story.run(6.0)[2:5] == [(5.0, "lost 0"), (5.0, "connect 1"), (5.25, "use 1")]


def test_the_one_in_use_is_left_only_for_another_that_is_open():
    story = Story("well", [(0.0, "silent"), (6.0, "well")], "gone").at(5.0, None)
    story._events[-1] = (5.0, next(story._order), story.leave, ())
    heapq.heapify(story._events)
    assert story.run(9.0)[2:] == [
        (5.0, "connect 1"),
        (7.0, "connect 2"),
        (7.25, "connect 1"),
        (7.5, "use 1"),
        (7.6, "check 0"),
        (8.85, "check 0"),
    ]


def test_with_none_there_all_are_tried_in_turn_and_a_silent_one_holds_up_no_other():
    story = Story("silent", "silent", [(0.0, "gone"), (9.0, "well")])
    log = story.run(20.0)
    assert log[:7] == [
        (0, "connect 0"),
        (2, "connect 1"),
        (4, "connect 2"),
        (4.25, "connect 0"),
        (6.25, "connect 1"),
        (8.25, "connect 2"),
        (8.5, "connect 0"),
    ]
    assert next(time_s for time_s, what in log if what == "use 2") <= 9.0 + 2 * SILENT_S + 1.5


def test_a_server_without_the_bundle_is_asked_again_after_five_seconds():
    story = Story("bare", "gone")
    connects = [time_s for time_s, what in story.run(12.0) if what == "connect 0"]
    assert len(connects) == 3
    assert all(later - first > 5.2 for first, later in itertools.pairwise(connects))


def test_one_that_comes_and_goes_is_not_returned_to():
    course = [(3.0 * at, "gone" if at % 2 else "well") for at in range(30)]
    log = Story([(0.0, "gone"), *course[1:]], "well", return_s=5.0).run(90.0)
    assert [what for _, what in log if what.startswith("use")] == ["use 1"]


def test_devices_return_at_different_times():
    times_s = []
    for draw in (0.0, 0.5, 1.0):
        course = [(0.0, "gone"), (2.0, "well")]
        log = Story(course, "well", return_s=8.0, draw=lambda draw=draw: draw).run(40.0)
        times_s.append(next(time_s for time_s, what in log if what == "use 0"))
    assert times_s[0] == pytest.approx(4.25 + 8.0 + STEP_S)
    assert times_s[1] - times_s[0] == pytest.approx(4.0)
    assert times_s[2] - times_s[1] == pytest.approx(4.0)


hows = st.sampled_from(["well", "gone", "silent", "bare"])
courses = st.lists(st.tuples(st.floats(0.1, 10.0), hows), max_size=6).map(
    lambda changes: [
        (0.0, "gone"),
        *zip(
            itertools.accumulate(span_s for span_s, _ in changes),
            (how for _, how in changes),
            strict=True,
        ),
    ]
)


@given(st.lists(courses, min_size=1, max_size=4), st.lists(st.floats(0.0, 60.0), max_size=4))
def test_no_server_is_tried_more_often_than_the_pauses_allow(given_courses, leaves):
    story = Story(*given_courses)
    for time_s in leaves:
        story.at(time_s, story.leave)
    story.run(80.0)
    for number in range(len(given_courses)):
        own = [each for each in story.steps if each[0].server == number]
        fails = 0
        for (step, began_s, end_s), (_, later_s, _) in itertools.pairwise(own):
            well = story.how(number, began_s) == "well"
            connected = isinstance(step, Connect)
            fails = 0 if connected and well else fails + connected
            assert later_s >= end_s + (pause_s(fails) if connected else 0.0) - 1e-9
            assert later_s >= began_s + 0.1


@given(st.lists(courses, max_size=3), st.floats(0.0, 20.0))
def test_a_server_that_is_well_is_reached_in_bounded_time(given_courses, from_s):
    """Whatever the others do: after two rounds of attempts that nobody answers, and two pauses."""
    story = Story(*given_courses, [(0.0, "gone"), (from_s, "well")])
    log = story.run(120.0)
    count = len(given_courses) + 1
    limit_s = 2 * (count * SILENT_S + 5.0)
    used = [(time_s, what) for time_s, what in log if what[:4] in ("use ", "lost")]
    without_s = 0.0
    for (time_s, what), (later_s, _) in itertools.pairwise([(0.0, "lost"), *used, (120.0, "end")]):
        if not what.startswith("use"):
            without_s = max(without_s, min(later_s, 120.0) - max(time_s, from_s))
    assert without_s <= limit_s


def test_nothing_is_done_while_a_step_is_under_way():
    choice = ChoiceOfServer(2, 10.0, lambda: 0.0)
    assert choice.next(0.0) == Connect(0)
    assert choice.next(5.0) is None
    assert choice.wake_s() == math.inf
    choice.failed(5.0, 0)
    assert choice.wake_s() == -math.inf
    assert choice.next(5.0) == Connect(1)


def test_what_breaks_while_a_better_one_is_opened_is_lost_at_once():
    choice = ChoiceOfServer(2, 1.0, lambda: 0.0)
    choice.next(0.0)
    choice.failed(0.0, 0)
    choice.next(0.0)
    choice.opened(0.0, 1)
    assert choice.next(1.0) == Check(0)
    choice.checked(1.0, 0, well=True)
    assert choice.next(2.0) == Connect(0)
    choice.lost(2.1)
    assert choice.current is None
    choice.opened(2.2, 0)
    assert choice.current == 0
    assert choice.next(99.0) is None


def test_a_server_that_ends_each_stream_at_once_is_connected_to_ever_more_rarely():
    choice, now_s, pauses = ChoiceOfServer(1, 30.0, lambda: 0.0), 0.0, []
    for _ in range(5):
        assert isinstance(choice.next(now_s), Connect)
        choice.opened(now_s, 0)
        choice.lost(now_s + 0.01)
        pauses.append(round(choice.wake_s() - now_s - 0.01, 6))
        now_s = choice.wake_s()
    assert pauses == [0.2, 0.5, 1.0, 1.0, 1.0]
    choice.next(now_s)
    choice.opened(now_s, 0)
    choice.lost(now_s + 60.0)
    assert round(choice.wake_s() - now_s - 60.0, 6) == 0.1
