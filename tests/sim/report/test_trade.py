"""What strategies trade: what each spends, and who is on the frontier."""

import pytest

from sim.report.contenders import gather_contenders
from sim.report.trade import find_offers, spent_on


def contenders(made, setup=None):
    return gather_contenders(
        made.results(
            made.run("offramp", times_s=[0.02] * 100, right=0.9, device_s=0.010),
            made.run("device_only", times_s=[0.05] * 100, right=0.95, device_s=0.050),
            made.run("dads", times_s=[0.06] * 100, right=0.85, device_s=0.060),
            made.run("spinn", times_s=[0.07] * 100, right=0.8, device_s=0.001),
            made.run("oracle", times_s=[0.01] * 100, right=0.99, device_s=0.001),
            made.run("ans", times_s=[None] * 100),
            setup=setup,
        )
    )


def test_what_no_other_live_one_beats_is_on_the_frontier(made):
    offers = find_offers(contenders(made))
    assert [offer.name for offer in offers if offer.best] == ["offramp", "device_only", "spinn"]
    assert [offer.name for offer in offers if not offer.live] == ["oracle"]
    assert "ans" not in {offer.name for offer in offers}


def test_without_a_boards_power_seconds_stand_for_energy(made):
    read, name = spent_on(contenders(made))
    assert name == "processor and radio (ms a request)"
    assert read(contenders(made)[0].figures()[0]) == pytest.approx(0.020)


def test_energy_is_that_of_the_power_model(made):
    setup = made.setup(made.group(power=made.power))
    live = contenders(made, setup)
    read, name = spent_on(live)
    assert name == "energy (mJ a request)"
    # 10 ms computing at 2 W, 10 ms sending at 3 W; the radio is up for another 10 ms and, as often
    # as a sample comes, until its tail is over, at 0.5 W.
    assert read(live[0].figures()[0]) == pytest.approx(0.01 * 2 + 0.01 * 3 + (0.01 + 0.2) * 0.5)


def test_where_one_groups_power_is_unknown_there_is_no_total(made):
    setup = made.setup(made.group(power=made.power), made.group("doors"))
    results = made.results(made.run("offramp", groups=("cameras", "doors")), setup=setup)
    assert results["runs"][0]["groups"]["cameras"]["energy_j"] > 0
    assert results["runs"][0]["total"]["energy_j"] is None
