"""Every strategy keeps the contract, and each its own promise."""

from __future__ import annotations

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
from partitioner.strategies import STRATEGIES, Strategy, get

OBJECTIVES = (
    Objective(),
    Objective(minimise="p95", max_accuracy_drop=0.2, deadline_s=0.05, max_miss_share=0.1),
    Objective(min_accuracy=1.0),
)

PROMISES: dict[str, Callable[[Plan, int], bool]] = {
    "device_only": lambda p, depth: p.cut == depth and all(t >= CLOSED for t in p.thresholds),
    "device_exits": lambda p, depth: p.cut == depth and p.level is None,
    "server_only": lambda p, depth: p.cut == 0 and p.level is not None and not p.thresholds,
    "fixed_split": lambda p, depth: 0 < p.cut < depth and p.level is not None,
    "offramp": lambda p, depth: 0 <= p.cut <= depth,
}


def test_every_strategy_is_registered_and_makes_a_promise() -> None:
    files = {m.name for m in pkgutil.iter_modules(package.__path__)} - {"strategy"}
    assert files == set(STRATEGIES) == set(PROMISES)
    for name in STRATEGIES:
        strategy = get(name)
        assert isinstance(strategy, Strategy)
        assert get(name) is not strategy
        assert strategy.name == name
        assert isinstance(strategy.adapts, bool)
    with pytest.raises(ConfigError, match=r"unheard.*offramp"):
        get("unheard")


@pytest.mark.parametrize("command", [plan_command, run])
def test_the_help_names_every_strategy(command: click.Command) -> None:
    named = CliRunner().invoke(command, ["--help"]).output
    assert all(re.search(rf"\b{name}\b", named) for name in STRATEGIES)


@pytest.mark.parametrize("name", STRATEGIES)
def test_it_returns_its_kind_of_plan_whatever_the_conditions(
    name: str, world: Callable[..., Any], weather: Callable[..., Conditions]
) -> None:
    for seed in range(20):
        it, now = world(seed % 4, depth=4), weather(seed)
        objective = OBJECTIVES[seed % len(OBJECTIVES)]
        plan = get(name).decide(it.planner, objective, now)
        assert PROMISES[name](plan, 4)
        assert plan == get(name).decide(it.planner, objective, now)
        manifest = it.bundle.manifest
        assert len(plan.thresholds) == manifest.exits_before(plan.cut)
        assert plan.level in (manifest.boundaries[plan.cut].levels or (None,))
        assert plan.policy == "confidence"
        told = it.planner.explain(plan, objective, now)
        assert told.id == plan.id
        assert told.reason
        assert told.prediction == it.planner.predict(plan, objective, now)


@pytest.mark.parametrize("name", STRATEGIES)
def test_without_a_server_it_sends_nothing_or_does_what_it_always_does(
    name: str, world: Callable[..., Any], weather: Callable[..., Conditions]
) -> None:
    for seed in range(5):
        it, now = world(seed), weather(seed)
        alone = replace(now, reachable=False)
        plan = get(name).decide(it.planner, Objective(), alone)
        if get(name).adapts or name.startswith("device"):
            assert plan.level is None
        else:
            assert plan.id == get(name).decide(it.planner, Objective(), now).id


@pytest.mark.parametrize("name", STRATEGIES)
def test_one_that_sends_nothing_does_not_depend_on_the_link(
    name: str, world: Callable[..., Any], weather: Callable[..., Conditions]
) -> None:
    it = world(1)
    plans = {get(name).decide(it.planner, Objective(), weather(s)).id for s in range(20)}
    assert len(plans) == 1 or not name.startswith("device")


def test_adaptive_is_never_worse_than_another(
    world: Callable[..., Any], weather: Callable[..., Conditions]
) -> None:
    for seed in range(20):
        it, now = world(seed), weather(seed)
        plans = {name: get(name).decide(it.planner, Objective(), now) for name in STRATEGIES}
        floor = it.planner.accuracy_floor(Objective())
        told = {name: it.planner.predict(plan, Objective(), now) for name, plan in plans.items()}
        means = {
            name: prediction.mean_s
            for name, prediction in told.items()
            if prediction and prediction.accuracy >= floor - 1e-12
        }
        assert means["offramp"] == min(means.values())


def test_a_split_of_a_model_in_one_piece_is_refused(world: Callable[..., Any]) -> None:
    it = world(2, depth=1)
    with pytest.raises(PlanError, match="no plan is left"):
        get("fixed_split").decide(it.planner, Objective(), Conditions(1e6, 0.01))
