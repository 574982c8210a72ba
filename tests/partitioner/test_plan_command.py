"""`offramp plan` as its user sees it, on the bundle that comes with Offramp."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from offramp.errors import ConfigError, PlanError
from partitioner.plan_command import plan

pytestmark = pytest.mark.usefixtures("bundles_once")
LINK = ["--bandwidth-mbps", "5", "--rtt-ms", "20"]


def shown(made_up: list[str], *options: str) -> str:
    result = CliRunner().invoke(plan, [*made_up, "--slowdown", "8", *LINK, *options])
    assert result.exit_code == 0, result.output
    return result.output


def each(text: str) -> float:
    """Return the samples a second of each device."""
    return float(text.split()[0])


def test_a_mixture_is_told_with_its_bottleneck_and_what_single_plans_reach(
    made_up: list[str],
) -> None:
    text = shown(made_up, "--devices", "8")
    first, *lines = text.splitlines()
    assert re.fullmatch(r"[0-9.]+ samples a second on each device, [0-9.]+ on all 8", first.strip())
    shares = [float(found) for found in re.findall(r"^ *([0-9.]+)%  ", text, re.M)]
    assert 2 <= len(shares) <= 4
    assert sum(shares) == pytest.approx(100, abs=0.2)
    assert "100%" in next(line for line in lines if " busy " in line)
    assert any(line.startswith("bottleneck: ") for line in lines)
    alone = next(line for line in lines if line.startswith("best single plan, cut "))
    slower = float(re.findall(r": ([0-9.]+) samples a second", alone)[0])
    percent = int(re.findall(r"handles ([0-9]+)% more", alone)[0])
    assert each(text) / slower == pytest.approx(1 + percent / 100, abs=0.01)
    assert any(line.startswith("plan of least mean latency, cut ") for line in lines)


def test_each_device_handles_fewer_the_more_share_and_more_the_more_workers(
    made_up: list[str],
) -> None:
    one = each(shown(made_up, "--devices", "1"))
    many = each(shown(made_up, "--devices", "50"))
    workers = each(shown(made_up, "--devices", "50", "--workers", "50"))
    shared = each(shown(made_up, "--devices", "50", "--workers", "50", "--shared-uplink"))
    assert many < one
    assert workers == pytest.approx(one)
    assert shared < workers


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--workers", "2"], "--devices"),
        (["--shared-uplink"], "--devices"),
        (["--devices", "2", "--hedge"], "--hedge"),
        (["--devices", "2", "--strategy", "server_only"], "--strategy"),
        (["--devices", "2", "--minimise", "p95"], "--minimise"),
        (["--devices", "2", "--what-if", "rtt"], "--what-if"),
    ],
)
def test_options_that_mean_nothing_together_are_refused(
    options: list[str], named: str, made_up: list[str]
) -> None:
    result = CliRunner().invoke(plan, [*made_up, *LINK, *options])
    assert isinstance(result.exception, ConfigError)
    assert str(result.exception).endswith(named)


def test_more_samples_than_any_mixture_handles_are_refused(
    made_up: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "objective.yaml"
    path.write_text("limits: {period_s: 0.0005}")
    options = ["--devices", "8", "--objective", str(path)]
    result = CliRunner().invoke(plan, [*made_up, *LINK, *options])
    assert isinstance(result.exception, PlanError)
    assert "every 0.5 ms; the best takes " in str(result.exception)
