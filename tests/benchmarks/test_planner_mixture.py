"""The benchmark of mixtures finds gains that can be."""

from __future__ import annotations

import pytest

from benchmarks.planner_mixture import mix_chains


def test_a_mixture_of_cuts_gains_up_to_twice_what_one_plan_has() -> None:
    found = mix_chains(60)
    assert sum(found["plans"].values()) == 60
    assert set(found["plans"]) <= {1, 2, 3}
    assert 0 < found["over_single"]["mean"] < found["over_single"]["p95"]
    assert found["over_single"]["most"] <= 2
    for part in ("mean", "most"):
        assert found["over_quickest"][part] >= found["over_single"][part]


def test_the_same_chains_are_drawn_again() -> None:
    first, second = mix_chains(5), mix_chains(5)
    assert first["over_single"] == pytest.approx(second["over_single"])
