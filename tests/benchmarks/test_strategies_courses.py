"""Courses: what strategies are replayed on is what was recorded, scaled where it says so."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest

from benchmarks.strategies_courses import PLACES, Course, build_courses, rates_of
from benchmarks.strategies_held_out import round_trips_ms
from benchmarks.strategies_links import others, scaled_text, spread
from offramp.errors import InputError
from sim.traces import read_trace
from sim.world.way import WaySettings


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Return a folder with a recording of each kind, as the shared one has them."""
    folder = tmp_path / "data"
    for name in ("mahimahi", "lumos5g-abr", "sbu-wifi-cell", "5gophers", "mecperf"):
        (folder / name).mkdir(parents=True)
    for way, stamps in (("up", range(1, 10_001)), ("down", range(1, 10_001, 2))):
        text = "\n".join(map(str, stamps)).encode()
        (folder / "mahimahi" / f"Old-EVDO.{way}.gz").write_bytes(gzip.compress(text))
    header = "Date,downlink_Mbps,uplink_Mbps,latency_ms,radio_type\n"
    rows = [
        '"01/16/2021, 4:04 PM",200,20,10,5G\n',
        '"01/15/2021, 4:04 PM",100,10,30,5G\n',
        '"01/16/2021, 4:04 AM",50,5,70,4G\n',
    ]
    tests = folder / "lumos5g-abr" / "speedtest_ookla_up_down_rtt.csv.gz"
    tests.write_bytes(gzip.compress((header + "".join(rows)).encode()))
    names = [f"{number:02}_walking" for number in range(12)] + ["driving"]
    np.savez(
        folder / "lumos5g-abr" / "lumos5g_5g.npz",
        names=np.array(names),
        offsets=np.arange(len(names) + 1) * 2,
        t=np.tile(np.array([0.0, 1.0], np.float32), len(names)),
        mbps=np.tile(np.array([40.0, 20.0], np.float32), len(names)),
    )
    with ZipFile(folder / "sbu-wifi-cell" / "traces.zip", "w") as archive:
        archive.writestr("1_wifi.csv", "0,125000\n1,0\n")
        archive.writestr("1_cellular.csv", "0,1250000\n1,1250000\n")
    _write_held_out(folder)
    return folder


def _write_held_out(folder: Path) -> None:
    moving = "5Gophers-v1.0/All-Carriers/03-User-Mobility"
    columns = ",".join(f"{name}_throughput_mbps" for name in ("Sprint", "TMobile", "Verizon"))
    with ZipFile(folder / "5gophers" / "5Gophers-v1.0.zip", "w") as archive:
        for number in (1, 2):
            text = f"protocol,seq_num,{columns}\nTCP,0,10,20,30\nTCP,1,30,20,10\n"
            archive.writestr(f"{moving}/car-driving-trace-{number}.csv", text)
        text = "seq_num,radio_type,throughput_mbps\n1,4G,50\n2,5G,150\n"
        archive.writestr(f"{moving}/walking-trace.csv", text)
    with tarfile.open(folder / "mecperf" / "active.tar.xz", "w:xz") as archive:
        for number, found_ms in ((10, 60), (9, 40)):
            line = f"2020-04-06 18:50:08.0_{found_ms}.0,2020-04-06 18:50:08.1_{found_ms + 2}.0\n"
            member = f"active/lte-TCPRTT-noise0M_Client_edge_trace{number}.txt"
            info = tarfile.TarInfo(member)
            info.size = len(line)
            archive.addfile(info, io.BytesIO(line.encode()))


@pytest.fixture
def courses(data: Path, tmp_path: Path) -> dict[str, Course]:
    return {course.name: course for course in build_courses(tmp_path / "scaled", data)}


def test_what_is_not_there_is_left_out_and_generated_courses_always_are(tmp_path: Path) -> None:
    found = build_courses(tmp_path / "scaled", tmp_path / "nothing")
    assert {course.kind for course in found} == {"generated"}
    assert {course.name for course in found} == {"steady", "chain", "outages"}


def test_a_recorded_uplink_is_replayed_as_it_is(courses: dict[str, Course]) -> None:
    course = courses["Old-EVDO"]
    assert course.kind == "uplink"
    assert course.rtt == "100 ms, stated"
    assert rates_of(course, 2).mean_bps == pytest.approx(12e6)  # a packet each millisecond
    (way,) = course.ways
    assert way["offset_s"] == pytest.approx(10 / PLACES)
    assert course.places == (PLACES,)


def test_speed_tests_follow_each_other_by_date_each_with_its_own_round_trip(
    courses: dict[str, Course],
) -> None:
    course = courses["speedtest-5G"]
    link = WaySettings.model_validate(course.ways[0]).link()
    ups = [[one.model_dump() for one in phase.up] for phase in link.phases]
    downs = [[one.model_dump() for one in phase.down or ()] for phase in link.phases]
    assert [(up["bps"], delay["seconds"]) for up, delay in ups] == [(10e6, 0.015), (20e6, 0.005)]
    assert [(down["bps"], delay["seconds"]) for down, delay in downs] == [
        (100e6, 0.015),
        (200e6, 0.005),
    ]
    assert link.repeat
    assert course.rtt == "recorded"
    # Each place is a fifth of the 20 s ahead; all five see the first test for 16 of 25 s.
    assert rates_of(course, 5).mean_bps == pytest.approx((10e6 * 13 + 20e6 * 12) / 25)


