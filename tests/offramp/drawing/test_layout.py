"""Blocks, rows and columns of random graphs: nothing is lost, overlaps or runs upwards."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offramp.drawing import rows as rows_module
from offramp.drawing.blocks import Block, collapse
from offramp.drawing.columns import GAP, arrange_columns, nearest_in_order
from offramp.drawing.outline import Operation
from offramp.drawing.rows import arrange_rows
from tests.offramp.drawing.graphs import SEGMENTS, outlines


def op(name: str, *inputs: str, segment: int | None = 0) -> Operation:
    return Operation(name=name, op="op", segment=segment, inputs=inputs)


RESIDUAL = [
    op("x", segment=None), op("conv", "x"), op("relu", "conv"), op("left", "relu"),
    op("norm", "left"), op("add", "relu", "norm"), op("mean", "add", segment=1),
]  # fmt: skip


def names(blocks: Sequence[Block]) -> list[str]:
    return [" ".join(one.name for one in block.operations) for block in blocks]


def test_runs_are_gathered_up_to_forks_joins_and_the_ends_of_segments() -> None:
    blocks = collapse(RESIDUAL)
    assert names(blocks) == ["x", "conv relu", "left norm", "add", "mean"]
    assert [block.inputs for block in blocks] == [(), (0,), (1,), (1, 2), (3,)]
    assert names(collapse(RESIDUAL, {"left"})) == [
        "x", "conv relu", "left", "norm", "add", "mean"
    ]  # fmt: skip


def test_each_segment_has_rows_of_its_own_between_the_rows_of_its_cuts() -> None:
    blocks = collapse(RESIDUAL)
    found = arrange_rows(blocks, 2, {"mean"})
    assert found is not None
    assert found.cut_rows == (1, 5, 7)
    shown = [[] for _ in range(8)]  # type: list[list[str]]
    for place in found.places:
        name = blocks[place.block].value.name
        shown[place.row].append(f"({name})" if place.passes else name)
    assert shown == [
        ["x"], ["(x)"], ["relu"], ["(relu)", "norm"], ["add"], ["(add)"], ["mean"], ["(mean)"]
    ]  # fmt: skip


@given(outlines())
def test_blocks_hold_every_operation_once_and_cannot_be_fewer(outline: list[Operation]) -> None:
    blocks = collapse(outline)
    held = [one for block in blocks for one in block.operations]
    assert sorted(one.name for one in held) == sorted(one.name for one in outline)
    readers = [
        {at for at, b in enumerate(blocks) if read in b.inputs} for read in range(len(blocks))
    ]
    for at, block in enumerate(blocks):
        assert {one.segment for one in block.operations} == {block.operations[0].segment}
        assert all(read < at for read in block.inputs)
        for one, following in itertools.pairwise(block.operations):
            assert set(following.inputs) == {one.name}
        if len(block.inputs) == 1:  # then it is one of several readers, or in another segment
            (read,) = block.inputs
            assert readers[read] != {at} or blocks[read].segment != block.segment


@given(outlines())
def test_a_cut_is_crossed_by_what_is_made_above_and_read_below(outline: list[Operation]) -> None:
    blocks = collapse(outline)
    found = arrange_rows(blocks, SEGMENTS, {outline[-1].name})
    assert found is not None
    read = {at for block in blocks for at in block.inputs}
    outputs = {at for at, b in enumerate(blocks) if at not in read or b.value is outline[-1]}
    for cut, row in enumerate(found.cut_rows):
        crossing = {place.block for place in found.places if place.row == row}
        assert crossing == {
            at
            for at, block in enumerate(blocks)
            if block.segment < cut
            and (at in outputs or any(b.segment >= cut for b in blocks if at in b.inputs))
        }


@given(outlines())
def test_lines_go_down_from_row_to_row_and_boxes_stay_in_their_segment(
    outline: list[Operation],
) -> None:
    blocks = collapse(outline)
    found = arrange_rows(blocks, SEGMENTS, set())
    assert found is not None
    for place in found.places:
        assert all(found.places[above].row == place.row - 1 for above in place.above)
        sources = {found.places[above].block for above in place.above}
        if place.passes:
            assert sources == {place.block}
        else:
            block = blocks[place.block]
            assert sources == set(block.inputs)
            if block.segment >= 0:
                first, last = found.cut_rows[block.segment : block.segment + 2]
                assert first < place.row < last


@settings(deadline=None)
@given(outlines(), st.data())
def test_no_two_places_of_a_row_overlap(outline: list[Operation], data: st.DataObject) -> None:
    found = arrange_rows(collapse(outline), SEGMENTS, set())
    assert found is not None
    widths = [data.draw(st.sampled_from([8.0, 90.0, 200.0])) for _ in found.places]
    centres = arrange_columns(found, widths)
    assert min(c - w / 2 for c, w in zip(centres, widths, strict=True)) == pytest.approx(0)
    for row in found.by_row():
        for left, right in itertools.pairwise(sorted(row, key=centres.__getitem__)):
            room = (widths[left] + widths[right]) / 2 + GAP
            assert centres[right] - centres[left] >= room - 1e-6


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(-500, 500), st.integers(1, 9), st.integers(1, 100)),
        min_size=1,
        max_size=12,
    )
)
def test_places_are_moved_no_further_than_they_must(rows: list[tuple[int, int, int]]) -> None:
    """Compared with scipy's isotonic regression, after taking off the room that they need."""
    optimize = pytest.importorskip("scipy.optimize")
    wanted, weights, widths = (np.array(column, float) for column in zip(*rows, strict=True))
    found = np.array(nearest_in_order(wanted, weights, widths))
    offsets = np.concatenate([[0], np.cumsum((widths[1:] + widths[:-1]) / 2 + GAP)])
    best = optimize.isotonic_regression(wanted - offsets, weights=weights).x + offsets
    np.testing.assert_allclose(found, best, atol=1e-6)


def test_what_is_too_large_is_not_laid_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_module, "MAX_PLACES", 8)
    assert arrange_rows(collapse(RESIDUAL), 2, set()) is None
    monkeypatch.setattr(rows_module, "MAX_PLACES", 9)
    assert arrange_rows(collapse(RESIDUAL), 2, set()) is not None


def test_a_block_that_reads_nothing_stands_just_above_its_reader() -> None:
    outline = [
        op("x", segment=None), op("places"), op("a", "x"), op("b", "a", "x"),
        op("c", "b", "a"), op("d", "c", "places", "b"),
    ]  # fmt: skip
    blocks = collapse(outline)
    found = arrange_rows(blocks, 1, set())
    assert found is not None
    row_of = {blocks[p.block].value.name: p.row for p in found.places if not p.passes}
    assert row_of["places"] == row_of["d"] - 1
