"""Curves from histograms, against the times themselves."""

from random import Random

import numpy as np
import pytest

from sim.report.curves import curve_over_seeds
from sim.world.histogram import RATIO


def figures(made, times_s):
    return made.run("offramp", times_s=times_s)["total"]


def at(curve, share):
    """Return the first time of a curve by which a share is answered."""
    return curve.times_s[np.searchsorted(curve.share, share - 1e-12)]


def test_quantiles_can_be_read_off_to_those_of_the_table(made):
    dice = Random(1)
    total = figures(made, [dice.lognormvariate(-3, 1.0) for _ in range(20_000)])
    curve = curve_over_seeds([total])
    for share, key in ((0.5, "p50_s"), (0.99, "p99_s"), (0.999, "p999_s")):
        assert at(curve, share) == pytest.approx(total[key], rel=0.02)
    assert len(curve.times_s) < 700


def test_few_times_are_all_there(made):
    curve = curve_over_seeds([figures(made, [0.01, 0.02, 0.02, None])])
    assert curve.share.tolist() == [0.25, 0.75]
    beyond = curve.times_s / [0.01, 0.02]
    assert beyond.min() > 1
    assert beyond.max() <= RATIO


def test_seeds_bound_what_all_of_them_come_to(made):
    runs = [figures(made, [0.01] * n + [0.1] * (10 - n)) for n in (2, 5, 8)]
    curve = curve_over_seeds(runs)
    assert curve.least.tolist() == [0.2, 1.0]
    assert curve.share.tolist() == [0.5, 1.0]
    assert curve.most.tolist() == [0.8, 1.0]


def test_without_answers_there_is_no_curve(made):
    assert curve_over_seeds([figures(made, [None, None])]) is None


def test_the_last_point_of_a_thinned_curve_is_the_slowest_answer(made):
    times_s = [0.001 * 1.004**n for n in range(2000)]
    total = figures(made, times_s)
    curve = curve_over_seeds([total])
    assert curve.share[-1] == 1.0
    assert curve.times_s[-1] == total["histogram"][-1][0]
