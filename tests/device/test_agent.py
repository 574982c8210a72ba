"""The agent with real processes: every sample is answered, whatever becomes of the server."""

import collections
import functools
import io
import itertools
import json
import queue
import signal
import socket
import subprocess
import sys
import threading

import numpy as np
import pytest

import device.channel
from device.choice_of_server import ChoiceOfServer
from device.remote import Remote
from device.security import SecuritySettings
from offramp.address import Address
from offramp.bundle import Manifest, open_bundle, write_bundle
from offramp.embedded.cluttered_digits import load
from offramp.network import Network

pytestmark = pytest.mark.e2e

CALM_PACE = ("--rate", 10, "--deadline-ms", 300)
"""Half of what the device could answer alone: a queue that a pause leaves behind goes away."""

COMMAND = [sys.executable, "-c", "from offramp.cli import main; main()"]


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    path = tmp_path_factory.mktemp("samples") / "test.npz"
    images, labels = load("test", 40)
    np.savez(path, inputs=images, labels=labels)
    return path


@pytest.fixture
def profile(embedded_profile):
    return embedded_profile


@pytest.fixture
def server(embedded_file, serve):
    return serve(embedded_file)


def start(bundle, samples, profile, *options):
    command = [*COMMAND, "run", str(bundle), "--source", str(samples), "--profile", str(profile)]
    return subprocess.Popen(
        [*command, "--out", "-", "--quiet", *map(str, options)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def lines_of(process, at_result=0, act=None, timeout_s=60):
    """Return the lines by their kind; call ``act`` once so many results have come."""
    found = collections.defaultdict(list)
    watchdog = threading.Timer(timeout_s, process.kill)
    watchdog.start()
    with process:
        for line in map(json.loads, process.stdout):
            found[line["kind"]].append(line)
            if line["kind"] == "result" and len(found["result"]) == at_result:
                act()
        err = process.stderr.read()
    watchdog.cancel()
    assert process.returncode == 0, err
    return found


def check_all_answered(results, count=40, grace_s=0.1):
    assert sorted(r["id"] for r in results) == list(range(count))
    unanswered = [(r["id"], r["reason"]) for r in results if r["status"] not in ("ok", "degraded")]
    assert unanswered == []
    assert max(r["latency_s"] - r["deadline_s"] for r in results) <= grace_s


def test_every_result_says_who_answered_and_where_the_time_went(
    embedded_file, samples, profile, server
):
    options = ("--server", server.address, "--rate", 10)
    lines = lines_of(start(embedded_file, samples, profile, *options))
    check_all_answered(lines["result"])
    served = [r for r in lines["result"] if r["by"] == "server"]
    assert served
    for result in served:
        spans = result["spans"]
        assert spans["network_s"] > 0
        assert spans["tail_s"] > 0
        assert result["sent_bytes"] > 0
        assert sum(spans.values()) == pytest.approx(result["latency_s"], abs=0.02)
        assert result["plan"] in {plan["id"] for plan in lines["plan"]}
    assert lines["run"][0]["slowdown"] == 8
    assert "Raspberry Pi 4" in lines["run"][0]["slowdown_source"]


@pytest.mark.parametrize("strategy", ["server_only", "fixed_split", "offramp"])
def test_a_server_killed_while_samples_stream_costs_no_answer(
    embedded_file, serve, samples, profile, strategy
):
    server = serve(embedded_file)
    options = ("--server", server.address, *CALM_PACE, "--strategy", strategy)
    lines = lines_of(start(embedded_file, samples, profile, *options), 10, server.kill)
    check_all_answered(lines["result"])
    assert [line["up"] for line in lines["link"]][-1] is False
    local = [r for r in lines["result"] if r["by"] != "server"]
    assert local
    if strategy != "offramp":
        assert all(r["reason"] for r in local if r["status"] == "degraded")


def test_a_server_that_stops_answering_without_a_word_costs_no_answer(
    embedded_file, serve, samples, profile
):
    server = serve(embedded_file)
    options = ("--server", server.address, *CALM_PACE, "--strategy", "server_only")
    freeze = functools.partial(server.process.send_signal, signal.SIGSTOP)
    lines = lines_of(start(embedded_file, samples, profile, *options), 10, freeze)
    check_all_answered(lines["result"])
    given_up = "no answer from the server in time"
    late = [r for r in lines["result"] if r.get("reason") == given_up]
    assert late
    assert all(r["status"] == "degraded" for r in late)


def test_a_device_that_computes_on_is_first_when_the_server_falls_silent(
    embedded_file, serve, samples, profile, tmp_path
):
    settings, server = tmp_path / "hedge.yaml", serve(embedded_file)
    settings.write_text("hedge: {max_cpu_share: 1.0}\nobjective: {max_accuracy_drop: 0.0}\n")
    options = ("--server", server.address, *CALM_PACE, "--settings", settings)
    freeze = functools.partial(server.process.send_signal, signal.SIGSTOP)
    lines = lines_of(start(embedded_file, samples, profile, *options), 10, freeze)
    check_all_answered(lines["result"])
    first = [r for r in lines["result"] if r["by"] == "device" and r.get("hedge_s")]
    assert first
    assert all(r["status"] == "ok" for r in first)
    assert all(r["sent_bytes"] > 0 and r["latency_s"] < 0.2 for r in first)
    whole = Network(open_bundle(embedded_file))
    images, _ = load("test", 40)
    for result in first:
        (logits,) = whole.run(0, whole.depth, [images[result["id"]][None]])
        assert result["answer"] == int(logits[0].argmax())


def test_the_stream_resumes_when_the_server_returns(embedded_file, serve, samples, profile):
    def replace():
        server.kill()
        serve(embedded_file, int(server.address.rpartition(":")[2]))

    server = serve(embedded_file)
    options = ("--server", server.address, "--rate", 5, "--deadline-ms", 300)
    process = start(embedded_file, samples, profile, *options, "--strategy", "server_only")
    lines = lines_of(process, 5, replace)
    check_all_answered(lines["result"])
    assert [line["up"] for line in lines["link"]] == [True, False, True]
    assert max(lines["result"], key=lambda r: r["id"])["by"] == "server"


def test_without_a_server_the_device_answers_alone_and_says_so(embedded_file, samples, profile):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
        lines = lines_of(start(embedded_file, samples, profile, "--server", address))
    check_all_answered(lines["result"])
    assert "is the server running?" in lines["link"][0]["reason"]
    assert all(r["by"] != "server" for r in lines["result"])


def test_a_server_with_another_model_is_told_apart_and_costs_no_answer(
    embedded_file, serve, samples, profile, tmp_path
):
    bundle = open_bundle(embedded_file)
    fields = {name: getattr(bundle.manifest, name) for name in Manifest.model_fields}
    fields.pop("files")
    files = {name: bundle.path(name).read_bytes() for name in bundle.manifest.files}
    write_bundle(tmp_path / "other.offramp", {**fields, "name": "other"}, files)
    server = serve(tmp_path / "other.offramp")
    options = ("--server", server.address, "--rate", 8, "--strategy", "fixed_split")
    lines = lines_of(start(embedded_file, samples, profile, *options))
    check_all_answered(lines["result"])
    refused = [r for r in lines["result"] if r["status"] == "degraded"]
    assert any(r["reason"].startswith("NOT_FOUND") for r in refused)


def test_a_server_killed_with_the_window_full_costs_no_answer(
    embedded_file, serve, samples, profile, tmp_path
):
    """The server falls silent, four samples wait for it, then its connection breaks."""

    def freeze():
        server.process.send_signal(signal.SIGSTOP)
        killer.start()

    (tmp_path / "long.yaml").write_text("deadline_s: 2.0\nmax_in_flight: 4\n")
    server = serve(embedded_file)
    killer = threading.Timer(1.0, server.kill)
    options = ("--server", server.address, "--rate", 6, "--settings", tmp_path / "long.yaml")
    process = start(embedded_file, samples, profile, *options, "--strategy", "server_only")
    results = lines_of(process, 1, freeze)["result"]
    check_all_answered(results)
    broken = [r for r in results if r.get("reason", "").startswith(server.address)]
    assert len(broken) == 4
    assert all(r["status"] == "degraded" for r in broken)


def test_a_signal_ends_an_agent_whose_standard_input_is_silent(embedded_file, samples, profile):
    with np.load(samples) as loaded:
        images = loaded["inputs"][:3]
    command = [*COMMAND, "run", str(embedded_file), "--source", "-", "--profile", str(profile)]
    process = subprocess.Popen(
        [*command, "--out", "-", "--quiet"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    for image in images:
        array = io.BytesIO()
        np.save(array, image)
        process.stdin.write(array.getvalue())
    process.stdin.flush()
    lines = map(json.loads, process.stdout)
    results = (line["id"] for line in lines if line["kind"] == "result")
    try:
        assert list(itertools.islice(results, 3)) == [0, 1, 2]
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=2) == 0
    finally:
        process.kill()
        process.communicate()


def test_a_peer_that_falls_silent_is_noticed_by_keepalive(server, monkeypatch):
    monkeypatch.setattr(device.channel, "KEEPALIVE_S", 1.0)
    states = queue.SimpleQueue()

    class Listener:
        def on_message(self, server, message):
            pass

        def on_catalogue(self, server, catalogue):
            pass

        def on_ready(self):
            pass

        def on_state(self, server, up, reason):
            states.put((up, reason))

    choice = ChoiceOfServer(1, 10.0, lambda: 0.0)
    remote = Remote([Address.parse(server.address)], SecuritySettings(), choice, Listener())
    remote.start()
    try:
        assert states.get(timeout=10) == (True, "")
        server.process.send_signal(signal.SIGSTOP)
        up, reason = states.get(timeout=10)
    finally:
        server.process.send_signal(signal.SIGCONT)
        remote.close()
    assert not up
    assert "ping timeout" in reason


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        (["--server", "127.0.0.1:9", "--require-server"], 6, "is the server running?"),
        (["--server", "nonsense"], 2, "is not HOST:PORT"),
        (["--strategy", "magic"], 2, "unknown strategy 'magic'"),
        (["--backend", "abacus"], 2, "unknown backend 'abacus'"),
        (["--slowdown", "0.1"], 2, "slowdown"),
        (["--rate", "-1"], 2, "rate_hz"),
        (["--out", "/proc/nowhere/x"], 2, "cannot be written"),
        (["--out", "/dev/full"], 2, "No space left"),
    ],
)
def test_what_is_wrong_ends_in_one_sentence_and_its_status(
    embedded_file, samples, profile, options, status, words
):
    process = start(embedded_file, samples, profile, *options)
    _, err = process.communicate(timeout=60)
    assert process.returncode == status, err
    assert len(err.strip().splitlines()) == 1
    assert words in err


def test_a_run_that_comes_to_nothing_leaves_the_results_of_the_last(
    embedded_file, samples, profile, tmp_path
):
    out = tmp_path / "run.jsonl"
    out.write_text("earlier\n")
    words = ("--server", "127.0.0.1:9", "--require-server", "--out", out)
    process = start(embedded_file, samples, profile, *words)
    process.communicate(timeout=60)
    assert process.returncode == 6
    assert out.read_text() == "earlier\n"
    assert list(tmp_path.iterdir()) == [out]


def test_a_sample_of_another_shape_fails_alone(embedded_file, profile, tmp_path):
    np.savez(tmp_path / "x.npz", inputs=np.zeros((3, 5, 5, 3), np.uint8))
    process = start(embedded_file, tmp_path / "x.npz", profile)
    out, err = process.communicate(timeout=60)
    results = [line for line in map(json.loads, out.splitlines()) if line["kind"] == "result"]
    assert [r["status"] for r in results] == ["failed"] * 3
    assert "must be uint8 of shape (96, 96, 3)" in results[0]["reason"]
    assert process.returncode == 5
    assert err.startswith("offramp: 3 samples failed, the first because tensor 'image' must be")
    assert len(err.strip().splitlines()) == 1


def test_settings_come_from_a_file_and_unknown_keys_are_named(
    embedded_file, samples, profile, tmp_path
):
    (tmp_path / "good.yaml").write_text("deadline_s: 0.3\nobjective: {minimise: p95}\n")
    (tmp_path / "bad.yaml").write_text("deadlin_s: 0.3\n")
    good = start(embedded_file, samples, profile, "--settings", tmp_path / "good.yaml")
    opening = lines_of(good)["run"][0]
    assert (opening["deadline_s"], opening["objective"]["minimise"]) == (0.3, "p95")
    bad = start(embedded_file, samples, profile, "--settings", tmp_path / "bad.yaml")
    _, err = bad.communicate(timeout=60)
    assert bad.returncode == 2
    assert "unknown key 'deadlin_s'" in err
