"""What docs/planning.md shows is what settings and commands take."""

import re
from pathlib import Path

import pytest
import yaml

from device.settings import AgentSettings
from partitioner.measures import MEASURES, limit_name
from partitioner.objective import Objective
from partitioner.plan_command import plan
from partitioner.what_if_axes import AXES

PAGE = (Path(__file__).parents[2] / "docs" / "planning.md").read_text()
OBJECTIVE, HEDGE = (yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.S))


def test_its_objective_is_one():
    objective = Objective.model_validate(OBJECTIVE)
    assert objective.limits.given() == {"p99": 0.4, "uplink": 500.0, "energy": 0.8}
    assert objective.kept["late"] == 0.01


def test_its_hedge_is_a_setting_of_the_agent():
    assert AgentSettings.model_validate(HEDGE).hedge.max_cpu_share == 0.3
    assert AgentSettings().hedge.max_cpu_share == 0.5


@pytest.mark.parametrize("name", MEASURES)
def test_it_has_every_measure_and_limit(name):
    assert f"| `{name}`" in PAGE
    limit = limit_name(MEASURES[name])
    assert limit == "late_share" or f"`{limit}`" in PAGE


def test_it_has_every_axis_and_only_options_that_there_are():
    assert all(f"`{name}`" in PAGE for name in AXES)
    options = {option for parameter in plan.params for option in parameter.opts}
    commands = re.findall(r"^    offramp plan (.*(?:\\\n.*)?)$", PAGE, re.M)
    assert len(commands) == 4
    assert set(re.findall(r"--[a-z-]+", " ".join(commands))) <= options
