"""Which plan wins where: borders, maps and the command line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from offramp.errors import ConfigError
from partitioner.conditions import Conditions
from partitioner.objective import Objective
from partitioner.plan import Plan
from partitioner.situation import Situation
from partitioner.strategies import STRATEGIES, get
from partitioner.what_if import draw_map, sweep
from partitioner.what_if_axes import AXES, get_axis
from partitioner.what_if_legend import COLOURS, UNMET, make_legend
from partitioner.what_if_picture import check_picture, save_map
from partitioner.what_if_view import map_text, region_table

HERE = Situation(Objective(max_accuracy_drop=0.2), Conditions(5e6, 0.004))
ADAPTIVE = get("offramp")


@pytest.mark.parametrize("name", AXES)
def test_on_both_sides_of_a_border_its_plan_wins(name: str, world: Callable[..., Any]) -> None:
    it, axis = world(5, depth=4), get_axis(name)
    regions = sweep(it.planner, ADAPTIVE, HERE, axis)
    assert (regions[0].low, regions[-1].high) == (0 if axis.zero else axis.low, axis.high)
    for before, after in pairwise(regions):
        assert before.high == after.low
        one, other = before.plan, after.plan
        assert (one and one.id) != (other and other.id)
    met = [region.plan is not None for region in regions]
    assert met == sorted(met, reverse=True)  # samples may come too fast for any plan
    assert all(met) or name == "rate"
    for region in regions:
        inside = axis.put(HERE, axis.between(max(region.low, axis.high * 1e-6), region.high))
        best = it.planner.best(inside.objective, inside.conditions)
        if len(regions) < 6 and region.plan:  # a narrow region may hold a narrower one
            assert best.id == region.plan.id
    if name == "bandwidth":
        assert len(regions) > 1


def test_a_map_shows_the_best_plan_at_every_place(world: Callable[..., Any]) -> None:
    it = world(5, depth=4)
    axes = (AXES["bandwidth"], AXES["rtt"])
    plans = draw_map(it.planner, ADAPTIVE, HERE, axes, (7, 5))
    assert (len(plans), {len(row) for row in plans}) == (5, {7})
    for y, row in zip(axes[1].values(5), plans, strict=True):
        for x, plan in zip(axes[0].values(7), row, strict=True):
            assert plan is not None
            assert plan.id == it.planner.best(HERE.objective, Conditions(x, y)).id
    legend = make_legend(plans)
    assert len(legend.texts) > 1
    text = map_text(axes, plans, HERE).plain
    for mark, said in zip("ABCDEFGH", legend.texts, strict=False):
        assert f"{mark}  {said}" in text
    assert text.endswith("+  now: bandwidth 5 Mbit/s, rtt 4 ms\n")
    rows = text.splitlines()[1:6]
    assert [row.find("+") for row in rows] == [-1, -1, -1, 12, -1]  # 4 ms is nearest to 5.6


def test_a_map_says_where_the_objective_is_not_met(world: Callable[..., Any]) -> None:
    it = world(5, depth=4)
    axes = (AXES["bandwidth"], AXES["rtt"])
    deadline_s = 0.0205
    objective = Objective(max_accuracy_drop=0.2, deadline_s=deadline_s, max_miss_share=0.0)
    at = Situation(objective, HERE.conditions)
    plans = draw_map(it.planner, ADAPTIVE, at, axes, (6, 6))
    met = [
        [it.planner.rank(objective, Conditions(x, y)).feasible.any() for x in axes[0].values(6)]
        for y in axes[1].values(6)
    ]
    assert [[plan is not None for plan in row] for row in plans] == met
    assert {found for row in met for found in row} == {True, False}
    text = map_text(axes, plans, at).plain
    assert f"-  {UNMET}" in text
    assert text.count("-") >= sum(not found for row in met for found in row)
    regions = sweep(it.planner, ADAPTIVE, at, axes[1])
    assert None in [region.plan for region in regions]
    cells = list(region_table(axes[1], regions, at).columns[1].cells)
    assert [cell == UNMET for cell in cells] == [region.plan is None for region in regions]


def test_axes_may_be_swapped(world: Callable[..., Any]) -> None:
    axes = (AXES["accuracy-drop"], AXES["bandwidth"])
    drawn = draw_map(world(5).planner, ADAPTIVE, HERE, axes, (5, 4))
    turned = draw_map(world(5).planner, ADAPTIVE, HERE, axes[::-1], (4, 5))
    assert drawn == [list(column) for column in zip(*turned, strict=True)]
    assert len({plan.id for row in drawn for plan in row if plan}) > 1


def test_many_plans_are_told_apart_by_cut_and_level_alone() -> None:
    few = [Plan(1, "raw", "confidence", (at / 10,)) for at in range(len(COLOURS))]
    assert make_legend([few]).texts == tuple(plan.describe() for plan in few)
    many = [*few, Plan(0, "raw", "confidence", ()), few[0]]
    legend = make_legend([many])
    assert legend.texts == ("cut 1, sends raw, thresholds vary", "cut 0, sends raw")
    assert {legend.numbers[plan.id] for plan in few} == {0}


def test_the_values_of_an_axis_are_where_it_says(world: Callable[..., Any]) -> None:
    for axis in AXES.values():
        values = axis.values(9)
        assert values[0] == (0 if axis.zero else axis.low)
        assert [axis.place(value, 9) for value in values] == list(range(9))
        assert axis.get(axis.put(HERE, values[3])) == pytest.approx(values[3])
        assert axis.place(-1e-9 if axis.zero else axis.low - 1e-9, 9) is None
        if axis.zero:
            assert [axis.place(axis.low * share, 9) for share in (0.4, 0.6)] == [0, 1]


@pytest.mark.parametrize("name", AXES)
def test_an_axis_reaches_what_is_given(name: str) -> None:
    usual = AXES[name]
    for value in (usual.low / 2, usual.low, usual.high / 3, usual.high, usual.high * 2):
        at = usual.put(HERE, value)
        axis = usual.reaching(at)
        assert axis.place(value, 9) is not None
        assert axis.low <= usual.low
        assert axis.high == max(usual.high, value)
        assert [axis.place(each, 9) for each in axis.values(9)] == list(range(9))
    assert AXES["rate"].reaching(HERE) == AXES["rate"]  # samples come as fast as they can
    anything = replace(HERE, objective=Objective(max_accuracy_drop=None))
    assert AXES["accuracy-drop"].reaching(anything) == AXES["accuracy-drop"]


def test_a_table_tells_the_values_in_the_units_of_people(world: Callable[..., Any]) -> None:
    axis = AXES["bandwidth"]
    table = region_table(axis, sweep(world(5).planner, ADAPTIVE, HERE, axis), HERE)
    assert table.columns[0].cells[0].startswith("0.03 to ")
    assert table.columns[2].cells[0].endswith(" ms")


@pytest.mark.parametrize("ending", ["svg", "png"])
def test_a_map_is_drawn_as_a_picture_that_is_small_and_the_same_each_time(
    ending: str, world: Callable[..., Any], tmp_path: Path
) -> None:
    axes = (AXES["queue"], AXES["bandwidth"])
    few = draw_map(world(5).planner, ADAPTIVE, HERE, axes, (20, 12))
    plans = [[few[y // 10][x // 10] for x in range(200)] for y in range(120)]
    paths = [tmp_path / f"{name}.{ending}" for name in ("one", "other")]
    for path in paths:
        save_map(path, axes, plans, HERE)
    drawn = paths[0].read_bytes()
    assert drawn[:5] in (b"<svg ", b"\x89PNG\r")
    assert drawn == paths[1].read_bytes()
    assert len(drawn) < 200_000
    assert b"date" not in drawn


@pytest.mark.parametrize("name", ["none/map.svg", "map.jpg", "map", "folder.svg"])
def test_a_picture_that_cannot_be_written_is_refused_before_any_work(
    name: str, tmp_path: Path
) -> None:
    (tmp_path / "folder.svg").mkdir()
    with pytest.raises(ConfigError, match=r"cannot be written|is a folder"):
        check_picture(tmp_path / name)
    check_picture(tmp_path / "map.SVG")
    assert list(tmp_path.iterdir()) == [tmp_path / "folder.svg"]


def test_however_much_may_be_lost_a_floor_that_was_asked_for_stays(
    world: Callable[..., Any],
) -> None:
    it, axis = world(5, depth=4), AXES["accuracy-drop"]
    wide = replace(axis, high=0.5)
    accuracy = it.planner.accuracy(False)
    floor = float(np.quantile(accuracy, 0.8))
    free, held = (
        sweep(it.planner, ADAPTIVE, replace(HERE, objective=objective), wide)
        for objective in (Objective(), Objective(min_accuracy=floor))
    )
    least = [
        min(accuracy[it.planner.row_of(one.plan)] for one in regions if one.plan)
        for regions in (free, held)
    ]
    assert least[0] < floor <= least[1]


def test_an_unknown_axis_is_named_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'bandwidth'"):
        get_axis("bandwith")


@pytest.mark.parametrize("name", [name for name, s in STRATEGIES.items() if not s.clairvoyant])
def test_any_strategys_plans_can_be_swept(name: str, world: Callable[..., Any]) -> None:
    it, axis, at = world(5, depth=4), AXES["bandwidth"], HERE
    at = replace(at, objective=Objective(max_accuracy_drop=None))
    regions = sweep(it.planner, get(name), at, axis)
    assert (regions[0].low, regions[-1].high) == (axis.low, axis.high)
    assert None not in [region.plan for region in regions]
    assert not np.isnan([region.targets for region in regions]).any()
    assert len(regions) < 20
