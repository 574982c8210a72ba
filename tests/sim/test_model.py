from math import inf

import pytest

from offramp.errors import ConfigError
from sim.description import parse_link
from sim.link.outage import Blackout
from sim.model import build_link


def link(**description):
    return build_link(parse_link(description, "link"))


def rate(bps):
    return {"kind": "rate", "bps": bps}


def delay(seconds):
    return {"kind": "delay", "seconds": seconds}


OUTAGE = {"kind": "outage"}


def phase(name, seconds, *up):
    return {"name": name, "seconds": seconds, "up": list(up)}


def released(chain, *entries):
    return [round(chain.release_s(now_s, nbytes), 6) for now_s, nbytes in entries]


def test_down_is_like_up_but_a_queue_of_its_own():
    both = link(up=[rate(8000), delay(0.5)])
    assert released(both.up, (0, 1000), (0, 1000)) == [1.5, 2.5]
    assert released(both.down, (0, 1000)) == [1.5]


def test_down_can_differ():
    asymmetric = link(up=[rate(8000)], down=[rate(80_000)])
    assert released(asymmetric.down, (0, 1000)) == [0.1]


def test_good_poor_outage_back():
    demo = link(
        phases=[
            phase("good", 10, rate(8000), delay(0.5)),
            phase("poor", 5, rate(800), delay(2.0)),
            phase("outage", 5, OUTAGE),
            phase("back", None, rate(8000), delay(0.5)),
        ]
    )
    entries = [
        (0, 1000),  # served at 1, there half a second later
        (9.5, 600),  # 500 bytes by 10, the other 100 at the poor rate until 11
        (11, 100),  # served at 12
        (12.5, 100),  # served at 13.5, held from 15.5 to the end of the outage
        (14, 300),  # 100 bytes by 15, the other 200 from 20 on
        (17, 1000),  # waits for them
    ]
    assert released(demo.up, *entries) == [1.5, 13.0, 14.0, 20.0, 20.7, 21.7]
    assert demo.names == ("good", "poor", "outage", "back")


def test_phases_that_repeat_begin_again():
    waves = link(phases=[phase("on", 1, rate(8000)), phase("off", 1, OUTAGE)], repeat=True)
    assert released(waves.up, (0, 2500), (4.5, 400), (5.2, 100)) == [4.5, 4.9, 6.1]


def test_nothing_leaves_an_outage_that_never_ends():
    dead = link(phases=[phase("on", 1, rate(8000)), phase("off", None, OUTAGE)])
    assert released(dead.up, (0, 900), (0.5, 101), (0.6, 1)) == [0.9, inf, inf]


def test_the_outages_of_both_directions_are_told():
    breaking = link(
        up=[rate(8e6), OUTAGE | {"windows_s": [[1, 2]], "reset": True}], down=[{"kind": "noop"}]
    )
    assert [list(outage.blackouts(0)) for outage in breaking.outages] == [[Blackout(1, 2, True)]]


def test_every_direction_has_its_own_randomness_and_one_seed_repeats_it():
    jitter = [{"kind": "jitter", "seconds": 0.1}]
    one, same, other = link(seed=1, up=jitter), link(seed=1, up=jitter), link(seed=2, up=jitter)
    drawn = one.up.release_s(0, 1)
    assert drawn == same.up.release_s(0, 1)
    assert drawn != other.up.release_s(0, 1)
    assert drawn != one.down.release_s(0, 1)


@pytest.mark.parametrize(
    ("description", "why"),
    [
        ({"up": [OUTAGE, rate(8)]}, "outage, rate stand in another order than rate, outage"),
        (
            {"phases": [phase("a", 1, rate(8), delay(1)), phase("b", 1, delay(1), rate(8))]},
            "keep one order in all phases",
        ),
        (
            {"phases": [phase("a", 1, OUTAGE | {"windows_s": [[0, 2]]}), phase("b", 1, rate(8))]},
            "outlasts its phase",
        ),
        ({"up": [{"kind": "rate", "trace": "/nowhere"}]}, "/nowhere: cannot be read"),
    ],
)
def test_a_link_that_cannot_be_built_is_refused(description, why):
    with pytest.raises(ConfigError, match=why):
        link(**description)
