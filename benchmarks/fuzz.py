"""Everything that reads bytes from the wire or from a file, attacked with a million inputs.

Whatever arrives, it is read or refused by an `OfframpError`, in little time and memory. Each target
(`benchmarks.fuzzing.registry`) is attacked in a process of its own: valid inputs, made by our own
writers, are altered, guided by the coverage of our packages where atheris is installed (``pip
install 'offramp[fuzz]'``), else at random. Then a live server is attacked on its port and with
messages to its methods, while a good client goes on asking.

What is found lies in the folder that is named at the end, with the command that tries it again.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.progress import Progress, TaskID

from benchmarks.fuzzing.live import Siege, besiege
from benchmarks.fuzzing.record import last_input, read_figures, tried
from benchmarks.fuzzing.registry import every_target
from benchmarks.fuzzing.target import Target
from benchmarks.fuzzing.worker import GUIDED
from benchmarks.harness import Options, build_parser, finish, tabulate

INPUTS, QUICK_INPUTS = 1_000_000, 8_000
QUICK_EACH = 8  # of so many targets one is attacked if it has to be quick
ATTACKS, QUICK_ATTACKS = 8_000, 200
MOST_GROWTH = 0.05
_SLACK_BYTES = 2 << 20  # what the fuzzer itself keeps of inputs that reach more
_LIMIT_S = 900.0
_POLL_S = 0.2
_COVERED = re.compile(r"cov: (\d+)")


@dataclass(frozen=True)
class Outcome:
    """What became of a target: figures of its record, and ``covered`` edges before and after."""

    target: str
    inputs: int
    seconds: float
    accepted: int = 0
    longest_s: float = 0.0
    warm_bytes: int = 0
    end_bytes: int = 0
    covered: tuple[int, int] = (0, 0)
    wrong: tuple[str, ...] = ()

    @property
    def growth(self) -> float:
        """By what share memory grew after a third of the inputs."""
        return self.end_bytes / self.warm_bytes - 1 if self.warm_bytes else 0.0


def main() -> None:
    parser = build_parser("fuzz", __doc__)
    parser.add_argument("--inputs", type=int, help="inputs of all targets together")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--target", action="append", help="attack this one alone; may be repeated")
    parser.add_argument("--plain", action="store_true", help="alter at random, without coverage")
    given = parser.parse_args()
    guided = GUIDED and not given.plain
    targets = [t for t in every_target() if not given.target or t.name in given.target]
    targets = targets[::QUICK_EACH] if given.quick else targets
    inputs = given.inputs or (QUICK_INPUTS if given.quick else INPUTS)
    shares = share_out(targets, inputs)
    home = Path(tempfile.mkdtemp(prefix="offramp-fuzz-", dir=_memory_folder()))
    with Progress() as progress:
        bar = progress.add_task("", total=sum(shares))
        outcomes = []
        for target, share in zip(targets, shares, strict=True):
            progress.update(bar, description=target.name)
            run = _Run(target, share, given.seed, home, guided)
            outcomes.append(run.finish(progress, bar))
        siege = _siege(progress, given) if not given.target else Siege()
    wrong = _report(outcomes, siege)
    _tell(outcomes, siege, wrong, Options(given.quick, given.json), guided)
    if wrong:
        print("\n".join(wrong))
        raise SystemExit(1)
    shutil.rmtree(home)


def share_out(targets: Sequence[Target], inputs: int) -> list[int]:
    """Return how many inputs each target gets, so that none takes much longer than another."""
    weights = sum(target.weight for target in targets)
    return [-(-inputs * target.weight // weights) for target in targets]


class _Run:
    """A target's process."""

    def __init__(self, target: Target, inputs: int, seed: int, home: Path, guided: bool) -> None:
        self.target, self.inputs = target, inputs
        self.folder = home / target.name.replace(" ", "-")
        self.folder.mkdir()
        self._log = self.folder / "log"
        self._command = [sys.executable, "-m", "benchmarks.fuzzing.worker", target.name]
        options = [f"--inputs={inputs}", f"--seed={seed}", f"--folder={self.folder}"]
        self._options = [*options, *([] if guided else ["--plain"])]

    def finish(self, progress: Progress, bar: TaskID) -> Outcome:
        """Run it to its end, and return what became of it."""
        began_s, before = time.monotonic(), progress.tasks[bar].completed
        place = {**os.environ, "OFFRAMP_CACHE": str(self.folder / "cache")}
        with (
            self._log.open("wb") as log,
            subprocess.Popen(
                [*self._command, *self._options], stdout=log, stderr=log, env=place
            ) as process,
        ):
            while process.poll() is None:
                if time.monotonic() - began_s > _LIMIT_S:
                    process.kill()
                progress.update(bar, completed=before + tried(self.folder))
                time.sleep(_POLL_S)
        progress.update(bar, completed=before + self.inputs)
        return self._outcome(process.returncode, time.monotonic() - began_s)

    def _outcome(self, code: int, seconds: float) -> Outcome:
        figures: dict[str, Any] | None = read_figures(self.folder)
        if figures is None:
            said = self._log.read_text(errors="replace").strip().splitlines() or ["nothing"]
            (self.folder / "finding-0").write_bytes(last_input(self.folder))
            wrong = (self._again(0, f"ended with code {code}: {said[-1][:300]}"),)
            return Outcome(self.target.name, tried(self.folder), seconds, wrong=wrong)
        wrong = tuple(self._again(at, said) for at, said in enumerate(figures.pop("findings")))
        covered = [int(n) for n in _COVERED.findall(self._log.read_text(errors="replace"))] or [0]
        outcome = Outcome(
            self.target.name,
            covered=(covered[0], covered[-1]),
            wrong=wrong,
            **figures,
        )
        if grown(outcome.warm_bytes, outcome.end_bytes):
            return _with(outcome, f"memory grew by {outcome.growth:.1%}")
        return outcome

    def _again(self, number: int, said: str) -> str:
        path = self.folder / f"finding-{number}"
        command = f"python -m benchmarks.fuzzing.worker {self.target.name!r} --input {path}"
        return f"{said}\n  {command} --folder $(mktemp -d)"


