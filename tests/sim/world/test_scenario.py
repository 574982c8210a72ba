"""Scenarios as files: those of the documentation and the examples are what they say."""

import re

import pytest
import yaml

from offramp.errors import ConfigError
from offramp.settings import build_settings
from sim.world.course import LoadCourse
from sim.world.run import simulate
from sim.world.scenario import Scenario, read_scenario


def test_the_scenario_of_the_documentation_runs(repository, embedded_file):
    page = repository / "docs/simulator.md"
    (text,) = re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL)
    given = yaml.safe_load(text)
    scenario = build_settings(Scenario, given, str(page), page.parent)
    assert scenario.rpc_s == Scenario.model_fields["rpc_s"].default
    (server,) = scenario.servers
    for name in ("name", "queue_length", "max_wait_s", "slowdown", "batch_fixed_share"):
        assert getattr(server, name) == type(server).model_fields[name].default
    figures = simulate(scenario.model_copy(update={"duration_s": 8.0}), "offramp", 1)
    assert figures["total"]["requests"] > 500
    assert figures["total"]["late_share"] < 0.1


def test_the_example_runs(repository, embedded_file):
    scenario = read_scenario(repository / "examples/scenarios/street.yaml")
    short = scenario.model_copy(update={"duration_s": 4.0, "warm_up_s": 0.0})
    figures = simulate(short, "offramp", 1)
    assert set(figures["groups"]) == {"lte cameras", "wifi cameras"}
    assert figures["groups"]["wifi cameras"]["sent"] > 0


def test_a_load_course_goes_from_step_to_step_and_begins_again():
    course = LoadCourse(steps=[{"from_s": 2, "stretch": 3}, {"from_s": 4, "stretch": 1.5}])
    assert [course.stretch(t) for t in (0, 1.9, 2, 3.9, 4, 100)] == [1, 1, 3, 3, 1.5, 1.5]
    again = LoadCourse(steps=[{"from_s": 2, "stretch": 3}], repeat_s=5)
    assert [again.stretch(t) for t in (0, 2, 4.9, 5, 6.9, 7)] == [1, 3, 3, 1, 1, 3]
    assert LoadCourse().stretch(7) == 1


@pytest.mark.parametrize(
    "load",
    [
        {"steps": [{"from_s": 2, "stretch": 2}, {"from_s": 2, "stretch": 3}]},
        {"steps": [{"from_s": 5, "stretch": 2}], "repeat_s": 5},
        {"steps": [{"from_s": 0, "stretch": 0}]},
    ],
)
def test_a_load_course_that_makes_no_sense_is_refused(load):
    with pytest.raises(ConfigError, match="step"):
        build_settings(LoadCourse, load, "load")
