"""The worker: one target in a process of its own, with a limit of memory.

    python -m benchmarks.fuzzing.worker TARGET --inputs N --seed S --folder F [--plain]
    python -m benchmarks.fuzzing.worker TARGET --folder F --input FILE

The first tries ``N`` inputs and writes what became of them to ``F``. Inputs are chosen by the
coverage of our packages (atheris, which is libFuzzer), or at random with ``--plain``. The second
tries one input that was found, and lets what it raises go on.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import importlib.util
import resource
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmarks.fuzzing.record import Record
    from benchmarks.fuzzing.target import Attack

__all__ = ["GUIDED", "main"]

GUIDED = importlib.util.find_spec("atheris") is not None
"""Whether a fuzzer is installed that is guided by coverage."""

_PACKAGES = ("offramp", "partitioner", "device", "edge_server", "sim")
_COMPILED = ("offramp.codecs.context_coder", "offramp.cuts.flow")
"""Compiled by numba, which cannot read what has been instrumented."""
_ROOM_BYTES = 3 << 30
_HANG_S = 60


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("target")
    parser.add_argument("--inputs", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("--input", type=Path)
    given = parser.parse_args()
    warnings.simplefilter("ignore")  # readers warn of what they then read or refuse
    faulthandler.enable()
    guided = not (given.plain or given.input)
    place = given.folder / "place"
    place.mkdir(parents=True)
    with _instrumented() if guided else contextlib.nullcontext():
        from benchmarks.fuzzing.record import Record
        from benchmarks.fuzzing.registry import find_target

        attack = find_target(given.target).build(place)  # which imports what it needs
    if given.input:
        attack.read(given.input.read_bytes())
        return
    _limit_memory()
    record = Record(given.folder, attack, given.inputs)
    (_guided if guided else _plain)(attack, record, given.seed)


def _plain(attack: Attack, record: Record, seed: int) -> None:
    """Try the seeds, and then alter them at random."""
    from benchmarks.fuzzing.mutation import Mutator

    mutator, random = Mutator(attack.seeds), Random(seed)
    for data in attack.seeds:
        record.take(data)
    while not record.done:
        faulthandler.dump_traceback_later(_HANG_S, exit=True)
        for _ in range(1000):
            record.take(mutator.any(random))


def _guided(attack: Attack, record: Record, seed: int) -> None:
    """Let the fuzzer choose: half of the time by our own mutations, which know the seeds."""
    import atheris

    from benchmarks.fuzzing.mutation import Mutator

    mutator = Mutator(attack.seeds)
    corpus = record.folder / "corpus"
    corpus.mkdir()
    for at, data in enumerate(attack.seeds):
        (corpus / str(at)).write_bytes(data)

    def mutate(data: bytes, most: int, number: int) -> bytes:
        random = Random(number)
        if random.randrange(2):
            return mutator.alter(data, random)[:most]
        return bytes(atheris.Mutate(data, most))

    options = [
        f"-atheris_runs={record.wanted}",
        f"-seed={seed or 1}",
        f"-max_len={mutator.longest_bytes}",
        f"-timeout={_HANG_S}",
        "-rss_limit_mb=0",
        f"-artifact_prefix={record.folder}/",
        str(corpus),
    ]
    atheris.Setup([sys.argv[0], *options], record.take, custom_mutator=mutate)
    atheris.Fuzz()


@contextlib.contextmanager
def _instrumented() -> Iterator[None]:
    import atheris

    instrument: Callable[..., Any] = atheris.instrument_imports
    with instrument(include=list(_PACKAGES), exclude=list(_COMPILED)):
        yield


def _limit_memory() -> None:
    """Allow what is in use and some more: what allocates by what a stranger says runs into it."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + _ROOM_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


if __name__ == "__main__":
    main()
