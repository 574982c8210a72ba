"""The parts of the benchmark that sets the simulator beside live runs."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks import validation
from benchmarks.validation_cases import build_cases, path_case
from benchmarks.validation_figure import draw
from benchmarks.validation_live import LiveRun
from benchmarks.validation_path import LivePath, measure_path
from benchmarks.validation_score import Round, Score, beyond, compare
from benchmarks.validation_twin import Simulated, simulate_case
from device.tuning import Tuning
from offramp.errors import ConfigError, OfframpError
from offramp.report.lines import PlanLine, ResultLine, RunLine
from offramp.report.runs import Run
from partitioner.profile import load_profile
from sim.world.library import Library
from sim.world.run import simulate
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


@pytest.mark.parametrize(("how", "nobody"), [("simulated", ([], [0.1])), ("live", ([0.1], []))])
def test_a_round_without_an_answer_has_no_score(how, nobody):
    rounds = [Round([0.1], [0.1], 1), Round(*nobody, 0)]
    with pytest.raises(OfframpError, match=f"^out of reach, round 2: no answer came {how}$"):
        Score("out of reach", rounds)


def test_what_is_beyond_the_band_is_named():
    good = Score("good", [Round([0.109] * 3, [0.1] * 3, 1)])
    poor = Score("poor", [Round([0.1, 0.1, 0.112], [0.1] * 3, 1)])
    low = Score("low", [Round([0.08] * 3, [0.1] * 3, 1)])
    assert beyond([good], 0.1) == []
    assert beyond([good, poor, low], 0.1) == [
        "poor, p95 +10.8%",
        "low, median -20.0%",
        "low, p95 -20.0%",
    ]


def test_a_benchmark_beyond_its_band_ends_with_1(monkeypatch, capsys):
    errors = {"one": 1.0, "two": 1.2}
    cases = [SimpleNamespace(name=name) for name in errors]

    class Bench:
        profile_file = profile = bundle = None
        path_runs = ()

        def __init__(self, folder):
            pass

        def take_turns(self, cases, seed):
            pass

        def score(self, case, path):
            return Score(case.name, [Round([0.1 * errors[case.name]] * 3, [0.1] * 3, 1)])

    path = LivePath((0.001, 0.002, 0.003), 0.001)
    monkeypatch.setattr(sys, "argv", ["validation", "--quick"])
    monkeypatch.setattr(validation, "_Bench", Bench)
    monkeypatch.setattr(validation, "build_cases", lambda *_: cases)
    monkeypatch.setattr(validation, "measure_loading_s", lambda bundle: 0.0)
    monkeypatch.setattr(validation, "measure_path", lambda *_: path)
    with pytest.raises(SystemExit) as ended:
        validation.main()
    assert ended.value.code == 1
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.endswith("(required 10%); beyond it: two, median +20.0%; two, p95 +20.0%")
    errors["two"] = 0.95
    validation.main()
    assert capsys.readouterr().out.endswith("(required 10%)\n")


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


def test_one_case_sends_features_from_inside_the_network(embedded_file):
    case = build_cases(PROFILE, None, 2.0)[-1]
    plans = []

    def watch(device, now_s, finish, held):
        plans.append((finish.work.plan.cut, finish.work.plan.level, finish.by))

    simulate(case.scenario, case.strategy, 0, Library(), watch)
    assert len(plans) == case.scenario.requests
    assert {(cut, by) for cut, _, by in plans} == {(1, "server")}
    assert {level for _, level, _ in plans} != {"lossless"}


def test_devices_that_share_a_server_heed_it_as_shipped():
    shipped = Tuning().heed_spread
    spreads = {
        group.agent.tuning.heed_spread
        for case in build_cases(PROFILE, None, 1.0)
        for group in case.scenario.groups
    }
    assert spreads == {shipped}
    assert shipped > 1


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
