"""Measuring a profile on this machine."""

from __future__ import annotations

import datetime
import os
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from offramp.boundary_codec import BoundaryCodec, decode_boundary
from offramp.bundle import Bundle
from offramp.network import Network
from partitioner.profile import Machine, Profile, Timing

__all__ = ["measure_profile"]

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class _Task:
    kind: str
    key: int | str
    call: Callable[[], object]


def measure_profile(
    bundle: Bundle,
    backend: str | None = None,
    *,
    threads: int = 1,
    rounds: int = 15,
    progress: Progress = lambda done, of: None,
) -> Profile:
    """Time every head, tail, exit and codec level on the bundle's example inputs, batch 1.

    Each round runs everything once, so that a change of the machine's speed meets all alike.
    """
    network = Network(bundle, backend, threads)
    tasks = list(_tasks(network))
    times: dict[tuple[str, int | str], list[float]] = {(t.kind, t.key): [] for t in tasks}
    for task in tasks:
        task.call()
    for done in range(rounds):
        for task in tasks:
            started = time.perf_counter()
            task.call()
            times[task.kind, task.key].append(time.perf_counter() - started)
        progress(done + 1, rounds)
    nothing = Timing(median_s=0, p10_s=0, p90_s=0, runs=0)
    found = {at: _timing(values) for at, values in times.items()}
    depth = network.depth
    return Profile(
        digest=bundle.digest,
        backend=network.backend,
        threads=threads,
        machine=this_machine(),
        measured=datetime.datetime.now(datetime.UTC).date().isoformat(),
        head=(nothing, *(found["head", cut] for cut in range(1, depth + 1))),
        tail=(*(found["tail", cut] for cut in range(depth)), nothing),
        exits=tuple(found["exit", at] for at in range(len(bundle.manifest.exits))),
        encode={str(key): t for (kind, key), t in found.items() if kind == "encode"},
        decode={str(key): t for (kind, key), t in found.items() if kind == "decode"},
    )


def this_machine() -> Machine:
    """Describe the machine that this process runs on."""
    return Machine(
        processor=_processor(),
        cores=os.cpu_count() or 1,
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
    )


def _tasks(network: Network) -> Iterator[_Task]:
    depth, manifest = network.depth, network.bundle.manifest
    values = [[array[:1] for array in network.bundle.examples]]
    for at in range(depth):
        values.append(network.run_segment(at, values[at]))
    for cut in range(1, depth + 1):
        yield _Task("head", cut, partial(network.run, 0, cut, values[0]))
    for cut in range(depth):
        yield _Task("tail", cut, partial(network.run, cut, depth, values[cut]))
    for at, spec in enumerate(manifest.exits):
        yield _Task("exit", at, partial(network.exit_logits, at, values[spec.boundary]))
    for cut, boundary in enumerate(manifest.boundaries):
        sample = [array[0] for array in values[cut]]
        for level in boundary.levels:
            codec = BoundaryCodec(boundary, level)
            frames = codec.encode(sample)
            decode = partial(decode_boundary, limit_bytes=boundary.nbytes)
            yield _Task("encode", f"{cut}/{level}", partial(codec.encode, sample))
            yield _Task("decode", f"{cut}/{level}", partial(decode, frames, boundary.tensors))


def _timing(values: list[float]) -> Timing:
    p10, median, p90 = np.percentile(values, (10, 50, 90))
    return Timing(median_s=median, p10_s=p10, p90_s=p90, runs=len(values))


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
