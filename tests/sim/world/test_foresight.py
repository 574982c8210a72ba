"""What is foreseen of a link is what it does, and asking changes nothing."""

from __future__ import annotations

import math
from random import Random
from typing import Any

import pytest

from sim.description import parse_link
from sim.model import build_link
from sim.world.clock import Clock
from sim.world.course import LoadCourse
from sim.world.foresight import Coming, Foresight, Way
from sim.world.link import VirtualLink
from sim.world.server import Capacity, VirtualServer

DELAY = {"kind": "delay", "seconds": 0.01}
RATE = {"kind": "rate", "bps": 2e6}
HANDOVER = {"kind": "handover", "seconds": 0.3, "interval_s": 4, "extra_s": 0.05}
STATES = [
    {"bps": 5e6, "dwell_s": 1.5, "next": [0, 1]},
    {"bps": 1e5, "dwell_s": 0.5, "next": [1, 0]},
]


def phases(*up: list[dict[str, Any]]) -> dict[str, Any]:
    named = [{"name": f"p{at}", "seconds": 4, "up": one} for at, one in enumerate(up)]
    return {"phases": named}


EXACT = {
    "steady": {"up": [RATE, DELAY]},
    "no rate": {"up": [DELAY]},
    "step": phases([RATE, DELAY], [{"kind": "rate", "bps": 2e5}, DELAY]),
    "outage": phases([RATE], [RATE, {"kind": "outage", "windows_s": [[1, 3]]}], [RATE]),
    "markov": {"up": [{"kind": "rate", "markov": {"states": STATES}}, DELAY]},
    "hand-overs": {"up": [RATE, DELAY, HANDOVER]},
    "hand-overs by phase": phases([RATE, HANDOVER], [RATE], [RATE, {**HANDOVER, "regular": True}]),
}
EVEN = {"kind": "jitter", "seconds": 0.01, "distribution": "uniform"}
RANDOM = {
    "jitter": {"up": [RATE, {"kind": "jitter", "seconds": 0.004}]},
    "jitter on a fast link": {"up": [{**RATE, "bps": 30e6}, {"kind": "jitter", "seconds": 0.01}]},
    "jitter alone": {"up": [{"kind": "jitter", "seconds": 0.01}]},
    "even jitter": {"up": [{**RATE, "bps": 10e6}, EVEN]},
    "even jitter alone": {"up": [EVEN]},
    "loss": {"up": [RATE, DELAY, {"kind": "loss", "share": 0.02, "rtt_s": 0.02}]},
}
ANSWER_BYTES = 200
RPC_S = 0.004


class Told:
    """A link with what is foreseen of it; ``up`` says whether it is connected."""

    def __init__(self, link: dict[str, Any], seed: int, offset_s: float = 0.0) -> None:
        model = build_link(parse_link({**link, "seed": seed}, "link"))
        self.link = VirtualLink(model, offset_s)
        way = Way(model, offset_s, ANSWER_BYTES, RPC_S, lambda: True)
        server = VirtualServer(Clock(), {}, Capacity())
        self.foresight = Foresight(way, server, LoadCourse())

    def send_s(self, now_s: float, size_bytes: int, server_s: float) -> float:
        """Send, be served and answered, one after the other; return how long it took."""
        came_s = self.link.up.leave_s(now_s + RPC_S / 2, size_bytes)
        return self.link.down.leave_s(came_s + server_s + RPC_S / 2, ANSWER_BYTES) - now_s


def messages(seed: int) -> list[tuple[float, int, float]]:
    """Return times, sizes and server's times; now and then some come at once."""
    dice, now_s, found = Random(seed), 0.0, []
    for _ in range(60):
        now_s += dice.choice((0.0, 0.01, dice.expovariate(4)))
        found.append((now_s, dice.choice((60, 1500, 9000, 40_000)), dice.choice((0.0, 0.02))))
    return found


@pytest.mark.parametrize("link", EXACT.values(), ids=EXACT)
@pytest.mark.parametrize("offset_s", [0.0, 2.5])
def test_what_is_not_random_is_known_exactly(link: dict[str, Any], offset_s: float) -> None:
    for seed in range(2):
        told = Told(link, seed, offset_s)
        for now_s, size_bytes, server_s in messages(seed):
            foreseen_s = told.foresight.away_s(now_s, size_bytes, server_s)
            assert told.send_s(now_s, size_bytes, server_s) == pytest.approx(foreseen_s, abs=1e-9)


