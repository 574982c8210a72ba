"""Answer samples by fixed plans, so that two kinds of machine can be compared.

    python board.py HOST:PORT COUNT [OTHER.jsonl] > lines.jsonl

Samples and a bundle to profile are those of the device image. The bundle that runs is fetched from
the edge server. Written are JSON lines: the machine, its profile, then what `offramp run` writes
for each plan, then the logits of every exit and of the whole model for each sample.
`same_answers.py` compares two such files. With the lines of another machine, its profile is run by:
an emulated processor takes long to measure, and no answer here depends on it.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from device.obtain import obtain_bundle
from device.settings import AgentSettings
from offramp.commands import run_command
from offramp.network import Network
from partitioner.conditions import Conditions
from partitioner.objective import Objective
from partitioner.plan import Plan
from partitioner.planner import Planner
from partitioner.strategies import STRATEGIES, Strategy

HOME = Path("/opt/offramp")
BUNDLE = HOME / "model.offramp"
SAMPLES = HOME / "samples.npz"
SCRATCH = Path("/tmp/board")
SURE = 0.99  # sure enough to leave: between a third and two thirds of the samples are
PLANS = {
    "input": Plan(0, "webp90", "confidence", ()),
    "split": Plan(5, "channel3", "confidence", (SURE, SURE)),
    "whole": Plan(8, None, "confidence", (SURE, SURE, SURE)),
}
# An emulated board is slow, and no answer may be hurried.
SETTINGS = {"slowdown": 1, "deadline_s": 60, "connect_s": 30}


class Fixed(Strategy):
    """One plan under all conditions."""

    adapts = False

    def __init__(self, plan: Plan) -> None:
        self.plan = plan

    def decide(self, planner: Planner, objective: Objective, conditions: Conditions) -> Plan:
        """Return the plan."""
        return self.plan


def main(server: str, count: str, other: str | None = None) -> int:
    """Write all lines; return the status of the first run that fails, or 0."""
    say({"kind": "machine", "machine": platform.machine(), "torch": find_spec("torch") is not None})
    SCRATCH.mkdir(exist_ok=True)
    with np.load(SAMPLES) as held:
        inputs, labels = held["inputs"][: int(count)], held["labels"][: int(count)]
    source, profile, settings = (SCRATCH / name for name in ("samples.npz", "profile", "settings"))
    np.savez(source, inputs=inputs, labels=labels)
    settings.write_text(json.dumps(SETTINGS))
    profile.write_text(json.dumps(profile_of(Path(other)) if other else measure()))
    say({"kind": "profile", "profile": json.loads(profile.read_text())})
    for name, plan in PLANS.items():
        STRATEGIES[name] = partial(Fixed, plan)
        words = ["run", "--server", server, "--require-server", "--strategy", name, "--quiet"]
        words += ["--source", str(source), "--profile", str(profile), "--settings", str(settings)]
        if status := run_command([*words, "--out", "-"]):
            return status
    say_logits(server, inputs)
    return 0


def measure() -> Any:
    """Return this machine's profile, from the image's bundle and with a cache of its own.

    In the one cache it would be there already when the agent comes to fetch it.
    """
    path = SCRATCH / "measured"
    words = ("offramp", "profile", BUNDLE, "--threads", "1", "--rounds", "1", "--out", path)
    environment = {**os.environ, "OFFRAMP_CACHE": str(SCRATCH / "cache")}
    subprocess.run(words, env=environment, stdout=subprocess.DEVNULL, check=True)
    return json.loads(path.read_text())


def profile_of(other: Path) -> Any:
    """Return the profile that another machine wrote among its lines."""
    lines = map(json.loads, other.read_text().splitlines())
    return next(line["profile"] for line in lines if line["kind"] == "profile")


def say_logits(server: str, inputs: np.ndarray) -> None:
    """Write what every exit and the whole model make of each sample, in batches of one."""
    settings = AgentSettings.model_validate({**SETTINGS, "server": server})
    bundle = obtain_bundle(None, settings, require_server=True, show=False).bundle
    network, exits = Network(bundle), bundle.manifest.exits
    for sample in range(len(inputs)):
        values, logits, codes = [inputs[sample : sample + 1]], [], {}
        for at in range(network.depth):
            values = network.run_segment(at, values)
            reached = [e for e, spec in enumerate(exits) if spec.boundary == at + 1]
            logits += [network.exit_logits(e, values, codes) for e in reached]
        rows = [array[0].tolist() for array in (*logits, values[0])]
        say({"kind": "logits", "sample": sample, "rows": rows})


def say(line: object) -> None:
    """Print a JSON line."""
    print(json.dumps(line), flush=True)  # noqa: T201


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:]))
    except subprocess.CalledProcessError as error:  # a signal's status is a shell's: 128 and more
        sys.exit(error.returncode if error.returncode > 0 else 128 - error.returncode)
