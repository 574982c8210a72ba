"""Progress on a terminal: one line, of which only the end gives way."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from offramp.progress import sample_progress, say_shares


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_narrow_terminal_keeps_name_and_count_and_shortens_the_status(width: int) -> None:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    with sample_progress(console) as bar:
        status = "median 10 ms; device 24%, dropped 2%, exits 40%, server 34%; 12.3 Mbit/s"
        bar.add_task("server_only", total=150, status=status)
        bar.update(bar.task_ids[0], completed=42)
    assert isinstance(console.file, io.StringIO)
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]|\r", "\n", console.file.getvalue())
    lines = {line.rstrip() for line in text.splitlines()} - {""}
    (last,) = [line for line in lines if " 42/150 " in line]
    assert len(last) <= width
    assert last.startswith("server_only ")
    assert last.endswith("…")
    assert " 42/150 0:00:0" in last
    assert "median 10 ms" in last


def test_several_exits_are_told_together_and_one_by_its_name() -> None:
    names = ["exit a", "server", "exit b", "server"]
    assert say_shares(names) == "exits 50%, server 50%"
    assert say_shares(["exit a", "exit a", "device", "device"]) == "device 50%, exit a 50%"


def test_at_80_columns_a_usual_status_is_seen_whole() -> None:
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system=None)
    with sample_progress(console) as bar:
        status = "p50 104 ms; device 18%, exits 40%, server 42%"
        bar.add_task("device_exits", total=60, completed=60, status=status)
    assert isinstance(console.file, io.StringIO)
    assert status in console.file.getvalue()
