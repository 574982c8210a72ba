"""What holds of every arrival process, whatever it does."""

import inspect
import pkgutil
import tracemalloc
from importlib import import_module
from itertools import islice, pairwise

import pytest

import sim.arrivals
from offramp.errors import ConfigError
from offramp.settings import Settings, build_settings, load_settings
from sim.arrivals import ARRIVALS, AnyArrivalSettings, Arrivals, build_arrivals

SETTINGS = {
    "bursty": [
        {"rate_hz": 2, "burstiness": 5, "burst_s": 1},
        {"rate_hz": 20, "burstiness": 3, "burst_s": 0.5, "calm_hz": 10},
    ],
    "periodic": [
        {"rate_hz": 2},
        {"rate_hz": 30, "phase": 0.25, "jitter": 1},
    ],
    "poisson": [{"rate_hz": 2}],
    "recorded": [
        {"file": "stamps.csv"},
        {"file": "stamps.csv", "rate_hz": 7, "start": "begin"},
    ],
}
CASES = [(kind, settings) for kind, each in SETTINGS.items() for settings in each]

each_process = pytest.mark.parametrize(("kind", "settings"), CASES)


class Scenario(Settings):
    arrivals: AnyArrivalSettings


@pytest.fixture
def build(tmp_path):
    (tmp_path / "stamps.csv").write_text("seconds\n10\n10\n10.5\n14\n")

    def build(kind, settings):
        content = {"arrivals": {"kind": kind, **settings}}
        return build_arrivals(build_settings(Scenario, content, "test", tmp_path).arrivals)

    return build


def first(process, count, seed="seed"):
    return list(islice(process.times_s(seed), count))


def test_every_process_is_registered_and_tested():
    found = {
        member
        for module in pkgutil.iter_modules(sim.arrivals.__path__, "sim.arrivals.")
        for _, member in inspect.getmembers(import_module(module.name), inspect.isclass)
        if issubclass(member, Arrivals) and not inspect.isabstract(member)
    }
    assert found == set(ARRIVALS.values())
    assert set(SETTINGS) == set(ARRIVALS)


def test_a_process_is_registered_under_its_kind():
    for kind, cls in ARRIVALS.items():
        assert cls.Settings.model_fields["kind"].default == kind


@each_process
def test_times_start_at_zero_or_later_and_never_fall(build, kind, settings):
    times_s = first(build(kind, settings), 5000)
    assert times_s[0] >= 0
    assert all(one <= other for one, other in pairwise(times_s))
    assert len(set(times_s)) > 2500


@each_process
def test_the_same_seed_gives_the_same_times_whoever_else_asks(build, kind, settings):
    alone, shared = build(kind, settings), build(kind, settings)
    one, other = shared.times_s("one"), shared.times_s("other")
    times_s = [(next(one), next(other)) for _ in range(100)]
    assert [pair[0] for pair in times_s] == first(alone, 100, "one")
    assert [pair[1] for pair in times_s] == first(alone, 100, "other")


@each_process
def test_devices_do_not_move_in_step_unless_asked_to(build, kind, settings):
    process = build(kind, settings)
    together = first(process, 20, "device 0") == first(process, 20, "device 1")
    assert together == (settings.get("start") == "begin")


@each_process
def test_the_mean_rate_is_the_one_asked_for(build, kind, settings):
    count = 40_000
    *_, last_s = islice(build(kind, settings).times_s("mean"), count)
    # The recording has four requests: three gaps in 4 s.
    asked_hz = settings.get("rate_hz", 3 / 4)
    assert count / last_s == pytest.approx(asked_hz, rel=0.05)
    assert build(kind, settings).mean_rate_hz == pytest.approx(asked_hz, rel=1e-12)


@each_process
def test_times_are_made_one_by_one(build, kind, settings):
    times_s = build(kind, settings).times_s("memory")
    next(times_s)
    tracemalloc.start()
    for _ in islice(times_s, 20_000):
        pass
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 10_000


@each_process
def test_a_scenario_file_holds_them(tmp_path, build, kind, settings):
    path = tmp_path / "scenario.yaml"
    fields = ", ".join(f"{key}: {value}" for key, value in settings.items())
    path.write_text(f"arrivals: {{kind: {kind}, {fields}}}\n")
    process = build_arrivals(load_settings(Scenario, path).arrivals)
    assert first(process, 10) == first(build(kind, settings), 10)


@pytest.mark.parametrize(
    ("arrivals", "why"),
    [
        ({"kind": "poison", "rate_hz": 1}, "unknown kind 'poison'; did you mean 'poisson'"),
        ({"rate_hz": 1}, "needs a kind, one of bursty, periodic"),
        ("poisson", "needs a kind"),
        ({"kind": "poisson"}, "arrivals.rate_hz is missing; add it"),
        ({"kind": "poisson", "rate": 1}, "unknown key 'arrivals.rate'"),
        ({"kind": "poisson", "rate_hz": 0}, "arrivals.rate_hz must be above 0"),
        ({"kind": "poisson", "rate_hz": float("nan")}, "arrivals.rate_hz must .* finite"),
        ({"kind": "periodic", "rate_hz": -2}, "arrivals.rate_hz must be above 0"),
        ({"kind": "periodic", "rate_hz": 2, "phase": 1}, "arrivals.phase must be below 1"),
        ({"kind": "periodic", "rate_hz": 2, "jitter": 1.5}, "arrivals.jitter must be at most 1"),
        (
            {"kind": "bursty", "rate_hz": 2, "burstiness": 1, "burst_s": 1},
            "arrivals.burstiness must be above 1",
        ),
        (
            {"kind": "bursty", "rate_hz": 2, "burstiness": 3, "burst_s": 1, "calm_hz": 2},
            "calm_hz must be below rate_hz 2, the mean, not 2",
        ),
        (
            {"kind": "bursty", "rate_hz": 0.001, "burstiness": 2, "burst_s": 0.001},
            "bursts of burst_s 0.001 hold next to no request at 0.002 Hz; .* at least 5,",
        ),
        ({"kind": "recorded", "file": "x", "start": "end"}, "arrivals.start must .*'anywhere'"),
    ],
)
def test_wrong_settings_are_refused_by_their_key(arrivals, why):
    with pytest.raises(ConfigError, match=f"my scenario: .*{why}"):
        build_settings(Scenario, {"arrivals": arrivals}, "my scenario")
