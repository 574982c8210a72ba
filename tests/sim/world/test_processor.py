"""A virtual processor does what a device's head does, at the same times."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

import device.head
import device.pace
from device.head import Head, Progress
from device.work import RunHead, Work
from offramp.calibration import load_calibration
from offramp.exits.fitted import load_policy
from offramp.network import Network
from partitioner.candidates import CLOSED, build_candidates
from partitioner.plan import Plan
from partitioner.planner import Planner
from partitioner.profile import load_profile
from sim.world.outcomes import Outcomes
from sim.world.processor import Held, Processor

NEVER, ALWAYS = 2.0, 0.0


class FakeTime:
    """Time that passes in sleep alone."""

    def __init__(self):
        self.now_s = 0.0

    def perf_counter(self):
        return self.now_s

    def sleep(self, wait_s):
        self.now_s += wait_s


@pytest.fixture(scope="module")
def planner(embedded, repository):
    profile = load_profile(repository / "examples/scenarios/profile.json").slowed(20)
    calibration, policy = load_calibration(embedded), load_policy(embedded)
    return Planner(embedded, build_candidates(embedded, calibration, policy), profile, profile)


@pytest.fixture
def clock(monkeypatch):
    found = FakeTime()
    for module in (device.head, device.pace):
        monkeypatch.setattr(module, "time", SimpleNamespace(**{
            "perf_counter": found.perf_counter, "sleep": found.sleep
        }))  # fmt: skip
    return found


@pytest.mark.parametrize("share", [-math.inf, 0.1, 0.3, 0.5, 0.7, 0.9, 1.05, math.inf])
@pytest.mark.parametrize(
    "thresholds",
    [(CLOSED,) * 3, (NEVER, NEVER, NEVER), (CLOSED, NEVER, CLOSED), (NEVER, ALWAYS, CLOSED)],
    ids=["closed", "open", "one open", "leaves"],
)
def test_whether_a_head_has_time_and_where_it_leaves_if_not(planner, clock, thresholds, share):
    """With so much of the whole model's time; what a sample is does not matter here."""
    bundle, profile = planner.bundle, planner.device
    depth = len(bundle.manifest.segments)
    plan = Plan(depth, None, planner.candidates.policy, thresholds)
    until_s = share * profile.head[-1].median_s
    head = Head([Network(bundle)] * (depth + 1), profile)
    progress = Progress([np.zeros((1, 96, 96, 3), np.uint8)])
    live = head.run(progress, plan, until_s, 1.0)

    processor, held = Processor(planner, Outcomes.of(bundle)), Held(0)
    job = RunHead(Work(0, 0.0, 9.0, plan), until_s, 1.0)
    took_s, virtual = processor.run_head(job, held, 0.0, 1.0)
    assert (live.at, live.exits, live.hurried) == (virtual.at, virtual.exits, virtual.hurried)
    assert progress.left == held.exit
    assert clock.now_s == pytest.approx(took_s)
