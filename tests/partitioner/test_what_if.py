"""Which plan wins where: borders, maps and the command line."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from offramp.errors import ConfigError
from partitioner.conditions import Conditions
from partitioner.objective import Objective
from partitioner.strategies import get
from partitioner.what_if import AXES, Situation, draw_map, get_axis, sweep
from partitioner.what_if_picture import save_map
from partitioner.what_if_view import legend, map_text, region_table

HERE = Situation(Objective(max_accuracy_drop=0.2), Conditions(5e6, 0.004))
ADAPTIVE = get("offramp")


@pytest.mark.parametrize("name", AXES)
def test_on_both_sides_of_a_border_its_plan_wins(name: str, world: Callable[..., Any]) -> None:
    it, axis = world(5, depth=4), get_axis(name)
    regions = sweep(it.planner, ADAPTIVE, HERE, axis)
    assert (regions[0].low, regions[-1].high) == (axis.low, axis.high)
    for before, after in pairwise(regions):
        assert before.high == after.low
        assert before.plan.id != after.plan.id
    for region in regions:
        inside = axis.put(HERE, axis.between(max(region.low, axis.high * 1e-6), region.high))
        best = it.planner.best(inside.objective, inside.conditions)
        if len(regions) < 6:  # a narrow region may hold a narrower one
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
            assert plan.id == it.planner.best(HERE.objective, Conditions(x, y)).id
    text = map_text(axes, plans).plain
    assert len(legend(plans)) > 1
    for mark, plan in legend(plans).values():
        assert f"{mark}  {plan.describe()}" in text


def test_a_table_tells_the_values_in_the_units_of_people(world: Callable[..., Any]) -> None:
    axis = AXES["bandwidth"]
    table = region_table(axis, sweep(world(5).planner, ADAPTIVE, HERE, axis))
    assert str(next(iter(table.columns[0].cells))).startswith("0.03 to ")


@pytest.mark.parametrize("ending", ["svg", "png"])
def test_a_map_is_drawn_as_a_picture(
    ending: str, world: Callable[..., Any], tmp_path: Path
) -> None:
    axes = (AXES["rtt"], AXES["accuracy-drop"])
    plans = draw_map(world(5).planner, ADAPTIVE, HERE, axes, (5, 4))
    path = tmp_path / f"map.{ending}"
    save_map(path, axes, plans)
    assert path.read_bytes()[:5] in (b"<?xml", b"\x89PNG\r")


def test_a_picture_that_cannot_be_written_is_one_sentence(
    world: Callable[..., Any], tmp_path: Path
) -> None:
    axes = (AXES["rtt"], AXES["queue"])
    plans = draw_map(world(5).planner, ADAPTIVE, HERE, axes, (3, 3))
    for path in (tmp_path / "none" / "map.svg", tmp_path / "map.nothing"):
        with pytest.raises(ConfigError, match="cannot be written"):
            save_map(path, axes, plans)


def test_an_unknown_axis_is_named_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'bandwidth'"):
        get_axis("bandwith")
