"""Why plans were changed, by what had changed most of the conditions."""

from dataclasses import asdict, fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.turns import turn
from partitioner.conditions import Conditions

CALM = asdict(Conditions(10e6, 0.02))
WORDS = {
    "bandwidth": {"bandwidth_bps": 5e6, "rtt_s": 0.021},
    "round_trip": {"bandwidth_bps": 9e6, "rtt_s": 0.2},
    "server_wait": {"queue_s": 0.03},
    "server_price": {"price_s": 0.03, "queue_s": 0.01},
    "device_speed": {"device_stretch": 1.5},
    "server_speed": {"server_stretch": 0.4},
    "sample_rate": {"rate_hz": 30.0},
    "certainty": {"s_per_bit_sigma": 1e-9, "bandwidth_bps": 10.1e6},
    "server_lost": {"reachable": False, "bandwidth_bps": 1e3},
}


@pytest.mark.parametrize("word", WORDS)
def test_the_word_is_that_of_the_greatest_change(word):
    assert turn(CALM, {**CALM, **WORDS[word]}) == word


def test_the_first_plan_and_one_that_counts_on_the_server_again():
    assert turn(None, CALM) == "start"
    assert turn({**CALM, "reachable": False}, CALM) == "server_back"


amounts = st.floats(0, 1e9, allow_nan=False)
conditions = st.fixed_dictionaries(
    {
        field.name: st.booleans() if field.name == "reachable" else amounts
        for field in fields(Conditions)
    }
)


@given(conditions, conditions)
def test_there_are_no_other_words(before, now):
    assert turn(before, now) in {*WORDS, "server_back"}
