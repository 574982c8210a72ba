"""The frontier, against its definition."""

from hypothesis import given
from hypothesis import strategies as st

from sim.report.frontier import dominates, frontier

POINTS = st.lists(st.tuples(*[st.integers(0, 5)] * 3), max_size=20)


@given(POINTS)
def test_nobody_on_it_is_beaten_and_everybody_else_is_by_one_on_it(points):
    found = frontier(points)
    on_it = [points[place] for place in found]
    for place, point in enumerate(points):
        beaten = any(
            all(a <= b for a, b in zip(other, point, strict=True)) and other != point
            for other in on_it
        )
        assert beaten == (place not in found)
    assert on_it == sorted(on_it)


def test_equal_points_do_not_beat_each_other():
    assert frontier([(1, 2), (1, 2)]) == [0, 1]
    assert not dominates((1, 2), (1, 2))
    assert dominates((1, 1), (1, 2))
