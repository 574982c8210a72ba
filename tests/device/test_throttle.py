"""The throttle in virtual time: samples first, and never much in the link's queue."""

import pytest

from device.throttle import Throttle


def fetch(throttle, total_bytes, rate_bps, rtt_s, now_s=0.0):
    """Fetch over a link; return when it ended, and the time that each piece held the link."""
    held_s = []
    while total_bytes > 0:
        assert throttle.may_ask(now_s, busy=False)
        piece_bytes = min(throttle.piece_bytes, total_bytes)
        held_s.append(8 * piece_bytes / rate_bps)
        now_s += rtt_s + held_s[-1]
        throttle.came(now_s, piece_bytes, rtt_s + held_s[-1])
        total_bytes -= piece_bytes
    return now_s, held_s


@pytest.mark.parametrize("rtt_s", [0.002, 0.08, 0.3])
@pytest.mark.parametrize("rate_bps", [400e3, 2e6, 20e6, 200e6])
def test_a_piece_holds_the_link_for_a_moment_whatever_the_link(rate_bps, rtt_s):
    _, held_s = fetch(Throttle(), 2_000_000, rate_bps, rtt_s)
    assert max(held_s[:4]) < 0.4  # on a slow link the first pieces are guesses
    assert max(held_s[4:]) <= 0.06


def test_a_slow_link_gets_the_smallest_pieces():
    _, held_s = fetch(Throttle(), 200_000, 20e3, 0.2)
    assert held_s[-2] == 8 * 1024 / 20e3


def test_a_link_without_samples_is_used_well():
    ended_s, _ = fetch(Throttle(), 10_000_000, 50e6, 0.005)
    assert ended_s < 2 * 10_000_000 * 8 / 50e6


def test_while_samples_wait_pieces_are_rare():
    throttle, asked = Throttle(), []
    for tick in range(1, 401):
        now_s = tick / 1000
        if throttle.may_ask(now_s, busy=True):
            asked.append(now_s)
            throttle.came(now_s, 1000, 0.01)
    assert asked == pytest.approx([0.121, 0.241, 0.361], abs=0.003)


def test_when_the_last_answer_has_come_the_next_piece_goes_at_once():
    throttle = Throttle()
    assert not throttle.may_ask(0.0, busy=True)
    assert throttle.may_ask(0.001, busy=False)


def test_a_link_that_slows_down_gets_smaller_pieces():
    throttle = Throttle()
    ended_s, _ = fetch(throttle, 2_000_000, 20e6, 0.01)
    _, held_s = fetch(throttle, 400_000, 0.5e6, 0.01, now_s=ended_s)
    assert max(held_s[6:]) <= 0.075
