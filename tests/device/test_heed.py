"""How much devices heed a server's price: each otherwise, and each otherwise after a while."""

from random import Random
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.heed import Heed, draw_heed


@given(spread=st.floats(1, 100), seed=st.integers(), now_s=st.floats(0, 1e6))
def test_a_factor_is_within_the_spread(spread: float, seed: int, now_s: float) -> None:
    heed = draw_heed(spread, Random(seed)).at(now_s)
    assert 1 / spread * (1 - 1e-9) <= heed <= spread * (1 + 1e-9)


@pytest.mark.parametrize("now_s", [0.0, 77.0, 12345.0])
def test_at_any_time_as_many_heed_it_more_as_less(now_s: float) -> None:
    dice = Random(1)
    heeds = sorted(draw_heed(4.0, dice).at(now_s) for _ in range(4000))
    assert median(heeds) == pytest.approx(1, rel=0.1)
    assert heeds[1000] == pytest.approx(0.5, rel=0.1)  # a quarter: 4 to the power of a half
    assert heeds[3000] == pytest.approx(2.0, rel=0.1)


def test_a_device_wanders_from_one_end_to_the_other_and_back() -> None:
    heed = Heed(4.0, 0.0)
    assert [heed.at(at_s) for at_s in (0, 60, 120, 180, 240)] == [0.25, 1.0, 4.0, 1.0, 0.25]


def test_without_a_spread_all_heed_it_alike() -> None:
    assert draw_heed(1.0, Random(5)).at(33.0) == Heed().at(0.0) == 1.0


@given(
    queue_s=st.floats(0, 10),
    price_s=st.floats(0, 10),
    phase=st.floats(0, 2),
    now_s=st.floats(0, 500),
)
def test_wait_and_price_count_as_often_as_they_are_heeded(
    queue_s: float, price_s: float, phase: float, now_s: float
) -> None:
    heed = Heed(4.0, phase)
    counted_s = queue_s + heed.price_s(now_s, queue_s, price_s)
    assert counted_s == pytest.approx(max(heed.at(now_s) * (queue_s + price_s), queue_s))
    assert Heed().price_s(now_s, queue_s, price_s) == price_s
