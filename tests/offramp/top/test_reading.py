"""Readings of an endpoint, and what changed between two."""

import contextlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from offramp.errors import LinkError
from offramp.top.reading import Change, quantile, read

EDGES = (0.1, 0.5, 1.0, 5.0)


def counted(**counts):
    registry = CollectorRegistry()
    counter = Counter("seen", "Seen.", ("kind", "by"), registry=registry)
    for kind, count in counts.items():
        counter.labels(kind, "me").inc(count)
    return generate_latest(registry).decode()


def change(before, now):
    return Change(read(counted(**before), 10.0), read(counted(**now), 12.0))


def test_a_rate_is_what_was_added_over_the_time():
    seen = change({"a": 3, "b": 1}, {"a": 7, "b": 2})
    assert seen.rate("seen_total") == 2.5
    assert seen.rate("seen_total", kind="a") == 2.0
    assert seen.added("seen_total", kind="c") == 0
    assert seen.parts("seen_total", lambda labels: labels["kind"]) == {"a": 4, "b": 1}
    assert seen.parts("seen_total", lambda labels: None) == {}


def test_a_process_that_began_anew_counts_from_nothing():
    assert change({"a": 100}, {"a": 4}).rate("seen_total") == 2.0


def test_without_a_reading_before_there_is_no_rate():
    alone = Change(None, read(counted(a=3), 12.0))
    assert alone.rate("seen_total") is None
    assert alone.added("seen_total") == 3


def test_what_is_not_shown_is_not_known():
    reading = read(counted(a=1), 0.0)
    assert reading.total("other") is None
    assert Change(None, reading).quantile("other", 0.5) is None
    assert Change(None, reading).mean("other") is None


@given(st.lists(st.floats(0, 4.9), min_size=1), st.floats(0.01, 1))
def test_a_quantile_lies_in_the_bucket_of_the_true_one(values, share):
    registry = CollectorRegistry()
    histogram = Histogram("took", "Took.", buckets=EDGES, registry=registry)
    for value in values:
        histogram.observe(value)
    found = Change(None, read(generate_latest(registry).decode(), 0.0)).quantile("took", share)
    true = sorted(values)[max(math.ceil(share * len(values)) - 1, 0)]
    upper = next(edge for edge in EDGES if true <= edge)
    lower = max((edge for edge in (0.0, *EDGES) if edge < upper), default=0.0)
    assert lower <= found <= upper or found == pytest.approx(lower)


def test_quantiles_of_exact_counts():
    buckets = {0.1: 0.0, 0.5: 10.0, 1.0: 20.0, math.inf: 20.0}
    assert quantile(0.5, buckets) == 0.5
    assert quantile(0.75, buckets) == pytest.approx(0.75)
    assert quantile(0.25, buckets) == pytest.approx(0.3)
    assert quantile(1.0, {1.0: 1.0, math.inf: 2.0}) == 1.0
    assert quantile(0.5, {1.0: 0.0, math.inf: 0.0}) is None
    assert quantile(0.5, {}) is None


def test_buckets_of_all_labels_count_together():
    registry = CollectorRegistry()
    histogram = Histogram("took", "Took.", ("model",), buckets=EDGES, registry=registry)
    before = read(generate_latest(registry).decode(), 0.0)
    histogram.labels("a").observe(0.3)
    histogram.labels("b").observe(0.7)
    seen = Change(before, read(generate_latest(registry).decode(), 1.0))
    assert seen.quantile("took", 0.5) == 0.5
    assert seen.mean("took") == 0.5


@given(
    st.text()
    | st.lists(
        st.sampled_from(["a{", 'b="', '"}', " ", "1", "\n", "# TYPE a histogram", "\\"])
    ).map("".join)
)
def test_whatever_is_shown_is_read_or_refused(text):
    with contextlib.suppress(LinkError):
        read(text, 0.0)