def test_downloads_are_proxies_a_tenth_of_what_is_fast(courses: dict[str, Course]) -> None:
    fast, wifi = courses["lumos-5g-walking"], courses["sbu-wifi"]
    assert fast.kind == wifi.kind == "proxy"
    assert "x 0.1" in fast.told
    assert "x" not in wifi.told.replace("taken", "")
    assert len(fast.ways) == PLACES
    assert fast.places == (1,) * PLACES
    assert rates_of(fast, 2).mean_bps == pytest.approx(3e6)
    down = fast.ways[0]["described"]["down"][0]["trace"]
    assert read_trace(Path(down)).mean_bps == pytest.approx(30e6)


@pytest.mark.parametrize(
    ("links", "places"), [(1, (5,)), (2, (3, 2)), (3, (2, 2, 1)), (4, (2, 1, 1, 1)), (5, (1,) * 5)]
)
def test_there_are_five_places_whatever_the_number_of_links(
    links: int, places: tuple[int, ...]
) -> None:
    told = Course("few", "proxy", "0 ms", "made up", "rpi4-lte", ({},) * links)
    assert told.places == places
    assert sum(told.places) == PLACES


def test_a_course_of_few_recordings_says_how_many_and_takes_them_at_several_places(
    courses: dict[str, Course],
) -> None:
    wifi, walks = courses["sbu-wifi"], courses["lumos-5g-walking"]
    assert wifi.told.endswith("taken as download, 1 recording")
    assert walks.told.endswith("5 recordings")
    (way,) = wifi.ways
    assert way["offset_s"] == pytest.approx(2 / PLACES)


def test_recordings_are_taken_evenly_from_first_to_last(courses: dict[str, Course]) -> None:
    walks = [way["described"]["down"][0]["trace"] for way in courses["lumos-5g-walking"].ways]
    assert [int(Path(walk).name[:2]) for walk in walks] == [0, 3, 6, 8, 11]


def test_courses_that_are_held_out_share_no_recording_with_those_tried_on(
    courses: dict[str, Course],
) -> None:
    held_out = {name for name, course in courses.items() if course.held_out}
    assert held_out == {"gophers-driving", "gophers-walking", "mecperf-lte"}
    assert list(courses)[-3:] == [name for name in courses if name in held_out]
    for count in (3, 5, 6):
        tried, left = spread(list("abcdefghijkl"), count), others(list("abcdefghijkl"), count)
        assert not set(tried) & set(left)
        assert len(left) == count
    assert others(list("abcde"), 3) == []


def test_drives_and_a_walk_of_5g_are_downloads_of_which_a_tenth_stands_for_uplinks(
    courses: dict[str, Course],
) -> None:
    drives, walk = courses["gophers-driving"], courses["gophers-walking"]
    assert drives.kind == walk.kind == "proxy"
    assert len(drives.ways) == PLACES
    assert rates_of(drives, 2).mean_bps == pytest.approx(2e6)
    assert rates_of(walk, 2).mean_bps == pytest.approx(10e6)
    assert walk.ways[0]["offset_s"] == pytest.approx(2 / PLACES)


def test_recorded_round_trips_follow_each_other_by_the_number_of_their_file(
    data: Path, courses: dict[str, Course]
) -> None:
    assert round_trips_ms(data / "mecperf" / "active.tar.xz") == [40, 42, 60, 62]
    phases = courses["mecperf-lte"].ways[0]["described"]["phases"]
    assert [phase["up"][1]["seconds"] for phase in phases] == [0.02, 0.021, 0.03, 0.031]
    assert courses["mecperf-lte"].kind == "generated"
    (data / "mecperf" / "active.tar.xz").write_bytes(b"no archive")
    with pytest.raises(InputError, match="not an archive of MECPerf's round trips"):
        round_trips_ms(data / "mecperf" / "active.tar.xz")


def test_seconds_without_any_rate_make_a_course_prone_to_outages(
    courses: dict[str, Course],
) -> None:
    # Of 2 s the second carries nothing: of five places 0.4 s apart one sees it from end to end.
    assert rates_of(courses["sbu-wifi"], 4).outage_share == pytest.approx(0.5 / PLACES)
    assert rates_of(courses["sbu-wifi"], 4).outage_prone
    assert rates_of(courses["outages"], 4).outage_prone
    for name in ("sbu-cellular", "steady"):
        assert rates_of(courses[name], 4).outage_share == 0
        assert not rates_of(courses[name], 4).outage_prone


def test_a_scaled_trace_has_the_same_course(tmp_path: Path) -> None:
    given, scaled = tmp_path / "given.csv", tmp_path / "scaled.csv"
    given.write_text("seconds,mbps\n0,8\n1,0\n2.5,4\n")
    scaled.write_text(scaled_text(read_trace(given), 0.25))
    was, now = read_trace(given), read_trace(scaled)
    assert now.period_s == was.period_s == 4.0
    for at in np.linspace(0, 9, 31):
        assert now.served_bytes(0, at) == pytest.approx(was.served_bytes(0, at) / 4)


def test_what_stands_in_the_file_is_text_that_the_simulator_reads(
    courses: dict[str, Course],
) -> None:
    trace = Path(courses["lumos-5g-driving"].ways[0]["described"]["up"][0]["trace"])
    rows = np.loadtxt(io.StringIO(trace.read_text()), delimiter=",", skiprows=1)
    assert rows.tolist() == [[0.0, 4e6], [1.0, 2e6]]
