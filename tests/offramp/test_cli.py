"""The command line: help, errors, exit statuses, Ctrl-C, and what it costs to start."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import click
import numpy as np
import pytest

from offramp import commands
from offramp.cli import raise_again
from offramp.errors import InputError

OFFRAMP = "import sys; from offramp.cli import main; sys.argv[0] = 'offramp'; main()"
HEAVY = {"torch", "onnx", "onnxruntime", "grpc", "sklearn", "matplotlib", "scipy"}
WATCHED = f"""
import atexit, sys
atexit.register(lambda: print(sorted({HEAVY!r} & set(sys.modules)), file=sys.stderr))
{OFFRAMP}
"""
READY = """
import signal
from offramp.cli import main
plain = signal.signal
def tell(*arguments):
    before = plain(*arguments)
    print("ready", flush=True)  # at the first time, main is in charge from now on
    return before
signal.signal = tell
main()
"""

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a sub-command in this process; return its status and what it wrote."""

    def run(*arguments: object) -> tuple[int, str, str]:
        status = commands.run_command([str(argument) for argument in arguments])
        return status, *capsys.readouterr()

    return run


def _commands() -> list[str]:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    return sorted(project["project"]["entry-points"]["offramp.commands"])


def _process(*arguments: str, code: str = OFFRAMP) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=60
    )


@pytest.mark.e2e
@pytest.mark.parametrize("arguments", [(), *((name,) for name in [*_commands(), "completion"])])
def test_help_loads_nothing_heavy(arguments: tuple[str, ...]) -> None:
    result = _process(*arguments, "--help", code=WATCHED)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(f"Usage: offramp {' '.join(arguments)}".rstrip())
    assert result.stderr.splitlines()[-1] == "[]"


def test_help_lists_every_command_with_a_sentence(run: Run) -> None:
    status, said, _ = run("--help")
    told = {words[0]: words[1:] for line in said.partition("Commands:")[2].splitlines()
            if (words := line.split())}  # fmt: skip
    assert status == 0
    assert {*_commands(), "completion"} <= set(told)
    assert all(told[name] for name in _commands())
    assert run("-h") == run("--help")
    assert run("--version")[1].startswith("offramp 0")


@pytest.mark.parametrize(
    "arguments",
    [
        "inspect ABSENT",
        "profile ABSENT -o x.json",
        "plan ABSENT --device-profile x.json --bandwidth-mbps 1 --rtt-ms 1",
        "plan BUNDLE --device-profile ABSENT --bandwidth-mbps 1 --rtt-ms 1",
        "serve ABSENT",
        "serve --settings ABSENT",
        "run ABSENT --source x.npz",
        "run BUNDLE --source ABSENT.npy",
        "run BUNDLE --source ABSENT.npz",
        "run BUNDLE --source SAMPLES --settings ABSENT",
        "run BUNDLE --source SAMPLES --profile ABSENT",
        "run BUNDLE --source SAMPLES --server-profile ABSENT",
        "compile m:f --example m:f -o x.offramp --card ABSENT",
        "compile m:f --example m:f -o x.offramp --trained ABSENT",
        "demo --bundle ABSENT",
        "report ABSENT",
        "report ABSENT --timeline ABSENT",
        "shape --listen a:1 --upstream a:1 --link ABSENT",
        "shape --listen a:1 --upstream a:1 --trace ABSENT",
        "shape --listen a:1 --upstream a:1 --trace TRACE --down-trace ABSENT",
    ],
)
def test_a_file_that_is_not_there_is_the_same_error_everywhere(
    arguments: str, run: Run, embedded_file: Path, tmp_path: Path
) -> None:
    samples, trace, absent = tmp_path / "s.npy", tmp_path / "trace", tmp_path / "absent"
    np.save(samples, np.zeros((1, 96, 96, 3), np.uint8))
    trace.write_text("0 1\n")
    places = {"BUNDLE": embedded_file, "SAMPLES": samples, "TRACE": trace, "ABSENT": absent}
    words = arguments.split()
    for name, path in places.items():
        words = [word.replace(name, str(path)) for word in words]
    missing = next(word for word in words if word.startswith(str(absent)))
    reason = "cannot be read (No such file or directory); name a file that is there"
    assert run(*words) == (2, "", f"offramp: {missing}: {reason}\n")


