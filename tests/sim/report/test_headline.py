"""The headline, on results of which it is known who won."""

import pytest

from sim.report.contenders import gather_contenders
from sim.report.headline import write_headline


def say(made, *runs):
    headline = write_headline(gather_contenders(made.results(*runs)))
    return " ".join([headline.result, *headline.more])


def run(made, name, time_s, seed=1, right=0.95, unanswered=0):
    times_s = [time_s] * (200 - unanswered) + [None] * unanswered
    return made.run(name, seed, times_s=times_s, right=right)


def test_it_names_the_quickest_that_is_right_as_often_and_the_measure(made):
    text = say(
        made,
        run(made, "offramp", 0.02),
        run(made, "spinn", 0.05),
        run(made, "dads", 0.03),
        run(made, "edgent", 0.01, right=0.8),
        run(made, "oracle", 0.016),
    )
    assert "Offramp answered in 20.0 ms on average and within 20.0 ms in 99 of 100" in text
    assert "95.00% of the answers right: 1.50 times as fast as dads (30.0 ms, 99% within" in text
    assert "the quickest of those that were right as often" in text
    assert "Its mean is 1.25 times that of the oracle" in text
    assert "Quicker, but less often right: edgent (10.0 ms, 15.00 points)." in text
    assert "oracle 16.0 ms" in text
    assert "One seed alone" in text


def test_it_says_who_was_quicker(made):
    text = say(made, run(made, "offramp", 0.03), run(made, "dads", 0.02))
    assert ". Quicker by a factor of 1.50 was dads (20.0 ms" in text
    assert "The least 99th percentile of those that were right as often has dads" in text


def test_it_says_if_nobody_was_right_as_often(made):
    text = say(
        made,
        run(made, "offramp", 0.03),
        run(made, "dads", 0.06, right=0.5),
        run(made, "ans", 0.09, right=0.5),
    )
    assert "2.00 times as fast as dads" in text
    assert "all of which were less often right" in text
    text = say(made, run(made, "offramp", 0.03), run(made, "dads", 0.06, right=0.5))
    assert text.startswith("Offramp answered in 30.0 ms")
    assert "50.00% right), which was less often right." in text


def test_it_tells_how_seeds_differ(made):
    text = say(
        made,
        *(run(made, "offramp", time_s, seed) for seed, time_s in ((1, 0.02), (2, 0.04))),
        *(run(made, "dads", time_s, seed) for seed, time_s in ((1, 0.03), (2, 0.035))),
    )
    assert "Over 2 seeds its mean went from 20.0 ms to 40.0 ms" in text
    assert "it was quicker than dads with 1 of 2." in text


def test_what_was_not_answered_is_said(made):
    assert "10 of its 200 requests had no answer." in say(
        made, run(made, "offramp", 0.02, unanswered=10)
    )
    none = made.run("offramp", times_s=[None] * 5)
    assert say(made, none) == "Offramp answered no request."


def test_a_strategy_that_seldom_answers_is_not_the_quickest(made):
    text = say(
        made,
        run(made, "offramp", 0.02),
        run(made, "dads", 0.001, unanswered=150),
        run(made, "ans", 0.03),
    )
    assert "1.50 times as fast as ans" in text
    assert "less often right: dads" in text


@pytest.mark.parametrize("name", ["spinn", "oracle"])
def test_without_offramp_it_is_about_another_one(made, name):
    text = say(made, run(made, name, 0.02))
    assert text.startswith(f"{name[:1].upper()}{name[1:]} answered in 20.0 ms")
