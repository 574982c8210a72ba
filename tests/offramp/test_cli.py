"""The command line: help, errors, exit codes, and what it costs to start."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

OFFRAMP = "import sys; from offramp.cli import main; sys.argv[0] = 'offramp'; main()"
HEAVY = {"torch", "onnx", "onnxruntime", "grpc", "sklearn", "matplotlib", "scipy"}
WATCHED = f"""
import atexit, sys, time
started = time.perf_counter()
def tell():
    heavy = {HEAVY!r} & set(sys.modules)
    print(f"{{time.perf_counter() - started:.3f}} {{sorted(heavy)}}", file=sys.stderr)
atexit.register(tell)
{OFFRAMP}
"""


def _commands() -> list[str]:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    return sorted(project["project"]["entry-points"]["offramp.commands"])


def _run(*arguments: str, code: str = OFFRAMP) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize("arguments", [(), *((name,) for name in [*_commands(), "completion"])])
def test_help_is_quick_and_loads_nothing_heavy(arguments: tuple[str, ...]) -> None:
    result = _run(*arguments, "--help", code=WATCHED)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(f"Usage: offramp {' '.join(arguments)}".rstrip())
    seconds, heavy = result.stderr.splitlines()[-1].split(maxsplit=1)
    assert heavy == "[]"
    assert float(seconds) < 1.5


def test_help_lists_every_command_with_a_sentence() -> None:
    listed = _run("--help").stdout.partition("Commands:")[2]
    told = {words[0]: words[1:] for line in listed.splitlines() if (words := line.split())}
    assert {*_commands(), "completion"} <= set(told)
    assert all(told[name] for name in _commands())
    assert _run("-h").stdout == _run("--help").stdout
    assert _run("--version").stdout.startswith("offramp 0")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("profile", "absent.offramp", "-o", "x.json"), 4, "absent.offramp: cannot be read"),
        (("plan", "absent.offramp", "--device-profile", "x.json", "--bandwidth-mbps", "1",
          "--rtt-ms", "1"), 4, "absent.offramp: cannot be read"),
        (("compile", "no_such_module:f", "--data", "m:f", "-o", "x"), 2, "no_such_module"),
    ],
)  # fmt: skip
def test_a_foreseen_error_is_one_line_and_its_exit_code(
    arguments: tuple[str, ...], code: int, said: str
) -> None:
    result = _run(*arguments)
    assert result.returncode == code
    (line,) = result.stderr.splitlines()
    assert line.startswith("offramp: ")
    assert said in line
    assert result.stdout == ""


def test_an_error_of_several_lines_is_still_one_line() -> None:
    code = "import offramp.cli as cli; from offramp.errors import InputError\n"
    code += "def fail(**_): raise InputError('first\\n  second')\n"
    code += "cli._offramp = fail; cli.main()"
    result = _run(code=code)
    assert (result.returncode, result.stderr) == (5, "offramp: first second\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("unheard",), "No such command 'unheard'"),
        (("profile", "x", "--unheard"), "No such option"),
        (("profile", "x"), "Missing option '-o'"),
        (("profile", "x", "-o", "y", "--rounds", "0"), "0 is not in the range"),
        (("completion", "tcsh"), "'tcsh' is not one of"),
    ],
)
def test_a_wrong_word_gets_usage_and_code_2(arguments: tuple[str, ...], said: str) -> None:
    result = _run(*arguments)
    assert result.returncode == 2
    assert said in result.stderr
    assert "Usage: offramp" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_that_asks_offramp(shell: str) -> None:
    result = _run("completion", shell)
    assert result.returncode == 0
    assert f"_OFFRAMP_COMPLETE={shell}_complete" in result.stdout


def test_completion_knows_the_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_OFFRAMP_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "offramp p")
    monkeypatch.setenv("COMP_CWORD", "1")
    assert _run().stdout.split() == ["plain,plan", "plain,profile"]


def test_a_reader_that_goes_away_is_no_error() -> None:
    command = f'"{sys.executable}" -c "$0" --help | true'
    code = OFFRAMP.replace("main()", "import time; time.sleep(0.3); main()")
    result = subprocess.run(["sh", "-c", command, code], capture_output=True, text=True, timeout=60)
    assert result.stderr == ""
