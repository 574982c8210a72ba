"""`offramp simulate` on files that are wrong: one sentence with the file and what is wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from offramp import commands
from offramp.errors import ConfigError, PlanError
from sim.simulate_command import simulate

SCENARIO = """
requests: 5
servers: [{name: edge, profiles: [profile.json]}]
groups:
  - count: 1
    profile: profile.json
    link: {trace: rate.csv, delay_s: 0.01}
    arrivals: {kind: recorded, file: stamps.txt, rate_hz: 5}
    agent: {slowdown: 20}
"""
FILES = {
    "bad.yaml": SCENARIO,
    "rate.csv": "seconds,mbps\n0,5\n2,1\n3,8\n",
    "stamps.txt": "0.5\n1.5\n4\n",
}
CONFIG, PLAN = ConfigError.exit_code, PlanError.exit_code


def with_profile(change: Callable[[dict[str, Any]], object]) -> Callable[[str], str]:
    """Changes a profile's values."""

    def changed(text: str) -> str:
        values = json.loads(text)
        change(values)
        return json.dumps(values)

    return changed


def timing(**changes: object) -> Callable[[str], str]:
    return with_profile(lambda values: values["runners"][0]["head"][1].update(changes))


def instead(content: str) -> Callable[[str], str]:
    return lambda text: content


def swapped(before: str, after: str) -> Callable[[str], str]:
    return lambda text: text.replace(before, after)


def alone(text: str) -> str:
    return text.replace("{name: edge, profiles: [profile.json]}", "")


CASES: dict[str, tuple[str, Callable[[str], str], int, str]] = {
    "empty trace": ("rate.csv", instead(""), CONFIG, "is empty"),
    "trace without rows": ("rate.csv", instead("seconds,mbps\n"), CONFIG, "no rows"),
    "unsorted trace": ("rate.csv", swapped("2,1", "9,1"), CONFIG, "line 4: '3,8' comes before 9 s"),
    "trace of zeros": ("rate.csv", instead("0,0\n1,0\n"), CONFIG, "is all zero"),
    "negative rate": ("rate.csv", swapped("2,1", "2,-1"), CONFIG, "line 3: '2,-1' has the rate"),
    "rate that is no number": ("rate.csv", swapped("2,1", "2,nan"), CONFIG, "line 3: '2,nan'"),
    "endless rate": ("rate.csv", swapped("2,1", "2,inf"), CONFIG, "line 3: '2,inf'"),
    "rate in words": ("rate.csv", swapped("2,1", "2,fast"), CONFIG, "'2,fast' has the rate 'fast'"),
    "link of a group without a name": (
        "bad.yaml",
        swapped("delay_s: 0.01", "delay_s: x"),
        CONFIG,
        "bad.yaml: group 1: link.* must be a number",
    ),
    "link of a group with a name": (
        "bad.yaml",
        swapped("count: 1\n", "count: 1\n    name: b\n    lnk: 5\n"),
        CONFIG,
        "bad.yaml: group 'b': unknown key 'lnk'; did you mean 'link'",
    ),
    "workers of a server": (
        "bad.yaml",
        swapped("name: edge,", "name: edge, workers: 0,"),
        CONFIG,
        "bad.yaml: server 'edge': workers must be at least 1",
    ),
    "empty stamps": ("stamps.txt", instead(""), CONFIG, "is empty"),
    "unsorted stamps": ("stamps.txt", instead("5\n3\n"), CONFIG, "line 2: '3' comes before"),
    "stamp that is no number": (
        "stamps.txt",
        instead("1\nnan\n"),
        CONFIG,
        "line 2: 'nan' has the time",
    ),
    "negative time": ("profile.json", timing(median_s=-0.5), PLAN, "head.1.median_s must .*-0.5"),
    "NaN for a time": ("profile.json", timing(median_s=float("nan")), PLAN, "median_s must .*nan"),
    "time left out": (
        "profile.json",
        with_profile(lambda values: values["runners"][0]["head"].pop()),
        PLAN,
        "head of onnxruntime has 8 times and not 9",
    ),
    "codec left out": (
        "profile.json",
        with_profile(lambda values: values["decode"].pop("0/half_webp75")),
        PLAN,
        "decode lacks '0/half_webp75'",
    ),
    "part left out": (
        "profile.json",
        with_profile(lambda values: values.pop("encode")),
        PLAN,
        "encode is missing; add it",
    ),
    "another bundle's profile": (
        "profile.json",
        with_profile(lambda values: values.update(digest="2" * 64)),
        PLAN,
        "the profile is of bundle 222222222222, not of",
    ),
    "profile that is no JSON": ("profile.json", instead("hello"), PLAN, "is no JSON"),
    "NaN in a scenario": ("bad.yaml", swapped("0.01", ".nan"), CONFIG, "delay_s must .*nan"),
    "endless scenario": (
        "bad.yaml",
        swapped("requests: 5", "duration_s: .inf"),
        CONFIG,
        "duration_s must .*inf",
    ),
    "objective that nothing meets": (
        "bad.yaml",
        swapped("slowdown: 20", "slowdown: 20, objective: {limits: {p99_s: 0.00001}}"),
        PLAN,
        "even on a link that costs nothing: no plan meets the objective; .* p99 .* instead of",
    ),
    "objective that the device alone does not meet": (
        "bad.yaml",
        lambda text: alone(text).replace("20}", "20, objective: {limits: {p99_s: 0.04}}}"),
        PLAN,
        "bad.yaml: group 'devices', without a server: no plan meets the objective; .* instead of",
    ),
    "negative delay": ("bad.yaml", swapped("0.01", "-0.01"), CONFIG, "delay_s must .*-0.01"),
    "scenario that is no YAML": ("bad.yaml", instead("groups: [\n"), CONFIG, "not valid YAML"),
    "empty scenario": ("bad.yaml", instead(""), CONFIG, "groups is missing; add it"),
}


