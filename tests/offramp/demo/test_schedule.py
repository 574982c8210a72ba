import json
from itertools import pairwise

import pytest

from offramp.demo.schedule import build_schedule, to_line, to_link


def test_the_link_goes_good_poor_out_and_back():
    assert [
        (phase.name, phase.start_s, phase.seconds, phase.bandwidth_bps, phase.delay_s)
        for phase in build_schedule(20.0)
    ] == [
        ("good", 0.0, 6.0, 40e6, 0.001),
        ("poor", 6.0, 6.0, 0.8e6, 0.040),
        ("outage", 12.0, 3.0, 0.0, 0.0),
        ("back", 15.0, 5.0, 40e6, 0.001),
    ]


@pytest.mark.parametrize("duration_s", [0.5, 7.5, 25.0, 3600.0])
def test_phases_follow_each_other_for_any_duration(duration_s):
    phases = build_schedule(duration_s)
    assert phases[0].start_s == 0
    for phase, following in pairwise(phases):
        assert following.start_s == pytest.approx(phase.start_s + phase.seconds)
    last = phases[-1]
    assert last.start_s + last.seconds == pytest.approx(duration_s, abs=0.005)


def test_the_link_is_described_as_the_shaper_takes_it():
    assert to_link(build_schedule(20.0), seed=7) == {
        "seed": 7,
        "phases": [
            {
                "name": "good",
                "seconds": 6.0,
                "up": [{"kind": "rate", "bps": 40e6}, {"kind": "delay", "seconds": 0.001}],
            },
            {
                "name": "poor",
                "seconds": 6.0,
                "up": [{"kind": "rate", "bps": 0.8e6}, {"kind": "delay", "seconds": 0.04}],
            },
            {"name": "outage", "seconds": 3.0, "up": [{"kind": "outage"}]},
            {
                "name": "back",
                "seconds": 5.0,
                "up": [{"kind": "rate", "bps": 40e6}, {"kind": "delay", "seconds": 0.001}],
            },
        ],
    }


def test_the_report_gets_the_phases_in_the_runs_own_time():
    line = json.loads(json.dumps(to_line(build_schedule(20.0), lead_s=0.25)))
    assert line["kind"] == "phases"
    assert [(phase["name"], phase["start_s"]) for phase in line["phases"]] == [
        ("good", 0.0),
        ("poor", 5.75),
        ("outage", 11.75),
        ("back", 14.75),
    ]
    assert [phase["bandwidth_bps"] for phase in line["phases"]] == [40e6, 0.8e6, 0.0, 40e6]
