"""Every strategy keeps the contract, and each its own promise."""

from __future__ import annotations

import math
import pkgutil
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import click
import pytest
from click.testing import CliRunner

import partitioner.strategies as package
from device.command import run
from offramp.errors import ConfigError, PlanError
from partitioner.candidates import CLOSED
from partitioner.conditions import Conditions
from partitioner.objective import Objective
from partitioner.plan import Plan
from partitioner.plan_command import plan as plan_command
from partitioner.strategies import STRATEGIES, Clairvoyant, Strategy, get
from partitioner.strategy_names import DEPLOYED, SIMULATED
from sim.simulate_command import simulate

OBJECTIVES = (
    Objective(),
    Objective(minimise="p95", max_accuracy_drop=0.2, deadline_s=0.05, max_miss_share=0.1),
    Objective(min_accuracy=1.0),
)
LIVE = [name for name, strategy in STRATEGIES.items() if not strategy.clairvoyant]


def is_closed(plan: Plan) -> bool:
    return all(threshold >= CLOSED for threshold in plan.thresholds)


def is_raw_without_exits(plan: Plan, depth: int) -> bool:
    return is_closed(plan) and plan.level == (None if plan.cut == depth else "raw")


def leaves_at_one_exit(plan: Plan, depth: int) -> bool:
    """The one at the end, or one before it on the device."""
    if 0.0 not in plan.thresholds:
        return is_raw_without_exits(plan, depth)
    left = [threshold for threshold in plan.thresholds if threshold < CLOSED]
    return plan.level is None and left == [0.0]


PROMISES: dict[str, Callable[[Plan, int], bool]] = {
    "device_only": lambda p, depth: p.cut == depth and is_closed(p),
    "device_exits": lambda p, depth: p.cut == depth and p.level is None,
    "server_only_raw": lambda p, depth: p.cut == 0 and p.level == "raw",
    "server_only": lambda p, depth: p.cut == 0 and p.level is not None and not p.thresholds,
    "fixed_split": lambda p, depth: 0 < p.cut < depth and p.level is not None,
    "neurosurgeon": is_raw_without_exits,
    "dads": is_raw_without_exits,
    "qdmp": is_raw_without_exits,
    "edgent": leaves_at_one_exit,
    "spinn": lambda p, depth: len(set(p.thresholds)) <= 1,
    "portend": lambda p, depth: p.level == (None if p.cut == depth else "raw"),
    "ans": is_raw_without_exits,
    "offramp": lambda p, depth: 0 <= p.cut <= depth,
    "static": lambda p, depth: 0 <= p.cut <= depth,
    "oracle": lambda p, depth: 0 <= p.cut <= depth,
}


class Steady:
    """A future in which the link does what conditions say, at all times."""

    gap_s = math.inf

    def __init__(self, now: Conditions) -> None:
        self.now, self.device_stretch, self.reachable = now, now.device_stretch, now.reachable

    def away_s(self, after_s: float, size_bytes: float, server_s: float) -> float:
        now = self.now
        sending_s = 8 * size_bytes / now.bandwidth_bps
        return now.rtt_s + now.queue_s + sending_s + server_s * now.server_stretch


def decided(name: str, it: Any, objective: Objective, now: Conditions) -> Plan:
    strategy = get(name, simulated=True)
    if isinstance(strategy, Clairvoyant):
        return strategy.foresee(it.planner, objective, [Steady(now)])
    return strategy.decide(it.planner, objective, now)


def test_every_strategy_is_registered_and_makes_a_promise() -> None:
    files = {m.name for m in pkgutil.iter_modules(package.__path__)} - {"strategy"}
    assert files == set(STRATEGIES) == set(PROMISES)
    for name in STRATEGIES:
        strategy = get(name, simulated=True)
        assert isinstance(strategy, Strategy)
        assert get(name, simulated=True) is not strategy
        assert strategy.name == name
        assert isinstance(strategy.adapts, bool)
    with pytest.raises(ConfigError, match=r"unheard.*offramp"):
        get("unheard")


@pytest.mark.parametrize(
    ("command", "names"), [(plan_command, LIVE), (run, LIVE), (simulate, list(STRATEGIES))]
)
def test_the_help_names_every_strategy_that_there_is(
    command: click.Command, names: list[str]
) -> None:
    told = CliRunner().invoke(command, ["--help"]).output
    described = told[told.index("--strategy") :]
    described = described[: described.index("[default:")]
    assert set(names) == set(STRATEGIES) & set(re.findall(r"\w+", described))


def test_the_names_are_those_of_the_registry() -> None:
    assert sorted(DEPLOYED) == sorted(LIVE)
    assert sorted((*DEPLOYED, *SIMULATED)) == sorted(STRATEGIES)


@pytest.mark.parametrize("name", [name for name in STRATEGIES if name not in LIVE])
def test_what_knows_what_comes_exists_in_simulation_alone(
    name: str, world: Callable[..., Any]
) -> None:
    with pytest.raises(ConfigError, match=f"{name}.*offramp simulate"):
        get(name)
    with pytest.raises(ConfigError, match=f"{name}.*offramp simulate"):
        get(name, simulated=True).decide(world(0).planner, Objective(), Conditions(1e6, 0.01))


