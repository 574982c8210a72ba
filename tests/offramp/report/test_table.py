import dataclasses

import pytest
from rich.console import Console

from offramp.report.headline import choose_subject, write_headline
from offramp.report.metrics import compare, show_bytes, show_seconds, show_share
from offramp.report.summary import summarise
from offramp.report.table import build_table


@pytest.fixture
def summaries(runs):
    return [summarise(run) for run in runs]


def draw(table):
    console = Console(width=100, force_terminal=False)
    with console.capture() as shown:
        console.print(table)
    return shown.get().splitlines()


def test_rows_name_the_best_and_ties_share(summaries):
    rows = compare(
        [
            summaries[0],
            dataclasses.replace(summaries[1], bytes_per_sample=0.0, accuracy=0.9),
            dataclasses.replace(summaries[2], bytes_per_sample=0.0),
        ]
    )
    by_title = {row.title: row.cells for row in rows}
    assert [cell.best for cell in by_title["sent a sample"]] == [False, True, True]
    assert [cell.best for cell in by_title["accuracy"]] == [False, True, False]
    assert [cell.text for cell in by_title["accuracy"]] == ["77.8%", "90.0%", "77.8%"]
    assert not any(cell.best for cell in by_title["dropped"])
    assert not any(cell.best for cell in by_title["by server"])


def test_computing_on_has_rows_and_words_where_a_run_did(make, summaries):
    hedging = summarise(make.parse(make.hedged(compute_w=2.5)), "hedging")
    rows = {
        row.title: [cell.text for cell in row.cells] for row in compare([hedging, summaries[0]])
    }
    assert rows["device first"] == ["40.0%", "-"]
    assert rows["computed on"] == ["60.0 ms", "-"]
    assert rows["share of time"] == ["6.0%", "-"]
    assert rows["share of work"] == ["40.0%", "-"]
    assert rows["energy for it"] == ["150 mJ", "-"]
    assert write_headline([hedging, summaries[0]]).hedging == (
        "hedging: the device computed on while answers were under way, and was first with 2 of 5 "
        "samples; that took 60.0 ms and 150 mJ, 6.0% of the run's time and 40.0% of what the "
        "device computed",
    )
    assert "device first" not in {row.title for row in compare(summaries)}
    assert write_headline(summaries).hedging == ()
    without = summarise(make.parse(make.hedged()))
    assert "energy for it" not in {row.title for row in compare([without])}


def test_a_missing_figure_is_a_dash_and_never_best(summaries):
    rows = compare([summaries[0], dataclasses.replace(summaries[1], latency=None, accuracy=None)])
    by_title = {row.title: row.cells for row in rows}
    assert [(cell.text, cell.best) for cell in by_title["latency p50"]] == [
        ("10.0 ms", True),
        ("-", False),
    ]


def test_the_table_stands_side_by_side(summaries):
    better = dataclasses.replace(summaries[2], right_in_time_share=0.8)
    lines = draw(build_table([*summaries[:2], better]))
    words = {" ".join(line.split()) for line in lines}
    assert "device_only server_only offramp" in words
    assert "right in time 70.0% 70.0% 80.0%*" in words
    assert "95% interval 45-94% 45-94% 45-94%" in words
    assert "by exit early 60.0% 60.0% 60.0%" in words
    assert "latency p95 92.0 ms 92.0 ms 92.0 ms" in words
    assert "sent a sample 250 B 250 B 250 B" in words
    assert "* is the best of its row" in words


def test_markup_in_names_is_text(summaries):
    hostile = dataclasses.replace(summaries[0], label="[red]x[/nope]")
    assert any("[red]x[/nope]" in line for line in draw(build_table([hostile])))


def test_the_headline_says_what_the_subject_did_and_the_others(summaries):
    assert choose_subject(summaries) == 2
    assert choose_subject(summaries[:2]) == 0
    headline = write_headline(summaries)
    assert headline.result == (
        "Offramp answered 70.0% of 10 samples correctly and in time, half of its answers within "
        "10.0 ms, sending 250 B a sample."
    )
    assert headline.others[0] == (
        "device_only (everything on the device): 70.0%, half within 10.0 ms, sending 250 B a sample"
    )
    assert len(headline.others) == 2


def test_the_headline_without_labels_and_answers(summaries):
    mute = dataclasses.replace(
        summaries[2], right_in_time_share=None, latency=None, bytes_per_sample=0.0
    )
    assert write_headline([mute]).result == (
        "Offramp answered 80.0% of 10 samples in time, sending nothing."
    )


def test_figures_have_units():
    assert show_share(0.1234) == "12.3%"
    assert [show_seconds(t) for t in (0.00123, 0.15, 12.0)] == ["1.2 ms", "150.0 ms", "12.0 s"]
    assert [show_bytes(n) for n in (0, 999, 1234, 56_789)] == ["0 B", "999 B", "1.23 kB", "56.8 kB"]
