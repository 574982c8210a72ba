import gzip
import io
import re
import zipfile
from contextlib import suppress
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offramp.errors import ConfigError
from sim.traces import read_trace, sets

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


def test_quotes_around_fields_are_no_part_of_them(write):
    quoted = read_trace(write('"seconds","kbps"\n"0","8"\n1,"4"\n', "quoted"))
    assert quoted.knots == read_trace(write("seconds,kbps\n0,8\n1,4\n", "plain")).knots


def test_a_comment_that_speaks_of_units_is_no_header(write):
    text = "# recorded with iperf, mbps of each second\n# t: since the start\n0,8\n1,4\n"
    assert read_trace(write(text)).mean_bps == 6e6


def test_a_header_finds_the_time_and_the_rate_among_many_columns(write):
    content = "protocol,run,seq_num,throughput_mbps,state\nTCP,,0,8,\nTCP,1,2,16,on\n"
    assert read_trace(write(content)).knots == [(0, 0), (2, 2e6), (4, 6e6)]


def test_of_rows_with_the_same_time_the_last_holds(write):
    assert read_trace(write("0 8\n1 99\n1 16\n2 0\n")).knots == [
        (0, 0),
        (1, 1e6),
        (2, 3e6),
        (3, 3e6),
    ]
    assert read_trace(write("5 99\n5 16\n")).knots == [(0, 0), (1, 2e6)]


def test_a_fast_rate_in_small_units_is_read(write):
    assert read_trace(write("seconds,bps\n0,4e9\n")).mean_bps == 4e9


def an_archive(path, **changed):
    content = {
        "walks/a.csv": b"0,8\n1,0\n",
        "walks/b.csv": b"1,1000000\n2,0\n",
        "drives/a.csv": b"seq_num,Up_mbps,Down_mbps\n0,8,80\n",
        "packets.up.gz": gzip.compress(b"1\n", mtime=0),
        "README.md": b"# What this is\n",
        **changed,
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.mkdir("walks")
        for name, text in content.items():
            archive.writestr(name, text)
    return path


def test_an_archive_holds_traces_like_a_folder(tmp_path):
    home = an_archive(tmp_path / "some.zip")
    assert read_trace(home / "walks/a.csv").knots == [(0, 0), (1, 1e6), (2, 1e6)]
    assert read_trace(home / "packets.up.gz").period_bytes == 1500
    for column, mbps in (("Up_mbps", 8), ("down_mbps", 80)):
        assert read_trace(home / "drives/a.csv" / column).mean_bps == mbps * 1e6
    # A file without a header takes the unit in the place of a column.
    assert read_trace(home / "b.csv/bytes_per_second").knots == [(0, 0), (1, 1e6), (2, 1e6)]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("a.csv", "some.zip holds 2 traces named 'a.csv': name one .* some.zip/NAME, such as a"),
        ("c.csv", "holds no traces named 'c.csv'"),
        ("", "holds no traces"),
        ("walks", "holds no traces named 'walks'"),
        ("b.csv/x/y", "holds no traces"),
        ("b.csv", "b.csv, line 1: '1,1000000' is above 100000 Mbit/s: name the unit"),
        ("b.csv/fast", "no header that names a column 'fast': name its unit, one of mbps, "),
        ("drives/a.csv", "has 2 rates: choose FILE.zip/NAME/COLUMN with one of Up_mbps, Down"),
        ("drives/a.csv/seq_num", "has 2 rates: choose"),
        ("packets.up.gz/mbps", "line 1: 1 columns"),
        ("README.md", "is empty"),
    ],
)
def test_what_an_archive_does_not_hold_is_refused(tmp_path, name, why):
    with pytest.raises(ConfigError, match=why):
        read_trace(an_archive(tmp_path / "some.zip") / name)


