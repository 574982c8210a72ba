"""The processor of a virtual device: how long heads and fallbacks take, and what they answer.

It does what `device.head.Head` does, with times and recorded outcomes instead of tensors.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import accumulate

from device.board import Board
from device.fallback import choose_option, leave_early
from device.levels import slow_levels
from device.work import FallBack, Reached, RunHead, Work
from partitioner.candidates import CLOSED
from partitioner.plan import Plan
from partitioner.planner import Planner
from sim.world.outcomes import Outcomes, PlanOutcomes
from sim.world.readiness import Readiness

__all__ = ["Held", "Processor"]


@dataclass(eq=False, slots=True)
class Held:
    """A sample that a device holds: which one it is, and what its head came to.

    ``exit`` is the exit that answered here, None for the whole model, and ``right`` whether that
    answer is. Until one is given here, ``right`` is that of the server's answer. ``level`` is that
    at which it was encoded.
    """

    sample: int
    outcomes: PlanOutcomes | None = None
    at: int = 0
    ran: frozenset[int] = frozenset()
    exit: int | None = None
    right: bool = False
    level: str = ""

    @property
    def end(self) -> int | None:
        """The boundary at which it leaves the server, were it sent; None for the model's end."""
        ends = self.outcomes.ends if self.outcomes else ()
        return ends[self.sample] if ends else None


@dataclass(frozen=True)
class _Course:
    """A plan's times on the processor, not stretched.

    ``leave_s[e]`` is until a sample leaves at exit ``e``, the last one until the cut is reached;
    ``ran`` are the exits that ran by then and ``at`` the boundaries.
    """

    outcomes: PlanOutcomes
    leave_s: tuple[float, ...]
    ran: tuple[frozenset[int], ...]
    at: tuple[int, ...]
    encode_s: float


