"""The planner's benchmark counts what is wrong, and finds nothing of it."""

from __future__ import annotations

import numpy as np
import pytest

import benchmarks.planner_exactness as exactness
from benchmarks.planner_graphs import SHAPES, shaped_graph
from offramp.cuts.dag import Cut, Dag
from offramp.cuts.joint import JointCutter, Split


def test_no_small_plan_is_wrong() -> None:
    found = exactness.against_all_cuts(40)
    assert set(found["wrong"].values()) == {0}
    assert found["with_exits"] > 10


def test_plans_that_are_wrong_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    def send_all(dag: Dag, s_per_byte: float, low: Cut, high: Cut) -> Cut:
        return low

    class Alone(JointCutter):
        def best(self, left: list[float], s_per_byte: float, rtt_s: float) -> Split:
            return self._alone(np.array([1.0, *left]))

    monkeypatch.setattr(exactness, "minimum_cut", send_all)
    monkeypatch.setattr(exactness, "JointCutter", Alone)
    assert min(exactness.against_all_cuts(40)["wrong"].values()) > 0


def test_large_plans_are_those_of_networkx() -> None:
    found = exactness.against_networkx(60, 1)
    assert max(shape["largest_difference"] for shape in found["shapes"]) < 1e-9


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_is_a_graph_of_its_size(shape: str) -> None:
    dag = shaped_graph(shape, 300, np.random.default_rng(0), uneven=True)
    assert len(dag) == 300
    assert all(made and max(made) < at for at, made in enumerate(dag.reads) if at)
