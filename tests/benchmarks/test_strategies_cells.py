"""Cells: simulated once, kept until code or scenario change, and none takes others down."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import examples
from benchmarks import strategies_cells
from benchmarks.harness import BUNDLE
from benchmarks.strategies_cells import (
    Cell,
    build_cells,
    code_digest,
    read_cell,
    run_cells,
    scenario,
)
from benchmarks.strategies_contenders import (
    WAIT_S,
    Contender,
    contenders,
    tight_contenders,
    uneven_contenders,
)
from benchmarks.strategies_courses import PLACES, Course, build_courses
from benchmarks.strategies_scores import PUBLISHED
from benchmarks.strategies_tasks import Task
from offramp.settings import build_settings
from partitioner.objective import Limits
from partitioner.strategies import STRATEGIES
from sim.world.scenario import Scenario

PROFILE = Path(next(iter(examples.__path__))) / "scenarios" / "profile.json"
TASK = Task("digits", BUNDLE, PROFILE, 60.0, 0.2)
ALONE = Contender("device_only", "device_only", "waits")
PATIENCE = {"gives up": "waits", "waits": "blocks"}
RIVALS = ("neurosurgeon", "portend", "ans")


@pytest.fixture
def steady(tmp_path: Path) -> Course:
    return next(c for c in build_courses(tmp_path / "scaled", tmp_path) if c.name == "steady")


def test_every_strategy_takes_part_and_the_one_that_hedges_also_without() -> None:
    found = contenders()
    assert {contender.strategy for contender in found} == set(STRATEGIES)
    assert {c.name for c in found if c.strategy == "offramp"} == {
        "offramp",
        "offramp, p99 kept",
        "offramp, no hedge",
    }
    assert [c.name for c in found if c.manner == "hedges"] == ["offramp"]
    assert [c.name for c in found if c.manner == "keeps-p99"] == ["offramp, p99 kept"]
    waiting = {c.name for c in found if c.manner == "blocks"}
    assert waiting == {f"{name}, waiting" for name in RIVALS}
    tight = tight_contenders()
    assert {c.strategy for c in tight} == set(STRATEGIES) - {"oracle", "static"}
    assert all(c.name == f"{c.strategy}, tight" for c in tight)
    uneven = uneven_contenders()
    assert {c.strategy for c in uneven} == {"offramp", "oracle", *PUBLISHED}
    assert [c.name for c in uneven if c.manner == "uneven-hedges"] == ["offramp, uneven"]


def test_a_scenario_gives_each_place_a_worker_and_the_device_just_enough_time(
    steady: Course,
) -> None:
    found = build_settings(Scenario, scenario(TASK, steady, 100, "hedges"), "it")
    (group,) = found.groups
    assert group.count == found.servers[0].workers == PLACES
    assert group.agent.slowdown == 60
    assert group.agent.deadline_s == group.agent.objective.deadline_s == pytest.approx(1.0)
    assert group.agent.hedge.max_cpu_share > 0
    assert group.arrivals is not None
    assert 1 / group.arrivals.model_dump()["rate_hz"] == pytest.approx(0.3)
    alone = build_settings(Scenario, scenario(TASK, steady, 100, "waits"), "it")
    assert alone.groups[0].agent.hedge.max_cpu_share == 0
    kept = build_settings(Scenario, scenario(TASK, steady, 100, "keeps-p99"), "it")
    objective = kept.groups[0].agent.objective
    assert objective.limits.given() == {"p99": pytest.approx(0.205)}
    assert objective.model_copy(update={"limits": Limits()}) == group.agent.objective
    blocks = build_settings(Scenario, scenario(TASK, steady, 100, "blocks"), "it")
    assert blocks.groups[0].agent.deadline_s == WAIT_S
    for manner, share in (("uneven-waits", 0), ("uneven-hedges", group.agent.hedge.max_cpu_share)):
        uneven = build_settings(Scenario, scenario(TASK, steady, 100, manner), "it").groups[0]
        assert uneven.arrivals is not None
        assert uneven.arrivals.model_dump() == {
            "kind": "poisson",
            "rate_hz": pytest.approx(1 / 0.3),
        }
        assert uneven.agent.hedge.max_cpu_share == share
    tight = build_settings(Scenario, scenario(TASK, steady, 100, "tight"), "it")
    assert tight.groups[0].agent.deadline_s < TASK.device_s


def test_a_rival_that_waits_answers_no_sample_by_itself_in_time(tmp_path: Path) -> None:
    chosen = [Contender(name, "server_only", manner) for name, manner in PATIENCE.items()]
    phases = [
        {"name": name, "seconds": seconds, "up": [{"kind": "rate", "bps": bps}]}
        for name, seconds, bps in (("good", 8.0, 5e6), ("gone", 10.0, 1e3))
    ]
    way = {"described": {"phases": phases, "repeat": True}}
    slow = Course("slow", "generated", "0 ms", "an outage", "rpi4-lte", (way,))
    cells = list(build_cells(tmp_path, TASK, slow, 40, chosen))
    assert len(list(run_cells(cells, 1))) == 2
    totals = {cell.contender.name: (read_cell(cell) or {})["total"] for cell in cells}
    assert totals["gives up"]["max_s"] <= TASK.deadline_s + 0.01
    assert totals["waits"]["max_s"] > 2 * TASK.deadline_s


def test_cells_are_run_and_one_that_fails_leaves_the_others(tmp_path: Path, steady: Course) -> None:
    chosen = [ALONE, Contender("nobody", "nobody", "waits")]
    cells = list(build_cells(tmp_path, TASK, steady, 40, chosen))
    assert [read_cell(cell) for cell in cells] == [None, None]
    assert {cell.contender.name for cell in run_cells(cells, 1)} == {"device_only", "nobody"}
    ran, failed = map(read_cell, cells)
    assert ran is not None
    assert failed is not None
    assert ran["code"] == failed["code"] == code_digest()
    assert 0 < ran["total"]["answered"] < 40 * PLACES  # those of the warm-up are left out
    assert "unknown strategy 'nobody'" in failed["error"]
    # Exact: all that the device answers by itself takes as long as the whole model.
    assert ran["total"]["p50_s"] == pytest.approx(ran["total"]["mean_s"], rel=1e-9)
    assert ran["total"]["p99_s"] == pytest.approx(ran["total"]["max_s"], rel=1e-9)


def test_a_cell_lies_elsewhere_once_its_scenario_or_profile_changes(
    tmp_path: Path, steady: Course
) -> None:
    def path_of(task: Task, requests: int, seed: int = 0) -> Path:
        (cell,) = build_cells(tmp_path, task, steady, requests, [ALONE], seed)
        assert cell.seed == seed
        assert isinstance(cell, Cell)
        return cell.path

    profile = tmp_path / "profile.json"
    profile.write_text(PROFILE.read_text().replace('"slowdown":1.0', '"slowdown":2.0'))
    paths = {path_of(TASK, 40), path_of(TASK, 50), path_of(replace(TASK, slowdown=61.0), 40)}
    paths |= {path_of(replace(TASK, profile=profile), 40), path_of(TASK, 40, seed=1)}
    assert len(paths) == 5
    assert path_of(TASK, 40) in paths


def test_a_cell_lies_elsewhere_once_what_a_link_names_changes(tmp_path: Path) -> None:
    def path_of(folder: Path, rates: str) -> Path:
        folder.mkdir(exist_ok=True)
        (folder / "up.csv").write_text(rates)
        rate = {"kind": "rate", "trace": str(folder / "up.csv")}
        way = {"described": {"up": [rate]}}
        told = Course("kept", "uplink", "0 ms", "made up", "rpi4-lte", (way,))
        (cell,) = build_cells(tmp_path / "cells", TASK, told, 40, [ALONE])
        return cell.path

    before = path_of(tmp_path / "one", "seconds,mbps\n0,8\n1,4\n")
    assert path_of(tmp_path / "two", "seconds,mbps\n0,8\n1,4\n") == before
    assert path_of(tmp_path / "one", "seconds,mbps\n0,8\n1,5\n") != before


def test_figures_of_another_numpy_are_not_of_this_code(monkeypatch: pytest.MonkeyPatch) -> None:
    digest = code_digest.__wrapped__  # not what was kept earlier
    before = digest()
    assert digest() == before
    monkeypatch.setattr(strategies_cells, "version", lambda name: f"{name} of tomorrow")
    assert digest() != before
