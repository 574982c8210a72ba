"""Targets: settings of every kind, and addresses."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks.fuzzing.target import Attack, Target, of_file
from device.settings import AgentSettings
from edge_server.settings import ServerSettings
from offramp.address import Address
from offramp.demo.settings import DemoSettings
from offramp.errors import InputError
from offramp.settings import load_settings, load_texts
from partitioner.boards import find_power
from partitioner.objective import Objective
from sim.description import read_link
from sim.world.scenario import read_scenario

__all__ = ["targets"]

_HOME = Path(__file__).parents[2]

_SERVER = b"""bundles: [a.offramp, b.offramp]
listen: 127.0.0.1:50051
threads: 2
max_wait_s: 2.5
max_message_bytes: 16777216
"""
_OBJECTIVE = b"""minimise: p95
max_accuracy_drop: 0.01
deadline_s: 0.2
"""
_POWER = b"""name: board
source: "a meter"
idle_w: 1.5
compute_w: 2
radio_w: 0.5
radio_up_w: 0.2
radio_tail_s: 0.1
"""
_AGENT = b"""server: "[::1]:50051"
rate_hz: 10
objective: {minimise: mean, max_accuracy_drop: 0.01}
tuning: {heed_spread: 2}
hedge: {}
"""
_DEMO = b"bundle: a\nout: b\nsamples: 50\ntable_samples: 20\n"
_CARD = b"licence: Apache-2.0\ntrained on: &a digits\nthen: *a\nlong: |\n  two\n  lines\n"


def targets() -> tuple[Target, ...]:
    """Return the targets of settings."""
    link = (_HOME / "deploy/link.yaml").read_bytes()
    scenario = (_HOME / "examples/scenarios/street.yaml").read_bytes()
    agent = (_AGENT, (_HOME / "deploy/device.yaml").read_bytes())
    each: tuple[tuple[str, str, tuple[bytes, ...], Callable[[Path], object]], ...] = (
        ("server settings", "edge_server.command", (_SERVER,), _of(ServerSettings)),
        ("agent settings", "device.main", agent, _of(AgentSettings)),
        ("objectives", "partitioner.plan_inputs", (_OBJECTIVE,), _of(Objective)),
        ("demo settings", "offramp.demo.command", (_DEMO,), _of(DemoSettings)),
        ("boards", "partitioner.boards", (_POWER,), lambda path: find_power(str(path))),
        ("links", "sim.description", (link,), read_link),
        ("scenarios", "sim.world.scenario", (scenario,), read_scenario),
        ("model cards", "offramp.capture.command", (_CARD,), load_texts),
    )
    files = (
        Target(
            name,
            ("offramp.settings", "offramp.yaml_text", reader),
            partial(_file, seeds, read),
            weight=4,
        )
        for name, reader, seeds, read in each
    )
    return (*files, Target("addresses", ("offramp.address",), _addresses, weight=150))


def _of(
    model: type[ServerSettings | AgentSettings | Objective | DemoSettings],
) -> Callable[[Path], object]:
    return lambda path: load_settings(model, path)


def _file(seeds: tuple[bytes, ...], read: Callable[[Path], object], folder: Path) -> Attack:
    return Attack(seeds, of_file(folder / "some.yaml", read))


def _addresses(folder: Path) -> Attack:
    def read(data: bytes) -> None:
        try:
            text = data.decode()
        except UnicodeDecodeError:
            raise InputError("no text") from None
        address = Address.parse(text)
        assert Address.parse(str(address)) == address

    return Attack((b"127.0.0.1:50051", b"[::1]:0", b"edge.local:443", b"[fe80::1%eth0]:9"), read)
