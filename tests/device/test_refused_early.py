"""What a run is told wrongly is refused before a bundle is fetched or measured."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

import device.main
from device.command import run
from offramp.errors import ConfigError


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--strategy", "magic"], "unknown strategy 'magic'"),
        (["--strategy", "oracle"], "exists only in offramp simulate"),
        (["--backend", "abacus"], "unknown backend 'abacus'"),
        (["--source", "absent.npz"], "absent.npz: cannot be read"),
        (["--source", "absent"], "source 'absent' is no folder"),
        (["--source", "picture.jpg"], "source 'picture.jpg' is no folder"),
        (["--profile", "absent.json"], "absent.json: cannot be read"),
        (["--profile", "."], ".: is a folder; name a file"),
        (["--server-profile", "absent.json"], "absent.json: cannot be read"),
        (["--out", "/proc/nowhere/x"], "/proc/nowhere/x: cannot be written"),
        (["--minimise", "p0.1"], "quantiles go from p1 to p99.9"),
        (["--settings", "absent.yaml"], "absent.yaml: cannot be read"),
    ],
)
def test_nothing_is_begun(
    options: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def begun(*_: object, **__: object) -> None:
        raise AssertionError("a bundle was obtained")

    monkeypatch.setattr(device.main, "obtain_bundle", begun)
    monkeypatch.chdir(tmp_path)
    given = ["--server", "127.0.0.1:9", "--source", str(tmp_path), *options]
    result = CliRunner().invoke(run, given)
    assert isinstance(result.exception, ConfigError), result.exception
    assert said in str(result.exception)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        ("strategy: foo", [], "{file}: strategy: unknown strategy 'foo'"),
        ("backend: cuda9", [], "{file}: backend: unknown backend 'cuda9'"),
        ("backend: torch", ["--strategy", "foo"], "unknown strategy 'foo'"),
        ("server: 5", ["--server", "127.0.0.1:9"], "{file}: server: '5' is not HOST:PORT"),
        ("deadline_s: -1", ["--deadline-ms", "9"], "{file}: deadline_s must be above 0"),
    ],
)
def test_what_a_file_says_wrongly_is_told_with_file_and_key(
    text: str, options: list[str], said: str, tmp_path: Path
) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(text)
    given = ["--settings", str(file), "--source", str(tmp_path), *options]
    result = CliRunner().invoke(run, given)
    assert isinstance(result.exception, ConfigError), result.exception
    assert str(result.exception).startswith(said.format(file=file))


def test_what_results_are_written_to_is_left_as_it_was_where_no_bundle_comes(
    tmp_path: Path,
) -> None:
    out = tmp_path / "run.jsonl"
    out.write_text("earlier\n")
    given = ["absent.offramp", "--source", str(tmp_path), "--out", str(out)]
    result = CliRunner().invoke(run, given)
    assert isinstance(result.exception, ConfigError)
    assert out.read_text() == "earlier\n"
    assert list(tmp_path.iterdir()) == [out]
