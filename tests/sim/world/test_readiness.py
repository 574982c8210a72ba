"""Levels with compiled loops are loaded when first wanted; until then samples go losslessly."""

import threading

import pytest

from device.levels import slow_levels
from device.readiness import Readiness as Deployed
from device.work import RunHead, Work
from offramp.calibration import load_calibration
from offramp.exits.fitted import load_policy
from offramp.network import Network
from partitioner.candidates import build_candidates
from partitioner.plan import Plan
from partitioner.planner import Planner
from partitioner.profile import load_profile
from sim.world.outcomes import Outcomes
from sim.world.processor import Held, Processor
from sim.world.readiness import Readiness
from sim.world.run import simulate
from sim.world.scenario import Scenario

SLOW = frozenset({(1, "context5"), (2, "context5")})


def test_a_level_is_there_once_it_is_loaded():
    readiness = Readiness(SLOW, 0.5)
    assert readiness.level(1.0, 1, "affine4") == "affine4"
    assert readiness.level(1.0, 1, "context5") == "lossless"
    assert readiness.level(1.49, 1, "context5") == "lossless"
    assert readiness.level(1.5, 1, "context5") == "context5"


def test_one_level_is_loaded_at_a_time_and_the_first_takes_the_time():
    readiness = Readiness(SLOW, 0.5)
    assert readiness.level(1.0, 1, "context5") == "lossless"
    assert readiness.level(1.2, 2, "context5") == "lossless"  # not begun while the other one is
    assert readiness.level(1.6, 1, "context5") == "context5"
    assert readiness.level(1.6, 2, "context5") == "lossless"
    assert readiness.level(1.7, 2, "context5") == "context5"


def test_what_the_first_plan_needs_is_waited_for_but_not_for_ever():
    def wait_s(load_s, level):
        plan = Plan(1, level, "confidence", ())
        return Readiness(SLOW, load_s).expect(3.0, plan) - 3.0

    assert wait_s(0.5, "context5") == 0.5
    assert wait_s(60.0, "context5") == 2.0
    assert wait_s(0.5, "affine4") == wait_s(0.5, None) == 0.0


def test_devices_do_not_load_for_each_other():
    one, other = Readiness(SLOW, 0.5), Readiness(SLOW, 0.5)
    one.level(0.0, 1, "context5")
    assert one.level(1.0, 1, "context5") == "context5"
    assert other.level(1.0, 1, "context5") == "lossless"


def test_those_levels_are_slow_whose_codecs_are_not_quick(embedded):
    codecs, slow = Network(embedded, segments=range(0)).codecs, slow_levels(embedded.manifest)
    assert (1, "context5") in slow
    for cut, boundary in enumerate(embedded.manifest.boundaries):
        for level in boundary.levels:
            quick = all(codec.quick for codec in codecs.kinds(cut, level))
            can_wait = "lossless" in boundary.levels
            assert ((cut, level) in slow) == (can_wait and not quick)


def test_a_device_and_its_twin_send_the_same_samples_losslessly(embedded, monkeypatch):
    """Live, a level takes as long to load as this test lets it; wants come in one order to both."""
    network, loads = Network(embedded, segments=range(0)), [threading.Event() for _ in range(2)]
    under_way = iter(loads)
    monkeypatch.setattr(network, "prepare", lambda cut, level, part: next(under_way).wait(60))
    live, twin = Deployed(network), Readiness(slow_levels(embedded.manifest), 0.5)
    first, second = sorted(slow_levels(embedded.manifest))[:2]
    seen, ends_s = [], {1.5: loads[0], 1.7: loads[1]}
    for now_s, (cut, level) in (
        *((1.0, first), (1.2, second), (1.3, first), (1.5, first)),
        *((1.6, second), (1.7, second), (1.8, first)),
    ):
        if now_s in ends_s:
            ends_s[now_s].set()
            live._loading.join(60)
        seen.append((live.level(cut, level), twin.level(now_s, cut, level)))
    monkeypatch.undo()
    levels = [*["lossless"] * 3, first[1], "lossless", second[1], first[1]]
    assert seen == list(zip(levels, levels, strict=True))


