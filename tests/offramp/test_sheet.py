"""Sheets go on below where a terminal is narrow, and are whole where there is none."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from offramp.sheet import Column, Sheet, show

RUNS = ("device_only", "device_exits", "server_only", "fixed_split", "neurosurgeon", "offramp")
CELLS = ("140.3 ms", "95.0%*", "12.3 kB")


def sheet() -> Sheet:
    titles = Column("", ("latency p50", "right in time", "by exit stage3.2"), words=True)
    runs = [Column(name, CELLS, whole=True, best=frozenset({1})) for name in RUNS]
    return Sheet(
        "a title that is much longer than a terminal of forty columns",
        [titles, *runs],
        goes_on=True,
    )


def drawn(width: int, *, terminal: bool) -> list[str]:
    console = Console(file=io.StringIO(), width=width, force_terminal=terminal, color_system=None)
    show(sheet(), console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize("width", [34, 40, 60, 80, 120])
def test_every_run_stands_somewhere_with_all_its_cells_unbroken(width: int) -> None:
    lines = drawn(width, terminal=True)
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    for cell in CELLS:
        assert text.count(cell) == len(RUNS)
    assert [name for name in text.split() if name in RUNS] == list(RUNS)
    tables = sum("─" in line for line in lines)
    assert text.count("latency") == tables
    assert (tables == 1) is (width >= 100)


def test_a_whole_cell_is_as_wide_as_the_longest_of_its_lines() -> None:
    spread = Column("a spread", ("1.2 to 3.4\n10.2 to 13.4", "0"), whole=True)
    assert spread.narrow == spread.wide == len("10.2 to 13.4")


def test_what_is_no_terminal_gets_one_table_with_whole_lines() -> None:
    lines = drawn(40, terminal=False)
    assert lines[0] == sheet().title
    assert sum("─" in line for line in lines) == 1
    assert [line.split() for line in lines if "device_only" in line] == [list(RUNS)]


def test_a_table_that_leaves_columns_out_is_whole_elsewhere_too() -> None:
    columns = [Column(f"name{at}", ("1234567",), spare=at) for at in range(6)]
    console = Console(file=io.StringIO(), width=30)
    show(Sheet("", columns), console)
    assert isinstance(console.file, io.StringIO)
    assert "left out" not in console.file.getvalue()
