"""Adaptive against each fixed policy, under a link that goes good, poor, out and back.

Three real processes on loopback; the policies take turns on the same samples and the same link,
all with the same accuracy floor (at most 1 percentage point below the whole model).
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

from benchmarks.harness import BUNDLE, finish, parse, tabulate
from offramp.demo.samples import write_samples
from offramp.demo.settings import STRATEGIES, DemoSettings
from offramp.demo.steps import Job, measure_profile, run_job
from offramp.report.runs import Run, read_run
from offramp.report.summary import RunSummary, summarise

EQUAL = 0.01
"""An accuracy at most this much lower than that of the runs of `offramp` counts as equal."""


def main() -> None:
    options = parse("adaptive", __doc__)
    rounds, count = (1, 75) if options.quick else (2, 300)
    with tempfile.TemporaryDirectory() as folder:
        settings = DemoSettings(
            bundle=BUNDLE, out=Path(folder), samples=count, table_samples=count, profile_rounds=20
        )
        settings.logs.mkdir(parents=True)
        runs = _runs(settings, rounds)
    summaries = {name: [summarise(run) for run in found] for name, found in runs.items()}
    means = {name: _medians(found) for name, found in summaries.items()}
    accuracy = {name: statistics.median(_accuracies(found)) for name, found in summaries.items()}
    equal = [
        name
        for name in STRATEGIES
        if name != "offramp" and accuracy[name] >= accuracy["offramp"] - EQUAL
    ]
    best = min(equal, key=lambda name: means[name])
    rows = [_row(name, found, means["offramp"]) for name, found in summaries.items()]
    columns = ["policy", "accuracy", "late", "bytes/sample", "mean ms", "p95 ms", "offramp / it"]
    slowdown = runs["offramp"][0].opening.slowdown
    tabulate(
        f"{rounds} rounds of {count} samples, {settings.rate_hz:g} a second, device slowed by "
        f"{slowdown:g}, deadline {settings.deadline_s * 1e3:g} ms; median of rounds (range)",
        columns,
        rows,
    )
    ratio = means["offramp"] / means[best]
    finish(
        "adaptive",
        f"mean latency {ratio:.2f} times that of the best fixed policy of equal accuracy, {best} "
        f"(accuracy {accuracy['offramp']:.3f} against {accuracy[best]:.3f}; aim below 1)",
        {
            "slowdown": slowdown,
            "ratio_to_best_fixed": ratio,
            "mean_s": means,
            "accuracy": accuracy,
            "miss_share": {
                n: statistics.median(s.miss_share for s in f) for n, f in summaries.items()
            },
        },
        options,
    )


def _runs(settings: DemoSettings, rounds: int) -> dict[str, list[Run]]:
    samples = settings.out / "samples.npz"
    write_samples(samples, settings.samples, settings.seed, lambda drawn: None)
    measure_profile(settings)
    runs: dict[str, list[Run]] = {name: [] for name in STRATEGIES}
    for at in range(rounds):
        for name in STRATEGIES:
            job = Job(f"{name}-{at}", name, samples, settings.samples)
            runs[name].append(read_run(run_job(settings, job, lambda line: None)))
    return runs


def _row(name: str, found: list[RunSummary], adaptive_s: float) -> list[str]:
    latencies = [summary.latency for summary in found if summary.latency]
    return [
        name,
        f"{statistics.median(_accuracies(found)):.3f}",
        f"{statistics.median(summary.miss_share for summary in found):.1%}",
        f"{statistics.median(summary.bytes_per_sample for summary in found):.0f}",
        _range([latency.mean_s for latency in latencies]),
        _range([latency.p95_s for latency in latencies]),
        f"{adaptive_s / _medians(found):.2f}",
    ]


def _range(values: list[float]) -> str:
    middle = statistics.median(values)
    return f"{middle * 1e3:.1f} ({min(values) * 1e3:.1f} to {max(values) * 1e3:.1f})"


def _medians(found: list[RunSummary]) -> float:
    return statistics.median(summary.latency.mean_s for summary in found if summary.latency)


def _accuracies(found: list[RunSummary]) -> list[float]:
    return [summary.accuracy for summary in found if summary.accuracy is not None]


if __name__ == "__main__":
    main()
