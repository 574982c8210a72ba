"""Courses: what of a timeline a plot shows."""

import math

import numpy as np
import pytest

from sim.report.courses import read_course


def test_it_has_the_steps_as_they_were(made):
    timeline = made.timeline("cameras/0")
    rows = [dict(zip(timeline["columns"], row, strict=True)) for row in timeline["rows"]]
    course = read_course(timeline)
    assert course.group == "cameras"
    assert course.times_s.tolist() == [float(at) for at in range(61)]
    assert course.bandwidth_bps.tolist() == [row["bandwidth_bps"] for row in rows]
    assert np.flatnonzero(course.dark).tolist() == list(range(20, 25))
    assert course.levels[:2] == (None, "affine4")
    assert course.levels[20] == ""
    assert math.isnan(course.cuts[0])
    assert math.isnan(course.latency_s[20])
    assert course.late.sum() == 1


def test_long_ones_are_thinned_and_nothing_is_lost_of_outages_and_late_answers(made):
    timeline = made.timeline("cameras/0", steps=5000, dark=[1234])
    rows = [dict(zip(timeline["columns"], row, strict=True)) for row in timeline["rows"]]
    course = read_course(timeline)
    assert len(course.cuts) <= 400
    assert course.times_s[0] == 0
    assert course.times_s[-1] == 5000
    assert course.dark.sum() == 1
    assert course.late.sum() == 1
    known = [row for row in rows if row["finished"]]
    mean_s = sum(row["latency_mean_s"] for row in known) / len(known)
    assert np.nanmean(course.latency_s) == pytest.approx(mean_s, rel=0.01)
    assert np.nanmax(course.worst_s) == max(row["latency_max_s"] for row in known)


def test_a_link_without_a_limit_has_no_bandwidth(made):
    timeline = made.timeline("cameras/0", steps=3)
    for row in timeline["rows"]:
        row[1] = None
        row[2] = math.inf
    course = read_course(timeline)
    assert np.isnan(course.bandwidth_bps).all()
    assert np.isnan(course.believed_bps).all()
    assert not course.dark.any()


def test_nothing_was_watched(made):
    assert read_course({**made.timeline("cameras/0"), "rows": []}) is None
