"""Profiles: measured, written, read back, and refused when they cannot be."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from offramp.bundle import Bundle
from offramp.errors import ConfigError, OfframpError, PlanError
from partitioner.commands import plan as plan_command
from partitioner.commands import profile as profile_command
from partitioner.measure import measure_profile
from partitioner.profile import Profile, Timing, load_profile


@pytest.fixture(scope="module", params=["onnxruntime", "torch"])
def measured(tiny: Bundle, request: pytest.FixtureRequest) -> Profile:
    rounds: list[tuple[int, int]] = []
    found = measure_profile(
        tiny, request.param, rounds=3, progress=lambda done, of: rounds.append((done, of))
    )
    assert rounds == [(1, 3), (2, 3), (3, 3)]
    return found


def test_every_part_of_the_bundle_has_a_positive_time(tiny: Bundle, measured: Profile) -> None:
    measured.check(tiny)
    nothing = Timing(median_s=0, p10_s=0, p90_s=0, runs=0)
    assert measured.head[0] == measured.tail[-1] == nothing
    timings = [*measured.head[1:], *measured.tail[:-1], *measured.exits]
    timings += [*measured.encode.values(), *measured.decode.values()]
    for timing in timings:
        assert 0 < timing.p10_s <= timing.median_s <= timing.p90_s < math.inf
        assert timing.runs == 3
    assert measured.digest == tiny.digest
    assert measured.machine.cores >= 1
    assert measured.slowdown == 1


def test_a_profile_survives_json(measured: Profile, tmp_path: Path) -> None:
    path = tmp_path / "profile.json"
    path.write_text(measured.model_dump_json(indent=1))
    assert load_profile(path) == measured


def test_a_slower_board_takes_longer_in_everything(measured: Profile) -> None:
    slow = measured.slowed(4).slowed(2)
    assert slow.slowdown == 8
    assert slow.head[1].median_s == pytest.approx(8 * measured.head[1].median_s)
    assert slow.exits[0].p90_s == pytest.approx(8 * measured.exits[0].p90_s)
    assert slow.encode["0/raw"].p10_s == pytest.approx(8 * measured.encode["0/raw"].p10_s)
    assert slow.between_s(0, 2) == pytest.approx(slow.head[2].median_s)
    assert min(slow.between_s(1, 2), slow.between_s(2, 1)) == 0
    for factor in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(PlanError, match="slowdown"):
            measured.slowed(factor)


def _set(*path: Any, to: Any) -> Callable[[dict[str, Any]], None]:
    def change(plain: dict[str, Any]) -> None:
        at: Any = plain
        for step in path[:-1]:
            at = at[step]
        at[path[-1]] = to

    return change


HOSTILE: dict[str, tuple[str, Callable[[dict[str, Any]], Any]]] = {
    "negative": (r"head\.1\.median_s", _set("head", 1, "median_s", to=-1.0)),
    "not a number": (r"exits\.0\.p10_s", _set("exits", 0, "p10_s", to=math.nan)),
    "infinite": (r"encode\.0/raw\.p90_s", _set("encode", "0/raw", "p90_s", to=math.inf)),
    "infinite slowdown": ("slowdown", _set("slowdown", to=math.inf)),
    "no threads": ("threads", _set("threads", to=0)),
    "newer": ("format", _set("format", to=2)),
    "digest": ("digest", _set("digest", to="beef")),
    "missing": ("tail", lambda plain: plain.pop("tail")),
    "unknown": ("unknown key 'speed'", _set("speed", to=1)),
    "unknown inside": ("unknown key 'machine.speed'", _set("machine", "speed", to=1)),
    "words": ("head", _set("head", to="fast")),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_profiles_are_refused_with_the_keys_name(
    name: str, tiny: Bundle, tmp_path: Path
) -> None:
    said, change = HOSTILE[name]
    plain = json.loads(measure_profile(tiny, "onnxruntime", rounds=1).model_dump_json())
    change(plain)
    path = tmp_path / "profile.json"
    path.write_text(json.dumps(plain))
    with pytest.raises(PlanError, match=said) as caught:
        load_profile(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"\xff\xfe", b"[]", b"{", b"null"])
def test_files_that_hold_no_profile_are_refused(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "profile.json"
    path.write_bytes(data)
    with pytest.raises(PlanError, match=r"profile\.json"):
        load_profile(path)


def test_a_profile_that_is_not_there_is_a_wrong_setting(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.json: cannot be read"):
        load_profile(tmp_path / "absent.json")


def _run(command: Any, *arguments: object) -> Any:
    return CliRunner().invoke(command, [str(a) for a in arguments])


def test_profile_then_plan_from_the_command_line(tiny_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "here.json"
    result = _run(profile_command, tiny_file, "--rounds", 2, "-o", out)
    assert result.exit_code == 0, result.output
    assert "head ms" in result.output
    assert load_profile(out).backend == "onnxruntime"
    link = ("--bandwidth-mbps", 5, "--rtt-ms", 20)
    result = _run(plan_command, tiny_file, "--device-profile", out, *link)
    assert result.exit_code == 0, result.output
    assert "cut " in result.output.splitlines()[-2]
    assert result.output.splitlines()[-1].startswith("with 5 Mbit/s and 20 ms, mean ")
    result = _run(
        plan_command, tiny_file, "--device-profile", out, *link, "--strategy", "server_only"
    )
    assert "cut 0, sends " in result.output.splitlines()[-2]


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        (("--bandwidth-mbps", 0), PlanError),
        (("--bandwidth-mbps", "nan"), PlanError),
        (("--rtt-ms", -1), PlanError),
        (("--slowdown", 0), PlanError),
        (("--slowdown", "nan"), PlanError),
        (("--deadline-ms", 0), ConfigError),
        (("--max-accuracy-drop", 2), ConfigError),
        (("--strategy", "unheard"), ConfigError),
        (("--server-profile", "absent.json"), ConfigError),
    ],
)
def test_options_that_cannot_be_are_refused(
    options: tuple[object, ...], kind: type[OfframpError], tiny: Bundle, tmp_path: Path
) -> None:
    out = tmp_path / "profile.json"
    out.write_text(measure_profile(tiny, "onnxruntime", rounds=1).model_dump_json())
    given = ("--bandwidth-mbps", 5, "--rtt-ms", 20, *options)
    result = _run(plan_command, tiny.folder, "--device-profile", out, *given)
    assert isinstance(result.exception, kind)
    assert "\n" not in str(result.exception)


def test_a_profile_that_cannot_be_written_is_one_sentence(tiny: Bundle, tmp_path: Path) -> None:
    result = _run(profile_command, tiny.folder, "--rounds", 1, "-o", tmp_path / "no" / "p.json")
    assert isinstance(result.exception, ConfigError)
    assert "cannot be written" in str(result.exception)
    result = _run(profile_command, tiny.folder, "--backend", "unheard", "-o", tmp_path / "p.json")
    assert isinstance(result.exception, ConfigError)
