"""The benchmark of strategies from end to end, on the embedded bundle and one course."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

import examples
from benchmarks import strategies, strategies_cells, strategies_tasks
from benchmarks.harness import BUNDLE
from benchmarks.strategies_contenders import Contender
from benchmarks.strategies_courses import build_courses
from offramp.bundle import open_bundle

PROFILE = Path(next(iter(examples.__path__))) / "scenarios" / "profile.json"
TWO = ("device_only", "server_only")


@pytest.fixture(autouse=True)
def digits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let there be one task, whose profile is known, two strategies and no recorded courses."""
    generated = build_courses(tmp_path / "scaled", tmp_path / "nothing")
    monkeypatch.setattr(strategies, "build_courses", lambda folder: generated)
    monkeypatch.setenv("OFFRAMP_CACHE", str(tmp_path))
    monkeypatch.setitem(strategies_tasks.TASKS, "digits", (lambda: BUNDLE, 0.2))
    digest = open_bundle(BUNDLE).digest[:12]
    kept = strategies_tasks.home() / f"digits-{digest}.profile.json"
    kept.parent.mkdir(parents=True)
    kept.write_text(PROFILE.read_text())
    chosen = [Contender(name, name, "waits") for name in TWO]
    monkeypatch.setattr(strategies, "contenders", lambda: chosen)


def run(monkeypatch: pytest.MonkeyPatch, *options: str) -> None:
    given = ["strategies", "--quick", "--task", "digits", "--trace", "stead", "--jobs", "1"]
    monkeypatch.setattr(sys, "argv", [*given, *options])
    strategies.main()


def test_what_ran_is_kept_until_code_changes_and_then_shown_with_a_star(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    figures, docs = tmp_path / "figures.json", tmp_path / "docs" / "page.md"
    docs.parent.mkdir()
    run(monkeypatch, "--json", str(figures), "--write", str(docs))
    assert "2 of 2: digits, steady" in capsys.readouterr().out
    (place,) = json.loads(figures.read_text())["places"]
    assert place["course"] == "steady"
    assert set(place["scores"]) == set(TWO)
    alone = place["scores"]["device_only"]
    assert alone["mean_s"] == pytest.approx(0.2, rel=0.01)
    assert alone["missed"] == alone["sent"] == 0
    assert place["scores"]["server_only"]["sent"] == 1
    assert "### digits, steady" in docs.read_text()
    assert "server_only" in (docs.parent / "figures" / "strategies.svg").read_text()

    run(monkeypatch)
    assert "2 of 2" not in capsys.readouterr().out

    for module in (strategies, strategies_cells):
        monkeypatch.setattr(module, "code_digest", lambda: "other")
    run(monkeypatch, "--strategy", "server_only")
    printed = capsys.readouterr().out
    assert "1 of 1: digits, steady" in printed
    assert "device_only *" in printed
    assert "server_only *" not in printed


def test_whoever_is_compared_runs_under_every_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = tmp_path / "figures.json"
    compared = {*TWO, "offramp", "spinn", "ans"}
    chosen = [Contender(name, name, "waits") for name in (*compared, "static")]
    monkeypatch.setattr(strategies, "contenders", lambda: chosen)
    run(monkeypatch, "--seeds", "2", "--json", str(figures))
    (place,) = json.loads(figures.read_text())["places"]
    assert set(place["scores"]) == {*compared, "static"}
    (ran,) = place["further"].values()
    assert set(ran) == compared
    assert ran["device_only"]["mean_s"] == pytest.approx(0.2)
    assert ran["device_only"]["accuracy"] != place["scores"]["device_only"]["accuracy"]
    assert "11 of 11: digits, steady" in capsys.readouterr().out
