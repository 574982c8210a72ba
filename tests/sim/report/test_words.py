"""The scenario in words."""

from sim.report.contenders import gather_contenders
from sim.report.words import describe_setup, say_emulation


def say(made, **given):
    results = made.results(made.run("offramp"), setup=made.setup(made.group(**given)))
    return dict(describe_setup(results, gather_contenders(results)))


def test_a_group_is_told_with_all_that_its_figures_hang_on(made):
    text = say(made)["devices: cameras"]
    for part in (
        "2 on preset lte",
        "requests periodic rate_hz 5",
        "digits (4 segments, 1 early exit, bundle abababababab)",
        "whole model 120.0 ms on the device",
        "deadline 150.0 ms",
        "what the board draws is not known",
    ):
        assert part in text


def test_what_is_asked_for_besides_is_told(made):
    objective = {"deadline_s": 0.15, "max_accuracy_drop": 0.02, "limits": {"energy_j": 0.5}}
    text = say(made, objective=objective, power=made.power)["devices: cameras"]
    assert "max_accuracy_drop 0.02; at most energy_j 0.5" in text
    assert "board: 1 W at rest, 2 W more computing" in text


def test_the_scenario_its_servers_and_seeds_are_told(made):
    facts = say(made)
    assert facts["scenario"] == "street: 60 s, the first 5 s left out"
    assert facts["server: edge"].endswith("as profiled; stretched 2 times from 30 s on")
    assert facts["seeds"] == "1"
    assert facts["requests counted"] == "400 a run, the same for each strategy"


def test_devices_that_are_not_slowed_are_said_to_be_as_fast_as_profiled(made):
    said = say_emulation(made.setup(made.group(slowdown=1.0), made.group("doors")))
    assert "cameras are as fast as the Chip 9 that was profiled" in said
    assert "doors stand for boards 40 times slower" in said
