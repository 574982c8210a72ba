"""What a step takes over so many samples, by what steps have taken."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_server.scheduling.cost_curve import MOST, CostCurve, Parts


def curve_of(fixed_s: float, each_s: float, sizes: tuple[int, ...] = (1, 2, 4, 8)) -> CostCurve:
    curve = CostCurve()
    for size in sizes:
        curve.observe(size, fixed_s + size * each_s)
    return curve


def test_the_parts_of_a_step_are_found() -> None:
    assert CostCurve().parts == (0, 0)
    assert curve_of(0.3, 0.1, (1, 1, 1)).parts == pytest.approx((0, 0.4))
    assert curve_of(0.3, 0.1, (1, 2) * 40).parts == pytest.approx((0.3, 0.1), rel=0.01)
    assert curve_of(0.0, 0.1).parts == pytest.approx((0.0, 0.1))
    assert curve_of(0.1, 0.0, (1, 2) * 40).parts == pytest.approx((0.1, 0.0), rel=0.01)


def test_the_level_follows_the_machine_and_the_shape_stays() -> None:
    """A machine that becomes three times slower, when all batches are alike."""
    curve = curve_of(0.3, 0.1, (1, 2, 4) * 30)
    for _ in range(60):
        curve.observe(1, 1.2)
    fixed_s, each_s = curve.parts
    assert fixed_s + each_s == pytest.approx(1.2, rel=0.05)
    assert fixed_s / (fixed_s + each_s) > 0.5


def test_batches_are_as_large_as_they_save_something() -> None:
    assert curve_of(0.0, 0.1).best_size() == 1
    assert curve_of(0.01, 0.1).best_size() == 3
    assert curve_of(0.025, 0.1).best_size() == 6
    assert curve_of(0.1, 0.1).best_size() == 16  # twice as many as ever were
    assert curve_of(0.1, 0.1, (1, 32)).best_size() == 21
    assert curve_of(9.0, 0.1, (1, 32)).best_size() == MOST


def test_so_many_are_through_in_time() -> None:
    parts = Parts(0.1, 0.1)
    assert [parts.fitting(16, room_s) for room_s in (0.0, 0.25, 0.75, 9.0)] == [1, 1, 6, 16]
    assert Parts(0.1, 0.0).fitting(16, 0.2) == 16


def test_larger_batches_are_tried_step_by_step_and_again_from_time_to_time() -> None:
    curve, tried = CostCurve(), []
    for _ in range(6):
        size = curve.best_size()
        tried.append(size)
        curve.observe(size, 0.5 + 0.001 * size)
    assert tried == [1, 2, 4, 8, 16, 32]
    curve = curve_of(0.0, 0.1, (1, 1, 2))
    assert curve.best_size() == 1
    for _ in range(1000):
        curve.observe(1, 0.1)
    assert curve.best_size() > 1


@given(
    st.lists(st.tuples(st.integers(1, 32), st.floats(0, 10)), min_size=1, max_size=40),
    st.floats(-1, 100),
)
def test_whatever_was_seen_a_batch_is_one_sample_to_the_most(
    seen: list[tuple[int, float]], room_s: float
) -> None:
    curve = CostCurve()
    for size, time_s in seen:
        curve.observe(size, time_s)
    assert 1 <= curve.parts.fitting(curve.best_size(), room_s) <= curve.best_size() <= MOST
    assert min(curve.parts) >= -1e-9
    assert curve.parts.time_s(1) <= 11
