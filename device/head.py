"""The head: runs segments and exits of one sample on the device, at the board's pace."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from device.adaptation import Adaptation, ThresholdsMoved
from device.board import Board
from device.fallback import Option, choose_option, leave_early
from device.fusing import Fusing
from device.latest import Latest
from device.pace import Pace
from device.readiness import Readiness
from device.vigil import DriftSeen, Vigil
from device.work import Reached
from offramp.boundary_codec import Sent
from offramp.exits import Evidence
from offramp.exits.evidence import as_logits, as_state, summarise
from offramp.exits.fitted import load_policy
from offramp.network import Codes, Network
from offramp.tensors import Array
from partitioner.plan import Plan
from partitioner.profile import Profile

__all__ = ["Head", "Progress"]

_NOTHING = np.zeros((1, 0), np.float32)


@dataclass
class Progress:
    """How far a sample has come: the tensors of boundary ``at``, and every exit's logits so far.

    ``left`` is the exit at which the sample left, ``final`` the model's own logits once they are
    known here; otherwise ``sent`` is the boundary ``sent_at``, encoded at ``level`` as the
    ``number``-th, with changes from the sample ``reference`` if that is not None. Tensors and
    logits have a batch dimension of 1. ``codes`` are what exits hand on to later ones, ``states``
    and ``summary`` what the exit policy reads besides the logits, ``scores`` how sure it was at
    each exit. ``drift`` is there if this sample was one too many, ``moved`` if thresholds were
    others than was last told. ``sentinel`` is the exit at which the sample could have left, if it
    was drawn to go on.
    """

    values: list[Array]
    at: int = 0
    logits: dict[int, Array] = field(default_factory=dict)
    codes: Codes = field(default_factory=dict)
    states: dict[int, Array] = field(default_factory=dict)
    summary: Array | None = None
    scores: dict[int, float] = field(default_factory=dict)
    drift: DriftSeen | None = None
    moved: ThresholdsMoved | None = None
    sentinel: int | None = None
    left: int | None = None
    final: Array | None = None
    sent: Sent | None = None
    sent_at: int = 0
    level: str | None = None
    number: int = 0
    reference: int | None = None
    head_s: float = 0.0
    encode_s: float = 0.0

    @property
    def answered(self) -> bool:
        """Whether the sample left at an exit, or the model's own logits are known."""
        return self.left is not None or self.final is not None

    def reached(self, hurried: bool) -> Reached:
        """Return what is to be told of this head."""
        return Reached(
            self.at,
            frozenset(self.logits),
            self.head_s,
            self.answered,
            hurried,
            size_bytes=self.sent.size_bytes if self.sent else 0,
            encode_s=self.encode_s,
        )


