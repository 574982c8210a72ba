"""How often the device answers first what looked quicker at the server."""

import pytest

from device.vain import VainShare


def test_it_follows_what_is_seen_and_fades_with_time():
    share = VainShare()
    assert share.at(5.0) == 0.0
    for at in range(50):
        share.observe(at * 0.1, vain=at % 4 == 0)
    assert share.at(5.0) == pytest.approx(0.25, abs=0.05)
    assert share.at(15.0) == pytest.approx(share.at(5.0) * 0.37, rel=0.01)
    assert share.at(1e6) < 1e-6


def test_time_that_goes_back_changes_nothing():
    share = VainShare()
    share.observe(10.0, vain=True)
    assert share.at(3.0) == share.at(10.0) == pytest.approx(0.1)


def test_of_all_samples_it_remembers_hundreds():
    share = VainShare()
    for at in range(5000):
        if at % 2:
            share.kept_here()
        else:
            share.observe(at * 0.1, vain=at % 50 == 0)
    assert share.tail == pytest.approx(1 / 50, rel=0.2)
    for _ in range(400):
        share.kept_here()
    assert share.tail < 0.004
