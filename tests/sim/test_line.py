from math import inf

from sim.line import Line
from sim.link import Chain, steady
from sim.link.delay import Delay, DelaySettings
from sim.link.rate import Rate, RateSettings


def model() -> Chain:
    """1000 bytes per second, then half a second."""
    rate = Rate(steady(RateSettings(bps=8000)), "seed")
    return Chain([rate, Delay(steady(DelaySettings(seconds=0.5)), "seed")])


def test_bytes_leave_in_packets_each_at_its_time():
    line, content = Line(model(), 10_000), bytes(range(250)) * 16
    line.enter(0.0, content)
    assert line.next_s == 2.0
    assert line.leave(1.999) == b""
    assert line.leave(2.0) == content[:1500]
    assert line.next_s == 3.5
    assert line.leave(9.0) == content[1500:]
    assert line.next_s == inf


def test_the_end_comes_behind_all_bytes():
    line = Line(model(), 10_000)
    line.enter(0.0, b"x" * 1000)
    line.end(0.1)
    assert not line.ended(1.5)
    assert line.leave(1.5) == b"x" * 1000
    assert line.ended(1.5)


def test_the_end_of_nothing_takes_the_delay():
    line = Line(model(), 10_000)
    line.end(1.0)
    assert (line.next_s, line.ended(1.4), line.ended(1.5)) == (1.5, False, True)


def test_lines_of_one_direction_share_its_rate():
    shared = model()
    one, other = Line(shared, 10_000), Line(shared, 10_000)
    one.enter(0.0, b"x" * 1000)
    other.enter(0.0, b"y" * 1000)
    assert (one.next_s, other.next_s) == (1.5, 2.5)


def test_room_is_made_by_delivery_alone():
    line = Line(model(), 4000)
    line.enter(0.0, b"x" * 1000)
    assert line.room_bytes == 3000
    left = line.leave(5.0)
    assert line.room_bytes == 3000
    line.confirm(len(left))
    assert line.room_bytes == 4000
