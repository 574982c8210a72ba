"""The dispatch under virtual time: little stories with exact logs, and what holds for all.

The model is that of conftest.py: a segment takes the device 10 ms, the exit behind the first one
1 ms, nothing is needed for encoding. The link is at first taken to be of 10 Mbit/s and 20 ms.
"""

import collections
import heapq
import itertools
import math
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device.board import Board
from device.controller import Controller
from device.dispatch import Dispatch
from device.fallback import choose_option
from device.in_force import PlanChange, always_ready
from device.settings import AgentSettings
from device.uplink import Expected
from device.work import (
    BundleChange,
    FallBack,
    Finish,
    LinkChange,
    LoadDue,
    Reached,
    RunHead,
    RunOn,
    Send,
    Work,
)
from offramp.errors import OverloadError, UnknownBundleError
from offramp.messages import Failure, Load, Probe, Timeline
from partitioner import strategies
from partitioner.candidates import CLOSED
from partitioner.objective import Objective
from partitioner.plan import Plan
from partitioner.strategies import Strategy

SEND_INPUT = Plan(0, "raw", "confidence", ())
SEND_FEATURE = Plan(1, "raw", "confidence", (CLOSED,))
SEND_HARD = Plan(1, "raw", "confidence", (0.9,))
SEND_NOTHING = Plan(2, None, "confidence", (CLOSED,))
SIZES = {0: 10_000, 1: 1000}
BROKEN = "the stream broke"
MOVED = "the server is stopping"


class Fixed(Strategy):
    name, adapts = "fixed", False

    def __init__(self, plan, hedges=False):
        self._plan, self.hedges = plan, hedges

    def decide(self, planner, objective, conditions):
        return self._plan


def _deployment(planner):
    return SimpleNamespace(planner=planner, head=SimpleNamespace(is_ready=always_ready))


class Whims(Controller):
    """Follows a list of plans, each for 30 ms, in turn."""

    whims = ()

    def plan(self, now_s):
        return (
            self.whims[int(now_s / 0.03) % len(self.whims)] if self.whims else super().plan(now_s)
        )


class Story:
    """A dispatch with a board and a link that do as they are told, and a log of (ms, what).

    ``link`` maps a sample to the seconds after which it is answered, to a pair of those and a
    failure, or to None for silence. The stream takes a message whenever ``stalled`` is false. The
    board takes ``pace`` times what its profile says.
    """

    def __init__(self, planner, plan, link=lambda sample: 0.02, pace=1.0, **options):
        strategy = plan if isinstance(plan, Strategy) else Fixed(plan)
        options = {"server": "edge:1", "rate_hz": 50, "deadline_s": 0.2, **options}
        objective = Objective(max_accuracy_drop=0.0, deadline_s=options["deadline_s"])
        self.controller = Whims(planner, objective, strategy)
        self.dispatch = Dispatch(self.controller, AgentSettings(**options))
        self._set_up(planner)
        self.link, self.pace = link, pace
        self.stalled, self.bad = False, set()
        self.now, self.streams = 0.0, 0
        self.log, self.probes = [], []
        self.finished, self.most_in_flight = collections.defaultdict(list), 0
        self._reached, self._in_flight, self._fallen = {}, set(), set()
        self._boards, self.digests, self.computing = {}, {}, False
        self._events, self._order = [], itertools.count()

    def at(self, time_s, event, *details):
        """Let an event of the dispatch, or a call of this story's, happen at a time."""
        heapq.heappush(self._events, (time_s, next(self._order), event, details))
        return self

    def connect(self, time_s=0.0):
        """Open the connection and begin, without a first row of probes."""
        return self.at(time_s, "connected").at(time_s, "begun").at(time_s, "stream_ready")

    def arrive(self, *times_s):
        for sample, time_s in enumerate(times_s):
            self.at(time_s, "arrived", sample)
        return self.at(times_s[-1], "ended")

    def run(self, until_s=30.0):
        """Let everything happen, and time pass; return the log."""
        passed_s, again = -math.inf, 0
        while self.now < until_s and not (self.dispatch.done and not self._events):
            wake_s = self.dispatch.wake_s(self.now)
            if self._events and self._events[0][0] <= wake_s:
                self.now, _, event, details = heapq.heappop(self._events)
                self.streams += event == "disconnected"
                event = getattr(self.dispatch, event) if isinstance(event, str) else event
            else:
                again = again + 1 if wake_s <= passed_s else 0
                assert again < 3, "the dispatch asks for the same moment again and again"
                self.now = passed_s = min(max(wake_s, self.now), until_s)
                event, details = self.dispatch.passed, ()
            for action in event(self.now, *details) or ():
                self._act(action)
            self.most_in_flight = max(self.most_in_flight, len(self._in_flight))
        return self.log

    def _act(self, action):
        match action:
            case RunHead(work):
                self._say(f"head {work.id}")
                self._boards[work.id] = self.board
                self.digests[work.id] = self.digest
                self._in_flight.discard(work.id)
                if work.id in self.bad:
                    self.at(self.now, "failed", "it holds NaN")
                    return
                seconds, reached = self._head(action)
                self._reached[work.id] = reached
                self._compute(seconds, "head_done", reached)
            case FallBack(work):
                self._in_flight.discard(work.id)
                self._fallen.add(work.id)
                option = self._choose(self.now, work.at, work.exits, action)
                self._say(f"fall back {work.id} to {'all' if option.exit is None else 'exit'}")
                self._compute(option.time_s / action.stretch * self.pace, "fell_back")
            case RunOn(work):
                self._say(f"run on {work.id}")
                seconds = self._boards[work.id].step_s(work.at) * self.pace
                self._compute(seconds, "ran_on", work.at + 1)
            case Send(work):
                self._say(f"send {work.id}")
                assert work.id not in self._fallen, "sent though nobody waits for the answer"
                assert self.now < work.give_up_s
                self._in_flight.add(work.id)
                self._answer(work.id, self.link(work.id))
                self._become_ready()
            case Probe():
                self.probes.append((round(self.now * 1e3, 3), action.padding_bytes > 0))
                self._answer(action.id, self.link(action.id))
                self._become_ready()
            case Finish(work):
                self._in_flight.discard(work.id)
                self.finished[work.id].append((self.now, action))
                self._say(" ".join(filter(None, (f"{action.status} {work.id}", action.by))))
            case LinkChange(up=up):
                self._say("up" if up else "down")
            case BundleChange(deployment=deployment):
                assert not self.computing, "the bundle changed under a sample"
                self._say("new bundle")
                self._set_up(deployment.planner)
            case PlanChange() | LoadDue():
                pass

    def deploy(self, time_s, planner):
        """Let a bundle of this planner be ready at a time."""
        return self.at(time_s, "deployed", _deployment(planner))

    def _set_up(self, planner):
        self.board = Board(planner.device, planner.bundle.manifest)
        self.profile, self.digest = planner.device, planner.bundle.digest

    def _compute(self, seconds, event, *details):
        self.computing = True

        def end(now_s):
            self.computing = False
            return getattr(self.dispatch, event)(now_s, *details)

        self.at(self.now + seconds, end)

    def _answer(self, message, told):
        delay_s, failure = told if isinstance(told, tuple) else (told, None)
        stream = self.streams

        def come(now_s):
            if stream != self.streams:
                return []  # it was lost with its stream
            if failure is not None:
                return self.dispatch.refused(now_s, message, failure)
            return self.dispatch.answered(now_s, message, Timeline(), Load())

        if delay_s is not None:
            self.at(self.now + delay_s, come)

    def _become_ready(self):
        if not self.stalled:
            self.at(self.now, "stream_ready")

    def stall(self, now_s):
        self.stalled = True

    def resume(self, now_s):
        self.stalled = False
        return self.dispatch.stream_ready(now_s)

    def _head(self, action):
        """Return what `device.head.Head.run` would, and how long it takes here."""
        plan, seconds, at, known = action.work.plan, 0.0, 0, set()
        while at < plan.cut:
            if plan.level is None:
                option = self._choose(self.now + seconds, at, known, action)
                if option.exit is not None:
                    seconds += option.time_s / action.stretch * self.pace
                    exits = frozenset({option.exit})
                    return seconds, Reached(option.stop, exits, seconds, True, hurried=True)
            seconds += self.profile.between_s(at, at + 1) * self.pace
            at += 1
            if at == 1 and plan.thresholds[0] < CLOSED:
                seconds += self.profile.exits[0].median_s * self.pace
                known.add(0)
        answered = plan.level is None
        size_bytes = SIZES.get(at, 0)
        return seconds, Reached(at, frozenset(known), seconds, answered, size_bytes=size_bytes)

    def _choose(self, now_s, at, known, action):
        options = self._boards[action.work.id].options(at, frozenset(known), action.stretch)
        return choose_option(options, now_s=now_s, deadline_s=action.until_s)

    def _say(self, what):
        self.log.append((round(self.now * 1e3, 3), what))


