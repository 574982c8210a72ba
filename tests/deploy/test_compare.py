"""The device container's script: which runs are good, and what the container ends with."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
OPENING = {"kind": "run", "samples": 3, "slowdown": 8.0, "rate_hz": 10.0, "deadline_s": 0.15}


@pytest.fixture(scope="module")
def compare() -> ModuleType:
    spec = importlib.util.spec_from_file_location("compare", DEPLOY / "compare.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write(path: Path, *statuses: str) -> Path:
    lines = [OPENING, {"kind": "link"}, *({"kind": "result", "status": s} for s in statuses)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.mark.parametrize(
    ("statuses", "status"),
    [
        (("ok", "ok", "ok"), 0),
        (("degraded", "degraded", "ok"), 0),
        (("ok", "ok", "dropped"), 1),
        (("ok", "failed", "ok"), 1),
        (("ok", "ok"), 1),
        ((), 1),
    ],
)
def test_every_sample_must_have_an_answer(
    compare: ModuleType, tmp_path: Path, statuses: tuple[str, ...], status: int
) -> None:
    good = write(tmp_path / "good.jsonl", "ok", "ok", "ok")
    run = write(tmp_path / "run.jsonl", *statuses)
    assert compare.judge([good, run]) == status
    assert compare.judge([run, good]) == status


def test_says_what_is_degraded(
    compare: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    compare.judge([write(tmp_path / "offramp.jsonl", "ok", "degraded")])
    assert capsys.readouterr().out == "==> offramp: 2 of 3 samples answered, 1 degraded\n"


@pytest.mark.parametrize(
    ("statuses", "only"),
    [
        (("ok", "dropped", "ok"), True),
        (("failed", "dropped", "ok"), False),
        (("ok", "dropped"), False),
        ((), False),
        (("ok", "ok", "ok"), False),
    ],
)
def test_says_where_only_dropped_samples_have_no_answer(
    compare: ModuleType,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    statuses: tuple[str, ...],
    only: bool,
) -> None:
    runs = [write(tmp_path / "good.jsonl", "ok", "ok", "ok")]
    compare.judge([*runs, write(tmp_path / "run.jsonl", *statuses)])
    assert ("==> only dropped samples have no answer" in capsys.readouterr().out) == only


def test_says_what_stood_for_the_board(
    compare: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CPUS", "1.0")
    monkeypatch.setenv("MEMORY", "384M")
    text = compare.describe_board(write(tmp_path / "run.jsonl", "ok"))
    assert "8 times slower" in text
    assert "1.0 CPU and 384M" in text
    assert "within 150 ms" in text


@pytest.mark.e2e
@pytest.mark.parametrize(("body", "status"), [("exit 4", 4), ("kill -9 $$", 137)])
def test_ends_with_the_status_of_the_command_that_failed(
    tmp_path: Path, body: str, status: int
) -> None:
    fake = tmp_path / "offramp"
    fake.write_text(f"#!/bin/sh\n{body}\n")
    fake.chmod(0o755)
    ended = subprocess.run(
        [sys.executable, DEPLOY / "compare.py"],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "STRATEGIES": "offramp", "SHAPER": "nobody"},
        capture_output=True,
    )
    assert ended.returncode == status
    assert b"Traceback" not in ended.stderr


def test_first_port_is_the_link_shapers(compare: ModuleType) -> None:
    assert f"\nport={compare.FIRST_PORT}\n" in (DEPLOY / "shape.sh").read_text()
