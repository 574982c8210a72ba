"""`offramp simulate`: what it writes, what it keeps, and what it says of bad scenarios."""

import csv
import json
import os
import resource
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest
from click.testing import CliRunner

from offramp.errors import BundleError, ConfigError, OfframpError, PlanError
from sim.simulate_command import simulate
from sim.world import processes

SCENARIO = """
name: small
seed: 5
requests: 20
servers: [{name: edge, profiles: [profile.json]}]
groups:
  - name: cameras
    count: 2
    profile: profile.json
    link: {trace: rate.csv, delay_s: 0.01, offset_s: 0.7}
    arrivals: {kind: poisson, rate_hz: 5}
    agent: {slowdown: 20}
"""

MAIN = """
from offramp import cli, commands
from sim.simulate_command import simulate

commands._offramp.add_command(simulate)
cli.main()
"""


@pytest.fixture
def folder(tmp_path, embedded_file, repository):
    """A folder with a scenario of the embedded bundle, its profile and a trace."""
    profile = repository / "examples/scenarios/profile.json"
    (tmp_path / "profile.json").write_bytes(profile.read_bytes())
    (tmp_path / "rate.csv").write_text("seconds,mbps\n0,5\n2,1\n3,8\n")
    (tmp_path / "small.yaml").write_text(SCENARIO)
    return tmp_path


def words(folder, *options):
    return [str(folder / "small.yaml"), "--jobs", "1", "--out", str(folder / "out"), *options]


def run(folder, *options, text=None):
    if text is not None:
        (folder / "small.yaml").write_text(text)
    result = CliRunner().invoke(simulate, words(folder, *options))
    if isinstance(result.exception, OfframpError):
        raise result.exception
    assert result.exception is None
    return result


def test_it_writes_figures_of_every_strategy_and_seed(folder):
    result = run(folder, "--strategy", "offramp", "--strategy", "device_only", "--seeds", "2")
    assert "device_only" in result.output
    assert "bytes are all that went out for it, its share of the probes too" in result.output
    written = json.loads((folder / "out/results.json").read_text())
    runs = [(one["strategy"], one["seed"]) for one in written["runs"]]
    assert runs == [(name, seed) for name in ("offramp", "device_only") for seed in (5, 6)]
    assert all(one["total"]["requests"] == 40 for one in written["runs"])
    assert {"histogram", "accuracy", "device_s"} <= set(written["runs"][0]["groups"]["cameras"])
    rows = list(csv.DictReader((folder / "out/results.csv").read_text().splitlines()))
    assert len(rows) == 8
    assert rows[0]["group"] == "total"
    assert float(rows[0]["mean_s"]) == written["runs"][0]["total"]["mean_s"]


def test_results_of_an_earlier_call_are_gone_once_runs_begin(folder, monkeypatch):
    names = ("results.json", "results.csv", "report.html")
    run(folder, "--strategy", "device_only")
    assert all((folder / "out" / name).exists() for name in names)
    fail_under(monkeypatch, "server_only")
    with pytest.raises(PlanError):
        run(folder, "--strategy", "server_only")
    assert not any((folder / "out" / name).exists() for name in names)
    run(folder, "--strategy", "device_only")  # from the runs that were kept
    assert all((folder / "out" / name).exists() for name in names)


def test_what_is_found_wrong_before_the_runs_leaves_results_as_they_were(folder):
    run(folder, "--strategy", "device_only")
    before = {path.name: path.read_bytes() for path in (folder / "out").glob("*.*")}
    (folder / "rate.csv").write_text("0,0\n1,0\n")
    with pytest.raises(ConfigError, match="is all zero"):
        run(folder, "--strategy", "device_only")
    assert {path.name: path.read_bytes() for path in (folder / "out").glob("*.*")} == before


