"""Timelines against the requests themselves."""

import math

import pytest

WORLD = {
    "requests": 60,
    "groups": [
        {
            "count": 2,
            "link": {
                "described": {
                    "up": [
                        {"kind": "rate", "bps": 4e6},
                        {"kind": "delay", "seconds": 0.01},
                        {"kind": "outage", "windows_s": [[3, 5]]},
                    ]
                }
            },
            "arrivals": {"kind": "periodic", "rate_hz": 10},
            "agent": {"deadline_s": 0.08, "slowdown": 4},
        }
    ],
    "timeline": {"devices": 1, "step_s": 0.5},
}


@pytest.mark.parametrize("most", [4000, 8])
def test_each_step_has_the_requests_that_ended_in_it(run, monkeypatch, most):
    """Of the 12 or so steps of 0.5 s, with no more than 8, each two become one of 1 s."""
    monkeypatch.setattr("sim.world.timeline._MOST_ROWS", most)
    step_s, ended = 0.5 if most > 8 else 1.0, []

    def watch(device, now_s, finish, held):
        if device == "devices/0":
            latency_s = now_s - finish.work.arrived_s if finish.by else None
            ended.append((now_s, latency_s, not finish.by or now_s > finish.work.deadline_s))

    (timeline,) = run(WORLD, watch=watch)["timelines"]
    rows = [dict(zip(timeline["columns"], row, strict=True)) for row in timeline["rows"]]
    assert len(rows) < most
    assert [row["at_s"] for row in rows] == [step_s * (at + 1) for at in range(len(rows))]
    for row in rows:
        mine = [one for one in ended if row["at_s"] - step_s < one[0] <= row["at_s"]]
        assert row["finished"] == len(mine)
        assert row["late"] == sum(late for _, _, late in mine)
        times_s = [latency_s for _, latency_s, _ in mine if latency_s is not None]
        if times_s:
            assert row["latency_mean_s"] == pytest.approx(math.fsum(times_s) / len(times_s))
            assert row["latency_max_s"] == max(times_s)
        else:
            assert row["latency_mean_s"] is None
    assert sum(row["finished"] for row in rows) > 50
    dark_bps = [row["bandwidth_bps"] for row in rows if 3 < row["at_s"] <= 5]
    assert dark_bps == [0.0] * len(dark_bps)
    assert {row["latency_mean_s"] is None for row in rows} == {False}


def test_a_step_in_which_nothing_ends_has_no_latency(run):
    rare = {**WORLD["groups"][0], "arrivals": {"kind": "periodic", "rate_hz": 1}}
    (timeline,) = run({**WORLD, "requests": 3, "groups": [rare]})["timelines"]
    at = timeline["columns"].index("finished")
    empty = [row for row in timeline["rows"] if not row[at]]
    assert empty
    assert all(row[at:] == [0, 0, None, None] for row in empty)


def test_watching_changes_nothing(run):
    watched, alone = run(WORLD), run({**WORLD, "timeline": {"devices": 0}})
    for part in ("total", "groups", "servers", "simulated_s"):
        assert watched[part] == alone[part]


def test_who_knows_of_a_link_without_limit_believes_in_none(run):
    link = {"described": {"up": [{"kind": "delay", "seconds": 0.01}]}}
    (timeline,) = run({**WORLD, "groups": [{**WORLD["groups"][0], "link": link}]}, "oracle")[
        "timelines"
    ]
    at = timeline["columns"].index("believed_bps")
    assert {row[at] for row in timeline["rows"]} == {None}