def test_a_damaged_archive_is_refused(tmp_path, monkeypatch):
    home = an_archive(tmp_path / "some.zip")
    content = bytearray(home.read_bytes())
    packed = content.index(b"walks/a.csv") + len("walks/a.csv")
    torn = content[:packed] + b"??" + content[packed + 2 :]
    for damaged in (b"", b"no zip at all", content[:-40], torn):
        (tmp_path / "bad.zip").write_bytes(damaged)
        with pytest.raises(ConfigError, match="is damaged"):
            read_trace(tmp_path / "bad.zip" / "walks/a.csv")
    encrypted = bytearray(content)
    for at in range(len(content)):
        if content[at : at + 4] == b"PK\x01\x02":
            encrypted[at + 8] |= 1
        if content[at : at + 4] == b"PK\x03\x04":
            encrypted[at + 6] |= 1
    (tmp_path / "bad.zip").write_bytes(encrypted)
    with pytest.raises(ConfigError, match="is damaged or encrypted"):
        read_trace(tmp_path / "bad.zip" / "walks/a.csv")
    with pytest.raises(ConfigError, match=r"gone\.zip.* cannot be read"):
        read_trace(tmp_path / "gone.zip" / "a")
    monkeypatch.setattr("sim.traces.lines._LIMIT_BYTES", 1000)
    big = an_archive(tmp_path / "big.zip", big=b"1\n" * 501)
    with pytest.raises(ConfigError, match="more than 1000 bytes"):
        read_trace(big / "big")


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 500))
def test_whatever_an_archive_holds_it_is_a_trace_or_a_config_error(tmp_path_factory, noise, at):
    folder = tmp_path_factory.getbasetemp()
    content = an_archive(folder / "fuzz.zip").read_bytes()
    (folder / "fuzz.zip").write_bytes(content[:at] + noise + content[at + len(noise) :])
    with suppress(ConfigError):
        read_trace(folder / "fuzz.zip" / "walks/a.csv")


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


def marked(archive, magic, place, bits):
    """Sets bits of every entry of a zip file, beside its data or in the list at the end."""
    archive = bytearray(archive)
    for found in re.finditer(re.escape(magic), bytes(archive)):
        archive[found.start() + place] |= bits
    return bytes(archive)


MARKS = {
    "encrypted": (b"PK\x01\x02", 8, 0x01),
    "patched": (b"PK\x01\x02", 8, 0x20),
    "of another compression": (b"PK\x01\x02", 10, 0x40),
    "of a version to come": (b"PK\x01\x02", 6, 0x80),
}


@pytest.mark.parametrize("name", MARKS)
def test_a_set_with_an_array_that_cannot_be_unpacked_is_none(tmp_path, name):
    home = a_set(tmp_path / "some.npz")
    home.write_bytes(marked(home.read_bytes(), *MARKS[name]))
    with pytest.raises(ConfigError, match="is none"):
        read_trace(home / "b")


@pytest.mark.parametrize("name", [*MARKS, "named in no language"])
def test_an_archive_with_a_file_that_cannot_be_unpacked_is_damaged(tmp_path, name):
    content = an_archive(tmp_path / "some.zip").read_bytes()
    if name in MARKS:
        content = marked(content, *MARKS[name])
    else:  # says that it is UTF-8, and is not
        content = marked(content, b"PK\x01\x02", 9, 0x08).replace(b"walks", b"\xd2alks")
    (tmp_path / "odd.zip").write_bytes(content)
    with pytest.raises(ConfigError, match="is damaged or encrypted"):
        read_trace(tmp_path / "odd.zip" / "b.csv")


@pytest.mark.parametrize("name", SETS)
def test_what_is_no_set_is_refused(tmp_path, name):
    home = a_set(tmp_path / "some.npz", **SETS[name])
    with pytest.raises(ConfigError, match="is none: it must hold names, offsets, t and mbps"):
        read_trace(home / "b")


