import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offramp.errors import ConfigError
from sim.traces import read_trace

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
RECORDED = SHARED / "mahimahi"


@pytest.fixture
def write(tmp_path):
    def write(content, name="trace"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def test_a_mahimahi_trace_of_one_line_is_12_mbps(write):
    trace = read_trace(write("1\n"))
    assert trace.knots == [(0, 0), (0.001, 1500)]
    assert trace.mean_bps == pytest.approx(12e6)


def test_a_mahimahi_trace_delivers_each_packet_at_its_time(write):
    trace = read_trace(write("2\n2\n5\n10\n"))
    assert trace.knots == [
        (0, 0),
        (0.001, 0),
        (0.002, 3000),
        (0.004, 3000),
        (0.005, 4500),
        (0.009, 4500),
        (0.010, 6000),
    ]
    now_s, times_ms = 0.0, []
    for _ in range(6):
        now_s = trace.finish_s(now_s, 1500)
        times_ms.append(round(now_s * 1000, 6))
    assert times_ms == [1.5, 2, 5, 10, 11.5, 12]


def test_a_mahimahi_opportunity_at_zero_counts_in_the_first_millisecond(write):
    assert read_trace(write("0\n4\n")).knots[:2] == [(0, 0), (0.001, 1500)]


def test_a_column_trace_holds_each_rate_until_the_next(write):
    trace = read_trace(write("# seconds Mbit/s\n\n10 8\n11  0\n13 16\n"))
    assert trace.knots == [(0, 0), (1, 1e6), (3, 1e6), (5, 5e6)]
    assert trace.finish_s(0.5, 1e6) == pytest.approx(3.25)


def test_a_column_trace_of_one_row_is_constant(write):
    assert read_trace(write("0 2.5")).finish_s(0.0, 312_500 * 7) == pytest.approx(7.0)


def test_a_gzip_trace_is_read_whatever_its_name(write):
    assert read_trace(write(gzip.compress(b"1\n", mtime=0), "trace.up")).period_bytes == 1500


@pytest.mark.parametrize(
    ("header", "rate"),
    [
        ("seconds,mbps", "8"),
        ("t kbps", "8000"),
        ("time_s,bps", "8e6"),
        ("Second,Bytes_per_second", "1000000"),
    ],
)
def test_a_header_names_the_unit(write, header, rate):
    trace = read_trace(write(f"# a walk\n{header}\n0,{rate}\n1,0\n3, {rate}\n"))
    assert trace.knots == [(0, 0), (1, 1e6), (3, 1e6), (5, 3e6)]


def a_set(path, **changed):
    arrays = {
        "names": np.array(["walks/a", "walks/b", "drives/a"]),
        "offsets": np.array([0, 2, 3, 5]),
        "t": np.array([0, 1, 0, 0, 2], np.float32),
        "mbps": np.array([8, 0, 16, 8, 8], np.float32),
        **changed,
    }
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return path


def test_a_set_holds_traces_like_a_folder(tmp_path):
    home = a_set(tmp_path / "some.npz")
    assert read_trace(home / "walks/a").knots == [(0, 0), (1, 1e6), (2, 1e6)]
    assert read_trace(home / "b").mean_bps == pytest.approx(16e6)
    assert read_trace(home / "drives" / "a").period_s == 4
    for name, count in (("a", 2), ("c", "no"), ("", "no")):
        with pytest.raises(ConfigError, match=rf"holds {count} traces named .*some.npz/NAME"):
            read_trace(home / name)


SETS = {
    "no names": {"names": None},
    "names that are objects": {"names": np.array([object()] * 3)},
    "too few offsets": {"offsets": np.array([0, 2, 5])},
    "offsets beyond the end": {"offsets": np.array([0, 2, 3, 6])},
    "an empty trace": {"offsets": np.array([0, 2, 2, 5])},
    "a negative offset": {"offsets": np.array([-1, 2, 3, 5])},
    "fewer rates": {"mbps": np.ones(4, np.float32)},
    "whole numbers for times": {"t": np.arange(5)},
}


@pytest.mark.parametrize("name", SETS)
def test_what_is_no_set_is_refused(tmp_path, name):
    home = a_set(tmp_path / "some.npz", **SETS[name])
    with pytest.raises(ConfigError, match="is none: it must hold names, offsets, t and mbps"):
        read_trace(home / "b")


def test_a_damaged_set_and_damaged_rows_are_refused(tmp_path):
    home = a_set(tmp_path / "some.npz")
    cut = tmp_path / "cut.npz"
    cut.write_bytes(home.read_bytes()[:-40])
    with pytest.raises(ConfigError, match="is none"):
        read_trace(cut / "b")
    with pytest.raises(ConfigError, match=r"gone\.npz"):
        read_trace(tmp_path / "gone.npz" / "b")
    for changed, why in (
        ({"t": np.array([0, 0, 0, 0, 2], "f4")}, "does not come after"),
        ({"mbps": np.array([8, np.nan, 16, 8, 8], "f4")}, "must hold numbers"),
        ({"mbps": np.zeros(5, "f4")}, "all zero"),
    ):
        with pytest.raises(ConfigError, match=why):
            read_trace(a_set(tmp_path / "bad.npz", **changed) / "walks/a")


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("lumos5g-abr/lumos5g_5g.npz", "5g_trace_100_walking"),
        ("pensieve/pensieve_test_fcc_hsdpa.npz", "norway_bus_1"),
    ],
)
def test_recorded_sets(folder, name):
    path = SHARED / folder
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    trace = read_trace(path / name)
    with np.load(path) as arrays:
        at = next(i for i, one in enumerate(arrays["names"]) if one.endswith("/" + name))
        low, high = arrays["offsets"][at : at + 2]
        times_s, mbps = (arrays[key][low:high].astype(float) for key in ("t", "mbps"))
    lasts_s = np.append(np.diff(times_s), times_s[-1] - times_s[-2])
    assert trace.period_s == pytest.approx(lasts_s.sum())
    assert trace.mean_bps / 1e6 == pytest.approx((mbps * lasts_s).sum() / lasts_s.sum())


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "is empty"),
        ("\n# only a comment\n", "is empty"),
        ("0\n0\n", "lasts 0 ms"),
        ("1\n5\n3\n", "line 3: '3' comes before 5: sort"),
        ("1\n-5\n", "line 2: '-5' is not a whole number of milliseconds"),
        ("1\nx\n", "line 2: 'x' is not a whole number"),
        ("1\n2 3\n", "line 2: '2 3' is not a whole number"),
        ("1.5\n", "line 1: '1.5' is not a whole number"),
        ("1\n" + "9" * 4000, "line 2: '9+' is above"),
        ("0 1\n0 2\n", "line 2: '0 2' does not come after 0 s: sort"),
        ("1 1\n0 2\n", "line 2: '0 2' does not come after 1 s: sort"),
        ("0 1\n1 -2\n", "line 2: '1 -2' must hold numbers from 0"),
        ("0 nan\n", "line 1: '0 nan' must hold numbers from 0"),
        ("0 1\ninf 1\n", "line 2: 'inf 1' must hold numbers from 0"),
        ("0 1\n1 1e300\n", "line 2: '1 1e300' must hold numbers from 0"),
        ("0 1\n1 fast\n", "line 2: '1 fast' is not two numbers"),
        ("0 1\n1\n", "line 2: '1' is not two numbers"),
        ("0 0\n1 0\n", "is all zero"),
        ("1 2 3\n", "line 1: 3 columns"),
        ("seconds,fast\n0,1\n", "line 1: 'seconds fast' is no header of a trace"),
        ("mbps,seconds\n0,1\n", "line 1: 'mbps seconds' is no header"),
        ("seconds,mbps\n", "has a header and no rows"),
        ("seconds,mbps\n0,1\nseconds,mbps\n", "line 3: 'seconds mbps' is not two numbers"),
        (b"\xff\xfe1\n", "is not text"),
        (gzip.compress(b"1\n" * 999, mtime=0)[:-12], "is damaged"),
        (b"\x1f\x8bnot gzip at all", "is damaged"),
    ],
)
def test_a_hostile_trace_is_refused_by_file_and_line(write, content, why):
    path = write(content)
    with pytest.raises(ConfigError, match=why) as refused:
        read_trace(path)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_missing_trace_is_refused(tmp_path):
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(ConfigError, match="cannot be read"):
            read_trace(path)


