"""A synthetic model of two segments and one exit, with exact times, and real servers."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from offramp import backends
from offramp.bundle import Bundle, Manifest, open_bundle, write_bundle
from offramp.bundle.allowed import Allowed, AllowedPlan
from offramp.exits.policy import CLOSED
from partitioner.machine import this_machine
from partitioner.planner import Planner

COMMAND = [sys.executable, "-c", "from offramp.cli import main; main()"]


@pytest.fixture(scope="session")
def planner(two_segments, two_segments_planner):
    """Head 10 ms a segment on the device, 1 ms on the server; 1000 B at the cut in the middle."""
    return two_segments_planner(*two_segments(10_000, 1000))


@pytest.fixture(scope="session")
def successor(planner):
    """The same model of another digest, whose segments take the device 5 ms each."""
    digest = "2" * 64
    bundle = Bundle(planner.bundle.manifest, digest, Path("nowhere"))
    device, server = (
        profile.slowed(factor).model_copy(update={"digest": digest, "slowdown": 1.0})
        for profile, factor in ((planner.device, 0.5), (planner.server, 1.0))
    )
    return Planner(bundle, planner.candidates, device, server)


@pytest.fixture(scope="session")
def quick_to_send(make_profile):
    """Makes a profile by which sending to the server is the faster way."""

    def make(bundle):
        manifest = bundle.manifest
        keys = [f"{at}/{level}" for at, b in enumerate(manifest.boundaries) for level in b.levels]
        heads_s = np.linspace(0, 0.05, len(manifest.boundaries))
        heads_s[:-1] /= 10
        codecs_s = dict.fromkeys(keys, 1e-4)
        made = make_profile(bundle.digest, heads_s, [1e-4], codecs_s, codecs_s)
        version = backends.get(made.main.backend).version()
        runner = made.main.model_copy(update={"version": version})
        return made.model_copy(update={"machine": this_machine(), "runners": (runner,)})

    return make


@pytest.fixture(scope="session")
def embedded_profile(embedded, make_profile, tmp_path_factory):
    """A profile in proportion to the work, 6 ms in all, whatever else runs here now."""
    manifest = embedded.manifest
    macs = np.cumsum([0] + [segment.macs for segment in manifest.segments])
    per_mac_s = 0.006 / macs[-1]
    keys = [f"{at}/{level}" for at, b in enumerate(manifest.boundaries) for level in b.levels]
    codec_s = dict.fromkeys(keys, 0.0003)
    exits_s = [spec.macs * per_mac_s for spec in manifest.exits]
    made = make_profile(embedded.digest, macs * per_mac_s, exits_s, codec_s, codec_s)
    version = backends.get(made.main.backend).version()
    runner = made.main.model_copy(update={"version": version})
    made = made.model_copy(update={"machine": this_machine(), "runners": (runner,)})
    path = tmp_path_factory.mktemp("profile") / "here.json"
    path.write_text(made.model_dump_json())
    return path


@pytest.fixture(scope="session")
def with_one_plan():
    """Writes a bundle that allows no plan but to send from a place, or to stay."""

    def write(bundle, place, folder):
        (cut, level), count = place, bundle.manifest.exits_before
        same = {"accuracy_drop": 0.0, "left_share": 0.0}
        last = max(bundle.cuts)
        plans = (
            AllowedPlan(cut=cut, level=level, thresholds=(CLOSED,) * count(cut), **same),
            AllowedPlan(cut=last, thresholds=(CLOSED,) * count(last), **same),
        )
        fields = {name: getattr(bundle.manifest, name) for name in Manifest.model_fields}
        fields["allowed"] = Allowed(samples=1, plans=plans)
        files = {name: bundle.path(name).read_bytes() for name in fields.pop("files")}
        write_bundle(folder / "limited.offramp", fields, files)
        return open_bundle(folder / "limited.offramp")

    return write


class Server:
    """``offramp serve`` in a process of its own."""

    def __init__(self, bundle, port=0):
        command = [*COMMAND, "serve", str(bundle), "--listen", f"127.0.0.1:{port}"]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        line = self.process.stdout.readline()
        self.address = re.fullmatch(r"listening on (\S+)\n", line)[1]

    def kill(self):
        self.process.kill()
        self.process.wait(timeout=10)
        self.process.stdout.close()


@pytest.fixture
def serve():
    """Starts servers; those that a test leaves are killed."""
    servers = []

    def begin(bundle, port=0):
        servers.append(Server(bundle, port))
        return servers[-1]

    yield begin
    for server in servers:
        server.kill()
