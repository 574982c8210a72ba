"""Who knows what comes does as well as can be done, and no one who does not know does better."""

from __future__ import annotations

import collections
import json
import statistics

import pytest

from partitioner.objective import Objective
from partitioner.strategies import STRATEGIES, Strategy
from sim.presets import PRESETS
from sim.traces import read_trace

DELAY = {"kind": "delay", "seconds": 0.01}
NO_HEDGE = {"hedge": {"max_cpu_share": 0}}
LIVE = [name for name, strategy in STRATEGIES.items() if not strategy.clairvoyant]


def mbps(rate: float, **outage: object) -> list[dict[str, object]]:
    chain: list[dict[str, object]] = [{"kind": "rate", "bps": rate * 1e6}, DELAY]
    return [*chain, {"kind": "outage", **outage}] if outage else chain


def course(*chains: list[dict[str, object]]) -> dict[str, object]:
    return {"phases": [{"name": f"p{at}", "seconds": 3, "up": up} for at, up in enumerate(chains)]}


OUTAGE = course(mbps(5), mbps(5, windows_s=[[0.5, 2.5]]), mbps(5), mbps(0.3), mbps(5))
LINKS = {
    "steady": {"up": mbps(3)},
    "step": course(mbps(5), mbps(0.2), mbps(5), mbps(0.5)),
    "outage": OUTAGE,
    "reset": course(mbps(5), mbps(5, windows_s=[[0.5, 2.5]], reset=True), mbps(5)),
}


def scenario(link, **agent):
    """A device that takes 80 ms for the whole model, asked four times a second."""
    return {
        "duration_s": 14.5,
        "groups": [
            {
                "link": link if isinstance(link, str) or "trace" in link else {"described": link},
                "arrivals": {"kind": "periodic", "rate_hz": 4, "phase": 0},
                "agent": {"slowdown": 4, "deadline_s": 0.5, **NO_HEDGE, **agent},
            }
        ],
    }


@pytest.fixture
def latencies(run):
    """Runs a scenario; returns the latency of every request in ms, by when it came."""

    def simulate(described, strategy, seed):
        found = {}

        def note(name, now_s, finish, held):
            found[finish.work.id] = 1e3 * (now_s - finish.work.arrived_s)

        run(described, strategy, seed, note)
        return [found[number] for number in sorted(found)]

    return simulate


