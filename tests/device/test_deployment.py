"""Which profile a run takes: what is remembered, and never what another run's options left."""

import pytest

from device import deployment
from device.deployment import profile_here
from device.settings import AgentSettings
from offramp.calibration import load_calibration
from offramp.errors import PlanError
from partitioner.measure import measure_profile
from partitioner.remembered import remember


@pytest.fixture
def measured(tiny, tmp_path, monkeypatch):
    """Every list of runners that is measured, in an empty cache, in one round."""
    monkeypatch.setenv("OFFRAMP_CACHE", str(tmp_path))
    seen = []

    def once(bundle, runners, **options):
        seen.append(list(runners))
        return measure_profile(bundle, runners, rounds=1, **options)

    monkeypatch.setattr(deployment, "measure_profile", once)
    return seen


def runners(bundle, **options):
    found = profile_here(bundle, AgentSettings(**options), lambda line: None)
    return {(runner.backend, runner.threads) for runner in found.runners}


def test_options_of_one_run_do_not_decide_for_the_next(tiny, measured):
    both = [("onnxruntime", 1), ("torch", 1)]
    remember(measure_profile(tiny, both, rounds=1))
    assert runners(tiny) == set(both)
    assert runners(tiny, backend="torch", threads=2) == {("torch", 2)}
    assert runners(tiny) == {*both, ("torch", 2)}
    assert measured == [[("torch", 2)]]


def test_without_a_profile_the_first_backend_is_measured_whatever_ran_before(tiny, measured):
    assert runners(tiny, backend="torch", threads=2) == {("torch", 2)}
    assert runners(tiny) == {("torch", 2), ("onnxruntime", 1)}
    assert runners(tiny, threads=2) == {("torch", 2), ("onnxruntime", 2)}
    assert runners(tiny, backend="torch") == {("torch", 2), ("torch", 1)}
    assert len(runners(tiny)) == 4
    assert measured == [
        [("torch", 2)],
        [("onnxruntime", 1)],
        [("onnxruntime", 2)],
        [("torch", 1)],
    ]


def test_where_the_first_backend_does_not_run_what_is_remembered_will_do(
    tiny, measured, monkeypatch
):
    remember(measure_profile(tiny, [("torch", 1)], rounds=1))

    def fails(bundle, runners, **options):
        raise PlanError("no backend could be measured")

    monkeypatch.setattr(deployment, "measure_profile", fails)
    assert runners(tiny) == {("torch", 1)}
    with pytest.raises(PlanError):
        runners(tiny, backend="onnxruntime")


def test_a_least_cut_holds_for_every_deployment_and_its_successor(tiny, measured):
    profile = measure_profile(tiny, [("onnxruntime", 1)], rounds=1)
    deepest = max(cut for cut, _ in load_calibration(tiny).levels)
    settings = AgentSettings(min_cut=deepest)
    for made in (
        deployment.deploy(tiny, profile, profile, settings),
        deployment.succeed(deployment.deploy(tiny, profile, profile, settings), tiny, settings),
    ):
        candidates = made.planner.candidates
        assert set(candidates.cut[candidates.sends].tolist()) == {deepest}
    with pytest.raises(PlanError, match="no plan is left"):
        deployment.deploy(tiny, profile, profile, AgentSettings(min_cut=deepest + 1))
