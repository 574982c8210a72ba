"""The controller: observations and time in, plans out.

It joins the link estimator, the breaker, both machines' stretches and the strategy. It knows no
socket, clock or thread: the agent and the simulator drive the same object.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import partial

from device.allowance import Allowance
from device.awaited import Awaited
from device.breaker import Breaker
from device.contact import Contact
from device.estimator import LinkEstimator
from device.heed import Heed
from device.in_force import InForce, PlanChange, Ready, always_ready
from device.probing import Probing
from device.stretch import Stretch
from device.tuning import Tuning
from device.uplink import Expected, Passage, Uplink
from device.vain import VainShare
from offramp.messages import Load, Timeline
from partitioner.conditions import Conditions
from partitioner.objective import Objective
from partitioner.plan import Plan
from partitioner.planner import Planner
from partitioner.strategies import Strategy

__all__ = ["Controller"]

_STALE_S = 1.0  # an answer that took longer tells how the link was, not how it is
_LEAST_S = 1e-5
_DEVICE_FORGET_S, _SERVER_FORGET_S = 60.0, 10.0  # a server that is left alone tells nothing
_MOVED_PROBES = 4
_PRICE_WEIGHT = 0.2  # a server's price swings from answer to answer


@dataclass
class Controller:
    """Decides which plan is in force; every method takes the time as its first argument.

    What drives it tells ``ready`` whether a plan's codec level is there, or else to load it.
    ``hedged`` says whether plans may count on the device to compute on while answers are under way;
    ``rate_hz`` how many samples come a second by themselves, 0 if none does, and ``unevenness`` how
    far from evenly (`partitioner.conditions`). A server's load counts as much as ``heed``
    says.
    """

    planner: Planner
    objective: Objective
    strategy: Strategy
    tuning: Tuning = field(default_factory=Tuning)
    heed: Heed = field(default_factory=Heed)

    def __post_init__(self) -> None:
        self.estimator = LinkEstimator()
        self.breaker = Breaker(self.tuning.breaker_failures, self.tuning.breaker_retry_s)
        self._contact = Contact(self.breaker)
        self.device_stretch = Stretch(_DEVICE_FORGET_S)
        self.server_stretch = Stretch(_SERVER_FORGET_S)
        self.queue_s = self.price_s = 0.0
        self.hedged = self._stale = False
        self._vain = VainShare()
        self.rate_hz = self.unevenness = 0.0
        self.ready: Ready = always_ready
        self._in_force = InForce(self.strategy, self.objective, self.tuning)
        self._awaited = Awaited()
        self._allowance = Allowance(self.objective.limits.uplink_bytes)
        self._uplink = Uplink(self.estimator, self._awaited, self._allowance)
        self._probing = Probing(self.tuning.probe_s, self.breaker, self._allowance)

    def take_changes(self) -> list[PlanChange]:
        """Return the plans that came into force since this was last asked."""
        return self._in_force.take_changes()

    def conditions(self, now_s: float) -> Conditions:
        """Return what is believed of the link and the machines.

        A link that has been silent is expected to stay silent for as long again: outages have heavy
        tails.
        """
        link, hedged = self.estimator.estimate(now_s), self.hedged
        return Conditions(
            bandwidth_bps=link.bandwidth_bps,
            rtt_s=link.rtt_s,
            queue_s=self.queue_s + self._awaited.silent_s(now_s),
            device_stretch=self.device_stretch.at(now_s),
            server_stretch=self.server_stretch.at(now_s),
            reachable=self._reachable(now_s),
            price_s=self.heed.price_s(now_s, self.queue_s, self.price_s),
            hedged=hedged,
            vain_share=self._vain.at(now_s) if hedged else 0.0,
            tail_vain_share=self._vain.tail if hedged else 0.0,
            s_per_bit_sigma=link.s_per_bit_sigma,
            rtt_sigma_s=link.rtt_sigma_s,
            rate_hz=self.rate_hz,
            unevenness=self.unevenness,
        )

    def plan(self, now_s: float) -> Plan:
        """Return the plan in force, decided anew if it is time or reachability changed."""
        if self._in_force.is_due(now_s, self._reachable(now_s)):
            conditions = self.conditions(now_s)
            wanted = self._in_force.decide(now_s, self.planner, conditions, self.ready)
            self._probing.suit(wanted, conditions, partial(self.planner.best, self.objective))
        assert self._in_force.plan is not None
        return self._in_force.plan

    def likely_plan(self, now_s: float) -> Plan:
        """Return the plan that would come into force now; it does not."""
        return self.strategy.decide(self.planner, self.objective, self.conditions(now_s))

    def renew(self, planner: Planner, ready: Ready = always_ready) -> None:
        """Plan with another planner from now on; what is known of link and machines stays.

        Answers to samples that were sent before tell of the link, not of this planner's server.
        """
        self.planner, self.ready = planner, ready
        self._in_force.drop()
        self._contact.renewed()
        self._awaited.forget_plans()

    def local_plan(self, now_s: float) -> Plan:
        """Return the plan for when no more may be on its way: what the strategy does alone."""
        return self._in_force.alone(self.planner, self.conditions(now_s))

    def expect(self, now_s: float, size_bytes: int, cut: int, ahead_s: float = 0.0) -> Expected:
        """Return how long an answer is going to take to a sample sent so long from now.

        A link that is silent may well stay silent for as long again.
        """
        server_s = self._server_s(now_s, cut)
        expected = self._uplink.expect(now_s + ahead_s, size_bytes, server_s)
        silent_s = self._awaited.silent_s(now_s)
        return expected._replace(cautious_s=expected.cautious_s + silent_s)

    def sent(self, now_s: float, message: int, size_bytes: int, plan: Plan | None = None) -> None:
        """Take in that a message goes out; ``plan`` is None for a probe."""
        server_s = 0.0
        if plan is not None:
            server_s = self._server_s(now_s, plan.cut)
            self._allowance.grant()
            self._probing.sample_sent(now_s)
        self._uplink.send(now_s, message, size_bytes, server_s, plan)

    def withdrawn(self, message: int) -> None:
        """Take in that a message did not go out after all."""
        self._uplink.withdraw(message)

    def answered(self, now_s: float, message: int, timeline: Timeline, load: Load) -> None:
        """Take in that an answer came, in time or late."""
        sent = self._awaited.pop(message)
        if sent is None:
            return
        self._contact.heard()
        self._awaited.heard_of(sent)
        elapsed_s = now_s - sent.at_s
        self._observe_link(now_s, self._uplink.answered(now_s, sent, timeline.total_s))
        # A sample has waited itself; what the server tells of late may be of this device's own.
        told_s = load.queue_s if sent.plan is None else timeline.queue_s
        self.queue_s += 0.5 * (told_s - self.queue_s)
        self.price_s += _PRICE_WEIGHT * (load.price_s - self.price_s)
        if sent.plan is not None:
            if not sent.outrun:
                self._vain.observe(now_s, vain=False)
            self.strategy.learn(sent.plan, elapsed_s)
            if timeline.segment_s:
                expected_s = self.planner.server.tail[sent.plan.cut].median_s
                self.server_stretch.observe(now_s, sum(timeline.segment_s), expected_s)

    def _observe_link(self, now_s: float, passage: Passage) -> None:
        """Take in how long a message took; the first one that took too long tells only that."""
        bits, elapsed_s, trips = passage
        stale_s = max(_STALE_S, 2 * (self.objective.deadline_s or 0.0))
        was_stale, self._stale = self._stale, elapsed_s > stale_s
        if self._stale and not was_stale:
            self.estimator.observe_silence(now_s, bits, stale_s)
            self._probing.hurry(4)
        else:
            self.estimator.observe(now_s, bits, max(elapsed_s, _LEAST_S), trips)
            if self.estimator.surprised:
                self._probing.hurry(2)

    def outrun(self, now_s: float, message: int) -> None:
        """Take in that the device itself had the answer before the server's came."""
        self._vain.observe(now_s, vain=True)
        if sent := self._awaited.find(message):
            sent.outrun = True

    def kept_here(self) -> None:
        """Take in that a sample was answered without being sent."""
        self._vain.kept_here()
        self._allowance.grant()

    def overdue(self, now_s: float, message: int) -> None:
        """Take in that an answer should have come by now."""
        sent = self._awaited.find(message)
        if sent is not None:
            # The server may be late, too: by as much as `Uplink.latest_s` lets it.
            silent_s = now_s - sent.at_s - 2 * sent.server_s
            self.estimator.observe_silence(now_s, sent.bits, silent_s)
            self._contact.overdue()

    def unanswered(self, now_s: float) -> None:
        """Take in that an answer that is overdue is no longer waited for; it may still come."""
        self._contact.failed(now_s)

    def refused(self, now_s: float, message: int, *, for_good: bool = False) -> None:
        """Take in that the server answered with a failure.

        ``for_good`` if it will do so every time, because it does not hold the bundle; nothing is
        sent then until there is a new connection, or the server is said to hold it again.
        """
        sent = self._awaited.pop(message)
        if sent is not None and sent.plan is not None and for_good:
            self._contact.unserved()  # a sample of another bundle says nothing of this one
        self._contact.failed(now_s)

    def served(self) -> None:
        """Take in that the server says that it holds the bundle."""
        self._contact.renewed()

    def deferred(self, message: int) -> None:
        """Take in that the server, which is well, did not take this sample."""
        self._awaited.pop(message)
        self._contact.heard()

    def disconnected(self, now_s: float) -> None:
        """Take in that the connection is gone, and with it all that was on its way."""
        self._awaited.clear()
        self.estimator.forget_backlog(now_s)
        self._contact.broke(now_s)

    def moved(self, now_s: float) -> None:
        """Take in that another server answers from now on, over another link.

        What the one before it still answers tells nothing any more; nor does what it told.
        """
        self._awaited.clear()
        self.estimator.forget_backlog(now_s)
        self.estimator.doubt()
        self.queue_s = self.price_s = 0.0
        self.server_stretch = Stretch(_SERVER_FORGET_S)
        self._contact.moved()
        self._probing.hurry(_MOVED_PROBES)

    def awaits(self, message: int) -> bool:
        """Tell whether a message went to this server and is not answered yet."""
        return self._awaited.find(message) is not None

    def computed(self, now_s: float, observed_s: float, expected_s: float) -> None:
        """Take in how long the device took for work that its profile knows."""
        self.device_stretch.observe(now_s, observed_s, expected_s)

    def probe_bytes(self, now_s: float) -> int | None:
        """Return the padding of the probe to send now, or None if none is due."""
        if now_s < self.next_probe_s(now_s):
            return None
        return self._probing.take(now_s, self._bandwidth_bps(now_s))

    def next_probe_bytes(self, now_s: float) -> int:
        """Return the padding of the next probe of a row."""
        return self._probing.take_next(self._bandwidth_bps(now_s))

    def next_probe_s(self, now_s: float) -> float:
        """Return when the next probe is due, if nothing is heard until then.

        None ever is under a plan that sends nothing and is never asked for again.
        """
        plan = self._in_force.plan
        if plan is not None and plan.level is None and not self.strategy.adapts:
            return math.inf
        return self._probing.next_s(now_s, self._awaited.unheard, self.estimator.bandwidth_bps)

    def _bandwidth_bps(self, now_s: float) -> float | None:
        """Return the bandwidth that is believed, or None while no answer may be counted on."""
        return self.estimator.bandwidth_bps if self._answers(now_s) else None

    def _reachable(self, now_s: float) -> bool:
        """Tell whether plans may send: there is a server, and something is known of the way."""
        return self.estimator.knows and self._answers(now_s)

    def _answers(self, now_s: float) -> bool:
        return self._contact.is_there(self._awaited.silent_s(now_s), patient=self.hedged)

    def _server_s(self, now_s: float, cut: int) -> float:
        """Return how long a sample is likely to be at the server."""
        tail_s = self.planner.server.tail[cut].median_s
        return self.queue_s + tail_s * self.server_stretch.at(now_s)
