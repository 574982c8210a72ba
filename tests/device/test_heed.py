"""How much devices heed a server's load: each otherwise, in the mean as it is told."""

from random import Random
from statistics import median

from hypothesis import given
from hypothesis import strategies as st

from device.heed import draw_heed


@given(spread=st.floats(1, 100), seed=st.integers())
def test_a_factor_is_within_the_spread(spread: float, seed: int) -> None:
    heed = draw_heed(spread, Random(seed))
    assert 1 / spread * (1 - 1e-9) <= heed <= spread * (1 + 1e-9)


def test_as_many_heed_it_more_as_less() -> None:
    dice = Random(1)
    drawn = [draw_heed(2.0, dice) for _ in range(4000)]
    assert abs(median(drawn) - 1) < 0.05
    assert min(drawn) < 0.52
    assert max(drawn) > 1.95


def test_without_a_spread_all_heed_it_alike() -> None:
    assert draw_heed(1.0, Random(5)) == 1.0
