"""The head: runs segments and exits of one sample on the device, at the board's pace."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np

from device.fallback import Option, choose_option
from device.pace import Pace
from offramp import exits
from offramp.boundary_codec import BoundaryCodec
from offramp.network import Network
from offramp.tensors import Array
from partitioner.candidates import CLOSED
from partitioner.plan import Plan
from partitioner.profile import Profile

__all__ = ["Head", "Progress"]


@dataclass
class Progress:
    """How far a sample has come: the tensors of boundary ``at``, and every exit's logits so far.

    ``left`` is the exit at which the sample left, ``final`` the model's own logits once they are
    known here. Tensors and logits have a batch dimension of 1.
    """

    values: list[Array]
    at: int = 0
    logits: dict[int, Array] = field(default_factory=dict)
    left: int | None = None
    final: Array | None = None
    hurried: bool = False
    head_s: float = 0.0
    encode_s: float = 0.0


class Head:
    """A bundle's device part with its profile, which gives the board's time of each step.

    ``stretch`` is how much longer than that the board takes now.
    """

    def __init__(self, network: Network, profile: Profile) -> None:
        self.network = network
        self.profile = profile
        self.stretch = 1.0
        self.pace = Pace(profile.slowdown)
        self._manifest = network.bundle.manifest
        self._codecs: dict[tuple[int, str], BoundaryCodec] = {}

    def run(self, progress: Progress, plan: Plan, deadline_s: float) -> None:
        """Run up to the plan's cut, or to the exit at which the sample leaves.

        If the plan ends on the device and there is no time for that until ``deadline_s``
        (`time.perf_counter`), the sample is ``hurried``: it leaves at the last exit in reach.
        """
        started = time.perf_counter()
        self.pace.begin()
        while progress.at < plan.cut and progress.left is None:
            if plan.level is None:
                options = self.options(progress)
                option = choose_option(options, now_s=time.perf_counter(), deadline_s=deadline_s)
                if option.exit is not None:
                    self.finish(progress, option)
                    progress.hurried = True
                    break
            self._step(progress)
            self._try_exits(progress, plan)
        if progress.left is None and progress.at == self.network.depth:
            progress.final = progress.values[0]
        progress.head_s = time.perf_counter() - started

    def encode(self, progress: Progress, level: str) -> tuple[bytes, ...]:
        """Encode the boundary that was reached, one frame for each tensor."""
        started = time.perf_counter()
        self.pace.begin()
        key = progress.at, level
        if key not in self._codecs:
            self._codecs[key] = BoundaryCodec(self._manifest.boundaries[progress.at], level)
        frames = self._codecs[key].encode([array[0] for array in progress.values])
        self.pace.step(self.profile.encode[f"{progress.at}/{level}"].median_s)
        progress.encode_s = time.perf_counter() - started
        return frames

    def fall_back(self, progress: Progress, deadline_s: float) -> None:
        """Answer a sample that was sent in vain, as well as there is time for."""
        self.pace.begin()
        options = self.options(progress)
        option = choose_option(options, now_s=time.perf_counter(), deadline_s=deadline_s)
        self.finish(progress, option)

    def finish(self, progress: Progress, option: Option) -> None:
        """Run on to where ``option`` stops and take its answer."""
        while progress.at < option.stop:
            self._step(progress)
        if option.exit is None:
            progress.final = progress.values[0]
        else:
            if option.exit not in progress.logits:
                self._run_exit(progress, option.exit)
            progress.left = option.exit

    def options(self, progress: Progress) -> list[Option]:
        """Return the ways to answer here from where the sample is, best answer first."""
        depth, slower = self.network.depth, self.stretch
        options = [Option(None, depth, self.profile.between_s(progress.at, depth) * slower)]
        for at, spec in reversed(list(enumerate(self._manifest.exits))):
            if at in progress.logits:
                options.append(Option(at, progress.at, 0.0))
                break
            if spec.boundary >= progress.at > 0 or spec.boundary > progress.at:
                time_s = self.profile.between_s(progress.at, spec.boundary)
                time_s += self.profile.exits[at].median_s
                options.append(Option(at, spec.boundary, time_s * slower))
        return options

    def expected_s(self, progress: Progress) -> float:
        """Return what the profile says of the segments and exits run so far."""
        ran = sum(self.profile.exits[at].median_s for at in progress.logits)
        return self.profile.head[progress.at].median_s + ran

    def score(self, progress: Progress, policy: str) -> float:
        """Return how sure the last exit that ran is."""
        known = sorted(progress.logits)
        temperatures = [self._manifest.exits[at].temperature for at in known]
        logits = [progress.logits[at] for at in known]
        return float(exits.get(policy).score(logits, temperatures)[0])

    def _step(self, progress: Progress) -> None:
        progress.values = self.network.run_segment(progress.at, progress.values)
        self.pace.step(self.profile.between_s(progress.at, progress.at + 1))
        progress.at += 1

    def _try_exits(self, progress: Progress, plan: Plan) -> None:
        for at, threshold in enumerate(plan.thresholds):
            if self._manifest.exits[at].boundary == progress.at and threshold < CLOSED:
                self._run_exit(progress, at)
                if self.score(progress, plan.policy) >= threshold:
                    progress.left = at
                    return

    def _run_exit(self, progress: Progress, at: int) -> None:
        progress.logits[at] = np.asarray(self.network.exit_logits(at, progress.values))
        self.pace.step(self.profile.exits[at].median_s)
