"""The demo's order of things, with runs that were recorded instead of run."""

import io
import json
import os
import signal

import numpy as np
import pytest
from rich.console import Console

from offramp.demo import main
from offramp.demo.settings import STRATEGIES, DemoSettings, default_bundle
from offramp.errors import ConfigError, OfframpError

OPENING = {
    "kind": "run",
    "model": "digits",
    "digest": "ab" * 32,
    "segments": 2,
    "slowdown": 8.0,
    "deadline_s": 0.15,
}
PLAN = {"kind": "plan", "at_s": 0.0, "id": "p1", "cut": 1, "level": None, "reason": "it is best"}
RESULT = {
    "kind": "result",
    "id": 0,
    "status": "ok",
    "by": "device",
    "answer": 1,
    "label": 1,
    "arrived_s": 0.1,
    "latency_s": 0.02,
}


class Stage:
    """Stands for the processes; notes what was run and what was reported."""

    def __init__(self, monkeypatch):
        self.jobs, self.profiled, self.reports = [], 0, []
        monkeypatch.setattr(main, "measure_profile", self._measure)
        monkeypatch.setattr(main, "run_job", self._run)
        monkeypatch.setattr(main, "write_html", lambda report, _: self.reports.append(report))

    def _measure(self, settings):
        self.profiled += 1

    def _run(self, settings, job, hear):
        with np.load(job.source, allow_pickle=False) as loaded:
            assert (len(loaded["inputs"]), len(loaded["labels"])) == (job.count, job.count)
        self.jobs.append((job.name, job.strategy, job.count))
        path = settings.out / f"{job.name}.jsonl"
        with path.open("w") as stream:
            for line in ({**OPENING, "strategy": job.strategy}, PLAN, RESULT):
                hear(line)
                stream.write(json.dumps(line) + "\n")
        return path


@pytest.fixture
def stage(monkeypatch):
    return Stage(monkeypatch)


@pytest.fixture
def settings(tmp_path):
    bundle = default_bundle()
    return DemoSettings(bundle=bundle, out=tmp_path / "run", samples=20, table_samples=10)


def run(settings):
    said = io.StringIO()
    report = main.run_demo(settings, Console(file=said, width=120))
    assert report == settings.out / "report.html"
    return said.getvalue()


def test_the_main_job_comes_first_and_then_each_strategy_on_fewer_samples(stage, settings):
    run(settings)
    assert stage.profiled == 1
    assert stage.jobs == [("main", "offramp", 20), *((name, name, 10) for name in STRATEGIES)]
    with (
        np.load(settings.out / "samples.npz", allow_pickle=False) as whole,
        np.load(settings.out / "samples-table.npz", allow_pickle=False) as part,
    ):
        np.testing.assert_array_equal(part["inputs"], whole["inputs"][:10])
        np.testing.assert_array_equal(part["labels"], whole["labels"][:10])


def test_the_report_compares_all_and_says_how_to_make_it_again(stage, settings):
    run(settings)
    (report,) = stage.reports
    assert [each.opening.strategy for each in report.compared] == list(STRATEGIES)
    assert report.featured.name == "main"
    demo, again = report.commands
    assert demo == settings.command()
    assert again.startswith(f"offramp report {settings.out}/device_only.jsonl ")
    assert again.endswith(f" --timeline {settings.out}/main.jsonl -o {settings.out}/report.html")


def test_only_the_main_job_is_told_event_by_event(stage, settings):
    said = run(settings)
    assert said.count("plan: cut 1, sends nothing; it is best") == 1
    for name in STRATEGIES:
        assert f"{name}: 1 samples; of the last ones: p50 20 ms; device 100%" in said
    assert "emulated 8 times slower" in said
    assert "right in time" in said
    assert said.endswith(f"report: {settings.out}/report.html\n")


def test_a_folder_with_runs_is_not_written_to(stage, settings):
    settings.out.mkdir()
    (settings.out / "main.jsonl").touch()
    with pytest.raises(ConfigError, match="holds another demo's runs; name a new folder"):
        run(settings)
    assert stage.jobs == []


def test_a_folder_that_cannot_be_made_is_named(stage, settings):
    settings.out.write_text("a file")
    with pytest.raises(ConfigError, match=r"run: cannot be made \("):
        run(settings)
    assert stage.profiled == 0


def test_a_run_that_fails_ends_the_demo(stage, settings, monkeypatch):
    def fail(settings, job, hear):
        raise OfframpError("server-main ended with status 4")

    monkeypatch.setattr(main, "run_job", fail)
    with pytest.raises(OfframpError, match="server-main ended"):
        run(settings)
    assert stage.reports == []


@pytest.mark.parametrize(
    ("number", "kind"), [(signal.SIGTERM, SystemExit), (signal.SIGINT, KeyboardInterrupt)]
)
def test_a_signal_unwinds_whatever_it_did_before(stage, settings, monkeypatch, number, kind):
    before = signal.signal(number, lambda *_: None)
    ended = []

    def wait(settings, job, hear):
        try:
            os.kill(os.getpid(), number)
        finally:
            ended.append(job.name)

    monkeypatch.setattr(main, "run_job", wait)
    try:
        heeded = signal.getsignal(number)
        with pytest.raises(kind) as caught:
            run(settings)
        assert signal.getsignal(number) is heeded
    finally:
        signal.signal(number, before)
    assert ended == ["main"]
    if number == signal.SIGTERM:
        assert caught.value.code == 143
