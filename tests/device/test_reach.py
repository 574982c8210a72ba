"""Calibrated for little memory: devices load a bundle up to an exit, and answer there."""

import math

import numpy as np
import pytest

from device.board import Board
from device.deployment import deploy
from device.head import Progress
from device.settings import AgentSettings
from offramp import backends
from offramp.bundle import open_bundle
from offramp.bundle.allowed import Limits
from offramp.embedded.cluttered_digits import load
from offramp.errors import ConfigError
from offramp.guarantee.calibrating import calibrate_bundle, recorded
from offramp.guarantee.device_costs import held_bytes
from offramp.guarantee.wish import Wish
from partitioner.conditions import Conditions
from partitioner.machine import this_machine
from partitioner.objective import Objective
from partitioner.plan import Plan
from partitioner.strategies import get
from tests.device.test_agent import lines_of, start
from tests.device.test_vigil import profile_of

LOST = Conditions(bandwidth_bps=1e6, rtt_s=0.01, queue_s=0.0, reachable=False)


@pytest.fixture(scope="module")
def reach(embedded):
    """The boundary of the second of three exits."""
    return embedded.manifest.exits[1].boundary


@pytest.fixture(scope="module")
def small(embedded, reach, tmp_path_factory):
    """The embedded bundle for devices with memory up to the second exit."""
    out = tmp_path_factory.mktemp("small") / "small.offramp"
    limits = Limits(memory_bytes=held_bytes(embedded.manifest, reach))
    recording = recorded(embedded, None, lambda line: None)
    calibrate_bundle(embedded, recording, Wish(None, "margin", 0, limits), out)
    return open_bundle(out)


@pytest.fixture(scope="module")
def deployed(small, make_profile):
    profile = profile_of(small, make_profile)
    return deploy(small, profile, profile)


def test_a_device_plans_and_loads_no_further(small, deployed, reach):
    assert small.manifest.reach == reach < max(small.cuts)
    assert max(plan.cut for plan in small.manifest.allowed.plans) == reach
    assert set(deployed.head.network._segments) == set(range(reach))
    assert set(deployed.head.network._exits) == {0, 1}


@pytest.mark.parametrize("name", ["offramp", "device_exits"])
def test_without_a_server_all_samples_leave_at_an_exit(deployed, reach, name):
    plan = get(name).decide(deployed.planner, Objective(), LOST)
    assert (plan.cut, plan.level, plan.thresholds[-1]) == (reach, None, 0.0)
    prediction = deployed.planner.predict(plan, Objective(), LOST)
    assert prediction.sent_share == 0.0
    assert sum(prediction.exit_shares) == pytest.approx(1.0)
    for image in load("test", 20)[0]:
        progress = Progress([image[None]])
        reached = deployed.head.run(progress, plan, math.inf, 1.0)
        assert reached.answered
        assert not reached.hurried
        assert progress.left in (0, 1)


def test_with_too_little_time_it_is_an_earlier_exit(deployed):
    plan = get("device_exits").decide(deployed.planner, Objective(), LOST)
    progress = Progress([load("test", 1)[0]])
    assert deployed.head.run(progress, plan, -math.inf, 1.0).hurried
    assert progress.left == 0


@pytest.mark.parametrize("cut", [0, 1, 3, 4])
def test_a_sample_that_was_sent_in_vain_falls_back_on_an_exit(small, deployed, reach, cut):
    level = next(iter(small.manifest.boundaries[cut].levels))
    closed = (2.0,) * small.manifest.exits_before(cut)
    progress = Progress([load("test", 1)[0]])
    deployed.head.run(progress, Plan(cut, level, "margin", closed), math.inf, 1.0)
    assert not progress.answered
    deployed.head.fall_back(progress, math.inf, 1.0)
    assert (progress.left, progress.at) == (1, reach)


def test_the_board_knows_no_way_beyond(small, deployed, reach):
    board = Board(deployed.planner.device, small.manifest)
    for at in range(reach + 1):
        options = board.options(at, (), 1.0)
        assert options[0].exit == 1
        assert all(option.exit is not None and option.stop <= reach for option in options)


def test_thresholds_that_adapt_would_leave_the_limits(small, make_profile):
    profile = profile_of(small, make_profile)
    with pytest.raises(ConfigError, match="was calibrated within limits, which thresholds that"):
        deploy(small, profile, profile, AgentSettings(adaptive_thresholds=True))


@pytest.mark.e2e
def test_an_agent_without_a_server_answers_every_sample(small, make_profile, tmp_path):
    profile = profile_of(small, make_profile)
    runner = profile.main.model_copy(update={"version": backends.get("onnxruntime").version()})
    here = profile.model_copy(update={"machine": this_machine(), "runners": (runner,)})
    (tmp_path / "here.json").write_text(here.model_dump_json())
    images, labels = load("test", 80)  # enough for its head to be fused
    np.savez(tmp_path / "s.npz", inputs=images, labels=labels)
    options = ("--strategy", "device_exits", "--rate", 40)
    lines = lines_of(start(small.folder, tmp_path / "s.npz", tmp_path / "here.json", *options))
    assert len(lines["result"]) == 80
    assert {line["status"] for line in lines["result"]} == {"ok"}
    names = {f"exit {spec.name}" for spec in small.manifest.exits[:2]}
    assert {line["by"] for line in lines["result"]} <= names