@pytest.mark.parametrize(
    "arguments",
    [
        "profile BUNDLE -o FOLDER",
        "plan BUNDLE --device-profile FOLDER --bandwidth-mbps 1 --rtt-ms 1",
        "calibrate BUNDLE -o FOLDER",
        "compile m:f --example m:f -o FOLDER",
        "inspect BUNDLE --svg FOLDER",
        "report FOLDER",
        "shape --listen a:1 --upstream a:1 --trace FOLDER",
        "simulate FOLDER",
    ],
)
def test_a_folder_in_place_of_a_file_is_the_same_error_everywhere(
    arguments: str, run: Run, embedded_file: Path, tmp_path: Path
) -> None:
    said = arguments.replace("BUNDLE", str(embedded_file)).replace("FOLDER", str(tmp_path))
    assert run(*said.split()) == (2, "", f"offramp: {tmp_path}: is a folder; name a file\n")


@pytest.mark.parametrize("option", ["--require-server", "--model=x"])
def test_an_option_that_has_no_meaning_without_a_server_is_refused(run: Run, option: str) -> None:
    said = f"offramp: {option.partition('=')[0]} has no meaning without --server\n"
    assert run("run", "x.offramp", "--source", "x.npz", option) == (2, "", said)


def test_a_foreseen_error_is_one_line_and_its_status(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    @click.command()
    def fail() -> None:
        raise InputError("first\n  second \x1b[2J")  # of a server's or a bundle's, it may be

    monkeypatch.setitem(commands._offramp.commands, "fail", fail)
    assert run("fail") == (5, "", "offramp: first second \ufffd[2J\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("unheard", "No such command 'unheard'"),
        ("profile x --unheard", "No such option"),
        ("profile", "Missing argument 'BUNDLE'"),
        ("profile x -o y --rounds 0", "0 is not in the range"),
        ("completion tcsh", "'tcsh' is not one of"),
        ("report", "Missing argument 'RUN.jsonl...'"),
    ],
)
def test_a_wrong_word_gets_one_sentence_and_status_2(arguments: str, said: str, run: Run) -> None:
    status, out, err = run(*arguments.split())
    assert (status, out) == (2, "")
    assert err.startswith("offramp: ")
    assert said in err
    assert err.endswith(" --help tells more\n")
    assert err.count("\n") == 1


def test_without_a_word_the_help_is_shown_as_it_is(run: Run) -> None:
    status, out, err = run()
    assert (status, out) == (2, "")
    assert err.startswith("Usage: offramp")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_that_asks_offramp(shell: str, run: Run) -> None:
    status, script, _ = run("completion", shell)
    assert status == 0
    assert f"_OFFRAMP_COMPLETE={shell}_complete" in script


def test_completion_knows_the_commands(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("_OFFRAMP_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "offramp p")
    monkeypatch.setenv("COMP_CWORD", "1")
    with pytest.raises(SystemExit):
        commands.run_command([])
    assert capsys.readouterr().out.split() == ["plain,plan", "plain,profile"]


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("target", "why"), [("/dev/full", "the disk is full"), ("help.txt", "File too large")]
)
def test_output_that_cannot_be_written_is_an_error_in_words(
    target: str, why: str, tmp_path: Path
) -> None:
    command = f"ulimit -f 0; exec '{sys.executable}' -c \"$CODE\" --help > {target}"
    ended = subprocess.run(
        ["bash", "-c", command],
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "CODE": OFFRAMP},
        timeout=60,
    )
    assert ended.stderr == f"offramp: the output cannot be written: {why}\n"
    assert ended.returncode == 2


@pytest.mark.e2e
def test_a_reader_that_goes_away_is_no_error() -> None:
    command = f'"{sys.executable}" -c "$0" --help | true'
    code = OFFRAMP.replace("main()", "import time; time.sleep(0.3); main()")
    result = subprocess.run(["sh", "-c", command, code], capture_output=True, text=True, timeout=60)
    assert result.stderr == ""


