"""A virtual link takes whole messages, and they leave as their packets do in the live relay."""

import math
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from sim.description import parse_link
from sim.line import Line
from sim.model import build_link
from sim.presets import PRESETS
from sim.world.link import VirtualLink

LOSSY = {
    "up": [
        {"kind": "rate", "bps": 4e6},
        {"kind": "loss", "share": 0.02, "rtt_s": 0.03},
        {"kind": "handover", "seconds": 0.1, "interval_s": 2, "extra_s": 0.05},
        {"kind": "delay", "seconds": 0.01},
    ]
}
DESCRIPTIONS = {**PRESETS, "lossy": LOSSY}

messages = st.lists(
    st.tuples(st.floats(0, 2) | st.just(0.0), st.integers(1, 60_000)), min_size=1, max_size=12
)


@pytest.mark.parametrize("described", DESCRIPTIONS.values(), ids=DESCRIPTIONS)
@examples(max_examples=15, deadline=None)
@given(messages=messages)
def test_a_message_arrives_with_the_last_of_its_packets(described, messages):
    settings = parse_link(described, "link")
    virtual, line = VirtualLink(build_link(settings)), Line(build_link(settings).up, 1 << 30)
    now_s = 0.0
    for wait_s, size_bytes in messages:
        now_s += wait_s
        arrives_s = virtual.send_s(now_s, size_bytes)
        line.enter(now_s, bytes(size_bytes))
        assert arrives_s == line._packets[-1][0]


def test_the_uplink_is_busy_for_as_long_as_its_rate_serves():
    virtual = VirtualLink(build_link(parse_link(LOSSY, "link")))
    virtual.send_s(0.0, 50_000)
    virtual.send_s(0.01, 50_000)
    virtual.send_s(1.0, 1000)
    assert virtual.up.sending_s == pytest.approx(8 * 101_000 / 4e6)


def test_an_offset_is_ahead_in_the_links_course():
    phases = [
        {"name": "slow", "seconds": 5, "up": [{"kind": "rate", "bps": 8e4}]},
        {"name": "fast", "up": [{"kind": "rate", "bps": 8e6}]},
    ]
    settings = parse_link({"phases": phases}, "link")
    now, ahead = (VirtualLink(build_link(settings), offset_s) for offset_s in (0.0, 4.0))
    assert now.send_s(0.0, 1000) == pytest.approx(0.1)
    assert ahead.send_s(0.0, 1000) == pytest.approx(0.1)
    assert now.send_s(2.0, 1000) == pytest.approx(2.1)
    assert ahead.send_s(2.0, 1000) == pytest.approx(2.001)


@pytest.mark.parametrize("reset", [True, False])
def test_of_outages_that_come_for_ever_only_resets_break_connections(reset):
    up = [{"kind": "rate", "bps": 4e6}, {"kind": "outage", "reset": reset}]
    phases = [
        {"name": "good", "seconds": 4, "up": up[:1], "down": up[:1]},
        {"name": "out", "seconds": 1, "up": up, "down": up[:1]},
    ]
    link = VirtualLink(build_link(parse_link({"phases": phases, "repeat": True}, "a link")), 2.0)
    assert list(islice(link.breaks_s(), 2)) == ([2.0, 7.0] if reset else [])
    assert (link.open_s(2.5) == math.inf) == reset