def silent(sample):
    return None


def refusal(error, after_s=0.0):
    return Failure(error.status, "no", after_s)


def test_while_one_sample_is_on_its_way_the_next_ones_head_runs(planner):
    story = Story(planner, SEND_FEATURE).connect().arrive(0.0, 0.005)
    assert story.run() == [
        (0, "up"),
        (0, "head 0"),
        (10, "send 0"),
        (10, "head 1"),
        (20, "send 1"),
        (30, "ok 0 server"),
        (40, "ok 1 server"),
    ]


def test_a_silent_server_is_waited_for_until_the_last_moment_for_the_whole_model(planner):
    """5 ms of margin, 10 for a head that cannot be broken off, 10 for the rest of the model."""
    story = Story(planner, SEND_FEATURE, silent).connect().arrive(0.0, 0.1)
    assert story.run() == [
        (0, "up"),
        (0, "head 0"),
        (10, "send 0"),
        (100, "head 1"),
        (110, "send 1"),
        (175, "fall back 0 to all"),
        (185, "degraded 0 device"),
        (274, "fall back 1 to all"),  # 1 ms for sample 0, had it still been waiting
        (284, "degraded 1 device"),
    ]
    ((_, finish),) = story.finished[0]
    assert finish.work.reason == "no answer from the server in time"
    assert (finish.work.sent_bytes, finish.work.fallback_s) == (1000, pytest.approx(0.01))


def test_with_the_window_full_samples_that_arrive_are_answered_on_the_device(planner):
    story = Story(planner, SEND_FEATURE, silent, max_in_flight=2).connect()
    assert story.arrive(0.0, 0.02, 0.04, 0.07).run()[3:] == [
        (20, "head 1"),
        (30, "send 1"),
        (40, "head 2"),
        (61, "ok 2 device"),
        (70, "head 3"),
        (91, "ok 3 device"),
        (175, "fall back 0 to all"),
        (185, "degraded 0 device"),
        (194, "fall back 1 to all"),
        (204, "degraded 1 device"),
    ]