def test_a_trace_that_unpacks_to_too_much_is_refused(write, monkeypatch):
    monkeypatch.setattr("sim.traces.lines._LIMIT_BYTES", 1000)
    with pytest.raises(ConfigError, match="more than 1000 bytes"):
        read_trace(write(gzip.compress(b"1\n" * 501, mtime=0)))


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=200))
def test_whatever_a_file_holds_it_is_a_trace_or_a_config_error(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "fuzz"
    path.write_bytes(content)
    try:
        trace = read_trace(path)
    except ConfigError:
        return
    assert trace.period_bytes > 0


@pytest.mark.skipif(not RECORDED.is_dir(), reason="the recorded mahimahi traces are not here")
@pytest.mark.parametrize(
    ("name", "lines", "last_ms"),
    [
        ("ATT-LTE-driving.up.gz", 70_336, 1_012_472),
        ("TMobile-LTE-short.up.gz", 155_381, 140_000),
        ("Verizon-EVDO-driving.down.gz", 46_065, 1_062_016),
    ],
)
def test_a_recorded_trace_serves_its_packets_in_its_time(name, lines, last_ms):
    trace = read_trace(RECORDED / name)
    assert trace.period_bytes == lines * 1500
    assert trace.period_s == last_ms / 1000
    assert trace.finish_s(0.0, lines * 1500 * 3) == pytest.approx(3 * trace.period_s)
