"""Several servers with real processes: which one answers as they stop, die and come back."""

import collections
import json
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

from offramp.bundle import Manifest, write_bundle
from offramp.embedded.cluttered_digits import load

pytestmark = pytest.mark.e2e

COMMAND = [sys.executable, "-c", "from offramp.cli import main; main()"]
RATE_HZ = 10
DEADLINE_S = 0.3


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    path = tmp_path_factory.mktemp("samples") / "test.npz"
    images, labels = load("test", 400)
    np.savez(path, inputs=images, labels=labels)
    return path


class Device:
    """``offramp run`` at a steady rate; what it writes is read as it comes."""

    def __init__(self, bundle, samples, profile, settings, servers, **tuning):
        settings.write_text(
            json.dumps({"server": list(servers), "tuning": tuning, "deadline_s": DEADLINE_S})
        )
        command = [*COMMAND, "run", str(bundle), "--source", str(samples)]
        command += ["--profile", str(profile), "--strategy", "server_only", "--out", "-"]
        command += ["--rate", str(RATE_HZ), "--settings", str(settings)]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.lines = collections.defaultdict(list)
        self._watchdog = threading.Timer(90, self.process.kill)
        self._watchdog.start()

    def read_until(self, wanted):
        """Read on until a result is as ``wanted``, and return it."""
        for line in map(json.loads, self.process.stdout):
            self.lines[line["kind"]].append(line)
            if line["kind"] == "result" and wanted(line):
                return line
        raise AssertionError(f"no such result came: {self.process.stderr.read()}")

    def answered_by(self, server):
        return self.read_until(lambda result: result.get("server") == server.address)

    def end(self):
        """Let it end, and return all results and what it said on the terminal."""
        self.process.send_signal(signal.SIGTERM)
        for line in map(json.loads, self.process.stdout):
            self.lines[line["kind"]].append(line)
        said = self.process.stderr.read()
        assert self.process.wait(timeout=20) == 0, said
        self._watchdog.cancel()
        results = self.lines["result"]
        assert [r["id"] for r in sorted(results, key=lambda r: r["id"])] == list(
            range(len(results))
        )
        assert {r["status"] for r in results} <= {"ok", "degraded"}
        assert not any(r["late"] for r in results)
        return results, said

    def close(self):
        self._watchdog.cancel()
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def start(embedded_file, samples, embedded_profile, tmp_path):
    devices = []

    def begin(*servers, **tuning):
        addresses = [server.address for server in servers]
        files = (embedded_file, samples, embedded_profile)
        devices.append(Device(*files, tmp_path / "device.yaml", addresses, **tuning))
        return devices[-1]

    yield begin
    for device in devices:
        device.close()


def test_a_server_that_stops_costs_no_answer_and_the_next_one_takes_over(
    embedded_file, serve, start
):
    first, second = serve(embedded_file), serve(embedded_file)
    device = start(first, second)
    device.answered_by(first)
    device.answered_by(first)
    first.process.send_signal(signal.SIGTERM)
    moved = device.answered_by(second)
    assert first.process.wait(timeout=10) == 0
    device.read_until(lambda result: result["id"] >= moved["id"] + 15)
    results, said = device.end()
    degraded = [(r["id"], r["reason"]) for r in results if r["status"] != "ok"]
    assert degraded == []
    assert {r["by"] for r in results} == {"server"}
    by = [r["server"] for r in sorted(results, key=lambda r: r["id"])]
    change = by.index(second.address)
    assert by == [first.address] * change + [second.address] * (len(by) - change)
    assert said.count(f"connected to {second.address}: {first.address} is stopping") == 1
    assert f"{second.address} answered {len(by) - change}" in said


def test_a_server_that_is_killed_costs_a_moment_and_no_answer(embedded_file, serve, start):
    first, second = serve(embedded_file), serve(embedded_file)
    device = start(first, second)
    last = device.answered_by(first)
    first.kill()
    moved = device.answered_by(second)
    assert moved["id"] - last["id"] <= RATE_HZ  # a second
    device.read_until(lambda result: result["id"] >= moved["id"] + 10)
    results, _ = device.end()
    later = [r for r in results if r["id"] > moved["id"]]
    assert {r.get("server") for r in later} == {second.address}


def test_a_better_server_is_returned_to_once_it_has_been_well_for_a_while(
    embedded_file, serve, start
):
    first, second = serve(embedded_file), serve(embedded_file)
    device = start(first, second, return_s=1.0)
    device.answered_by(first)
    first.kill()
    device.answered_by(second)
    again = serve(embedded_file, int(first.address.rpartition(":")[2]))
    back_at = len(device.lines["result"])
    back = device.answered_by(again)
    assert back["id"] - back_at >= 0.8 * RATE_HZ
    device.read_until(lambda result: result["id"] >= back["id"] + 10)
    results, said = device.end()
    after = [r for r in results if r["id"] >= back_at]
    assert {r["status"] for r in after} == {"ok"}
    assert {r["by"] for r in after} == {"server"}
    assert f"connected to {first.address}: {first.address} is well again" in said


def test_with_no_server_the_device_is_alone_until_one_comes(embedded_file, serve, start):
    first, second = serve(embedded_file), serve(embedded_file)
    for server in (first, second):
        server.kill()
    device = start(first, second)
    alone = device.read_until(lambda result: result["id"] >= 5)
    assert alone["by"] != "server"
    serve(embedded_file, int(second.address.rpartition(":")[2]))
    came = device.answered_by(second)
    device.read_until(lambda result: result["id"] >= came["id"] + 5)
    device.end()


def test_a_server_without_the_bundle_is_passed_over(
    embedded, embedded_file, tmp_path, serve, start
):
    fields = {name: getattr(embedded.manifest, name) for name in Manifest.model_fields}
    files = {name: embedded.path(name).read_bytes() for name in fields.pop("files")}
    write_bundle(tmp_path / "other.offramp", {**fields, "name": "other"}, files)
    other, right = serve(tmp_path / "other.offramp"), serve(embedded_file)
    device = start(other, right)
    device.answered_by(right)
    results, _ = device.end()
    assert other.address not in {r.get("server") for r in results}


def test_a_server_that_is_the_only_one_and_stops_answers_what_it_has(embedded_file, serve, start):
    """The device has nowhere to go: it leaves at once, and the server need not wait for it."""
    server = serve(embedded_file)
    device = start(server)
    device.read_until(lambda result: result["by"] == "server" and result["id"] >= 5)
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(timeout=1.5) == 0  # not for the two seconds that it might
    device.read_until(lambda result: result["by"] != "server")
    serve(embedded_file, int(server.address.rpartition(":")[2]))
    device.read_until(lambda result: result["by"] == "server")
    results, _ = device.end()
    assert not any("server" in result for result in results)
