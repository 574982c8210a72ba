"""The agent's settings: one deadline, and options that win over the file."""

import pytest

from device.command import run
from device.main import _settings
from device.settings import AgentSettings
from offramp.errors import ConfigError
from offramp.settings import build_settings, load_settings
from partitioner.objective import Objective

OPTIONS = dict.fromkeys(parameter.name for parameter in run.params) | {"server": ()}


@pytest.fixture
def file(tmp_path):
    return tmp_path / "agent.yaml"


def test_the_objective_has_the_deadline_of_the_run(file):
    assert AgentSettings().objective.deadline_s == AgentSettings().deadline_s == 0.25
    file.write_text("deadline_s: 0.1\nobjective: {minimise: p95}\n")
    settings = load_settings(AgentSettings, file)
    assert settings.objective == Objective(minimise="p95", deadline_s=0.1)
    file.write_text("deadline_s: 0.1\nobjective: {deadline_s: 0.1}\n")
    assert load_settings(AgentSettings, file).objective.deadline_s == 0.1


@pytest.mark.parametrize("text", ["deadline_s: 0.1\n", ""])
def test_two_deadlines_are_refused_by_name(file, text):
    file.write_text(f"{text}objective: {{deadline_s: 0.2}}\n")
    said = r"agent.yaml: objective: its deadline_s 0\.2 contradicts the deadline_s .*; set the"
    with pytest.raises(ConfigError, match=said):
        load_settings(AgentSettings, file)


def test_late_samples_are_those_after_the_deadline_of_the_run(file):
    file.write_text("deadline_s: 0.1\nobjective: {minimise: late}\n")
    settings = load_settings(AgentSettings, file)
    assert settings.objective == Objective(minimise="late", deadline_s=0.1)
    file.write_text("objective: {minimise: late}\n")
    assert load_settings(AgentSettings, file).objective.deadline_s == 0.25


def test_a_wrong_deadline_is_named_as_such(file):
    file.write_text("deadline_s: -1\nobjective: {deadline_s: 0.2}\n")
    with pytest.raises(ConfigError, match=r"yaml: deadline_s must be above 0"):
        load_settings(AgentSettings, file)


def test_options_win_over_the_file_and_leave_the_rest_of_it(file):
    file.write_text("threads: 2\nobjective: {minimise: p95, max_accuracy_drop: 0.5}\n")
    given = {**OPTIONS, "settings": file, "deadline_ms": 80.0, "max_accuracy_drop": 0.02}
    settings = _settings(given)
    assert (settings.threads, settings.deadline_s) == (2, 0.08)
    assert settings.objective == Objective(minimise="p95", max_accuracy_drop=0.02, deadline_s=0.08)
    assert _settings(OPTIONS) == AgentSettings()
    file.write_text("server: [a:1, b:2]\n")
    assert [str(each) for each in _settings(given).server] == ["a:1", "b:2"]
    assert [str(each) for each in _settings({**given, "server": ("c:3",)}).server] == ["c:3"]
    file.write_text("objective: {minimize: p95}\n")
    with pytest.raises(ConfigError, match=r"'objective\.minimize'; did you mean 'minimise'"):
        _settings(given)


def test_where_memory_is_limited_nothing_computes_on(tmp_path):
    limited = {"limits": {"memory_bytes": 1e6}}
    for objective in (limited, {"minimise": "memory"}):
        settings = build_settings(AgentSettings, {"objective": objective}, "here")
        assert settings.hedge.max_cpu_share == 0
        with pytest.raises(ConfigError, match="hedge: the objective limits memory"):
            build_settings(AgentSettings, {"objective": objective, "hedge": {"max_w": 1}}, "here")
    none = build_settings(
        AgentSettings, {"objective": limited, "hedge": {"max_cpu_share": 0}}, "here"
    )
    assert none.hedge.max_cpu_share == 0
    assert AgentSettings().hedge.max_cpu_share == 0.5
