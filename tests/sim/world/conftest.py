"""A synthetic model of two segments and one exit, with exact times, and a small world around it."""

from pathlib import Path

import numpy as np
import pytest

from offramp.bundle import Boundary, Bundle, ExitSpec, Manifest, SegmentSpec
from offramp.calibration import Calibration
from offramp.exits import FittedPolicy, get
from offramp.settings import build_settings
from offramp.tensors import TensorSpec
from partitioner.candidates import build_candidates
from partitioner.planner import Planner
from sim.world.library import Library
from sim.world.outcomes import Outcomes
from sim.world.run import simulate
from sim.world.scenario import Scenario

N = 100
CONFIDENCE = FittedPolicy(get("confidence"))


@pytest.fixture(scope="session")
def bundle():
    boundaries = (
        Boundary(tensors=(TensorSpec("image", "float32", (50, 50, 1)),), levels={"raw": ({},)}),
        Boundary(tensors=(TensorSpec("feature", "float32", (250,)),), levels={"raw": ({},)}),
        Boundary(tensors=(TensorSpec("logits", "float32", (2,)),)),
    )
    manifest = Manifest(
        name="synthetic",
        boundaries=boundaries,
        segments=(
            SegmentSpec(folder="a", macs=1, reads=("image",), makes=("feature",)),
            SegmentSpec(folder="b", macs=1, reads=("feature",), makes=("logits",)),
        ),
        exits=(ExitSpec(name="middle", boundary=1, tensor="feature", folder="e", macs=1),),
        files={},
    )
    return Bundle(manifest, "1" * 64, Path("nowhere"))


@pytest.fixture(scope="session")
def calibration():
    """Of 100 samples the first half is easy for the exit, and it is wrong about the last 20.

    A feature takes 890 bytes, so that a message with its overhead is 1000, an image 9890.
    """
    labels = np.arange(N) % 2
    sure = np.where(np.arange(N) < N // 2, 5.0, 0.1)
    exit_logits = np.where(labels[:, None] == [0, 1], sure[:, None], 0.0).astype(np.float32)
    wrong = np.arange(N) >= 80
    exit_logits[wrong] = exit_logits[wrong][:, ::-1]
    answers = labels.astype(np.int16)
    return Calibration(
        labels=labels,
        exit_logits=exit_logits[None],
        final_logits=np.where(labels[:, None] == [0, 1], 5.0, 0.0).astype(np.float32),
        answers={(0, "raw"): answers, (1, "raw"): answers},
        sizes={(0, "raw"): np.full(N, 9890, np.int32), (1, "raw"): np.full(N, 890, np.int32)},
    )


@pytest.fixture(scope="session")
def planner(bundle, calibration, make_profile):
    """A segment takes the device 10 ms and the server 1 ms, the exit 1 ms on the device."""
    codecs_s = {"0/raw": 0.0, "1/raw": 0.0}
    device, server = (
        make_profile(bundle.digest, [0.0, s, 2 * s], [s / 10], codecs_s, codecs_s)
        for s in (0.010, 0.001)
    )
    return Planner(bundle, build_candidates(bundle, calibration, CONFIDENCE), device, server)


@pytest.fixture(scope="session")
def outcomes(bundle, calibration):
    return Outcomes(bundle, calibration, CONFIDENCE)


class SmallLibrary(Library):
    """Everybody has the synthetic model, whatever a scenario names."""

    def __init__(self, planner, outcomes):
        super().__init__()
        self.bundle = lambda path: planner.bundle
        self._candidates = lambda path: planner.candidates
        self._outcomes = lambda path: outcomes
        self._given = planner

    def board(self, group):
        return self._given.device

    def tail_profile(self, server, group):
        return self._given.server.slowed(server.slowdown)


@pytest.fixture(scope="session")
def library(planner, outcomes):
    return SmallLibrary(planner, outcomes)


@pytest.fixture
def run(library):
    """Simulates a scenario of the synthetic model, whose devices are not slowed by default."""

    def simulate_one(description, strategy="offramp", seed=0, watch=None):
        for group in description["groups"]:
            group["agent"] = {"slowdown": 1, **group.get("agent", {})}
        scenario = build_settings(Scenario, description, "scenario")
        return simulate(scenario, strategy, seed, library, watch)

    return simulate_one
