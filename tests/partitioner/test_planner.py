"""The planner's numbers and choices against following every sample by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offramp.bundle import Bundle
from offramp.bundle.allowed import Allowed, AllowedPlan
from offramp.bundle.quantised import Quantised
from offramp.errors import PlanError
from offramp.exits import FittedPolicy, get
from partitioner.candidates import CLOSED, build_candidates
from partitioner.comparison import Comparison
from partitioner.conditions import Conditions
from partitioner.objective import Objective
from partitioner.plan import Plan
from partitioner.planner import Planner
from partitioner.profile import Timing
from partitioner.reasons import explain

SEEDS = st.integers(0, 2**32 - 1)
EXITS = st.integers(0, 2)
MODEST = settings(max_examples=15, deadline=None)


def told(planner: Planner, objective: Objective, now: Conditions) -> Plan:
    """The best plan, with what it would do and why it was taken."""
    return explain(planner, planner.best(objective, now), objective, now)


@MODEST
@given(seed=SEEDS, exits=EXITS, joint=st.booleans(), deadline_s=st.floats(1e-3, 0.3))
def test_every_candidates_numbers_are_those_of_its_samples(
    world: Callable[..., Any],
    weather: Callable[..., Conditions],
    seed: int,
    exits: int,
    joint: bool,
    deadline_s: float,
) -> None:
    it, now = world(seed, exits=exits, joint=joint), weather(seed)
    ranking = it.planner.rank(Objective(deadline_s=deadline_s), now)
    c, forecast = it.candidates, it.planner.forecast(now)
    p95_s, late = forecast.quantile_s(0.95), forecast.late_share(deadline_s)
    assert sorted(ranking.rows) == list(range(len(c)))
    for row in range(len(c)):
        active = it.bundle.manifest.exits_before(int(c.cut[row]))
        thresholds = tuple(float(t) for t in c.thresholds[row])
        o = it.follow(int(c.cut[row]), c.level[row], thresholds[:active], now)
        assert thresholds[active:] == (CLOSED,) * (exits - active)
        close = pytest.approx(0, abs=1e-9)
        assert forecast.mean_s[row] - o.mean_s == close
        assert p95_s[row] - o.p95_s == close
        assert c.accuracy[row] - o.accuracy == close
        assert c.sent_share[row] - o.sent_share == close
        assert c.bytes_mean[row] - o.bytes_mean == pytest.approx(0, abs=1e-6)
        np.testing.assert_allclose(c.exit_shares[row, :active], o.exit_shares, atol=1e-9)
        if min(abs(t - deadline_s) for t in o.latencies) > 1e-9:
            assert late[row] - o.miss_share(deadline_s) == close


@MODEST
@given(
    seed=SEEDS,
    exits=EXITS,
    joint=st.booleans(),
    minimise=st.sampled_from(["mean", "p95"]),
    drop=st.sampled_from([0.0, 0.05, 0.2, None]),
    deadline_s=st.sampled_from([None, 0.02, 0.05, 0.2]),
    misses=st.sampled_from([0.0, 0.1, 0.3]),
    reachable=st.booleans(),
)
def test_the_plan_is_the_best_of_all_candidates_unpruned(
    world: Callable[..., Any],
    weather: Callable[..., Conditions],
    seed: int,
    exits: int,
    joint: bool,
    minimise: Any,
    drop: float | None,
    deadline_s: float | None,
    misses: float,
    reachable: bool,
) -> None:
    it, now = world(seed, exits=exits, joint=joint), weather(seed, reachable)
    objective = Objective(
        minimise=minimise, max_accuracy_drop=drop, deadline_s=deadline_s, max_miss_share=misses
    )
    best = it.best(objective, now)
    plan = told(it.planner, objective, now)
    assert plan == told(it.planner, objective, now)
    assert plan.prediction is not None
    if best is None:
        assert "no plan keeps accuracy" in plan.reason
    else:
        target = plan.prediction.mean_s if minimise == "mean" else plan.prediction.p95_s
        assert target == pytest.approx(best, abs=1e-9)
        assert plan.prediction.accuracy >= it.planner.accuracy_floor(objective) - 1e-9
        assert plan.prediction.miss_share <= misses + 1e-9
    if not reachable:
        assert plan.level is None


def test_fewer_samples_sent_may_still_be_more_bytes(world: Callable[..., Any]) -> None:
    """Here the best plan lets fewer samples leave than another, but sends shorter ones."""
    it = world(82, depth=2)
    now, objective = Conditions(1e6, 0.0), Objective(max_accuracy_drop=0.3, minimise="p95")
    plan = told(it.planner, objective, now)
    assert plan.prediction is not None
    assert plan.prediction.p95_s == pytest.approx(it.best(objective, now), abs=1e-9)


@pytest.mark.parametrize("seed", [0, 2, 4, 5])
def test_when_nothing_is_accurate_enough_the_most_accurate_in_time_is_taken(
    world: Callable[..., Any], weather: Callable[..., Conditions], seed: int
) -> None:
    it, now = world(seed), weather(seed)
    outcomes = list(it.outcomes(now))
    deadline_s = float(np.median([o.p95_s for o in outcomes]))
    in_time = [o for o in outcomes if o.miss_share(deadline_s) <= 0.01]
    plan = told(it.planner, Objective(min_accuracy=1.0, deadline_s=deadline_s), now)
    assert max(o.accuracy for o in outcomes) < 1
    assert plan.prediction is not None
    assert plan.prediction.accuracy == pytest.approx(max(o.accuracy for o in in_time))
    assert plan.prediction.miss_share <= 0.01
    assert "no plan keeps accuracy 1" in plan.reason


@pytest.mark.parametrize("misses", [0.0, 0.2])
def test_when_nothing_is_in_time_the_last_of_the_accurate_is_the_least_overdue(
    world: Callable[..., Any], weather: Callable[..., Conditions], misses: float
) -> None:
    told_apart = 0
    for seed in range(12):
        it, now = world(seed), weather(seed)
        wish = Objective(max_accuracy_drop=0.05, max_miss_share=misses)
        floor = it.planner.accuracy_floor(wish) - 1e-12
        accurate = [o for o in it.outcomes(now) if o.accuracy >= floor]
        last_s = [o.quantile_s(100 * (1 - misses)) for o in accurate]
        late_s = 0.9 * min(last_s)
        plan = told(it.planner, wish.model_copy(update={"deadline_s": late_s}), now)
        chosen = it.follow(plan.cut, plan.level, plan.thresholds, now)
        assert chosen.accuracy >= floor
        assert chosen.quantile_s(100 * (1 - misses)) == pytest.approx(min(last_s), abs=1e-9)
        shares = {o.miss_share(late_s) for o in accurate}
        told_apart += len(shares) > 1 and min(shares) > misses
    assert told_apart > 3


def test_a_share_of_misses_that_is_exactly_allowed_is_allowed(world: Callable[..., Any]) -> None:
    it = world(3, samples=10)
    now = Conditions(bandwidth_bps=1e6, rtt_s=0.01)
    for deadline_s in np.linspace(0.01, 0.1, 50):
        for tenths in range(10):  # as decimals these are no sums of tenths
            objective = Objective(
                max_accuracy_drop=1, deadline_s=deadline_s, max_miss_share=tenths / 10
            )
            ranking = it.planner.rank(objective, now)
            late = np.rint(it.planner.forecast(now).late_share(deadline_s) * 10)
            np.testing.assert_array_equal(ranking.feasible, late <= tenths)


def test_the_floor_is_the_highest_of_those_asked_for(world: Callable[..., Any]) -> None:
    it = world(4)
    whole = it.calibration.accuracy
    floor = it.planner.accuracy_floor
    assert floor(Objective(max_accuracy_drop=0.1)) == pytest.approx(whole - 0.1)
    assert floor(Objective(max_accuracy_drop=0.1, min_accuracy=0.99)) == 0.99
    assert floor(Objective(max_accuracy_drop=None)) == 0.0
    assert floor(Objective(max_accuracy_drop=0.1, min_accuracy=0.01)) == pytest.approx(whole - 0.1)


def test_the_floor_does_not_need_a_plan_that_closes_all_exits(world: Callable[..., Any]) -> None:
    it = world(4, exits=1)
    last = max(it.bundle.manifest.cuts)
    plan = AllowedPlan(cut=last, thresholds=(0.5,), accuracy_drop=0.0, left_share=0.5)
    allowed = Allowed(samples=10, plans=(plan,))
    manifest = it.bundle.manifest.model_copy(update={"allowed": allowed})
    bundle = replace(it.bundle, manifest=manifest)
    candidates = build_candidates(bundle, it.calibration, FittedPolicy(get("confidence")))
    planner = Planner(bundle, candidates, it.device, it.server)
    objective = Objective(max_accuracy_drop=0.1)
    assert planner.accuracy_floor(objective) == pytest.approx(it.calibration.accuracy - 0.1)
    assert planner.best(objective, Conditions(1e6, 0.01)).thresholds == (0.5,)


def test_the_floor_counts_what_quantised_heads_lose(
    world: Callable[..., Any], quantised: Quantised
) -> None:
    it = world(4)
    manifest = it.bundle.manifest.model_copy(update={"quantised": quantised})
    bundle = replace(it.bundle, manifest=manifest)
    int8 = it.device.main.model_copy(update={"backend": quantised.backend, "exact": False})
    planner = Planner(bundle, it.candidates, it.device.having((int8,)), it.server)
    assert planner.accuracy_floor(Objective(max_accuracy_drop=0.1)) == pytest.approx(0.858)
    with pytest.raises(PlanError, match="calibrated with heads on onnxruntime_int8"):
        Planner(bundle, it.candidates, it.device, it.server)


def test_runners_up_are_other_cuts_best_first(world: Callable[..., Any]) -> None:
    it = world(5, depth=4)
    now = Conditions(bandwidth_bps=1e6, rtt_s=0.01)
    chosen = it.planner.best(Objective(), now)
    comparison = Comparison(it.planner, Objective(), now)
    others = comparison.others(chosen, count=10)
    assert len({chosen.cut, *(other.plan.cut for other in others)}) == 1 + len(others) == 5
    means_s = [other.target for other in others]
    assert means_s == sorted(means_s)
    assert comparison.others(chosen) == others[:3]


def test_a_plan_can_be_predicted_again_elsewhere(world: Callable[..., Any]) -> None:
    it = world(6)
    there, here = Conditions(1e6, 0.01), Conditions(2e5, 0.1)
    plan = told(it.planner, Objective(), there)
    assert it.planner.predict(plan, Objective(), there) == plan.prediction
    o = it.follow(plan.cut, plan.level, plan.thresholds, here)
    prediction = it.planner.predict(plan, Objective(), here)
    assert prediction is not None
    assert prediction.mean_s == pytest.approx(o.mean_s, abs=1e-9)
    assert it.planner.predict(replace(plan, level="unheard"), Objective(), here) is None


def test_a_head_measured_faster_than_a_shorter_one_counts_as_long(
    world: Callable[..., Any],
) -> None:
    """Measurements waver; a quantile by order statistics needs heads that never get faster."""
    it = world(7, depth=3)
    steps = [t.median_s for t in it.device.head]
    swapped = [steps[0], steps[2], steps[1], steps[3]]
    level = [steps[0], steps[2], steps[2], steps[3]]

    def planner(heads: list[float]) -> Planner:
        timings = tuple(Timing(median_s=t, p10_s=t, p90_s=t, runs=1) for t in heads)
        device = it.device.model_copy(update={"head": timings})
        return Planner(it.bundle, it.candidates, device, it.server)

    now = Conditions(1e6, 0.01)
    wavering, straight = (planner(h).forecast(now) for h in (swapped, level))
    np.testing.assert_array_equal(wavering.mean_s, straight.mean_s)
    np.testing.assert_array_equal(wavering.quantile_s(0.95), straight.quantile_s(0.95))


THRESHOLDS = st.lists(st.sampled_from([0.0, 0.5, 0.5 + 1e-9, 1.0, 1.5, CLOSED, 3.0]), max_size=3)


@settings(deadline=None, max_examples=200)
@given(
    a=st.tuples(st.integers(0, 2), st.sampled_from(["raw", None]), THRESHOLDS),
    b=st.tuples(st.integers(0, 2), st.sampled_from(["raw", None]), THRESHOLDS),
)
def test_ids_are_equal_if_and_only_if_plans_behave_equally(a: Any, b: Any) -> None:
    def behaviour(cut: int, level: str | None, thresholds: list[float]) -> Any:
        return cut, level, [None if t > 1 else t for t in thresholds]

    def plan(cut: int, level: str | None, thresholds: list[float]) -> Plan:
        return Plan(cut, level, "confidence", tuple(thresholds), reason=f"{cut}")

    assert (plan(*a).id == plan(*b).id) == (behaviour(*a) == behaviour(*b))


def test_ids_do_not_change_between_releases() -> None:
    assert Plan(0, "webp75", "confidence", ()).id == "c416cf98"
    assert Plan(2, "affine4", "confidence", (0.9, CLOSED)).id == "a974ce4b"


def test_a_plan_says_what_it_does() -> None:
    assert Plan(2, "affine4", "confidence", (0.9, CLOSED)).describe() == (
        "cut 2, sends affine4, thresholds 0.9 closed"
    )
    assert Plan(3, None, "confidence", ()).describe() == "cut 3, sends nothing"


def test_a_reason_names_link_target_and_runner_up(world: Callable[..., Any]) -> None:
    it = world(8)
    plan = told(it.planner, Objective(minimise="p95"), Conditions(8e6, 0.02))
    assert plan.reason.startswith("with 8 Mbit/s and 20 ms, p95 ")
    assert "; the best at another cut: cut " in plan.reason
    alone = told(it.planner, Objective(), Conditions(8e6, 0.02, reachable=False))
    assert alone.reason.startswith("with no reachable server, mean ")


@pytest.mark.parametrize(
    "name", ["bandwidth_bps", "rtt_s", "queue_s", "device_stretch", "server_stretch"]
)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0])
def test_conditions_that_cannot_be_are_refused(name: str, value: float) -> None:
    with pytest.raises(PlanError, match=name):
        replace(Conditions(1e6, 0.01), **{name: value})


def test_a_profile_of_another_bundle_is_refused(world: Callable[..., Any]) -> None:
    it = world(9)
    other = Bundle(it.bundle.manifest, "1" * 64, it.bundle.folder)
    with pytest.raises(PlanError, match="not of 111111111111"):
        Planner(other, it.candidates, it.device, it.server)
    (runner,) = it.device.runners
    lacking: list[dict[str, Any]] = [{"encode": {}}, {"decode": {}}]
    for part in ("head", "tail", "exits"):
        short = runner.model_copy(update={part: getattr(runner, part)[1:]})
        lacking.append({"runners": (short,)})
    for missing in lacking:
        with pytest.raises(PlanError, match="measure it again"):
            Planner(it.bundle, it.candidates, it.device.model_copy(update=missing), it.server)
