"""Patience: pauses grow, progress starts them anew, and there is an end."""

from device.patience import Patience


def test_pauses_grow_up_to_a_second_and_end_after_the_limit():
    patience = Patience(limit_s=5.0, now_s=100.0)
    assert [patience.failed(100.0 + at) for at in range(7)] == [0.1, 0.2, 0.5, 1, 1, None, None]


def test_progress_starts_them_anew():
    patience = Patience(limit_s=5.0, now_s=100.0)
    assert [patience.failed(101.0), patience.failed(102.0)] == [0.1, 0.2]
    patience.progressed(103.0)
    assert [patience.failed(107.9), patience.failed(108.0)] == [0.1, None]
