"""What is seen of simulated runs while they go on."""

from pathlib import Path

import pytest
from rich.progress import Progress

from sim.runs_progress import show_end, show_under_way, warn_of_slow_ones
from sim.world.cells import Cell


def cells(*names):
    return [Cell(Path("s.yaml"), name, seed, Path("c.json")) for seed, name in enumerate(names)]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ((), "done"),
        (("oracle",), "oracle 0"),
        (("offramp", "oracle", "static"), "offramp 0 and 2 more"),
    ],
)
def test_the_bar_names_what_is_under_way(names, said):
    with Progress(disable=True) as bar:
        bar.add_task("simulating", total=3)
        show_under_way(bar, cells(*names))
        assert bar.tasks[0].description == said


def test_what_ends_counts_and_is_told_where_nobody_sees_the_bar(capsys):
    with Progress(disable=True) as bar:
        bar.add_task("simulating", total=3)
        show_end(bar, cells("offramp")[0], "failed")
        assert bar.tasks[0].completed == 1
    assert capsys.readouterr().out == "offramp, seed 0: failed\n"


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("offramp", "ans"), ""),
        (("offramp", "oracle", "oracle"), "oracle looks ahead"),
        (("static", "oracle"), "static and oracle look ahead"),
    ],
)
def test_only_runs_that_take_long_are_warned_of(names, said, capsys):
    warn_of_slow_ones(cells(*names))
    told = capsys.readouterr().err
    assert told.startswith(said)
    assert len(told.splitlines()) == (1 if said else 0)
