"""The planner's benchmark counts what is wrong, and finds nothing of it."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

import benchmarks.planner_exactness as exactness
import benchmarks.planner_joint as joint
from benchmarks.planner_graphs import SHAPES, shaped_graph
from device.in_force import InForce
from offramp.cuts.dag import Cut, Dag
from offramp.cuts.joint import JointCutter, Split
from partitioner.conditions import Conditions
from partitioner.objective import Objective
from partitioner.plan import Plan


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


def test_each_decision_of_a_controller_that_is_timed_is_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(joint, "BLOCKS", 52)
    monkeypatch.setattr(joint, "SAMPLES", 50)
    decided = []
    decide = InForce.decide

    def note(self: InForce, now_s: float, *others: Any) -> Plan:
        decided.append(now_s)
        return decide(self, now_s, *others)

    monkeypatch.setattr(InForce, "decide", note)
    _, planner = joint.time_joint_plans(1)
    found = joint.time_control(planner, 30)
    assert {name: one["decisions"] for name, one in found.items()} == {"no hedge": 30, "hedge": 30}
    assert len(decided) == 2 * joint.TIMES * (joint._KNOWN + 30)
    assert all(0 < one["p50_us"] <= one["p99_us"] for one in found.values())


def test_each_decision_is_taken_in_turns_and_its_least_time_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now_s, taken = 0.0, Counter[tuple[Objective, Conditions]]()

    class Slower:
        """Takes a second longer each time that it decides the same."""

        def best(self, *asked: Any) -> None:
            nonlocal now_s
            taken[asked] += 1
            now_s += 1.0 * taken[asked]

    monkeypatch.setattr(joint.time, "perf_counter", lambda: now_s)
    found = joint.time_decisions(Slower(), 20)
    sizes = {name: 2 if "fewest late" in name else 20 for name in joint.KINDS}
    assert {name: one["decisions"] for name, one in found.items()} == sizes
    again = [asked for asked, times in taken.items() if times == joint.TIMES]
    assert len(again) == sum(sizes.values())
    assert all(one["p99_us"] == one["least_p99_us"] == 1e6 for one in found.values())
    assert {objective.minimise for objective, _ in again} == {"mean", "late"}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_is_a_graph_of_its_size(shape: str) -> None:
    dag = shaped_graph(shape, 300, np.random.default_rng(0), uneven=True)
    assert len(dag) == 300
    assert all(made and max(made) < at for at, made in enumerate(dag.reads) if at)
