import re
import xml.etree.ElementTree as ElementTree

import pytest

from offramp import extras
from offramp.errors import ConfigError
from offramp.report.html import Report, render_html, write_html
from offramp.report.plots import plot_bytes, plot_latencies, plot_spans
from offramp.report.setup import describe_setup, find_differences
from offramp.report.summary import label_runs, summarise
from offramp.report.timeline import plot_run, plot_side_by_side

HOSTILE = "<script>alert(1)</script>"
SVG = "{http://www.w3.org/2000/svg}svg"


@pytest.fixture(scope="module")
def plots(runs):
    labels = label_runs(runs)
    summaries = [summarise(run, label) for run, label in zip(runs, labels, strict=True)]
    return [
        plot_latencies(runs, labels),
        plot_spans(summaries),
        plot_bytes(summaries),
        plot_run(runs[-1]),
        plot_side_by_side(runs, labels),
    ]


@pytest.fixture(scope="module")
def page(runs):
    return render_html(Report(runs, None, ("offramp demo --seed 0",)))


@pytest.fixture
def only_text(monkeypatch):
    """Leaves figures out of pages, where only what they say is looked at: they take a second."""
    monkeypatch.setattr("offramp.report.html._figures", lambda report, labels: [])


def test_plots_are_well_formed_svg(plots):
    for svg in plots:
        assert ElementTree.fromstring(svg).tag == SVG


def test_equal_runs_give_equal_plots(runs):
    assert plot_latencies(runs, label_runs(runs)) == plot_latencies(runs, label_runs(runs))


def test_axes_have_units(plots):
    texts = [" ".join(ElementTree.fromstring(svg).itertext()) for svg in plots]
    for text, unit in zip(texts, ("(ms", "(ms)", "(kB", "(Mbit/s)", "(s)"), strict=True):
        assert unit in text
    assert "deadline 100 ms" in texts[0]
    assert {"good", "poor", "outage", "back"} <= set(texts[3].split())


@pytest.mark.parametrize(
    "lines",
    [
        lambda make: [make.opening, make.result(0)],
        lambda make: [make.opening, make.result(0, label=None, latency_s=0.0, spans=None)],
        lambda make: [make.opening, make.result(0, status="dropped", by=None, answer=None)],
        lambda make: [
            {**make.opening, "deadline_s": None, "exits": []},
            make.result(0, latency_s=9e7),
        ],
        lambda make: [*make.story(strategy="_x $a$ \\frac{"), make.phases],
    ],
)
def test_any_run_can_be_drawn(make, lines):
    page = render_html(Report((make.parse(lines(make)),)))
    for svg in re.findall(r"<svg.*?</svg>", page, re.DOTALL):
        assert ElementTree.fromstring(svg).tag == SVG


def test_computing_on_is_told_where_a_run_did(make, page, only_text):
    hedged = render_html(Report((make.parse(make.hedged(compute_w=2.5)),)))
    assert "first with 2 of 5 samples; that took 60.0 ms and 150 mJ" in hedged
    assert "Computing on" not in page


def test_the_page_needs_nothing_else(page):
    assert not re.search(r"""(?:src|href|action)\s*=\s*["']?(?!["']?#)""", page)
    assert not re.search(r"@import|<script|<link|<iframe|<img", page)
    assert all(url.startswith("#") for url in re.findall(r"url\(([^)]*)\)", page))
    namespaces = {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert set(re.findall(r"https?://[^\s\"'<>]*", page)) <= namespaces
    assert "default-src 'none'" in page


def test_the_page_says_what_ran(page):
    for text in (
        "Offramp answered 70.0% of 10 samples correctly and in time",
        "Chip 9",
        "ab" * 32,
        "8 times slower",
        "a published benchmark",
        "100.0 ms",
        "offramp demo --seed 0",
        "Second by second: offramp, 10 samples",
    ):
        assert text in page
    assert page.count("<svg") == 5


def test_what_int8_costs_is_said_once_for_each_bundle(make, runs, quantised, only_text):
    int8 = make.parse(make.story(quantised=quantised.model_dump()))
    assert "int8" not in render_html(Report(runs[:1]))
    page = " ".join(render_html(Report((int8, int8))).split()).replace("> <", "><")
    assert page.count("What the int8 head costs") == 1
    for row in (
        "accuracy, exit early</th><td>76.4%</td><td>76.7%</td><td>+0.3 points",
        "accuracy, whole model</th><td>95.8%</td><td>94.8%</td><td>-1.0 points",
        "programs</th><td>3.86 MB</td><td>1.05 MB</td><td>x 0.27",
        "the figures from 750 others. the whole model answers 98.2% of them as before",
        "in int8, onnxruntime_int8",
    ):
        assert row in page
    assert "device&#39;s head" in render_html(Report((runs[0], int8)))


def test_names_are_text_and_nothing_more(make):
    lines = make.story(strategy=HOSTILE, model=HOSTILE, exits=[HOSTILE], slowdown_source=HOSTILE)
    lines += [make.result(20, by=HOSTILE)]
    run = make.parse([*lines, {**make.phases, "phases": [hostile_phase(make)]}], f"{HOSTILE}.jsonl")
    page = render_html(Report((run, run), None, (HOSTILE,)))
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def hostile_phase(make):
    return {**make.phases["phases"][0], "name": HOSTILE}


def test_runs_that_cannot_be_compared_are_said_to_be(make, runs, only_text):
    assert find_differences(runs) == []
    other = make.parse(make.story(deadline_s=0.2, slowdown=4)[:-1], "o.jsonl")
    assert find_differences([*runs, other]) == ["slowdown", "deadline", "samples"]
    assert ("deadline", "100.0 ms / 200.0 ms") in describe_setup([*runs, other])
    assert "differ in more than the strategy: slowdown" in render_html(Report((runs[0], other)))


def test_the_page_is_written_or_the_path_is_named(runs, tmp_path, monkeypatch):
    monkeypatch.setattr("offramp.report.html.render_html", lambda _: "<!DOCTYPE html>")
    write_html(Report(runs[:1]), tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text() == "<!DOCTYPE html>"
    with pytest.raises(ConfigError, match="nowhere"):
        write_html(Report(runs[:1]), tmp_path / "nowhere" / "report.html")


def test_missing_packages_are_named():
    with pytest.raises(ConfigError, match=r"no_such_module .*pip install 'offramp\[demo\]'"):
        extras.require_extra("demo", "json", "no_such_module")
