"""Calibrations and profiles made of dice, and a planner written out the slow way."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

import offramp.bundle
from offramp.backends import BACKENDS
from offramp.bundle import (
    Boundary,
    Bundle,
    Ensemble,
    ExitSpec,
    Manifest,
    SegmentSpec,
    open_bundle,
)
from offramp.calibration import Calibration
from offramp.exits import FittedPolicy, get, softmax
from offramp.tensors import TensorSpec
from partitioner import candidates, plan_inputs
from partitioner.candidates import CLOSED, WATCHED, Candidates, build_candidates
from partitioner.conditions import Conditions
from partitioner.costs import FRAME_OVERHEAD_BYTES
from partitioner.objective import Objective
from partitioner.planner import Planner
from partitioner.power import Power
from partitioner.profile import Profile
from partitioner.threshold_grid import CONFIDENCES

LEVELS = ("affine4", "raw")
CONFIDENCE = FittedPolicy(get("confidence"))


@pytest.fixture(autouse=True)
def backends_in_their_order() -> Iterator[None]:
    """What a test takes out of the registry comes back to its place, which is its preference."""
    with mock.patch.dict(BACKENDS):
        yield


@dataclass(frozen=True)
class Outcome:
    """What one candidate does, found by following every sample."""

    cut: int
    level: str | None
    thresholds: tuple[float, ...]
    latencies: list[float]
    accuracy: float
    exit_shares: list[float]
    sent_share: float
    bytes_mean: float

    @property
    def mean_s(self) -> float:
        return sum(self.latencies) / len(self.latencies)

    @property
    def p95_s(self) -> float:
        return self.quantile_s(95)

    def quantile_s(self, percent: float) -> float:
        """The least latency that so many of the samples do not exceed."""
        ordered = sorted(self.latencies)
        return next(t for at, t in enumerate(ordered, 1) if at * 100 >= percent * len(ordered))

    def miss_share(self, deadline_s: float) -> float:
        return sum(t > deadline_s for t in self.latencies) / len(self.latencies)


@dataclass(frozen=True)
class World:
    """A made-up bundle with its calibration and two machines' profiles."""

    bundle: Bundle
    calibration: Calibration
    device: Profile
    server: Profile
    candidates: Candidates
    planner: Planner

    def outcomes(self, conditions: Conditions) -> Iterator[Outcome]:
        """Follow every sample under every cut, level and threshold vector, pruning nothing."""
        manifest = self.bundle.manifest
        for cut in manifest.cuts:
            active = manifest.exits_before(cut)
            for level in manifest.boundaries[cut].levels or [None]:
                watched = manifest.ensemble_at(cut) is not None
                last = (*CONFIDENCES, WATCHED) if watched else CONFIDENCES
                axes = [CONFIDENCES] * (active - 1) + [last] * (active > 0)
                for thresholds in itertools.product(*axes):
                    yield self.follow(cut, level, thresholds, conditions)

    def follow(
        self, cut: int, level: str | None, thresholds: tuple[float, ...], now: Conditions
    ) -> Outcome:
        exits, c = self.bundle.manifest.exits, self.calibration
        at, ensemble = self.bundle.manifest.ensemble_at(cut) or (None, None)
        ensemble = ensemble if thresholds and thresholds[-1] < CLOSED else None
        latencies, right, left_at, sent = [], 0, [0] * len(thresholds), []
        for sample, label in enumerate(c.labels):
            device_s, answer = 0.0, None
            for at, threshold in enumerate(thresholds):
                if threshold >= CLOSED:
                    continue
                device_s += self.device.exits[at].median_s
                logits = c.exit_logits[at, sample]
                if softmax(logits, exits[at].temperature).max() >= threshold:
                    answer = logits.argmax()
                    device_s += self.device.head[exits[at].boundary].median_s
                    left_at[at] += 1
                    break
            if answer is not None:
                latencies.append(device_s * now.device_stretch)
            elif level is None:
                both = c.final_logits[sample].astype(float)
                if ensemble:
                    both = ensemble.end * both + ensemble.exit * c.exit_logits[at, sample]
                answer = both.argmax()
                latencies.append((device_s + self.device.head[cut].median_s) * now.device_stretch)
            else:
                answers = c.together if ensemble else c.answers
                answer, size = answers[cut, level][sample], int(c.sizes[cut, level][sample])
                key = f"{cut}/{level}"
                device_s += self.device.head[cut].median_s + self.device.encode[key].median_s
                server_s = self.server.tail[cut].median_s + self.server.decode[key].median_s
                away_s = (
                    8 * (size + FRAME_OVERHEAD_BYTES) / now.bandwidth_bps
                    + now.rtt_s
                    + now.queue_s
                    + server_s * now.server_stretch
                )
                if now.hedged:
                    depth = len(self.bundle.manifest.segments)
                    away_s = min(away_s, self.device.between_s(cut, depth) * now.device_stretch)
                latencies.append(device_s * now.device_stretch + away_s)
                sent.append(size)
            right += int(answer == label)
        count = len(c.labels)
        return Outcome(
            cut,
            level,
            thresholds,
            latencies,
            right / count,
            [n / count for n in left_at],
            len(sent) / count,
            sum(sent) / count,
        )

    def best(self, objective: Objective, conditions: Conditions) -> float | None:
        """Return the least target over all that meet the objective; None if nothing does."""
        floor = self.planner.accuracy_floor(objective)
        deadline_s = objective.deadline_s or float("inf")
        targets = [
            o.mean_s if objective.minimise == "mean" else o.p95_s
            for o in self.outcomes(conditions)
            if o.accuracy >= floor - 1e-12
            and o.miss_share(deadline_s) <= (objective.most_late or 0.0) + 1e-12
            and (conditions.reachable or o.level is None)
        ]
        return min(targets, default=None)


