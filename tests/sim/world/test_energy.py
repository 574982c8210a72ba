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
COMPUTED_J, SENT_J = 10 * 2, 2 * 3


def counted(**given):
    """Ten requests of which six are sent: the radio sends for 2 s, and waits 3 s more."""
    return {
        "requests": 10,
        "device_s": 10.0,
        "sending_s": 2.0,
        "waiting_s": 5.0,
        "probe_waiting_s": 0.0,
        "sent": 6,
        "probes": 0,
        **given,
    }


def test_the_radio_is_up_until_the_answer_and_its_tail_longer():
    found_j = energy_j(counted(), POWER, period_s=100.0)
    assert found_j == pytest.approx(COMPUTED_J + SENT_J + (3 + 6 * 4) * 0.5)


def test_its_tail_ends_with_the_next_message():
    """In 15 s the radio rests 10, behind six samples and two probes."""
    found_j = energy_j(counted(), POWER, period_s=1.5)
    assert found_j == pytest.approx(COMPUTED_J + SENT_J + (15 - 2) * 0.5)
    with_probes = counted(probes=2, probe_waiting_s=1.0)
    assert energy_j(with_probes, POWER, period_s=1.5) == pytest.approx(found_j)


def test_a_probe_takes_what_a_message_takes():
    alone_j = energy_j(counted(), POWER, period_s=100.0)
    more = counted(probes=3, probe_waiting_s=1.0, sending_s=2.25)
    more_j = energy_j(more, POWER, period_s=100.0)
    assert more_j - alone_j == pytest.approx(0.25 * 3 + (0.75 + 3 * 4) * 0.5)


def test_probes_of_a_device_that_sends_no_sample_cost_energy():
    idle = counted(sent=0, waiting_s=0.0, sending_s=0.0)
    assert energy_j(idle, POWER, period_s=1.0) == pytest.approx(COMPUTED_J)
    probing = {**idle, "probes": 1, "probe_waiting_s": 0.5, "sending_s": 0.1}
    assert energy_j(probing, POWER, period_s=1.0) == pytest.approx(
        COMPUTED_J + 0.1 * 3 + (0.4 + 4) * 0.5
    )