@pytest.mark.parametrize("shape", [(10**13,), (6,), (4,), (-1,)])
@pytest.mark.parametrize("name", ["names", "offsets", "t", "mbps"])
def test_a_header_that_promises_what_is_not_there_is_refused_unread(tmp_path, name, shape):
    home = a_set(tmp_path / "some.npz")
    with zipfile.ZipFile(home) as archive:
        members = {one: archive.read(one) for one in archive.namelist()}
    held = np.load(io.BytesIO(members[f"{name}.npy"]))
    stream = io.BytesIO()
    described = {"descr": held.dtype.str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, described)
    members[f"{name}.npy"] = stream.getvalue() + held.tobytes()
    with zipfile.ZipFile(home, "w") as archive:
        for member, content in members.items():
            archive.writestr(member, content)
    if held.shape != shape:
        with pytest.raises(ConfigError, match="is none"):
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
        ({"t": np.array([1, 0, 0, 0, 2], "f4")}, "line 2: .* comes before 1 s"),
        ({"mbps": np.array([8, np.nan, 16, 8, 8], "f4")}, "has the rate 'nan': give"),
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


def shared(name):
    path = SHARED / name
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    return path


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("lumos5g-abr/lumos5g_4g.npz", 175),
        ("lumos5g-abr/lumos5g_5g.npz", 121),
        ("pensieve/pensieve_test_fcc_hsdpa.npz", 142),
        ("pensieve/pensieve_train_fcc_hsdpa.npz", 127),
    ],
)
def test_every_trace_of_a_recorded_set_is_read(name, count, monkeypatch):
    path = shared(name)
    # Unpack the file once, not for every trace in it.
    monkeypatch.setattr("sim.traces.sets._load", cache(sets._load))
    with np.load(path, allow_pickle=False) as arrays:
        names = [str(name) for name in arrays["names"]]
    assert len(names) == count
    for name in names:
        assert 0 < read_trace(path / name).mean_bps < 5e9


def test_every_walk_with_wifi_and_cellular_is_read():
    path = shared("sbu-wifi-cell/traces.zip")
    with zipfile.ZipFile(path) as archive:
        texts = {name: archive.read(name) for name in archive.namelist() if "csv" in name}
    assert len(texts) == 60
    for name, text in texts.items():
        trace = read_trace(path / name / "bytes_per_second")
        rows = np.array([row.split(",") for row in text.decode().split()], float)
        lasts_s = np.append(np.diff(rows[:, 0]), rows[-1, 0] - rows[-2, 0])
        assert trace.period_bytes == pytest.approx(rows[:, 1] @ lasts_s)


@pytest.mark.parametrize(
    ("name", "seconds"),
    [
        ("car-driving-trace-1.csv/Sprint_throughput_mbps", 126),
        ("car-driving-trace-1.csv/TMobile_throughput_mbps", 126),
        ("car-driving-trace-1.csv/Verizon_throughput_mbps", 126),
        ("car-driving-trace-2.csv/Sprint_throughput_mbps", 126),
        ("car-driving-trace-2.csv/TMobile_throughput_mbps", 126),
        ("car-driving-trace-2.csv/Verizon_throughput_mbps", 126),
        ("walking-trace.csv", 603),
        ("data-locationA-(with-multipath).csv", 97),
        ("data-locationC-(no-multipath).csv", 96),
    ],
)
def test_the_moving_phones_of_5gophers_are_read(name, seconds):
    trace = read_trace(shared("5gophers/5Gophers-v1.0.zip") / name)
    assert trace.period_s == pytest.approx(seconds, abs=1)
    assert 1e7 < trace.mean_bps < 2e9


