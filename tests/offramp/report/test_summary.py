import pytest

from offramp.report.summary import SPANS, Latency, label_runs, summarise, wilson_interval


def test_a_run_in_exact_figures(make):
    summary = summarise(make.parse(make.story()))
    assert (summary.label, summary.strategy, summary.samples) == ("offramp", "offramp", 10)
    assert summary.accuracy == pytest.approx(7 / 9)
    assert summary.right_in_time_share == pytest.approx(0.7)
    assert summary.in_time_share == pytest.approx(0.8)
    assert summary.answered_by == pytest.approx({"exit early": 0.6, "device": 0.1, "server": 0.2})
    assert summary.degraded_share == pytest.approx(0.1)
    assert (summary.dropped, summary.failed) == (1, 0)
    assert summary.bytes_per_sample == pytest.approx(250)
    assert summary.miss_share == pytest.approx(0.2)
    assert summary.plan_changes == 1


def test_answers_of_exits_on_the_server_are_counted_besides(make):
    assert summarise(make.parse(make.story())).later_share == 0
    lines = make.story()
    sent = [line for line in lines if line.get("by") == "server"]
    sent[0]["later"] = "exit deep"
    summary = summarise(make.parse(lines))
    assert summary.later_share == pytest.approx(0.1)
    assert summary.answered_by["server"] == pytest.approx(0.2)


def test_latencies_are_of_the_samples_that_have_an_answer(make):
    summary = summarise(make.parse(make.story()))
    assert summary.latency is not None
    assert summary.latency.mean_s == pytest.approx((6 * 0.01 + 2 * 0.05 + 0.12) / 9)
    assert summary.latency.p50_s == pytest.approx(0.01)
    assert summary.latency.p95_s == pytest.approx(0.05 + 0.6 * 0.07)
    assert summary.latency.p99_s == pytest.approx(0.05 + 0.92 * 0.07)


def test_spans_and_their_rest_add_up_to_the_mean_latency(make):
    summary = summarise(make.parse(make.story()))
    assert list(summary.span_s) == list(SPANS)
    assert summary.latency is not None
    assert sum(summary.span_s.values()) == pytest.approx(summary.latency.mean_s)
    assert summary.span_s["network_s"] == pytest.approx(2 * 0.02 / 9)
    assert summary.span_s["rest_s"] == pytest.approx(0.07 / 9)


def test_what_a_device_computed_on_is_summed_up(make):
    hedging = summarise(make.parse(make.hedged(compute_w=2.5))).hedging
    assert hedging is not None
    assert hedging.first == 2, "neither the server's answer nor one that came for want of it"
    assert hedging.computed_s == pytest.approx(0.06)
    assert hedging.time_share == pytest.approx(0.06 / 1.0)
    assert hedging.work_share == pytest.approx(0.06 / (3 * 0.04 + 0.01 + 0.01 + 0.01))
    assert hedging.energy_j == pytest.approx(0.15)
    unknown = summarise(make.parse(make.hedged())).hedging
    assert unknown is not None
    assert unknown.energy_j is None


def test_a_device_that_never_computed_on_has_no_hedge(make):
    assert summarise(make.parse(make.story())).hedging is None


def test_without_labels_there_is_no_accuracy(make):
    lines = [make.opening, make.result(0, label=None)]
    summary = summarise(make.parse(lines))
    assert summary.accuracy is None
    assert summary.accuracy_interval is None
    assert summary.right_in_time_share is None
    assert summary.in_time_share == 1.0


def test_without_answers_there_is_no_latency_and_all_are_missed(make):
    dropped = make.result(0, status="dropped", by=None, answer=None)
    summary = summarise(make.parse([make.opening, dropped]))
    assert summary.latency is None
    assert (summary.accuracy, summary.right_in_time_share) == (None, 0.0)
    assert summary.miss_share == 1.0
    assert set(summary.span_s.values()) == {0.0}


def test_who_else_answered_is_not_lost(make):
    summary = summarise(make.parse([make.opening, make.result(0, by="oracle")]))
    assert summary.answered_by == {"exit early": 0, "device": 0, "server": 0, "oracle": 1}


@pytest.mark.parametrize(
    ("events", "down_s"),
    [
        ([], 0.0),
        ([("load", 0.2, False), ("load", 0.5, True)], 0.3),
        ([("plan", 0.2, False), ("load", 0.5, False)], 0.8),
        ([("link", 0.1, False), ("link", 0.4, True)], 0.3),
        ([("link", -0.5, False), ("link", 0.4, True)], 0.4),
        ([("link", 0.1, False), ("load", 0.2, False), ("link", 0.4, True)], 0.9),
        ([("load", 0.9, False), ("load", 7.0, True)], 0.1),
    ],
)
def test_time_without_the_server(make, events, down_s):
    lines = [make.opening, make.result(0, arrived_s=0.9, latency_s=0.1)]
    for kind, at_s, up in events:
        if kind == "link":
            lines.append({"kind": "link", "at_s": at_s, "up": up})
        elif kind == "load":
            lines.append(make.load(at_s, up))
        else:
            lines.append(make.plan(at_s, 1, up))
    assert summarise(make.parse(lines)).link_down_s == pytest.approx(down_s)


@pytest.mark.parametrize(
    ("hits", "trials", "interval"),
    [
        (0, 10, (0.0, 0.2775327998628892)),
        (10, 10, (0.7224672001371106, 1.0)),
        (5, 10, (0.236593090512564, 0.763406909487436)),
        (92, 100, (0.8500710173483, 0.9589142)),
    ],
)
def test_wilson_interval(hits, trials, interval):
    assert wilson_interval(hits, trials) == pytest.approx(interval, abs=1e-4)


def test_labels_tell_runs_of_one_strategy_apart(make):
    runs = [
        make.parse(make.story(), "monday.jsonl"),
        make.parse(make.story(), "tuesday.jsonl"),
        make.parse(make.story(strategy="fixed_split"), "x.jsonl"),
    ]
    assert label_runs(runs) == ["offramp (monday)", "offramp (tuesday)", "fixed_split"]


def test_a_latency_is_plain_numbers(make):
    summary = summarise(make.parse(make.story()))
    assert isinstance(summary.latency, Latency)
    assert type(summary.latency.p50_s) is float
