"""What cannot be planned with is refused: one sentence, the wrong value in it, its exit status."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from offramp.commands import run_command

USAGE, PLAN, BUNDLE = 2, 8, 4
NO_TIME = {"median_s": 0, "p10_s": 0, "p90_s": 0, "runs": 1}
Change = Callable[[dict[str, Any]], object]


@dataclass(frozen=True)
class Wrong:
    """Input and what has to be said of it; ``FILE`` among the options is the file of ``text``."""

    says: tuple[str, ...]
    options: tuple[str, ...] = ()
    status: int = USAGE
    command: str = "plan"
    change: Change | None = None
    text: str | bytes = ""


def put(*path: Any, to: Any) -> Change:
    def change(plain: dict[str, Any]) -> None:
        at: Any = plain
        for step in path[:-1]:
            at = at[step]
        at[path[-1]] = to

    return change


def drop(*path: Any) -> Change:
    def change(plain: dict[str, Any]) -> None:
        at: Any = plain
        for step in path[:-1]:
            at = at[step]
        del at[path[-1]]

    return change


def _profiles() -> dict[str, Wrong]:
    """Profiles whose entries are wrong, missing, too many, or of another bundle."""
    time = ("runners", 0, "head", 3, "median_s")
    changes: dict[str, tuple[Change, tuple[str, ...]]] = {
        "lacks a time": (drop(*time), ("runners.0.head.3.median_s", "is missing")),
        "lacks a head": (drop("runners", 0, "head", 3), ("head of onnxruntime has 8 times",)),
        "lacks a level": (drop("encode", "0/lossless"), ("encode lacks '0/lossless'",)),
        "has one too many": (
            put("decode", "9/zip", to=NO_TIME),
            ("decode has '9/zip'",),
        ),
        "has no runner": (put("runners", to=[]), ("runners", "[]")),
        "is of another bundle": (put("digest", to="1" * 64), ("of bundle 111111111111",)),
        "is of no bundle": (put("digest", to="xyz"), ("digest", "'xyz'")),
        "is newer": (put("format", to=2), ("format", "2")),
        "has an unknown key": (put("speeed", to=2), ("unknown key 'speeed'",)),
        "has percentiles that fall": (
            put("runners", 0, "head", 3, "p10_s", to=7.0),
            ("runners.0.head.3", "7", "must not fall"),
        ),
        "has a head of no time": (
            put("runners", 0, "head", 3, to=NO_TIME),
            ("a head of onnxruntime runs segments in 0 s",),
        ),
        "has a tail of no time": (
            put("runners", 0, "tail", 0, to=NO_TIME),
            ("a tail of onnxruntime runs segments in 0 s",),
        ),
        "ran on true threads": (put("runners", 0, "threads", to=True), ("threads", "True")),
        "draws less than nothing": (
            put("power", to={"name": "x", "source": "y", "idle_w": -1, "compute_w": 3}),
            ("power.idle_w", "-1"),
        ),
        "draws true watts": (
            put("power", to={"name": "x", "source": "y", "idle_w": 1, "compute_w": True}),
            ("power.compute_w", "true is no number"),
        ),
        "draws wats": (
            put("power", to={"name": "x", "source": "y", "idle_w": 1, "wats": 3}),
            ("unknown key 'power.wats'",),
        ),
    }
    for value in (-1, float("nan"), float("inf"), 1e308, "fast", "0.1", True, None, [1]):
        says = ("runners.0.head.3.median_s", f"(given: {value!r})")
        changes[f"says {value!r}"] = (put(*time, to=value), says)
    return {
        f"a profile that {name}": Wrong((*says, "offramp profile"), status=PLAN, change=change)
        for name, (change, says) in changes.items()
    }


def _files() -> dict[str, Wrong]:
    """Files that are no profile, no bundle, or not there."""
    options = ("--device-profile", "FILE")
    says = ("FILE: the file ", "offramp profile")
    found = {
        f"a profile of {text!r}": Wrong(says, options, PLAN, text=text)
        for text in ("", "{", "3", "[1]", b"\xff\xfe\x00")
    }
    absent = Wrong(("absent.json: cannot be read",), ("--device-profile", "absent.json"))
    folder = Wrong((".: is a folder; name a file",), ("--device-profile", "."))
    return {**found, "a profile that is not there": absent, "a folder": folder}


def _options() -> dict[str, Wrong]:
    """Numbers that are none, and names of nothing."""
    found = {}
    for option, values in {
        "--bandwidth-mbps": ("0", "-1", "1e308", "1e-308", "nan", "inf", "true", "fast"),
        "--rtt-ms": ("-1", "1e308", "nan", "inf", "true"),
        "--queue-ms": ("-1", "1e308", "nan"),
        "--device-load": ("0", "-1", "1e308", "1e-308", "nan"),
        "--server-load": ("0", "-1", "1e308", "inf"),
        "--slowdown": ("0", "-1", "1e308", "1e-308", "nan", "inf"),
        "--rate-hz": ("0", "-1", "1e308", "nan", "inf", "often"),
        "--deadline-ms": ("0", "-1", "1e308", "nan", "soon"),
        "--max-accuracy-drop": ("-1", "2", "200%", "nan", "1e-3"),
        "--devices": ("0", "-1", "1.5", "1e9", "nan", "true"),
        "--workers": ("0", "257"),
    }.items():
        for value in values:
            number = option not in ("--max-accuracy-drop", "--devices", "--workers")
            shown = str(float(value)) if number and value in ("0", "-1", "1e308") else value
            found[f"{option} {value}"] = Wrong((f"'{option}'", shown), (option, value))
    named = {
        "--strategy oframp": ("unknown strategy 'oframp'", "did you mean 'offramp'"),
        "--minimise meen": ("unknown measure 'meen'", "did you mean 'mean'"),
        "--minimise p0": ("unknown measure 'p0'",),
        "--minimise p100": ("unknown measure 'p100'",),
        "--minimise late": ("deadline_s",),
        "--board rpi44": ("unknown board 'rpi44'",),
        "--what-if bandwith": ("unknown axis 'bandwith'", "did you mean 'bandwidth'"),
        "--what-if rtt --what-if rtt": ("rtt is given twice",),
        "--what-if rtt --what-if queue --what-if rtt": ("one axis, or two",),
        "--picture x.png": ("--picture needs two",),
        "--hedge --strategy dads": ("'dads'", "leave out --hedge"),
        "--devices 2 --rate-hz 5": ("leave out --rate-hz",),
        "--objective absent.yaml": ("absent.yaml: cannot be read",),
    }
    found |= {name: Wrong(says, tuple(name.split())) for name, says in named.items()}
    found["--minimise energy"] = Wrong(("does not say", "--board"), ("--minimise", "energy"), PLAN)
    return found


def _objectives() -> dict[str, Wrong]:
    """Objectives that are none, and those that nothing meets."""
    wrong = {
        "minimize: mean": ("unknown key 'minimize'", "'minimise'"),
        "minimise: p200": ("minimise", "'p200'"),
        "minimise: true": ("minimise", "True"),
        "max_accuracy_drop: 2": ("max_accuracy_drop", "2"),
        "max_accuracy_drop: true": ("max_accuracy_drop", "true is no number"),
        "max_accuracy_drop: 1%": ("max_accuracy_drop", "'1%'"),
        "min_accuracy: 1.5": ("min_accuracy", "1.5"),
        "min_accuracy: true": ("min_accuracy", "true is no number"),
        "deadline_s: 0": ("deadline_s", "0"),
        "deadline_s: .inf": ("deadline_s", "inf"),
        "deadline_s: soon": ("deadline_s", "'soon'"),
        "deadline_s: true": ("deadline_s", "true is no number"),
        "deadline_s: 1.0e+308": ("deadline_s", "1e+308"),
        "max_miss_share: 1": ("max_miss_share", "1"),
        "limits: {p99.95_s: 1}": ("unknown key 'limits.p99.95_s'", "'p99_s'"),
        "limits: {p99.9: 1}": ("unknown key 'limits.p99.9'", "'p99_s'"),
        "limits: {p99.9_s: -1}": ("limits.p99.9_s", "-1"),
        "limits: {p37_s: .nan}": ("limits.p37_s", "nan"),
        "limits: {p37_s: true}": ("limits.p37_s", "true is no number"),
        "limits: {mean_s: -1}": ("limits.mean_s", "-1"),
        "limits: {mean_s: .nan}": ("limits.mean_s", "nan"),
        "limits: {mean_s: true}": ("limits.mean_s", "true is no number"),
        "limits: {p99_s: 1.0e+308}": ("limits.p99_s", "1e+308"),
        "limits: {uplink_bytes: 1kB}": ("limits.uplink_bytes", "'1kB'"),
        "limits: 3": ("limits", "3"),
        "[a, b]": ("must hold keys",),
        "a: [": ("not valid YAML at line 1",),
    }
    unmet = {
        "min_accuracy: 0.999": ("accuracy 0.95", " instead of 0.999"),
        "deadline_s: 1.0e-308": ("late 100% instead of 1%",),
        "limits: {mean_s: 0}": ("ms instead of 0 ms",),
        "limits: {memory_bytes: 10}": ("bytes instead of 10 bytes",),
        "limits: {p37_s: 0}": ("p37", "ms instead of 0 ms"),
        "limits: {p50_s: 0.01, p99_s: 0.0001}": ("p99", "instead of 0.1 ms"),
        "limits: {mean_s: 0.0001, uplink_bytes: 1, memory_bytes: 10}": (
            "several limits at once, mean ",
            "instead of 10 bytes",
        ),
        "limits: {energy_j: 1}": ("does not say", "--board"),
    }
    found = {}
    for status, texts in ((USAGE, wrong), (PLAN, unmet)):
        for text, says in texts.items():
            for more in ((), ("--devices", "8")):
                options = ("--objective", "FILE", *more)
                found[" ".join((text, *more))] = Wrong(says, options, status, text=text)
    return found


def _boards() -> dict[str, Wrong]:
    plain = "{name: x, source: y, idle_w: 1, compute_w: %s}"
    values = {"-3": "-3", "1.0e+308": "1e+308", "true": "true is no number", ".nan": "nan"}
    found = {
        f"a board of {value} W": Wrong(
            ("compute_w", shown), ("--board", "FILE"), text=plain % value
        )
        for value, shown in values.items()
    }
    return {
        **found,
        "a board with wats": Wrong(
            ("unknown key 'wats'",), ("--board", "FILE"), text="{name: x, wats: 3}"
        ),
    }


def _other_commands() -> dict[str, Wrong]:
    """`offramp profile` and `offramp calibrate`."""
    found = {}
    for line, says in {
        "profile --rounds 0": ("'--rounds'", "0"),
        "profile --threads 0": ("'--threads'", "0"),
        "profile --backend onx": ("unknown backend 'onx'",),
        "profile --board x": ("unknown board 'x'",),
        "profile -o absent/x.json": ("absent/x.json: cannot be written",),
        "calibrate --max-accuracy-drop -1%": ("'--max-accuracy-drop'", "'-1%'"),
        "calibrate --max-accuracy-drop nan": ("'--max-accuracy-drop'", "'nan'"),
        "calibrate --confidence 1": ("1% or 100%",),
        "calibrate --confidence 1.5": ("'--confidence'", "'1.5'"),
        "calibrate --max-mean-time 5": ("'--max-mean-time'", "'5'"),
        "calibrate --max-mean-time 0ms": ("--max-mean-time is 0",),
        "calibrate --max-mean-time 5ms": ("need --profile",),
        "calibrate --max-memory 64": ("'--max-memory'", "'64'"),
        "calibrate --max-sent 2": ("'--max-sent'", "'2'"),
        "calibrate --policy confidance": ("unknown exit policy 'confidance'",),
        "calibrate --data nomodule:f": ("'nomodule'",),
        "calibrate --data json": ("'json'",),
        "calibrate --slowdown 2": ("--slowdown is of a profile",),
        "calibrate --slowdown nan": ("'--slowdown'", "nan"),
        "calibrate --seed -1": ("'--seed'", "-1"),
    }.items():
        command, *options = line.split()
        found[line] = Wrong(says, tuple(options), command=command)
    options = ("--profile", "FILE", "--max-mean-time", "5ms")
    found["calibrate --profile of nothing"] = Wrong(
        ("offramp profile",), options, PLAN, "calibrate", text="{}"
    )
    return found


WRONG = {
    **_profiles(),
    **_files(),
    **_options(),
    **_objectives(),
    **_boards(),
    **_other_commands(),
}


@pytest.mark.parametrize("name", WRONG)
def test_it_is_refused_in_one_sentence(
    name: str,
    made_up: list[str],
    bundles_once: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    wrong = WRONG[name]
    monkeypatch.chdir(tmp_path)
    file = tmp_path / ("given.json" if "profile" in " ".join(wrong.options) else "given.yaml")
    file.write_bytes(wrong.text if isinstance(wrong.text, bytes) else wrong.text.encode())
    bundle, _, profile = made_up
    if wrong.change:
        plain = json.loads(Path(profile).read_text())
        wrong.change(plain)
        profile = str(tmp_path / "profile.json")
        Path(profile).write_text(json.dumps(plain))
    always = {
        "plan": ["--device-profile", profile, "--bandwidth-mbps", "5", "--rtt-ms", "40"],
        "profile": [],
        "calibrate": ["-o", str(tmp_path / "out.offramp")],
    }[wrong.command]
    options = [str(file) if option == "FILE" else option for option in wrong.options]
    status = run_command([wrong.command, bundle, *always, *options])
    shown = capsys.readouterr()
    *before, last = shown.err.strip().splitlines()
    assert status == wrong.status, shown.err
    assert shown.out == ""
    assert last.startswith("offramp: ")
    assert all(line.startswith("warning: ") for line in before if line)
    for words in wrong.says:
        assert words.replace("FILE", str(file)) in last