MORE = """  - {name: more, profile: PROFILE, link: LINK, arrivals: ARRIVALS, bundle: BUNDLE}
"""


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"link": "{trace: zeros.csv}"}, ConfigError, "zeros.csv is all zero"),
        ({"link": "{file: late.yaml}"}, ConfigError, "late.yaml: an outage does not fit"),
        ({"link": "{described: {up: [{kind: rate, trace: zeros.csv}]}}"}, ConfigError, "zeros.csv"),
        ({"arrivals": "{kind: recorded, file: late.yaml}"}, ConfigError, "late.yaml, line 2"),
        ({"bundle": "zeros.csv"}, BundleError, "zeros.csv: not a whole bundle"),
        ({"profile": "other.json"}, PlanError, "other.json: the profile is of bundle 2"),
    ],
)
def test_whatever_a_scenario_names_is_looked_at_before_the_first_run(
    folder, changes, error, said, monkeypatch
):
    (folder / "zeros.csv").write_text("0,0\n1,0\n")
    late = (
        "phases: [{name: a, seconds: 3, up: [{kind: outage, windows_s: [[0, 5]]}]}]\nrepeat: true"
    )
    (folder / "late.yaml").write_text(late)
    profile = (folder / "profile.json").read_text()
    (folder / "other.json").write_text(profile.replace('"digest":"1', '"digest":"2'))
    given = {"link": "wifi", "arrivals": "{kind: poisson, rate_hz: 5}", "bundle": "null"}
    given |= {"profile": "profile.json", **changes}
    text = SCENARIO + MORE
    for key, value in given.items():
        text = text.replace(key.upper(), value)
    monkeypatch.setattr(processes, "simulate", None)  # nothing runs
    with pytest.raises(error, match=said):
        run(folder, text=text)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("duration_s: 10\nwarm_up_s: 10", "warm_up_s 10 leaves nothing of duration_s 10 to count"),
        ("requests: 20\nwarm_up_s: 100", "warm_up_s 100 leaves no request to count: with seed 5"),
        ("duration_s: 1000\nrequests: 20\nwarm_up_s: 100", "with seed 5 the last one comes after"),
    ],
)
def test_a_warm_up_that_leaves_nothing_to_count_is_refused_before_the_runs(
    folder, settings, said, monkeypatch
):
    monkeypatch.setattr(processes, "simulate", None)
    with pytest.raises(ConfigError, match=said):
        run(folder, text=SCENARIO.replace("requests: 20", settings))


def test_a_run_that_counts_nothing_has_failed(folder):
    alone = SCENARIO.replace("    arrivals: {kind: poisson, rate_hz: 5}\n", "")
    with pytest.raises(ConfigError, match="no request came after the 100 s of warm_up_s with seed"):
        run(folder, text=alone.replace("requests: 20", "requests: 20\nwarm_up_s: 100"))
    rare = SCENARIO.replace("rate_hz: 5", "rate_hz: 0.0001")
    with pytest.raises(ConfigError, match="no request came with seed 5"):
        run(folder, text=rare.replace("requests: 20", "duration_s: 5"))
    assert not list((folder / "out/cells").glob("*.json"))


def test_a_warm_up_that_the_last_requests_outlast_is_none_to_refuse(folder):
    run(folder, text=SCENARIO.replace("requests: 20", "requests: 20\nwarm_up_s: 2"))
    (figures,) = json.loads((folder / "out/results.json").read_text())["runs"]
    assert 0 < figures["total"]["requests"] < 40


def test_runs_that_take_long_are_named_before_they_begin(folder):
    options = ("--strategy", "oracle", "--strategy", "device_only", "--seeds", "2")
    said = run(folder, *options).stderr
    assert said.startswith("oracle looks ahead")
    assert said.count("looks ahead") == 1
    assert "oracle" not in run(folder, *options).stderr


@contextmanager
def no_file_above(most_bytes):
    """Lets no file grow above so many bytes, as a disk does that is full.

    Not for longer than needed: what tests say of themselves may go to a file, too.
    """
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("options", [(), ("--rows",)])
def test_figures_that_cannot_be_written_are_named_and_nothing_is_cut_off(
    folder,
    embedded,  # its cache is written before nothing can be
    options,
):
    said = r"cells/device_only-5-.*: cannot be written \(File too"
    with no_file_above(500), pytest.raises(ConfigError, match=said):
        run(folder, "--strategy", "device_only", *options)
    assert not [path for path in (folder / "out").rglob("*") if path.is_file()]


def test_results_that_cannot_be_written_are_named_and_nothing_is_cut_off(folder):
    run(folder, "--strategy", "device_only")
    names = ("results.json", "results.csv", "report.html")
    sizes = {name: (folder / "out" / name).stat().st_size for name in names}
    assert sizes["results.csv"] < sizes["results.json"] < sizes["report.html"]
    said = r"out/report.html: cannot be written \(File too large\)"
    with no_file_above(sizes["results.json"]), pytest.raises(ConfigError, match=said):
        run(folder, "--strategy", "device_only")
    assert {path.name for path in (folder / "out").glob("*.*")} == {"results.json", "results.csv"}
    said = r"out/results.json: cannot be written"
    with no_file_above(sizes["results.csv"]), pytest.raises(ConfigError, match=said):
        run(folder, "--strategy", "device_only")
    assert not list((folder / "out").glob("*.*"))