def grown(warm_bytes: int, end_bytes: int) -> bool:
    """Tell whether memory grew by more than may be."""
    return end_bytes > warm_bytes * (1 + MOST_GROWTH) + _SLACK_BYTES


def _with(outcome: Outcome, wrong: str) -> Outcome:
    return Outcome(**{**asdict(outcome), "wrong": (*outcome.wrong, wrong)})


def _siege(progress: Progress, given: Any) -> Siege:
    attacks = QUICK_ATTACKS if given.quick else ATTACKS
    bar = progress.add_task("a live server", total=attacks)
    siege = besiege(attacks, given.seed, lambda done: progress.update(bar, completed=done))
    if grown(siege.warm_bytes, siege.end_bytes):
        siege.wrong.append(f"the server grew from {siege.warm_bytes} to {siege.end_bytes} bytes")
    return siege


def _memory_folder() -> str | None:
    """Return a folder in memory if there is one: inputs that go through files are many."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def _report(outcomes: Sequence[Outcome], siege: Siege) -> list[str]:
    tabulate(
        "inputs by target",
        ["target", "inputs", "a second", "accepted", "edges", "longest ms", "MiB", "growth"],
        [
            (
                one.target,
                f"{one.inputs:,}",
                f"{one.inputs / one.seconds:,.0f}",
                f"{one.accepted / max(one.inputs, 1):.1%}",
                f"{one.covered[0]} + {one.covered[1] - one.covered[0]}",
                f"{one.longest_s * 1e3:.1f}",
                f"{one.end_bytes / 2**20:.0f}",
                f"{one.growth:+.1%}",
            )
            for one in outcomes
        ],
    )
    wrong = [f"{one.target}: {said}" for one in outcomes for said in one.wrong]
    return wrong + [f"live server: {said}" for said in siege.wrong]


def _tell(
    outcomes: Sequence[Outcome], siege: Siege, wrong: list[str], options: Options, guided: bool
) -> None:
    inputs = sum(one.inputs for one in outcomes)
    if siege.good:
        print(
            f"live server: {siege.connections:,} connections and {siege.calls:,} calls, meanwhile "
            f"{siege.good:,} good answers, the slowest in {siege.slowest_s * 1e3:.0f} ms, "
            f"{siege.again} asked for again; "
            f"{siege.warm_bytes / 2**20:.0f} MiB, at the end {siege.end_bytes / 2**20:.0f}"
        )
    how = "guided by coverage" if guided else "at random"
    finish(
        "fuzz",
        f"{inputs:,} inputs to {len(outcomes)} targets, {how}, "
        f"{len(wrong)} findings; memory grew by {max(one.growth for one in outcomes):.1%} at most "
        f"(allowed {MOST_GROWTH:.0%})",
        {
            "guided": guided,
            "inputs": inputs,
            "targets": [asdict(one) for one in outcomes],
            "live": asdict(siege),
            "wrong": wrong,
        },
        options,
    )


if __name__ == "__main__":
    main()
