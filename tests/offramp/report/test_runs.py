import pytest

from offramp.errors import ConfigError
from offramp.report.runs import parse_run, read_run


def test_a_run_is_read_back_line_by_line(make, tmp_path):
    path = tmp_path / "monday.jsonl"
    lines = [*make.story(), make.phases, {"kind": "summary", "of": "a newer release"}]
    path.write_bytes(b"\n".join(make.encode(lines)) + b"\n\n")
    run = read_run(path)
    assert run.name == "monday"
    assert (run.opening.strategy, run.opening.machine.processor) == ("offramp", "Chip 9")
    assert [result.id for result in run.results] == list(range(10))
    assert [(plan.at_s, plan.cut) for plan in run.plans] == [(0.0, 0), (0.8, 4)]
    assert [phase.name for phase in run.phases] == ["good", "poor", "outage", "back"]
    assert run.end_s == pytest.approx(1.0)


def test_lateness_is_judged_by_the_report_itself(make):
    lines = [make.opening, make.result(0, latency_s=0.1), make.result(1, latency_s=0.1001)]
    assert [result.late for result in make.parse(lines).results] == [False, True]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"{", "line 2: not JSON"),
        (b"\xff\xfe", "line 2: not JSON"),
        (b"[" * 100_000, "line 2: not JSON"),
        (b"[1]", "line 2: not an object with a kind"),
        (b'{"id": 1}', "line 2: not an object with a kind"),
        (b'{"kind": ["result"]}', "line 2: not an object with a kind"),
        (b'{"kind": "result"}', "line 2: id is missing; add it"),
        (b'{"kind": "load", "at_s": NaN, "bandwidth_bps": 1}', "line 2: at_s"),
        (b'{"kind": "load", "at_s": 1, "bandwidth_bps": 1e400}', "line 2: bandwidth_bps"),
        (b'{"kind": "link", "at_s": "soon", "up": true}', "line 2: at_s"),
        (b'{"kind": "plan", "at_s": 0, "id": "x", "cut": -1}', "line 2: cut"),
        (b'{"kind": "phases", "phases": [{"name": "good"}]}', "line 2: phases.0.start_s"),
    ],
)
def test_a_wrong_line_is_named(make, line, why):
    with pytest.raises(ConfigError) as refused:
        parse_run([*make.encode([make.opening]), line], "x/run.jsonl")
    assert str(refused.value).startswith(f"x/run.jsonl, {why}")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "change",
    [
        {"status": "splendid"},
        {"latency_s": -0.1},
        {"latency_s": 1e300},
        {"latency_s": "soon"},
        {"sent_bytes": -1},
        {"sent_bytes": 10**30},
        {"spans": {"head_s": -1}},
        {"spans": [1]},
    ],
)
def test_a_wrong_result_is_refused(make, change):
    with pytest.raises(ConfigError, match=f"line 2: {next(iter(change))}"):
        make.parse([make.opening, make.result(0, **change)])


def test_what_is_no_run_is_refused_by_what_it_lacks(make, tmp_path):
    with pytest.raises(ConfigError, match="no line of kind 'run'"):
        make.parse([])
    with pytest.raises(ConfigError, match="no line of kind 'run'"):
        make.parse([make.result(0)])
    with pytest.raises(ConfigError, match="no line of kind 'result'"):
        make.parse([make.opening])
    with pytest.raises(ConfigError, match="line 12: a second run begins"):
        make.parse([make.opening, *map(make.result, range(10)), make.opening])
    with pytest.raises(ConfigError, match=r"nowhere\.jsonl: cannot be read"):
        read_run(tmp_path / "nowhere.jsonl")
    with pytest.raises(ConfigError, match="is a folder; name a file"):
        read_run(tmp_path)
