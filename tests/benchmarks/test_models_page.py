"""The compatibility table: what compiled, what failed, and what an engine cannot run."""

from __future__ import annotations

from dataclasses import replace

import pytest

pytest.importorskip("onnx")

from benchmarks.models_page import Outcome, columns, row, summary, write

COMPILED = Outcome(
    name="Two heads",
    family="vision",
    compile_s=7.4,
    operations=31,
    boundary_bytes=[12288, 1024, 44],
    tensors=[1, 2, 1],
    difference=4.2e-7,
    gap=0.0,
    engines_s={"torch": 0.00321, "onnxruntime": 0.0012},
)
ONE_ENGINE = replace(
    COMPILED,
    name="Bessel",
    engines_s={"torch": 0.002},
    skipped={"onnxruntime": "no such operation"},
)
FAILED = Outcome("Counter", "text", 0.3, "the model keeps 'seen'")
ALL = [COMPILED, ONE_ENGINE, FAILED]


def test_a_line_has_a_cell_for_each_column() -> None:
    assert columns(ALL)[-2:] == ["onnxruntime ms", "torch ms"]
    assert row(COMPILED, ALL) == [
        "Two heads", "31", "3", "12.3 1.02 (2) 0.044", "4e-07", "0.0%", "7", "1.2", "3.21",
    ]  # fmt: skip
    assert row(ONE_ENGINE, ALL)[-2:] == ["-", "2"]
    assert row(FAILED, ALL) == ["Counter", "failed", *[""] * 7]


def test_the_last_line_counts_what_failed() -> None:
    worse = replace(COMPILED, difference=3e-5, gap=0.012)
    assert summary([*ALL, worse]) == (
        "3 of 4 compiled, largest relative difference 3e-05 (tolerated 1e-03), "
        "largest gap 1.2% (aim 0.0%)"
    )
    assert summary([FAILED]) == "0 of 1 compiled"


def test_the_page_gives_every_reason() -> None:
    page = write(ALL)
    assert page.index("## Vision") < page.index("| Two heads |") < page.index("## Text")
    assert "- **Counter**: the model keeps 'seen'" in page
    assert "- **Bessel** on onnxruntime: no such operation" in page
    widths = {line.count("|") for line in page.splitlines() if line.startswith("|")}
    assert widths == {len(columns(ALL)) + 1}