MakeProfile = Callable[..., Profile]


def _rolled(
    make_profile: MakeProfile, dice: np.random.Generator, manifest: Manifest, speed: float
) -> Profile:
    depth = len(manifest.segments)
    keys = [f"{at}/{level}" for at, b in enumerate(manifest.boundaries) for level in b.levels]
    return make_profile(
        "0" * 64,
        np.cumsum([0.0, *dice.uniform(1e-3, 2e-2, depth)]) * speed,
        dice.uniform(1e-4, 3e-3, len(manifest.exits)) * speed,
        {key: dice.uniform(1e-4, 2e-3) * speed for key in keys},
        {key: dice.uniform(1e-4, 2e-3) * speed for key in keys},
    )


@cache
def make_world(
    make_profile: MakeProfile,
    seed: int,
    *,
    depth: int = 3,
    exits: int = 2,
    samples: int = 20,
    joint: bool = False,
) -> World:
    dice = np.random.default_rng(seed)
    classes = 3
    labels = dice.integers(0, classes, samples)

    def logits(skill: float) -> np.ndarray:
        noise = dice.normal(size=(samples, classes)) * dice.uniform(0.5, 3)
        return (noise + skill * np.eye(classes)[labels]).astype(np.float32)

    places = sorted(dice.integers(1, depth, exits).tolist()) if depth > 1 else []
    levels = {level: ({},) for level in LEVELS}
    more = np.random.default_rng(seed)
    weights = {"exit": float(more.uniform(0.2, 1)), "end": float(more.uniform(0.2, 1))}
    manifest = Manifest(
        name="dice",
        boundaries=tuple(
            Boundary(
                tensors=(TensorSpec("x", "float32", (4,)),), levels=levels if at < depth else {}
            )
            for at in range(depth + 1)
        ),
        segments=tuple(
            SegmentSpec(folder=f"s{at}", macs=1, reads=("x",), makes=("x",)) for at in range(depth)
        ),
        exits=tuple(
            ExitSpec(
                name=f"e{at}",
                boundary=place,
                tensor="x",
                folder=f"e{at}",
                macs=1,
                temperature=float(dice.uniform(0.5, 2)),
                ensemble=Ensemble(**weights) if joint else None,
            )
            for at, place in enumerate(places)
        ),
        files={},
    )
    bundle = Bundle(manifest, "0" * 64, Path("nowhere"))
    final = logits(4)
    keys = [(cut, level) for cut in range(depth) for level in LEVELS]
    calibration = Calibration(
        labels=labels,
        exit_logits=np.stack([logits(at + 1) for at in range(len(places))])
        if places
        else np.zeros((0, samples, classes), np.float32),
        final_logits=final,
        answers={
            key: np.where(dice.random(samples) < 0.9, final.argmax(1), 0).astype(np.int16)
            for key in keys
        },
        sizes={key: dice.integers(1, 9000, samples).astype(np.int32) for key in keys},
        together={
            key: np.where(more.random(samples) < 0.8, labels, 0).astype(np.int32) for key in keys
        },
    )
    device, server = (_rolled(make_profile, dice, manifest, speed) for speed in (1.0, 0.2))
    found = build_candidates(bundle, calibration, CONFIDENCE)
    return World(bundle, calibration, device, server, found, Planner(bundle, found, device, server))


