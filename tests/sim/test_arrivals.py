"""The times of each arrival process: exact where nothing is random, else within sound bounds."""

import gzip
from itertools import islice, pairwise, takewhile
from pathlib import Path
from statistics import mean, pstdev

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offramp.errors import ConfigError
from sim.arrivals.bursty import Bursty, BurstySettings
from sim.arrivals.periodic import Periodic, PeriodicSettings
from sim.arrivals.poisson import Poisson, PoissonSettings
from sim.arrivals.recorded import Recorded, RecordedSettings
from sim.traces.stamps import read_stamps

AZURE = Path(__file__).parents[2].parent / "shared" / "data" / "azure-llm-2023"


@pytest.fixture
def write(tmp_path):
    def write(content, name="stamps"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def first(process, count, seed="seed"):
    return [round(time_s, 9) for time_s in islice(process.times_s(seed), count)]


def recorded(path, **changed):
    return Recorded(RecordedSettings(file=path, **changed))


def counts(process, window_s, windows, seed="seed"):
    """How many requests come in each window."""
    until_s = window_s * windows
    times_s = list(takewhile(lambda time_s: time_s < until_s, process.times_s(seed)))
    return np.bincount((np.array(times_s) / window_s).astype(int), minlength=windows)


def test_periodic_requests_come_once_in_each_period():
    settings = PeriodicSettings(rate_hz=4, phase=0.5)
    assert first(Periodic(settings), 4) == [0.125, 0.375, 0.625, 0.875]


def test_periodic_requests_do_not_drift():
    tenths = Periodic(PeriodicSettings(rate_hz=10, phase=0))
    assert next(islice(tenths.times_s("seed"), 10**6, None)) == 10**5


def test_jitter_moves_each_request_within_its_share():
    process = Periodic(PeriodicSettings(rate_hz=2, phase=0.25, jitter=0.5))
    late_s = [time_s - number / 2 for number, time_s in enumerate(first(process, 4000))]
    assert min(late_s) >= 0.125
    assert max(late_s) <= 0.375
    assert mean(late_s) == pytest.approx(0.25, abs=0.005)


def test_a_phase_left_out_is_anywhere_in_the_period():
    process = Periodic(PeriodicSettings(rate_hz=2))
    starts_s = [next(process.times_s(f"device {number}")) for number in range(2000)]
    assert max(starts_s) < 0.5
    assert np.histogram(starts_s, 4, (0, 0.5))[0] == pytest.approx([500] * 4, abs=100)


def test_poisson_gaps_are_exponential_and_independent():
    gaps_s = np.diff(list(islice(Poisson(PoissonSettings(rate_hz=5)).times_s("gaps"), 40_000)))
    assert gaps_s.mean() == pytest.approx(0.2, rel=0.02)
    assert gaps_s.std() == pytest.approx(0.2, rel=0.03)
    assert (gaps_s > 0.4).mean() == pytest.approx(np.exp(-2), rel=0.03)
    assert np.corrcoef(gaps_s[:-1], gaps_s[1:])[0, 1] == pytest.approx(0, abs=0.02)


def test_poisson_counts_have_the_variance_of_their_mean():
    per_window = counts(Poisson(PoissonSettings(rate_hz=5)), 10.0, 2000)
    assert per_window.var() / per_window.mean() == pytest.approx(1, rel=0.1)


@pytest.mark.parametrize(
    ("fields", "dispersion"),
    [
        # A fifth of the time at 10 Hz: 1 + 2 * 0.2 * 0.8 * 10**2 / (2 * (1 + 1 / 4)).
        ({"rate_hz": 2, "burstiness": 5, "burst_s": 1}, 13.8),
        # A quarter of the time at 16 Hz, else at 4 / 3 Hz.
        ({"rate_hz": 5, "burstiness": 3.2, "burst_s": 0.5, "calm_hz": 4 / 3}, 7.05),
    ],
)
def test_bursty_counts_scatter_as_the_formula_says(fields, dispersion):
    process = Bursty(BurstySettings(**fields))
    per_window = counts(process, 400.0, 1000)
    assert per_window.mean() == pytest.approx(400 * fields["rate_hz"], rel=0.01)
    # The variance of 1000 windows has a relative deviation of 4.5 %.
    assert per_window.var() / per_window.mean() == pytest.approx(dispersion, rel=0.15)


def test_without_a_calm_rate_requests_come_in_bursts_alone():
    bursts = BurstySettings(rate_hz=2, burstiness=5, burst_s=1)
    assert bursts.burst_share == pytest.approx(0.2)
    assert bursts.calm_s == pytest.approx(4)
    idle = counts(Bursty(bursts), 0.1, 100_000) == 0
    # Four fifths of the windows lie in calms, and 1 / e of those in bursts are empty too.
    assert idle.mean() == pytest.approx(0.8 + 0.2 * np.exp(-1), abs=0.02)


def test_a_recording_repeats_a_mean_gap_after_its_end(write):
    process = recorded(write("3\n3.5\n6\n"), start="begin")
    assert process.period_s == 4.5
    assert first(process, 7) == [0, 0.5, 3, 4.5, 5, 7.5, 9]


def test_a_recording_is_stretched_to_a_rate(write):
    process = recorded(write("3\n3.5\n6\n"), start="begin", rate_hz=2)
    assert first(process, 4) == [0, 0.166666667, 1, 1.5]


def test_a_recording_may_start_anywhere(write):
    path = write("0\n1\n3\n")
    whole = first(recorded(path, start="begin"), 30)
    for device in range(50):
        times_s = first(recorded(path), 6, f"device {device}")
        shifts = [whole[at] - times_s[0] for at in range(3)]
        assert times_s[0] < 2
        assert any(
            times_s == pytest.approx([t - shift for t in whole[at : at + 6]], abs=1e-6)
            for at, shift in enumerate(shifts)
        )


def test_dates_are_read_to_the_microsecond(write):
    path = write(
        "TIMESTAMP,ContextTokens\r\n"
        "2023-11-16 18:17:03.9799600,4808\r\n"
        "2023-11-16T18:17:04.0319600Z,3180\r\n"
        "2023-11-17 18:17:04,1"
    )
    assert list(read_stamps(path)) == pytest.approx([0, 0.052, 86400.02004], abs=1e-6)


def test_a_gzip_recording_with_comments_is_read(write):
    content = gzip.compress(b"# a day\n\n0.5\n 1.5,x\n1.5\n", mtime=0)
    assert list(read_stamps(write(content))) == [0, 1, 1]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "is empty"),
        ("\n# nothing\n", "is empty"),
        ("seconds\n", "is empty"),
        ("4\n", "lasts 0 s"),
        ("4\n4\n4\n", "lasts 0 s"),
        ("4\n3\n", "line 2: '3' comes before the line above it: sort"),
        ("4\n-3\n", "line 2: '-3' has the time '-3': give 0 to 1000000000000 seconds"),
        ("nan\n1\n", "line 1: 'nan' has the time 'nan': give 0 to"),
        ("1\ninf\n", "line 2: 'inf' has the time 'inf': give 0 to"),
        ("1\n1e300\n", "line 2: '1e300' has the time '1e300': give 0 to"),
        ("1\nsoon\n", "line 2: 'soon' has the time 'soon': give seconds, or a date"),
        ("seconds\ntime\n1\n", "line 2: 'time' has the time 'time'"),
        ("1\n,2\n", "line 2: ',2' has the time ''"),
        ("user,Timestamp\n3,1\n5,2\n", "line 1: 'user,Timestamp' must name the time first"),
        (
            "2023-11-16 18:17:03\n2023-11-16 25:00\n",
            "line 2: '2023-11-16 25:00' has the time '2023-11-16 25:00': give seconds",
        ),
        ("1960-01-01 00:00\n", "give 0 to 1000000000000 seconds"),
        ("2023-11-16 18:17:03\n5\n", "line 2: '5' comes before"),
        (b"\xff\xfe1\n", "is not text"),
        (gzip.compress(b"1\n" * 999, mtime=0)[:-12], "is damaged"),
    ],
)
def test_a_hostile_recording_is_refused_by_file_and_line(write, content, why):
    path = write(content)
    with pytest.raises(ConfigError, match=why) as refused:
        recorded(path)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_missing_recording_is_refused(tmp_path):
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(ConfigError, match=r"cannot be read|is a folder"):
            recorded(path)


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=60))
def test_whatever_a_file_holds_it_is_a_recording_or_a_config_error(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "fuzzed stamps"
    path.write_bytes(content)
    try:
        times_s = first(recorded(path, start="begin"), 10)
    except ConfigError:
        return
    assert all(one <= other for one, other in pairwise(times_s))


@pytest.mark.skipif(not AZURE.is_dir(), reason="the recorded Azure traces are not here")
@pytest.mark.parametrize(
    ("name", "requests", "span_s", "variation"),
    [("code", 8819, 3436, 13.2), ("conv", 19_366, 3502, 1.09)],
)
def test_the_azure_recordings(name, requests, span_s, variation):
    path = AZURE / f"AzureLLMInferenceTrace_{name}.csv.gz"
    stamps_s = read_stamps(path)
    gaps_s = [other - one for one, other in pairwise(stamps_s)]
    assert len(stamps_s) == requests
    assert stamps_s[-1] == pytest.approx(span_s, abs=1)
    assert pstdev(gaps_s) / mean(gaps_s) == pytest.approx(variation, rel=0.01)
    *_, last_s = islice(recorded(path, rate_hz=2, start="begin").times_s(""), 2 * requests)
    assert 2 * requests / last_s == pytest.approx(2, rel=0.01)