def test_with_the_window_full_a_source_that_can_wait_waits(planner):
    story = Story(planner, SEND_FEATURE, silent, max_in_flight=2, rate_hz=None).connect()
    assert story.arrive(0.0, 0.02, 0.04).run()[3:] == [
        (20, "head 1"),
        (30, "send 1"),
        (175, "fall back 0 to all"),
        (185, "degraded 0 device"),
        (185, "head 2"),
        (195, "send 2"),
        (195, "fall back 1 to all"),
        (205, "degraded 1 device"),
        (223, "fall back 2 to all"),
        (233, "degraded 2 device"),
    ]


def test_when_the_connection_breaks_all_fall_back_the_earliest_deadline_first(planner):
    story = Story(planner, SEND_FEATURE, silent).connect().at(0.065, "disconnected", BROKEN)
    assert story.arrive(0.0, 0.02, 0.04, 0.06).run()[-10:] == [
        (60, "head 3"),
        (65, "down"),
        (70, "fall back 0 to all"),
        (80, "degraded 0 device"),
        (80, "fall back 1 to all"),
        (90, "degraded 1 device"),
        (90, "fall back 2 to all"),
        (100, "degraded 2 device"),
        (100, "fall back 3 to all"),
        (110, "degraded 3 device"),
    ]
    reasons = [story.finished[sample][0][1].work.reason for sample in range(4)]
    assert reasons == [BROKEN] * 3 + [f"no connection ({BROKEN})"]


def test_with_little_time_left_no_sample_in_flight_takes_the_others(planner):
    """At 54 ms there is time for one whole model, 20 ms, and two exits, 11 ms each, until 97."""
    story = Story(planner, SEND_INPUT, silent, deadline_s=0.1).connect()
    story.at(0.054, "disconnected", BROKEN)
    assert story.arrive(0.0, 0.001, 0.002).run()[-7:] == [
        (54, "down"),
        (54, "fall back 0 to all"),
        (74, "degraded 0 device"),
        (74, "fall back 1 to exit"),
        (85, "degraded 1 device"),
        (85, "fall back 2 to exit"),
        (96, "degraded 2 device"),
    ]


def test_a_fallback_is_quick_rather_than_let_the_inbox_run_over(planner):
    """Sample 3 would find the inbox full at 60 ms, and a whole model takes 20."""
    story = Story(planner, SEND_INPUT, silent, inbox=1, deadline_s=1.0).connect()
    story.at(0.025, "disconnected", BROKEN)
    assert story.arrive(0.0, 0.02, 0.04, 0.06).run()[5:10] == [
        (25, "down"),
        (25, "fall back 0 to all"),
        (45, "degraded 0 device"),
        (45, "fall back 1 to exit"),
        (56, "degraded 1 device"),
    ]
    assert all(found[0][1].status == "degraded" for found in story.finished.values())


def test_a_board_that_cannot_keep_up_hurries_some_samples_instead_of_dropping_them(planner):
    """A whole model takes 20 ms, the exit 11, and a sample comes each 15.6."""
    story = Story(planner, SEND_NOTHING, inbox=1, deadline_s=1.0, rate_hz=64).connect()
    log = story.arrive(*(sample / 64 for sample in range(7))).run()
    assert [entry for entry in log if "device" in entry[1]] == [
        (20, "ok 0 device"),
        (40, "ok 1 device"),
        (51, "degraded 2 device"),
        (71, "ok 3 device"),
        (82, "degraded 4 device"),
        (102, "ok 5 device"),
        (122, "ok 6 device"),
    ]


@pytest.mark.parametrize(("arrives_ms", "by_ms"), [(173, 194), (174, 185)])
def test_a_head_is_hurried_rather_than_make_a_sample_in_flight_late(planner, arrives_ms, by_ms):
    """Sample 0 needs the processor for its exit at 194 ms; a whole model takes 21."""
    story = Story(planner, SEND_FEATURE, silent, max_in_flight=1).connect()
    log = story.arrive(0.0, arrives_ms / 1e3).run()
    assert (by_ms, f"{'ok' if by_ms == 194 else 'degraded'} 1 device") in log
    assert story.finished[0][0][0] <= 0.195


def test_a_head_waits_rather_than_make_a_sample_in_flight_late(planner):
    """The answer is expected late, so sample 0 is given up when only the exit, 11 ms, is left."""
    story = Story(planner, SEND_INPUT, silent, max_in_flight=1, deadline_s=0.15).connect()
    assert story.arrive(0.0, 0.125).run()[3:] == [
        (134, "fall back 0 to exit"),
        (145, "degraded 0 device"),
        (145, "head 1"),
        (145, "send 1"),
        (259, "fall back 1 to exit"),
        (270, "degraded 1 device"),
    ]


def test_a_deeper_cut_waits_for_samples_that_were_sent_at_a_shallower_one(planner):
    """Sample 0 needs its 11 ms from 134 ms on; the new plan's head would end at 140."""
    story = Story(planner, SEND_INPUT, silent, deadline_s=0.15).connect()
    story.controller.whims = [SEND_INPUT] * 4 + [SEND_FEATURE] * 6
    assert story.arrive(0.0, 0.13).run()[3:6] == [
        (134, "fall back 0 to exit"),
        (145, "degraded 0 device"),
        (145, "head 1"),
    ]


