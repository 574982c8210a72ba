"""Generated rates have the statistics that they were asked for, or of what they are fitted to."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from offramp.errors import ConfigError
from offramp.settings import build_settings
from sim.description import LinkSettings, parse_link
from sim.model import build_link
from sim.rates.fitted import fit_markov
from sim.rates.gilbert_elliott import gilbert_elliott
from sim.rates.given import chain_of
from sim.rates.markov import LTE, MarkovRate, MarkovState
from sim.rates.settings import GilbertElliottSettings, MarkovSettings
from sim.rates.source import ConstantRate
from sim.rates.statistics import RateStatistics, rate_statistics, window_rates
from sim.rates.trace import RateTrace
from sim.traces import read_trace

MAHIMAHI = Path(__file__).parents[2].parent / "shared" / "data" / "mahimahi"
LTE_TRACES = ("ATT-LTE-driving", "TMobile-LTE-short")

needs_recordings = pytest.mark.skipif(
    not MAHIMAHI.is_dir(), reason="the recorded mahimahi traces are not here"
)


def steps(*mbps, seconds=1.0):
    """A trace of one rate after the other."""
    served = np.cumsum([0.0, *mbps]) * seconds * 1e6 / 8
    return RateTrace(np.arange(len(mbps) + 1) * seconds, served)


def recorded(name):
    return read_trace(MAHIMAHI / f"{name}.gz")


def seconds_of(trace):
    return window_rates(trace, trace.period_s, 1.0)


def generated(chain, seconds=20_000):
    """The statistics of a chain, measured over a long time."""
    return rate_statistics([window_rates(MarkovRate(chain, "seed"), seconds, 1.0)])


def exact_shares(chain):
    """The share of the time in each state: what the steps per second leave as it is."""
    rates = np.array([state.next for state in chain], float)
    rates /= rates.sum(1, keepdims=True)
    rates = (rates - np.eye(len(chain))) / np.array([[state.dwell_s] for state in chain])
    square = np.vstack([rates.T, np.ones(len(chain))])
    return np.linalg.lstsq(square, np.eye(len(chain) + 1)[-1], rcond=None)[0]


def exact_mean_bps(chain):
    return float(exact_shares(chain) @ [state.bps for state in chain])


def test_statistics_are_those_of_the_means_over_seconds():
    found = rate_statistics([seconds_of(steps(2, 2, 6, 6, seconds=0.5))])
    assert found == RateStatistics(4e6, 0.5, -1.0 / 1)
    assert rate_statistics([seconds_of(steps(1, 1, 1))]) == RateStatistics(1e6, 0.0, 0.0)


def test_runs_weigh_the_same_whatever_their_length():
    found = rate_statistics([np.full(10, 1e6), np.full(1000, 3e6)])
    assert found.mean_bps == 2e6
    assert found.cov == 0.5
    assert found.lag1 == 1


def test_windows_are_whole_and_none_is_lost_to_rounding():
    assert window_rates(ConstantRate(8e6), 0.7, 0.1) == pytest.approx([8e6] * 7)
    assert len(window_rates(ConstantRate(8e6), 2.4, 0.5)) == 4


def test_a_chain_fitted_to_levels_finds_their_rates_dwell_times_and_steps():
    # 4 s at 1 Mbit/s, 2 s at none, 4 s at 1, 2 s at 9, again and again.
    once = [1, 1, 1, 1, 0, 0, 1, 1, 1, 1, 9, 9]
    chain = fit_markov([steps(*(once * 5))], states=3)
    assert [state.bps for state in chain] == pytest.approx([1e6, 0, 9e6])
    assert [state.dwell_s for state in chain] == pytest.approx([4, 2, 2])
    assert np.array([state.next for state in chain]) == pytest.approx(
        np.array([[0, 0.5, 0.5], [1, 0, 0], [1, 0, 0]])
    )


def test_a_chain_fitted_to_a_constant_rate_is_constant():
    (state,) = fit_markov([steps(*[3.0] * 20)])
    assert state.bps == pytest.approx(3e6)
    assert MarkovRate([state], "seed").served_bytes(0, 8) == pytest.approx(3e6)


def test_an_outage_is_a_state_of_its_own():
    rates = [10 + n % 7 for n in range(100)] + [0.01] * 4
    levels_bps = sorted(state.bps for state in fit_markov([steps(*rates)], states=4))
    assert len(levels_bps) == 4
    assert levels_bps[0] == pytest.approx(0.01e6)
    assert levels_bps[1] > 10e6


def test_fitting_takes_a_trace_that_lasts():
    with pytest.raises(ValueError, match="at least 10 s"):
        fit_markov([steps(*range(1, 30)), steps(*range(1, 10))])


@needs_recordings
@pytest.mark.parametrize("path", sorted(MAHIMAHI.glob("*.gz")), ids=lambda path: path.name)
def test_a_fitted_chain_comes_near_its_recording(path):
    trace = read_trace(path)
    chain, seen = fit_markov([trace]), rate_statistics([seconds_of(trace)])
    assert chain == fit_markov([read_trace(path)])
    assert exact_mean_bps(chain) == pytest.approx(seen.mean_bps, rel=0.005)
    found = generated(chain)
    # A long time differs from the chain's own statistics by some per cent.
    assert found.mean_bps == pytest.approx(seen.mean_bps, rel=0.05)
    assert found.cov == pytest.approx(seen.cov, rel=0.08)
    assert found.lag1 == pytest.approx(seen.lag1, rel=0.15)


@needs_recordings
def test_the_shipped_chain_is_the_one_fitted_to_the_lte_recordings():
    traces = [recorded(f"{name}.{way}") for name in LTE_TRACES for way in ("up", "down")]
    fitted = fit_markov(traces)
    assert [state.bps for state in LTE] == pytest.approx([s.bps for s in fitted], rel=0.01)
    assert [state.dwell_s for state in LTE] == pytest.approx([s.dwell_s for s in fitted], rel=0.01)
    for state, other in zip(LTE, fitted, strict=True):
        assert state.next == pytest.approx(other.next, abs=0.001)
    seen = rate_statistics([seconds_of(trace) for trace in traces])
    assert exact_mean_bps(LTE) == pytest.approx(seen.mean_bps, rel=0.01)


def test_the_shipped_chain_is_of_the_order_of_lte():
    assert exact_mean_bps(LTE) == pytest.approx(9e6, rel=0.01)
    found = generated(LTE, 50_000)
    assert found.cov == pytest.approx(1, abs=0.06)
    assert found.lag1 == pytest.approx(0.88, abs=0.02)


GILBERT = gilbert_elliott(8e6, 0.25, 2.0, 1e5)
RAMP = (
    MarkovState(1e6, 5.0, (0, 1, 0)),
    MarkovState(4e6, 1.0, (0, 0, 1)),
    MarkovState(2e6, 3.0, (0, 1, 0)),
)
STIFF = (MarkovState(5e6, 1e5, (0, 1)), MarkovState(1e6, 1e-3, (1, 0)))


@pytest.mark.parametrize("chain", [LTE, GILBERT, RAMP, STIFF], ids=["lte", "ge", "ramp", "stiff"])
def test_the_first_second_has_the_mean_of_all_time(chain):
    """A chain is met in each state as often as it is there: never in the first of `RAMP`."""
    count = 4000
    first_bps = [8 * MarkovRate(chain, f"{at}").served_bytes(0, 1) for at in range(count)]
    off = 4 * np.std(first_bps) / count**0.5
    assert np.mean(first_bps) == pytest.approx(exact_mean_bps(chain), abs=off + 1)
    assert off < 0.1 * exact_mean_bps(chain)


@pytest.mark.parametrize(
    "rate",
    [
        {"markov": {"states": [{"bps": 1e6, "dwell_s": 1e-9}, {"bps": 2e6, "dwell_s": 1}]}},
        {"gilbert_elliott": {"mean_bps": 1e6, "bad_share": 0.1, "bad_s": 1e-9}},
    ],
)
def test_stays_too_short_to_be_made_one_by_one_are_refused(rate):
    with pytest.raises(ConfigError, match=r"_s must be at least 0\.001"):
        parse_link({"up": [{"kind": "rate", **rate}]}, "link")


@pytest.mark.parametrize(
    ("cov", "lag1"), [(0.05, 0.9), (0.5, 0.9), (1, 0.9), (1, 0.5), (0.3, 0.05), (2, 0.8)]
)
def test_a_chain_has_the_statistics_it_is_given(cov, lag1):
    chain = chain_of(RateStatistics(5e6, cov, lag1))
    assert exact_mean_bps(chain) == pytest.approx(5e6)
    found = generated(chain)
    # Three standard deviations of the mean of 20,000 seconds, correlated as they are.
    assert found.mean_bps == pytest.approx(
        5e6, rel=3 * cov * ((1 + lag1) / (1 - lag1) / 20_000) ** 0.5
    )
    assert found.cov == pytest.approx(cov, rel=0.08)
    assert found.lag1 == pytest.approx(lag1, abs=0.02)


def test_a_chain_with_given_statistics_is_a_ladder():
    chain = chain_of(RateStatistics(5e6, 1, 0.9))
    ladder = sorted(chain, key=lambda state: state.bps)
    ratios = [above.bps / below.bps for below, above in pairwise(ladder)]
    assert ratios == pytest.approx([ratios[0]] * 8)
    assert chain[0] is ladder[4]
    assert sorted(exact_shares(chain)) == pytest.approx(
        sorted(n / 256 for n in (1, 8, 28, 56, 70, 56, 28, 8, 1))
    )


@pytest.mark.parametrize(
    ("cov", "lag1", "why"),
    [
        (1, 0, "lag1 must be above 0"),
        (1, 1, "lag1 must be above 0 and below 1"),
        (0, 0.5, "cov above 0"),
        (9, 0.05, "no chain has a cov of 9 and a lag1 of 0.05: lower the cov"),
        (20, 0.9, "no chain"),
    ],
)
def test_statistics_that_no_chain_has_are_refused(cov, lag1, why):
    with pytest.raises(ValueError, match=why):
        chain_of(RateStatistics(5e6, cov, lag1))


@pytest.mark.parametrize("bad_bps", [0.0, 1e6])
def test_a_gilbert_elliott_rate_has_its_mean_and_is_bad_for_its_share(bad_bps):
    good, bad = gilbert_elliott(8e6, bad_share=0.2, bad_s=0.5, bad_bps=bad_bps)
    assert (good.dwell_s, bad.dwell_s, bad.bps) == (2.0, 0.5, bad_bps)
    assert exact_mean_bps([good, bad]) == pytest.approx(8e6)
    assert exact_shares([good, bad]) == pytest.approx([0.8, 0.2])
    rates = window_rates(MarkovRate([good, bad], "seed"), 5_000, 0.02)
    assert rates.mean() == pytest.approx(8e6, rel=0.03)
    assert (rates < (good.bps + bad_bps) / 2).mean() == pytest.approx(0.2, abs=0.02)


def link(rate, tmp_path=None):
    return build_link(parse_link({"up": [{"kind": "rate", **rate}]}, "my link"))


@pytest.mark.parametrize(
    "rate",
    [
        {"gilbert_elliott": {"mean_bps": 8e6, "bad_share": 0.2, "bad_s": 0.5}},
        {"markov": {"mean_bps": 5e6, "cov": 0.6, "lag1": 0.8}},
        {"markov": {}},
    ],
)
def test_a_description_asks_for_a_generated_rate(rate):
    one, other = link(rate), link(rate)
    times_s = [one.up.release_s(0.0, 1_000_000) for _ in range(20)]
    assert times_s == [other.up.release_s(0.0, 1_000_000) for _ in range(20)]
    assert 0 < times_s[-1] < 200


def test_a_description_asks_for_a_rate_like_a_recording(tmp_path):
    (tmp_path / "walk.csv").write_text("".join(f"{n},{4 + 4 * (n // 10 % 2)}\n" for n in range(60)))
    settings = MarkovSettings.model_validate({"like": "walk.csv"}, context={"folder": tmp_path})
    assert sorted(state.bps for state in settings.chain()) == pytest.approx([4e6, 8e6])
    (tmp_path / "short.csv").write_text("0,1\n3,2\n")
    with pytest.raises(ConfigError, match=r"short.csv lasts 6 s: fit .* at least 10 s"):
        MarkovSettings(like=tmp_path / "short.csv").chain()
    with pytest.raises(ConfigError, match=r"none.csv: .*cannot be read"):
        MarkovSettings(like=tmp_path / "none.csv").chain()


@pytest.mark.parametrize("rate", [{"trace": "walk.csv"}, {"markov": {"like": "walk.csv"}}])
def test_links_with_the_same_settings_share_what_was_read(tmp_path, rate):
    """Were it read or fitted again for the link of each device, the file would be missed."""
    (tmp_path / "walk.csv").write_text("0,1\n30,2\n40,3\n")
    described = build_settings(
        LinkSettings, {"up": [{"kind": "rate", **rate}]}, "my link", tmp_path
    )
    first = build_link(described)
    (tmp_path / "walk.csv").unlink()
    another = build_link(described.model_copy(update={"seed": described.seed}))
    assert another.up.release_s(0, 1500) == first.up.release_s(0, 1500)


@pytest.mark.parametrize(
    ("rate", "why"),
    [
        ({}, "exactly one of bps, trace, markov and gilbert_elliott"),
        ({"markov": {}, "bps": 5}, "exactly one of"),
        ({"markov": {"mean_bps": 1e6, "cov": 1}}, "mean_bps, cov and lag1, all three"),
        ({"markov": {"mean_bps": 1e6, "cov": 1, "lag1": 1}}, "markov.lag1 must be below 1"),
        ({"markov": {"mean_bps": 1e6, "cov": 50, "lag1": 0.5}}, "no chain has a cov of 50"),
        ({"markov": {"like": "x", "states": [{"bps": 1, "dwell_s": 1}]}}, "one of states, like"),
        ({"markov": {"states": [{"bps": 0, "dwell_s": 1}]}}, "above 0"),
        (
            {"gilbert_elliott": {"mean_bps": 5, "bad_share": 1, "bad_s": 1}},
            "bad_share must be below 1",
        ),
        (
            {"gilbert_elliott": {"mean_bps": 5, "bad_share": 0.5, "bad_s": 1, "bad_bps": 5}},
            "bad_bps must be below mean_bps 5, not 5",
        ),
        (
            {"gilbert_elliott": {"mean_bps": 5, "bad_share": 0.5, "bads": 1}},
            "unknown key 'up.0.gilbert_elliott.bads'; did you mean 'bad_s'",
        ),
    ],
)
def test_a_wrong_generator_is_refused_by_its_key(rate, why):
    with pytest.raises(ConfigError, match=f"my link: .*{why}"):
        link(rate)


def test_a_state_leads_to_all_others_unless_it_says(tmp_path):
    one = MarkovSettings.model_validate({"states": [{"bps": 8, "dwell_s": 1}]})
    assert one.chain() == (MarkovState(8, 1, (1.0,)),)
    two = GilbertElliottSettings(mean_bps=8, bad_share=0.5, bad_s=1)
    assert two.chain() == (MarkovState(16, 1, (0, 1)), MarkovState(0, 1, (1, 0)))
