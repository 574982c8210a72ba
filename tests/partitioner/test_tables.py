"""Tables show the texts of bundles and profiles as they are: none of them is markup."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from offramp.bundle import Bundle
from offramp.sheet import Column, Sheet
from partitioner.comparison import Breach, Compared
from partitioner.objective import Objective
from partitioner.plan import Plan, Prediction
from partitioner.profile import Profile
from partitioner.tables import plan_table, profile_table, runner_table

NAMES = ["net[/x]", "[bold]net", "net["]


def _shown(sheet: Sheet, width: int = 200) -> str:
    stream = io.StringIO()
    Console(file=stream, width=width).print(sheet)
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
    told = Compared(Plan(0, name, "fixed", (), prediction), 0.9, 0.01, 0.01, True, ())
    plans = _shown(plan_table(bundle, [told], Objective()))
    by = "* is taken, then the best plan of each other cut by mean latency"
    assert f"{name}: {by}" in plans
    assert f" {name} " in plans.splitlines()[4]


def test_a_row_of_a_profile_is_one_line_in_a_narrow_terminal(world: Callable[..., Any]) -> None:
    made = world(0)
    table = _shown(profile_table(made.bundle, made.device), 60).splitlines()
    rows = [line for line in table if line.lstrip()[:1].isdigit()]
    assert len(rows) == len(made.bundle.manifest.boundaries)
    assert "left out for want of room: " in "\n".join(table)
    gap = table.index(rows[0]), table.index(rows[-1])
    assert gap[1] - gap[0] == len(rows) - 1


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
    prediction = Prediction(0.01, 0.02, 0.125, 0.9, (), 0.5, 100, 0.015)
    plan = Plan(2, "raw", "confidence", (0.5, 2.0), prediction)

    def cells(objective: Objective) -> list[str]:
        told = Compared(plan, 0.9, 0.015, 0.015, True, ())
        sheet = plan_table(world(0).bundle, [told], objective)
        return [column.cells[0] for column in sheet.columns]

    first, last = ["*", "2", "raw", "0.5 closed"], ["50.0%", "155", "0.9000"]
    assert cells(Objective()) == [*first, "10.0", "20.0", *last]
    late = Objective(minimise="p99", deadline_s=1)
    assert cells(late) == [*first, "15", "10.0", "20.0", "12.5%", *last]


def test_what_a_plan_breaks_stands_beside_it_with_by_how_much(world: Callable[..., Any]) -> None:
    prediction = Prediction(0.01, 0.02, 0.125, 0.9, (), 1, 100, 0.015)
    plan = Plan(2, "raw", "confidence", (0.5, 2.0), prediction)
    breaches = (Breach("accuracy", 0.94, 0.9), Breach("late", 0.01, 0.125), Breach("p99", 1, 1.5))
    plans = [
        Compared(plan, 0.9, 0.01, 0.01, True, ()),
        Compared(plan, 0.9, 0.01, 0.01, False, breaches),
    ]
    (column,) = [c for c in plan_table(world(0).bundle, plans, Objective()).columns if c.words][3:]
    assert column.name == "breaks"
    assert column.cells == ("", "accuracy -4%, late +11.5%, p99 +500 ms")
    names = [c.name for c in plan_table(world(0).bundle, plans[:1], Objective()).columns]
    assert "breaks" not in names


def test_what_breaks_a_limit_by_less_than_shows_is_told_by_how_much() -> None:
    assert Breach("p99", 0.0198, 0.0412).describe() == "p99 41.2 ms instead of 19.8 ms"
    said = Breach("p99", 0.0198, 0.01982).describe()
    assert said == "p99 19.8 ms instead of 19.8 ms, 0.02 ms less"


def test_amounts_of_several_units_keep_them_in_their_cells(world: Callable[..., Any]) -> None:
    prediction = Prediction(0.01, 0.02, 0.125, 0.9, (), 1, 100, 0.015)
    plan = Plan(2, "raw", "confidence", (0.5, 2.0), prediction)
    plans = [Compared(plan, 0.9, time_s, time_s, True, ()) for time_s in (0.5, 2.5)]
    (column,) = [
        column
        for column in plan_table(world(0).bundle, plans, Objective(minimise="p99")).columns
        if column.name.startswith("p99")
    ]
    assert (column.name, column.cells) == ("p99", ("500 ms", "2.5 s"))


WORDS = st.text("abcdefgh", min_size=1, max_size=12)


@given(
    cells=st.lists(st.lists(st.lists(WORDS, max_size=4), min_size=2, max_size=2), min_size=1),
    spares=st.lists(st.integers(1, 9), min_size=1, max_size=12),
    width=st.integers(30, 200),
)
def test_a_sheet_fits_and_breaks_no_word(
    cells: list[list[list[str]]], spares: list[int], width: int
) -> None:
    columns = [
        Column(f"n{at}", tuple(" ".join(words) for words in pair), words=at % 2 == 0, spare=spare)
        for at, (pair, spare) in enumerate(zip(cells, spares, strict=False))
    ]
    sheet = Sheet("title", [Column("key", ("a", "b")), *columns])
    shown = _shown(sheet, width)
    assert max(len(line) for line in shown.splitlines()) <= width
    head = " ".join(shown.split()).split("left out for want of room: ")
    left_out = {name.strip(", ") for name in head[-1].split()} if len(head) > 1 else set()
    words = set(head[0].split())
    for column in columns:
        assert column.name in words | left_out
        if column.name not in left_out:
            assert {word for cell in column.cells for word in cell.split()} <= words
    spared = [c.spare for c in columns if c.name in left_out]
    assert not spared or min(spared) >= max(
        (c.spare for c in columns if c.name not in left_out), default=0
    )
    if sum(column.wide for column in columns) + 2 * len(columns) + 5 <= width:
        assert not left_out