def test_what_is_finished_is_not_run_again_and_what_changed_is(folder):
    run(folder, "--seeds", "3,")
    (cell,) = (folder / "out/cells").iterdir()
    before = cell.read_bytes()
    cell.write_bytes(before.replace(b'"requests": 40', b'"requests": 41'))
    run(folder, "--seeds", "3,4")
    written = json.loads((folder / "out/results.json").read_text())
    assert [one["total"]["requests"] for one in written["runs"]] == [41, 40]
    cell.write_bytes(before[:-100])  # as a run that was broken off might leave it
    run(folder, "--seeds", "3,")
    assert cell.read_bytes() == before
    (folder / "rate.csv").write_text("seconds,mbps\n0,5\n2,2\n3,8\n")
    run(folder, "--seeds", "3,")
    assert len(list((folder / "out/cells").glob("offramp-3-*"))) == 2


LINK_FILE = "{file: link.yaml}"


def give_links(folder):
    """Write files that name others: a link's trace, and recorded arrivals."""
    (folder / "link.yaml").write_text("up: [{kind: rate, trace: rate.csv}]\n")
    (folder / "stamps.csv").write_text("0\n1\n3\n")
    more = "  - {name: more, profile: profile.json, link: LINK, arrivals: ARRIVALS}\n"
    more = more.replace("LINK", LINK_FILE).replace("ARRIVALS", "{kind: recorded, file: stamps.csv}")
    (folder / "small.yaml").write_text(SCENARIO + more)


def test_however_a_path_is_spelled_the_results_have_the_same_bytes(folder, monkeypatch):
    give_links(folder)
    run(folder, "--strategy", "device_only")
    before = (folder / "out/results.json").read_bytes()
    text = (folder / "small.yaml").read_text()
    for name in ("profile.json", "rate.csv", "stamps.csv", "link.yaml"):
        text = text.replace(name, str(folder / name))
    run(folder, "--strategy", "device_only", text=text)
    assert (folder / "out/results.json").read_bytes() == before
    monkeypatch.chdir(folder)
    result = CliRunner().invoke(simulate, ["small.yaml", "--strategy", "device_only"])
    assert result.exit_code == 0
    assert (folder / "runs/simulate-small/results.json").read_bytes() == before


CHANGES = {
    "rate.csv": ("0,5", "0,6"),
    "link.yaml": ("rate.csv}", "rate.csv}, {kind: delay, seconds: 0.001}"),
    "stamps.csv": ("1", "2"),
    "profile.json": ('"processor":"', '"processor":"x'),
    "small.yaml": ("requests: 20", "requests: 21"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_whatever_a_scenario_names_is_part_of_its_digest(folder, name):
    give_links(folder)
    run(folder, "--strategy", "device_only")
    text = (folder / name).read_text()
    before, after = CHANGES[name]
    assert before in text
    (folder / name).write_text(text.replace(before, after))
    processes.own_library.cache_clear()  # as a new process has it
    run(folder, "--strategy", "device_only")
    assert len(list((folder / "out/cells").iterdir())) == 2


@pytest.mark.parametrize("name", CHANGES)
def test_a_file_that_changes_while_runs_are_under_way_is_named(folder, name, monkeypatch):
    give_links(folder)
    before, after = CHANGES[name]
    made = processes.simulate

    def make(scenario, strategy, seed, *rest):
        if seed == 5:
            text = (folder / name).read_text()
            (folder / name).write_text(text.replace(before, after))
            processes.own_library.cache_clear()
        return made(scenario, strategy, seed, *rest)

    monkeypatch.setattr(processes, "simulate", make)
    options = ("--strategy", "device_only", "--seeds", "2")
    result = CliRunner().invoke(simulate, words(folder, *options))
    assert result.exit_code == ConfigError.exit_code
    assert "device_only failed with seed 6" in result.stderr
    assert f"{name} has changed since the runs began" in result.stderr
    assert len(list((folder / "out/cells").iterdir())) == 1


def test_with_rows_every_request_is_written_and_they_are_what_the_figures_sum_up(folder):
    run(folder)
    run(folder, "--rows")
    (figures,) = json.loads((folder / "out/results.json").read_text())["runs"]
    (path,) = (folder / "out/cells").glob("*.csv")
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert len(rows) == figures["total"]["requests"] == 40
    latencies_s = [float(row["latency_s"]) for row in rows if row["by"]]
    assert sum(latencies_s) / len(rows) == pytest.approx(figures["total"]["mean_s"], abs=1e-6)
    assert sum(row["right"] == "1" for row in rows) == 40 * figures["total"]["accuracy"]
    assert {row["device"] for row in rows} == {"cameras/0", "cameras/1"}


def test_it_runs_in_several_processes_with_the_same_figures(folder):
    options = ("--strategy", "device_only", "--seeds", "2")
    run(folder, *options)
    alone = (folder / "out/results.json").read_bytes()
    for cell in (folder / "out/cells").iterdir():
        cell.unlink()
    run(folder, *options, "--jobs", "2")
    assert (folder / "out/results.json").read_bytes() == alone


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("requests: 20", "", "needs requests or duration_s"),
        ("requests: 20", "request: 20", "did you mean 'requests'"),
        ("kind: poisson", "kind: fish", "unknown kind 'fish'"),
        ("trace: rate.csv", "trace: absent.csv", "absent.csv"),
        ("slowdown: 20", "slowdown: 20, strategy: offramp", "--strategy says it"),
        ("slowdown: 20", "slowdown: 20, adaptive_thresholds: true", "cannot be simulated"),
        ("count: 2", "count: 2\n    server: cloud", "there are edge"),
        ("{trace: rate.csv,", "{preset: lte, trace: rate.csv,", "exactly one of preset"),
        ("{trace: rate.csv, delay_s: 0.01, offset_s: 0.7}", "ltee", "did you mean 'lte'"),
        ("seed: 5", "seed: -1", "seed"),
        ("name: edge", "name: edge}, {name: edge", "2 servers are named 'edge'"),
    ],
)
def test_a_wrong_scenario_is_refused_in_one_sentence(folder, before, after, said):
    assert before in SCENARIO
    with pytest.raises(ConfigError, match=said):
        run(folder, text=SCENARIO.replace(before, after))


