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


@pytest.mark.parametrize("one_in", [1, 2, 4, 20])
def test_of_what_is_sent_it_remembers_hundreds_however_much_that_is(one_in):
    share = VainShare()
    for at in range(5000 * one_in):
        if at % one_in:
            share.kept_here()
        else:
            share.observe(at * 0.1, vain=at // one_in % 25 == 0)
    assert share.tail == pytest.approx(1 / 25, rel=0.2)


def test_once_nothing_is_sent_for_long_it_forgets():
    share = VainShare()
    for at in range(1000):
        share.observe(at * 0.1, vain=at % 4 == 0)
    told = share.tail
    assert told == pytest.approx(0.25, rel=0.1)
    for _ in range(50):
        share.kept_here()
    assert share.tail == told
    for _ in range(800):
        share.kept_here()
    assert share.tail < 0.005
