"""Energy from counted seconds, by hand."""

import pytest

from partitioner.power import Power
from sim.world.energy import energy_j

POWER = Power(
    name="board",
    source="made up",
    idle_w=1.0,
    compute_w=2.0,
    radio_w=3.0,
    radio_up_w=0.5,
    radio_tail_s=4.0,
)


def counted(**given):
    return {"device_s": 10.0, "sending_s": 2.0, "waiting_s": 5.0, "sent": 6, **given}


def test_the_radio_is_up_until_the_answer_and_its_tail_longer():
    found_j = energy_j(counted(), POWER, period_s=100.0)
    assert found_j == pytest.approx(10 * 2 + 2 * 3 + (3 + 6 * 4) * 0.5)


def test_its_tail_ends_with_the_next_request():
    found_j = energy_j(counted(), POWER, period_s=0.5)
    assert found_j == pytest.approx(10 * 2 + 2 * 3 + (3 + 6 * 0.5) * 0.5)


def test_probes_of_a_device_that_sends_nothing_are_sending():
    found_j = energy_j(counted(sent=0, waiting_s=0.0), POWER, period_s=1.0)
    assert found_j == pytest.approx(10 * 2 + 2 * 3)
