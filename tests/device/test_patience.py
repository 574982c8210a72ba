"""Patience: pauses grow, what comes starts them anew, and there is an end."""

import pytest

from device.patience import Patience


def test_pauses_grow_up_to_a_second_and_what_comes_starts_them_anew():
    patience = Patience(limit_s=5.0, least_bytes=100, now_s=100.0)
    assert [patience.pause_s() for _ in range(6)] == [0.1, 0.2, 0.5, 1, 1, 1]
    patience.came(101.0, 1)
    assert patience.pause_s() == 0.1


def test_without_a_byte_it_ends_after_the_limit():
    patience = Patience(limit_s=5.0, least_bytes=100, now_s=100.0)
    assert [patience.ended(at_s) for at_s in (100.0, 104.9, 105.0)] == [False, False, True]


@pytest.mark.parametrize(
    ("came", "end_s"),
    [
        ([(103.0, 100)], 108.0),
        ([(101.0, 60), (103.0, 60)], 108.0),
        ([(101.0, 60), (103.0, 39)], 105.0),  # too little for the limit to start anew
        ([(at_s, 1) for at_s in range(101, 105)], 105.0),
        ([(103.0, 500), (104.0, 99)], 108.0),  # what came too much is not counted twice
    ],
)
def test_the_limit_starts_anew_whenever_enough_has_come(came, end_s):
    patience = Patience(limit_s=5.0, least_bytes=100, now_s=100.0)
    for at_s, size_bytes in came:
        patience.came(at_s, size_bytes)
    assert not patience.ended(end_s - 0.1)
    assert patience.ended(end_s)