@pytest.fixture(scope="module")
def profile_file(repository):
    return repository / "examples/scenarios/profile.json"


def test_until_a_level_is_there_the_processor_encodes_losslessly(embedded, profile_file):
    profile = load_profile(profile_file)
    calibration, policy = load_calibration(embedded), load_policy(embedded)
    planner = Planner(embedded, build_candidates(embedded, calibration, policy), profile, profile)
    processor = Processor(planner, Outcomes.of(embedded))
    plan = Plan(1, "context5", "confidence", ())
    readiness = Readiness(processor.slow_levels, 0.5)
    seen = []
    for now_s in (1.0, 1.4, 1.6):
        work, held = Work(0, now_s, now_s + 1, plan=plan), Held(7)
        job = RunHead(work, now_s + 1, 1.0)
        took_s, reached = processor.run_head(job, held, now_s, 2.0, readiness)
        encode_s = 2 * profile.encode[f"1/{held.level}"].median_s
        assert reached.encode_s == pytest.approx(encode_s)
        assert took_s == pytest.approx(2 * profile.head[1].median_s + encode_s)
        assert reached.size_bytes == calibration.sizes[1, held.level][7]
        seen.append(held.level)
    assert seen == ["lossless", "lossless", "context5"]


def test_a_device_begins_once_its_first_level_is_there(embedded, profile_file):
    group = {
        "profile": profile_file,
        "link": {"described": {"up": [{"kind": "rate", "bps": 30e6}]}},
        "arrivals": {"kind": "periodic", "rate_hz": 5, "phase": 0},
        "agent": {"slowdown": 40},
    }
    times_s, levels = [], set()
    for load_s in (0.0, 0.5):
        scenario = Scenario(requests=5, groups=[group], load_s=load_s)
        figures = simulate(
            scenario, "fixed_split", 0, watch=lambda *row: levels.add(row[2].work.plan.level)
        )
        times_s.append(figures["simulated_s"])
    assert levels <= {level for _, level in slow_levels(embedded.manifest)}
    assert times_s[1] - times_s[0] == pytest.approx(0.5, abs=1e-6)


def test_while_a_level_is_loaded_frames_are_lossless_ones_on_the_simulated_link(
    embedded, profile_file
):
    """The first sample waits 2 s for its level, of the 3.1 s that loading takes here."""
    calibration, sent = load_calibration(embedded), []
    group = {
        "profile": profile_file,
        "link": {"described": {"up": [{"kind": "rate", "bps": 30e6}]}},
        "arrivals": {"kind": "periodic", "rate_hz": 5, "phase": 0},
        "agent": {"slowdown": 40, "objective": {"max_accuracy_drop": 0.02}},
    }

    def note(name, now_s, finish, held):
        plan = finish.work.plan
        sizes = {level: calibration.sizes[plan.cut, level] for level in (plan.level, "lossless")}
        assert finish.work.sent_bytes == sizes[held.level][held.sample]
        sent.append((held.level == plan.level, finish.work.arrived_s))

    simulate(Scenario(requests=10, groups=[group], load_s=3.1), "fixed_split", 0, watch=note)
    assert [at_level for at_level, _ in sent] == [False] * 6 + [True] * 4


@pytest.mark.parametrize("strategy", ["offramp", "spinn"])
def test_what_adapts_sends_no_lossless_frame_for_want_of_a_level(embedded, profile_file, strategy):
    """Loading takes 3.1 s, of which the first sample waits for 2."""
    group = {
        "profile": profile_file,
        "link": {"described": {"up": [{"kind": "rate", "bps": 3e6}]}},
        "arrivals": {"kind": "periodic", "rate_hz": 5, "phase": 0},
        "agent": {"slowdown": 40, "objective": {"max_accuracy_drop": 0.02}},
    }
    levels = []

    def note(name, now_s, finish, held):
        plan = finish.work.plan
        assert held.level in ("", plan.level)
        levels.append((plan.cut, plan.level))

    simulate(Scenario(requests=30, groups=[group], load_s=3.1), strategy, 0, watch=note)
    slow = [place in slow_levels(embedded.manifest) for place in levels]
    assert not any(slow[:6])
    assert any(slow) or strategy != "offramp"
