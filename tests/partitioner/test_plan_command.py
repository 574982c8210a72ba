"""`offramp plan` as its user sees it, on the bundle that comes with Offramp."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from rich.console import Console

from offramp import backends
from offramp.bundle import Bundle
from offramp.errors import ConfigError, PlanError
from partitioner.machine import this_machine
from partitioner.objective import Objective
from partitioner.plan_command import plan
from partitioner.plan_inputs import computes_on
from partitioner.profile import load_profile
from partitioner.remembered import remember
from partitioner.strategies import get

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


HEDGED = "the device computes on while an answer is under way"


def test_a_plan_counts_on_the_hedge_as_a_run_does_unless_told_not_to(made_up: list[str]) -> None:
    slow = ["--server-load", "3", "--queue-ms", "30"]
    usual, wished = shown(made_up, *slow), shown(made_up, *slow, "--hedge")
    without = shown(made_up, *slow, "--no-hedge")
    assert usual == wished
    assert usual.startswith(HEDGED)
    assert HEDGED not in without
    assert usual.splitlines()[1:] != without.splitlines()
    for name in ("neurosurgeon", "device_only"):
        assert HEDGED not in shown(made_up, "--strategy", name)


def test_what_is_sent_takes_at_most_what_the_device_would_where_it_computes_on(
    made_up: list[str],
) -> None:
    def mean_ms(*options: str) -> float:
        reason = shown(made_up, "--queue-ms", "500", "--max-accuracy-drop", "50%", *options)
        return float(re.findall(r", mean ([0-9.]+) ms", reason.splitlines()[-1])[0])

    assert mean_ms("--strategy", "server_only") > mean_ms() + 400
    assert mean_ms("--no-hedge") >= mean_ms() - 0.2


@pytest.mark.parametrize("name", ["dads", "server_only", "spinn"])
def test_a_hedge_is_refused_where_the_strategy_has_none(name: str, made_up: list[str]) -> None:
    result = CliRunner().invoke(plan, [*made_up, *LINK, "--strategy", name, "--hedge"])
    assert isinstance(result.exception, ConfigError)
    assert f"{name!r} never computes on" in str(result.exception)


def test_a_device_with_a_part_of_the_model_does_not_compute_on(embedded: Bundle) -> None:
    part = SimpleNamespace(segments=embedded.manifest.segments, reach=3)
    bundle = SimpleNamespace(manifest=part)
    options = {"hedge": None, "devices": None}
    free = Objective()
    assert computes_on(get("offramp"), embedded, free, options)
    assert not computes_on(get("offramp"), bundle, free, options)
    with pytest.raises(ConfigError, match="leave out --hedge"):
        computes_on(get("offramp"), bundle, free, {**options, "hedge": True})


def test_where_memory_is_limited_the_device_does_not_compute_on_and_is_said_not_to(
    made_up: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "objective.yaml"
    path.write_text("limits: {memory_bytes: 1.0e+9}")
    for asked in (["--objective", str(path)], ["--minimise", "memory"]):
        text = shown(made_up, *asked)
        assert text.startswith("memory counts what runs before the cut alone, so the device does")
        assert HEDGED not in text
        assert text.splitlines()[1:] == shown(made_up, *asked, "--no-hedge").splitlines()[1:]
        result = CliRunner().invoke(plan, [*made_up, *LINK, *asked, "--hedge"])
        assert isinstance(result.exception, ConfigError)
        assert "the objective limits memory" in str(result.exception)


def test_it_plans_with_what_the_machine_remembers_and_says_so(
    made_up: list[str],
    embedded: Bundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OFFRAMP_CACHE", str(tmp_path))
    file, _, path = made_up
    without = [file, *LINK, "--slowdown", "8"]
    result = CliRunner().invoke(plan, without)
    assert isinstance(result.exception, PlanError)
    assert "offramp profile" in str(result.exception)
    assert "--device-profile" in str(result.exception)
    profile = load_profile(Path(path))
    engine = next(b for b in backends.installed() if b.name == "onnxruntime")
    runner = profile.main.model_copy(update={"version": engine.version()})
    here = profile.model_copy(update={"machine": this_machine(), "runners": (runner,)})
    remember(here)
    result = CliRunner().invoke(plan, without)
    assert result.exit_code == 0, result.output
    first, *lines = result.output.splitlines()
    assert first == "the device's profile is what this machine remembers, measured 2026-01-01"
    assert lines == shown(made_up).splitlines()


FAST = ["--minimise", "p95", "--deadline-ms", "12", "--max-accuracy-drop", "1%"]


@pytest.mark.parametrize("name", ["neurosurgeon", "dads", "qdmp", "edgent", "portend", "ans"])
def test_a_strategy_that_ignores_limits_is_shown_with_what_it_breaks(
    name: str, made_up: list[str]
) -> None:
    text = shown(made_up, *FAST, "--strategy", name)
    chosen = next(line for line in text.splitlines() if line.startswith(" *"))
    assert "  breaks " in text
    limit = "accuracy" if name == "edgent" else "late"  # whose rule is the deadline
    assert limit in chosen
    assert re.search(rf"{name} takes .*; {limit} .* instead of [0-9.]+%?$", text.splitlines()[-1])


@pytest.mark.parametrize("name", ["server_only", "fixed_split", "device_exits"])
def test_a_refusal_speaks_of_the_strategys_own_plans(name: str, made_up: list[str]) -> None:
    options = [*LINK, "--slowdown", "8", *FAST, "--strategy", name]
    result = CliRunner().invoke(plan, [*made_up, *options])
    assert isinstance(result.exception, PlanError)
    said = str(result.exception)
    assert said.startswith(f"no plan of {name} meets the objective; ")
    offered = [int(cut) for cut in re.findall(r": cut (\d+)", said)]
    depth = 8
    allowed = {"server_only": [0], "fixed_split": range(1, depth), "device_exits": [depth]}
    assert offered
    assert set(offered) <= set(allowed[name])


def test_a_strategy_is_not_refused_for_limits_that_it_keeps_alone(made_up: list[str]) -> None:
    """By the same link and limit, what keeps it is taken and what does not is refused."""
    options = ["--deadline-ms", "20", "--slowdown", "20", "--bandwidth-mbps", "80"]
    text = shown(made_up, *options, "--strategy", "server_only", "--rtt-ms", "1")
    assert "is the least of all of server_only" in text.splitlines()[-1]
    result = CliRunner().invoke(plan, [*made_up, *LINK, *options, "--strategy", "device_exits"])
    assert isinstance(result.exception, PlanError)


def test_plans_keep_up_with_the_samples_that_come(made_up: list[str]) -> None:
    slow, fast = shown(made_up, "--rate-hz", "5"), shown(made_up, "--rate-hz", "60")
    assert "5 samples a second, mean " in slow.splitlines()[-1]
    assert slow.splitlines()[-2] == shown(made_up).splitlines()[-2]
    assert fast.splitlines()[-2] != slow.splitlines()[-2]
    options = [*made_up, *LINK, "--slowdown", "8", "--rate-hz", "100000"]
    result = CliRunner().invoke(plan, options)
    assert isinstance(result.exception, PlanError)
    assert "instead of 0.01 ms" in str(result.exception)


@pytest.mark.parametrize(
    "options",
    [
        ["--strategy", "portend", *FAST, "--rate-hz", "500"],
        ["--board", "rpi4-wifi", "--minimise", "energy", "--deadline-ms", "50"],
        ["--what-if", "rate", "--minimise", "p99.9"],
        ["--what-if", "queue", "--what-if", "bandwidth"],
        ["--devices", "64"],
    ],
)
def test_a_terminal_of_80_columns_breaks_no_word(
    options: list[str], made_up: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def words(columns: int) -> set[str]:
        monkeypatch.setenv("COLUMNS", str(columns))
        result = CliRunner().invoke(plan, [*made_up, "--slowdown", "8", *LINK, *options])
        assert result.exit_code == 0, result.output
        monkeypatch.setattr(Console, "is_terminal", True)
        text = CliRunner().invoke(plan, [*made_up, "--slowdown", "8", *LINK, *options]).output
        text = re.sub(r"\x1b\[[0-9;]*m", "", text)
        assert max(map(len, text.splitlines())) <= columns
        map_rows = re.compile(r"^ *[0-9.]+ [A-Za-z+.-]{20,}$|─|^ +[0-9. ]+$")
        return {w for line in text.splitlines() if not map_rows.search(line) for w in line.split()}

    extra = {"left", "out", "for", "want", "of", "room:"}
    assert {word.strip(",") for word in words(80) - extra} <= {w.strip(",") for w in words(300)}