def test_what_could_not_be_answered_here_in_time_any_more_is_not_sent(planner):
    """Sample 2 could go out at 30 ms; by then the device has to begin to answer the first two."""
    story = Story(planner, SEND_FEATURE, silent, deadline_s=0.04).connect()
    assert story.arrive(0.0, 0.001, 0.002, 0.003).run()[1:] == [
        (0, "head 0"),
        (10, "send 0"),
        (10, "head 1"),
        (20, "send 1"),
        (20, "head 2"),
        (31, "degraded 2 device"),
        (31, "fall back 0 to exit"),
        (32, "degraded 0 device"),
        (32, "fall back 1 to exit"),
        (33, "degraded 1 device"),
        (33, "head 3"),
        (44, "degraded 3 device"),
    ]


def test_a_device_that_is_behind_counts_on_answers_again_once_they_come(planner):
    """By itself it takes 11 ms of the 12 between samples, so that it would be behind for ever."""
    lost = range(40, 44)
    story = Story(
        planner,
        SEND_INPUT,
        lambda sample: None if sample in lost else 0.02,
        rate_hz=1 / 0.012,
        deadline_s=0.06,
        inbox=16,
        hedge={"max_cpu_share": 0.0},
    )
    log = story.connect().arrive(*(0.012 * at for at in range(80))).run()
    by = [story.finished[sample][0][1].by for sample in range(80)]
    assert by == [*["server"] * 40, *["device"] * 4, *["server"] * 36]
    assert [what for _, what in log if "fall back" in what] == [
        "fall back 40 to all",
        *(f"fall back {at} to exit" for at in range(41, 45)),
    ]


def test_a_full_inbox_drops_the_oldest(planner):
    story = Story(planner, SEND_NOTHING, inbox=2).connect()
    assert story.arrive(0.0, 0.001, 0.002, 0.003, 0.004).run()[1:] == [
        (0, "head 0"),
        (3, "dropped 1"),
        (4, "dropped 2"),
        (20, "ok 0 device"),
        (20, "head 3"),
        (40, "ok 3 device"),
        (40, "head 4"),
        (60, "ok 4 device"),
    ]


def test_what_is_late_is_hurried_and_what_is_far_too_late_is_dropped(planner):
    """The exit takes 11 ms; 50 ms after the deadline of 20 a sample is not begun any more."""
    story = Story(planner, SEND_NOTHING, deadline_s=0.02, inbox=16).connect()
    log = story.arrive(*[0.0] * 8).run()
    assert log[1:4] == [(0, "head 0"), (11, "degraded 0 device"), (11, "head 1")]
    assert log[-3:] == [(66, "head 6"), (77, "degraded 6 device"), (77, "dropped 7")]


def test_a_server_that_asks_for_time_gets_it(planner):
    """Refused at 30 ms for 100 ms: the device answers alone until then."""
    told = {0: (0.02, refusal(OverloadError, 0.1))}
    story = Story(planner, SEND_FEATURE, lambda sample: told.get(sample, 0.02)).connect()
    assert story.arrive(0.0, 0.05, 0.1, 0.15).run()[3:] == [
        (30, "fall back 0 to all"),
        (40, "degraded 0 device"),
        (50, "head 1"),
        (71, "ok 1 device"),
        (100, "head 2"),
        (121, "ok 2 device"),
        (150, "head 3"),
        (160, "send 3"),
        (180, "ok 3 server"),
    ]
    assert story.finished[0][0][1].work.reason == "RESOURCE_EXHAUSTED: no"


def test_refusals_with_a_time_to_wait_do_not_count_as_failures(planner):
    def reachable(after_s):
        link = lambda sample: (0.02, refusal(OverloadError, after_s))  # noqa: E731
        story = Story(planner, SEND_FEATURE, link).connect()
        story.arrive(0.0, 0.05, 0.1).run()
        return story.controller.breaker.closed

    assert reachable(0.01)
    assert not reachable(0.0)


def test_no_server_is_obeyed_for_longer_than_a_minute_nor_after_a_new_connection(planner):
    for break_s, times_s in ((None, (0.0, 60.5)), (0.5, (0.0, 1.0))):
        told = {0: (0.02, refusal(OverloadError, 4000.0))}
        story = Story(planner, SEND_FEATURE, lambda sample: told.get(sample, 0.02))  # noqa: B023
        story.connect()
        if break_s:
            story.at(break_s, "disconnected", BROKEN)
            story.at(break_s + 0.1, "connected").at(break_s + 0.1, "stream_ready")
        assert story.arrive(*times_s).run(until_s=90)[-1][1] == "ok 1 server"


def test_a_stalled_stream_is_sent_only_what_is_still_waited_for(planner):
    """A plan that never changes goes on sending; of seven samples four are alive at 300 ms."""
    story = Story(planner, SEND_FEATURE, silent).connect()
    story.at(0.005, story.stall).at(0.3, story.resume)
    log = story.arrive(*(0.05 * sample for sample in range(7))).run()
    assert [entry for entry in log if entry[1].startswith("send")] == [
        (10, "send 0"),
        (300, "send 3"),
        (300, "send 4"),
        (300, "send 5"),
        (310, "send 6"),
    ]
    sent = [story.finished[sample][0][1].work.sent_bytes for sample in range(7)]
    assert sent == [1000, 0, 0, 1000, 1000, 1000, 1000]
    assert all(found[0][0] < 0.05 * at + 0.2 for at, found in story.finished.items())


def test_what_waited_for_a_stream_that_broke_is_not_sent_on_the_next_one(planner):
    story = Story(planner, SEND_FEATURE).connect()
    story.at(0.005, story.stall).at(0.025, "disconnected", BROKEN)
    story.at(0.03, "connected").at(0.03, story.resume)
    assert story.arrive(0.0, 0.01, 0.05).run()[4:] == [
        (25, "down"),
        (25, "fall back 0 to all"),
        (30, "up"),
        (35, "degraded 0 device"),
        (35, "fall back 1 to all"),
        (45, "degraded 1 device"),
        (50, "head 2"),
        (60, "send 2"),
        (80, "ok 2 server"),
    ]


