"""The controller: observations and time in, plans out.

It joins the link estimator, the breaker, both machines' stretches and the strategy. It knows no
socket, clock or thread: the agent and the simulator drive the same object.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Annotated

from pydantic import Field

from device.breaker import Breaker
from device.estimator import LinkEstimator
from device.stretch import Stretch
from device.vain import VainShare
from offramp.messages import Load, Timeline
from offramp.settings import Settings
from partitioner.conditions import Conditions
from partitioner.costs import FRAME_OVERHEAD_BYTES
from partitioner.objective import Objective
from partitioner.plan import Plan
from partitioner.planner import Planner
from partitioner.strategies import Strategy

__all__ = ["Controller", "PlanChange", "Tuning"]

_PROBE_S = 0.005  # a long probe should take the uplink this long, to stand out from the noise
_PROBE_BYTES = (1500, 32_000)
_STALE_S = 1.0  # an answer that took longer tells how the link was, not how it is
_HASTE_S = 0.05
_FORGET_S = 60.0
_DEVICE_FORGET_S, _SERVER_FORGET_S = 60.0, 10.0  # a server that is left alone tells nothing
_BESIDE_TRAFFIC, _IDLE = 4, 16  # so many times rarer are probes
_BETTER = 100  # that much better a link may become at once
_LOST_S = 5.0  # an answer that is missing for so long may never come; until then it is the probe
_PRICE_WEIGHT = 0.2  # a server's price swings from answer to answer


class Tuning(Settings):
    """How eagerly the controller acts; times in seconds.

    A new plan must be better than the one in force by ``switch_sigmas`` standard deviations of that
    gain, as far as bandwidth and round trip are in doubt. Switching itself costs nothing: both ends
    hold every segment.
    """

    replan_s: Annotated[float, Field(ge=0, le=3600)] = 0.25
    probe_s: Annotated[float, Field(gt=0, le=3600)] = 0.5
    switch_sigmas: Annotated[float, Field(ge=0, le=10)] = 0.3
    breaker_failures: Annotated[int, Field(ge=1, le=1000)] = 2
    breaker_retry_s: Annotated[float, Field(gt=0, le=3600)] = 0.5


@dataclass(frozen=True)
class PlanChange:
    """A bare plan taken up at a time, with the conditions that led to it."""

    at_s: float
    plan: Plan
    conditions: Conditions
    explain: Callable[[Plan], Plan] = field(repr=False)

    def explained(self) -> Plan:
        """Return the plan with its prediction and why it was chosen, which takes milliseconds."""
        return self.explain(self.plan)


@dataclass
class _Sent:
    """A message on its way: when it left, its bits and those up to its end, when it is expected."""

    at_s: float
    size_bits: float
    bits: float
    expected_s: float
    plan: Plan | None
    outrun: bool = False


@dataclass
class Controller:
    """Decides which plan is in force; every method takes the time as its first argument.

    ``hedged`` says whether plans may count on the device to compute on while answers are under way;
    ``rate_hz`` how many samples come a second by themselves, 0 if none does.
    """

    planner: Planner
    objective: Objective
    strategy: Strategy
    tuning: Tuning = field(default_factory=Tuning)

    def __post_init__(self) -> None:
        self.estimator = LinkEstimator()
        self.breaker = Breaker(self.tuning.breaker_failures, self.tuning.breaker_retry_s)
        self.device_stretch = Stretch(_DEVICE_FORGET_S)
        self.server_stretch = Stretch(_SERVER_FORGET_S)
        self.queue_s = self.price_s = 0.0
        self.hedged = False
        self._vain = VainShare()
        self.rate_hz = 0.0
        self._changes: list[PlanChange] = []
        self._plan: Plan | None = None
        self._decided_s = 0.0
        self._decided_reachable = True
        self._sent: dict[int, _Sent] = {}  # in the order in which they left
        self._heard_of_s = -math.inf
        self._unserved = False
        self._overdue = False
        self._last_probe_s = -math.inf
        self._last_sample_s = -math.inf
        self._long_probe_next = False
        self._hasty_probes = 0
        self._probe_rest = 1

    def take_changes(self) -> list[PlanChange]:
        """Return the plans that came into force since this was last asked."""
        changes, self._changes = self._changes, []
        return changes

    def conditions(self, now_s: float) -> Conditions:
        """Return what is believed of the link and the machines.

        A device that computes on while it waits loses little if the link is worse than believed, so
        it takes the link for what it seems; others are cautious. A link that has been silent is
        expected to stay silent for as long again: outages have heavy tails.
        """
        link, hedged = self.estimator.estimate(now_s), self.hedged
        return Conditions(
            bandwidth_bps=link.bandwidth_bps if hedged else link.cautious_bps,
            rtt_s=link.rtt_s,
            queue_s=self.queue_s + self._silent_s(now_s),
            device_stretch=self.device_stretch.at(now_s),
            server_stretch=self.server_stretch.at(now_s),
            reachable=self._reachable(now_s),
            price_s=self.price_s,
            hedged=hedged,
            vain_share=self._vain.at(now_s) if hedged else 0.0,
            tail_vain_share=self._vain.tail if hedged else 0.0,
            rate_hz=self.rate_hz,
        )

    def plan(self, now_s: float) -> Plan:
        """Return the plan in force, decided anew if it is time or reachability changed."""
        due = now_s - self._decided_s >= self.tuning.replan_s
        turned = self._reachable(now_s) != self._decided_reachable
        if self._plan is None or (self.strategy.adapts and (due or turned)):
            self._decide(now_s)
        assert self._plan is not None
        return self._plan

    def likely_plan(self, now_s: float) -> Plan:
        """Return the plan that would come into force now; it does not."""
        return self.strategy.decide(self.planner, self.objective, self.conditions(now_s))

    def renew(self, planner: Planner) -> None:
        """Plan with another planner from now on; what is known of link and machines stays.

        Answers to samples that were sent before tell of the link, not of this planner's server.
        """
        self.planner = planner
        self._plan = None
        self._unserved = False
        for sent in self._sent.values():
            sent.plan = None

    def local_plan(self, now_s: float) -> Plan:
        """Return the best plan that sends nothing, for when no more may be on its way."""
        return self.planner.best(self.objective, replace(self.conditions(now_s), reachable=False))

    def answer_s(self, now_s: float, size_bytes: int, cut: int) -> float:
        """Return how long an answer to a sample sent now is likely to take."""
        link = self.estimator.estimate(now_s)
        return self._away_s(now_s, size_bytes, cut, link.bandwidth_bps)

    def send_s(self, now_s: float, size_bytes: int, cut: int) -> float:
        """Return how long an answer to a sample sent now is expected to take, at most.

        Twice the estimate, and three standard deviations of the round trip: beyond that the
        link has changed.
        """
        link = self.estimator.estimate(now_s)
        away_s = self._away_s(now_s, size_bytes, cut, link.cautious_bps)
        return 2 * away_s + 3 * link.rtt_sigma_s

    def _away_s(self, now_s: float, size_bytes: int, cut: int, bandwidth_bps: float) -> float:
        bits = 8 * (size_bytes + FRAME_OVERHEAD_BYTES)
        return (
            self.estimator.estimate(now_s).rtt_s
            + bits / bandwidth_bps
            + self.queue_s
            + self._tail_s(now_s, cut)
        )

    def sent(self, now_s: float, message: int, size_bytes: int, plan: Plan | None = None) -> None:
        """Take in that a message goes out; ``plan`` is None for a probe."""
        for old in [m for m, sent in self._sent.items() if now_s - sent.at_s > _FORGET_S]:
            del self._sent[old]
        size = size_bytes + FRAME_OVERHEAD_BYTES
        size_bits = 8 * size
        bits = self.estimator.sent(now_s, size) + size_bits
        link = self.estimator.estimate(now_s)
        expected_s = now_s + link.rtt_s + bits / link.bandwidth_bps
        if plan is not None:
            expected_s += self.queue_s + self._tail_s(now_s, plan.cut)
            self._last_sample_s = now_s
        self._sent[message] = _Sent(now_s, size_bits, bits, expected_s, plan)

    def withdrawn(self, message: int) -> None:
        """Take in that a message did not go out after all."""
        if sent := self._sent.pop(message, None):
            self.estimator.withdrawn(sent.size_bits)

    def answered(self, now_s: float, message: int, timeline: Timeline, load: Load) -> None:
        """Take in that an answer came, in time or late."""
        sent = self._sent.pop(message, None)
        if sent is None:
            return
        self.breaker.succeed()
        self._overdue = False
        self._heard_of_s = max(self._heard_of_s, sent.at_s)
        elapsed_s = now_s - sent.at_s
        if elapsed_s > max(_STALE_S, 2 * (self.objective.deadline_s or 0.0)):
            self._hasty_probes = 4
        else:
            self.estimator.observe(now_s, sent.bits, max(elapsed_s - timeline.total_s, 1e-5))
            if self.estimator.surprised:
                self._hasty_probes = max(self._hasty_probes, 2)
        self.queue_s += 0.5 * (max(timeline.queue_s, load.queue_s) - self.queue_s)
        self.price_s += _PRICE_WEIGHT * (load.price_s - self.price_s)
        if sent.plan is not None:
            if not sent.outrun:
                self._vain.observe(now_s, vain=False)
            self.strategy.learn(sent.plan, elapsed_s)
            if timeline.segment_s:
                expected_s = self.planner.server.tail[sent.plan.cut].median_s
                self.server_stretch.observe(now_s, sum(timeline.segment_s), expected_s)

    def outrun(self, now_s: float, message: int) -> None:
        """Take in that the device itself had the answer before the server's came."""
        self._vain.observe(now_s, vain=True)
        if sent := self._sent.get(message):
            sent.outrun = True

    def kept_here(self) -> None:
        """Take in that a sample was answered without being sent."""
        self._vain.kept_here()

    def overdue(self, now_s: float, message: int) -> None:
        """Take in that an answer should have come by now.

        Until something is heard again, plans send nothing: either the link has become slow, or
        it is gone, and one sample is enough to find out which.
        """
        sent = self._sent.get(message)
        if sent is not None:
            self.estimator.observe_silence(now_s, sent.bits, now_s - sent.at_s)
            self._overdue = True

    def unanswered(self, now_s: float, message: int, *, overdue: bool = True) -> None:
        """Take in that an answer is no longer waited for; it may still come.

        That is a failure of the server's only if the answer was ``overdue``; else the device had
        too little time.
        """
        sent = self._sent.get(message)
        if sent is not None and overdue:
            self.estimator.observe_silence(now_s, sent.bits, now_s - sent.at_s)
        if overdue:
            self.breaker.fail(now_s)

    def refused(self, now_s: float, message: int, *, for_good: bool = False) -> None:
        """Take in that the server answered with a failure.

        ``for_good`` if it will do so every time, because it does not hold the bundle; nothing is
        sent then until there is a new connection.
        """
        sent = self._sent.pop(message, None)
        if sent is not None and sent.plan is not None:  # else it says nothing of this bundle
            self._unserved |= for_good
        self.breaker.fail(now_s)

    def deferred(self, message: int) -> None:
        """Take in that the server, which is well, did not take this sample."""
        self._sent.pop(message, None)
        self._overdue = False
        self.breaker.succeed()

    def disconnected(self, now_s: float) -> None:
        """Take in that the connection is gone, and with it all that was on its way."""
        self._sent.clear()
        self._unserved = self._overdue = False
        self.estimator.forget_backlog(now_s)
        self.breaker.trip(now_s)

    def computed(self, now_s: float, observed_s: float, expected_s: float) -> None:
        """Take in how long the device took for work that its profile knows."""
        self.device_stretch.observe(now_s, observed_s, expected_s)

    def probe_bytes(self, now_s: float) -> int | None:
        """Return the padding of the probe to send now, or None if none is due.

        A short one goes out now and then beside traffic, whose messages are long; both kinds when
        there is no traffic; and several at once when an answer was a surprise, or came so late
        that the link must have changed since. None goes out while an answer is overdue, which will
        tell as much when it comes. While the breaker is open, one goes out at each of its
        intervals.
        """
        if not self._probe_is_due(now_s):
            return None
        self._last_probe_s = now_s
        self._hasty_probes = max(self._hasty_probes - 1, 0)
        busy = now_s - self._last_sample_s < self.tuning.probe_s
        return 0 if busy and not self._hasty_probes else self.next_probe_bytes(now_s)

    def next_probe_bytes(self, now_s: float) -> int:
        """Return the padding of the next probe: short and long in turn, to tell x from r."""
        self._long_probe_next = not self._long_probe_next and self._reachable(now_s)
        if not self._long_probe_next:
            return 0
        bandwidth_bps = self.estimator.estimate(now_s).bandwidth_bps
        return int(min(max(_PROBE_S * bandwidth_bps / 8, _PROBE_BYTES[0]), _PROBE_BYTES[1]))

    def next_probe_s(self, now_s: float) -> float:
        """Return when the next probe is due, if nothing is heard until then.

        They are rarer beside traffic, which tells of the link itself, and where even a much better
        link would not be used. None ever is under a plan that sends nothing and is never asked for
        again.
        """
        if not self.strategy.adapts and self._plan is not None and self._plan.level is None:
            return math.inf
        if not self.breaker.closed:
            return self.breaker.next_probe_s
        unheard = self._unheard()
        if unheard is not None and now_s > unheard.expected_s:
            return max(self._last_probe_s, unheard.at_s) + _LOST_S
        if self._hasty_probes:
            return self._last_probe_s + _HASTE_S
        return self._last_probe_s + self.tuning.probe_s * self._probe_rest

    def _probe_is_due(self, now_s: float) -> bool:
        due = now_s >= self.next_probe_s(now_s)
        return due and (self.breaker.closed or self.breaker.may_probe(now_s))

    def _reachable(self, now_s: float) -> bool:
        """Tell whether answers may be counted on; of a link silent for long nothing is known."""
        late = self._overdue and not self.hedged
        lost = self._silent_s(now_s) > _LOST_S
        return self.breaker.closed and not (self._unserved or late or lost)

    def _silent_s(self, now_s: float) -> float:
        """Return for how long an answer should have come; those to later messages count for it."""
        unheard = self._unheard()
        return 0.0 if unheard is None else max(now_s - unheard.expected_s, 0.0)

    def _unheard(self) -> _Sent | None:
        """Return the first message that left after the last one of which something was heard."""
        sent = self._sent.values()
        return next((each for each in sent if each.at_s > self._heard_of_s), None)

    def _tail_s(self, now_s: float, cut: int) -> float:
        return self.planner.server.tail[cut].median_s * self.server_stretch.at(now_s)

    def _decide(self, now_s: float) -> None:
        conditions = self.conditions(now_s)
        chosen = self.strategy.decide(self.planner, self.objective, conditions)
        self._decided_s = now_s
        turned = self._decided_reachable != conditions.reachable
        self._decided_reachable = conditions.reachable
        self._probe_rest = _BESIDE_TRAFFIC if chosen.level else self._rest_alone(conditions)
        if self._plan is not None:
            if chosen.id == self._plan.id and (not turned or conditions.reachable):
                return
            steady = self.strategy.steady and not turned
            if steady and not self._is_better(chosen, now_s, conditions):
                return
        self._plan = chosen
        explain = partial(
            self.strategy.explain,
            self.planner,
            objective=self.objective,
            conditions=conditions,
        )
        self._changes.append(PlanChange(now_s, chosen, conditions, explain))

    def _rest_alone(self, conditions: Conditions) -> int:
        """Return how many times rarer probes are while nothing is sent."""
        better = replace(
            conditions,
            bandwidth_bps=_BETTER * conditions.bandwidth_bps,
            rtt_s=conditions.rtt_s / _BETTER,
            queue_s=0.0,
            server_stretch=1.0,
            reachable=True,
        )
        return 1 if self.planner.best(self.objective, better).level else _IDLE

    def _is_better(self, chosen: Plan, now_s: float, conditions: Conditions) -> bool:
        """Tell whether a plan is better than the one in force by more than can be doubted."""
        assert self._plan is not None
        link = self.estimator.estimate(now_s)
        slower_bps = 1 / (1 / conditions.bandwidth_bps + link.s_per_bit_sigma)
        doubts = (
            conditions,
            replace(conditions, bandwidth_bps=slower_bps),
            replace(conditions, rtt_s=conditions.rtt_s + link.rtt_sigma_s),
        )
        gains_s = []
        for doubt in doubts:
            old, new = (
                self.planner.standing(plan, self.objective, doubt) for plan in (self._plan, chosen)
            )
            if old is None or new is None or not old.meets:
                return True
            gains_s.append(old.target - new.target)
        gain_s, slower_s, longer_s = gains_s
        sigma_s = math.hypot(slower_s - gain_s, longer_s - gain_s)
        return gain_s > self.tuning.switch_sigmas * sigma_s
