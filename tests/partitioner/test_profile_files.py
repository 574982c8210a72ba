"""What is wrong with a profile is told with the file's name, by every command that takes one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from offramp.bundle import Bundle
from offramp.commands import run_command

pytestmark = pytest.mark.usefixtures("bundles_once")
PLAN = 8


def of_another(profile: dict[str, Any]) -> None:
    profile["digest"] = "1" * 64


def too_short(profile: dict[str, Any]) -> None:
    del profile["runners"][0]["head"][3]


def no_numbers(profile: dict[str, Any]) -> None:
    profile["runners"] = "fast"


@pytest.mark.parametrize("change", [of_another, too_short, no_numbers])
@pytest.mark.parametrize("role", ["device", "server"])
@pytest.mark.parametrize("command", ["plan", "run"])
def test_a_wrong_profile_is_named_by_its_file(
    command: str,
    role: str,
    change: Callable[[dict[str, Any]], None],
    made_up: list[str],
    embedded: Bundle,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bundle, _, right = made_up
    plain = json.loads(Path(right).read_text())
    change(plain)
    wrong = tmp_path / "wrong.json"
    wrong.write_text(json.dumps(plain))
    source = tmp_path / "inputs.npy"
    np.save(source, np.zeros((1, *embedded.manifest.boundaries[0].tensors[0].shape), np.uint8))
    device, server = (wrong, right) if role == "device" else (right, wrong)
    options = {
        "plan": ["--device-profile", device, "--bandwidth-mbps", 5, "--rtt-ms", 40],
        "run": ["--profile", device, "--source", source, "--quiet"],
    }[command]
    status = run_command([command, bundle, *map(str, [*options, "--server-profile", server])])
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert status == PLAN, last
    assert last.startswith(f"offramp: {wrong}: ")


def test_a_key_that_stands_twice_is_named(
    made_up: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle, _, right = made_up
    text = Path(right).read_text()
    wrong = tmp_path / "wrong.json"
    wrong.write_text(text.replace('"median_s"', '"median_s": 3.0, "median_s"', 1))
    options = ["--device-profile", str(wrong), "--bandwidth-mbps", "5", "--rtt-ms", "40"]
    assert run_command(["plan", bundle, *options]) == PLAN
    said = capsys.readouterr().err.strip()
    assert said == f"offramp: {wrong}: the key 'median_s' is given twice; remove one"


def test_what_a_run_lacks_of_its_profile_is_told_with_the_file(
    made_up: list[str],
    embedded: Bundle,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bundle, _, profile = made_up
    source = tmp_path / "inputs.npy"
    np.save(source, np.zeros((1, *embedded.manifest.boundaries[0].tensors[0].shape), np.uint8))
    options = ["--profile", profile, "--source", str(source), "--quiet", "--threads", "7"]
    assert run_command(["run", bundle, *options]) == PLAN
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith(f"offramp: {profile}: the profile has no times of ")
