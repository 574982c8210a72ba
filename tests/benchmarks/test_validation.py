"""The parts of the benchmark that sets the simulator beside live runs."""

from pathlib import Path

import pytest

from benchmarks.validation_cases import build_cases, path_case
from benchmarks.validation_figure import draw
from benchmarks.validation_live import LiveRun
from benchmarks.validation_path import LivePath, measure_path
from benchmarks.validation_score import Round, Score, compare
from benchmarks.validation_twin import Simulated, simulate_case
from offramp.errors import ConfigError
from offramp.report.lines import PlanLine, ResultLine, RunLine
from offramp.report.runs import Run
from partitioner.profile import load_profile
from sim.world.library import Library
from sim.world.scenario import Scenario

PROFILE = Path(__file__).parents[2] / "examples/scenarios/profile.json"


def result(number, latency_s, by="server", **spans):
    answer = None if by == "" else 1
    return ResultLine(
        id=number,
        status="ok" if by else "dropped",
        by=by,
        answer=answer,
        arrived_s=0.1 * number,
        latency_s=latency_s,
        spans=spans,
    )


def live(*results):
    opening = RunLine(strategy="server_only", model="m", digest="0", segments=8, slowdown=20.0)
    return Run("live", opening, results, plans=(PlanLine(at_s=0, id="p", cut=0, level="lossless"),))


def test_the_path_is_what_is_left_of_a_sample_without_computing():
    profile = load_profile(PROFILE)
    there_s = profile.decode["0/lossless"].median_s + profile.tail[0].median_s
    here_s = 20 * profile.encode["0/lossless"].median_s
    spans = {"network_s": 0.002, "queue_s": 0.0005, "decode_s": 0.0, "tail_s": there_s}
    results = []
    for number in range(5):
        more_s = 0.001 * number
        latency_s = 0.0007 + here_s + 0.0025 + more_s + there_s
        results.append(
            result(number, latency_s, **{**spans, "network_s": 0.002 + more_s}, encode_s=here_s)
        )
    path = measure_path([live(*results)], profile, 0.4)
    assert path.load_s == 0.4
    assert path.handover_s == pytest.approx(0.0007)
    assert path.rpc_s[0] == pytest.approx(0.0025)
    assert path.rpc_s[len(path.rpc_s) // 2] == pytest.approx(0.0045)
    assert path.rpc_s[-1] == pytest.approx(0.0065)


def test_a_round_takes_what_was_answered_and_who_answered_it():
    predicted = {"a": [Simulated(0, 9.0, "")] * 2 + [Simulated(3, 0.1, "server")] * 2}
    predicted["a"].append(Simulated(4, 0.2, ""))
    measured = {
        "a": live(
            result(4, 0.5, ""),  # lines come in the order in which samples end
            result(0, 9.0),
            result(1, 9.0),
            result(2, 0.11),
            result(3, 0.3, "exit stage1"),
        )
    }
    found = compare(predicted, measured, skipped=2)
    assert found.predicted_s == [0.1, 0.1]
    assert found.measured_s == [0.11, 0.3]
    assert found.alike == pytest.approx(2 / 3)


def test_a_score_is_the_median_of_its_rounds():
    rounds = [Round([0.11 * n] * 3, [0.1 * n] * 3, 1 - n / 10) for n in (1, 2, 7)]
    score = Score("case", rounds)
    assert score.predicted_s(0.5) == pytest.approx(0.22)
    assert score.measured_s(0.95) == pytest.approx(0.2)
    assert score.error(0.5) == pytest.approx(0.1)
    assert score.alike == pytest.approx(0.8)


def test_the_figure_shows_every_case():
    scores = [Score(name, [Round([0.1, 0.2], [0.1, 0.25], 1)]) for name in ("one", "two", "three")]
    svg = draw(scores)
    assert svg.startswith("<svg")
    assert all(f">{name}<" in svg for name in ("one", "two", "three", "within 10%"))


def test_the_twin_sees_the_same_samples_whatever_the_path(embedded_file):
    case, library = path_case(PROFILE, 20), Library()
    quick = simulate_case(case, 0, library, LivePath((0.0,), 0.0))["camera/0"]
    slow = simulate_case(case, 0, library, LivePath((0.002, 0.002), 0.001))["camera/0"]
    assert [one.sample for one in quick] == [one.sample for one in slow]
    assert len({one.sample for one in quick}) > 10
    assert {one.by for one in quick} == {"server"}
    for fast, late in zip(quick, slow, strict=True):
        assert late.latency_s - fast.latency_s == pytest.approx(0.003)


def test_every_case_can_run_live(embedded_file):
    library = Library()
    for case in build_cases(PROFILE, None, 1.0):
        found = simulate_case(case, 0, library)
        assert len(found) == len(case.scenario.groups)
        for requests in found.values():
            assert len(requests) == case.scenario.requests > case.skipped


GROUP = {"profile": PROFILE, "link": "wifi"}
PERIODIC = {"arrivals": {"kind": "periodic", "rate_hz": 5, "phase": 0}}


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ({"groups": [{**GROUP, **PERIODIC}], "servers": [{"slowdown": 2}]}, "as it is"),
        ({"groups": [{**GROUP, **PERIODIC}], "servers": []}, "one server"),
        ({"groups": [{**GROUP, **PERIODIC, "count": 2}]}, "one device"),
        ({"groups": [GROUP]}, "periodic"),
        ({"groups": [{**GROUP, "arrivals": {"kind": "poisson", "rate_hz": 5}}]}, "periodic"),
    ],
)
def test_what_cannot_run_live_is_refused(content, why, tmp_path):
    scenario = Scenario(requests=3, **content)
    with pytest.raises(ConfigError, match=why):
        LiveRun(scenario, "offramp", 0, tmp_path / "run").run({"devices/0": [0, 1, 2]})
    assert not (tmp_path / "run").exists()