def test_the_oracle_is_near_the_best_plan_for_every_sample(
    latencies, planner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every plan is kept for a whole run; of each sample, that counts which is best in the mean
    over what the sample may be, and it is told apart by nothing else than when it comes."""

    class Kept(Strategy):
        name, adapts, plan = "kept", False, None

        def decide(self, planner, objective, conditions):
            return self.plan

    monkeypatch.setitem(STRATEGIES, "kept", Kept)
    objective, seeds = Objective(), range(6)
    accurate = planner.candidates.accuracy >= planner.accuracy_floor(objective) - 1e-12
    means = []
    for row in accurate.nonzero()[0].tolist():
        Kept.plan = planner.plan_of(row)
        runs = [latencies(scenario(OUTAGE), "kept", seed) for seed in seeds]
        means.append([statistics.fmean(one) for one in zip(*runs, strict=True)])
    best = statistics.fmean(min(one) for one in zip(*means, strict=True))
    single = min(statistics.fmean(one) for one in means)
    oracle, static = (
        statistics.fmean(
            statistics.fmean(latencies(scenario(OUTAGE), name, seed)) for seed in seeds
        )
        for name in ("oracle", "static")
    )
    assert len(means) >= 5
    assert best < 0.9 * single  # so that there is something to know
    assert oracle == pytest.approx(best, rel=0.03)
    assert static == pytest.approx(single, rel=0.03)


@pytest.fixture(scope="session")
def trace(tmp_path_factory):
    """A recorded rate like LTE's, with seconds in which nothing comes."""
    path = tmp_path_factory.mktemp("trace") / "uplink.csv"
    rates = [4.1, 2.2, 0.3, 0.0, 0.0, 1.7, 6.0, 5.2, 0.9, 0.1, 0.0, 3.3, 7.5, 4.4, 2.8]
    rows = [f"{at},{rate}" for at, rate in enumerate(rates)]
    path.write_text("\n".join(["seconds,mbps", *rows]) + "\n")
    assert read_trace(path).mean_bps > 1e6
    return {"trace": str(path), "delay_s": 0.01}


POISSON = {"kind": "poisson", "rate_hz": 8}
DRAWN = {"jitter": {"up": [mbps(30)[0], {"kind": "jitter", "seconds": 0.02}]}}


@pytest.mark.parametrize(
    ("link", "arrivals"),
    [
        *((link, None) for link in (*LINKS, "trace", *DRAWN, *PRESETS)),
        *((link, POISSON) for link in ("steady", "step", *PRESETS)),
    ],
)
def test_no_one_who_does_not_know_what_comes_beats_the_oracle(run, trace, link, arrivals) -> None:
    """Without a hedge; the less accurate ones do not count.

    Of a message the packet that jitter delays most counts, and of uneven arrivals when each comes.
    """
    described = scenario({**LINKS, **DRAWN, "trace": trace}.get(link, link))
    if arrivals is not None:
        described["groups"][0]["arrivals"] = arrivals
    if arrivals is not None or link in (
        *DRAWN,
        *PRESETS,
    ):  # of what is random, enough to tell 2% apart
        described["duration_s"] = 120
    oracle = run(described, "oracle")["total"]
    worse = []
    for name in LIVE:
        total = run(described, name)["total"]
        if total["accuracy"] >= oracle["accuracy"] - 0.01:
            assert total["mean_s"] * 1.02 >= oracle["mean_s"], name
            worse.append(total["mean_s"] > 1.02 * oracle["mean_s"])
    assert any(worse)


@pytest.mark.parametrize("name", ["oracle", "static"])
def test_it_probes_no_link_and_the_same_seed_gives_the_same(run, name) -> None:
    """A row of probes at the start, before the first sample, is sent by all."""
    described = {**scenario(OUTAGE), "warm_up_s": 1}
    once, again = (run(described, name, seed=3) for _ in range(2))
    assert json.dumps(once) == json.dumps(again)
    assert once["total"]["probe_bytes"] == 0 < run(described, "offramp")["total"]["probe_bytes"]
    assert once["total"]["answered"] == once["total"]["requests"]


def test_static_keeps_one_plan(run) -> None:
    plans = collections.Counter()

    def note(name, now_s, finish, held):
        plans[finish.work.plan.id] += 1

    run(scenario(LINKS["step"]), "static", watch=note)
    assert len(plans) == 1


def test_without_a_server_the_oracle_lets_the_device_answer(run) -> None:
    totals = run({**scenario(LINKS["steady"]), "servers": []}, "oracle")["total"]
    assert totals["sent"] == 0
    assert totals["statuses"] == {"ok": totals["requests"]}


def test_a_device_and_a_server_that_are_loaded_are_known_to_be(run) -> None:
    """When the device is slow the oracle sends, when the server is, it does not."""
    described = scenario({"up": mbps(1)})
    described["groups"][0]["load"] = {"steps": [{"from_s": 7, "stretch": 3}]}
    described["servers"] = [{"load": {"steps": [{"from_s": 0, "stretch": 60}]}}]
    sent = collections.Counter()

    def note(name, now_s, finish, held):
        sent[now_s > 7.5, finish.work.plan.level is not None] += 1

    run(described, "oracle", watch=note)
    assert sent[False, False] > 20
    assert sent[True, True] > 20


def test_the_oracle_knows_of_a_sample_that_waits_already(run, tmp_path) -> None:
    """Three come almost at once; sending spares the device time that only the last one has."""
    stamps = tmp_path / "stamps.txt"
    stamps.write_text("\n".join(str(2 * at + 0.001 * more) for at in range(5) for more in range(3)))
    described = scenario({"up": mbps(0.5)})
    described["requests"] = 15
    described["groups"][0]["arrivals"] = {"kind": "recorded", "file": str(stamps)}
    sent = [0, 0, 0]

    def note(name, now_s, finish, held):
        sent[finish.work.id % 3] += finish.work.plan.level is not None

    run(described, "oracle", watch=note)
    assert sent == [5, 5, 0]