class Processor:
    """What the processors of all devices of one board do; it keeps nothing of a sample.

    ``slow_levels`` are those that a device has to load before it can send by them.
    """

    def __init__(self, planner: Planner, outcomes: Outcomes) -> None:
        self._profile, self._manifest = planner.device, planner.bundle.manifest
        self._board = Board(self._profile, self._manifest)
        self._outcomes = outcomes
        self.slow_levels = slow_levels(self._manifest)
        self._courses: dict[tuple[int, str | None, tuple[float, ...]], _Course] = {}
        slowest = [self._head_s(cut)[-1] for cut in self._manifest.cuts]
        self._most_s = max(slowest) + sum(t.median_s for t in self._profile.exits)
        self._whole = self._manifest.reach == len(self._manifest.segments)

    def run_head(
        self,
        job: RunHead,
        held: Held,
        now_s: float,
        stretch: float,
        readiness: Readiness | None = None,
    ) -> tuple[float, Reached]:
        """Return how long a head and encoding take, and what comes of it.

        ``stretch`` is how much slower the processor really is now; the job has what is believed.
        ``readiness`` is the device's; without it, all levels are ready.
        """
        plan = job.work.plan
        assert plan is not None
        course = self._course(plan)
        held.outcomes, sample = course.outcomes, held.sample
        if plan.level is None and not self._has_time(job, now_s, stretch):
            return self._run_hurried(job, held, now_s, stretch)
        place = course.outcomes.leaves[sample]
        head_s = course.leave_s[place] * stretch
        held.at, held.ran = course.at[place], course.ran[place]
        held.right = bool(course.outcomes.right[sample])
        if place < len(plan.thresholds) or plan.level is None:
            held.exit = place if place < len(plan.thresholds) else None
            return head_s, Reached(held.at, held.ran, head_s, answered=True)
        held.level = plan.level
        if readiness is not None:
            held.level = readiness.level(now_s + head_s, plan.cut, plan.level)
        if held.level != plan.level:
            course = self._course(replace(plan, level=held.level))
            held.outcomes, held.right = course.outcomes, bool(course.outcomes.right[sample])
        encode_s = course.encode_s * stretch
        size_bytes = course.outcomes.size_bytes[sample]
        reached = Reached(held.at, held.ran, head_s, size_bytes=size_bytes, encode_s=encode_s)
        return head_s + encode_s, reached

    def fall_back(self, job: FallBack, held: Held, now_s: float, stretch: float) -> float:
        """Return how long the best answer takes for which there is time; it is then held."""
        assert job.work.plan is not None
        options = self._board.options(held.at, held.ran, job.stretch)
        option = choose_option(options, now_s=now_s, deadline_s=job.until_s)
        self._answer(held, option.exit, job.work.plan.cut)
        return option.time_s / job.stretch * stretch

    def step_s(self, at: int) -> float:
        """Return how long the segment behind boundary ``at`` takes."""
        return self._profile.between_s(at, at + 1)

    def run_on(self, held: Held, work: Work) -> None:
        """Take a sample that was sent one segment on; behind the last one its answer is known."""
        assert work.plan is not None
        held.at = work.at + 1
        if held.at == len(self._manifest.segments):
            self._answer(held, None, work.plan.cut)

    def _has_time(self, job: RunHead, now_s: float, stretch: float) -> bool:
        """Tell, quickly and on the safe side, whether a head need not look at the clock."""
        return self._whole and now_s + max(stretch, job.stretch) * self._most_s <= job.until_s

    def _run_hurried(
        self, job: RunHead, held: Held, now_s: float, stretch: float
    ) -> tuple[float, Reached]:
        """Run on while there is time for the rest, then leave where there is."""
        plan = job.work.plan
        assert plan is not None
        outcomes, exits = self._outcomes.under(plan), self._profile.exits
        leaves, head_s = outcomes.leaves[held.sample], self._head_s(plan.cut)
        spent_s, at, ran = 0.0, 0, frozenset[int]()
        while at < plan.cut:
            options = self._board.options(at, ran, job.stretch)
            option = leave_early(options, plan.cut, now_s=now_s + spent_s, deadline_s=job.until_s)
            if option is not None:
                spent_s += option.time_s / job.stretch * stretch
                self._answer(held, option.exit, plan.cut)
                if option.exit is not None:
                    ran |= {*self._board.runs_for(option.exit)}
                return spent_s, Reached(option.stop, ran, spent_s, answered=True, hurried=True)
            spent_s += (head_s[at + 1] - head_s[at]) * stretch
            at += 1
            for number in self._board.tried_at(at, plan.thresholds):
                spent_s += exits[number].median_s * stretch
                ran |= {number}
                if leaves == number:
                    self._answer(held, number, plan.cut)
                    return spent_s, Reached(at, ran, spent_s, answered=True)
        held.ran = ran
        self._answer(held, None, plan.cut)
        return spent_s, Reached(at, ran, spent_s, answered=True)

    def _answer(self, held: Held, exit_: int | None, cut: int) -> None:
        held.exit = exit_
        if exit_ is None:
            held.right = bool(self._outcomes.whole_right(cut, held.ran)[held.sample])
        else:
            held.right = bool(self._outcomes.exit_right[exit_][held.sample])

    def _course(self, plan: Plan) -> _Course:
        key = plan.cut, plan.level, plan.thresholds
        found = self._courses.get(key)
        if found is None:
            found = self._courses[key] = self._look_up(plan)
        return found

    def _look_up(self, plan: Plan) -> _Course:
        head_s, specs = self._head_s(plan.cut), self._manifest.exits
        opened = [at for at, threshold in enumerate(plan.thresholds) if threshold < CLOSED]
        leave_s, ran, at = [], [], []
        for place, boundary in enumerate(
            [*(specs[e].boundary for e in range(len(plan.thresholds))), plan.cut]
        ):
            known = frozenset(e for e in opened if e <= place)
            leave_s.append(head_s[boundary] + sum(self._profile.exits[e].median_s for e in known))
            ran.append(known)
            at.append(boundary)
        encode_s = 0.0
        if plan.level is not None:
            encode_s = self._profile.encode[f"{plan.cut}/{plan.level}"].median_s
        outcomes = self._outcomes.under(plan)
        return _Course(outcomes, tuple(leave_s), tuple(ran), tuple(at), encode_s)

    def _head_s(self, cut: int) -> list[float]:
        """Return when the head of a cut has come to each boundary, on the runner chosen for it."""
        head = self._profile.runner(cut).head
        # Measurements waver, but no head is faster than a shorter one.
        return list(accumulate((timing.median_s for timing in head), max))