def test_an_answer_that_is_overdue_makes_the_server_unreachable_until_the_next_one(planner):
    """Before the first one nothing is known of the way to it."""
    seen = []

    def look(now_s):
        if (there := story.controller.conditions(now_s).reachable) not in seen[-1:]:
            seen.append(there)

    story = Story(planner, SEND_FEATURE, {0: 0.02, 2: 0.02}.get).connect()
    for step in range(100):
        story.at(step / 200, look)
    story.arrive(0.0, 0.1, 0.3).run()
    assert seen == [False, True, False, True]


def test_two_answers_that_never_come_open_the_breaker(planner):
    story = Story(planner, SEND_FEATURE, silent).connect().arrive(0.0, 0.01)
    seen = []
    for time_s in (0.176, 0.186):
        story.at(time_s, lambda now_s: seen.append(story.controller.breaker.closed))
    story.run()
    assert seen == [True, False]


def test_a_refused_sample_is_answered_here_and_says_why(planner):
    story = Story(planner, SEND_FEATURE, lambda sample: (0.02, refusal(UnknownBundleError)))
    assert story.connect().arrive(0.0).run()[-2:] == [
        (30, "fall back 0 to all"),
        (40, "degraded 0 device"),
    ]
    assert story.finished[0][0][1].work.reason == "NOT_FOUND: no"


def test_a_bad_sample_fails_alone(planner):
    story = Story(planner, SEND_FEATURE).connect()
    story.bad.add(0)
    assert story.arrive(0.0, 0.005).run()[1:] == [
        (0, "head 0"),
        (0, "failed 0"),
        (5, "head 1"),
        (15, "send 1"),
        (35, "ok 1 server"),
    ]


def test_an_answer_counts_until_the_fallback_begins(planner):
    """Sample 0 is due at 175 ms, but the processor has a head until 181."""
    told = {0: 0.168, 1: 0.02}
    story = Story(planner, SEND_FEATURE, told.get).connect()
    assert story.arrive(0.0, 0.171).run()[3:] == [
        (171, "head 1"),
        (178, "ok 0 server"),
        (181, "send 1"),
        (201, "ok 1 server"),
    ]


def test_the_first_answer_counts_while_a_fallback_runs(planner):
    """Its answer comes after 183 ms; at 175 the device begins its own, and has it at 186."""
    story = Story(planner, SEND_INPUT, lambda sample: 0.183 if sample == 0 else 0.02).connect()
    assert story.arrive(0.0, 0.18).run()[1:] == [
        (0, "head 0"),
        (0, "send 0"),
        (175, "fall back 0 to exit"),
        (183, "ok 0 server"),
        (186, "head 1"),
        (186, "send 1"),
        (206, "ok 1 server"),
    ]
    work = story.finished[0][0][1].work
    assert work.reason == ""
    assert work.fallback_s == pytest.approx(0.008)  # in vain, beside the network


def test_a_link_that_falls_silent_while_the_device_is_behind_is_noticed(planner):
    """It is given up before its answer is due, which is while it falls back."""
    story = Story(planner, SEND_INPUT, silent, deadline_s=0.1, rate_hz=100).connect()
    noticed = []
    story.controller.overdue = lambda now_s, message: noticed.append((now_s, message))
    story.controller.expect = lambda *_: Expected(0.05, 0.06, 0.09)
    story.arrive(0.0).run()
    ((_, finish),) = story.finished[0]
    assert finish.work.give_up_s == pytest.approx(0.084)
    assert noticed == [(pytest.approx(0.09), 0)]


def test_a_dropped_sample_has_no_plan(planner):
    """When the processor was free at 64 ms, there was no time to send sample 10, which waited."""
    options = {"deadline_s": 0.08, "inbox": 3, "rate_hz": 200}
    story = Story(planner, SEND_FEATURE, silent, **options).connect()
    log = story.arrive(*(0.005 * at for at in range(14))).run()
    assert (65, "dropped 10") in log
    dropped = [f.work for ((_, f),) in story.finished.values() if f.status == "dropped"]
    assert {(work.plan, work.board) for work in dropped} == {(None, None)}


@pytest.mark.parametrize(
    ("rate_hz", "arrived", "gap_s"),
    [
        (100.0, [], math.inf),  # nobody waits behind it
        (100.0, [(1, 0.01), (2, 0.02)], 0.01),
        (100.0, [(1, 0.01), (5, 0.04)], 0.008),  # three of them were dropped meanwhile
        (None, [(1, 0.01), (2, 0.02)], math.inf),  # who is asked for does not press
    ],
)
def test_how_far_apart_samples_came_counts_those_that_were_dropped(
    planner, rate_hz, arrived, gap_s
):
    dispatch = Story(planner, SEND_INPUT, rate_hz=rate_hz).dispatch
    dispatch._inbox.extend(Work(number, at_s, 1.0) for number, at_s in arrived)
    assert dispatch._gap_s(Work(0, 0.0, 1.0)) == pytest.approx(gap_s)


