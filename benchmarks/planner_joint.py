"""How long a joint plan of cut, level and exits takes, and a decision under new conditions.

Decisions are the planner's own, and all that a device's controller does for one. Each is taken
several times, in turns with all others: what the least of its times is beyond the first, other work
on the machine took. The model has 60 blocks, four exits and four codec levels at each cut, with 20
threshold vectors and 1,000 calibration samples made of dice: all are evaluated from the calibration
arrays.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import tabulate
from device.controller import Controller
from offramp.bundle import Boundary, Bundle, ExitSpec, Manifest, SegmentSpec
from offramp.bundle.allowed import Allowed, AllowedPlan
from offramp.calibration import Calibration
from offramp.exits import FittedPolicy, get
from offramp.messages import Load, Timeline
from offramp.tensors import TensorSpec
from partitioner import strategies
from partitioner.candidates import build_candidates
from partitioner.conditions import Conditions
from partitioner.demands import Floats
from partitioner.machine import this_machine
from partitioner.objective import Objective
from partitioner.planner import Planner
from partitioner.profile import Profile, Runner, Timing

__all__ = ["time_control", "time_decisions", "time_joint_plans"]

BLOCKS, VECTORS, SAMPLES, CLASSES = 60, 20, 1_000, 10
LEVELS = ("affine2", "affine4", "affine8", "lossless")
EXITS_AT = (10, 22, 36, 50)
OBJECTIVE = Objective(max_accuracy_drop=0.05, deadline_s=0.5, max_miss_share=0.05)
DIGEST = "0" * 64
LATE = Objective(minimise="late", max_accuracy_drop=0.05, deadline_s=0.1)
LATE_OF_ALL = Objective(minimise="late", max_accuracy_drop=None, deadline_s=0.1)


@dataclass(frozen=True)
class Kind:
    """What decisions hang on besides link and loads: ``doubt`` is a share of what is believed.

    Of samples that come unevenly waits are planned as well. Of ``slow`` decisions fewer are taken.
    """

    objective: Objective = OBJECTIVE
    hedged: bool = False
    uneven: bool = False
    doubt: float = 0.0
    slow: bool = False

    def conditions(self, dice: np.random.Generator) -> Conditions:
        """Return conditions that never were before."""
        bandwidth_bps, rtt_s = 10 ** dice.uniform(4.5, 8.5), dice.uniform(0.001, 0.2)
        return Conditions(
            bandwidth_bps,
            rtt_s,
            queue_s=dice.uniform(0, 0.02),
            device_stretch=dice.uniform(1, 3),
            hedged=self.hedged,
            rate_hz=2.0 * self.uneven,
            unevenness=1.0 * self.uneven,
            s_per_bit_sigma=self.doubt / bandwidth_bps,
            rtt_sigma_s=self.doubt * rtt_s,
        )


KINDS = {
    "no hedge": Kind(),
    "hedge": Kind(hedged=True),
    "no hedge, uneven samples": Kind(uneven=True),
    "hedge, uneven samples": Kind(hedged=True, uneven=True),
    "fewest late": Kind(LATE, slow=True),
    "fewest late, link in doubt": Kind(LATE, doubt=0.3, slow=True),
    "fewest late, link in doubt, any accuracy": Kind(LATE_OF_ALL, doubt=0.3, slow=True),
}

TIMES = 7
_SLOW = 10  # of slow decisions there are so many times fewer
_COLUMNS = ("", "decisions", "p50", "p99", f"p99 of the least of {TIMES} times")

_KNOWN, _OUTRUN = 50, 0.1
"""So many answers come first, and of so large a share the device itself has the answer before."""


def time_joint_plans(rounds: int) -> tuple[dict[str, Any], Planner]:
    """Time everything from the calibration arrays to the first decision, each round anew."""
    dice = np.random.default_rng(5)
    manifest, calibration = _manifest(dice), _calibration(dice)
    bundle, policy = Bundle(manifest, DIGEST, Path("nowhere")), FittedPolicy(get("confidence"))
    device, server = _profile(2e-3), _profile(2e-4)
    taken_s = []
    for _ in range(rounds):
        start = time.perf_counter()
        found = build_candidates(bundle, calibration, policy)
        planner = Planner(bundle, found, device, server)
        planner.best(OBJECTIVE, Conditions(5e6, 0.03))
        taken_s.append(time.perf_counter() - start)
    assert manifest.allowed is not None
    p10, p50, p90 = np.quantile(taken_s, [0.1, 0.5, 0.9]) * 1e3
    plans = len(manifest.allowed.plans)
    figures = {"plans": plans, "samples": SAMPLES, "p10_ms": p10, "p50_ms": p50, "p90_ms": p90}
    tabulate(
        f"Joint plan of {BLOCKS} blocks, ms",
        ("plans", "samples", "p50 (p10 to p90)"),
        [(f"{plans:,}", f"{SAMPLES:,}", f"{p50:.1f} ({p10:.1f} to {p90:.1f})")],
    )
    return figures, planner


def time_decisions(planner: Planner, count: int) -> dict[str, Any]:
    """Time decisions, each under conditions of its own."""
    dice, figures = np.random.default_rng(6), {}
    for name, kind in KINDS.items():
        drawn = [kind.conditions(dice) for _ in range(count // (_SLOW if kind.slow else 1))]
        planner.best(kind.objective, kind.conditions(dice))
        taken_s = np.empty((TIMES, len(drawn)))
        for turn in taken_s:
            for at, now in enumerate(drawn):
                start = time.perf_counter()
                planner.best(kind.objective, now)
                turn[at] = time.perf_counter() - start
        figures[name] = _figures(taken_s)
    tabulate("Decision under new conditions, us", _COLUMNS, _rows(figures))
    return figures


def time_control(planner: Planner, count: int) -> dict[str, Any]:
    """Time all that a device's controller does when it decides anew, four times a second at most.

    That is the conditions, the decision, the doubt about a switch and what to probe for; taking in
    the answers that came meanwhile is not in it.
    """
    figures = {}
    for name in ("no hedge", "hedge"):
        turns = []
        for _ in range(TIMES):
            controller = Controller(planner, OBJECTIVE, strategies.get("offramp"))
            controller.hedged = KINDS[name].hedged
            turns.append(list(_decisions_s(controller, count)))
        figures[name] = _figures(np.array(turns))
    tabulate("Whole decision of a controller, us", _COLUMNS, _rows(figures))
    return figures


def _figures(taken_s: Floats) -> dict[str, float]:
    """Return what N decisions took, each T times, (T, N): the first time, and at least."""
    p50, p99 = np.quantile(taken_s[0], [0.5, 0.99]) * 1e6
    least_p99 = np.quantile(taken_s.min(axis=0), 0.99) * 1e6
    return {
        "decisions": taken_s.shape[1],
        "p50_us": float(p50),
        "p99_us": float(p99),
        "least_p99_us": float(least_p99),
    }


def _rows(figures: dict[str, dict[str, float]]) -> list[list[str]]:
    keys = ("p50_us", "p99_us", "least_p99_us")
    return [
        [name, f"{one['decisions']:,}", *(f"{one[key]:.1f}" for key in keys)]
        for name, one in figures.items()
    ]


def _decisions_s(controller: Controller, count: int) -> Iterator[float]:
    """Yield what each decision took that was due, between samples over a link that wanders.

    Of the first ones, before anything is known of the link, none is yielded.
    """
    dice, now_s, plan = np.random.default_rng(7), 0.0, None
    for message in range(_KNOWN + count):
        size_bytes = int(dice.integers(0, 9000))
        controller.sent(now_s, message, size_bytes, plan)
        now_s += dice.uniform(0.001, 0.2) + 8 * size_bytes / 10 ** dice.uniform(5.5, 8.5)
        if dice.random() < _OUTRUN:
            controller.outrun(now_s, message)
        controller.answered(now_s, message, Timeline(), Load())
        now_s += controller.tuning.replan_s
        start = time.perf_counter()
        wanted = controller.plan(now_s)
        taken_s = time.perf_counter() - start
        controller.take_changes()
        plan = None if wanted.level is None else wanted
        if message >= _KNOWN:
            yield taken_s


def _manifest(dice: np.random.Generator) -> Manifest:
    grid = np.sort(dice.uniform(0.5, 1.0, (VECTORS, len(EXITS_AT))), axis=1)
    spec = TensorSpec("x", "float32", (64,))
    levels: dict[str, tuple[dict[str, float], ...]] = {level: ({},) for level in LEVELS}
    plans = [
        AllowedPlan(
            cut=cut,
            level=level,
            thresholds=tuple(vector[: sum(at <= cut for at in EXITS_AT)]) if cut else (),
            accuracy_drop=0.0,
            left_share=0.5,
        )
        for cut in range(BLOCKS + 1)
        for level in (LEVELS if cut < BLOCKS else (None,))
        for vector in grid.tolist()
    ]
    made = Manifest(
        name="dice",
        boundaries=tuple(
            Boundary(tensors=(spec,), levels=levels if at < BLOCKS else {})
            for at in range(BLOCKS + 1)
        ),
        segments=tuple(
            SegmentSpec(folder=f"s{at}", macs=1, reads=("x",), makes=("x",)) for at in range(BLOCKS)
        ),
        exits=tuple(
            ExitSpec(name=f"e{at}", boundary=at, tensor="x", folder=f"e{at}", macs=1)
            for at in EXITS_AT
        ),
        files={},
    )
    # More than a bundle may hold: all combinations, as the published planners try them.
    allowed = Allowed.model_construct(samples=SAMPLES, plans=tuple(plans))
    return made.model_copy(update={"allowed": allowed})


def _calibration(dice: np.random.Generator) -> Calibration:
    labels = dice.integers(0, CLASSES, SAMPLES)

    def logits(skill: float) -> np.ndarray:
        noise = dice.normal(size=(SAMPLES, CLASSES))
        return (noise + skill * np.eye(CLASSES)[labels]).astype(np.float32)

    final, keys = logits(5), [(cut, level) for cut in range(BLOCKS) for level in LEVELS]
    kept = {key: dice.random(SAMPLES) < 0.97 for key in keys}
    return Calibration(
        labels=labels,
        exit_logits=np.stack([logits(2 + at) for at in range(len(EXITS_AT))]),
        final_logits=final,
        answers={key: np.where(kept[key], final.argmax(1), 0).astype(np.int16) for key in keys},
        sizes={key: dice.integers(100, 9000, SAMPLES).astype(np.int32) for key in keys},
    )


def _profile(block_s: float) -> Profile:
    def timing(seconds: float) -> Timing:
        return Timing(median_s=seconds, p10_s=seconds, p90_s=seconds, runs=1)

    head = tuple(timing(at * block_s) for at in range(BLOCKS + 1))
    runner = Runner(
        backend="onnxruntime",
        threads=1,
        version="1",
        head=head,
        tail=head[::-1],
        exits=tuple(timing(block_s / 10) for _ in EXITS_AT),
    )
    codecs = {f"{cut}/{level}": timing(block_s / 10) for cut in range(BLOCKS) for level in LEVELS}
    return Profile(
        digest=DIGEST,
        machine=this_machine(),
        measured="made of dice",
        runners=(runner,),
        encode=codecs,
        decode=codecs,
    )
