"""A real Prometheus scrapes a server and a device; its numbers are those of the result file."""

import collections
import contextlib
import io
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

import numpy as np
import pytest

from offramp.embedded.cluttered_digits import load
from tests.device.test_agent import profile  # noqa: F401

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(
        shutil.which("prometheus") is None,
        reason="there is no prometheus here; on Debian: apt-get install prometheus",
    ),
]

COMMAND = [sys.executable, "-c", "from offramp.cli import main; main()"]
LIMIT_S = 60
ADDED = ("__name__", "instance", "job")
GOOD, BAD = 300, 3
CONFIG = """
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
  - {{job_name: offramp, static_configs: [{{targets: ["{server}", "{device}"]}}]}}
"""


@pytest.fixture
def start():
    """Starts processes; those that a test leaves are killed."""
    processes = []

    def begin(*command, **options):
        processes.append(subprocess.Popen(command, text=True, **options))
        return processes[-1]

    yield begin
    for process in processes:
        with process:
            process.kill()


class Prometheus:
    """A Prometheus of its own that scrapes two addresses every second."""

    def __init__(self, start, folder, **targets):
        (folder / "prometheus.yml").write_text(CONFIG.format(**targets))
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._address = f"127.0.0.1:{free.getsockname()[1]}"
        with (folder / "log").open("w") as log:
            start(
                "prometheus",
                f"--config.file={folder}/prometheus.yml",
                f"--storage.tsdb.path={folder}/data",
                f"--web.listen-address={self._address}",
                stdout=log,
                stderr=log,
            )

    def ask(self, query):
        """Returns the values by their labels, without those that Prometheus adds."""
        asked = urllib.parse.urlencode({"query": query})
        url = f"http://{self._address}/api/v1/query?{asked}"
        with urllib.request.urlopen(url, timeout=10) as reply:
            found = json.load(reply)["data"]["result"]
        return {
            tuple(v for k, v in sorted(each["metric"].items()) if k not in ADDED): float(
                each["value"][1]
            )
            for each in found
        }

    def wait_for(self, query, value):
        """Waits until all values of a query come to a sum."""
        end_s = time.monotonic() + LIMIT_S
        found = None
        while time.monotonic() < end_s:
            with contextlib.suppress(urllib.error.URLError):
                found = self.ask(query)
                if sum(found.values()) == value:
                    return found
            time.sleep(0.1)
        raise AssertionError(f"{query} is {found} after {LIMIT_S} s, not {value}")


def npy(array):
    written = io.BytesIO()
    np.save(written, array)
    return written.getvalue()


def test_its_numbers_are_those_of_the_result_file(start, embedded_file, profile, tmp_path):  # noqa: F811
    pipe = subprocess.PIPE
    serving = ("serve", embedded_file, "--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0")
    with (tmp_path / "server.log").open("w") as log:
        server = start(*COMMAND, *serving, stdout=pipe, stderr=log)
    listening = re.fullmatch(r"listening on (.*)\n", server.stdout.readline())[1]
    logged = (tmp_path / "server.log").read_text()
    server_metrics = re.search(r"metrics on http://(.*)/metrics", logged)[1]
    running = ("run", embedded_file, "--source", "-", "--profile", profile, "--out", "-", "--quiet")
    options = ("--server", listening, "--metrics", "127.0.0.1:0", "--rate", "40")
    device = start(*COMMAND, *running, *options, stdin=pipe, stdout=pipe)
    opening = json.loads(device.stdout.readline())
    prometheus = Prometheus(start, tmp_path, server=server_metrics, device=opening["metrics"])

    images, _ = load("test", 40)
    fed = [npy(np.zeros((3, 3), np.float32))] * BAD
    fed += [npy(images[at % 40]) for at in range(GOOD)]

    def feed():
        for at, one in enumerate(fed):
            device.stdin.buffer.write(one)
            device.stdin.flush()
            if at == 150:  # those under way are answered by the device
                server.send_signal(signal.SIGSTOP)
            if at == 210:
                server.send_signal(signal.SIGCONT)

    threading.Thread(target=feed, daemon=True).start()
    results, plans = [], []
    for line in map(json.loads, device.stdout):
        if line["kind"] == "result":
            results.append(line)
        plans += [line] * (line["kind"] == "plan")
        if len(results) == GOOD + BAD:
            break
    samples = prometheus.wait_for("offramp_device_samples_total", GOOD + BAD)

    def key(result):
        by, _, name = result.get("by", "none").partition(" ")
        place = "device" if by == "exit" else by
        at_exit = name or ("none" if by == "none" else "end")
        return str(result.get("cut", "none")), at_exit, result["status"], place

    counted = collections.Counter(map(key, results))
    assert samples == counted
    assert {status for _, _, status, _ in counted} >= {"ok", "failed"}
    assert {place for _, _, _, place in counted} == {"server", "device", "none"}
    why = prometheus.ask("sum by (outcome) (offramp_device_unplanned_samples_total)")
    unplanned = collections.Counter((r["status"],) for r in results if r.get("reason"))
    assert why == unplanned
    assert sum(prometheus.ask("offramp_device_late_samples_total").values()) == sum(
        r["late"] for r in results
    )
    assert sum(prometheus.ask("offramp_device_frame_bytes_sum").values()) == sum(
        r["sent_bytes"] for r in results
    )
    assert sum(prometheus.ask("offramp_device_plan_changes_total").values()) >= len(plans)
    served = sum(r.get("by") == "server" for r in results)
    sent = sum(r["sent_bytes"] > 0 for r in results)
    answers = prometheus.wait_for("offramp_server_requests_total", sent)
    assert sum(n for labels, n in answers.items() if labels[-1] == "OK") >= served
    assert {labels[2] for labels in answers} == {opening["model"]}
    device.stdin.close()
    assert device.wait(LIMIT_S) == 5  # samples were not what the model takes
