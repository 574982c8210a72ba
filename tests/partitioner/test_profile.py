"""Profiles: measured, written, read back, and refused when they cannot be."""

from __future__ import annotations

import itertools
import json
import math
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from safetensors.numpy import save as save_arrays

from offramp import backends
from offramp.bundle import Bundle, Manifest, open_bundle, write_bundle
from offramp.errors import BundleError, ConfigError, OfframpError, PlanError
from offramp.exits import Evidence, FittedPolicy
from offramp.network import Network
from partitioner.agreeing import agreeing
from partitioner.machine import differences, this_machine
from partitioner.measure import MeasuringStopped, measure_profile, runners_here
from partitioner.plan_command import plan as plan_command
from partitioner.profile import Profile, Runner, Timing, load_profile
from partitioner.profile_command import profile as profile_command
from partitioner.remembered import recall, remember
from partitioner.rounds import boundary_values, time_call
from partitioner.tables import profile_table


@pytest.fixture(scope="module", params=["onnxruntime", "torch"])
def measured(tiny: Bundle, request: pytest.FixtureRequest) -> Profile:
    lines: list[str] = []
    found = measure_profile(tiny, [(request.param, 1)], rounds=6, report=lines.append)
    assert lines[0] == f"measuring {request.param} on 1 thread(s)"
    return found


@pytest.fixture(scope="module")
def measured_here(tiny: Bundle) -> Profile:
    return measure_profile(tiny, rounds=3)


def test_every_part_of_the_bundle_has_a_positive_time(tiny: Bundle, measured: Profile) -> None:
    measured.check(tiny)
    nothing = Timing(median_s=0, p10_s=0, p90_s=0, runs=0)
    assert measured.head[0] == measured.tail[-1] == nothing
    timings = [*measured.head[1:], *measured.tail[:-1], *measured.exits]
    timings += [*measured.encode.values(), *measured.decode.values()]
    for timing in timings:
        assert 0 < timing.p10_s <= timing.median_s <= timing.p90_s < math.inf
        assert timing.runs == 6
    assert measured.digest == tiny.digest
    assert measured.machine.cores >= 1
    assert measured.slowdown == 1