@pytest.mark.parametrize("event", ["refused", "disconnected"])
def test_what_goes_wrong_while_a_fallback_runs_leaves_its_answer(planner, event):
    """The server refuses sample 0 at 180 ms, or the stream breaks; the device has it at 195."""
    late = (0.18, refusal(OverloadError)) if event == "refused" else None
    story = Story(planner, SEND_INPUT, lambda sample: late).connect()
    if event == "disconnected":
        story.at(0.18, "disconnected", BROKEN)
    log = story.arrive(0.0).run()
    assert [each for each in log[2:] if each[1] != "down"] == [
        (0, "send 0"),
        (175, "fall back 0 to all"),
        (195, "degraded 0 device"),
    ]
    assert len(story.finished[0]) == 1


def test_the_start_measures_the_link_with_eight_probes_one_after_the_other(planner):
    story = Story(planner, SEND_NOTHING).at(0.0, "connected").at(0.0, "stream_ready")
    story.at(0.2, "ended").run()
    assert story.probes[:8] == [(20 * at, at % 2 == 0) for at in range(8)]
    assert story.dispatch.warm


def test_a_lost_probe_ends_the_start_after_a_second(planner):
    story = Story(planner, SEND_NOTHING, silent).at(0.0, "connected").at(0.0, "stream_ready")
    warm = []
    for time_s in (0.5, 0.9, 1.1):
        story.at(time_s, lambda now_s: warm.append(story.dispatch.warm))
    story.at(1.2, "ended").run()
    assert warm == [False, False, True]


def test_without_a_server_the_device_answers_alone_and_no_link_is_reported(planner):
    story = Story(planner, strategies.get("offramp"), server=None).at(0.0, "begun")
    assert story.arrive(0.0).run() == [(0, "head 0"), (21, "ok 0 device")]


def test_a_new_bundle_is_gone_over_to_between_two_samples(planner, successor):
    story = Story(planner, SEND_FEATURE, {0: 0.05, 1: 0.02}.get).connect()
    story.deploy(0.004, successor)
    assert story.arrive(0.0, 0.002).run()[1:] == [
        (0, "head 0"),
        (10, "send 0"),
        (10, "new bundle"),
        (10, "head 1"),
        (15, "send 1"),
        (35, "ok 1 server"),
        (60, "ok 0 server"),
    ]
    assert story.digests == {0: "1" * 64, 1: "2" * 64}


def test_a_sample_that_was_sent_before_falls_back_with_what_began_it(planner, successor):
    story = Story(planner, SEND_FEATURE, silent).connect().deploy(0.05, successor)
    assert story.arrive(0.0).run()[1:] == [
        (0, "head 0"),
        (10, "send 0"),
        (50, "new bundle"),
        (175, "fall back 0 to all"),
        (185, "degraded 0 device"),
    ]


def test_without_samples_a_new_bundle_is_gone_over_to_at_once(planner, successor):
    story = Story(planner, SEND_NOTHING).connect().deploy(0.1, successor).at(0.2, "ended")
    assert story.run() == [(0, "up"), (100, "new bundle")]


def test_of_two_new_bundles_the_later_one_is_gone_over_to(planner, successor):
    story = Story(planner, SEND_NOTHING).connect()
    story.deploy(0.004, planner).deploy(0.006, successor)
    story.arrive(0.0, 0.001).run()
    assert [what for _, what in story.log].count("new bundle") == 1
    assert story.digests[1] == "2" * 64


def test_a_server_that_no_longer_holds_the_old_bundle_still_serves_the_new_one(planner, successor):
    gone = refusal(UnknownBundleError)
    story = Story(planner, SEND_FEATURE, {0: (0.05, gone), 1: 0.02}.get).connect()
    story.deploy(0.02, successor)
    log = story.arrive(0.0, 0.1).run()
    assert (60, "fall back 0 to all") in log
    assert log[-1] == (125, "ok 1 server")
    assert story.controller.conditions(1.0).reachable


def test_a_server_that_holds_the_bundle_again_is_counted_on_again(planner):
    gone = refusal(UnknownBundleError)
    story = Story(planner, SEND_FEATURE, lambda sample: (0.02, gone) if sample == 0 else 0.02)
    seen = []
    for time_s in (0.3, 0.6):
        story.at(time_s, lambda now_s: seen.append(story.controller.conditions(now_s).reachable))
    story.connect().at(0.5, "served").arrive(0.0).run()
    assert seen == [False, True]


def test_an_old_answer_from_a_deeper_cut_than_the_new_bundle_has_is_taken(planner, successor):
    controller = Controller(planner, Objective(max_accuracy_drop=0.0), Fixed(SEND_FEATURE))
    controller.sent(0.0, 7, 1000, SEND_FEATURE)
    controller.renew(successor)
    controller.answered(0.1, 7, Timeline(segment_s=(0.5,)), Load())
    assert controller.server_stretch.at(0.1) == 1.0


HEDGE = {"hedge": {"max_cpu_share": 1.0}}


def hedging(plan):
    return Fixed(plan, hedges=True)


def test_the_device_computes_on_and_the_first_answer_counts(planner):
    """Sample 0's answer takes 20 ms, the device 10; sample 1's takes 5."""
    story = Story(planner, hedging(SEND_FEATURE), {0: 0.02, 1: 0.005}.get, **HEDGE).connect()
    assert story.arrive(0.0, 0.1).run()[1:] == [
        (0, "head 0"),
        (10, "send 0"),
        (10, "run on 0"),
        (20, "ok 0 device"),
        (100, "head 1"),
        (110, "send 1"),
        (110, "run on 1"),
        (115, "ok 1 server"),
    ]
    hedges = [story.finished[sample][0][1].work.hedge_s for sample in (0, 1)]
    assert hedges == [pytest.approx(0.01), pytest.approx(0.01)]  # the second one in vain