@pytest.mark.parametrize("link", (EXACT | RANDOM).values(), ids=EXACT | RANDOM)
def test_asking_changes_nothing(link: dict[str, Any]) -> None:
    asked, other, dice = Told(link, 3), Told(link, 3), Random(3)
    for now_s, size_bytes, server_s in messages(3):
        for _ in range(3):
            later_s = now_s + dice.choice((0.0, 0.1, 5.0))
            asked.foresight.away_s(later_s, dice.choice((10, 100_000)), dice.random())
        took_s = asked.send_s(now_s, size_bytes, server_s)
        assert took_s == other.send_s(now_s, size_bytes, server_s)


@pytest.mark.parametrize("link", RANDOM.values(), ids=RANDOM)
@pytest.mark.parametrize("size_bytes", [700, 12_000])
def test_what_is_random_is_known_in_the_mean(link: dict[str, Any], size_bytes: int) -> None:
    """Messages of up to nine packets, far apart; of several, the last that comes counts."""
    told, count = Told(link, 5), 1500
    pairs = [
        (told.foresight.away_s(5.0 * at, size_bytes, 0.0), told.send_s(5.0 * at, size_bytes, 0.0))
        for at in range(count)
    ]
    foreseen_s, took_s = (sum(times) / count for times in zip(*pairs, strict=True))
    assert took_s == pytest.approx(foreseen_s, rel=0.04)


@pytest.mark.parametrize("link", EXACT.values(), ids=EXACT)
def test_more_or_later_is_never_answered_earlier(link: dict[str, Any]) -> None:
    told, dice = Told(link, 1), Random(1)
    for now_s, size_bytes, server_s in messages(1)[::4]:
        told.send_s(now_s, size_bytes, server_s)
        for _ in range(5):
            after_s, size, there_s = dice.random(), dice.randrange(50_000), dice.random()
            first = now_s + after_s + told.foresight.away_s(now_s + after_s, size, there_s)
            for later_s, more, longer_s in ((0.05, 0, 0.0), (0.0, 900, 0.0), (0.0, 0, 0.01)):
                sent_s = now_s + after_s + later_s
                away_s = told.foresight.away_s(sent_s, size + more, there_s + longer_s)
                assert sent_s + away_s >= first - 1e-9


def test_what_is_on_its_way_when_the_connection_breaks_is_lost() -> None:
    reset = {"kind": "outage", "windows_s": [[1, 2]], "reset": True}
    foresight = Told({"phases": [{"name": "p", "seconds": 9, "up": [RATE, reset]}]}, 0).foresight
    assert foresight.away_s(0.5, 1000, 0.0) < 0.1
    assert foresight.away_s(0.9, 100_000, 0.0) == math.inf
    assert foresight.away_s(2.1, 1000, 0.0) < 0.1
    assert [foresight.is_open(at_s) for at_s in (0.5, 1.5, 2.5)] == [True, False, True]
    assert Coming(foresight, 0.5, 1.0, True).away_s(0.1, 1000, 0.0) < 0.1
    assert Coming(foresight, 0.5, 1.0, True).away_s(1.6, 1000, 0.0) == math.inf


def test_a_server_that_is_loaded_takes_longer() -> None:
    told = Told({"up": [RATE]}, 0)
    loaded = LoadCourse.model_validate({"steps": [{"from_s": 1, "stretch": 3}]})
    foresight = Foresight(told.foresight._way, told.foresight._server, loaded)
    before_s, after_s = (foresight.away_s(at_s, 1000, 0.02) for at_s in (0.5, 1.5))
    assert after_s - before_s == pytest.approx(0.04)


def test_without_a_server_nothing_is_answered() -> None:
    foresight = Foresight(None, None, LoadCourse())
    assert not foresight.reaches(0.0)
    assert not foresight.is_open(0.0)
    assert foresight.away_s(0.0, 10, 0.0) == math.inf