def test_a_profile_of_another_bundle_is_refused(folder):
    content = (folder / "profile.json").read_text()
    (folder / "profile.json").write_text(content.replace('"digest":"1', '"digest":"2'))
    with pytest.raises(PlanError, match="the profile is of bundle 2"):
        run(folder)


def test_an_unknown_strategy_and_seeds_that_are_none_are_refused(folder):
    with pytest.raises(ConfigError, match="did you mean 'offramp'"):
        run(folder, "--strategy", "oframp")
    with pytest.raises(ConfigError, match="neither a number of seeds nor seeds"):
        run(folder, "--seeds", "some")
    with pytest.raises(ConfigError, match="no number of seeds"):
        run(folder, "--seeds", "0")
    for seeds in ("1,1", "2,1,02"):
        with pytest.raises(ConfigError, match=r"--seeds names [12] twice; name each once"):
            run(folder, "--seeds", seeds)
    twice = ("--strategy", "offramp", "--strategy", "dads", "--strategy", "offramp")
    with pytest.raises(ConfigError, match="--strategy names offramp twice"):
        run(folder, *twice)


def fail_under(monkeypatch, *names):
    """Let runs fail under some strategies, as one that has nothing to offer here would."""
    made = processes.simulate

    def make(scenario, strategy, *rest):
        if strategy in names:
            raise PlanError(f"{strategy} has no plan for this objective")
        return made(scenario, strategy, *rest)

    monkeypatch.setattr(processes, "simulate", make)


def test_a_strategy_that_fails_leaves_the_others_their_figures(folder, monkeypatch):
    options = ("--strategy", "device_exits", "--strategy", "device_only", "--seeds", "2")
    with monkeypatch.context() as patch:
        fail_under(patch, "device_exits")
        result = CliRunner().invoke(simulate, words(folder, *options))
    assert result.exit_code == PlanError.exit_code
    assert "device_exits failed with seed 5, 6: device_exits has no plan" in result.stderr
    assert "Traceback" not in result.output
    written = json.loads((folder / "out/results.json").read_text())["runs"]
    assert [one["strategy"] for one in written] == ["device_only"] * 2
    assert "2 of 4 runs are there already" in run(folder, *options).stderr
    written = json.loads((folder / "out/results.json").read_text())["runs"]
    assert [one["strategy"] for one in written] == ["device_exits"] * 2 + ["device_only"] * 2


def test_where_all_fail_the_first_error_is_the_commands(folder, monkeypatch):
    fail_under(monkeypatch, "device_only")
    with pytest.raises(PlanError, match="device_only has no plan for this objective"):
        run(folder, "--strategy", "device_only", "--seeds", "2")
    assert not (folder / "out/results.json").exists()