def test_segment_by_segment_a_new_sample_goes_first(planner):
    """Sample 1 comes at 5 ms, while the first of two segments runs on: it waits for that one."""
    story = Story(planner, hedging(SEND_INPUT), silent, rate_hz=1, **HEDGE).connect()
    log = story.arrive(0.0, 0.005).run()
    assert log[1:] == [
        (0, "head 0"),
        (0, "run on 0"),
        (0, "send 0"),
        (10, "head 1"),
        (10, "send 1"),
        (10, "run on 0"),
        (20, "ok 0 device"),
        (20, "run on 1"),
        (30, "run on 1"),
        (40, "ok 1 device"),
    ]


def test_no_segment_is_begun_into_the_time_of_the_next_sample(planner):
    """Samples come every 18 ms, and at 10 ms the segment would end at 20."""
    story = Story(planner, hedging(SEND_FEATURE), silent, rate_hz=55, **HEDGE).connect()
    log = story.arrive(0.0, 1 / 55).run()
    assert (10, "run on 0") not in log
    assert (28.182, "run on 0") in log


def test_where_a_sample_may_come_at_any_time_only_a_late_answer_is_computed_on_for(planner):
    """Pairs come, 20 a second in the mean; one answer never does."""
    times = [at // 2 * 0.1 + at % 2 * 0.03 for at in range(21)]
    fates = {18: None}
    story = Story(
        planner, hedging(SEND_FEATURE), lambda at: fates.get(at, 0.012), rate_hz=20, **HEDGE
    ).connect()
    log = story.arrive(*times).run()
    hedged = [story.finished[at][0][1].work.hedge_s for at in range(21)]
    assert hedged[0] > 0  # nothing else is known yet
    assert not any(hedged[6:18])
    (begun_ms,) = [ms for ms, what in log if what == "run on 18"]
    assert 900 + 10 + 12 < begun_ms < 900 + 10 + 60
    assert (begun_ms + 10, "ok 18 device") in log


def test_a_strategy_that_does_not_hedge_waits(planner):
    story = Story(planner, SEND_FEATURE, **HEDGE).connect().arrive(0.0)
    assert [what for _, what in story.run()[1:]] == ["head 0", "send 0", "ok 0 server"]


def test_without_a_budget_the_device_waits_again(planner):
    """A twentieth of the time: 250 ms are saved up at first, 10 are spent on each sample."""
    hedge = {"hedge": {"max_cpu_share": 0.05}}
    story = Story(planner, hedging(SEND_FEATURE), lambda sample: 0.05, rate_hz=20, **hedge)
    story.connect().arrive(*(0.05 * at for at in range(60))).run()
    hedged = [bool(story.finished[at][0][1].work.hedge_s) for at in range(60)]
    assert all(hedged[:25])
    assert not any(hedged[40:])


def test_a_fallback_goes_on_from_where_the_hedge_came_to(planner):
    """The connection breaks while the first of two segments runs: one is left."""
    story = Story(planner, hedging(SEND_INPUT), silent, rate_hz=1, **HEDGE).connect()
    story.at(0.005, "disconnected", BROKEN)
    assert story.arrive(0.0).run()[-3:] == [
        (5, "down"),
        (10, "fall back 0 to all"),
        (20, "degraded 0 device"),
    ]


def test_what_the_device_answered_meanwhile_is_not_sent(planner):
    """The stream takes nothing until 50 ms; the device is done at 20."""
    story = Story(planner, hedging(SEND_FEATURE), silent, **HEDGE)
    story.at(0.0, "connected").at(0.0, "begun").at(0.05, "stream_ready")
    log = story.arrive(0.0, 0.06).run()
    assert log[1:4] == [(0, "head 0"), (10, "run on 0"), (20, "ok 0 device")]
    assert [what for _, what in log if what.startswith("send")] == ["send 1"]
    assert story.finished[0][0][1].work.sent_bytes == 0


def test_a_segment_that_fails_after_the_server_answered_is_nothing(planner):
    story = Story(planner, hedging(SEND_FEATURE), lambda sample: 0.005, **HEDGE).connect()
    story.arrive(0.0)
    story.dispatch.ran_on = lambda now_s, at: story.dispatch.failed(now_s, "NaN")
    assert story.run()[-1] == (15, "ok 0 server")
    assert story.dispatch.done


def test_a_move_to_another_server_costs_no_answer(planner):
    """Sample 0 is at the old server, sample 1 has not gone out: it goes to the new one."""
    story = Story(planner, SEND_INPUT, lambda sample: 0.1 if sample == 0 else 0.02).connect()
    story.at(0.0, story.stall).at(0.001, "stream_ready").at(0.04, "moved", MOVED).at(
        0.045, story.resume
    )
    assert story.arrive(0.0, 0.03, 0.06).run() == [
        (0, "up"),
        (0, "head 0"),
        (1, "send 0"),
        (30, "head 1"),
        (40, "up"),
        (45, "send 1"),
        (60, "head 2"),
        (60, "send 2"),
        (65, "ok 1 server"),
        (80, "ok 2 server"),
        (101, "ok 0 server"),
    ]


def test_a_new_server_is_not_blamed_for_the_old_one(planner):
    """The old one refuses, does not answer and asks for time; the new one is counted on."""
    told = {0: (0.05, refusal(OverloadError, 9.0)), 1: (0.05, refusal(UnknownBundleError))}
    story = Story(planner, SEND_INPUT, lambda sample: told.get(sample), deadline_s=0.4)
    seen = []
    story.connect().at(0.04, "moved", MOVED).at(0.041, "stream_ready")
    look = (story.controller.breaker, story.dispatch._stream)
    story.at(0.6, lambda now_s: seen.append((look[0].closed, look[1].is_welcome(now_s))))
    story.arrive(0.0, 0.01, 0.02).run()
    assert seen == [(True, True)]
    assert [f.status for ((_, f),) in story.finished.values()] == ["degraded"] * 3


def test_a_move_closes_the_breaker_and_makes_the_link_uncertain(planner):
    story = Story(planner, SEND_INPUT, silent).connect()
    story.at(0.5, "disconnected", BROKEN)
    seen = []

    def look(now_s):
        link = story.controller.estimator.estimate(now_s)
        seen.append((story.controller.breaker.closed, link.s_per_bit_sigma * link.bandwidth_bps))

    story.at(0.6, look).at(0.7, "moved", MOVED).at(0.7, look)
    story.arrive(0.0).run()
    assert seen[0][0] is False
    assert seen[1][0] is True
    assert seen[1][1] >= 1.0


def test_what_a_server_has_that_is_left_is_still_answered(planner):
    """Sample 0 is at the server; sample 1 has not gone out; nothing more goes there."""
    story = Story(planner, SEND_INPUT, {0: 0.1}.get).connect()
    story.at(0.0, story.stall).at(0.001, "stream_ready").at(0.04, "left", "it is stopping")
    assert story.arrive(0.0, 0.03, 0.07).run() == [
        (0, "up"),
        (0, "head 0"),
        (1, "send 0"),
        (30, "head 1"),
        (40, "down"),
        (40, "fall back 1 to all"),
        (60, "degraded 1 device"),
        (70, "head 2"),
        (70, "fall back 2 to all"),
        (90, "degraded 2 device"),
        (101, "ok 0 server"),
    ]
    assert story.finished[1][0][1].work.reason == "it is stopping"


times = st.floats(0.0, 0.5)
fates = st.one_of(
    times,
    st.none(),
    st.tuples(times, st.builds(Failure, st.sampled_from(["INTERNAL", "NOT_FOUND"]), st.just("no"))),
    st.tuples(times, st.builds(Failure, st.just("RESOURCE_EXHAUSTED"), st.just("no"), times)),
)
plans = st.sampled_from(
    [
        *(SEND_INPUT, SEND_FEATURE, SEND_HARD, SEND_NOTHING, strategies.get("offramp")),
        *(hedging(SEND_INPUT), hedging(SEND_FEATURE), hedging(SEND_HARD)),
    ]
)
options = st.fixed_dictionaries(
    {
        "max_in_flight": st.integers(1, 4),
        "deadline_s": st.floats(0.08, 0.4),
        "rate_hz": st.sampled_from([None, 20.0]),
        "inbox": st.just(16),
        "hedge": st.sampled_from([{}, {"max_cpu_share": 1.0}, {"max_cpu_share": 0.1}]),
    }
)


@st.composite
def stories(draw, shortest_gap_s):
    """Draw a plan, a pace, what becomes of each message, and when stream and connection fail."""
    plan, pace, told = draw(plans), draw(st.floats(0.3, 1.0)), draw(st.lists(fates, max_size=12))
    gaps = draw(st.lists(st.floats(shortest_gap_s, 0.15), min_size=1, max_size=14))
    breaks = draw(st.lists(st.tuples(times, times), max_size=2))
    stalls = draw(st.lists(st.tuples(times, times), max_size=2))
    chosen = draw(options)
    moves = draw(st.lists(st.tuples(times, st.one_of(st.none(), times)), max_size=2))
    deploys = draw(st.lists(st.tuples(times, st.booleans()), max_size=3))
    whims = draw(st.lists(st.sampled_from([SEND_INPUT, SEND_FEATURE, SEND_HARD, SEND_NOTHING])))

    def make(planner, successor):
        fate = itertools.cycle([*told, 0.02])
        story = Story(planner, plan, lambda message: next(fate), pace, **chosen).connect()
        story.controller.whims = whims
        for time_s, later_s in breaks:
            story.at(time_s, "disconnected", BROKEN)
            story.at(time_s + later_s, "connected").at(time_s + later_s, "stream_ready")
        for time_s, later_s in moves:
            if later_s is not None:
                story.at(time_s, "left", BROKEN)
            back_s = time_s + (later_s or 0.0)
            story.at(back_s, "moved", MOVED).at(back_s, "stream_ready")
        for time_s, back in deploys:
            story.deploy(time_s, planner if back else successor)
        for time_s, later_s in stalls:
            story.at(time_s, story.stall).at(time_s + later_s, story.resume)
        return story.arrive(*itertools.accumulate(gaps)), len(gaps), chosen

    return make


@settings(deadline=None)
@given(stories(0.0))
def test_every_sample_is_finished_once_and_the_window_is_kept(planner, successor, make):
    story, count, chosen = make(planner, successor)
    story.run()
    assert story.dispatch.done
    assert {sample: len(found) for sample, found in story.finished.items()} == dict.fromkeys(
        range(count), 1
    )
    assert story.most_in_flight <= chosen["max_in_flight"]


@settings(max_examples=300, deadline=None)
@given(stories(0.022))
def test_no_sample_is_late_whatever_the_link_does(planner, successor, make):
    """Samples come no faster than the device alone could answer them, in 21 ms each."""
    story, _, chosen = make(planner, successor)
    story.run()
    for ((time_s, finish),) in story.finished.values():
        assert finish.status in ("ok", "degraded")
        assert time_s <= finish.work.arrived_s + chosen["deadline_s"] + 1e-9