@pytest.fixture
def folder(tmp_path: Path, embedded_file: Path, repository: Path) -> Path:
    """A folder with a small scenario that is right."""
    profile = repository / "examples/scenarios/profile.json"
    (tmp_path / "profile.json").write_bytes(profile.read_bytes())
    for name, content in FILES.items():
        (tmp_path / name).write_text(content)
    return tmp_path


@pytest.fixture
def status_of(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], int]:
    """Runs the command in this process, as an installation that has it would."""
    monkeypatch.setitem(commands._offramp.commands, "simulate", simulate)

    def run(folder: Path) -> int:
        options = ["--jobs", "1", "--out", str(folder / "out")]
        return commands.run_command(["simulate", str(folder / "bad.yaml"), *options])

    return run


def test_the_files_without_what_is_wrong_are_right(
    folder: Path, status_of: Callable[[Path], int]
) -> None:
    assert status_of(folder) == 0


QUICK = "load: {steps: [{from_s: 9, stretch: 0.5}]}"


@pytest.mark.parametrize(
    ("text", "change", "limit_s"),
    [
        (alone(SCENARIO), swapped("agent:", f"{QUICK}\n    agent:"), 0.04),
        (SCENARIO, swapped("name: edge,", f"name: edge, {QUICK},"), 0.0045),
    ],
    ids=["device", "server"],
)
def test_an_objective_that_is_met_only_when_a_machine_is_quick_is_none_to_refuse(
    folder: Path,
    status_of: Callable[[Path], int],
    text: str,
    change: Callable[[str], str],
    limit_s: float,
) -> None:
    limited = text.replace("20}", f"20, objective: {{limits: {{p99_s: {limit_s}}}}}}}")
    (folder / "bad.yaml").write_text(limited)
    assert status_of(folder) == PLAN
    (folder / "bad.yaml").write_text(change(limited))
    assert status_of(folder) == 0


@pytest.mark.parametrize(("name", "change", "status", "said"), CASES.values(), ids=CASES)
def test_what_is_wrong_is_said_in_one_line(
    folder: Path,
    status_of: Callable[[Path], int],
    capfd: pytest.CaptureFixture[str],
    name: str,
    change: Callable[[str], str],
    status: int,
    said: str,
) -> None:
    (folder / name).write_text(change((folder / name).read_text()))
    assert status_of(folder) == status
    *before, error = capfd.readouterr().err.splitlines()
    assert len(before) <= 1, "besides the error, which run failed"
    assert error.startswith("offramp: ")
    assert str(folder / name) in error
    assert re.search(said, error), error
    assert "Traceback" not in error
