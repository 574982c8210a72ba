"""A graph comes apart where every operation comes before or after one of them."""

from __future__ import annotations

import numpy as np
from hypothesis import given

from offramp.cuts.blocks import Blocks
from offramp.cuts.dag import Dag
from tests.offramp.cuts.dags import dags


@given(dag=dags(most=9))
def test_pivots_are_what_all_others_come_before_or_after(dag: Dag) -> None:
    inputs, whole = np.isinf(dag.server_s), np.ones(len(dag), bool)
    expected = []
    for at in np.flatnonzero(~inputs):
        before = dag.close(np.arange(len(dag)) == at)
        if (before | dag.after(int(at)) | inputs).all():
            expected.append(int(at))
    blocks = Blocks(dag, inputs, whole)
    assert [int(blocks.order[place - 1]) for place in blocks.pivots[1:]] == expected


def test_between_two_pivots_lies_a_block() -> None:
    # input -> a -> b, c -> d -> e; d reads a too, which is d's neighbour and no hindrance
    dag = Dag(((), (0,), (1,), (1,), (1, 2, 3), (4,)), *np.ones((3, 6)))
    blocks = Blocks(dag, np.arange(6) == 0, np.ones(6, bool))
    assert blocks.pivots.tolist() == [0, 1, 4, 5]
    assert (blocks.starts.tolist(), blocks.ends.tolist()) == ([1], [4])
    assert blocks.own.tolist() == [-1, -1, 0, 0, -1, -1]
    assert blocks.last_reader.tolist() == [1, 4, 4, 4, 5, 5]
