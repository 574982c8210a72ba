"""Tables show the texts of bundles and profiles as they are: none of them is markup."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console
from rich.table import Table

from offramp.bundle import Bundle
from partitioner.objective import Objective
from partitioner.plan import Plan, Prediction
from partitioner.profile import Profile
from partitioner.tables import plan_table, profile_table, runner_table

NAMES = ["net[/x]", "[bold]net", "net["]


def _shown(table: Table) -> str:
    stream = io.StringIO()
    Console(file=stream, width=200).print(table)
    return stream.getvalue()


@pytest.mark.parametrize("name", NAMES)
def test_names_are_shown_as_they_are(name: str, world: Callable[..., Any]) -> None:
    made = world(0)
    manifest = made.bundle.manifest
    first, *others = manifest.boundaries
    levels = {name: ({},), "raw": ({},)}
    changed = manifest.model_copy(
        update={"name": name, "boundaries": (first.model_copy(update={"levels": levels}), *others)}
    )
    bundle = Bundle(changed, made.bundle.digest, made.bundle.folder)
    profile = _renamed(made.device, name)
    table = _shown(profile_table(bundle, profile))
    assert f"{name}, {name}, " in table
    assert f"({name})" in table
    assert f"{name}/1" in _shown(runner_table(profile))
    prediction = Prediction(0.01, 0.02, 0, 0.9, (), 1, 100, 0.01)
    plans = _shown(plan_table(bundle, Plan(0, name, "fixed", (), prediction), [], Objective()))
    assert f"plans for {name}, least mean latency first" in plans
    assert f" {name} " in plans.splitlines()[4]


def _renamed(profile: Profile, name: str) -> Profile:
    (runner,) = profile.runners
    return Profile(
        digest=profile.digest,
        machine=profile.machine.model_copy(update={"processor": name}),
        measured=profile.measured,
        runners=(runner.model_copy(update={"backend": name}),),
        encode={**profile.encode, f"0/{name}": profile.encode["0/raw"]},
        decode=profile.decode,
    )


def test_plans_are_told_with_what_is_asked_for(world: Callable[..., Any]) -> None:
    prediction = Prediction(0.01, 0.02, 0.125, 0.9, (), 1, 100, 0.015)
    plan = Plan(2, "raw", "confidence", (0.5, 2.0), prediction)

    def cells(objective: Objective) -> list[str]:
        table = plan_table(world(0).bundle, plan, [], objective)
        return [str(next(iter(column.cells))) for column in table.columns]

    first, last = ["*", "2", "raw", "0.5 closed"], ["0.9000", "100.0%", "100"]
    assert cells(Objective()) == [*first, "10.0", "20.0", *last]
    late = Objective(minimise="p99", deadline_s=1)
    assert cells(late) == [*first, "15 ms", "10.0", "20.0", "12.5%", *last]
