"""A shared server: how busy it would be, what herding looks like, and that the price can go."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

import examples
from benchmarks import sharing
from benchmarks.harness import BUNDLE
from benchmarks.sharing import (
    OWN,
    STEP_S,
    UNPRICED,
    WARM_UP_S,
    Case,
    herd_of,
    offered,
    run_case,
    scenario,
)
from benchmarks.sharing_tables import rows_of
from benchmarks.strategies_tasks import Task
from offramp.settings import build_settings
from partitioner.profile import load_profile
from sim.world.run import simulate
from sim.world.scenario import Scenario
from sim.world.timeline import COLUMNS

PROFILE = Path(next(iter(examples.__path__))) / "scenarios" / "profile.json"
TASK = Task("digits", BUNDLE, PROFILE, 60.0, 0.2)


def timeline(*levels: str | None, step_s: float = STEP_S) -> dict[str, Any]:
    """Return a timeline whose plans send at these levels, step by step, after the warm-up."""
    given = ["warm up", *levels]
    rows = [
        [WARM_UP_S + (at - 1) * step_s if name == "at_s" else level for name in COLUMNS]
        for at, level in enumerate(given)
    ]
    return {"columns": list(COLUMNS), "rows": rows}


def test_devices_that_change_sides_together_swing_by_the_root_of_their_number() -> None:
    together = herd_of([timeline("raw", None, "raw", None)] * 4)
    assert together.swing == pytest.approx(math.sqrt(4))
    assert together.sending == 0.5
    assert together.plans == 1
    assert together.changes == pytest.approx(60 / STEP_S)


def test_devices_of_which_always_as_many_send_do_not_swing() -> None:
    apart = herd_of([timeline("raw", None, "raw"), timeline(None, "raw", None)])
    assert (apart.swing, apart.sending, apart.plans) == (0, 0.5, 2)
    steady = herd_of([timeline("raw", "raw")] * 3)
    assert (steady.swing, steady.sending, steady.changes) == (0, 1, 0)


def test_steps_of_a_long_timeline_are_longer_than_those_of_one_that_ended_early() -> None:
    long = timeline("raw", None, None, None, step_s=2 * STEP_S)
    short = timeline("raw", "raw", None, None)
    found = herd_of([short, long])
    assert found.sending == 0.5  # together they send, and then do not
    assert found.swing == pytest.approx(math.sqrt(2))
    assert found.changes == pytest.approx(60 * 2 / (3 * STEP_S + 3 * 2 * STEP_S))


def test_what_is_offered_grows_with_devices_until_the_server_is_too_small() -> None:
    assert offered(TASK, 20) == pytest.approx(2 * offered(TASK, 10))
    service_s = load_profile(PROFILE).main.tail[0].median_s * 40
    assert offered(TASK, 10) == pytest.approx(10 / 0.3 * service_s / 2)
    found = build_settings(Scenario, scenario(TASK, Case(OWN, 10, "wifi"), 20), "it")
    assert found.groups[0].count == found.timeline.devices == 10
    assert len(found.servers) == 1


def test_without_a_price_devices_send_more_to_a_busy_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sharing, "SERVER_SLOWDOWN", 20.0)  # this network is small
    with_price, without = (run_case(TASK, Case(name, 16, "wifi"), 50) for name in (OWN, UNPRICED))
    assert 0 < with_price["busy"] < without["busy"] <= 1
    assert with_price["sending"] < without["sending"]


def test_a_case_has_the_figures_of_the_run_that_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing, "SERVER_SLOWDOWN", 20.0)
    case = Case("server_only", 4, "wifi", seed=3)
    found = run_case(TASK, case, 40)
    ran = simulate(build_settings(Scenario, scenario(TASK, case, 40), "it"), "server_only", 3)
    (server,) = ran["servers"].values()
    assert found["mean_s"] == ran["total"]["mean_s"]
    assert found["accuracy"] == ran["total"]["right_share"]
    assert (found["busy"], found["queue_s"]) == (server["busy_share"], server["queue_mean_s"])
    assert found["mean_s"] != run_case(TASK, Case("server_only", 4, "wifi"), 40)["mean_s"]


def test_of_several_seeds_the_median_is_told_with_the_range() -> None:
    runs = [
        {"contender": name, "mean_s": mean_s + at, "busy": 0.5}
        for name, mean_s in (("slow", 10.0), ("quick", 5.0))
        for at in (0, 1, 3)
    ]
    columns = {"mean": ("mean_s", "{:.0f}".format), "busy": ("busy", "{:.1f}".format)}
    assert rows_of(runs, columns) == [
        ["quick", "6 (5 to 8)", "0.5"],
        ["slow", "11 (10 to 13)", "0.5"],
    ]