def test_a_table_of_single_tests_is_no_trace():
    with pytest.raises(ConfigError, match="is no header of a trace"):
        read_trace(shared("lumos5g-abr/speedtest_ookla_up_down_rtt.csv.gz"))


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
        ("1\n" + "9" * 4000, "line 2: '9{40}...' is above"),
        ("123456789.5 1\n0 2\n", "comes before 123456789.5 s: sort"),
        ("1 1\n0 2\n", "line 2: '0 2' comes before 1 s: sort"),
        ("0 1\n1 -2\n", "line 2: '1 -2' has the rate '-2': give a finite one, 0 or more"),
        ("0,nan\n", "line 1: '0,nan' has the rate 'nan': give a finite one"),
        ("0 1\ninf 1\n", "line 2: 'inf 1' has the time 'inf': give 0 to 1000000000 seconds"),
        ("0 1\n1 1e300\n", "line 2: '1 1e300' is above 100000 Mbit/s: name the unit"),
        ("1,121442\n2,90000\n", "line 1: '1,121442' is above 100000 Mbit/s: name the unit"),
        ("0 1\n2e9 1\n", "line 2: '2e9 1' has the time '2e9': give 0 to 1000000000 seconds"),
        ("0 1\n1 fast\n", "line 2: '1 fast' has the rate 'fast': give a number"),
        ("0 1\n1\n", "line 2: '1' has 1, where 2 columns are due"),
        ("0 0\n1 0\n", "is all zero"),
        ("seconds,bps\n0,0\n1,0\n", "is all zero"),
        ("0 5\n0 0\n", "is all zero"),
        ("0 1e-320\n", "is all zero"),
        ("0,1,\n", "line 1: 3 columns and no header"),
        ("seconds,mbps,x\n0,1\n", "line 2: '0,1' has 2, where 3 columns are due"),
        ("seconds,mbps,x\n0,,1\n", "line 2: '0,,1' has the rate '': give a number"),
        ("seconds,t,mbps\n0,1,2\n", "'seconds,t,mbps' has 2 times: keep one of seconds, t"),
        ("t,up_mbps,down_mbps\n0,1,2\n", "has 2 rates: keep one of up_mbps, down_mbps"),
        ("seconds,bps,mbps\n0,1,2\n", "'seconds,bps,mbps' has 2 rates: keep one of bps, mbps"),
        ("t,mbps,Mbps\n0,1,2\n", "has 2 rates: keep one of mbps, Mbps"),
        ("t,MBps\n0,1\n", "counts bytes in 'MBps', or bits: name it bytes_per_second or mbps"),
        ("# t,kbps\n0,1\n", "line 1: '# t,kbps' is a header and a comment: remove the #"),
        ("1 2 3\n", "line 1: 3 columns"),
        ("seconds,fast\n0,1\n", "line 1: 'seconds,fast' is no header of a trace"),
        ("mbps,minutes\n0,1\n", "line 1: 'mbps,minutes' is no header"),
        ("seconds,mbps\n", "has a header and no rows"),
        (
            "seconds,mbps\n0,1\nseconds,mbps\n",
            "line 3: 'seconds,mbps' has the time 'seconds': give a number",
        ),
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
        with pytest.raises(ConfigError, match=r"cannot be read|is a folder"):
            read_trace(path)


def test_a_trace_that_unpacks_to_too_much_is_refused(write, monkeypatch):
    monkeypatch.setattr("sim.traces.lines._LIMIT_BYTES", 1000)
    with pytest.raises(ConfigError, match="more than 1000 bytes"):
        read_trace(write(gzip.compress(b"1\n" * 501, mtime=0)))


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_a_trace_of_too_many_lines_is_refused(end, write, monkeypatch):
    monkeypatch.setattr("sim.traces.lines._LIMIT_LINES", 500)
    read_trace(write((b"1" + end) * 500))
    with pytest.raises(ConfigError, match="more than 500 lines"):
        read_trace(write((b"1" + end) * 501))


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


def test_a_trace_is_read_once_until_its_file_changes(tmp_path):
    path = tmp_path / "rate.csv"
    path.write_text("seconds,mbps\n0,5\n")
    once = read_trace(path)
    assert read_trace(path) is once
    path.write_text("seconds,mbps\n0,50\n")
    assert read_trace(path).mean_bps == 50e6
