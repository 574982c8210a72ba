"""The page: the same for the same results, true to them, and whole whatever they are."""

import json
import re
import xml.etree.ElementTree as ElementTree

import pytest

from offramp.report.colours import STYLES
from offramp.report.figure import plot_style, to_svg
from offramp.report.metrics import show_seconds
from sim.report.courses import read_course
from sim.report.page import render_report, write_report
from sim.report.strips import draw_side_by_side
from sim.report.words import say_emulation

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = "<script>alert(1)</script> $a$ \\frac{"


@pytest.fixture(scope="module")
def results(made):
    names, groups = ("offramp", "device_only", "oracle"), ("cameras", "doors")
    setup = made.setup(made.group(power=made.power), made.group("doors", slowdown=8.0))
    runs = [
        made.run(name, seed, groups=groups, watched=groups[:1]) for name in names for seed in (1, 2)
    ]
    return json.loads(json.dumps(made.results(*runs, setup=setup)))


@pytest.fixture(scope="module")
def page(results):
    return render_report(results)


def texts(page):
    """Return the text of each table's cells, row by row."""
    rows = re.findall(r"<tr.*?</tr>", page, re.DOTALL)
    cells = [re.findall(r"<t[hd].*?</t[hd]>", row, re.DOTALL) for row in rows]
    return [[" ".join(re.sub(r"<[^>]*>", " ", cell).split()) for cell in row] for row in cells]


def test_equal_results_give_equal_bytes(results, page):
    assert render_report(json.loads(json.dumps(results))) == page


def test_it_needs_nothing_else(page):
    assert not re.search(r"""(?:src|href|action)\s*=\s*["']?(?!["']?#)""", page)
    assert not re.search(r"@import|<script|<link|<iframe|<img|<image", page)
    namespaces = {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert set(re.findall(r"https?://[^\s\"'<>]*", page)) <= namespaces
    assert "default-src 'none'" in page
    assert not re.search(r"20\d\d-\d\d-\d\d", page), "a date"


def test_it_has_all_parts(page):
    headings = re.findall(r"<(?:h2|summary)>(.*?)</", page)
    assert headings == [
        "Strategies side by side",
        "Group cameras",
        "Group doors",
        "Server edge",
        "How long answers took",
        "Accuracy, latency, and what the device spends",
        "Side by side over time: cameras/0",
        *(f"{name} over time: cameras/0" for name in ("offramp", "device_only", "oracle")),
        "What was simulated",
    ]
    assert page.count("<details>") == 4
    for svg in re.findall(r"<svg.*?</svg>", page, re.DOTALL):
        ElementTree.fromstring(svg)


def test_its_numbers_are_those_of_the_results(results, page):
    rows = texts(page)
    for name in ("offramp", "device_only", "oracle"):
        totals = [run["total"] for run in results["runs"] if run["strategy"] == name]
        row = next(row for row in rows if row[0].split(" ")[0] == name)
        for column, key in ((1, "mean_s"), (2, "p50_s"), (4, "p99_s"), (5, "p999_s")):
            values = [total[key] for total in totals]
            mean, *ends = row[column].replace("&#9733; ", "").split(" ms", 1)
            assert f"{mean} ms" == show_seconds(sum(values) / 2)
            assert ends[0].split() == [f"{min(values) * 1e3:.1f}", "to", *text_ms(max(values))]
        accuracy = sum(total["accuracy"] for total in totals) / 2
        assert f"{accuracy:.2%}" in row[7]


def text_ms(time_s):
    return show_seconds(time_s).split()


def test_the_best_is_marked_but_not_what_knows_the_future(made):
    runs = [
        made.run(name, times_s=[time_s] * 10)
        for name, time_s in (("offramp", 0.02), ("dads", 0.03), ("oracle", 0.01))
    ]
    rows = {
        row[0].split(" ")[0]: row for row in reversed(texts(render_report(made.results(*runs))))
    }
    assert rows["offramp"][1] == "&#9733; 20.0 ms"
    assert rows["dads"][1] == "30.0 ms"
    assert rows["oracle"] == ["oracle knows the future", "10.0 ms", *rows["oracle"][2:]]


def test_servers_and_their_steps_are_shown(page):
    rows = texts(page[page.index("Server edge") :])
    assert rows[1][1:] == ["10.00%", "2.0 ms", "11", "1", "0", "1.57", "3"]


def test_the_slowness_is_said_to_be_emulated(results, page):
    said = say_emulation(results["scenario"])
    assert "cameras stand for boards 40 times slower than the Chip 9 that was profiled" in said
    assert "doors stand for boards 8 times slower" in said
    assert "nothing ran on a board" in page
    assert "40 times slower" in page


def draw(made, *runs, setup=None):
    page = render_report(made.results(*runs, setup=setup))
    for svg in re.findall(r"<svg.*?</svg>", page, re.DOTALL):
        ElementTree.fromstring(svg)
    return page


def test_all_strategies_at_once(made):
    page = draw(made, *(made.run(name) for name in STYLES))
    assert all(f"> {name}</text>" in page or f">{name}<" in page for name in STYLES)


def test_all_strategies_over_time(made):
    courses = {name: read_course(made.timeline("cameras/0")) for name in STYLES}
    with plot_style():
        svg = to_svg(draw_side_by_side(courses, 4), "strips")
    texts = [text.text.strip() for text in ElementTree.fromstring(svg).iter(f"{SVG}text")]
    assert all(texts.count(name) == 2 for name in STYLES)


def test_one_strategy_and_one_seed(made):
    page = draw(made, made.run("spinn", times_s=[0.02]))
    assert "Means over" not in page
    assert page.count("&#9733;") == 1, "in the legend alone"


def test_no_answer_at_all(made):
    page = draw(made, made.run("offramp", times_s=[None] * 5), made.run("dads", times_s=[None]))
    assert "Offramp answered no request." in page
    assert "How long answers took" not in page


def test_strategies_that_come_to_the_same_are_named(made):
    runs = [made.run(name, times_s=[0.02] * 5) for name in ("offramp", "dads", "qdmp")]
    assert "On one spot: offramp and dads and qdmp." in draw(made, *runs)
    other = made.run("dads", times_s=[0.03] * 5)
    assert "On one spot" not in draw(made, runs[0], other)


def test_who_answers_nothing_wins_nothing(made):
    runs = made.run("offramp", times_s=[0.02] * 5), made.run("dads", times_s=[None] * 5)
    page = draw(made, *runs)
    assert not any("&#9733;" in cell for row in texts(page) if "dads" in row[0] for cell in row)
    ElementTree.fromstring(re.findall(r"<svg.*?</svg>", page, re.DOTALL)[-1])


def test_all_degraded(made):
    page = draw(made, made.run("offramp", times_s=[0.02] * 5, status="degraded"))
    assert "100.00%" in page


def test_devices_without_a_server_and_unwatched(made):
    run = {**made.run("device_only", times_s=[0.02] * 5), "servers": {}}
    setup = made.setup(made.group(server=None), servers=[])
    page = draw(made, run, setup=setup)
    assert "over time" not in page
    assert "2 alone" in page


def test_names_are_text_and_nothing_more(made):
    setup = made.setup(made.group(HOSTILE, processor=HOSTILE, model=HOSTILE), name=HOSTILE)
    page = draw(made, made.run(HOSTILE, groups=(HOSTILE,), watched=(HOSTILE,)), setup=setup)
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_it_is_written(made, tmp_path):
    results = made.results(made.run("offramp", times_s=[0.02] * 5))
    write_report(results, tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text() == render_report(results)