def test_an_exit_takes_its_policy_with_it(tiny: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    score = FittedPolicy.score

    def slowly(self: FittedPolicy, evidence: Evidence) -> Any:
        time.sleep(0.02)
        return score(self, evidence)

    monkeypatch.setattr(FittedPolicy, "score", slowly)
    found = measure_profile(tiny, [("onnxruntime", 1)], rounds=1)
    assert all(timing.median_s >= 0.02 for timing in found.exits)
    assert found.head[-1].median_s < 0.02


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


def _runner(name: str, head_ms: list[float], **fields: Any) -> Runner:
    """A runner whose tails and exit take a millisecond and whose heads take ``head_ms``."""

    def timing(milliseconds: float) -> Timing:
        seconds = milliseconds / 1e3
        return Timing(median_s=seconds, p10_s=seconds, p90_s=seconds, runs=1)

    tail = tuple(timing(1) for _ in head_ms)
    head = tuple(timing(t) for t in head_ms)
    given = {"threads": 1, "version": "1", "head": head, "tail": tail, "exits": (timing(1),)}
    return Runner(backend=name, **{**given, **fields})


def _with(measured: Profile, *runners: Runner) -> Profile:
    kept = {name: getattr(measured, name) for name in Profile.model_fields}
    return Profile(**{**kept, "runners": runners})


def test_each_cut_gets_the_fastest_runner_and_most_the_same(measured: Profile) -> None:
    fast = _runner("onnxruntime", [0, 2.0, 5.0, 8.0])
    other = _runner("torch", [0, 1.0, 4.9, 20.0])
    found = _with(measured, other, fast)
    assert found.main is fast
    assert [found.runner(cut).backend for cut in range(4)] == [
        "onnxruntime",  # there is nothing to run
        "torch",
        "onnxruntime",  # 2% is not worth another backend
        "onnxruntime",
    ]
    assert [t.median_s for t in found.head] == pytest.approx([0, 0.001, 0.005, 0.008])
    assert found.between_s(1, 3) == pytest.approx(0.006)


def test_heads_run_on_what_is_not_exact_even_where_that_is_slower(measured: Profile) -> None:
    exact = _runner("onnxruntime", [0, 2.0, 5.0, 8.0])
    slower = _runner("torch", [0, 1.0, 6.0, 9.0])
    int8 = _runner("onnxruntime_int8", [0, 3.0, 4.0, 9.0], exact=False)
    found = _with(measured, slower, int8, exact)
    assert {found.runner(cut).backend for cut in range(4)} == {"onnxruntime_int8"}
    assert [t.median_s for t in found.head] == pytest.approx([0, 0.003, 0.004, 0.009])
    assert (found.exits, found.tail) == (int8.exits, exact.tail)
    alone = found.only("onnxruntime_int8", None)
    assert (alone.main, alone.tail) == (int8, int8.tail)  # all that a device which fetched it has


def test_a_quantised_bundle_is_measured_on_what_runs_its_heads_and_its_tails(
    tiny_int8: Bundle,
) -> None:
    lines: list[str] = []
    runners = runners_here(tiny_int8, threads=[1])
    assert {name for name, _ in runners} >= {"onnxruntime", "onnxruntime_int8"}
    found = measure_profile(tiny_int8, runners, rounds=3, report=lines.append)
    assert "measuring onnxruntime_int8 on 1 thread(s)" in lines
    assert found.main.backend == "onnxruntime_int8"
    assert found.tail_runner.exact
    found.check_heads(tiny_int8)
    assert "; heads on onnxruntime_int8, tails on " in str(profile_table(tiny_int8, found).title)
    assert measure_profile(tiny_int8, rounds=1).main.backend == "onnxruntime_int8"


def test_what_is_exact_is_left_out_only_for_another_exact_answer(tiny_int8: Bundle) -> None:
    lines: list[str] = []
    named = [("onnxruntime_int8", 1), ("onnxruntime", 1)]
    found = measure_profile(tiny_int8, named, rounds=1, report=lines.append)
    assert [runner.backend for runner in found.runners] == ["onnxruntime_int8", "onnxruntime"]


def test_a_profile_without_the_heads_of_a_quantised_bundle_is_refused(
    tiny: Bundle, tiny_int8: Bundle
) -> None:
    exact = measure_profile(tiny_int8, [("onnxruntime", 1)], rounds=1)
    with pytest.raises(PlanError) as caught:
        exact.check_heads(tiny_int8)
    assert str(caught.value) == (
        f"bundle {tiny_int8.digest[:12]} is calibrated with heads on onnxruntime_int8; leave out "
        "other backends (the profile's heads are on onnxruntime), or measure it with: "
        "offramp profile"
    )
    measure_profile(tiny, rounds=1).check_heads(tiny)


def test_only_what_was_measured_can_be_asked_for(measured: Profile) -> None:
    runners = [_runner(name, [0, 1], threads=n) for name in ("a", "b") for n in (1, 2)]
    found = _with(measured, *runners)
    assert [r.threads for r in found.only("a", None).runners] == [1, 2]
    assert [r.backend for r in found.only(None, 2).runners] == ["a", "b"]
    with pytest.raises(
        PlanError, match=r"no times of a on 3 thread\(s\), only of a on 1, a on 2, b on"
    ):
        found.only("a", 3)


def test_a_profile_made_elsewhere_says_what_differs(measured: Profile) -> None:
    here = this_machine()
    assert list(differences(measured, here)) == []
    name = measured.main.backend
    version = backends.get(name).version()
    old = _runner(name, [0, 1], version="0.1")
    there = here.model_copy(update={"processor": "Cortex-A72", "cores": 99})
    elsewhere = _with(measured, old, _runner("unheard", [0, 1])).model_copy(
        update={"machine": there}
    )
    assert list(differences(elsewhere, here)) == [
        f"processor Cortex-A72, here {here.processor}",
        f"cores 99, here {here.cores}",
        f"{name} 0.1, here {version}",
        "unheard 1, here not installed",
    ]


def test_what_was_measured_here_is_remembered(
    tiny: Bundle, measured: Profile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OFFRAMP_CACHE", str(tmp_path))
    remember(measured)
    assert recall(tiny, None, None) == measured
    assert recall(tiny, measured.main.backend, 1) == measured
    assert recall(tiny, "unheard", None) is None
    elsewhere = measured.machine.model_copy(update={"processor": "another"})
    remember(measured.model_copy(update={"machine": elsewhere}))
    assert recall(tiny, None, None) is None
    other = Bundle(tiny.manifest, "f" * 64, tiny.folder)
    assert recall(other, None, None) is None


def test_what_is_measured_later_is_added_to_what_is_remembered(
    tiny: Bundle, measured: Profile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OFFRAMP_CACHE", str(tmp_path))

    def runner(name: str, last_ms: float, **fields: Any) -> Runner:
        given = {"version": backends.get(name).version(), **fields}
        return _runner(name, [0, 1, 2, last_ms], **given)

    def remembered() -> list[tuple[str, int, float]]:
        found = recall(tiny, None, None)
        return [(r.backend, r.threads, r.head[-1].median_s) for r in found.runners] if found else []

    onnx, torch = runner("onnxruntime", 3), runner("torch", 4)
    remember(measured.having([onnx, torch, runner("torch", 5, threads=2)]))
    remember(measured.having([runner("torch", 6, threads=2)]))
    assert remembered() == [("torch", 2, 0.006), ("onnxruntime", 1, 0.003), ("torch", 1, 0.004)]
    remember(measured.having([runner("onnxruntime", 7, version="0.1")]))
    assert remembered() == [("torch", 2, 0.006), ("torch", 1, 0.004)]
    remember(measured.having([runner("torch", 8)]))
    assert remembered() == [("torch", 1, 0.008), ("torch", 2, 0.006)]
    fetched = tmp_path / "fetched"
    shutil.copytree(tiny.folder, fetched, ignore=shutil.ignore_patterns("program.json"))
    assert recall(Bundle(tiny.manifest, tiny.digest, fetched), None, None) is None
    machine = measured.machine.model_copy(update={"processor": "another"})
    remember(measured.having([onnx]).model_copy(update={"machine": machine}))
    assert remembered() == []
    remember(measured.having([onnx]))
    assert remembered() == [("onnxruntime", 1, 0.003)]


class _Wrong(backends.Backend):
    """Runs ONNX and adds to its answers, or fails."""

    package = "onnxruntime"
    file = "model.onnx"

    def __init__(self, name: str, off: float | None) -> None:
        self.name = name  # type: ignore[misc]
        self.off = off

    def load(self, chain: Any, threads: int) -> Any:
        run = backends.get("onnxruntime").load(chain, threads)

        def wrong(inputs: Any) -> Any:
            if self.off is None:
                raise RuntimeError("no kernel for this\nat all")
            return [output + np.asarray(self.off, output.dtype) for output in run(inputs)]

        return wrong


def test_a_backend_that_fails_or_disagrees_is_left_out(
    tiny: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, off in (("off", 0.1), ("broken", None), ("rounded", 1e-6)):
        monkeypatch.setitem(backends.BACKENDS, name, _Wrong(name, off))
    lines: list[str] = []
    names = ("onnxruntime", "off", "broken", "rounded", "unheard")
    found = measure_profile(tiny, [(n, 1) for n in names], rounds=3, report=lines.append)
    assert [r.backend for r in found.runners] == ["onnxruntime", "rounded"]
    said = [line for line in lines if line.startswith("leaving out")]
    assert "leaving out off: its answers differ by 0." in said[0]
    assert said[1].startswith("leaving out broken: broken cannot run segments 0 to 0 on this")
    assert said[1].endswith("(no kernel for this at all)")
    assert said[2].startswith("leaving out unheard: unknown backend 'unheard'")
    with pytest.raises(PlanError, match="no backend could be measured"):
        measure_profile(tiny, [("broken", 1)])


def test_a_backend_that_is_measured_alone_does_not_agree_with_itself(
    tiny: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(backends.BACKENDS, "off", _Wrong("off", 0.1))
    lines: list[str] = []
    with pytest.raises(PlanError, match="no backend could be measured"):
        measure_profile(tiny, [("off", 1)], report=lines.append)
    assert "leaving out off: its answers differ by 0." in lines[0]


BOOL, BYTE = np.array([[True, False]]), np.array([[0, 200]], np.uint8)
ANSWERS: dict[str, tuple[list[Any], list[Any], str | None]] = {
    "bool": ([BOOL], [BOOL], None),
    "another bool": ([BOOL], [~BOOL], "by 1 of"),
    "bytes": ([BYTE], [BYTE + BYTE.dtype.type(1)], "by 0.005 of"),
    "the second output": ([BYTE, BOOL], [BYTE, ~BOOL], "by 1 of"),
    "no number": ([BYTE / 2], [BYTE / np.nan], "by inf of"),
    "no number in both": ([BYTE / np.nan], [BYTE / np.nan], None),
    "another shape": ([BYTE], [BYTE[0]], "by inf of"),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_answers_of_every_dtype_and_all_outputs_are_compared(
    name: str, tiny: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    right, found, said = ANSWERS[name]
    monkeypatch.setattr(
        "partitioner.agreeing._answers",
        lambda network, inputs: found if network.backend == "torch" else right,
    )
    lines: list[str] = []
    kept = [r for r, _ in agreeing(tiny, [("onnxruntime", 1), ("torch", 1)], lines.append)]
    assert kept == [("onnxruntime", 1), ("torch", 1)][: 1 if said else 2]
    assert [said in line for line in lines] == ([True] if said else [])


@pytest.mark.parametrize("options", [[], ["--backend", "torch"]])
def test_a_bundle_without_samples_is_one_sentence(
    options: list[str], tiny: Bundle, tmp_path: Path
) -> None:
    fields = {name: getattr(tiny.manifest, name) for name in Manifest.model_fields}
    files = {name: tiny.path(name).read_bytes() for name in fields.pop("files")}
    files["examples.safetensors"] = save_arrays({"image": np.zeros((0, 8, 8, 3), np.uint8)})
    write_bundle(tmp_path / "empty.offramp", fields, files)
    result = _run(profile_command, tmp_path / "empty.offramp", *options)
    assert isinstance(result.exception, BundleError)
    assert "one at least" in str(result.exception)


class _Clock:
    """Stands for the clocks of `partitioner.rounds`: each call takes what ``next_s`` says.

    For ``waited_s`` of them the thread has no processor, while the process's ``others`` use one
    each.
    """

    def __init__(
        self, next_s: Callable[[], float], waited_s: Sequence[float] = (), others: int = 0
    ) -> None:
        self.next_s, self.waits, self.others = next_s, iter(waited_s), others
        self.now_s = self.used_s = 0.0

    def perf_counter(self) -> float:
        return self.now_s

    def thread_time(self) -> float:
        return self.used_s

    def process_time(self) -> float:
        return self.used_s + self.others * self.now_s

    def call(self) -> None:
        took_s = self.next_s()
        self.now_s += took_s
        self.used_s += took_s - next(self.waits, 0.0)


@pytest.mark.parametrize(
    ("took", "waited", "expected", "calls"),
    [
        ([0.01], [0], 0.01, 1),
        ([0.01, 0.02], [0.0004], 0.01, 1),
        ([0.03, 0.01, 0.02], [0.02, 0], 0.01, 2),
        ([0.03, 0.02, 0.04, 0.01], [0.02, 0.01, 0.03, 0], 0.02, 3),
    ],
)
@pytest.mark.parametrize("others", [0, 1])  # threads of the process that are busy all the time
def test_a_call_that_other_work_disturbs_is_made_again(
    took: list[float],
    waited: list[float],
    expected: float,
    calls: int,
    others: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    times = iter(took)
    clock = _Clock(lambda: next(times), waited, others)
    monkeypatch.setattr("partitioner.rounds.time", clock)
    assert time_call(clock.call) == pytest.approx(expected)
    assert len(list(times)) == len(took) - calls


@pytest.mark.parametrize(("others", "calls"), [(0, 2), (1, 1)])
def test_on_two_threads_a_call_is_disturbed_if_both_had_less_than_one_core(
    others: int, calls: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = iter([0.03, 0.01])
    clock = _Clock(lambda: next(times), [0.02, 0], others)
    monkeypatch.setattr("partitioner.rounds.time", clock)
    assert time_call(clock.call, 2) == pytest.approx(0.01 if calls == 2 else 0.03)
    assert len(list(times)) == 2 - calls


def test_two_slow_passes_of_five_do_not_count(
    tiny: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    factors = iter([1, 4, 1, 1, 4])
    clock = _Clock(lambda: 0.01 * factor)
    factor = 1

    def begin_pass(network: Network) -> Any:
        nonlocal factor
        factor = next(factors)
        return boundary_values(network)

    monkeypatch.setattr("partitioner.measure.boundary_values", begin_pass)
    _count_time(clock, monkeypatch)
    said: list[str] = []
    found = measure_profile(tiny, rounds=5, report=said.append)
    timings = [*found.head[1:], *found.tail[:-1], *found.exits, *found.encode.values()]
    assert [t.p90_s for t in timings] == pytest.approx([0.01] * len(timings))
    assert {t.runs for t in timings} == {3}
    assert said == ["measuring onnxruntime on 1 thread(s)"]


def _count_time(clock: _Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the clock tell how long what is measured takes."""

    def timed(call: Callable[[], object], threads: int) -> float:
        return time_call(lambda: (call(), clock.call()), threads)

    monkeypatch.setattr("partitioner.rounds.time", clock)
    monkeypatch.setattr("partitioner.rounds.time_call", timed)


@pytest.mark.parametrize(("factor", "lines"), [(1.0, 1), (3.0, 3)])
def test_noisy_times_are_measured_once_more_and_reported(
    factor: float, lines: int, tiny: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of the calls take ``factor`` times what the others do."""
    dice = np.random.default_rng(0)
    _count_time(_Clock(lambda: 0.01 * dice.choice([1.0, factor])), monkeypatch)
    said: list[str] = []
    measure_profile(tiny, rounds=30, report=said.append)
    assert len([line for line in said if not line.startswith("measuring onnx")]) == lines - 1
    if factor > 1:
        assert said[1] == "the machine is busy; measuring once more"
        assert "times vary by a factor of 3.0: end other work" in said[-1]


@pytest.mark.parametrize("asked", [1, 5, 40])
def test_measuring_stops_within_a_round(asked: int, tiny: Bundle) -> None:
    answers = itertools.chain([False] * (asked - 1), [True])
    with pytest.raises(MeasuringStopped):
        measure_profile(tiny, rounds=15, stopped=lambda: next(answers))
    assert list(answers) == []


def _set(*path: Any, to: Any) -> Callable[[dict[str, Any]], None]:
    def change(plain: dict[str, Any]) -> None:
        at: Any = plain
        for step in path[:-1]:
            at = at[step]
        at[path[-1]] = to

    return change


HOSTILE: dict[str, tuple[str, Callable[[dict[str, Any]], Any]]] = {
    "negative": (
        r"runners\.0\.head\.1\.median_s",
        _set("runners", 0, "head", 1, "median_s", to=-1.0),
    ),
    "not a number": (r"exits\.0\.p10_s", _set("runners", 0, "exits", 0, "p10_s", to=math.nan)),
    "infinite": (r"encode\.0/raw\.p90_s", _set("encode", "0/raw", "p90_s", to=math.inf)),
    "infinite slowdown": ("slowdown", _set("slowdown", to=math.inf)),
    "no threads": ("threads", _set("runners", 0, "threads", to=0)),
    "newer": ("format", _set("format", to=2)),
    "digest": ("digest", _set("digest", to="beef")),
    "missing": ("tail", lambda plain: plain["runners"][0].pop("tail")),
    "unknown": ("unknown key 'speed'", _set("speed", to=1)),
    "unknown inside": ("unknown key 'machine.speed'", _set("machine", "speed", to=1)),
    "no runner": ("runners", _set("runners", to=[])),
    "words": ("head", _set("runners", 0, "head", to="fast")),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_profiles_are_refused_with_the_keys_name(
    name: str, measured_here: Profile, tmp_path: Path
) -> None:
    said, change = HOSTILE[name]
    plain = json.loads(measured_here.model_dump_json())
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


def test_profile_then_plan_from_the_command_line(
    tiny_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for engine in [b.name for b in backends.installed() if not b.ready_at_once]:
        monkeypatch.delitem(backends.BACKENDS, engine)  # what compiles takes long
    out = tmp_path / "here.json"
    result = _run(profile_command, tiny_file, "--rounds", 2, "-o", out)
    assert result.exit_code == 0, result.output
    assert "head ms" in result.output
    assert "exit ms" in result.output
    assert "onnxruntime/1" in result.output
    kept = load_profile(out)
    assert f"{kept.exits[0].median_s * 1e3:.2f}" in result.output
    assert {r.backend for r in kept.runners} == {"onnxruntime", "torch"}
    assert {r.threads for r in kept.runners} == {1, this_machine().cores}
    assert recall(open_bundle(tiny_file), None, None) == kept
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
        (("--slowdown", "1e6", "--device-load", "1e6", "--deadline-ms", "1"), PlanError),
        (("--strategy", "unheard"), ConfigError),
        (("--server-profile", "absent.json"), ConfigError),
    ],
)
def test_options_that_cannot_be_are_refused(
    options: tuple[object, ...],
    kind: type[OfframpError],
    tiny: Bundle,
    measured_here: Profile,
    tmp_path: Path,
) -> None:
    out = tmp_path / "profile.json"
    out.write_text(measured_here.model_dump_json())
    given = ("--bandwidth-mbps", 5, "--rtt-ms", 20, *options)
    result = _run(plan_command, tiny.folder, "--device-profile", out, *given)
    assert isinstance(result.exception, kind)
    assert "\n" not in str(result.exception)


@pytest.mark.parametrize(
    "option",
    [
        ("--bandwidth-mbps", "0"),
        ("--rtt-ms", "-1"),
        ("--queue-ms", "-1"),
        ("--slowdown", "0"),
        ("--deadline-ms", "0"),
        ("--max-accuracy-drop", "2"),
    ],
)
def test_options_out_of_range_are_named_as_they_were_written(option: tuple[str, str]) -> None:
    given = ("--bandwidth-mbps", 5, "--rtt-ms", 20, "--device-profile", "p.json", *option)
    result = _run(plan_command, "absent", *given)
    assert result.exit_code == 2
    assert f"Invalid value for '{option[0]}'" in result.output


def test_a_profile_that_cannot_be_written_is_one_sentence(tiny: Bundle, tmp_path: Path) -> None:
    result = _run(profile_command, tiny.folder, "--rounds", 1, "-o", tmp_path / "no" / "p.json")
    assert isinstance(result.exception, ConfigError)
    assert "cannot be written" in str(result.exception)
    assert "measuring" not in result.output
    result = _run(profile_command, tiny.folder, "--backend", "unheard", "-o", tmp_path / "p.json")
    assert isinstance(result.exception, ConfigError)
