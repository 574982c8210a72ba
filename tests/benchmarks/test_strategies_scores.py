"""Scores of strategies: sums that are right, and comparisons that are fair."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.strategies_aims import ahead_of_oracle, aims_table
from benchmarks.strategies_contenders import contenders
from benchmarks.strategies_courses import Course, Rates
from benchmarks.strategies_figure import draw
from benchmarks.strategies_page import Made, page
from benchmarks.strategies_scores import (
    PUBLISHED,
    Place,
    Score,
    Spread,
    compare,
    is_compared,
    score_of,
)
from benchmarks.strategies_tables import (
    cell_table,
    summary_line,
    summary_table,
    tight_table,
    uneven_table,
)
from benchmarks.strategies_tasks import Task
from partitioner.power import Power
from partitioner.strategies import STRATEGIES
from sim.world.tally import Tally

POWER = Power(
    name="board", source="made up", idle_w=1, compute_w=2, radio_w=3, radio_up_w=4, radio_tail_s=0.5
)


def score(mean_s: float, accuracy: float = 0.9, p99_s: float = 0.2) -> Score:
    return Score(
        mean_s,
        p95_s=0.15,
        p99_s=p99_s,
        missed=0.01,
        overdue=0.0,
        bytes=100,
        energy_j=0.5,
        accuracy=accuracy,
        device_s=0.05,
        hedge_s=0.01,
        sent=0.7,
    )


SCORES = {
    "offramp": score(0.1),
    "oracle": score(0.096),
    "device_only": score(0.2, p99_s=0.19),
    "server_only": score(0.16),
    "spinn": score(0.12, accuracy=0.894),  # too inaccurate by a tenth of a point
    "neurosurgeon": score(0.151, accuracy=0.896),
    "dads": score(0.17),
    "offramp, p99 kept": score(0.102, p99_s=0.194),
    "dads, waiting": score(0.18),
    "ans, waiting": score(0.14, accuracy=0.8),
}
MADE = Made("some day", "abc123", "python -m benchmarks.strategies")


TASK = Task("digits", Path("digits.offramp"), Path("profile.json"), 300.0, 0.2)


def place(
    course: str,
    outage_share: float = 0.0,
    scores: dict[str, Score] = SCORES,
    *,
    held_out: bool = False,
) -> Place:
    told = Course(course, "proxy", "30 ms, stated", "made up", "rpi4-lte", ({},), held_out)
    return Place(TASK, told, Rates(5e6, 1e6, outage_share), dict(scores))


def tally(**changes: Any) -> dict[str, Any]:
    found = Tally()
    for latency_s, late in ((0.1, False), (0.2, False), (0.3, False), (1.2, True)):
        status = "degraded" if late else "ok"
        found.answered(latency_s, "server", status, right=latency_s != 0.2, late=late)
    found.unanswered("dropped")
    found.sent, found.up_bytes, found.probe_bytes = 4, 400, 100
    found.device_s, found.sending_s, found.waiting_s, found.hedge_s = 1.0, 0.5, 0.75, 0.5
    return {**found.summary(), **changes}


def test_a_score_is_of_one_request() -> None:
    found = score_of(tally(), TASK, POWER)
    assert found is not None
    assert found.mean_s == pytest.approx(0.45)
    assert found.missed == pytest.approx(3 / 5)  # 0.3, 1.2 and the one that never came
    assert found.overdue == pytest.approx(2 / 5)
    assert found.bytes == 100
    assert found.accuracy == pytest.approx(3 / 5)  # one that never came is not right
    assert found.unanswered == pytest.approx(1 / 5)
    assert (found.device_s, found.hedge_s, found.sent) == (0.2, 0.1, 0.8)
    assert found.hurried == pytest.approx(1 / 5)
    # 0.2 s at 2 W, 0.1 s at 3 W; messages follow so soon that the radio is up for the other 0.2 s.
    assert found.energy_j == pytest.approx(0.4 + 0.3 + 4 * 0.2)


def test_what_comes_at_the_limit_is_not_missed() -> None:
    found = score_of(tally(), replace(TASK, device_s=0.24), POWER)
    assert found is not None
    assert found.missed == pytest.approx(2 / 5)


def test_who_waits_is_overdue_by_the_same_deadline_as_others() -> None:
    patient = tally(late_share=0.2)  # by a deadline of its own only what never came is late
    found = score_of(patient, TASK, POWER, waits=True)
    assert found is not None
    assert found.overdue == pytest.approx(2 / 5)  # 1.2 s is later than 1 s


def test_a_rival_that_leaves_samples_unanswered_is_not_as_accurate() -> None:
    alike = {"offramp": score(0.1, accuracy=0.75), "dads": score_of(tally(), TASK, POWER)}
    found = compare({name: one for name, one in alike.items() if one is not None})
    assert found is not None
    assert found.published is None


def test_without_answers_there_is_no_score() -> None:
    silent = Tally()
    silent.unanswered("dropped")
    assert score_of(silent.summary(), TASK, POWER) is None


def test_the_own_strategy_is_compared_with_the_best_that_is_as_accurate() -> None:
    found = compare(SCORES)
    assert found is not None
    assert found.to_oracle == pytest.approx(0.1 / 0.096)
    assert found.tail_s == pytest.approx(0.01)
    assert found.to_trivial == pytest.approx(0.1 / 0.16)
    assert found.published == "neurosurgeon"
    assert found.gain == pytest.approx(1.51)
    assert found.room == pytest.approx(0.151 / 0.096)
    assert found.waiting == pytest.approx(1.8)  # the other one that waits is too inaccurate
    assert found.ahead == ()


def test_one_that_is_less_accurate_by_more_than_half_a_point_is_not_compared() -> None:
    found = compare({**SCORES, "neurosurgeon": score(0.151, accuracy=0.8944)})
    assert found is not None
    assert found.published == "server_only"
    alone = compare({"offramp": score(0.1, accuracy=0.95), "dads": score(0.2)})
    assert alone is not None
    assert alone.published is None


def test_one_that_is_more_accurate_and_quicker_is_compared() -> None:
    quick = {name: score(0.09, accuracy=0.96) for name in ("spinn", "ans, waiting")}
    found = compare({**SCORES, **quick})
    assert found is not None
    assert found.published == "spinn"
    assert found.gain == pytest.approx(0.9)
    assert found.room == pytest.approx(0.09 / 0.096)
    assert found.waiting == pytest.approx(0.9)


def test_who_is_ahead_of_the_oracle_is_named_if_it_is_as_accurate() -> None:
    rivals = {"dads": score(0.09), "spinn": score(0.08, accuracy=0.8)}
    found = compare({**SCORES, **rivals})
    assert found is not None
    assert found.ahead == ("dads",)
    places = [place("calm", 0, {**SCORES, **rivals}), place("other")]
    assert ahead_of_oracle(places) == ["digits, calm: 1, the quickest dads at 0.938"]
    assert ahead_of_oracle(places[1:]) == []


def test_what_did_not_run_is_not_compared() -> None:
    assert compare({"oracle": score(0.1)}) is None
    found = compare({"offramp": score(0.1), "server_only": score(0.2, accuracy=0.8)})
    assert found is not None
    assert found.to_trivial == 0.5
    assert {found.to_oracle, found.tail_s, found.published, found.gain, found.room} == {None}
    assert {found.kept_to_oracle, found.kept_tail_s, found.waiting} == {None}
    few = {"offramp": score(0.1), "server_only": score(0.2, accuracy=0.8)}
    ran = [place("calm", 0, few), place("empty", 0, {})]
    assert summary_line(ran).startswith("at most 0.500 of the better trivial one")
    assert summary_line([]) == "nothing to compare"


def test_every_rival_of_a_comparison_runs_under_every_seed() -> None:
    waiting = {c.name for c in contenders() if c.manner == "blocks"}
    first_alone = {c.name for c in contenders() if not is_compared(c.name)}
    assert waiting
    assert first_alone == {"offramp, no hedge", "static"}


def test_every_published_strategy_is_registered() -> None:
    assert set(PUBLISHED) <= set(STRATEGIES)


def test_the_table_of_a_cell_begins_with_the_quickest_and_marks_other_code() -> None:
    columns, rows = cell_table({**SCORES, "dads": replace(SCORES["dads"], current=False)})
    assert [row[0] for row in rows][:3] == ["oracle", "offramp", "offramp, p99 kept"]
    assert [row[0] for row in rows if row[0].endswith("*")] == ["dads *"]
    assert dict(zip(columns, rows[1], strict=True)) | {"": ""} == {
        "": "",
        "mean": "100.0",
        "p95": "150.0",
        "p99": "200.0",
        "missed": "1.0%",
        "overdue": "0.0%",
        "bytes": "100",
        "mJ": "500",
        "accuracy": "90.00%",
        "sent": "70%",
        "device": "50.0",
        "hedge": "10.0",
        "hurried": "0.0%",
    }
    columns, rows = cell_table({**SCORES, "dads": replace(SCORES["dads"], unanswered=0.25)})
    assert columns[-1] == "never"
    assert {row[0]: row[-1] for row in rows}["dads"] == "25.0%"


def test_the_summary_marks_what_misses_its_aim() -> None:
    prone = place("prone", outage_share=0.3, held_out=True)
    _, (first, second, third) = summary_table([place("calm"), prone, place("none", 0, {})])
    shown = "calm|5.0|0.0%|100.0|1.042 !|10.0 !|0.625|neurosurgeon|1.510|1.573|1.800|1.062 !|4.0"
    assert first == shown.split("|")
    assert (second[0], second[8]) == ("prone o h", "1.510")
    assert third == ["none", "5.0", "0.0%", *["-"] * 10]
    slower = place("prone", 0.3, {**SCORES, "neurosurgeon": score(0.14)})
    _, (fourth,) = summary_table([slower])
    assert fourth[8] == "1.400 !"


def test_of_several_seeds_the_median_counts_and_the_range_is_shown() -> None:
    several = place("calm")
    several.further = {
        seed: {"offramp": score(mean_s), "oracle": score(0.1)}
        for seed, mean_s in ((1, 0.101), (2, 0.11))
    }
    assert several.seeds == 3
    found = several.spread(lambda c: c.to_oracle)
    assert found is not None
    assert (found.median, found.least, found.most) == pytest.approx((0.1 / 0.096, 1.01, 1.1))
    assert several.spread(lambda c: c.to_trivial) == Spread(0.625, 0.625, 0.625)
    _, (row,) = summary_table([several])
    assert row[3:5] == ["101.0 (100.0 to 110.0)", "1.042 ! (1.010 to 1.100)"]
    _, rows = aims_table([several])
    assert rows[0][3:] == ["<= 1.03", "1.04", "1.04 (calm)", "0 of 1"]
    text = page([several], MADE, "figures/strategies.svg")
    assert "3 seeds: a figure is the median" in text


def test_aims_are_counted_by_task_and_gains_only_where_outages_are_frequent() -> None:
    better = {**SCORES, "offramp": score(0.097)}
    _, rows = aims_table([place("calm"), place("prone", 0.3, better)])
    assert [row[3:] for row in rows] == [
        ["<= 1.03", "1.03", "1.04 (calm)", "1 of 2"],
        ["<= 5", "10", "10 (prone)", "0 of 2"],
        ["<= 1.03", "1.06", "1.06 (prone)", "0 of 2"],
        ["<= 5", "4", "4 (prone)", "2 of 2"],
        ["<= 1.02", "0.616", "0.625 (calm)", "2 of 2"],
        [">= 1.5", "1.56", "1.56 (prone)", "1 of 1"],
        [">= 1.5", "1.57", "1.57 (prone)", "1 of 1"],
    ]


def test_aims_are_counted_apart_on_courses_that_were_held_out() -> None:
    worse = {**SCORES, "offramp": score(0.11)}
    _, rows = aims_table([place("calm"), place("new", 0, worse, held_out=True)])
    assert [row[2:] for row in rows][:2] == [
        ["tried on", "<= 1.03", "1.04", "1.04 (calm)", "0 of 1"],
        ["held out", "<= 1.03", "1.15", "1.15 (new)", "0 of 1"],
    ]


def test_a_tight_deadline_has_a_table_of_its_own_fewest_late_first() -> None:
    tried = place("calm")
    tried.tight = {
        "edgent, tight": replace(score(0.1), overdue=0.0, hurried=0.25),
        "dads, tight": replace(score(0.09), overdue=0.5, current=False),
    }
    columns, rows = tight_table(tried.tight)
    assert [row[0] for row in rows] == ["edgent, tight", "dads, tight *"]
    assert rows[0][columns.index("hurried")] == "25.0%"
    assert rows[1][columns.index("overdue")] == "50.0%"
    text = page([tried], MADE, "figures/strategies.svg")
    assert "0.8 times the whole model's time" in text
    assert "### Tight: digits, calm" in text
    assert "### Tight" not in page([place("calm")], MADE, "figures/strategies.svg")


def test_uneven_samples_have_a_table_of_the_best_published_the_trivial_and_the_oracle() -> None:
    tried = place("calm")
    tried.uneven = {
        "offramp, uneven": score(0.1),
        "oracle, uneven": score(0.09),
        "dads, uneven": replace(score(0.15), current=False),
        "ans, uneven": score(0.2),
        "server_only, uneven": score(0.3),
        "spinn, uneven": score(0.11, accuracy=0.8),
    }
    columns, rows = uneven_table([tried, place("steady")])
    assert [row[:3] for row in rows] == [
        ["calm", "offramp", "100.0"],
        ["calm", "dads (best published) *", "150.0"],
        ["calm", "server_only", "300.0"],
        ["calm", "oracle", "90.0"],
    ]
    assert all(len(row) == len(columns) for row in rows)
    best = {**tried.uneven, "server_only, uneven": score(0.12)}
    _, rows = uneven_table([replace(tried, uneven=best)])
    assert [row[1] for row in rows] == ["offramp", "server_only (best published)", "oracle"]
    text = page([tried], MADE, "figures/strategies.svg")
    assert "## Samples that come unevenly" in text
    assert "unevenly" not in page([place("calm")], MADE, "figures/strategies.svg")


def test_the_page_holds_every_strategy_of_every_cell_and_what_is_a_proxy() -> None:
    places = [place("calm"), place("prone", outage_share=0.3)]
    text = page(places, MADE, "figures/strategies.svg")
    assert "### digits, prone" in text
    assert text.count("| neurosurgeon | 151.0 |") == 2
    assert "| prone o | proxy | 5.00 | 1.00 | 30.0% | 30 ms, stated | made up |" in text
    assert "Device 300 times slower" in text
    assert "a sample every 300 ms, deadline 1 s" in text
    assert text.count("*`python -m benchmarks.strategies`, commit abc123*") == 3


def test_the_figure_is_the_same_every_time() -> None:
    places = [place("calm"), place("prone", 0.3, {"offramp": score(0.1)}), place("empty", 0, {})]
    drawn = draw(places)
    assert drawn == draw(places)
    for text in ("neurosurgeon", "prone o", "1.57"):
        assert f">{text}<" in drawn