class Head:
    """A bundle's device part, run at the pace of the board that its profile describes.

    ``networks`` holds one for each cut: that on which its head runs. The last one, ``network``,
    runs what is left when the device answers by itself. ``vigil`` sees every sample that had time,
    ``adaptation`` moves the plans' thresholds. ``latest`` is the last sample that the server keeps.
    """

    def __init__(
        self,
        networks: Sequence[Network],
        profile: Profile,
        vigil: Vigil | None = None,
        adaptation: Adaptation | None = None,
    ) -> None:
        self.network = networks[-1]
        self._networks = networks
        self._profile = profile
        self._pace = Pace(profile.slowdown)
        self._manifest = self.network.bundle.manifest
        self._policy = load_policy(self.network.bundle)
        self._vigil = vigil
        self._adaptation = adaptation
        self._board = Board(profile, self._manifest)
        self._fusing = Fusing(self.network)
        self._readiness = Readiness(self.network)
        self._encoded = 0
        self.latest = Latest()

    @property
    def adapts(self) -> bool:
        """Whether it moves the thresholds of plans."""
        return self._adaptation is not None

    def prepare(self) -> None:
        """Load what the first sample that is sent would otherwise wait for, if it is quick."""
        self._readiness.prepare_quick()

    def expect(self, plan: Plan, limit_s: float) -> None:
        """Load what a sample under a plan would otherwise do without; wait for ``limit_s``."""
        if plan.level is not None:
            self._readiness.expect(plan.cut, plan.level, limit_s)

    def is_ready(self, plan: Plan) -> bool:
        """Tell whether samples can go at a plan's level; if not, begin to load what that needs."""
        return plan.level is None or self._readiness.has(plan.cut, plan.level)

    def run(self, progress: Progress, plan: Plan, until_s: float, stretch: float) -> Reached:
        """Run up to the plan's cut and encode, or to the exit at which the sample leaves.

        If the plan ends on the device and there is no time for that until ``until_s``
        (`time.perf_counter`), the sample leaves at the last exit in reach. Raises `InputError` if
        the boundary cannot be encoded.
        """
        started = time.perf_counter()
        self._pace.begin()
        hurried = False
        network = self._networks[plan.cut]
        self._fusing.observe(network, plan.cut)
        thresholds = self._thresholds(progress, plan)
        if "summary" in self._policy.rule.reads and progress.at == 0:
            progress.summary = summarise(progress.values)
        while progress.at < plan.cut and progress.left is None:
            option = None
            if plan.level is None:
                options = self._options(progress, stretch)
                now_s = time.perf_counter()
                option = leave_early(options, plan.cut, now_s=now_s, deadline_s=until_s)
            if option is not None:
                self._finish(progress, option)
                hurried = progress.sentinel is None
            else:
                self._step(progress, network, plan.cut)
                self._try_exits(progress, thresholds)
        if progress.left is None and progress.at == self.network.depth:
            progress.final = progress.values[0]
        if self._vigil:
            scores = [progress.scores.get(at, math.nan) for at in range(len(plan.thresholds))]
            left = None if hurried else progress.left
            progress.drift = self._vigil.observe(plan, left, scores)
        progress.head_s = time.perf_counter() - started
        if not progress.answered:
            self._encode(progress, plan)
        return progress.reached(hurried)

    def learn(self, progress: Progress, final: Array) -> None:
        """Take the end's logits (C,) for a sample of this head's; may come from any thread."""
        if self._adaptation:
            sentinel = progress.sentinel is not None
            self._adaptation.learn(progress.scores, progress.logits, final, sentinel=sentinel)

    def run_on(self, progress: Progress) -> int:
        """Run one more segment of a sample that was sent; return the boundary that it came to.

        At the last one the model's own answer is known here.
        """
        self._pace.begin()
        self._step(progress, self.network, progress.at + 1)
        if progress.at == self.network.depth:
            progress.final = progress.values[0]
        return progress.at

    def fall_back(self, progress: Progress, until_s: float, stretch: float) -> None:
        """Answer a sample that was encoded in vain, as well as there is time for."""
        self._pace.begin()
        options, now_s = self._options(progress, stretch), time.perf_counter()
        self._finish(progress, choose_option(options, now_s=now_s, deadline_s=until_s))

    def _thresholds(self, progress: Progress, plan: Plan) -> tuple[float, ...]:
        """Return the plan's thresholds, or what has become of them."""
        if self._adaptation is None:
            return plan.thresholds
        thresholds = self._adaptation.thresholds(plan)
        progress.moved = self._adaptation.moved(plan, thresholds)
        return thresholds

    def _options(self, progress: Progress, stretch: float) -> Sequence[Option]:
        return self._board.options(progress.at, frozenset(progress.logits), stretch)

    def _finish(self, progress: Progress, option: Option) -> None:
        """Run on to where ``option`` stops and take its answer.

        A sentinel for which there is no time leaves where it could have left before.
        """
        if option.exit is not None and progress.sentinel is not None:
            progress.left = progress.sentinel
            return
        if option.exit is None:
            self._run_on(progress, option.stop)
            progress.final = progress.values[0]
            return
        if option.exit not in progress.logits:
            for at in self._board.runs_for(option.exit):
                if at not in progress.logits:
                    self._run_on(progress, self._manifest.exits[at].boundary)
                    self._run_exit(progress, at)
                    self._pace.step(self._profile.exits[at].median_s)
        progress.left = option.exit

    def _run_on(self, progress: Progress, stop: int) -> None:
        while progress.at < stop:
            self._step(progress, self.network, stop)

    def _encode(self, progress: Progress, plan: Plan) -> None:
        """Encode the boundary that was reached, one frame for each tensor.

        At the plan's level, or losslessly as long as what that one needs is being loaded.
        """
        assert plan.level is not None
        started = time.perf_counter()
        self._pace.begin()
        level = self._readiness.level(progress.at, plan.level)
        progress.number = self._encoded
        self._encoded += 1
        before = self.latest.at(progress.at, progress.number)
        references = before.references if before else ()
        progress.sent = self.network.encode(progress.at, level, progress.values, references)
        progress.sent_at, progress.level = progress.at, level
        if before and progress.sent.holds_changes:
            progress.reference = before.id
        self._pace.step(self._profile.encode[f"{progress.at}/{level}"].median_s)
        progress.encode_s = time.perf_counter() - started

    def _step(self, progress: Progress, network: Network, stop: int) -> None:
        before = progress.at
        progress.at, progress.values = network.step(before, stop, progress.values)
        self._pace.step(self._profile.between_s(before, progress.at))

    def _try_exits(self, progress: Progress, thresholds: Sequence[float]) -> None:
        for at in self._board.tried_at(progress.at, thresholds):
            self._run_exit(progress, at)
            progress.scores[at] = self._score(progress, at)
            self._pace.step(self._profile.exits[at].median_s)
            if progress.scores[at] >= thresholds[at] and progress.sentinel is None:
                if self._adaptation and self._adaptation.is_sentinel():
                    progress.sentinel = at
                else:
                    progress.left = at
                    return

    def _score(self, progress: Progress, at: int) -> float:
        """Return how sure exit ``at`` is; NaN where an exit before it counts and did not run."""
        rule, seen = self._policy.rule, progress.logits
        if rule.looks_back and len(seen) <= at:
            return math.nan
        specs = enumerate(self._manifest.exits[: at + 1])
        reads_states = "states" in rule.reads
        evidence = Evidence(
            logits=tuple(as_logits(seen.get(e, _NOTHING), spec.temperature) for e, spec in specs),
            states=tuple(progress.states.get(e, _NOTHING) for e in range(at + 1) if reads_states),
            summary=_NOTHING if progress.summary is None else progress.summary,
        )
        return float(self._policy.score(evidence)[0])

    def _run_exit(self, progress: Progress, at: int) -> None:
        progress.logits[at] = np.asarray(
            self.network.exit_logits(at, progress.values, progress.codes)
        )
        if "states" in self._policy.rule.reads:
            spec = self._manifest.exits[at]
            names = [tensor.name for tensor in self._manifest.boundaries[spec.boundary].tensors]
            progress.states[at] = as_state(progress.values[names.index(spec.tensor)])