@pytest.fixture(scope="session")
def world(make_profile: MakeProfile) -> Callable[..., World]:
    return partial(make_world, make_profile)


@pytest.fixture(scope="session")
def made_up(
    make_profile: MakeProfile,
    embedded_file: Path,
    embedded: Bundle,
    tmp_path_factory: pytest.TempPathFactory,
) -> list[str]:
    """The bundle that comes with Offramp and a profile of round numbers: arguments of a command."""
    keys = [
        f"{at}/{level}" for at, b in enumerate(embedded.manifest.boundaries) for level in b.levels
    ]
    heads_s = np.linspace(0, 4e-3, len(embedded.manifest.boundaries))
    times_s = {key: 2e-4 + 1e-6 * at for at, key in enumerate(keys)}
    exits_s = [3e-4] * len(embedded.manifest.exits)
    profile = make_profile(embedded.digest, heads_s, exits_s, times_s, times_s)
    out = tmp_path_factory.mktemp("profiles") / "here.json"
    out.write_text(profile.model_dump_json(indent=1))
    return [str(embedded_file), "--device-profile", str(out)]


@pytest.fixture(scope="module")
def bundles_once() -> Iterator[None]:
    """Commands open a bundle and evaluate its candidates once, not each time."""
    opened = cache(open_bundle)
    built: dict[str, Candidates] = {}

    def build(bundle: Bundle, *given: Any) -> Candidates:
        if bundle.digest not in built:
            built[bundle.digest] = build_candidates(bundle, *given)
        return built[bundle.digest]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(offramp.bundle, "open_bundle", opened)
        for module in (candidates, plan_inputs):
            patch.setattr(module, "build_candidates", build)
        yield


def make_conditions(seed: int, reachable: bool = True) -> Conditions:
    dice = np.random.default_rng(seed)
    return Conditions(
        bandwidth_bps=float(10 ** dice.uniform(4.5, 9)),
        rtt_s=float(dice.uniform(0, 0.05)),
        queue_s=float(dice.uniform(0, 0.02)),
        device_stretch=float(dice.uniform(0.5, 5)),
        server_stretch=float(dice.uniform(0.5, 3)),
        reachable=reachable,
    )


@pytest.fixture(scope="session")
def draws() -> Power:
    """What a made-up device with a radio draws."""
    return Power(name="x", source="dice", idle_w=1, compute_w=5, radio_w=2, radio_up_w=0.5)


@pytest.fixture(scope="session")
def weather() -> Callable[..., Conditions]:
    return make_conditions