@pytest.mark.e2e
@pytest.mark.parametrize("after_s", [0.0, 0.1, 0.2, 0.35, 0.5, 0.8])
@pytest.mark.parametrize(
    "arguments",
    ["run BUNDLE --source SAMPLES --quiet", "serve BUNDLE --listen 127.0.0.1:0", "demo --out OUT"],
)
def test_ctrl_c_at_any_moment_ends_without_a_traceback(
    arguments: str, after_s: float, embedded_file: Path, tmp_path: Path
) -> None:
    np.save(tmp_path / "s.npy", np.zeros((500, 96, 96, 3), np.uint8))
    places = {"BUNDLE": embedded_file, "SAMPLES": tmp_path / "s.npy", "OUT": tmp_path / "out"}
    words = [str(places.get(word, word)) for word in arguments.split()]
    with subprocess.Popen(
        [sys.executable, "-c", READY, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            time.sleep(after_s)
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=30)
        finally:
            process.kill()
    assert "Traceback" not in err
    assert "KeyboardInterrupt" not in err
    # What is up already stops in order: a server, or a run once it has begun.
    begun = words[0] in ("serve", "run")
    assert process.returncode == 130 or (begun and process.returncode == 0), err


def test_ctrl_c_while_a_profile_is_measured_says_that_nothing_is_kept(
    embedded_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("partitioner.measure.runners_here", interrupt)
    with pytest.raises(KeyboardInterrupt):
        commands.run_command(["profile", str(embedded_file), "-o", str(tmp_path / "here.json")])
    said = "interrupted: nothing of this profile is kept; the same command measures it anew"
    assert capsys.readouterr().err.strip() == said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.e2e
def test_where_a_shell_ignores_ctrl_c_the_command_does_too() -> None:
    code = (
        "import os, signal, offramp.commands as c; from offramp.cli import main\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "c.run_command = lambda _: os.kill(os.getpid(), signal.SIGINT) or 3\n"
        "main()"
    )
    assert _process(code=code).returncode == 3


@pytest.mark.e2e
@pytest.mark.parametrize("where", ["work", "import"])
def test_ctrl_c_unwinds_work_and_cuts_imports_short(where: str, tmp_path: Path) -> None:
    """A package may take what is raised while it is imported for its own failure to load."""
    (tmp_path / "stubborn.py").write_text(
        "import os, signal\n"
        "try:\n    os.kill(os.getpid(), signal.SIGINT)\n"
        "except BaseException:\n    print('lost', flush=True)\n"
    )
    step = "import stubborn" if where == "import" else "os.kill(os.getpid(), signal.SIGINT)"
    code = (
        "import os, signal, offramp.commands as c; from offramp.cli import main\n"
        "def work(_):\n"
        f"    try:\n        {step}\n    finally:\n        print('tidied', flush=True)\n"
        "c.run_command = work\n"
        "main()"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (result.returncode, result.stderr) == (130, "")
    assert result.stdout == ("tidied\n" if where == "work" else "")


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("number", "before", "heed"),
    [
        ("SIGINT", "pass", "pass"),
        ("SIGTERM", "pass", "signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))"),
        (  # as a shell starts what is to run behind it
            "SIGTERM",
            "signal.signal(signal.SIGINT, signal.SIG_IGN)",
            "signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))",
        ),
    ],
)
def test_what_asks_for_the_end_is_not_lost_in_a_callback_of_c_code(
    number: str, before: str, heed: str
) -> None:
    code = (
        "import ctypes, os, signal, sys, time, offramp.commands as c\n"
        "from offramp.cli import main\n"
        f"{before}\n"
        "@ctypes.CFUNCTYPE(None)\n"
        "def called():\n"
        f"    os.kill(os.getpid(), signal.{number})\n"
        "    time.sleep(0.001)\n"
        "def work(_):\n"
        f"    {heed}\n"
        "    called()\n"
        "    time.sleep(30)\n"
        "c.run_command = work\n"
        "main()"
    )
    result = _process(code=code)
    assert (result.returncode, result.stderr) == (128 + signal.Signals[number], "")


def test_an_error_breaks_between_words_on_a_terminal_and_nowhere_else(monkeypatch, capsys):
    words = ["plan", "absent.offramp", "--bandwidth-mbps", "5", "--rtt-ms", "40"]
    assert commands.run_command(words) == 2
    whole = capsys.readouterr().err
    assert whole.count("\n") == 1
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "40")
    assert commands.run_command(words) == 2
    folded = capsys.readouterr().err
    assert max(map(len, folded.splitlines())) <= 40 < len(whole)
    assert folded.split() == whole.split()


def test_what_is_lost_off_the_main_thread_is_told_as_python_tells_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No signal can be set there, and nobody there asked for the end."""
    told: list[object] = []
    monkeypatch.setattr(sys, "__unraisablehook__", told.append)
    lost = SimpleNamespace(exc_type=KeyboardInterrupt, exc_value=KeyboardInterrupt())
    thread = threading.Thread(target=raise_again, args=(lost,))
    thread.start()
    thread.join(10)
    assert told == [lost]
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