def test_ctrl_c_says_what_is_kept(folder, monkeypatch):
    made = processes.simulate

    def interrupt(scenario, strategy, seed, *rest):
        if seed == 6:
            raise KeyboardInterrupt
        return made(scenario, strategy, seed, *rest)

    monkeypatch.setattr(processes, "simulate", interrupt)
    result = CliRunner().invoke(simulate, words(folder, "--seeds", "3", "--rows"))
    assert "interrupted: 1 of 3 runs are finished and kept in" in result.stderr
    assert len(list((folder / "out/cells").iterdir())) == 2, "a run with its rows, and no remains"


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("number", "to_group"), [(signal.SIGINT, True), (signal.SIGINT, False), (signal.SIGTERM, False)]
)
def test_a_signal_ends_all_processes_without_remains(folder, number, to_group):
    text = (folder / "small.yaml").read_text().replace("requests: 20", "requests: 20000")
    (folder / "small.yaml").write_text(text)
    command = [sys.executable, "-c", MAIN, "simulate", *words(folder, "--seeds", "6", "--rows")]
    command[command.index("--jobs") + 1] = "2"
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            while not list((folder / "out").glob("cells/.*.partial")):
                assert process.poll() is None
                time.sleep(0.01)
            (os.killpg if to_group else os.kill)(process.pid, number)
            _, err = process.communicate(timeout=20)
        finally:
            process.kill()
    assert process.returncode == 128 + number
    assert err.startswith("interrupted: 0 of 6 runs are finished and kept in")
    assert "Traceback" not in err
    assert not list((folder / "out/cells").iterdir())


CALLED_BY_C = """
import ctypes, os, signal, time
from sim.world import processes

@ctypes.CFUNCTYPE(None)
def called():
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(0.001)

def simulate(*_):
    called()
    time.sleep(30)

processes.simulate = simulate
"""


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("code", "said"),
    [(MAIN, "interrupted: 0 of 1 runs"), ("processes._obey()\nprocesses.simulate()", "")],
    ids=["the command", "a process of several"],
)
def test_sigterm_is_not_lost_in_a_callback_of_c_code(folder, code, said):
    command = [sys.executable, "-c", CALLED_BY_C + code, "simulate", *words(folder)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 143
    assert ended.stderr.startswith(said)
    assert len(ended.stderr.splitlines()) == bool(said)


def test_the_report_is_written_again_from_finished_runs_with_the_same_bytes(folder, monkeypatch):
    result = run(folder, "--strategy", "device_only")
    report = folder / "out/report.html"
    assert f"report: {report}" in result.output
    before = report.read_bytes()
    assert b"small" in before
    assert str(folder).encode() not in before, "a path of this machine"
    report.unlink()
    monkeypatch.setattr(processes, "simulate", None)
    run(folder, "--strategy", "device_only")
    assert report.read_bytes() == before


def test_without_the_packages_for_a_report_there_are_figures(folder, monkeypatch):
    monkeypatch.setattr("offramp.extras.find_spec", lambda name: name != "jinja2" or None)
    result = run(folder, "--strategy", "device_only")
    assert "no report: jinja2 cannot be imported; install with: pip install" in result.stderr
    assert (folder / "out/results.json").exists()
    assert not (folder / "out/report.html").exists()


def test_the_table_is_whole_where_nobody_watches(folder):
    result = run(folder, "--strategy", "server_only_raw", "--strategy", "device_only")
    assert "…" not in result.output
    assert all(len(line.split()) == 10 for line in result.output.splitlines() if "%" in line)


def test_devices_whose_memory_is_limited_do_not_compute_on_and_are_said_not_to(folder):
    even = SCENARIO.replace("poisson, rate_hz: 5", "periodic, rate_hz: 2").replace(": 20}", ": 90}")
    limited = even.replace(": 90}", ": 90, objective: {limits: {memory_bytes: 1.0e+9}}}")
    result = run(folder, "--strategy", "offramp", text=limited)
    assert result.stderr.startswith("cameras: memory counts what runs before the cut alone")
    (figures,) = json.loads((folder / "out/results.json").read_text())["runs"]
    assert figures["total"]["hedge_s"] == 0
    free = run(folder, "--strategy", "offramp", text=even)
    assert "memory" not in free.stderr
    (figures,) = json.loads((folder / "out/results.json").read_text())["runs"]
    assert figures["total"]["hedge_s"] > 0