@pytest.mark.parametrize("name", STRATEGIES)
def test_it_returns_its_kind_of_plan_whatever_the_conditions(
    name: str, world: Callable[..., Any], weather: Callable[..., Conditions]
) -> None:
    for seed in range(20):
        it, now = world(seed % 4, depth=4), weather(seed)
        objective = OBJECTIVES[seed % len(OBJECTIVES)]
        plan = decided(name, it, objective, now)
        assert PROMISES[name](plan, 4)
        assert plan == decided(name, it, objective, now)
        manifest = it.bundle.manifest
        assert len(plan.thresholds) == manifest.exits_before(plan.cut)
        if 0.0 not in plan.thresholds:
            assert plan.level in (manifest.boundaries[plan.cut].levels or (None,))
        assert plan.policy == "confidence"
        strategy = get(name, simulated=True)
        told = strategy.explain(it.planner, plan, objective, now)
        predicted = strategy.among(it.planner).predict(plan, objective, now)
        assert told.id == plan.id
        assert told.prediction == predicted is not None
        assert strategy.steady or strategy.rule in told.reason
        assert told.reason


@pytest.mark.parametrize("name", LIVE)
def test_to_be_asked_changes_nothing(
    name: str, world: Callable[..., Any], weather: Callable[..., Conditions]
) -> None:
    it = world(1, depth=4)
    asked, left = get(name), get(name)
    for seed in range(30):
        now = weather(seed)
        for other in range(seed % 4):
            asked.decide(it.planner, Objective(), weather(other))
        plans = [strategy.decide(it.planner, Objective(), now) for strategy in (asked, left)]
        assert plans[0] == plans[1]
        for strategy in (asked, left):
            strategy.decided(now)
            strategy.learn(plans[0], 0.02 * (seed % 5))


@pytest.mark.parametrize("name", LIVE)
def test_it_may_learn_at_any_time(name: str, world: Callable[..., Any]) -> None:
    it, now, strategy = world(1), Conditions(3e6, 0.01), get(name)
    for planner in (it.planner, world(2).planner):
        strategy.learn(Plan(0, "raw", "confidence", ()), 0.2)
        plan = strategy.decide(planner, Objective(), now)
        strategy.learn(plan, 0.1)
        assert strategy.among(planner).predict(plan, Objective(), now)


@pytest.mark.parametrize("name", STRATEGIES)
def test_without_a_server_it_sends_nothing_or_does_what_it_always_does(
    name: str, world: Callable[..., Any], weather: Callable[..., Conditions]
) -> None:
    for seed in range(5):
        it, now = world(seed), weather(seed)
        alone = replace(now, reachable=False)
        plan = decided(name, it, Objective(), alone)
        if STRATEGIES[name].adapts or name.startswith("device"):
            assert plan.level is None
        elif name in LIVE:
            assert plan.id == decided(name, it, Objective(), now).id


@pytest.mark.parametrize("name", [name for name in LIVE if name.startswith("device")])
def test_one_that_sends_nothing_does_not_depend_on_the_link(
    name: str, world: Callable[..., Any], weather: Callable[..., Conditions]
) -> None:
    it = world(1)
    plans = {get(name).decide(it.planner, Objective(), weather(s)).id for s in range(20)}
    assert len(plans) == 1


def test_offramp_is_never_worse_than_another_that_is_accurate_enough(
    world: Callable[..., Any], weather: Callable[..., Conditions]
) -> None:
    for seed in range(20):
        it, now = world(seed), weather(seed)
        floor = it.planner.accuracy_floor(Objective())
        means = {}
        for name in LIVE:
            view = get(name).among(it.planner)
            told = view.predict(decided(name, it, Objective(), now), Objective(), now)
            if told.accuracy >= floor - 1e-12:
                means[name] = told.mean_s
        assert means["offramp"] == pytest.approx(min(means.values()), rel=1e-12)


def test_on_a_link_that_never_changes_those_who_know_it_choose_as_offramp_does(
    world: Callable[..., Any], weather: Callable[..., Conditions]
) -> None:
    for seed in range(20):
        it, now = world(seed), weather(seed)
        plans = {n: decided(n, it, Objective(), now) for n in ("offramp", "static", "oracle")}
        told = {n: it.planner.predict(plan, Objective(), now) for n, plan in plans.items()}
        assert told["oracle"].mean_s == pytest.approx(told["offramp"].mean_s, rel=1e-9)
        assert told["static"].mean_s == pytest.approx(told["offramp"].mean_s, rel=1e-9)


def test_a_split_of_a_model_in_one_piece_is_refused(world: Callable[..., Any]) -> None:
    it = world(2, depth=1)
    with pytest.raises(PlanError, match="no plan is left"):
        get("fixed_split").decide(it.planner, Objective(), Conditions(1e6, 0.01))


@pytest.mark.parametrize("name", ["orcle", "oracle", "static", "magic"])
def test_a_device_is_offered_only_what_it_can_run_under(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        get(name)
    offered = str(caught.value).rpartition("one of ")[2].split(", ")
    assert offered == list(DEPLOYED)
    assert "did you mean" not in str(caught.value)


def test_a_simulation_is_offered_all_of_them_and_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'oracle'") as caught:
        get("orcle", simulated=True)
    offered = str(caught.value).rpartition("one of ")[2].split(", ")
    assert sorted(offered) == sorted((*DEPLOYED, *SIMULATED))
    with pytest.raises(ConfigError, match="did you mean 'neurosurgeon'"):
        get("neurosurgen")
