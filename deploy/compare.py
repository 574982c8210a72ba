"""Run each strategy on the same samples and the same link, print the table, judge the answers.

This is the device container's only process. Exit status 0 if every sample has an answer, 1 if one
has none, and the failed command's own status if a command fails.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

HOME = Path("/opt/offramp")
RESULTS = Path("/results")
BUNDLE = HOME / "model.offramp"
SAMPLES = HOME / "samples.npz"
SETTINGS = Path("/etc/offramp/device.yaml")
FIRST_PORT = 6001  # as in shape.sh
ANSWERED = ("ok", "degraded")


def main() -> int:
    """Run all of it and return the exit status."""
    strategies = os.environ["STRATEGIES"].split()
    profile = RESULTS / "profile.json"
    say("measuring the profile of this container")
    options = ("--threads", 1, "--rounds", 20, "--out", profile)
    offramp("profile", BUNDLE, *options, stdout=subprocess.DEVNULL)
    runs = []
    for port, strategy in enumerate(strategies, FIRST_PORT):
        say(f"strategy {strategy}")
        runs.append(RESULTS / f"{strategy}.jsonl")
        server = f"{os.environ['SHAPER']}:{port}"
        offramp(
            *("run", BUNDLE, "--source", SAMPLES, "--server", server, "--strategy", strategy),
            *("--settings", SETTINGS, "--profile", profile, "--out", runs[-1]),
        )
    say(describe_board(runs[0]))
    offramp("report", *runs, "--json", RESULTS / "report.json")
    return judge(runs)


def offramp(*words: object, stdout: int | None = None) -> None:
    """Run a sub-command of ``offramp``; its failure is ours."""
    subprocess.run(["offramp", *map(str, words)], stdout=stdout, check=True)


def judge(runs: Iterable[Path]) -> int:
    """Say how many samples have an answer, and return 1 if one has none in any run."""
    status, others = 0, 0
    for run in runs:
        counts = count_statuses(run)
        samples, answered = counts.total(), sum(counts[name] for name in ANSWERED)
        say(f"{run.stem}: {answered} of {samples} samples answered, {counts['degraded']} degraded")
        others += samples - answered - counts["dropped"] if samples else 1
        if answered < samples or not samples:
            status = 1
    if status and not others:
        say("only dropped samples have no answer")
    return status


def count_statuses(run: Path) -> Counter[str]:
    """Count the results of a run by status; samples that have no result count as ``missing``."""
    lines = [json.loads(line) for line in run.read_text().splitlines()]
    counts = Counter(line["status"] for line in lines if line["kind"] == "result")
    expected = next(line["samples"] for line in lines if line["kind"] == "run")
    counts["missing"] = max(expected - counts.total(), 0)
    return counts


def describe_board(run: Path) -> str:
    """Say what stood for the board: the emulated slowdown and the container's limits."""
    with run.open() as stream:
        opening = json.loads(stream.readline())
    return (
        f"device: a board {opening['slowdown']:g} times slower than one core of this machine "
        f"(emulated), in a container of {os.environ['CPUS']} CPU and {os.environ['MEMORY']}; "
        f"{opening['rate_hz']:g} samples a second, each to be answered within "
        f"{opening['deadline_s'] * 1e3:g} ms"
    )


def say(text: str) -> None:
    """Print a line that stands out from the agent's own."""
    print(f"==> {text}")  # noqa: T201


if __name__ == "__main__":
    try:
        sys.exit(main())
    except subprocess.CalledProcessError as error:  # a signal's status is a shell's: 128 and more
        sys.exit(error.returncode if error.returncode > 0 else 128 - error.returncode)
